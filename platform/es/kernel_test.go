package es_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/pgtest"
)

// A berth is a place where one ship lies; enough of an aggregate to try the kernel on.
var berths = es.Define[berth]("harbour.berth",
	es.On[opened]("opened"),
	es.On[moored]("moored"),
	es.On[described]("described", es.From(liftDescribed)),
	es.On[closed]("closed"),
)

var (
	errTaken   = fault.New(fault.Conflict, "harbour.name_taken", "taken")
	errNoPort  = fault.New(fault.Invalid, "harbour.no_port", "no such port")
	errShut    = fault.New(fault.Conflict, "harbour.berth_closed", "closed")
	names      = es.ClaimsOf("harbour.name", errTaken, nil)
	captains   = es.ClaimsOf("harbour.captain", errTaken, nil).Personal()
	portsNamed = es.ClaimsOf("harbour.port", errTaken, errNoPort)
)

type berth struct {
	name   string
	owner  es.Actor
	ships  int
	gone   bool
	shown  bool
	note   es.Text
	master string
}

func (b berth) Owners() []es.Actor { return []es.Actor{b.owner} }
func (b berth) Deleted() bool      { return b.gone }
func (b berth) Public() bool       { return b.shown }
func (b *berth) Stamp(e es.Envelope) {
	if e.Version == 1 {
		b.owner = e.Actor
	}
}

type opened struct {
	Name   string `json:"name"`
	Port   string `json:"port,omitempty"`
	Master string `json:"master,omitempty" pii:"name"`
}

func (e opened) Evolve(b *berth) {
	b.name, b.shown, b.master = e.Name, strings.HasPrefix(e.Name, "public"), e.Master
}
func (e opened) Claims(berth) []es.Claim {
	claims := names.Move("", e.Name)
	if e.Port != "" {
		claims = append(claims, portsNamed.Require(e.Port))
	}
	return claims
}

type moored struct {
	Seen int `json:"seen"` // the version the decision saw
}

func (e moored) Evolve(b *berth) { b.ships++ }

type described struct {
	Note es.Text `json:"note"`
}

type describedV1 struct {
	Text string `json:"text"`
}

func liftDescribed(v describedV1) described { return described{es.NewText(v.Text)} }

func (e described) Evolve(b *berth) { b.note = e.Note.Light() }

type closed struct{}

func (closed) Evolve(b *berth)           { b.gone = true }
func (closed) Claims(b berth) []es.Claim { return []es.Claim{names.Release(b.name)} }

type berthEvents = es.Events[berth]

type open struct{ Name, Port, Master string }

func (c open) Decide(es.Env, berth) (berthEvents, error) {
	return berthEvents{opened{c.Name, c.Port, c.Master}}, nil
}

type moor struct{}

func (moor) Decide(env es.Env, b berth) (berthEvents, error) {
	if b.ships >= 1_000_000 {
		return nil, errShut
	}
	return berthEvents{moored{env.Version}}, nil
}

type describe struct{ Note string }

func (c describe) Decide(_ es.Env, b berth) (berthEvents, error) {
	if note := es.NewText(c.Note); !b.note.Same(note) {
		return berthEvents{described{note}}, nil
	}
	return nil, nil
}

type closeIt struct{}

func (closeIt) Decide(es.Env, berth) (berthEvents, error) { return berthEvents{closed{}}, nil }

// moorIf decides on a second berth.
type moorIf struct{ other uuid.UUID }

func (c moorIf) Other(es.Env) uuid.UUID { return c.other }
func (c moorIf) DecideWith(env es.Env, _ berth, o berth) (berthEvents, error) {
	if o.gone {
		return nil, errShut
	}
	return berthEvents{moored{env.Version}}, nil
}

// plainVault "seals" by prefixing, so that a test sees what was sealed; erased subjects are gone.
type plainVault struct{ erased sync.Map }

func (v *plainVault) Seal(_ context.Context, _, subject uuid.UUID, aad string, plain []byte) ([]byte, error) {
	if _, gone := v.erased.Load(subject); gone {
		return nil, es.ErrErased
	}
	sum := sha256.Sum256([]byte(aad))
	return append(sum[:], plain...), nil
}

func (v *plainVault) Unseal(_ context.Context, _, subject uuid.UUID, aad string, sealed []byte) ([]byte, bool, error) {
	if _, gone := v.erased.Load(subject); gone {
		return nil, false, nil
	}
	if sum := sha256.Sum256([]byte(aad)); !bytes.Equal(sum[:], sealed[:32]) {
		return nil, false, errors.New("sealed for another place")
	}
	return sealed[32:], true, nil
}

func (v *plainVault) ClaimHash(_ context.Context, tenant uuid.UUID, value string) (eventstore.Hash, error) {
	return sha256.Sum256([]byte(tenant.String() + value)), nil
}

var (
	tenant = uuid.MustParse("01900000-0000-7000-8000-0000000000aa")
	alice  = es.UserActor(uuid.MustParse("01900000-0000-7000-8000-0000000000a1"))
	bob    = es.UserActor(uuid.MustParse("01900000-0000-7000-8000-0000000000b0"))
)

func storeAt(t testing.TB, dsn string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), dsn, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func kernel(t testing.TB) *es.Kernel {
	return es.New(storeAt(t, pgtest.New(t)), &plainVault{}, 100)
}

func on(id uuid.UUID) es.Target { return es.Target{Tenant: tenant, Actor: alice, ID: id} }

func mustOpen(t testing.TB, k *es.Kernel, name string) uuid.UUID {
	t.Helper()
	id, _ := uuid.NewV7()
	at := on(id)
	at.New = true
	if _, err := es.Handle(t.Context(), k, berths, at, open{Name: name}); err != nil {
		t.Fatal(err)
	}
	return id
}

