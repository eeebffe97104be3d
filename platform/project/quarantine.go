package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

// Refusals of the operator's functions.
var (
	ErrNoView         = fault.New(fault.NotFound, "platform.view_unknown", "no view by that name is registered here; archive views lists them")
	ErrNotQuarantined = fault.New(fault.NotFound, "platform.stream_not_quarantined", "this stream is not quarantined in that view")
	ErrNoReason       = fault.New(fault.Invalid, "platform.reason_missing", "say who discards these events and why; it is kept on the record")
)

// Quarantined is a stream that a view cannot take further.
type Quarantined struct {
	View     string              `json:"view"`
	Category string              `json:"category"`
	Stream   uuid.UUID           `json:"stream"`
	Tenant   uuid.UUID           `json:"tenant"`
	Position eventstore.Position `json:"position"` // of the failing event
	Event    uuid.UUID           `json:"event"`
	Type     string              `json:"type"`
	Error    string              `json:"error"`
	Attempts int                 `json:"attempts"`
	Waiting  int64               `json:"waiting"` // events held, the failing one included
	Since    time.Time           `json:"since"`
	At       time.Time           `json:"at"` // of the last attempt
}

// Quarantine lists up to 1,000 quarantined streams of one live view, or of all with "".
func Quarantine(ctx context.Context, db *pgxpool.Pool, view string) ([]Quarantined, error) {
	found, err := db.Query(ctx, `SELECT v.name, q.category, q.stream, q.tenant, q.position, q.event, q.type, q.error, q.attempts,
		(SELECT count(*) FROM project.quarantined_events e WHERE (e.physical, e.category, e.stream) = (q.physical, q.category, q.stream)),
		q.since, q.at FROM project.quarantine q JOIN project.views v USING (physical)
		WHERE $1 IN ('', v.name) ORDER BY v.name, q.position LIMIT 1000`, view)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, pgx.RowToStructByPos[Quarantined])
}

// quarantine holds a stream from its failing event on.
func (t *turn) quarantine(ctx context.Context, ev *event, failed *Failure) error {
	t.held[ev.Stream] = true
	_, err := t.conn.Exec(ctx, `INSERT INTO project.quarantine (physical, category, stream, tenant, position, event, type, error) VALUES ($1,$2,$3,$4,$5,$6,$7,$8)`,
		t.cp.physical, ev.Stream.Category, ev.Stream.ID, ev.Tenant, ev.Position, ev.ID, ev.Type, failed.What)
	if err != nil {
		return err
	}
	return t.hold(ctx, []event{*ev})
}

// hold queues events behind the failing one of their stream.
func (t *turn) hold(ctx context.Context, events []event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([][]any, len(events))
	for i := range events {
		rows[i] = []any{t.cp.physical, events[i].Stream.Category, events[i].Stream.ID, string(events[i].Position), events[i].ID}
	}
	_, err := t.conn.CopyFrom(ctx, pgx.Identifier{"project", "quarantined_events"}, []string{"physical", "category", "stream", "position", "event"}, pgx.CopyFromRows(rows))
	return err
}

// Retry applies the events a quarantined stream holds, in order, and frees the stream when all went. The first that still fails comes
// back as *Failure; those before it are applied.
func (e *Engine) Retry(ctx context.Context, view string, s eventstore.Stream) error {
	v, err := e.view(view)
	if err != nil {
		return err
	}
	for {
		done, err := e.retry(ctx, v, s)
		if err != nil || done {
			return err
		}
	}
}

const retryPage = 200

