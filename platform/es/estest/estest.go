// Package estest runs decisions as given/when/then tables, without a log.
package estest

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
)

// What a case sees unless it says otherwise.
var (
	Now    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	Tenant = uuid.MustParse("01900000-0000-7000-8000-0000000000aa")
	ID     = uuid.MustParse("01900000-0000-7000-8000-0000000000bb")
	Actor  = es.UserActor(uuid.MustParse("01900000-0000-7000-8000-0000000000cc"))
)

// Case is one decision. With is the second stream's state for a CommandWith.
type Case[S any] struct {
	Given  es.Events[S]
	When   es.Command[S]
	Then   es.Events[S]
	Err    error      // the refusal, compared with errors.Is
	Claims []es.Claim // if set, what the decided events claim, in order
	By     es.Actor   // Actor if ""
	Born   es.Actor   // who caused Given; Actor if ""
	At     time.Time  // Now if zero
	Again  bool       // deciding a second time may decide something again
}

// Run decides every case, and once more on the resulting state: that must change nothing (or be refused), unless Again.
func Run[S any](t *testing.T, cases map[string]Case[S]) {
	t.Helper()
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { run(t, c) })
	}
}

func run[S any](t *testing.T, c Case[S]) {
	state := Fold(or(c.Born, Actor), c.Given...)
	env := es.Env{Now: Now, Tenant: Tenant, Actor: or(c.By, Actor), ID: ID, Version: len(c.Given)}
	if !c.At.IsZero() {
		env.Now = c.At
	}
	events, err := c.When.Decide(env, state)
	if !errors.Is(err, c.Err) {
		t.Fatalf("refusal: got %v, want %v", err, c.Err)
	}
	if diff := cmp.Diff(plain(c.Then), plain(events), cmp.Comparer(es.Text.Same)); diff != "" {
		t.Fatalf("events (-want +got):\n%s", diff)
	}
	if c.Claims != nil {
		checkClaims(t, c, state, events)
	}
	if c.Again || err != nil {
		return
	}
	env.Version += len(events)
	after := Fold(or(c.Born, env.Actor), append(append(es.Events[S]{}, c.Given...), events...)...)
	if again, _ := c.When.Decide(env, after); len(again) > 0 {
		t.Fatalf("deciding again is not quiet: %#v", again)
	}
}

func checkClaims[S any](t *testing.T, c Case[S], state S, events es.Events[S]) {
	t.Helper()
	var got []es.Claim
	for _, e := range events {
		if claimer, ok := e.(es.Claimer[S]); ok {
			got = append(got, claimer.Claims(state)...)
		}
	}
	if len(got) != len(c.Claims) {
		t.Fatalf("claims: got %d, want %d", len(got), len(c.Claims))
	}
	for i := range got {
		if got[i].Value != c.Claims[i].Value || got[i].Op != c.Claims[i].Op {
			t.Errorf("claim %d: got %v of %q, want %v of %q", i, got[i].Op, got[i].Value, c.Claims[i].Op, c.Claims[i].Value)
		}
	}
}

// Fold gives the state after events that an actor caused at Now.
func Fold[S any](by es.Actor, events ...es.Event[S]) S {
	recorded := make([]es.Recorded[es.Event[S]], len(events))
	for i, e := range events {
		recorded[i] = es.Recorded[es.Event[S]]{Envelope: es.Envelope{Stream: ID, Version: i + 1, Tenant: Tenant, Actor: by, At: Now}, Data: e}
	}
	return es.Fold(recorded...)
}

func plain[S any](events es.Events[S]) []any {
	out := make([]any, len(events))
	for i, e := range events {
		out[i] = e
	}
	return out
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
