package project

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

// ErrBehind says that a view did not reach a position in time.
var ErrBehind = fault.New(fault.Unavailable, "rest.behind", "this list has not caught up with your last change yet; try again").RetryAfter(1)

// Current is where a view's live tables are and how far they are.
type Current struct {
	Physical    string // schema of the table View.Table
	Log         string
	Position    eventstore.Position
	State       string
	Quarantined int64 // streams whose rows may be behind or missing
}

// Reader is the read side's window: which tables are live, and have they passed a position. The same can be asked in SQL, in the
// transaction of a query: SELECT physical, log, position, state, quarantined FROM project.views_live WHERE name = $1.
type Reader struct {
	DB     *pgxpool.Pool
	Engine *Engine // whose workers can signal; nil where projections run in other processes
}

// Live gives a view's live tables; ErrNoView before it was ever migrated.
func (r Reader) Live(ctx context.Context, view string) (Current, error) {
	var c Current
	err := r.DB.QueryRow(ctx, `SELECT physical, log, position, state, quarantined FROM project.views_live WHERE name = $1`, view).
		Scan(&c.Physical, &c.Log, &c.Position, &c.State, &c.Quarantined)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoView
	}
	return c, err
}

// WaitFor returns when the view's live tables have passed the position, and ErrBehind when the context ends first. A view that is
// unknown or never ran is behind. The position must be of the log that Live names.
func (r Reader) WaitFor(ctx context.Context, view string, at eventstore.Position) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if r.Engine != nil {
			if w := r.Engine.worker(view); w != nil {
				if w.waitFor(ctx, at) {
					return nil
				}
				if ctx.Err() == nil {
					continue // it was switched
				}
			}
		}
		current, err := r.Live(ctx, view)
		if err == nil && current.Position >= at {
			return nil
		}
		if err != nil && !errors.Is(err, ErrNoView) && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ErrBehind.WithCause(ctx.Err())
		case <-time.After(pause):
		}
	}
}

// WaitFor is Reader.WaitFor without an engine in the process.
func WaitFor(ctx context.Context, db *pgxpool.Pool, view string, at eventstore.Position) error {
	return Reader{DB: db}.WaitFor(ctx, view, at)
}
