package es_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/pgtest"
)

func TestClaims(t *testing.T) {
	k := kernel(t)
	id := mustOpen(t, k, "unique")
	again, _ := uuid.NewV7()
	at := on(again)
	at.New = true
	if _, err := es.Handle(t.Context(), k, berths, at, open{Name: "unique"}); !errors.Is(err, errTaken) {
		t.Fatal(err)
	}
	if _, err := es.Handle(t.Context(), k, berths, at, open{Name: "x", Port: "nowhere"}); !errors.Is(err, errNoPort) {
		t.Fatal(err)
	}
	if holder, held, err := es.Find(t.Context(), k, tenant, names, "unique"); err != nil || !held || holder != id {
		t.Fatal(holder, held, err)
	}
	if _, err := es.Handle(t.Context(), k, berths, on(id), closeIt{}); err != nil {
		t.Fatal(err)
	}
	if _, err := es.Handle(t.Context(), k, berths, at, open{Name: "unique"}); err != nil {
		t.Fatalf("a released name is free: %v", err)
	}
}

func TestWhoMay(t *testing.T) {
	k := kernel(t)
	hidden, shown := mustOpen(t, k, "hidden"), mustOpen(t, k, "public pier")
	for name, c := range map[string]struct {
		id    uuid.UUID
		actor es.Actor
		in    uuid.UUID
		want  error
	}{
		"the owner may":                          {hidden, alice, tenant, nil},
		"a stranger does not learn it exists":    {hidden, bob, tenant, es.ErrNotFound},
		"a stranger who may see it is forbidden": {shown, bob, tenant, es.ErrForbidden},
		"another tenant sees nothing":            {shown, alice, uuid.New(), es.ErrNotFound},
		"an unknown id":                          {uuid.New(), alice, tenant, es.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			at := on(c.id)
			at.Actor, at.Tenant, at.OwnerOnly, at.May = c.actor, c.in, true, "owner"
			if _, err := es.Handle(t.Context(), k, berths, at, moor{}); !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestSecondStream(t *testing.T) {
	k := kernel(t)
	id, other := mustOpen(t, k, "own"), mustOpen(t, k, "other")
	if _, err := es.HandleWith(t.Context(), k, berths, berths, on(id), moorIf{other}); err != nil {
		t.Fatal(err)
	}
	if _, err := es.Handle(t.Context(), k, berths, on(other), closeIt{}); err != nil {
		t.Fatal(err)
	}
	if _, err := es.HandleWith(t.Context(), k, berths, berths, on(id), moorIf{other}); !errors.Is(err, errShut) {
		t.Fatal(err)
	}
}

func TestHandleAll(t *testing.T) {
	k := kernel(t)
	fresh := func() es.Target { id, _ := uuid.NewV7(); at := on(id); at.New = true; return at }
	whole := es.Target{Tenant: tenant, Actor: alice, Operation: "fleet", Key: "f1", Body: []byte("two")}
	first, err := es.HandleAll(t.Context(), k, whole, es.PartOf(berths, fresh(), open{Name: "a"}), es.PartOf(berths, fresh(), open{Name: "b"}))
	if err != nil || len(first) != 2 || first[0].Position >= first[1].Position {
		t.Fatal(first, err)
	}
	again, err := es.HandleAll(t.Context(), k, whole, es.PartOf(berths, fresh(), open{Name: "a"}), es.PartOf(berths, fresh(), open{Name: "b"}))
	if err != nil || again[0].ID != first[0].ID || again[1].ID != first[1].ID {
		t.Fatalf("repeated: %+v %v", again, err)
	}
	whole.Key = ""
	third := fresh()
	if _, err := es.HandleAll(t.Context(), k, whole, es.PartOf(berths, third, open{Name: "c"}), es.PartOf(berths, fresh(), open{Name: "a"})); !errors.Is(err, errTaken) {
		t.Fatal(err)
	}
	if v, _ := k.Store.Version(t.Context(), berths.Stream(third.ID)); v != 0 {
		t.Fatal("half of it was stored")
	}
}

func TestPersonalAndLarge(t *testing.T) {
	k := kernel(t)
	vault := k.Vault.(*plainVault)
	id, _ := uuid.NewV7()
	at := on(id)
	at.New = true
	if _, err := es.Handle(t.Context(), k, berths, at, open{Name: "p", Master: "Grace Hopper"}); err != nil {
		t.Fatal(err)
	}
	note := strings.Repeat("tide ", 20_000)
	if _, err := es.Handle(t.Context(), k, berths, on(id), describe{note}); err != nil {
		t.Fatal(err)
	}
	events, err := k.Store.ReadStream(t.Context(), berths.Stream(id), 0, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(events[0].Data, []byte("Grace")) {
		t.Fatalf("personal data in the clear: %s", events[0].Data)
	}
	if len(events[1].Data) > 200 {
		t.Fatalf("a large text stands in its event: %d bytes", len(events[1].Data))
	}
	read := func(i int) any {
		kind, _ := berths.Lookup(events[i].Type)
		e, err := kind.Decode(events[i])
		if err != nil {
			t.Fatal(err)
		}
		if e, err = k.Open(t.Context(), kind, events[i], e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	if e := read(0).(opened); e.Master != "Grace Hopper" || e.Name != "p" {
		t.Fatalf("%+v", e)
	}
	if e := read(1).(described); e.Note.String() != note {
		t.Fatalf("the text came back as %d bytes", len(e.Note.String()))
	}
	vault.erased.Store(id, true)
	if e := read(0).(opened); e.Master != "" || e.Name != "p" {
		t.Fatalf("after erasure: %+v", e)
	}
	// A decision that changes nothing does not store the text again, though the state only knows its hash.
	if r, err := es.Handle(t.Context(), k, berths, on(id), describe{note}); err != nil || r.Changed {
		t.Fatal(r, err)
	}
}

func TestUpcastAndUnknown(t *testing.T) {
	k := kernel(t)
	id := uuid.New()
	raw := func(typ string, schema int, data string) {
		t.Helper()
		eid, _ := uuid.NewV7()
		_, err := k.Store.Append(t.Context(), eventstore.Append{Writes: []eventstore.Write{{
			Stream: berths.Stream(id), Expect: eventstore.Any,
			Events: []eventstore.Event{{ID: eid, Type: typ, Schema: schema, Tenant: tenant, Actor: string(alice), At: k.Clock(), Data: []byte(data)}},
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	raw("harbour.berth.opened", 1, `{"name":"old"}`)
	raw("harbour.berth.described", 1, `{"text":"calm"}`)
	if r, err := es.Handle(t.Context(), k, berths, on(id), describe{"calm"}); err != nil || r.Changed {
		t.Fatalf("an old payload is lifted: %+v %v", r, err)
	}
	raw("harbour.berth.described", 3, `{}`)
	k.Evict(berths.Stream(id))
	_, err := es.Handle(t.Context(), k, berths, on(id), moor{})
	var unknown *es.UnknownEvent
	if !errors.As(err, &unknown) || unknown.Schema != 3 || unknown.Known != 2 {
		t.Fatalf("a future schema must be named: %v", err)
	}
	_ = captains
}

// A refusal decided on a remembered state is confirmed: another process may have changed it.
func TestRefusalIsConfirmed(t *testing.T) {
	dsn := pgtest.New(t)
	here := es.New(storeAt(t, dsn), &plainVault{}, 100)
	there := es.New(storeAt(t, dsn), &plainVault{}, 100)
	id := mustOpen(t, here, "shared")
	if _, err := es.Handle(t.Context(), here, berths, on(id), describe{"x"}); err != nil {
		t.Fatal(err)
	}
	if _, err := es.Handle(t.Context(), there, berths, on(id), describe{"y"}); err != nil {
		t.Fatal(err)
	}
	if r, err := es.Handle(t.Context(), here, berths, on(id), describe{"x"}); err != nil || !r.Changed || r.Version != 4 {
		t.Fatalf("here believed it was already so: %+v %v", r, err)
	}
}

// moorWhile moves the second stream between its read and the append, the first time.
type moorWhile struct {
	moorIf
	meanwhile func()
}

func (c moorWhile) DecideWith(env es.Env, own, other berth) (berthEvents, error) {
	c.meanwhile()
	return c.moorIf.DecideWith(env, own, other)
}

func TestSecondStreamMovesMeanwhile(t *testing.T) {
	k := kernel(t)
	id, other := mustOpen(t, k, "own"), mustOpen(t, k, "other")
	closeOnce := sync.OnceFunc(func() {
		if _, err := es.Handle(t.Context(), k, berths, on(other), closeIt{}); err != nil {
			t.Error(err)
		}
	})
	if _, err := es.HandleWith(t.Context(), k, berths, berths, on(id), moorWhile{moorIf{other}, closeOnce}); !errors.Is(err, errShut) {
		t.Fatalf("decided on a stream that had moved: %v", err)
	}
}
