package project_test

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

const poison = -1

// Random histories, taken in at random moments by two workers, with poison in them: live rows, a rebuild's rows and a model that was
// told the commands and never reads the log are the same.
func TestRandomHistories(t *testing.T) {
	r := newRig(t)
	view := cratesWith(1, func(row *crateRow, e es.Recorded[stuffed]) {
		if e.Data.Items == poison {
			panic("poison")
		}
		stuff(row, e)
	})
	e := r.engine(view)
	workers := map[string]*project.Engine{"first": e, "second": {Store: r.store, DB: r.db, Views: []project.View{view}}}
	h := &histories{rig: r, model: map[uuid.UUID]int{}, stuck: map[uuid.UUID]bool{}}
	rapid.Check(t, func(rt *rapid.T) {
		var ids []uuid.UUID // every run has crates of its own
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			if len(ids) == 0 || rapid.IntRange(0, 3).Draw(rt, "new") == 0 {
				ids = append(ids, uuid.New())
			}
			h.do(rt, ids[max(0, len(ids)-1-rapid.IntRange(0, 4).Draw(rt, "which"))])
			if rapid.IntRange(0, 5).Draw(rt, "step") == 0 {
				r.ok(workers[rapid.SampledFrom([]string{"first", "second"}).Draw(rt, "worker")].CatchUp(t.Context(), "depot.crates"))
			}
		}
		r.ok(e.CatchUp(t.Context(), "depot.crates"))
		h.same(rt, "live")
	})
	r.verified(e, "depot.crates")
	for id := range h.stuck {
		r.ok(e.Discard(t.Context(), "depot.crates", crates.Stream(id), "test", "poison"))
	}
	r.ok(e.Rebuild(t.Context(), "depot.crates"))
	h.same(t, "rebuilt")
	r.verified(e, "depot.crates")
}

// histories knows what the crates must be from what it was told to do.
type histories struct {
	*rig
	model map[uuid.UUID]int  // items of the crates that are there
	stuck map[uuid.UUID]bool // had an event nobody can take
}

// do makes one random thing happen to a crate.
func (h *histories) do(rt *rapid.T, id uuid.UUID) {
	items, there := h.model[id]
	n := rapid.IntRange(0, 9).Draw(rt, "n")
	becomes := func(items int) {
		if !h.stuck[id] {
			h.model[id] = items
		}
	}
	switch op := rapid.SampledFrom([]string{"pack", "stuff", "stuff", "empty", "ship", "tag", "dust", "poison"}).Draw(rt, "op"); {
	case op == "pack" && !there:
		h.put(id, packed{"p"}, stuffed{n})
		becomes(n)
	case op == "stuff" && there:
		h.put(id, stuffed{n}, stuffed{1})
		becomes(items + n + 1)
	case op == "empty":
		h.put(id, emptied{})
		if there {
			becomes(0)
		}
	case op == "ship" && there:
		h.put(id, shipped{})
		if !h.stuck[id] {
			delete(h.model, id)
		}
	case op == "tag" && there:
		h.put(id, tagged{[]string{"t"}}, dusted{})
	case op == "poison" && there && n == 0:
		h.put(id, stuffed{poison})
		h.stuck[id] = true
	default:
		h.put(uuid.New(), dusted{})
	}
}

func (h *histories) same(t rapid.TB, when string) {
	got, model := h.items(), h.model
	for id, items := range model {
		if n, there := got[id]; !there || n != items {
			t.Errorf("%s: crate %s has %d items (there: %v), want %d", when, id, n, there, items)
		}
	}
	if len(got) != len(model) {
		t.Errorf("%s: %d crates, want %d", when, len(got), len(model))
	}
}
