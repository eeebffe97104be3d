package project

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
)

// Args are the values of @names in a statement.
type Args map[string]any

// SQL makes a view out of statements, replayed one after another, for what is not one row per aggregate. The DDL creates the table
// "<plural>" (and others it needs), unqualified. Statements run with the view's own schema as search_path.
func SQL(name string, version int, ddl string, sources ...Source) View {
	return define(name, version, ddl, statements{}, sources, func(c Clause) bool { return c.op == exec })
}

// Exec says which statements an event becomes. One that changes no row is a failure, as is having none, unless the clause or the
// statement is Maybe.
func Exec[E any](f func(b *Batch, e es.Recorded[E])) Clause {
	return Clause{event: reflect.TypeFor[E](), op: exec, exec: func(b *Batch, env es.Envelope, data any) {
		f(b, es.Recorded[E]{Envelope: env, Data: data.(E)})
	}}
}

// Batch collects the statements of one event. @tenant @id @version @at @actor @event @position are always bound.
type Batch struct {
	env   es.Envelope
	list  []statement
	maybe bool
}

type statement struct {
	sql   string
	args  pgx.StrictNamedArgs
	maybe bool
}

// Exec queues a statement that must change a row.
func (b *Batch) Exec(sql string, args ...Args) { b.add(sql, b.maybe, args) }

// Maybe queues a statement that may change none.
func (b *Batch) Maybe(sql string, args ...Args) { b.add(sql, true, args) }

var named = regexp.MustCompile(`@([a-zA-Z_][a-zA-Z0-9_]*)`)

func (b *Batch) add(sql string, maybe bool, given []Args) {
	always := Args{
		"tenant": b.env.Tenant, "id": b.env.Stream, "version": b.env.Version, "at": b.env.At,
		"actor": string(b.env.Actor), "event": b.env.ID, "position": string(b.env.Position),
	}
	// Strict: a misspelt @name must not become a silent NULL.
	args := pgx.StrictNamedArgs{}
	for _, m := range named.FindAllStringSubmatch(sql, -1) {
		if value, ok := always[m[1]]; ok {
			args[m[1]] = value
		}
	}
	for _, more := range given {
		maps.Copy(args, more)
	}
	b.list = append(b.list, statement{sql, args, maybe})
}

// statements is the form that runs SQL.
type statements struct{}

func (statements) apply(ctx context.Context, tx *pgxpool.Conn, physical string, events []event) error {
	batch := &pgx.Batch{}
	var from []*event
	var maybe []bool
	for i := range events {
		e := &events[i]
		b := &Batch{env: es.EnvelopeOf(e.Recorded), maybe: e.clause.maybe}
		if err := e.guard(func() { e.clause.exec(b, b.env, e.data) }); err != nil {
			return err
		}
		if len(b.list) == 0 && !e.clause.maybe {
			return e.fails("the clause has no statement", nil)
		}
		for _, s := range b.list {
			// The comment keeps prepared statements of different physical schemas apart.
			batch.Queue("/* "+physical+" */ "+s.sql, s.args)
			from, maybe = append(from, e), append(maybe, s.maybe)
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	results := tx.SendBatch(ctx, batch)
	for i, e := range from {
		tag, err := results.Exec()
		if err == nil && tag.RowsAffected() == 0 && !maybe[i] {
			err = e.fails(fmt.Sprintf("statement changed no row: %.60s", batch.QueuedQueries[i].SQL), nil)
		}
		if err != nil {
			results.Close()
			return err
		}
	}
	return results.Close()
}

func (statements) probe(context.Context, pgx.Tx, string) error { return nil }
