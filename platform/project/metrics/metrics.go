// Package metrics shows Prometheus how the views stand.
package metrics

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/project"
)

// New reports how the views stand to Prometheus, labelled by view: one look at the registry per scrape.
func New(db *pgxpool.Pool, store eventstore.Store) prometheus.Collector {
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
	states, err := project.States(ctx, c.db, c.store)
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
		if s.State == project.Live {
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
