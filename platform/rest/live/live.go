// Package live reads the tables that are live now: a query brings the checkpoints of the tables it reads along, of the same snapshot.
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

// State is what a view's checkpoint says at the moment it was read.
type State struct {
	Name        string
	Physical    string // schema of the tables
	Log         string
	Position    eventstore.Position
	Quarantined int64 // streams set aside
	live        bool  // readers see these tables
}

// Reach reports whether the view has passed a position of a log.
func (s *State) Reach(log string, p eventstore.Position) bool {
	return s.Log == log && s.Position >= p
}

// Views reads views of one database. Physical names are remembered until a query finds their tables switched or gone.
type Views struct {
	DB    *pgxpool.Pool
	known sync.Map // view name → physical schema; as many as there are views
}

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

func (v *Views) try(ctx context.Context, names []string, sql SQL, args []any, see func([]State) error, scan func(pgx.Rows) error) (moved bool, err error) {
	states := make([]State, len(names))
	for i, name := range names {
		states[i].Name = name
		if states[i].Physical, err = v.place(ctx, name); err != nil {
			return false, err
		}
	}
	query := sql(func(view string) string {
		i := slices.IndexFunc(states, func(s State) bool { return s.Name == view })
		return states[i].Physical + "." + table(view)
	})
	rows, err := v.DB.Query(ctx, statement(states, query), args...)
	if err != nil {
		return v.gone(err, names)
	}
	defer rows.Close()
	f, err := first(rows, states)
	if err != nil {
		return v.gone(err, names)
	}
	if see != nil {
		if err := see(states); err != nil {
			return false, err
		}
	}
	if err := scan(f); err != nil {
		return v.gone(err, names)
	}
	rows.Close()
	return v.gone(rows.Err(), names)
}

// place is the schema of a view's live tables.
func (v *Views) place(ctx context.Context, name string) (string, error) {
	if known, ok := v.known.Load(name); ok {
		return known.(string), nil
	}
	var physical string
	err := v.DB.QueryRow(ctx, `SELECT physical FROM project.views WHERE name = $1`, name).Scan(&physical)
	if err != nil {
		return "", missing(err)
	}
	v.known.Store(name, physical)
	return physical, nil
}

// gone reports whether a failure means that a live table was switched or dropped under the query, so that it is worth another look.
func (v *Views) gone(err error, names []string) (bool, error) {
	var pg *pgconn.PgError
	if errors.Is(err, ErrNotBuilt) || errors.As(err, &pg) && (pg.Code == "42P01" || pg.Code == "3F000") {
		for _, name := range names {
			v.known.Delete(name)
		}
		return true, err
	}
	return false, err
}

func missing(err error) error {
	var pg *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || errors.As(err, &pg) && pg.Code == "42P01" {
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
