package project_test

import (
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/project/metrics"
)

// Two processes' engines over the same views while 24 writers append: every event has exactly one effect.
func TestExactlyOnceUnderTwoEngines(t *testing.T) {
	r := newRig(t)
	first := r.engine(crateRows, countsSQL())
	second := &project.Engine{Store: openStore(t, r.dsn), DB: r.db, Views: []project.View{crateRows, countsSQL()}}
	r.run(first)
	r.run(second)

	const writers, rounds = 24, 12
	var mu sync.Mutex
	want, total := map[uuid.UUID]int{}, 0 // what the writers were told
	var last eventstore.Position
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			id := uuid.New()
			for n := range rounds {
				events := []any{stuffed{w + n}, dusted{}}
				if n == 0 {
					events = []any{packed{"c"}, stuffed{w}}
				}
				positions, err := appendTo(t.Context(), r.store, 1, id, events...)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				want[id] += w + n
				total += w + n
				last = max(last, positions[len(positions)-1])
				mu.Unlock()
			}
		})
	}
	group.Wait()
	r.caughtUp("depot.crates", last)
	r.caughtUp("depot.counts", last)

	got := r.items()
	if len(got) != writers {
		t.Fatalf("%d crates, want %d", len(got), writers)
	}
	for id, n := range want {
		if got[id] != n {
			t.Errorf("crate %s has %d items, want %d", id, got[id], n)
		}
	}
	var counted int
	r.ok(r.db.QueryRow(t.Context(), `SELECT items FROM depot.counts`).Scan(&counted))
	if counted != total {
		t.Errorf("counted %d, want %d", counted, total)
	}
	if v := r.verified(first, "depot.crates"); v.Applied.Count != writers*(rounds+1) {
		t.Errorf("%d events applied, want %d", v.Applied.Count, writers*(rounds+1))
	}
	r.verified(first, "depot.counts")
}

// Two workers on the same tables take turns: while one is in the middle of an event, the other waits for the checkpoint. Were it let
// in, both would count the event.
func TestWorkersTakeTurns(t *testing.T) {
	r := newRig(t)
	inside, leave := make(chan struct{}, 2), make(chan struct{})
	counting := project.SQL("depot.turns", 1, `CREATE TABLE turns (n int NOT NULL); INSERT INTO turns VALUES (0)`,
		project.From(crates,
			project.Exec(func(b *project.Batch, _ es.Recorded[packed]) {
				inside <- struct{}{}
				<-leave
				b.Exec(`UPDATE turns SET n = n + 1`)
			}),
			project.Skip[stuffed](), project.Skip[tagged](), project.Skip[shipped](), project.Skip[emptied](), project.Skip[dusted]()))
	first := r.engine(counting)
	second := &project.Engine{Store: openStore(t, r.dsn), DB: r.db, Views: []project.View{counting}}
	r.put(uuid.New(), packed{"a"})
	done := make(chan error, 2)
	for _, e := range []*project.Engine{first, second} {
		go func() { done <- e.CatchUp(context.Background(), "depot.turns") }()
	}
	<-inside
	r.until("the other one waits for its turn, or is inside too", func() bool {
		var waiting int
		r.ok(r.db.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting))
		return waiting > 0 || len(inside) > 0
	})
	close(leave)
	r.ok(<-done)
	r.ok(<-done)
	var n int
	r.ok(r.db.QueryRow(t.Context(), `SELECT n FROM depot.turns`).Scan(&n))
	if n != 1 {
		t.Errorf("one event was counted %d times", n)
	}
}

// A database that is away when an engine begins is waited for, like one that goes away later.
func TestRunOutlivesADatabaseThatIsAway(t *testing.T) {
	r := newRig(t)
	at := r.put(uuid.New(), packed{"a"})
	r.engine(crateRows)
	var away atomic.Bool
	away.Store(true)
	tried := make(chan struct{}, 1)
	cfg := r.db.Config().Copy()
	cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		if !away.Load() {
			return nil
		}
		select {
		case tried <- struct{}{}:
		default:
		}
		return io.ErrUnexpectedEOF
	}
	db, err := pgxpool.NewWithConfig(t.Context(), cfg)
	r.ok(err)
	t.Cleanup(db.Close)
	r.run(&project.Engine{Store: r.store, DB: db, Views: []project.View{crateRows}})
	<-tried
	away.Store(false)
	r.caughtUp("depot.crates", at)
}

