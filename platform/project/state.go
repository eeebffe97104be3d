package project

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

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

// Metrics reports States to Prometheus, labelled by view: one look at the registry per scrape.
func Metrics(db *pgxpool.Pool, store eventstore.Store) prometheus.Collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("archive_view_"+name, help, []string{"view"}, nil)
	}
	return &collector{
		db: db, store: store,
		lag:         desc("lag_events", "Events of the log the view has not passed; -1 when it follows another log."),
		age:         desc("lag_seconds", "Age of the oldest event the view has not passed."),
		silent:      desc("heartbeat_age_seconds", "Time since a worker of the view was last known to be alive; -1 when there never was one."),
		applied:     desc("applied_total", "Events the view has applied."),
		quarantined: desc("quarantined_streams", "Streams the view cannot take further until an operator retries or discards."),
		up:          desc("live", "1 when the view follows the log, 0 when it diverged."),
	}
}

type collector struct {
	db                                         *pgxpool.Pool
	store                                      eventstore.Store
	lag, age, silent, applied, quarantined, up *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.lag, c.age, c.silent, c.applied, c.quarantined, c.up} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	states, err := States(ctx, c.db, c.store)
	if err != nil {
		out <- prometheus.NewInvalidMetric(c.up, err)
		return
	}
	for _, s := range states {
		if !s.Served {
			continue
		}
		gauge := func(d *prometheus.Desc, value float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, s.View)
		}
		live, silent := 0.0, s.SilentFor.Seconds()
		if s.State == Live {
			live = 1
		}
		if s.SilentFor < 0 {
			silent = -1
		}
		gauge(c.lag, float64(s.Lag))
		gauge(c.age, s.Age.Seconds())
		gauge(c.silent, silent)
		gauge(c.quarantined, float64(s.Quarantined))
		gauge(c.up, live)
		out <- prometheus.MustNewConstMetric(c.applied, prometheus.CounterValue, float64(s.Applied), s.View)
	}
}
