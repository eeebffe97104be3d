package project_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

// A failing event holds back its stream and nothing else; retried when the cause is gone, nothing was lost.
func TestQuarantineAndRetry(t *testing.T) {
	r := newRig(t)
	var broken atomic.Bool
	broken.Store(true)
	e := r.engine(cratesWith(1, func(row *crateRow, e es.Recorded[stuffed]) {
		if broken.Load() && e.Data.Items == 13 {
			panic("thirteen")
		}
		stuff(row, e)
	}))
	bad, good := uuid.New(), uuid.New()
	r.put(bad, packed{"bad"}, stuffed{1})
	r.put(good, packed{"good"}, stuffed{1})
	r.put(bad, stuffed{13}, stuffed{2}, dusted{})
	r.put(good, stuffed{2})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	r.put(bad, stuffed{4})
	r.put(good, stuffed{4})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	if got := r.items(); got[bad] != 1 || got[good] != 7 {
		t.Fatalf("got %v", got)
	}
	if v := r.verified(e, "depot.crates"); v.Held.Count != 3 {
		t.Errorf("%s", v)
	}
	list, err := project.Quarantine(t.Context(), r.db, "depot.crates")
	r.ok(err)
	if len(list) != 1 || list[0].Stream != bad || list[0].Waiting != 3 || list[0].Type != "depot.crate.stuffed" || !strings.Contains(list[0].Error, "panicked") || strings.Contains(list[0].Error, "thirteen") {
		t.Errorf("%+v", list)
	}

	var failure *project.Failure
	if err := e.Retry(t.Context(), "depot.crates", crates.Stream(bad)); !errors.As(err, &failure) {
		t.Fatalf("retried a broken clause: %v", err)
	}
	list, _ = project.Quarantine(t.Context(), r.db, "")
	if list[0].Attempts != 2 || list[0].Waiting != 3 {
		t.Errorf("%+v", list)
	}
	broken.Store(false)
	r.ok(e.Retry(t.Context(), "depot.crates", crates.Stream(bad)))
	if got := r.items(); got[bad] != 20 {
		t.Errorf("%d items after the retry, want 20", got[bad])
	}
	if v := r.verified(e, "depot.crates"); v.Held.Count != 0 || v.Applied.Count != 9 {
		t.Errorf("%s", v)
	}
	if err := e.Retry(t.Context(), "depot.crates", crates.Stream(bad)); !errors.Is(err, project.ErrNotQuarantined) {
		t.Errorf("got %v", err)
	}
}

// Discarding is on the record, counts, frees the stream, and a rebuild leaves the same events out.
func TestDiscard(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows)
	id := uuid.New()
	r.put(id, packed{"a"}, stuffed{1}, stuffed{1000000}, stuffed{2})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	if list, _ := project.Quarantine(t.Context(), r.db, "depot.crates"); len(list) != 1 || list[0].Error != "SQLSTATE 23514 table crates constraint crates_items_check" {
		t.Fatalf("%+v", list)
	}
	if err := e.Rebuild(t.Context(), "depot.crates"); err == nil || !strings.Contains(err.Error(), id.String()) || !strings.Contains(err.Error(), "23514") {
		t.Errorf("a rebuild over a failing event: %v", err)
	}
	if err := e.Discard(t.Context(), "depot.crates", crates.Stream(id), "operator:me", ""); !errors.Is(err, project.ErrNoReason) {
		t.Errorf("discarded without a reason: %v", err)
	}
	r.ok(e.Discard(t.Context(), "depot.crates", crates.Stream(id), "operator:me", "typo at the gate"))
	r.put(id, stuffed{4})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	for _, when := range []string{"live", "rebuilt"} {
		if got := r.items(); got[id] != 5 {
			t.Errorf("%s: %d items, want 5", when, got[id])
		}
		if v := r.verified(e, "depot.crates"); v.Discarded.Count != 2 || v.Applied.Count != 3 {
			t.Errorf("%s: %s", when, v)
		}
		r.ok(e.Rebuild(t.Context(), "depot.crates"))
	}
	var why string
	r.ok(r.db.QueryRow(t.Context(), `SELECT DISTINCT who || ': ' || why FROM project.discarded`).Scan(&why))
	if why != "operator:me: typo at the gate" {
		t.Error(why)
	}
}

