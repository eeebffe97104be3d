// Package baseline is what one writes by hand with pgx and chi when there is no event store: the other side of every benchmark.
package baseline

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Schema is a plain event table: what it takes to keep events in order and refuse a stale version, and no more.
const Schema = `CREATE TABLE IF NOT EXISTS events (
	position bigserial PRIMARY KEY,
	stream   uuid NOT NULL,
	version  int NOT NULL,
	type     text NOT NULL,
	data     jsonb NOT NULL,
	meta     jsonb NOT NULL,
	at       timestamptz NOT NULL DEFAULT now(),
	UNIQUE (stream, version)
)`

// Event is one row.
type Event struct {
	Stream  uuid.UUID
	Version int
	Type    string
	Data    []byte
	Meta    []byte // tenant, actor, correlation
}

// Log is the table. The pool prepares each statement once per connection.
type Log struct{ DB *pgxpool.Pool }

var errStale = errors.New("baseline: somebody else wrote this version")

// Insert stores an event in a transaction of its own.
func (l Log) Insert(ctx context.Context, e Event) error {
	_, err := l.DB.Exec(ctx, `INSERT INTO events (stream, version, type, data, meta) VALUES ($1, $2, $3, $4, $5)`,
		[16]byte(e.Stream), e.Version, e.Type, e.Data, e.Meta) // the array is what pgx encodes fastest
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23505" {
		return errStale
	}
	return err
}

// Writer decides on one stream with the load, decide, append, retry loop: it reads what it missed, and when somebody was faster it
// reads again and decides anew, at once.
type Writer struct {
	Log    Log
	Stream uuid.UUID
	seen   int
}

// Do appends one event decided on the state as it is.
func (w *Writer) Do(ctx context.Context, decide func(version int) Event, fold func(data []byte)) error {
	for {
		if err := w.load(ctx, fold); err != nil {
			return err
		}
		e := decide(w.seen)
		e.Stream, e.Version = w.Stream, w.seen+1
		err := w.Log.Insert(ctx, e)
		if err == nil {
			fold(e.Data)
			w.seen++
			return nil
		}
		if !errors.Is(err, errStale) {
			return err
		}
	}
}

func (w *Writer) load(ctx context.Context, fold func(data []byte)) error {
	rows, err := w.Log.DB.Query(ctx, `SELECT version, data FROM events WHERE stream = $1 AND version > $2 ORDER BY version`, w.Stream, w.seen)
	if err != nil {
		return err
	}
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&w.seen, &data}, func() error { fold(data); return nil })
	return err
}
