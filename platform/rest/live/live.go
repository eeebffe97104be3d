// Package live reads the tables that are live now: a query and the registry rows that say where its views lie travel in one round trip.
package live

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/eventstore"
)

// ErrNotBuilt says that a view has no live table yet: it is behind, not empty.
var ErrNotBuilt = errors.New("live: this view has not been built yet")

// State is what the registry says of a view at the moment it was read.
type State struct {
	Name        string
	Physical    string // schema of the live tables
	Log         string
	Position    eventstore.Position
	State       string
	Quarantined int64 // streams set aside
}

// Reach reports whether the view has passed a position of a log.
func (s State) Reach(log string, p eventstore.Position) bool { return s.Log == log && s.Position >= p }

// Views reads views of one database. Physical names are remembered and confirmed by every query.
type Views struct {
	DB    *pgxpool.Pool
	known sync.Map // view name → physical schema; as many as there are views
}

// registrySQL reads one row: by equality it costs a sixth of what ANY does.
const registrySQL = `SELECT name, physical, log, position, state, quarantined FROM project.views_live WHERE name = $1`

// attempts bounds how often a query follows views that are switched while it runs.
const attempts = 3

// SQL makes the statement, given where each view's table is.
type SQL func(table func(view string) string) string

// Query runs sql with args over the named views. See is asked before rows are scanned and may refuse; errors of see and scan are returned as they are.
func (v *Views) Query(ctx context.Context, names []string, sql SQL, args []any, see func([]State) error, scan func(pgx.Rows) error) error {
	var err error
	for range attempts {
		var moved bool
		if moved, err = v.try(ctx, names, sql, args, see, scan); !moved {
			return err
		}
	}
	return err
}

// States reads the registry rows alone.
func (v *Views) States(ctx context.Context, names []string) ([]State, error) {
	var batch pgx.Batch
	for _, name := range names {
		batch.Queue(registrySQL, name)
	}
	results := v.DB.SendBatch(ctx, &batch)
	defer results.Close()
	return v.collect(results, names)
}

func (v *Views) try(ctx context.Context, names []string, sql SQL, args []any, see func([]State) error, scan func(pgx.Rows) error) (moved bool, err error) {
	if err := v.learn(ctx, names); err != nil {
		return false, err
	}
	var batch pgx.Batch
	used := make([]string, len(names))
	for i, name := range names {
		p, _ := v.known.Load(name)
		if used[i], _ = p.(string); used[i] == "" {
			return true, ErrNotBuilt
		}
		batch.Queue(registrySQL, name)
	}
	batch.Queue(sql(func(view string) string { return used[slices.Index(names, view)] + "." + table(view) }), args...)
	results := v.DB.SendBatch(ctx, &batch)
	defer results.Close()
	states, err := v.collect(results, names)
	if err != nil {
		return v.gone(err, names)
	}
	for i, s := range states {
		if s.Physical != used[i] {
			return true, ErrNotBuilt
		}
	}
	if see != nil {
		if err := see(states); err != nil {
			return false, err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return v.gone(err, names)
	}
	defer rows.Close()
	if err := scan(rows); err != nil {
		return v.gone(err, names)
	}
	rows.Close()
	return v.gone(rows.Err(), names)
}

// learn reads the places of views not met before.
func (v *Views) learn(ctx context.Context, names []string) error {
	for _, name := range names {
		if _, ok := v.known.Load(name); !ok {
			_, err := v.States(ctx, names)
			return err
		}
	}
	return nil
}

// collect reads the answers to one registry statement a name, and remembers where the views are.
func (v *Views) collect(results pgx.BatchResults, names []string) ([]State, error) {
	states := make([]State, len(names))
	for i, name := range names {
		s := &states[i]
		err := results.QueryRow().Scan(&s.Name, &s.Physical, &s.Log, &s.Position, &s.State, &s.Quarantined)
		if errors.Is(err, pgx.ErrNoRows) {
			v.known.Delete(name)
			return nil, ErrNotBuilt
		}
		if err != nil {
			return nil, missing(err)
		}
		if known, ok := v.known.Load(name); !ok || known != s.Physical {
			v.known.Store(name, s.Physical)
		}
	}
	return states, nil
}

// gone reports whether a failure means that a live table was dropped under the query, so that it is worth another look.
func (v *Views) gone(err error, names []string) (bool, error) {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000") {
		for _, name := range names {
			v.known.Delete(name)
		}
		return true, err
	}
	return false, err
}

func missing(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P01" {
		return ErrNotBuilt
	}
	return err
}

// table is the last word of a view's name.
func table(view string) string {
	for i := len(view) - 1; i >= 0; i-- {
		if view[i] == '.' {
			return view[i+1:]
		}
	}
	return view
}
