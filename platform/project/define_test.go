package project_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

type keeper struct{}

type (
	hired struct {
		Name string `json:"name" pii:"name"`
	}
	renamed struct {
		Name string `json:"name" pii:"name"`
	}
	erased  struct{}
	retired struct{}
)

func (hired) Evolve(*keeper)   {}
func (renamed) Evolve(*keeper) {}
func (erased) Evolve(*keeper)  {}
func (retired) Evolve(*keeper) {}

var keepers = es.Define[keeper]("depot.keeper", es.On[hired]("hired"), es.On[renamed]("renamed"), es.On[erased]("erased"), es.On[retired]("deleted"))

type keeperRow struct {
	project.Key
	Name string `db:"name"`
}

// A program with a view that could lose facts, or keep a person's data, does not start; it says which event is missing.
func TestDefinitionsThatDoNotStart(t *testing.T) {
	insert := project.Insert(func(r *keeperRow, e es.Recorded[hired]) { r.Name = e.Data.Name })
	rows := func(clauses ...project.Clause) func() {
		return func() { project.Rows[keeperRow]("depot.keepers", 1, "", project.From(keepers, clauses...)) }
	}
	type keyless struct {
		Name string `db:"name"`
	}
	type untagged struct {
		project.Key
		Name string
	}
	for name, c := range map[string]struct {
		define func()
		says   string
	}{
		"an event left out": {rows(insert, project.Skip[renamed](), project.Delete[erased]()), "neither handles nor skips depot.keeper.deleted"},
		"handled twice":     {rows(insert, project.Skip[hired]()), "handles depot.keeper.hired twice"},
		"a foreign event":   {rows(project.Skip[packed]()), "packed is not an event of depot.keeper"},
		"the erasure skipped": {
			rows(insert, project.Skip[renamed](), project.Skip[erased](), project.Delete[retired]()),
			"takes personal fields from depot.keeper.hired but no clause handles an erasure event",
		},
		"rows of another view": {rows(project.Update(func(*crateRow, es.Recorded[hired]) {})), "depot.keeper.hired does not fit"},
		"a statement in rows":  {rows(project.Exec(func(*project.Batch, es.Recorded[hired]) {})), "depot.keeper.hired does not fit"},
		"no key":               {func() { project.Rows[keyless]("depot.keepers", 1, "") }, "does not embed project.Key"},
		"a field without tag":  {func() { project.Rows[untagged]("depot.keepers", 1, "") }, "Name needs a db tag"},
		"no source":            {func() { project.Rows[keeperRow]("depot.keepers", 1, "") }, "has no source"},
		"a bad name":           {func() { project.SQL("keepers", 1, "", project.From(keepers)) }, "<room>.<plural>"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, c.says) {
					t.Errorf("%q does not say %q", said, c.says)
				}
			}()
			c.define()
			t.Error("it was accepted")
		})
	}
	rows(insert, project.Skip[renamed](), project.Delete[erased](), project.Skip[retired]())()
	project.Rows[keeperRow]("depot.keepers", 1, "", project.From(keepers, // no personal field comes in: nothing to erase
		project.Skip[hired](), project.Skip[renamed](), project.Skip[erased](), project.Delete[retired]().Maybe()))
}

// Rows of several sources: a source that only touches rows leaves their version, which is the aggregate's, alone.
func TestVersionIsOfTheInsertingSource(t *testing.T) {
	r := newRig(t)
	view := project.Rows[keeperRow]("depot.desks", 1, `CREATE TABLE desks (tenant uuid, id uuid, version int, name text, PRIMARY KEY (tenant, id));`,
		project.From(crates, project.Insert(func(r *keeperRow, e es.Recorded[packed]) { r.Name = e.Data.Label }),
			project.Skip[stuffed](), project.Skip[tagged](), project.Skip[shipped](), project.Skip[emptied](), project.Skip[dusted]()),
		project.From(keepers, project.Update(func(r *keeperRow, _ es.Recorded[erased]) { r.Name = "" }),
			project.Skip[hired](), project.Skip[renamed](), project.Skip[retired]()))
	e := r.engine(view)
	id := uuid.New()
	r.put(id, dusted{}, packed{"x"})
	for range 3 {
		r.putKeeper(id)
	}
	r.ok(e.CatchUp(t.Context(), "depot.desks"))
	var version int
	var name string
	r.ok(r.db.QueryRow(t.Context(), `SELECT version, name FROM depot.desks`).Scan(&version, &name))
	if version != 2 || name != "" {
		t.Errorf("version %d, name %q", version, name)
	}
}
