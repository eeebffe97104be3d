package rest

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/rest/cursor"
	"github.com/bgce/archive/platform/rest/live"
)

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

// From selects from a view by its name, "harbour.berths".
func From(view string) Selection { return Selection{view: view} }

func (s Selection) with(c cond) Selection {
	s.conds = append(slices.Clip(s.conds), c)
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
// views may be named as {harbour.berths}.
func (s Selection) Where(sql string, args ...Args) Selection {
	all := Args{}
	for _, a := range args {
		maps.Copy(all, a)
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
func (s Selection) build(r *Rows, p *live.Plan, extra, tail string) (string, []any, error) {
	var b strings.Builder
	b.Grow(256)
	b.WriteString("SELECT ")
	b.WriteString(strings.Join(p.Columns, ", "))
	b.WriteString(extra)
	b.WriteString(" FROM \x00 WHERE ")
	args := make([]any, 0, 4)
	if !s.every {
		args = append(args, [16]byte(r.req.caller.Tenant))
		b.WriteString("tenant = $1")
	} else if b.WriteString("true"); !r.req.caller.Is("platform") {
		return "", nil, es.ErrForbidden.Withf("this takes: platform")
	}
	if s.owned != "" {
		if account, restricted := r.only(); restricted {
			args = append(args, account.String()) // the column may be text or uuid
			b.WriteString(" AND " + s.owned + " = $" + strconv.Itoa(len(args)))
		}
	}
	for _, c := range s.conds {
		b.WriteString(" AND ")
		if c.name != "" {
			args = append(args, live.Lean(c.arg))
			b.WriteString(c.sql + "$" + strconv.Itoa(len(args)))
			if strings.HasSuffix(c.sql, "(") {
				b.WriteByte(')')
			}
			continue
		}
		named := Args{"tenant": r.req.caller.Tenant, "account": r.req.caller.Account()}
		maps.Copy(named, c.args)
		text, values, err := live.Positional(c.sql, named, args)
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
	others, fill := live.Placeholders(after)
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
	paged := s
	if page.Cursor != "" {
		at, id, err := cursor.Open(r.req.api.cfg.CursorKey, scope, page.Cursor)
		if err != nil {
			return list, err
		}
		paged = s.Where(fmt.Sprintf("(%s, id) %s (@cursor_key, @cursor_id)", key, op), Args{"cursor_key": at, "cursor_id": id})
	}
	tail := fmt.Sprintf(" ORDER BY %s%s, id%s LIMIT %d", key, dir, dir, limit+1)
	p := live.PlanOf(reflect.TypeFor[V]())
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
				list.Next = cursor.Seal(r.req.api.cfg.CursorKey, scope, lastKey, lastID)
				return nil
			}
			var v V
			if err := rows.Scan(p.Targets(reflect.ValueOf(&v).Elem(), []any{&lastKey, (*[16]byte)(&lastID)})...); err != nil {
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
