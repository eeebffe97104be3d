package project_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

// A rebuild while writers write: readers with prepared statements go on, nothing is lost or doubled, the old tables go on request.
func TestRebuildWhileWriting(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	r.run(e)
	id := uuid.New()
	r.caughtUp("depot.crates", r.put(id, packed{"a"}))
	ctx, stop := context.WithCancel(t.Context())
	var both sync.WaitGroup
	written := 0
	both.Go(func() {
		for ctx.Err() == nil {
			if _, err := appendTo(t.Context(), r.store, 1, id, stuffed{1}); err != nil {
				t.Error(err)
				return
			}
			written++
		}
	})
	reader, err := pgx.Connect(t.Context(), r.dsn)
	r.ok(err)
	defer reader.Close(context.Background())
	_, err = reader.Prepare(t.Context(), "items", `SELECT items FROM depot.crates WHERE id = $1`)
	r.ok(err)
	both.Go(func() {
		for before := 0; ctx.Err() == nil; {
			var items int
			if err := reader.QueryRow(t.Context(), "items", id).Scan(&items); err != nil || items < before {
				t.Errorf("a reader saw %d after %d: %v", items, before, err)
				return
			}
			before = items
		}
	})
	for range 3 {
		r.ok(e.Rebuild(t.Context(), "depot.crates"))
	}
	stop()
	both.Wait()
	last := r.put(id, stuffed{1})
	r.caughtUp("depot.crates", last)
	if got := r.items(); got[id] != written+1 {
		t.Errorf("%d items, want %d", got[id], written+1)
	}
	r.verified(e, "depot.crates")
	var physical string
	r.ok(r.db.QueryRow(t.Context(), `SELECT physical FROM project.views_live WHERE name = 'depot.crates'`).Scan(&physical))
	if physical != "depot_crates_v1_4" {
		t.Errorf("live is %s", physical)
	}
	dropped, err := e.DropOld(t.Context(), "depot.crates")
	r.ok(err)
	slices.Sort(dropped)
	if fmt.Sprint(dropped) != "[depot_crates_v1 depot_crates_v1_2 depot_crates_v1_3]" || r.items()[id] != written+1 {
		t.Errorf("dropped %v", dropped)
	}
}

// A rebuild that fails names the event, its row and the SQL error; the live tables stay.
func TestRebuildFailsFast(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	id := uuid.New()
	r.put(id, packed{"a"}, stuffed{3})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	bad := uuid.New()
	at := r.put(bad, packed{"b"}, stuffed{2000000})
	err := e.Rebuild(t.Context(), "depot.crates")
	if err == nil {
		t.Fatal("rebuilt over a failing event")
	}
	for _, part := range []string{"depot.crates", string(at), bad.String(), "23514", "crates_items_check"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not name %q", err, part)
		}
	}
	if got := r.items(); got[id] != 3 {
		t.Errorf("live rows are %v", got)
	}
}

// A raised version is built beside the old one and waits for the switch, unless it may switch by itself.
func TestRaisedVersion(t *testing.T) {
	double := func(row *crateRow, e es.Recorded[stuffed]) { row.Items += 2 * e.Data.Items }
	r := newRig(t)
	old := r.engine(crateRows)
	stopOld := r.run(old)
	id := uuid.New()
	r.caughtUp("depot.crates", r.put(id, packed{"a"}, stuffed{1}))
	next := r.engine(cratesWith(2, double))
	stopNext := r.run(next)
	last := r.put(id, stuffed{2})
	built := func(as func(project.State) bool) project.State { return r.built("depot.crates", 2, as) }
	built(func(s project.State) bool { return s.Position >= last })
	r.caughtUp("depot.crates", last)
	if got := r.items(); got[id] != 3 {
		t.Fatalf("version 1 shows %v", got)
	}
	r.ok(next.Switch(t.Context(), "depot.crates"))
	if got := r.items(); got[id] != 6 {
		t.Errorf("version 2 shows %v", got)
	}
	r.caughtUp("depot.crates", r.put(id, stuffed{2})) // the new process keeps what it switched to, the old one keeps its hands off
	if got := r.items(); got[id] != 10 {
		t.Errorf("version 2 shows %v", got)
	}
	stopOld()
	stopNext()

	auto := r.engine(cratesWith(3, stuff))
	auto.AutoSwitch = true
	r.run(auto)
	third := built(func(s project.State) bool { return s.Version == 3 && s.Served })
	var items int
	r.ok(r.db.QueryRow(t.Context(), `SELECT items FROM `+third.Physical+`.crates WHERE id = $1`, id).Scan(&items))
	if items != 5 {
		t.Errorf("version 3 shows %d", items)
	}
	r.verified(auto, "depot.crates")
}

// built waits for tables of at least a version to be as wanted.
func (r *rig) built(view string, version int, as func(project.State) bool) project.State {
	r.t.Helper()
	deadline := time.Now().Add(5 * time.Second)
	for {
		states, err := project.States(r.t.Context(), r.db, r.store)
		r.ok(err)
		for _, s := range states {
			if s.View == view && s.Version >= version && as(s) {
				return s
			}
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("states are %+v", states)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Every process migrates at its start, also at once; a table that does not fit its rows is refused then and not at the first event.
func TestMigrate(t *testing.T) {
	r := newRig(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			e := &project.Engine{Store: r.store, DB: r.db, Views: []project.View{crateRows, countsSQL()}}
			if err := e.Migrate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	type row struct {
		project.Key
		Other string `db:"other"`
	}
	misfit := project.Rows[row]("depot.misfits", 1, `CREATE TABLE misfits (tenant uuid, id uuid, version int, name text, PRIMARY KEY (tenant, id));`,
		project.From(crates, project.Delete[shipped](), project.Skip[packed](), project.Skip[stuffed](), project.Skip[tagged](), project.Skip[emptied](), project.Skip[dusted]()))
	err := (&project.Engine{Store: r.store, DB: r.db, Views: []project.View{misfit}}).Migrate(t.Context())
	if err == nil || !strings.Contains(err.Error(), "depot.misfits") || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("got %v", err)
	}
	if err := (&project.Engine{Store: r.store, DB: r.db, Views: []project.View{misfit}}).Run(t.Context()); err == nil {
		t.Error("runs a view that is not registered")
	}
}
