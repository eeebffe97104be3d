package rest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest/live"
	"github.com/bgce/archive/platform/rest/problem"
)

var (
	errLagging     = fault.New(fault.Unavailable, "rest.lagging", "this view has not caught up with your last change yet; try again").RetryAfter(1)
	errNotBuilt    = fault.New(fault.Unavailable, "rest.view_not_built", "this view is being built; try again later").RetryAfter(5)
	errQuarantined = fault.New(fault.Unavailable, "rest.view_quarantined", "this row was set aside because an event of it could not be applied; an operator has to look at it").RetryAfter(60)
)

// Args are named arguments: "q" is @q in the SQL.
type Args map[string]any

// Query reads plain SQL that names views as {harbour.berths}. @tenant is always bound and must be used; so is @account, which need not.
// Columns go to V's fields by name; a V that is no struct takes the only column.
func Query[V any](ctx context.Context, r *Rows, sql string, args ...Args) ([]V, error) {
	if !strings.Contains(sql, "@tenant") {
		return nil, fmt.Errorf("rest: this query does not use @tenant: %s", sql)
	}
	named := Args{"tenant": r.req.caller.Tenant, "account": r.req.caller.Account()}
	for _, a := range args {
		maps.Copy(named, a)
	}
	text, values, err := live.Positional(sql, named, nil)
	if err != nil {
		return nil, err
	}
	views, fill := live.Placeholders(text)
	list := []V{}
	p := live.PlanOf(reflect.TypeFor[V]())
	err = r.run(ctx, views, fill, values, uuid.Nil, func(rows pgx.Rows) error {
		list = list[:0]
		named, err := p.Named(rows.FieldDescriptions())
		if err != nil {
			return err
		}
		for rows.Next() {
			var v V
			if err := rows.Scan(named.Targets(reflect.ValueOf(&v).Elem(), nil)...); err != nil {
				return err
			}
			list = append(list, v)
		}
		return nil
	})
	return list, err
}

// run executes a query over live tables after they have reached what the client asked for. A known id tells a quarantined row from a missing one.
func (r *Rows) run(ctx context.Context, views []string, sql live.SQL, args []any, id uuid.UUID, scan func(pgx.Rows) error) error {
	req, api := r.req, r.req.api
	if api.cfg.DB == nil {
		return problem.ErrUnavailable
	}
	see := func(states []live.State) error { return req.see(ctx, states, id) }
	deadline := time.Now().Add(api.cfg.Patience)
	for pause := time.Duration(0); ; pause = min(max(2*pause, time.Millisecond), 50*time.Millisecond) {
		err := api.views.Query(ctx, views, sql, args, see, scan)
		if behind := (*behindError)(nil); !errors.As(err, &behind) && !(errors.Is(err, live.ErrNotBuilt) && req.atLeast != "") {
			return unavailableRows(err)
		}
		if time.Now().Add(pause).After(deadline) {
			return errLagging
		}
		if err := api.await(ctx, views, req.atLeast, pause, deadline); err != nil {
			return err
		}
	}
}

// behindError names the view that has not passed At-Least.
type behindError struct{ view string }

func (e *behindError) Error() string { return "rest: " + e.view + " is behind" }

// see judges the checkpoints read with a query. An answer may take several: it is as old as the oldest, and lacks what any lacks.
func (req *request) see(ctx context.Context, states []live.State, id uuid.UUID) error {
	var missing int64
	oldest := states[0].Position
	for _, s := range states {
		if req.atLeast != "" && !s.Reach(logID(req.api.cfg.Kernel), req.atLeast) {
			return &behindError{s.Name}
		}
		oldest = min(oldest, s.Position)
		missing += s.Quarantined
	}
	if !req.looked || oldest < req.seen {
		req.looked, req.seen = true, oldest
	}
	if missing > 0 && id != uuid.Nil {
		return req.aside(ctx, states, id)
	}
	if id == uuid.Nil {
		req.missing = max(req.missing, missing)
	}
	return nil
}

// aside asks whether this very stream was quarantined; it is a second round trip, taken only while something is.
func (req *request) aside(ctx context.Context, states []live.State, id uuid.UUID) error {
	for _, s := range states {
		var found bool
		err := req.api.cfg.DB.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM project.quarantine WHERE physical = $1 AND stream = $2)`, s.Physical, id).Scan(&found)
		if err != nil {
			return err
		}
		if found {
			return errQuarantined
		}
	}
	return nil
}

// await returns when it is worth looking again: told by the waiter, or after a pause.
func (a *API) await(ctx context.Context, views []string, at eventstore.Position, pause time.Duration, deadline time.Time) error {
	if a.cfg.Waiter != nil {
		ctx, cancel := context.WithDeadline(ctx, deadline)
		defer cancel()
		for _, view := range views {
			if err := a.cfg.Waiter(ctx, view, at); err != nil {
				return errLagging.WithCause(err)
			}
		}
	}
	if pause == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return errLagging.WithCause(ctx.Err())
	case <-time.After(pause):
		return nil
	}
}

// unavailableRows hides failures of the database behind refusals that say what a client can do.
func unavailableRows(err error) error {
	if errors.Is(err, live.ErrNotBuilt) {
		return errNotBuilt.WithCause(err)
	}
	return err
}

func warning(streams int64) string {
	return fmt.Sprintf(`199 archive "%d streams of this view were set aside; rows may be missing or old"`, streams)
}

// One reads the one row; es.ErrNotFound if there is none. Its version column becomes the ETag.
func One[V any](ctx context.Context, r *Rows, s Selection) (V, error) {
	var v V
	found := false
	p := live.PlanOf(reflect.TypeFor[V]())
	text, args, err := s.build(r, p, "", "")
	if err != nil {
		return v, err
	}
	id, _ := s.identity()
	views, sql := s.over(text)
	err = r.run(ctx, views, sql, args, id, func(rows pgx.Rows) error {
		if rows.Next() {
			found = true
			return rows.Scan(p.Targets(reflect.ValueOf(&v).Elem(), nil)...)
		}
		return nil
	})
	if err == nil && !found {
		err = es.ErrNotFound
	}
	if err != nil {
		var zero V
		return zero, err
	}
	if p.Version != nil {
		if f := reflect.ValueOf(v).FieldByIndex(p.Version); f.CanInt() {
			r.req.version = int(f.Int())
		}
	}
	return v, nil
}