// Events of a newer build are held, never guessed: an unknown schema version, an unknown type, what does not decode, a missing row.
func TestWhatCannotBeTakenIsHeld(t *testing.T) {
	r := newRig(t)
	e := r.engine(crateRows, countsSQL())
	future, strange, orphan, fine := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	r.putSchema(2, future, packed{"a"})
	type crushed struct{}
	r.put(strange, crushed{})
	r.put(orphan, stuffed{1})
	r.put(fine, packed{"b"}, stuffed{1})
	r.ok(e.CatchUp(t.Context(), "depot.crates"))
	list, err := project.Quarantine(t.Context(), r.db, "depot.crates")
	r.ok(err)
	said := map[uuid.UUID]string{}
	for _, q := range list {
		said[q.Stream] = q.Error
	}
	for id, want := range map[uuid.UUID]string{future: "deploy the newer build", strange: "does not know", orphan: "the row to change is not there"} {
		if !strings.Contains(said[id], want) {
			t.Errorf("%q does not say %q", said[id], want)
		}
	}
	if got := r.items(); len(got) != 1 || got[fine] != 1 {
		t.Errorf("got %v", got)
	}
	r.verified(e, "depot.crates")
}

// A statement that hits nothing is a failure, a misspelt @name too; Maybe statements may miss.
func TestStatementsMustChangeARow(t *testing.T) {
	r := newRig(t)
	view := project.SQL("depot.notes", 1, `CREATE TABLE notes (id uuid PRIMARY KEY, n int);`, project.From(crates,
		project.Exec(func(b *project.Batch, _ es.Recorded[packed]) {
			b.Maybe(`UPDATE notes SET n = 0 WHERE id = @id`)
			b.Exec(`INSERT INTO notes VALUES (@id, 1)`)
		}),
		project.Exec(func(b *project.Batch, _ es.Recorded[stuffed]) { b.Exec(`UPDATE notes SET n = n + 1 WHERE id = @id`) }),
		project.Exec(func(b *project.Batch, _ es.Recorded[emptied]) { b.Exec(`UPDATE notes SET n = 0 WHERE id = @id`) }).Maybe(),
		project.Exec(func(b *project.Batch, _ es.Recorded[tagged]) { b.Exec(`UPDATE notes SET n = @nn WHERE id = @id`) }),
		project.Exec(func(*project.Batch, es.Recorded[dusted]) {}),
		project.Skip[shipped]()))
	e := r.engine(view)
	fine, miss, typo, none := uuid.New(), uuid.New(), uuid.New(), uuid.New()
	r.put(fine, packed{"a"}, stuffed{1}, stuffed{1})
	r.put(miss, emptied{}, stuffed{1})
	r.put(typo, packed{"a"}, tagged{})
	r.put(none, dusted{})
	r.ok(e.CatchUp(t.Context(), "depot.notes"))
	list, err := project.Quarantine(t.Context(), r.db, "depot.notes")
	r.ok(err)
	held := map[uuid.UUID]string{}
	for _, q := range list {
		held[q.Stream] = q.Type
	}
	if len(held) != 3 || held[miss] != "depot.crate.stuffed" || held[typo] != "depot.crate.tagged" || held[none] != "depot.crate.dusted" {
		t.Errorf("held %v", list)
	}
	var n int
	r.ok(r.db.QueryRow(t.Context(), `SELECT n FROM depot.notes WHERE id = $1`, fine).Scan(&n))
	if n != 3 {
		t.Errorf("n = %d, want 3", n)
	}
	r.verified(e, "depot.notes")
}