func (e *Engine) retry(ctx context.Context, v View, s eventstore.Stream) (done bool, err error) {
	t, err := e.takeLive(ctx, v.name)
	if err != nil {
		return false, err
	}
	defer t.end()
	if t.cp.version != v.version {
		return false, stop(fmt.Sprintf("project: version %d of %s is live, this process has version %d and cannot retry for it", t.cp.version, v.name, v.version))
	}
	if !t.held[s] {
		return false, ErrNotQuarantined
	}
	events, more, err := e.held(ctx, t, v, s)
	if err != nil {
		return false, err
	}
	var failed *Failure
	for i := range events {
		if failed, err = e.try(ctx, t, v, &events[i]); err != nil {
			return false, err
		}
		if failed != nil {
			_, err = t.conn.Exec(ctx, `UPDATE project.quarantine SET position = $4, event = $5, type = $6, error = $7, attempts = attempts + 1, at = clock_timestamp()
				WHERE physical = $1 AND category = $2 AND stream = $3`, t.cp.physical, s.Category, s.ID, events[i].Position, events[i].ID, events[i].Type, failed.What)
			break
		}
		t.cp.applied.Add(events[i].ID)
		if _, err = t.conn.Exec(ctx, `DELETE FROM project.quarantined_events WHERE physical = $1 AND category = $2 AND stream = $3 AND position = $4`,
			t.cp.physical, s.Category, s.ID, events[i].Position); err != nil {
			return false, err
		}
	}
	if err == nil && failed == nil && !more {
		err = t.free(ctx, s)
	}
	if err == nil {
		err = t.move(ctx, t.cp.owner)
	}
	if err == nil && failed != nil {
		err = failed
	}
	return !more, err
}

// held reads the first events a stream holds back from the log.
func (e *Engine) held(ctx context.Context, t *turn, v View, s eventstore.Stream) (events []event, more bool, err error) {
	found, err := t.conn.Query(ctx, `SELECT position FROM project.quarantined_events WHERE physical = $1 AND category = $2 AND stream = $3 ORDER BY position LIMIT $4`,
		t.cp.physical, s.Category, s.ID, retryPage)
	if err != nil {
		return nil, false, err
	}
	positions, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		return nil, false, err
	}
	recs := make([]eventstore.Recorded, len(positions))
	for i, p := range positions {
		if recs[i], err = e.Store.At(ctx, eventstore.Position(p)); err != nil {
			return nil, false, err
		}
	}
	events, err = e.open(ctx, v, recs, nil)
	return events, len(positions) == retryPage, err
}

func (t *turn) free(ctx context.Context, s eventstore.Stream) error {
	delete(t.held, s)
	_, err := t.conn.Exec(ctx, `DELETE FROM project.quarantine WHERE physical = $1 AND category = $2 AND stream = $3`, t.cp.physical, s.Category, s.ID)
	return err
}

// Discard gives up the events a quarantined stream holds, on the record, and frees the stream: its later events are applied again
// (and fail again where they need what was discarded). A rebuild of the same version leaves the same events out.
func (e *Engine) Discard(ctx context.Context, view string, s eventstore.Stream, who, why string) error {
	if who == "" || why == "" {
		return ErrNoReason
	}
	t, err := e.takeLive(ctx, view)
	if err != nil {
		return err
	}
	defer t.end()
	if !t.held[s] {
		return ErrNotQuarantined
	}
	found, err := t.conn.Query(ctx, `INSERT INTO project.discarded (view, version, event, category, stream, position, error, who, why)
		SELECT $4, $5, e.event, e.category, e.stream, e.position, CASE WHEN e.position = q.position THEN q.error ELSE 'behind it' END, $6, $7
		FROM project.quarantined_events e JOIN project.quarantine q USING (physical, category, stream)
		WHERE (physical, category, stream) = ($1, $2, $3)
		ON CONFLICT (view, version, event) DO UPDATE SET who = excluded.who, why = excluded.why, at = excluded.at RETURNING event`,
		t.cp.physical, s.Category, s.ID, t.cp.view, t.cp.version, who, why)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[uuid.UUID])
	if err != nil {
		return err
	}
	for _, id := range ids {
		t.cp.discarded.Add(id)
	}
	if err := t.free(ctx, s); err != nil {
		return err
	}
	return t.move(ctx, t.cp.owner)
}

// takeLive takes a turn on the tables readers see.
func (e *Engine) takeLive(ctx context.Context, view string) (*turn, error) {
	for {
		live, err := Reader{DB: e.DB}.Live(ctx, view)
		if err != nil {
			return nil, err
		}
		t, err := e.take(ctx, live.Physical)
		if errors.Is(err, errGone) || err == nil && t.cp.state == Kept { // switched meanwhile
			if err == nil {
				t.end()
			}
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("project: %s: %w", view, err)
		}
		return t, nil
	}
}
