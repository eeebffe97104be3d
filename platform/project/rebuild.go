package project

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

const buildPage = 2000

// ErrNothingBuilt says that there is nothing to switch to.
var ErrNothingBuilt = fault.New(fault.Conflict, "platform.view_not_built", "no newer tables of this view are built; start the new version, or archive views rebuild")

// Rebuild makes the view anew from the start of the log, beside the live tables, and switches readers to it when it has caught up.
// An event that fails ends it with a *Failure naming event, row and SQL error; the live tables stay as they are. The old tables are
// kept until DropOld.
func (e *Engine) Rebuild(ctx context.Context, name string) error {
	v, err := e.view(name)
	if err != nil {
		return err
	}
	physical, err := e.shadow(ctx, v)
	if err != nil {
		return err
	}
	w, err := e.start(ctx, v, physical, true)
	if err == nil {
		err = w.catchUp(ctx)
	}
	if err == nil {
		err = e.switchTo(ctx, w)
	}
	if err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.patience())
		defer cancel()
		_, failed := e.DB.Exec(clean, `UPDATE project.checkpoints SET state = 'failed', error = $2, owner = $3, updated_at = now() WHERE physical = $1 AND state = 'building'`,
			physical, standstill(err), e.owner())
		return errors.Join(err, failed)
	}
	return nil
}

// shadow makes empty tables beside the live ones.
func (e *Engine) shadow(ctx context.Context, v View) (physical string, err error) {
	err = e.exclusively(ctx, func(tx pgx.Tx) error {
		physical, err = e.create(ctx, tx, v, Building)
		return err
	})
	return physical, err
}

// catchUp takes in everything there is, and leaves the checkpoint at the end.
func (w *worker) catchUp(ctx context.Context) error {
	for {
		more, err := w.next(ctx, buildPage)
		if err != nil && transient(err) && ctx.Err() == nil {
			if !sleep(ctx, flushIn) {
				return ctx.Err()
			}
			continue
		}
		if err != nil {
			return err
		}
		if !more {
			return w.e.flush(ctx, []*worker{w})
		}
	}
}

// CatchUp takes in, without Run, what the log holds for one view's live tables, and returns.
func (e *Engine) CatchUp(ctx context.Context, name string) error {
	v, err := e.view(name)
	if err != nil {
		return err
	}
	r, err := e.registered(ctx, name)
	if err != nil {
		return err
	}
	if r.version != v.version {
		return stop(fmt.Sprintf("project: version %d of %s is live, this process has version %d", r.version, name, v.version))
	}
	w, err := e.start(ctx, v, r.physical, false)
	if err == nil {
		err = w.catchUp(ctx)
	}
	return errors.Join(err, e.writeDown(ctx, r.physical, err))
}

// build keeps tables of a raised version beside the live ones up to date until they are switched to.
func (e *Engine) build(ctx context.Context, v View, live registration) error {
	var physical string
	err := e.DB.QueryRow(ctx, `SELECT physical FROM project.checkpoints WHERE view = $1 AND version = $2 AND state = 'building' ORDER BY created_at LIMIT 1`, v.name, v.version).Scan(&physical)
	if errors.Is(err, pgx.ErrNoRows) {
		var reason string
		err = e.DB.QueryRow(ctx, `SELECT error FROM project.checkpoints WHERE view = $1 AND version = $2 AND state = 'failed' AND owner = $3 ORDER BY created_at DESC LIMIT 1`,
			v.name, v.version, e.owner()).Scan(&reason)
		if err == nil { // this very process failed at it: its next start tries again, not its next loop
			return stop(fmt.Sprintf("version %d cannot be built, version %d stays live: %s", v.version, live.version, reason))
		}
		if errors.Is(err, pgx.ErrNoRows) {
			physical, err = e.shadow(ctx, v)
		}
	}
	if err != nil {
		return err
	}
	return e.follow(ctx, v, physical, true, func(w *worker) error {
		if !e.AutoSwitch {
			return nil
		}
		if err := e.switchTo(ctx, w); err != nil {
			return err
		}
		return errReplaced
	})
}

// Switch makes the tables that were built beside the live ones live. It is atomic: both checkpoints are locked, the new one takes in
// what is left up to the live one's place, then the registry row moves.
func (e *Engine) Switch(ctx context.Context, name string) error {
	v, err := e.view(name)
	if err != nil {
		return err
	}
	var physical string
	err = e.DB.QueryRow(ctx, `SELECT physical FROM project.checkpoints WHERE view = $1 AND version = $2 AND state = 'building' ORDER BY created_at DESC LIMIT 1`, name, v.version).Scan(&physical)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNothingBuilt
	}
	if err != nil {
		return err
	}
	w, err := e.start(ctx, v, physical, true)
	if err == nil {
		err = w.catchUp(ctx)
	}
	if err == nil {
		err = e.switchTo(ctx, w)
	}
	return err
}

