package project

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
)

// Key is what every row begins with. The engine keeps it: the aggregate's tenant and id, and its version after the last event of a
// source that inserts rows.
type Key struct {
	Tenant  uuid.UUID `db:"tenant"`
	ID      uuid.UUID `db:"id"`
	Version int       `db:"version"`
}

// Rows makes a view with one row per aggregate, each event a function on the row. V embeds Key; its columns are the db tags. The DDL
// creates the table "<plural>", unqualified, with primary key (tenant, id). Constraints see rows as they are after a page, not after each
// event. A nil slice is stored as an empty array, bytes and JSON
// as null.
func Rows[V any](name string, version int, ddl string, sources ...Source) View {
	typ := reflect.TypeFor[V]()
	_, table, _ := strings.Cut(name, ".")
	f := &rows{typ: typ, table: table}
	f.columnsOf(name, typ, nil)
	if f.key == nil {
		panic(fmt.Sprintf("project: %s: %s does not embed project.Key", name, typ))
	}
	return define(name, version, ddl, f, sources, func(c Clause) bool {
		return c.op == remove || (c.op == insert || c.op == update) && c.row == typ
	})
}

// Insert makes the row, which must not be there yet.
func Insert[V, E any](f func(*V, es.Recorded[E])) Clause { return fold(insert, f) }

// Update changes the row, which must be there.
func Update[V, E any](f func(*V, es.Recorded[E])) Clause { return fold(update, f) }

// Delete removes the row, which must be there.
func Delete[E any]() Clause { return Clause{event: reflect.TypeFor[E](), op: remove} }

func fold[V, E any](op op, f func(*V, es.Recorded[E])) Clause {
	return Clause{event: reflect.TypeFor[E](), row: reflect.TypeFor[V](), op: op, fold: func(row any, env es.Envelope, data any) {
		f(row.(*V), es.Recorded[E]{Envelope: env, Data: data.(E)})
	}}
}

// rows is the form with a row per aggregate: load what the page touches, fold in Go, write what changed.
type rows struct {
	typ     reflect.Type
	table   string
	columns []column
	key     []int // where Key is in V
}

type column struct {
	name  string
	index []int
}

func (f *rows) columnsOf(view string, t reflect.Type, at []int) {
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("project: %s: %s is not a struct", view, t))
	}
	for i := range t.NumField() {
		field := t.Field(i)
		index := append(append([]int(nil), at...), i)
		name, tagged := field.Tag.Lookup("db")
		switch {
		case name == "-":
		case field.Anonymous && !tagged:
			if field.Type == reflect.TypeFor[Key]() {
				f.key = index
			}
			f.columnsOf(view, field.Type, index)
		case !tagged || !field.IsExported():
			panic(fmt.Sprintf("project: %s: %s.%s needs a db tag (or db:\"-\") and must be exported", view, t, field.Name))
		default:
			f.columns = append(f.columns, column{name, index})
		}
	}
}

type rowKey struct{ tenant, id uuid.UUID }

// slot is one row during a page.
type slot struct {
	key     rowKey
	row     reflect.Value // *V
	stored  bool          // it was in the table when the page began
	present bool
	changed bool
}

// page holds the rows a page touches, in the order in which they are first touched.
type rowPage struct {
	slots map[rowKey]*slot
	order []*slot
}

func (f *rows) apply(ctx context.Context, tx *pgxpool.Conn, physical string, events []event) error {
	page, err := f.load(ctx, tx, physical, events)
	if err != nil {
		return err
	}
	for i := range events {
		if err := f.fold(page, &events[i]); err != nil {
			return err
		}
	}
	return f.store(ctx, tx, physical, page)
}

