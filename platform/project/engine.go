package project

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
)

// Engine keeps a set of views up to date in one database. Several processes may run one for the same views.
type Engine struct {
	Store      eventstore.Store
	Vault      es.Vault
	DB         *pgxpool.Pool // where the views are; a connection per view at most
	Views      []View
	Log        *slog.Logger  // nil = none
	AutoSwitch bool          // a raised version is switched to as soon as it has caught up; else it waits for Switch
	Patience   time.Duration // how long an owner may stop within a page before another takes over; 3 s

	once    sync.Once
	me      string
	flushes chan struct{}
	mu      sync.Mutex
	workers []*worker
}

func (e *Engine) init() {
	e.once.Do(func() { e.me, e.flushes = uuid.NewString(), make(chan struct{}, 1) })
}

func (e *Engine) owner() string { e.init(); return e.me }

func (e *Engine) dirty() <-chan struct{} { e.init(); return e.flushes }

func (e *Engine) wantFlush() {
	e.init()
	select {
	case e.flushes <- struct{}{}:
	default:
	}
}

func (e *Engine) patience() time.Duration {
	if e.Patience > 0 {
		return e.Patience
	}
	return 3 * time.Second
}

func (e *Engine) log() *slog.Logger {
	if e.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return e.Log
}

func (e *Engine) view(name string) (View, error) {
	for _, v := range e.Views {
		if v.name == name {
			return v, nil
		}
	}
	return View{}, ErrNoView
}

// following lists the workers of this process.
func (e *Engine) following() []*worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.workers)
}

// worker is the one in this process that keeps the view's live tables, nil if there is none.
func (e *Engine) worker(view string) *worker {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.workers {
		if w.v.name == view && !w.strict && !w.left() {
			return w
		}
	}
	return nil
}

// Run keeps all views live until the context ends. Migrate must have run. What goes wrong with one view is logged, visible in
// States, tried again where that may help, and never stops the others.
func (e *Engine) Run(ctx context.Context) error {
	for _, v := range e.Views {
		if _, err := e.registered(ctx, v.name); errors.Is(err, ErrNoView) {
			return fmt.Errorf("project: %s is not registered in this database, run archive migrate: %w", v.name, err)
		}
	}
	var group errgroup.Group
	group.Go(func() error { e.flusher(ctx); return nil })
	for _, v := range e.Views {
		group.Go(func() error { e.keep(ctx, v); return nil })
	}
	return group.Wait()
}

// registration is what the registry says readers see.
type registration struct {
	physical string
	version  int
	state    string
}

func (e *Engine) registered(ctx context.Context, view string) (r registration, err error) {
	err = e.DB.QueryRow(ctx, `SELECT v.physical, v.version, c.state FROM project.views v JOIN project.checkpoints c USING (physical) WHERE v.name = $1`, view).
		Scan(&r.physical, &r.version, &r.state)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoView
	}
	return r, err
}

// keep works on one view until the context ends: on the live tables when they are of this version, beside them when it is newer.
func (e *Engine) keep(ctx context.Context, v View) {
	for said := ""; ctx.Err() == nil; {
		r, err := e.registered(ctx, v.name)
		switch {
		case err != nil:
		case r.version > v.version:
			err = stop(fmt.Sprintf("version %d is live, this process has version %d and leaves it alone", r.version, v.version))
		case r.version < v.version:
			err = e.build(ctx, v, r)
		default:
			err = e.follow(ctx, v, r.physical, false, nil)
		}
		if ctx.Err() != nil || errors.Is(err, errReplaced) {
			continue // look at the registry again, at once
		}
		if says := standstill(err); says != said {
			e.log().Error("view stands still", "view", v.name, "error", says)
			said = says
		}
		sleep(ctx, beatEvery/2)
	}
}

// standstill is an error for the log: the engine's own sentences as they are, anything else without its data.
func standstill(err error) string {
	var failed *Failure
	var diverged *eventstore.Diverged
	switch {
	case errors.As(err, &failed):
		return failed.Error()
	case errors.As(err, &diverged):
		return diverged.Error()
	}
	return describe(err)
}

// follow runs a worker on physical tables and writes down why it ended.
func (e *Engine) follow(ctx context.Context, v View, physical string, strict bool, caughtUp func(*worker) error) error {
	w, err := e.start(ctx, v, physical, strict)
	if err == nil {
		err = e.resumed(ctx, w)
	}
	if err == nil {
		e.mu.Lock()
		e.workers = append(e.workers, w)
		e.mu.Unlock()
		done := func() error { return nil }
		if caughtUp != nil {
			done = func() error { return caughtUp(w) }
		}
		err = w.run(ctx, done)
		e.mu.Lock()
		e.workers = slices.DeleteFunc(e.workers, func(o *worker) bool { return o == w })
		e.mu.Unlock()
	}
	if failed := e.writeDown(ctx, physical, err); failed != nil {
		return failed
	}
	return err
}

// resumed takes back a divergence that is none any more: the right log is there again.
func (e *Engine) resumed(ctx context.Context, w *worker) error {
	_, err := e.DB.Exec(ctx, `UPDATE project.checkpoints SET state = 'live', error = '' WHERE physical = $1 AND state = 'diverged'`, w.physical)
	return err
}

// writeDown keeps in the registry what only an operator can change.
func (e *Engine) writeDown(ctx context.Context, physical string, err error) error {
	var diverged *eventstore.Diverged
	var failed *Failure
	var state string
	switch {
	case errors.As(err, &diverged):
		state = Diverged
	case errors.As(err, &failed):
		state = Failed
	default:
		return nil
	}
	_, err = e.DB.Exec(ctx, `UPDATE project.checkpoints SET state = $2, error = $3, owner = $4, epoch = epoch + 1, updated_at = now() WHERE physical = $1 AND state IN ('live', 'building')`,
		physical, state, standstill(err), e.owner())
	return err
}