func (e *Engine) switchTo(ctx context.Context, w *worker) error {
	live, err := e.registered(ctx, w.v.name)
	if err != nil {
		return err
	}
	err = e.swap(ctx, w, live.physical, false)
	var failed *Failure
	if err != nil && !errors.As(err, &failed) && !transient(err) {
		err = e.swap(ctx, w, live.physical, true) // isolates the event that is to blame, if one is
	}
	if err != nil {
		return err
	}
	for _, o := range e.following() {
		if o.v.name == w.v.name && o != w {
			o.leave()
		}
	}
	return e.publish(ctx, w.v)
}

// swap is the switch's transaction. Checkpoints are locked in order of name, so that two switches cannot block each other.
func (e *Engine) swap(ctx context.Context, w *worker, old string, singly bool) error {
	t, err := e.take(ctx, min(w.physical, old))
	if err != nil {
		return err
	}
	defer t.end()
	shadow, live := t, &turn{conn: t.conn, held: map[eventstore.Stream]bool{}}
	if w.physical > old {
		shadow, live = live, t
	}
	if err := shadow.lock(ctx, w.physical); err != nil {
		return err
	}
	if err := live.lock(ctx, old); err != nil {
		return err
	}
	if shadow.cp.state != Building || live.cp.state == Kept {
		return errReplaced
	}
	if live.cp.at.Log == shadow.cp.at.Log && live.cp.state == Live {
		if err := e.level(ctx, shadow, w, live.cp.at.Position, singly); err != nil {
			return err
		}
	}
	batch := &pgx.Batch{}
	shadow.write(batch)
	if err := t.conn.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	_, err = t.conn.Exec(ctx, `UPDATE project.checkpoints SET state = CASE physical WHEN $1 THEN 'live' ELSE 'kept' END, updated_at = clock_timestamp() WHERE physical IN ($1, $2)`, w.physical, old)
	if err != nil {
		return err
	}
	moved, err := t.conn.Exec(ctx, `UPDATE project.views SET physical = $1, version = $2, switched_at = clock_timestamp() WHERE name = $3 AND physical = $4`, w.physical, w.v.version, w.v.name, old)
	if err == nil && moved.RowsAffected() != 1 {
		err = errReplaced
	}
	if err != nil {
		return err
	}
	_, err = t.conn.Exec(ctx, `COMMIT`)
	return err
}

// level takes the shadow, within the switch's transaction, to the live one's place.
func (e *Engine) level(ctx context.Context, t *turn, w *worker, to eventstore.Position, singly bool) error {
	if _, err := t.conn.Exec(ctx, "SET LOCAL search_path = "+pgx.Identifier{t.cp.physical}.Sanitize()+", public"); err != nil {
		return err
	}
	for t.cp.at.Position < to {
		read, err := e.Store.Read(ctx, eventstore.Query{From: t.cp.at.Position, Filter: eventstore.Filter{Categories: w.v.reads}, Limit: buildPage})
		if err != nil {
			return err
		}
		events, err := e.open(ctx, w.v, read.Events, w.waived)
		if err != nil {
			return err
		}
		last, err := e.Store.At(ctx, read.Next)
		if err != nil {
			return err
		}
		if err := e.put(ctx, t, w.v, page{events, read.Next, last.ID}, true, singly); err != nil {
			return err
		}
	}
	return nil
}

// DropOld removes tables of a view that were live before, and those of failed and forsaken builds. It gives the names of the dropped schemas.
func (e *Engine) DropOld(ctx context.Context, name string) (dropped []string, err error) {
	v, err := e.view(name)
	if err != nil {
		return nil, err
	}
	if err := e.publish(ctx, v); err != nil { // nothing may still read the old ones through the stable view
		return nil, err
	}
	err = e.exclusively(ctx, func(tx pgx.Tx) error {
		found, err := tx.Query(ctx, `DELETE FROM project.checkpoints c WHERE view = $1 AND (state IN ('kept', 'failed')
				OR state = 'building' AND greatest(heartbeat, updated_at) < now() - interval '10 minutes') AND NOT EXISTS (SELECT 1 FROM project.views v WHERE v.physical = c.physical) RETURNING physical`, name)
		if err != nil {
			return err
		}
		if dropped, err = pgx.CollectRows(found, pgx.RowTo[string]); err != nil {
			return err
		}
		for _, physical := range dropped {
			if _, err := tx.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{physical}.Sanitize()+" CASCADE"); err != nil {
				return err
			}
		}
		return nil
	})
	return dropped, err
}

// discards are the events an operator decided this version of the view does without.
func (e *Engine) discards(ctx context.Context, v View) (map[uuid.UUID]bool, error) {
	found, err := e.DB.Query(ctx, `SELECT event FROM project.discarded WHERE view = $1 AND version = $2`, v.name, v.version)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[uuid.UUID])
	gone := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		gone[id] = true
	}
	return gone, err
}