// Two processes with eight writers each on one stream: nothing is lost, and every decision saw exactly the version before its event.
func TestHotStreamDecidesInOrder(t *testing.T) {
	dsn := pgtest.New(t)
	first := es.New(storeAt(t, dsn), &plainVault{}, 100)
	second := es.New(storeAt(t, dsn), &plainVault{}, 100)
	id := mustOpen(t, first, "hot")
	var accepted, contended atomic.Int64
	var wg sync.WaitGroup
	for _, k := range []*es.Kernel{first, second} {
		for range 8 {
			wg.Go(func() {
				for range 60 {
					_, err := es.Handle(t.Context(), k, berths, on(id), moor{})
					switch {
					case err == nil:
						accepted.Add(1)
					case errors.Is(err, es.ErrContended):
						contended.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	events, err := first.Store.ReadStream(t.Context(), berths.Stream(id), 1, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(events)) != accepted.Load() || accepted.Load()+contended.Load() != 960 {
		t.Fatalf("%d events, %d accepted, %d contended of 960", len(events), accepted.Load(), contended.Load())
	}
	for i, e := range events {
		if want := fmt.Sprintf(`{"seen":%d}`, i+1); string(e.Data) != want || e.Version != i+2 {
			t.Fatalf("event %d at version %d saw %s, want %s", i, e.Version, e.Data, want)
		}
	}
}

func TestIfMatch(t *testing.T) {
	k := kernel(t)
	id := mustOpen(t, k, "match")
	at := on(id)
	one, two := 1, 2
	at.Expect = &one
	if r, err := es.Handle(t.Context(), k, berths, at, moor{}); err != nil || r.Version != 2 {
		t.Fatal(r, err)
	}
	_, err := es.Handle(t.Context(), k, berths, at, moor{})
	if !errors.Is(err, es.ErrStale) || fault.From(err).Extra["current_version"] != 2 {
		t.Fatalf("a stale version must be refused with the current one: %v", err)
	}
	// Of eight writers who saw version 2, one gets through.
	at.Expect = &two
	var through atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := es.Handle(t.Context(), k, berths, at, moor{}); err == nil {
				through.Add(1)
			} else if !errors.Is(err, es.ErrStale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if through.Load() != 1 {
		t.Fatalf("%d writers got through", through.Load())
	}
}

func TestReceipts(t *testing.T) {
	k := kernel(t)
	create := func(key, body string) (es.Receipt, error) {
		id, _ := uuid.NewV7()
		at := on(id)
		at.New, at.Key, at.Operation, at.Body = true, key, "open", []byte(body)
		return es.Handle(t.Context(), k, berths, at, open{Name: body})
	}
	t.Run("16 at once make one", func(t *testing.T) {
		var wg sync.WaitGroup
		got := make([]es.Receipt, 16)
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], err = create("k1", "one"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, r := range got {
			if r != got[0] || r.Position == "" || r.Version != 1 {
				t.Fatalf("different answers: %+v and %+v", r, got[0])
			}
		}
	})
	t.Run("another body is refused", func(t *testing.T) {
		if _, err := create("k1", "other"); !errors.Is(err, es.ErrKeyReused) {
			t.Fatal(err)
		}
	})
	t.Run("the first answer outlives what came after", func(t *testing.T) {
		id := mustOpen(t, k, "acts")
		at := on(id)
		at.Key, at.Operation = "k2", "describe"
		first, err := es.Handle(t.Context(), k, berths, at, describe{"a"})
		if err != nil || !first.Changed {
			t.Fatal(first, err)
		}
		if _, err := es.Handle(t.Context(), k, berths, on(id), describe{"b"}); err != nil {
			t.Fatal(err)
		}
		if again, err := es.Handle(t.Context(), k, berths, at, describe{"a"}); err != nil || again != first {
			t.Fatalf("got %+v %v, want %+v", again, err, first)
		}
		del := on(id)
		del.Deletes = true
		if _, err := es.Handle(t.Context(), k, berths, del, closeIt{}); err != nil {
			t.Fatal(err)
		}
		if again, err := es.Handle(t.Context(), k, berths, at, describe{"a"}); err != nil || again != first {
			t.Fatalf("after the end: got %+v %v, want %+v", again, err, first)
		}
		if r, err := es.Handle(t.Context(), k, berths, del, closeIt{}); err != nil || r.Changed || r.Version != 4 {
			t.Fatalf("a repeated delete is quiet: %+v %v", r, err)
		}
		if _, err := es.Handle(t.Context(), k, berths, on(id), moor{}); !errors.Is(err, es.ErrNotFound) {
			t.Fatalf("what is gone is not found: %v", err)
		}
	})
	t.Run("a keyed no-op is remembered", func(t *testing.T) {
		id := mustOpen(t, k, "noop")
		at := on(id)
		at.Key, at.Operation = "k3", "describe"
		first, err := es.Handle(t.Context(), k, berths, at, describe{""})
		if err != nil || first.Changed || first.Position == "" {
			t.Fatal(first, err)
		}
		if _, err := es.Handle(t.Context(), k, berths, on(id), describe{"now something"}); err != nil {
			t.Fatal(err)
		}
		if again, err := es.Handle(t.Context(), k, berths, at, describe{""}); err != nil || again != first {
			t.Fatalf("got %+v %v, want %+v", again, err, first)
		}
	})
}

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
		_, err := k.Store.Append(t.Context(), eventstore.Append{Writes: []eventstore.Write{{Stream: berths.Stream(id), Expect: eventstore.Any,
			Events: []eventstore.Event{{ID: eid, Type: typ, Schema: schema, Tenant: tenant, Actor: string(alice), At: k.Clock(), Data: []byte(data)}}}}})
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
