// Package projecttest states what a view shows after given events, on a real PostgreSQL.
package projecttest

import (
	"context"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/pgtest"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/vault"
)

// Who and when of the given events, where a case does not say otherwise.
var (
	Tenant = uuid.MustParse("01900000-0000-7000-8000-00000000000a")
	ID     = uuid.MustParse("01900000-0000-7000-8000-000000000001")
	Actor  = es.UserActor(uuid.MustParse("01900000-0000-7000-8000-0000000000ff"))
	At     = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// Case is events and the rows the view has then, in any order. A row is a JSON object of the columns it names; columns it leaves out
// are not compared. Times read as 2026-01-02T03:04:05+00:00.
type Case[S any] struct {
	Given es.Events[S] // of stream ID, by Actor, at At
	Also  []Stream[S]  // further streams, each a minute later
	Rows  []string
}

// Stream is events of another aggregate; zero fields are Tenant, Actor and a new id.
type Stream[S any] struct {
	ID     uuid.UUID
	Tenant uuid.UUID
	Actor  es.Actor
	Events es.Events[S]
}

// Decide implements es.Command: it decides what happened.
func (s Stream[S]) Decide(es.Env, S) (es.Events[S], error) { return s.Events, nil }

// Run checks each case on a log and database of its own, that a second delivery of the same events changes nothing, and that a
// rebuild gives the same rows.
func Run[S any](t *testing.T, view project.View, category *es.Category[S], cases map[string]Case[S]) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, view)
			streams := slices.Insert(slices.Clone(c.Also), 0, Stream[S]{ID: ID, Events: c.Given})
			for i, s := range streams {
				if len(s.Events) > 0 {
					give(t, b, category, s, At.Add(time.Duration(i)*time.Minute))
				}
			}
			b.catchUp(t, b.store)
			rows := b.rows(t)
			if diff := unlike(c.Rows, rows); diff != "" {
				t.Fatalf("%s has other rows than expected\n%s", view.Name(), diff)
			}
			b.tick(t)
			b.catchUp(t, again{b.store})
			if diff := cmp.Diff(rows, b.rows(t)); diff != "" {
				t.Fatalf("the same events a second time changed %s (-before +after)\n%s", view.Name(), diff)
			}
			if err := b.engine.Rebuild(t.Context(), view.Name()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(rows, b.rows(t)); diff != "" {
				t.Fatalf("a rebuild of %s differs (-live +rebuilt)\n%s", view.Name(), diff)
			}
		})
	}
}

func give[S any](t *testing.T, b *bench, category *es.Category[S], s Stream[S], at time.Time) {
	t.Helper()
	target := es.Target{New: true, ID: s.ID, Tenant: s.Tenant, Actor: s.Actor, Now: at}
	if target.ID == uuid.Nil {
		target.ID = uuid.New()
	}
	if target.Tenant == uuid.Nil {
		target.Tenant = Tenant
	}
	if target.Actor == "" {
		target.Actor = Actor
	}
	if _, err := es.Handle(t.Context(), b.kernel, category, target, s); err != nil {
		t.Fatalf("given events are not accepted: %v", err)
	}
}

// bench is a log, a vault and one view in a database of their own.
type bench struct {
	view   project.View
	db     *pgxpool.Pool
	store  eventstore.Store
	vault  es.Vault
	kernel *es.Kernel
	engine *project.Engine
}

func newBench(t *testing.T, view project.View) *bench {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	dsn := pgtest.From(t, "projecttest", func(dsn string) error {
		store, err := postgres.Open(context.Background(), dsn, postgres.Options{})
		if err != nil {
			return err
		}
		store.Close()
		db, err := pgxpool.New(context.Background(), dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		return vault.Migrate(context.Background(), db)
	})
	store, err := postgres.Open(ctx, dsn, postgres.Options{})
	must(err)
	t.Cleanup(store.Close)
	db := pgtest.Pool(t, dsn+" timezone=UTC")
	keys, err := vault.Open(ctx, db, vault.NewKey())
	must(err)
	b := &bench{view: view, db: db, store: store, vault: keys, kernel: es.New(store, keys, 0)}
	b.engine = &project.Engine{Store: store, Vault: keys, DB: db, Views: []project.View{view}}
	must(b.engine.Migrate(ctx))
	return b
}

// catchUp fails the test when an event is quarantined or not accounted for.
func (b *bench) catchUp(t *testing.T, store eventstore.Store) {
	t.Helper()
	engine := &project.Engine{Store: store, Vault: b.vault, DB: b.db, Views: []project.View{b.view}}
	if err := engine.CatchUp(t.Context(), b.view.Name()); err != nil {
		t.Fatal(err)
	}
	held, err := project.Quarantine(t.Context(), b.db, b.view.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range held {
		t.Fatalf("%s cannot take %s: %s", q.View, q.Type, q.Error)
	}
	if found, err := b.engine.Verify(t.Context(), b.view.Name()); err != nil || !found.OK() {
		t.Fatalf("%s (%v)", found, err)
	}
}

// tick appends an event that concerns no view, so that there is a page to deliver.
func (b *bench) tick(t *testing.T) {
	t.Helper()
	tick := eventstore.Event{ID: uuid.New(), Type: "test.tick.ticked", Schema: 1, Tenant: Tenant, At: At, Data: []byte(`{}`)}
	_, err := b.store.Append(t.Context(), eventstore.Append{Writes: []eventstore.Write{{Stream: eventstore.Stream{Category: "test.tick", ID: uuid.New()}, Expect: eventstore.NoStream, Events: []eventstore.Event{tick}}}})
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) rows(t *testing.T) []string {
	t.Helper()
	room, table, _ := strings.Cut(b.view.Name(), ".")
	found, err := b.db.Query(t.Context(), "SELECT to_jsonb(t)::text FROM "+pgx.Identifier{room, table}.Sanitize()+" t ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// again delivers with every page all that came before it.
type again struct{ eventstore.Store }

func (a again) Read(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	page, err := a.Store.Read(ctx, q)
	if err != nil || q.From == "" || page.Next == q.From {
		return page, err
	}
	before, err := a.Store.Read(ctx, eventstore.Query{Filter: q.Filter, Limit: 10_000})
	old := slices.DeleteFunc(before.Events, func(r eventstore.Recorded) bool { return r.Position > q.From })
	page.Events = append(old, page.Events...)
	return page, err
}

// unlike pairs every expected row with an actual one that has its members; it describes what finds no partner.
func unlike(want, got []string) string {
	var missing []string
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(g string) bool { return covers(g, w) })
		if i < 0 {
			missing = append(missing, w)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(missing)+len(left) == 0 {
		return ""
	}
	return "missing:\n  " + strings.Join(missing, "\n  ") + "\nnot expected:\n  " + strings.Join(left, "\n  ")
}

func covers(got, want string) bool {
	var g, w map[string]any
	if json.Unmarshal([]byte(got), &g) != nil || json.Unmarshal([]byte(want), &w) != nil {
		return false
	}
	for name, value := range w {
		if actual, there := g[name]; !there || !reflect.DeepEqual(actual, value) {
			return false
		}
	}
	return true
}
