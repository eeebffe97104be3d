package project

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

const (
	livePage  = 500                   // events looked at per turn
	beatEvery = time.Second           // heartbeat when idle
	flushIn   = 25 * time.Millisecond // how long progress over events that do not concern the view may stay unwritten
)

// worker follows the log for one set of physical tables. Any number of workers, in any processes, may follow for the same tables:
// they take turns by the checkpoint's lock, and who comes late finds the checkpoint moved.
type worker struct {
	e        *Engine
	v        View
	physical string
	strict   bool               // building: a failing event ends it
	waived   map[uuid.UUID]bool // events it does without

	mu      sync.Mutex
	base    eventstore.Position // where the checkpoint was last seen
	at      eventstore.Position // ≥ base: nothing that concerns the view lies between
	epoch   int64
	back    *checkpoint // the checkpoint was found before base: a crash or a restore took what followed
	beat    time.Time
	changed chan struct{} // closed and replaced when at or gone changes
	gone    bool          // these are not the tables to work on any more
}

const (
	errMoved    = stop("project: another worker moved the checkpoint")
	errReplaced = stop("project: these tables are not followed any more, or were switched meanwhile")
)

// start makes a worker that goes on from the checkpoint; a *eventstore.Diverged is written down by the caller.
func (e *Engine) start(ctx context.Context, v View, physical string, strict bool) (*worker, error) {
	cp, err := scanCheckpoint(e.DB.QueryRow(ctx, `SELECT `+checkpointColumns+` FROM project.checkpoints WHERE physical = $1`, physical))
	if err != nil {
		return nil, err
	}
	waived, err := e.discards(ctx, v)
	if err != nil {
		return nil, err
	}
	w := &worker{
		e: e, v: v, physical: physical, strict: strict, waived: waived, changed: make(chan struct{}), beat: time.Now(),
		base: cp.at.Position, at: cp.at.Position, epoch: cp.epoch,
	}
	return w, eventstore.Resume(ctx, e.Store, cp.at)
}

// next takes in one stretch of the log; more is false when it was the last.
func (w *worker) next(ctx context.Context, limit int) (more bool, err error) {
	at := w.place()
	read, err := w.e.Store.Read(ctx, eventstore.Query{From: at, Filter: eventstore.Filter{Categories: w.v.reads}, Limit: limit})
	if err != nil || read.Next == at {
		return false, err
	}
	events, err := w.e.open(ctx, w.v, read.Events, w.waived)
	if err != nil {
		return false, err
	}
	if len(events) > 0 {
		last := events[len(events)-1]
		cp, err := w.e.step(ctx, w.v, w.physical, page{events, last.Position, last.ID}, w.strict, w.accept)
		if errors.Is(err, errMoved) {
			w.adopt(cp)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		w.set(cp, read.Next)
		return !read.End, nil
	}
	w.set(checkpoint{}, read.Next)
	return !read.End, nil
}

// place is where to go on. Only the worker itself goes back, and only here, so that no page is read from one place and put at another.
func (w *worker) place() eventstore.Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.beat = time.Now()
	if w.back != nil {
		w.goTo(*w.back)
	}
	return w.at
}

// accept decides, under the lock, whether what was read still follows what is written.
func (w *worker) accept(cp checkpoint) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.strict != (cp.state == Building) || !w.strict && cp.state != Live:
		return errReplaced
	case cp.at.Log != w.e.Store.LogID():
		return &eventstore.Diverged{Follower: cp.at, Log: w.e.Store.LogID()}
	case cp.epoch != w.epoch || cp.at.Position < w.base || cp.at.Position > w.at:
		return errMoved
	}
	return nil
}

func (w *worker) adopt(cp checkpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.goTo(cp)
}

func (w *worker) goTo(cp checkpoint) {
	w.base, w.at, w.epoch, w.back = cp.at.Position, cp.at.Position, cp.epoch, nil
	w.ring()
}

// set moves on after a page: cp is the checkpoint as committed, or zero when nothing concerned the view.
func (w *worker) set(cp checkpoint, at eventstore.Position) {
	w.mu.Lock()
	if cp.physical != "" {
		w.base, w.epoch = cp.at.Position, cp.epoch
	}
	w.at = at
	w.ring()
	flush := w.at != w.base
	w.mu.Unlock()
	if flush {
		w.e.wantFlush()
	}
}

func (w *worker) ring() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// leave ends the worker and wakes who waits for it.
func (w *worker) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.gone {
		w.gone = true
		w.ring()
	}
}

