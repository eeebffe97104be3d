package project_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/pgtest"
	"github.com/bgce/archive/platform/project"
)

// The sample domain: crates in a depot.
type crate struct{}

type (
	packed struct {
		Label string `json:"label"`
	}
	stuffed struct {
		Items int `json:"items"`
	}
	tagged struct {
		Tags []string `json:"tags"`
	}
	shipped struct{}
	emptied struct{}
	dusted  struct{}
)

func (packed) Evolve(*crate)  {}
func (stuffed) Evolve(*crate) {}
func (tagged) Evolve(*crate)  {}
func (shipped) Evolve(*crate) {}
func (emptied) Evolve(*crate) {}
func (dusted) Evolve(*crate)  {}

var crates = es.Define[crate]("depot.crate",
	es.On[packed]("packed"), es.On[stuffed]("stuffed"), es.On[tagged]("tagged"), es.On[shipped]("shipped"), es.On[emptied]("emptied"), es.On[dusted]("dusted"))

type crateRow struct {
	project.Key
	Label     string          `db:"label"`
	Items     int             `db:"items"`
	Tags      []string        `db:"tags"`
	Extra     json.RawMessage `db:"extra"`
	Seal      []byte          `db:"seal"`
	Open      bool            `db:"open"`
	PackedAt  time.Time       `db:"packed_at"`
	EmptiedAt *time.Time      `db:"emptied_at"`
	Owner     *uuid.UUID      `db:"owner"`
}

const cratesDDL = `CREATE TABLE crates (tenant uuid, id uuid, version int NOT NULL, label text NOT NULL, items int NOT NULL CHECK (items < 1000000), tags text[] NOT NULL,
	extra jsonb, seal bytea, open bool NOT NULL, packed_at timestamptz NOT NULL, emptied_at timestamptz, owner uuid, PRIMARY KEY (tenant, id));`

// cratesWith lets a test put itself in the way of the stuffed clause.
func cratesWith(version int, stuff func(*crateRow, es.Recorded[stuffed])) project.View {
	return project.Rows[crateRow]("depot.crates", version, cratesDDL, project.From(crates,
		project.Insert(func(r *crateRow, e es.Recorded[packed]) {
			r.Label, r.Open, r.PackedAt, r.Extra, r.Seal = e.Data.Label, true, e.At, json.RawMessage(`{"a": 1}`), []byte{0, 1}
			if user := e.Actor.User(); user != uuid.Nil {
				r.Owner = &user
			}
		}),
		project.Update(stuff),
		project.Update(func(r *crateRow, e es.Recorded[tagged]) { r.Tags = e.Data.Tags }),
		project.Delete[shipped](),
		project.Update(func(r *crateRow, e es.Recorded[emptied]) { r.Items, r.EmptiedAt = 0, &e.At }).Maybe(),
		project.Skip[dusted](),
	))
}

func stuff(r *crateRow, e es.Recorded[stuffed]) { r.Items += e.Data.Items }

var crateRows = cratesWith(1, stuff)

// countsSQL counts what was stuffed per tenant: not one row per aggregate.
func countsSQL() project.View {
	return project.SQL("depot.counts", 1, `CREATE TABLE counts (tenant uuid PRIMARY KEY, items bigint NOT NULL, last text NOT NULL);`, project.From(crates,
		project.Exec(func(b *project.Batch, e es.Recorded[stuffed]) {
			b.Exec(`INSERT INTO counts (tenant, items, last) VALUES (@tenant, @items, @position)
				ON CONFLICT (tenant) DO UPDATE SET items = counts.items + @items, last = @position`, project.Args{"items": e.Data.Items})
		}),
		project.Skip[packed](), project.Skip[tagged](), project.Skip[shipped](), project.Skip[emptied](), project.Skip[dusted]()))
}

// rig is a log and a database of its own for one test.
type rig struct {
	t     testing.TB
	dsn   string
	store *postgres.Store
	db    *pgxpool.Pool
}

func newRig(t testing.TB) *rig {
	t.Helper()
	if p, ok := t.(*testing.T); ok {
		p.Parallel()
	}
	dsn := pgtest.From(t, "project", func(dsn string) error {
		store, err := postgres.Open(context.Background(), dsn, postgres.Options{})
		if err == nil {
			store.Close()
		}
		return err
	})
	return &rig{t: t, dsn: dsn, store: openStore(t, dsn), db: pgtest.Pool(t, dsn+" timezone=UTC pool_max_conns=20")}
}

func openStore(t testing.TB, dsn string) *postgres.Store {
	t.Helper()
	store, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return store
}