func (f *rows) load(ctx context.Context, tx *pgxpool.Conn, physical string, events []event) (*rowPage, error) {
	page := &rowPage{slots: map[rowKey]*slot{}}
	var tenants, ids []uuid.UUID
	for i := range events {
		key := rowKey{events[i].Tenant, events[i].Stream.ID}
		if page.slots[key] == nil {
			s := &slot{key: key}
			page.slots[key], page.order = s, append(page.order, s)
			tenants, ids = append(tenants, key.tenant), append(ids, key.id)
		}
	}
	found, err := tx.Query(ctx, f.selectSQL(physical), tenants, ids)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	for found.Next() {
		row := reflect.New(f.typ)
		into := make([]any, len(f.columns))
		for i, c := range f.columns {
			into[i] = row.Elem().FieldByIndex(c.index).Addr().Interface()
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		key := row.Elem().FieldByIndex(f.key).Interface().(Key)
		s := page.slots[rowKey{key.Tenant, key.ID}]
		s.row, s.stored, s.present = row, true, true
	}
	return page, found.Err()
}

func (f *rows) fold(page *rowPage, e *event) error {
	s := page.slots[rowKey{e.Tenant, e.Stream.ID}]
	switch {
	case e.clause.op == insert && s.present, e.clause.op != insert && !s.present:
		if e.clause.maybe {
			return nil
		}
		if s.present {
			return e.fails("the row to insert is there already", nil)
		}
		return e.fails("the row to change is not there", nil)
	case e.clause.op == remove:
		s.present, s.changed = false, true
		return nil
	case e.clause.op == insert:
		s.row = reflect.New(f.typ)
	}
	s.present, s.changed = true, true
	key := s.row.Elem().FieldByIndex(f.key).Addr().Interface().(*Key)
	key.Tenant, key.ID = e.Tenant, e.Stream.ID
	if !e.clause.keeps {
		key.Version = e.Version
	}
	return e.guard(func() { e.clause.fold(s.row.Interface(), es.EnvelopeOf(e.Recorded), e.data) })
}

func (f *rows) store(ctx context.Context, tx *pgxpool.Conn, physical string, page *rowPage) error {
	batch := &pgx.Batch{}
	for _, s := range page.order {
		switch {
		case !s.changed || !s.stored && !s.present:
		case !s.present:
			batch.Queue(f.deleteSQL(physical), s.key.tenant, s.key.id)
		case s.stored:
			batch.Queue(f.updateSQL(physical), f.values(s)...)
		default:
			batch.Queue(f.insertSQL(physical), f.values(s)...)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	results := tx.SendBatch(ctx, batch)
	for range batch.Len() {
		tag, err := results.Exec()
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("project: a loaded row of %s.%s was not there when it was written", physical, f.table)
		}
		if err != nil {
			results.Close()
			return err
		}
	}
	return results.Close()
}

func (f *rows) values(s *slot) []any {
	values := make([]any, len(f.columns))
	for i, c := range f.columns {
		field := s.row.Elem().FieldByIndex(c.index)
		if field.Kind() == reflect.Slice && field.IsNil() && field.Type().Elem().Kind() != reflect.Uint8 {
			field = reflect.MakeSlice(field.Type(), 0, 0)
		}
		values[i] = field.Interface()
		if raw, ok := values[i].(json.RawMessage); ok && raw == nil {
			values[i] = nil
		}
	}
	return values
}

func (f *rows) qualified(physical string) string { return pgx.Identifier{physical, f.table}.Sanitize() }

func (f *rows) names(form string) (list []string) {
	for i, c := range f.columns {
		list = append(list, strings.NewReplacer("NAME", pgx.Identifier{c.name}.Sanitize(), "N", fmt.Sprint(i+1)).Replace(form))
	}
	return list
}

// selectSQL reads by keys that differ, each through the index: OFFSET keeps the planner from scanning the table for them.
func (f *rows) selectSQL(physical string) string {
	return "SELECT stored.* FROM unnest($1::uuid[],$2::uuid[]) AS key (tenant, id), LATERAL (SELECT " + strings.Join(f.names("NAME"), ",") +
		" FROM " + f.qualified(physical) + " AS r WHERE r.tenant=key.tenant AND r.id=key.id OFFSET 0) AS stored"
}

func (f *rows) insertSQL(physical string) string {
	return "INSERT INTO " + f.qualified(physical) + " (" + strings.Join(f.names("NAME"), ",") + ") VALUES (" + strings.Join(f.names("$N"), ",") + ")"
}

func (f *rows) updateSQL(physical string) string {
	where := map[string]string{}
	for i, c := range f.columns {
		where[c.name] = fmt.Sprintf("$%d", i+1)
	}
	return "UPDATE " + f.qualified(physical) + " SET " + strings.Join(f.names("NAME=$N"), ",") + " WHERE tenant=" + where["tenant"] + " AND id=" + where["id"]
}

func (f *rows) deleteSQL(physical string) string {
	return "DELETE FROM " + f.qualified(physical) + " WHERE tenant=$1 AND id=$2"
}

// probe has the server check every statement against the table.
func (f *rows) probe(ctx context.Context, tx pgx.Tx, physical string) error {
	for _, sql := range []string{f.selectSQL(physical), f.insertSQL(physical), f.updateSQL(physical), f.deleteSQL(physical)} {
		if _, err := tx.Prepare(ctx, "", sql); err != nil {
			return fmt.Errorf("the table does not fit %s: %w", f.typ, err)
		}
	}
	return nil
}