// waitFor reports whether the tables passed a position before the context ended or the worker left.
func (w *worker) waitFor(ctx context.Context, at eventstore.Position) bool {
	for {
		w.mu.Lock()
		passed, gone, changed := w.at >= at, w.gone, w.changed
		w.mu.Unlock()
		if passed || gone {
			return passed && !gone
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// run follows until the context ends, the tables are replaced, the log diverges or, when strict, an event fails. caughtUp is
// called whenever nothing is left to read.
func (w *worker) run(ctx context.Context, caughtUp func() error) error {
	defer w.leave()
	pause := 10 * time.Millisecond
	for {
		if w.left() {
			return errReplaced
		}
		more, err := w.next(ctx, livePage)
		if err == nil && !more {
			err = caughtUp()
		}
		if err == nil && (!more || !w.strict) { // live, waiting knows as much as another read would, and asks nobody
			err = w.idle(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			pause = 10 * time.Millisecond
			continue
		}
		var diverged *eventstore.Diverged
		var failed *Failure
		if errors.Is(err, errReplaced) || errors.Is(err, errGone) || errors.As(err, &diverged) || errors.As(err, &failed) {
			return err
		}
		w.e.log().Warn("view waits to try again", "view", w.v.name, "after", pause, "error", describe(err))
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		pause = min(2*pause, 2*time.Second)
	}
}

func (w *worker) left() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gone
}

// idle waits for the log to grow, alive all the while.
func (w *worker) idle(ctx context.Context) error {
	for !w.left() && ctx.Err() == nil {
		wait, cancel := context.WithTimeout(ctx, beatEvery/2)
		err := w.e.Store.Wait(wait, w.place())
		over := wait.Err() != nil
		cancel()
		if !over {
			return err
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// flusher writes, for all views in one statement, heartbeats and the progress over events that did not concern them.
func (e *Engine) flusher(ctx context.Context) {
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		case <-e.dirty():
			if !sleep(ctx, flushIn) {
				return
			}
		}
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		if err := e.flush(limited, e.following()); err != nil && ctx.Err() == nil {
			e.log().Warn("heartbeats and idle progress of views are not written", "error", describe(err))
		}
		cancel()
	}
}

// flush moves checkpoints by compare-and-set and leaves alone those whose owner is in the middle of a page.
func (e *Engine) flush(ctx context.Context, workers []*worker) error {
	by := map[string]*worker{}
	ids := map[eventstore.Position]uuid.UUID{}
	var physical, from, to []string
	var events []uuid.UUID
	var epochs []int64
	for _, w := range workers {
		w.mu.Lock()
		base, at, epoch, alive := w.base, w.at, w.epoch, time.Since(w.beat) < 2*beatEvery
		w.mu.Unlock()
		if !alive {
			continue
		}
		if _, known := ids[at]; !known && at != base {
			last, err := e.Store.At(ctx, at)
			if err != nil {
				return err
			}
			ids[at] = last.ID
		}
		by[w.physical] = w
		physical, from, to = append(physical, w.physical), append(from, string(base)), append(to, string(at))
		events, epochs = append(events, ids[at]), append(epochs, epoch)
	}
	if len(physical) == 0 {
		return nil
	}
	rows, err := e.DB.Query(ctx, `WITH want AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::uuid[], $5::bigint[]) AS u(physical, was, next, event, epoch)),
		free AS (SELECT c.physical, w.was, w.next, w.event, c.position = w.was AND c.epoch = w.epoch AND w.next <> w.was AND c.state IN ('live', 'building') AS moves
			FROM project.checkpoints c JOIN want w USING (physical) FOR UPDATE OF c SKIP LOCKED)
		UPDATE project.checkpoints c SET heartbeat = clock_timestamp(), position = CASE WHEN moves THEN f.next ELSE c.position END,
			event = CASE WHEN moves THEN f.event ELSE c.event END, updated_at = CASE WHEN moves THEN clock_timestamp() ELSE c.updated_at END
		FROM free f WHERE c.physical = f.physical RETURNING c.physical, c.state, c.position, c.epoch, moves, c.position < f.was`, physical, from, to, events, epochs)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var cp checkpoint
		var moved, back bool
		if err := rows.Scan(&cp.physical, &cp.state, &cp.at.Position, &cp.epoch, &moved, &back); err != nil {
			return err
		}
		w := by[cp.physical]
		w.mu.Lock()
		switch {
		case moved:
			w.base = max(w.base, cp.at.Position)
		case back:
			w.back = &cp
		}
		w.mu.Unlock()
		if w.strict != (cp.state == Building) || !w.strict && cp.state != Live {
			w.leave()
		}
	}
	return rows.Err()
}
