package es_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
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
	return berthEvents{opened(c)}, nil
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
