package project

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/pgerr"
)

// form is how a view's clauses become statements.
type form interface {
	// apply changes the tables in the physical schema; it may be given one event or a page of them.
	apply(ctx context.Context, tx *pgxpool.Conn, physical string, events []event) error
	// probe fails when the tables are not what the clauses need.
	probe(ctx context.Context, tx pgx.Tx, physical string) error
}

// event is a recorded event on its way into a view: decoded, with personal fields opened and large texts loaded.
type event struct {
	eventstore.Recorded
	clause Clause
	data   any
	err    error // it cannot be decoded: a failure of this event for good
	waived bool  // an operator discarded it
}

// Failure is an event that a view cannot take. Its text has ids, names and codes, never a value out of the event.
type Failure struct {
	View     string
	Stream   eventstore.Stream
	Tenant   uuid.UUID
	Event    uuid.UUID
	Type     string
	Position eventstore.Position
	What     string
}

func (f *Failure) Error() string {
	return fmt.Sprintf("project: %s: event %s (%s at %s, row %s of tenant %s): %s", f.View, f.Event, f.Type, f.Position, f.Stream.ID, f.Tenant, f.What)
}

func (e *event) fails(what string, cause error) *Failure {
	if cause != nil {
		what = strings.TrimSpace(what + " " + describe(cause))
	}
	return &Failure{Stream: e.Stream, Tenant: e.Tenant, Event: e.ID, Type: e.Type, Position: e.Position, What: what}
}

// guard turns a panic of a clause into a failure of its event.
func (e *event) guard(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = e.fails(fmt.Sprintf("the clause panicked with %T", p), nil)
		}
	}()
	f()
	return nil
}

// open decodes the events of a page that the view counts, but for the waived ones. The error is a transient one; what is wrong with an
// event stays with it.
func (e *Engine) open(ctx context.Context, v View, recs []eventstore.Recorded, waived map[uuid.UUID]bool) ([]event, error) {
	var events []event
	for i := range recs {
		if !v.counts(&recs[i]) {
			continue
		}
		ev := event{Recorded: recs[i], clause: v.clauses[recs[i].Type], waived: waived[recs[i].ID]}
		if !ev.waived {
			ev.data, ev.err = e.decode(ctx, v, &ev)
		}
		if ev.err != nil && transient(ev.err) {
			return nil, ev.err
		}
		events = append(events, ev)
	}
	return events, nil
}

func (e *Engine) decode(ctx context.Context, v View, ev *event) (data any, err error) {
	kind, known := v.sources[ev.Stream.Category].Lookup(ev.Type)
	if !known {
		return nil, &es.UnknownEvent{Type: ev.Type, Schema: ev.Schema, ID: ev.ID, Position: ev.Position}
	}
	if panicked := ev.guard(func() {
		if data, err = kind.Decode(ev.Recorded); err == nil {
			data, err = es.Opener{Vault: e.Vault, Store: e.Store}.Open(ctx, kind, ev.Recorded, data)
		}
	}); panicked != nil {
		return nil, panicked
	}
	return data, err
}

// transient reports whether trying again may help.
func transient(err error) bool {
	return pgerr.Transient(err) || errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrUncertain)
}

// stop is a reason in the engine's own words: nothing in it came out of an event.
type stop string

func (s stop) Error() string { return string(s) }

// describe says what is wrong without showing data: messages of the database and of decoders may quote values.
func describe(err error) string {
	var pg *pgconn.PgError
	var unknown *es.UnknownEvent
	var failed *Failure
	var said stop
	switch {
	case errors.As(err, &failed):
		return failed.What
	case errors.As(err, &said):
		return string(said)
	case errors.As(err, &unknown):
		return unknown.Error()
	case errors.As(err, &pg):
		text := "SQLSTATE " + pg.Code
		if strings.HasPrefix(pg.Code, "42") { // names of tables, columns and functions only
			text += ": " + pg.Message
		}
		for _, part := range [][2]string{{"table", pg.TableName}, {"column", pg.ColumnName}, {"constraint", pg.ConstraintName}} {
			if part[1] != "" {
				text += " " + part[0] + " " + part[1]
			}
		}
		return text
	case errors.Is(err, eventstore.ErrContentMissing):
		return eventstore.ErrContentMissing.Error()
	case transient(err): // the network's words
		return err.Error()
	default:
		for inner := err; inner != nil; inner = errors.Unwrap(inner) {
			err = inner
		}
		return fmt.Sprintf("it does not decode or cannot be written (%T)", err)
	}
}
