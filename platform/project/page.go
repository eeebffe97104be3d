package project

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/eventstore"
)

// page is a stretch of the log as one view sees it.
type page struct {
	events []event // that the view counts
	next   eventstore.Position
	last   uuid.UUID // the event at next
}

// poisoned reports whether an event of the page cannot even be decoded.
func (p page) poisoned() bool {
	for i := range p.events {
		if p.events[i].err != nil {
			return true
		}
	}
	return false
}

// put applies a page within a turn and moves the turn's checkpoint; events at or before it were applied before and are dropped.
// A failing event comes back as *Failure when strict, else its stream is quarantined. singly isolates events with savepoints.
func (e *Engine) put(ctx context.Context, t *turn, v View, p page, strict, singly bool) error {
	var fresh, held []event
	for _, ev := range p.events {
		switch {
		case ev.Position <= t.cp.at.Position:
		case ev.waived:
			t.cp.discarded.Add(ev.ID)
		case t.held[ev.Stream]:
			held = append(held, ev)
		default:
			fresh = append(fresh, ev)
		}
	}
	if singly {
		for i := range fresh {
			if t.held[fresh[i].Stream] {
				held = append(held, fresh[i])
			} else if err := e.putOne(ctx, t, v, &fresh[i], strict); err != nil {
				return err
			}
		}
	} else if err := e.putAll(ctx, t, v, fresh); err != nil {
		return err
	}
	if err := t.hold(ctx, held); err != nil {
		return err
	}
	if p.next > t.cp.at.Position {
		t.cp.at.Position, t.cp.at.Event = p.next, p.last
	}
	return nil
}

func (e *Engine) putAll(ctx context.Context, t *turn, v View, events []event) error {
	if len(events) == 0 {
		return nil
	}
	if err := v.form.apply(ctx, t.conn, t.cp.physical, events); err != nil {
		return err
	}
	for i := range events {
		t.cp.applied.Add(events[i].ID)
	}
	return nil
}

// putOne applies an event behind a savepoint.
func (e *Engine) putOne(ctx context.Context, t *turn, v View, ev *event, strict bool) error {
	failed, err := e.try(ctx, t, v, ev)
	switch {
	case err != nil:
		return err
	case failed == nil:
		t.cp.applied.Add(ev.ID)
		return nil
	case strict:
		return failed
	default:
		return t.quarantine(ctx, ev, failed)
	}
}

// try applies one event; the transaction goes on as if it had not been tried when it failed.
func (e *Engine) try(ctx context.Context, t *turn, v View, ev *event) (*Failure, error) {
	err := ev.err
	if err == nil {
		if _, err = t.conn.Exec(ctx, `SAVEPOINT event`); err != nil {
			return nil, err
		}
		err = v.form.apply(ctx, t.conn, t.cp.physical, []event{*ev})
		if err == nil { // what would be refused at the commit is refused here, where it can be laid to the event
			_, err = t.conn.Exec(ctx, `SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED`, pgx.QueryExecModeSimpleProtocol)
		}
		if err == nil {
			_, err = t.conn.Exec(ctx, `RELEASE SAVEPOINT event`)
			return nil, err
		}
		if transient(err) || t.conn.Conn().IsClosed() {
			return nil, err
		}
		if _, undo := t.conn.Exec(ctx, `ROLLBACK TO SAVEPOINT event`); undo != nil {
			return nil, undo
		}
	}
	var failed *Failure
	if !errors.As(err, &failed) {
		failed = ev.fails("", err)
	}
	failed.View = v.name
	return failed, nil
}

// step takes one turn for a page. Events are isolated only when the page as a whole does not go.
func (e *Engine) step(ctx context.Context, v View, physical string, p page, strict bool, accept func(checkpoint) error) (checkpoint, error) {
	once := func(singly bool) (checkpoint, bool, error) {
		t, err := e.take(ctx, physical)
		if err != nil {
			return checkpoint{}, true, err
		}
		defer t.end()
		t.page = true
		if err := accept(t.cp); err != nil {
			return t.cp, true, err
		}
		if err := e.put(ctx, t, v, p, strict, singly); err != nil {
			return t.cp, transient(err) || t.conn.Conn().IsClosed(), err
		}
		if err := t.move(ctx, e.owner()); err != nil {
			return t.cp, transient(err) || t.conn.Conn().IsClosed(), err // a deferred constraint may fail at the commit
		}
		return t.cp, false, nil
	}
	if !p.poisoned() {
		cp, final, err := once(false)
		if err == nil || final {
			return cp, err
		}
	}
	cp, _, err := once(true)
	return cp, err
}
