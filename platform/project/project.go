// Package project keeps read models: every view follows the log exactly once in effect, one transaction a page.
package project

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
)

// View is one read model: a table and what each event of its sources does to it. Rows and SQL make one.
type View struct {
	name    string
	version int
	ddl     string
	sources map[string]es.Kinds // by category
	reads   []string            // the categories
	clauses map[string]Clause   // by event type; every type of every source has one
	form    form
}

// Name is "<room>.<plural>": the stable SQL view, the CLI argument and the metric label.
func (v View) Name() string { return v.name }

// Version counts definitions: raise it to build the view anew.
func (v View) Version() int { return v.version }

// Table is the table's name within the physical schema.
func (v View) Table() string { _, table, _ := strings.Cut(v.name, "."); return table }

func (v View) room() string { room, _, _ := strings.Cut(v.name, "."); return room }

// counts reports whether an event is one the view must account for: all of its sources but the skipped. Types this build does not
// know count, so that they are held and not lost.
func (v View) counts(rec *eventstore.Recorded) bool {
	if _, ours := v.sources[rec.Stream.Category]; !ours {
		return false
	}
	return v.clauses[rec.Type].op != skip
}

// Source is a category and the clauses for its events.
type Source struct {
	kinds   es.Kinds
	clauses []Clause
}

// From says what each event of a category does; none may be left out.
func From(kinds es.Kinds, clauses ...Clause) Source { return Source{kinds, clauses} }

type op int

const (
	unknown op = iota
	insert
	update
	remove
	exec
	skip
)

// Clause is what one event type does to the view.
type Clause struct {
	event reflect.Type
	row   reflect.Type // of the rows it works on; nil = any or none
	op    op
	maybe bool
	keeps bool // the row's version: its source touches rows and inserts none
	fold  func(row any, env es.Envelope, data any)
	exec  func(b *Batch, env es.Envelope, data any)
}

// Maybe lets the clause change no row: an update or delete may miss, an insert may find the row there and leave it as it is.
func (c Clause) Maybe() Clause { c.maybe = true; return c }

// Skip says that an event type does nothing here.
func Skip[E any]() Clause { return Clause{event: reflect.TypeFor[E](), op: skip} }

var viewName = regexp.MustCompile(`^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$`)

// define checks that every event of every source is handled or skipped, and that personal data can be erased.
func define(name string, version int, ddl string, f form, sources []Source, fits func(Clause) bool) View {
	if !viewName.MatchString(name) || version < 1 || len(name) > 40 {
		panic(fmt.Sprintf("project: %q version %d: a view is <room>.<plural> in lower_snake, its version ≥ 1", name, version))
	}
	v := View{name: name, version: version, ddl: ddl, sources: map[string]es.Kinds{}, clauses: map[string]Clause{}, form: f}
	for _, s := range sources {
		if _, twice := v.sources[s.kinds.Name()]; twice {
			panic(fmt.Sprintf("project: %s names the source %s twice", name, s.kinds.Name()))
		}
		v.sources[s.kinds.Name()] = s.kinds
		v.reads = append(v.reads, s.kinds.Name())
		v.take(s, fits)
	}
	if len(sources) == 0 {
		panic(fmt.Sprintf("project: %s has no source", name))
	}
	v.mustErase()
	return v
}

func (v View) take(s Source, fits func(Clause) bool) {
	keeps := !slices.ContainsFunc(s.clauses, func(c Clause) bool { return c.op == insert })
	byGo := map[reflect.Type]es.Kind{}
	for _, k := range s.kinds.Kinds() {
		byGo[k.Go] = k
	}
	for _, c := range s.clauses {
		k, ok := byGo[c.event]
		switch {
		case !ok:
			panic(fmt.Sprintf("project: %s: %s is not an event of %s", v.name, c.event, s.kinds.Name()))
		case c.op != skip && !fits(c):
			panic(fmt.Sprintf("project: %s: the clause for %s does not fit this view (its row type or its form)", v.name, k.Type))
		}
		if _, twice := v.clauses[k.Type]; twice {
			panic(fmt.Sprintf("project: %s handles %s twice", v.name, k.Type))
		}
		c.keeps = keeps
		v.clauses[k.Type] = c
	}
	for _, k := range s.kinds.Kinds() {
		if _, ok := v.clauses[k.Type]; !ok {
			panic(fmt.Sprintf("project: %s neither handles nor skips %s", v.name, k.Type))
		}
	}
}

// mustErase refuses a view that takes personal fields in and does not let go of them. The erasure event is the one whose action is
// "erased"; where the sources have none, the aggregate's "deleted" is.
func (v View) mustErase() {
	personal := ""
	kinds := map[string]bool{}
	for _, source := range v.sources {
		for _, k := range source.Kinds() {
			kinds[k.Type] = v.clauses[k.Type].op != skip
			if kinds[k.Type] && len(k.PersonalFields()) > 0 {
				personal = k.Type
			}
		}
	}
	if personal == "" {
		return
	}
	for _, action := range []string{".erased", ".deleted"} {
		found, handled := false, false
		for typ, does := range kinds {
			if strings.HasSuffix(typ, action) {
				found, handled = true, handled || does
			}
		}
		if handled {
			return
		}
		if found {
			break // it must be this one
		}
	}
	panic(fmt.Sprintf("project: %s takes personal fields from %s but no clause handles an erasure event (.erased, or .deleted where there is none)", v.name, personal))
}