func (r *rig) engine(views ...project.View) *project.Engine {
	r.t.Helper()
	e := &project.Engine{Store: r.store, DB: r.db, Views: views}
	r.ok(e.Migrate(r.t.Context()))
	return e
}

// run lets an engine run until the test, or the function it gives, ends it.
func (r *rig) run(e *project.Engine) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			r.t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	r.t.Cleanup(stop)
	return stop
}

func (r *rig) ok(err error) {
	if err != nil {
		r.t.Helper()
		r.t.Fatal(err)
	}
}

var tenant = uuid.MustParse("01900000-0000-7000-8000-00000000000a")

// put appends events of one crate, as the store gets them.
func (r *rig) put(id uuid.UUID, events ...any) eventstore.Position {
	r.t.Helper()
	return r.putSchema(1, id, events...)
}

func (r *rig) putSchema(schema int, id uuid.UUID, events ...any) eventstore.Position {
	r.t.Helper()
	positions, err := appendTo(r.t.Context(), r.store, schema, id, events...)
	r.ok(err)
	return positions[len(positions)-1]
}

func appendTo(ctx context.Context, store eventstore.Store, schema int, id uuid.UUID, events ...any) ([]eventstore.Position, error) {
	w := eventstore.Write{Stream: crates.Stream(id), Expect: eventstore.Any}
	for _, e := range events {
		data, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		name := strings.TrimPrefix(fmt.Sprintf("%T", e), "project_test.")
		w.Events = append(w.Events, eventstore.Event{
			ID: uuid.New(), Type: "depot.crate." + name, Schema: schema, Tenant: tenant,
			Actor: "operator:test", At: time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC), Data: data,
		})
	}
	result, err := store.Append(ctx, eventstore.Append{Writes: []eventstore.Write{w}})
	return result.Positions, err
}

// until asks again and again, for at most 8 s.
func (r *rig) until(what string, ask func() bool) {
	r.t.Helper()
	tick, over := time.NewTicker(5*time.Millisecond), time.After(8*time.Second)
	defer tick.Stop()
	for !ask() {
		select {
		case <-tick.C:
		case <-over:
			r.t.Fatal("not in time: " + what)
		}
	}
}

// caughtUp waits until the view has passed a position.
func (r *rig) caughtUp(view string, at eventstore.Position) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 8*time.Second)
	defer cancel()
	r.ok(project.WaitFor(ctx, r.db, view, at))
}

// items reads depot.crates through the stable view: id → items.
func (r *rig) items() map[uuid.UUID]int {
	r.t.Helper()
	rows, err := r.db.Query(r.t.Context(), `SELECT id, items FROM depot.crates`)
	r.ok(err)
	got := map[uuid.UUID]int{}
	var id uuid.UUID
	var n int
	_, err = pgx.ForEachRow(rows, []any{&id, &n}, func() error { got[id] = n; return nil })
	r.ok(err)
	return got
}

func (r *rig) verified(e *project.Engine, view string) project.Verification {
	r.t.Helper()
	found, err := e.Verify(r.t.Context(), view)
	r.ok(err)
	if !found.OK() {
		r.t.Fatal(found)
	}
	return found
}

// putKeeper appends an erasure to a keeper's stream.
func (r *rig) putKeeper(id uuid.UUID) {
	r.t.Helper()
	_, err := r.store.Append(r.t.Context(), eventstore.Append{Writes: []eventstore.Write{{Stream: keepers.Stream(id), Expect: eventstore.Any, Events: []eventstore.Event{
		{ID: uuid.New(), Type: "depot.keeper.erased", Schema: 1, Tenant: tenant, At: time.Now(), Data: []byte(`{}`)},
	}}}})
	r.ok(err)
}

// How long after an append is answered its row can be read: one event every 5 ms, two views.
func BenchmarkAppendToVisible(b *testing.B) {
	r := newRig(b)
	e := r.engine(crateRows, countsSQL())
	r.run(e)
	reader := project.Reader{DB: r.db, Engine: e}
	var lags []time.Duration
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		at := r.put(uuid.New(), packed{"a"}, stuffed{1})
		began := time.Now()
		for _, view := range []string{"depot.crates", "depot.counts"} {
			r.ok(reader.WaitFor(b.Context(), view, at))
		}
		lags = append(lags, time.Since(began))
	}
	slices.Sort(lags)
	b.ReportMetric(float64(lags[len(lags)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(lags[len(lags)*99/100].Microseconds()), "p99-µs")
}
