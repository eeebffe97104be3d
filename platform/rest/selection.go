package rest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest/live"
)

var errCursor = fault.New(fault.Invalid, "rest.cursor", "this cursor is not from this list as it is asked for now; start again without it")

// Selection is some rows of one view, of the caller's tenant.
type Selection struct {
	view  string
	conds []cond
	owned string // column that must hold the caller's account, unless a role let the caller in
	every bool   // tenants
}

// cond is SQL with named arguments.
type cond struct {
	sql  string
	name string // of the only argument, or "" when args has them
	arg  any
	args Args
}

// From selects from a view by its name, "postal.posts".
func From(view string) Selection { return Selection{view: view} }

func (s Selection) with(c cond) Selection {
	s.conds = append(s.conds[:len(s.conds):len(s.conds)], c)
	return s
}

// Is demands a value, whatever it is: for identity.
func (s Selection) Is(column string, value any) Selection {
	return s.with(cond{sql: column + " = ", name: column, arg: value})
}

// Eq filters by a value that was asked for; a zero value or nil is no filter.
func (s Selection) Eq(column string, value any) Selection {
	v := reflect.ValueOf(value)
	if !v.IsValid() || v.IsZero() {
		return s
	}
	if v.Kind() == reflect.Pointer {
		value = v.Elem().Interface()
	}
	return s.Is(column, value)
}

// In filters by any of the values; none is no filter.
func (s Selection) In(column string, values any) Selection {
	if v := reflect.ValueOf(values); !v.IsValid() || v.Len() == 0 {
		return s
	}
	return s.with(cond{sql: column + " = ANY(", name: column, arg: values})
}

// Where adds SQL with named arguments: Where("title ILIKE @q", rest.Args{"q": …}). @tenant and @account are bound too, and other
// views may be named as {postal.tags}.
func (s Selection) Where(sql string, args ...Args) Selection {
	all := Args{}
	for _, a := range args {
		for name, value := range a {
			all[name] = value
		}
	}
	return s.with(cond{sql: "(" + sql + ")", args: all})
}

// OwnedBy restricts the rows to the caller's own, unless a role of the route let the caller in.
func (s Selection) OwnedBy(column string) Selection { s.owned = column; return s }

// EveryTenant lifts the restriction to the caller's tenant, for the platform alone: anyone else is refused.
func (s Selection) EveryTenant() Selection { s.every = true; return s }

// identity is the id asked for, if the selection is by id.
func (s Selection) identity() (uuid.UUID, bool) {
	for _, c := range s.conds {
		if c.name == "id" && c.sql == "id = " {
			id, ok := c.arg.(uuid.UUID)
			return id, ok
		}
	}
	return uuid.Nil, false
}

// build writes the statement with NUL where the table goes. Extra stands before FROM, tail at the end; they have no arguments.
func (s Selection) build(r *Rows, p *plan, extra, tail string) (string, []any, error) {
	var b strings.Builder
	b.Grow(256)
	b.WriteString("SELECT ")
	b.WriteString(strings.Join(p.columns, ", "))
	b.WriteString(extra)
	b.WriteString(" FROM \x00 WHERE ")
	args := make([]any, 0, 4)
	if !s.every {
		args = append(args, r.req.caller.Tenant)
		b.WriteString("tenant = $1")
	} else if b.WriteString("true"); !r.req.caller.Is("platform") {
		return "", nil, es.ErrForbidden.Withf("this takes: platform")
	}
	if s.owned != "" {
		if account, restricted := r.only(); restricted {
			args = append(args, account)
			b.WriteString(" AND " + s.owned + " = $" + strconv.Itoa(len(args)))
		}
	}
	for _, c := range s.conds {
		b.WriteString(" AND ")
		if c.name != "" {
			args = append(args, c.arg)
			b.WriteString(c.sql + "$" + strconv.Itoa(len(args)))
			if strings.HasSuffix(c.sql, "(") {
				b.WriteByte(')')
			}
			continue
		}
		named := Args{"tenant": r.req.caller.Tenant, "account": r.req.caller.Account()}
		for name, value := range c.args {
			named[name] = value
		}
		text, values, err := positional(c.sql, named, args)
		if err != nil {
			return "", nil, err
		}
		args = values
		b.WriteString(text)
	}
	b.WriteString(tail)
	return b.String(), args, nil
}

