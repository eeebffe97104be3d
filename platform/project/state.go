package project

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/eventstore"
)

// State is how one set of a view's tables stands.
type State struct {
	View        string              `json:"view"`
	Version     int                 `json:"version"`
	Physical    string              `json:"physical"`
	Served      bool                `json:"served"` // readers see these tables
	State       string              `json:"state"`  // live, building, diverged, failed
	Error       string              `json:"error,omitempty"`
	Log         string              `json:"log"`
	Position    eventstore.Position `json:"position"`
	Applied     int64               `json:"applied"`
	Discarded   int64               `json:"discarded"`
	Quarantined int64               `json:"quarantined"` // streams
	Held        int64               `json:"held"`        // events of quarantined streams
	Heartbeat   *time.Time          `json:"heartbeat"`   // when a worker was last known to be alive; nil = never
	UpdatedAt   time.Time           `json:"updated_at"`
	Lag         int64               `json:"lag" db:"-"`        // events of the log beyond Position; -1 = it follows another log
	Age         time.Duration       `json:"age" db:"-"`        // of the oldest of them, in ns
	SilentFor   time.Duration       `json:"silent_for" db:"-"` // since Heartbeat, in ns; -1 = never heard of
}

// States tells how all views of a database stand, those being built included.
func States(ctx context.Context, db *pgxpool.Pool, store eventstore.Store) ([]State, error) {
	found, err := db.Query(ctx, `SELECT c.view, c.version, c.physical, v.name IS NOT NULL AS served, c.state, c.error, c.log, c.position, c.applied, c.discarded,
		(SELECT count(*) FROM project.quarantine q WHERE q.physical = c.physical) AS quarantined,
		(SELECT count(*) FROM project.quarantined_events q WHERE q.physical = c.physical) AS held, c.heartbeat, c.updated_at
		FROM project.checkpoints c LEFT JOIN project.views v ON v.physical = c.physical
		WHERE c.state <> 'kept' ORDER BY c.view, c.version, c.created_at`)
	if err != nil {
		return nil, err
	}
	states, err := pgx.CollectRows(found, pgx.RowToStructByName[State])
	if err != nil {
		return nil, err
	}
	head, err := store.Head(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	for i := range states {
		s := &states[i]
		s.SilentFor = -1
		if s.Heartbeat != nil {
			s.SilentFor = max(0, now.Sub(*s.Heartbeat))
		}
		if err := s.lag(ctx, store, head, now); err != nil {
			return nil, err
		}
	}
	return states, nil
}

func (s *State) lag(ctx context.Context, store eventstore.Store, head eventstore.Position, now time.Time) (err error) {
	if s.Log != store.LogID() || s.State == Diverged {
		s.Lag = -1
		return nil
	}
	if s.Lag, err = store.Count(ctx, s.Position, head); err != nil || s.Lag <= 0 {
		return err
	}
	oldest, err := store.Read(ctx, eventstore.Query{From: s.Position, Limit: 1})
	if err == nil && len(oldest.Events) > 0 {
		s.Age = max(0, now.Sub(oldest.Events[0].RecordedAt))
	}
	return err
}
