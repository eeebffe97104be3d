package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/test/bench/baseline"
)

const (
	commandsPerSecond = 200
	pollInterval      = 5 * time.Millisecond
)

type tallyRow struct {
	project.Key
	Sum   int `db:"sum"`
	Count int `db:"count"`
}

var tallyView = project.Rows[tallyRow]("bench.tallies", 1,
	`CREATE TABLE tallies (tenant uuid, id uuid, version int NOT NULL, sum bigint NOT NULL, count int NOT NULL, PRIMARY KEY (tenant, id))`,
	project.From(tallies,
		project.Insert(func(*tallyRow, es.Recorded[opened]) {}),
		project.Update(func(r *tallyRow, e es.Recorded[counted]) { r.Sum, r.Count = r.Sum+e.Data.Weight, r.Count+1 })))

// seen says of every row's commit, for both sides alike.
const seen = `CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN PERFORM pg_notify('seen', TG_TABLE_SCHEMA || ' ' || new.id || ' ' || new.version); RETURN NULL; END$$;
	CREATE TRIGGER seen AFTER INSERT OR UPDATE ON bench_tallies_v1.tallies FOR EACH ROW EXECUTE FUNCTION seen();
	CREATE TRIGGER seen AFTER INSERT OR UPDATE ON poll.tallies FOR EACH ROW EXECUTE FUNCTION seen()`

// lag: from a command's answer to the commit of the row it changes, at 200 commands/s; beside a loop that polls every 5 ms and keeps
// the same row of the same events at the same time.
func lag(ctx context.Context, c *cluster, play func(*bout) error) error {
	dsn, err := c.database(ctx, "lag")
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, dsn, postgres.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	db, err := pool(ctx, dsn, 8)
	if err != nil {
		return err
	}
	defer db.Close()
	engine := &project.Engine{Store: store, DB: db, Views: []project.View{tallyView}}
	if err := engine.Migrate(ctx); err != nil {
		return err
	}
	if _, err := db.Exec(ctx, baseline.PollSchema+";"+seen, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	o := &own{store: store}
	h := &herd{kernel: es.New(store, nil, 10_000), acks: &o.acks}
	if err := h.grow(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var following sync.WaitGroup
	defer following.Wait()
	defer stop(nil)
	following.Go(func() { stop(engine.Run(ctx)) })
	following.Go(func() { stop(baseline.Poll(ctx, db, pollInterval)) })
	w, err := watching(ctx, dsn)
	if err != nil {
		return err
	}
	following.Go(func() { stop(w.listen(ctx)) })
	p50 := line{what: "append to visible at 200/s, p50", unit: " ms", ours: "view", theirs: "5 ms poll", target: 0.5, atMost: true}
	p99 := p50
	p99.what = "append to visible at 200/s, p99"
	return play(&bout{
		lines:  []line{p50, p99},
		round:  func(ctx context.Context) ([]pair, error) { return w.round(ctx, h) },
		verify: func(ctx context.Context) error { return errors.Join(o.verify(ctx), equal(ctx, db)) },
	})
}

// watcher notes when rows were seen.
type watcher struct {
	conn *pgx.Conn
	mu   sync.Mutex
	at   map[string]time.Time // "schema id version"
}

func watching(ctx context.Context, dsn string) (*watcher, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err == nil {
		_, err = conn.Exec(ctx, "LISTEN seen")
	}
	return &watcher{conn: conn, at: map[string]time.Time{}}, err
}

func (w *watcher) listen(ctx context.Context) error {
	defer w.conn.Close(context.WithoutCancel(ctx))
	for {
		n, err := w.conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		w.mu.Lock()
		w.at[n.Payload] = now
		w.mu.Unlock()
	}
}

// told is a command's answer.
type told struct {
	row string // "id version"
	at  time.Time
}

// round sends commands at the rate, then waits until both sides have shown them all.
func (w *watcher) round(ctx context.Context, h *herd) ([]pair, error) {
	n := int(commandsPerSecond * (*slice * time.Duration(2**slicesPerRound)).Seconds())
	var mu sync.Mutex
	var answers []told
	var commands sync.WaitGroup
	var failed error
	next := time.Now()
	ids := rand.Perm(len(h.ids))
	for i := range n {
		time.Sleep(time.Until(next))
		next = next.Add(time.Duration(rand.ExpFloat64() * float64(time.Second) / commandsPerSecond)) // even gaps would fall in step with the poll
		commands.Go(func() {
			id := h.ids[ids[i%len(ids)]]
			r, err := es.Handle(ctx, h.kernel, tallies, target(id, false), count{1})
			now := time.Now()
			h.acks.Add(1)
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
			answers = append(answers, told{fmt.Sprintf("%s %d", id, r.Version), now})
		})
	}
	commands.Wait()
	if failed != nil {
		return nil, failed
	}
	ours, err1 := w.lags(ctx, "bench_tallies_v1 ", answers)
	theirs, err2 := w.lags(ctx, "poll ", answers)
	return []pair{{quantile(ours, 0.5), quantile(theirs, 0.5)}, {quantile(ours, 0.99), quantile(theirs, 0.99)}}, errors.Join(err1, err2)
}

// lags are in milliseconds, sorted.
func (w *watcher) lags(ctx context.Context, schema string, answers []told) (ms []float64, err error) {
	deadline := time.Now().Add(10 * time.Second)
	for _, a := range answers {
		for {
			w.mu.Lock()
			at, found := w.at[schema+a.row]
			w.mu.Unlock()
			if found {
				ms = append(ms, max(0, at.Sub(a.at).Seconds()*1000))
				break
			}
			if time.Now().After(deadline) || ctx.Err() != nil {
				return nil, fmt.Errorf("%sdid not show %s: %w", schema, a.row, context.Cause(ctx))
			}
			time.Sleep(time.Millisecond)
		}
	}
	slices.Sort(ms)
	return ms, nil
}

func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// equal compares the two read models: they were made of the same events.
func equal(ctx context.Context, db *pgxpool.Pool) error {
	var differ int
	err := db.QueryRow(ctx, `SELECT count(*) FROM bench_tallies_v1.tallies a FULL JOIN poll.tallies b USING (id)
		WHERE (a.version, a.sum, a.count + 1) IS DISTINCT FROM (b.version, b.sum, b.count)`).Scan(&differ)
	if err == nil && differ > 0 {
		err = fmt.Errorf("the view and the poll loop's table differ in %d rows", differ)
	}
	return err
}