// over puts the live tables where build left room and where conditions name {views}.
func (s Selection) over(text string) ([]string, live.SQL) {
	before, after, _ := strings.Cut(text, "\x00")
	others, fill := placeholders(after)
	if len(others) == 0 {
		return []string{s.view}, func(table func(string) string) string { return before + table(s.view) + after }
	}
	views := others
	if !slices.Contains(others, s.view) {
		views = append([]string{s.view}, others...)
	}
	return views, func(table func(string) string) string { return before + table(s.view) + fill(table) }
}

// Page is embedded in the questions that answer lists.
type Page struct {
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"100" doc:"items on a page"`
	Cursor string `query:"cursor" maxLength:"1000" doc:"next of the page before"`
}

// List is a page of items. Next is absent on the last page.
type List[V any] struct {
	Items []V    `json:"items"`
	Next  string `json:"next,omitempty" doc:"cursor of the next page"`
}

// Many reads a page in a stable order: order is a column, or an expression that is never NULL, and maybe " desc"; id breaks ties.
func Many[V any](ctx context.Context, r *Rows, s Selection, page Page, order string) (List[V], error) {
	list := List[V]{Items: []V{}}
	key, desc := strings.CutSuffix(order, " desc")
	key = strings.TrimSuffix(key, " asc")
	op, dir := ">", ""
	if desc {
		op, dir = "<", " DESC"
	}
	limit := page.Limit
	if limit == 0 {
		limit = 20
	}
	scope := s.scope(r, order)
	tail := ""
	paged := s
	if page.Cursor != "" {
		at, id, err := r.req.api.open(scope, page.Cursor)
		if err != nil {
			return list, err
		}
		paged = s.Where(fmt.Sprintf("(%s, id) %s (@cursor_key, @cursor_id)", key, op), Args{"cursor_key": at, "cursor_id": id})
	}
	tail = fmt.Sprintf(" ORDER BY %s%s, id%s LIMIT %d", key, dir, dir, limit+1)
	p := planOf(reflect.TypeFor[V]())
	text, args, err := paged.build(r, p, ", ("+key+")::text AS cursor_key, id AS cursor_id", tail)
	if err != nil {
		return list, err
	}
	var lastKey string
	var lastID uuid.UUID
	views, sql := s.over(text)
	err = r.run(ctx, views, sql, args, uuid.Nil, func(rows pgx.Rows) error {
		list = List[V]{Items: make([]V, 0, limit)}
		for rows.Next() {
			if len(list.Items) == limit {
				list.Next = r.req.api.seal(scope, lastKey, lastID)
				return nil
			}
			var v V
			if err := rows.Scan(p.targets(reflect.ValueOf(&v).Elem(), []any{&lastKey, &lastID})...); err != nil {
				return err
			}
			list.Items = append(list.Items, v)
		}
		return nil
	})
	return list, err
}

// scope is what a cursor is bound to: tenant, operation, order and filters.
func (s Selection) scope(r *Rows, order string) string {
	var b strings.Builder
	only, restricted := r.only()
	fmt.Fprintf(&b, "%s\x00%s\x00%s\x00%s\x00%v%v%s", r.req.caller.Tenant, r.req.route.id, s.view, order, restricted && s.owned != "", s.owned, only)
	for _, c := range s.conds {
		fmt.Fprintf(&b, "\x00%s=%v%v", c.sql, c.arg, c.args)
	}
	return b.String()
}

const sealed = 16 // bytes of HMAC in a cursor

// seal makes a cursor: HMAC, id and key of the last item.
func (a *API) seal(scope, key string, id uuid.UUID) string {
	plain := append(append(make([]byte, 0, sealed+len(id)+len(key)), id[:]...), key...)
	return base64.RawURLEncoding.EncodeToString(append(a.mac(scope, plain), plain...))
}

func (a *API) open(scope, cursor string) (key string, id uuid.UUID, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < sealed+len(id) || !hmac.Equal(raw[:sealed], a.mac(scope, raw[sealed:])) {
		return "", id, errCursor.WithField("query.cursor", "not from this list")
	}
	return string(raw[sealed+len(id):]), uuid.UUID(raw[sealed : sealed+len(id)]), nil
}

func (a *API) mac(scope string, plain []byte) []byte {
	h := hmac.New(sha256.New, a.cfg.CursorKey)
	h.Write([]byte(scope))
	h.Write([]byte{0, 0})
	h.Write(plain)
	return h.Sum(nil)[:sealed]
}