// Tables that went back on their own, after a restore or a failover, are brought up to date although nothing new happens.
func TestWhatAViewLostIsAppliedAgainWithoutANewEvent(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	r.run(e)
	id := uuid.New()
	r.caughtUp("depot.crates", r.put(id, packed{"a"}, stuffed{2}))
	_, err := r.db.Exec(t.Context(), `CREATE TABLE was AS SELECT * FROM project.checkpoints; CREATE TABLE crates AS TABLE depot.crates`)
	r.ok(err)
	at := r.put(id, stuffed{3})
	r.caughtUp("depot.crates", at)
	_, err = r.db.Exec(t.Context(), `BEGIN; SET LOCAL search_path = depot_crates_v1, public; DELETE FROM crates; INSERT INTO crates SELECT * FROM public.crates;
		UPDATE project.checkpoints c SET (position, event, applied, digest, epoch) = (SELECT w.position, w.event, w.applied, w.digest, w.epoch FROM was w WHERE w.physical = c.physical); COMMIT`, pgx.QueryExecModeSimpleProtocol)
	r.ok(err)
	r.until("the third item is back", func() bool { return r.items()[id] == 5 })
	r.caughtUp("depot.crates", at)
	r.verified(e, "depot.crates")
}

// What a row can hold comes back as it was put.
func TestRowTypes(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	id := uuid.New()
	r.put(id, packed{"a"}, tagged{[]string{"x", "y"}}, stuffed{3})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	r.put(id, emptied{}, stuffed{4})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	var got string
	r.ok(r.db.QueryRow(t.Context(), `SELECT to_jsonb(c) - 'id' - 'tenant' FROM depot.crates c`).Scan(&got))
	want := `{"open": true, "seal": "\\x0001", "tags": ["x", "y"], "extra": {"a": 1}, "items": 4, "label": "a", "owner": null, "version": 5, "packed_at": "2026-05-06T07:08:09+00:00", "emptied_at": "2026-05-06T07:08:09+00:00"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A Maybe clause may miss; a row that is deleted and made again in one page is there once.
func TestMaybeAndRebirth(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	missing, reborn := uuid.New(), uuid.New()
	r.put(missing, emptied{})
	r.put(reborn, packed{"a"}, stuffed{2}, shipped{}, packed{"b"}, stuffed{5})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	if got := r.items(); len(got) != 1 || got[reborn] != 5 {
		t.Errorf("got %v", got)
	}
	r.verified(e, "depot.crates")
}

// An owner whose process stops in the middle of a page loses its turn, and its late commit does nothing.
func TestFrozenOwnerIsTakenOver(t *testing.T) {
	r := newRig(t)
	var freeze atomic.Bool
	frozen, thaw := make(chan struct{}), make(chan struct{})
	stopping := cratesWith(1, func(row *crateRow, e es.Recorded[stuffed]) {
		stuff(row, e)
		if freeze.CompareAndSwap(true, false) {
			close(frozen)
			<-thaw
		}
	})
	first := r.engine(stopping)
	first.Patience = 300 * time.Millisecond
	id := uuid.New()
	r.put(id, packed{"a"}, stuffed{1})
	freeze.Store(true)
	late := make(chan error, 1)
	go func() { late <- first.CatchUp(context.Background(), "depot.crates") }()
	<-frozen

	second := &project.Engine{Store: r.store, DB: r.db, Views: []project.View{crateRows}, Patience: 300 * time.Millisecond}
	began := time.Now()
	r.ok(second.CatchUp(t.Context(), "depot.crates"))
	if took := time.Since(began); took > 1500*time.Millisecond {
		t.Errorf("taken over after %s", took)
	}
	close(thaw)
	r.ok(<-late)
	if got := r.items(); got[id] != 1 {
		t.Errorf("%d items, want 1", got[id])
	}
	if v := r.verified(second, "depot.crates"); v.Applied.Count != 2 {
		t.Errorf("%d applied, want 2", v.Applied.Count)
	}
}

// A worker whose connection is cut, or whose process ends, in the middle of a page leaves nothing behind and nothing out.
func TestKilledInMidPage(t *testing.T) {
	for name, kill := range map[string]func(r *rig, cancel func()){
		"connection cut": func(r *rig, _ func()) {
			_, err := r.db.Exec(context.Background(), `SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_class c ON c.oid = relation
				WHERE c.relname = 'checkpoints' AND mode = 'RowShareLock' AND pid <> pg_backend_pid()`)
			r.ok(err)
		},
		"process ended": func(_ *rig, cancel func()) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var once atomic.Bool
			once.Store(true)
			e := r.engine(cratesWith(1, func(row *crateRow, e es.Recorded[stuffed]) {
				stuff(row, e)
				if once.CompareAndSwap(true, false) {
					kill(r, cancel)
				}
			}))
			id := uuid.New()
			r.put(id, packed{"a"}, stuffed{1}, stuffed{2})
			if err := e.CatchUp(ctx, "depot.crates"); err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
			if ctx.Err() != nil && len(r.items()) != 0 {
				t.Error("half a page is visible")
			}
			r.ok(e.CatchUp(t.Context(), "depot.crates"))
			if got := r.items(); got[id] != 3 {
				t.Errorf("%d items, want 3", got[id])
			}
			r.verified(e, "depot.crates")
		})
	}
}

// A view is stopped by name when its log was replaced by an older copy; the others go on.
func TestDivergedLogStopsTheViewByName(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows, countsSQL())
	id := uuid.New()
	r.put(id, packed{"a"}, stuffed{1})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	_, err := r.db.Exec(t.Context(), `UPDATE project.checkpoints SET event = gen_random_uuid() WHERE view = 'depot.crates'`)
	r.ok(err)
	r.run(e)
	last := r.put(id, stuffed{2})
	r.caughtUp("depot.counts", last)

	state := r.state("depot.crates", func(s project.State) bool { return s.State == project.Diverged })
	if !strings.Contains(state.Error, "rebuild") || state.Lag != -1 || r.items()[id] != 1 {
		t.Errorf("%+v, items %v", state, r.items())
	}
	if _, err := e.Verify(t.Context(), "depot.crates"); err == nil {
		t.Error("a diverged view is verified")
	}
	r.ok(e.Rebuild(t.Context(), "depot.crates"))
	last = r.put(id, stuffed{4})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r.ok(project.Reader{DB: r.db, Engine: e}.WaitFor(ctx, "depot.crates", last))
	r.caughtUp("depot.crates", last)
	if got := r.items(); got[id] != 7 {
		t.Errorf("%d items after the rebuild, want 7", got[id])
	}
}

// state waits for a view's state to be as wanted.
func (r *rig) state(view string, as func(project.State) bool) project.State {
	r.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		states, err := project.States(r.t.Context(), r.db, r.store)
		r.ok(err)
		var found project.State
		for _, s := range states {
			if s.View == view && s.Served {
				found = s
			}
		}
		if as(found) {
			return found
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("still %+v", found)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Heartbeat and lag are two signals: an idle worker beats without lag, a view without a worker lags without a beat.
func TestHeartbeatApartFromLag(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	last := r.put(uuid.New(), packed{"a"}, stuffed{1})
	before := r.state("depot.crates", func(s project.State) bool { return s.Lag == 2 })
	if before.SilentFor != -1 || before.Heartbeat != nil || before.Age <= 0 {
		t.Errorf("before it ever ran: %+v", before)
	}
	r.run(e)
	r.caughtUp("depot.crates", last)
	beat := *r.state("depot.crates", func(s project.State) bool { return s.Lag == 0 && s.Age == 0 && s.Heartbeat != nil }).Heartbeat
	idle := r.state("depot.crates", func(s project.State) bool { return s.Heartbeat.After(beat) })
	if idle.Position != last || idle.Heartbeat.Sub(beat) > 2*time.Second {
		t.Errorf("idle: %+v", idle)
	}
}

// Reads that wait for their write: unknown and never-run views are behind, a running one signals at once, and events that do not
// concern the view move it too.
func TestWaitFor(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	first := r.put(uuid.New(), packed{"a"})
	for _, view := range []string{"depot.crates", "depot.nothing"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		if err := project.WaitFor(ctx, r.db, view, first); err == nil {
			t.Errorf("%s never ran and is not behind", view)
		}
		cancel()
	}
	r.run(e)
	reader := project.Reader{DB: r.db, Engine: e}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	id := uuid.New()
	r.ok(reader.WaitFor(ctx, "depot.crates", r.put(id, packed{"b"}, stuffed{9})))
	if got := r.items(); got[id] != 9 {
		t.Errorf("not there when the wait ended: %v", got)
	}
	unrelated := r.put(id, dusted{})
	r.ok(reader.WaitFor(ctx, "depot.crates", unrelated))
	r.caughtUp("depot.crates", unrelated) // and it is written down
}

// What an operator's alerts read: one value per view, also for the view that stands still.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows, countsSQL())
	bad := uuid.New()
	r.put(bad, packed{"a"}, stuffed{1}, stuffed{5_000_000})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	r.put(bad, dusted{})
	registry := prometheus.NewPedanticRegistry()
	r.ok(registry.Register(metrics.New(r.db, r.store)))
	families, err := registry.Gather()
	r.ok(err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"archive_view_lag_events depot.crates": 1, "archive_view_lag_events depot.counts": 4,
		"archive_view_applied_total depot.crates": 2, "archive_view_applied_total depot.counts": 0,
		"archive_view_quarantined_streams depot.crates": 1, "archive_view_heartbeat_age_seconds depot.counts": -1, "archive_view_live depot.crates": 1,
	} {
		if value, there := got[name]; !there || value != want {
			t.Errorf("%s is %v (there: %v), want %v", name, value, there, want)
		}
	}
	if got["archive_view_lag_seconds depot.counts"] <= 0 {
		t.Errorf("no age: %v", got)
	}
}
