package storetest

import (
	"github.com/bgce/archive/platform/eventstore"
)

func taken(index int, by eventstore.Stream) error {
	return &eventstore.ClaimTaken{Index: index, Holder: by}
}

// claim is an append of one event with claims for its stream.
func (f *fixture) claim(s eventstore.Stream, op eventstore.ClaimOp, keys ...eventstore.Hash) eventstore.Append {
	a := writes(f.write(s, anyVersion, 1))
	for _, k := range keys {
		a.Claims = append(a.Claims, eventstore.Claim{Key: k, Op: op, Holder: s})
	}
	return a
}

func (f *fixture) holder(key eventstore.Hash, want eventstore.Stream) {
	f.Helper()
	got, held, err := f.store.Holder(f.ctx, key)
	if err != nil || !held || got != want {
		f.Fatalf("holder %s, held %v, %v; want %s", got, held, err, want)
	}
}

func (f *fixture) free(key eventstore.Hash) {
	f.Helper()
	if got, held, err := f.store.Holder(f.ctx, key); err != nil || held {
		f.Fatalf("held by %s, %v; want free", got, err)
	}
}

func claimsLife(f *fixture) {
	a, b, key := newStream(), newStream(), hash()
	f.free(key)
	f.refused(&eventstore.ClaimMissing{Index: 0}, f.claim(b, eventstore.Require, key))
	f.must(f.claim(a, eventstore.Take, key))
	f.holder(key, a)
	f.must(f.claim(a, eventstore.Take, key)) // its own: no conflict
	f.holder(key, a)
	f.refused(taken(0, a), f.claim(b, eventstore.Take, key))
	f.must(f.claim(b, eventstore.Require, key))
	f.must(f.claim(b, eventstore.Release, key)) // not its own: nothing
	f.holder(key, a)
	f.must(f.claim(a, eventstore.Release, key))
	f.free(key)
	f.must(f.claim(a, eventstore.Release, key))
	f.refused(&eventstore.ClaimMissing{Index: 0}, f.claim(a, eventstore.Require, key))
	f.must(f.claim(b, eventstore.Take, key))
	f.holder(key, b)
	f.refused(taken(0, b), f.claim(a, eventstore.Take, key))
	f.version(b, 3)
}

func claimsInOneAppend(f *fixture) {
	a, b, old, other := newStream(), newStream(), hash(), hash()
	f.must(f.claim(a, eventstore.Take, old))

	change := f.claim(a, eventstore.Take, other) // a new value for the old one
	change.Claims = append(change.Claims, eventstore.Claim{Key: old, Op: eventstore.Release, Holder: a})
	f.must(change)
	f.free(old)
	f.holder(other, a)

	pass := writes(f.write(a, exists, 1), f.write(b, none, 1)) // from one stream to another
	pass.Claims = []eventstore.Claim{{Key: other, Op: eventstore.Release, Holder: a}, {Key: other, Op: eventstore.Take, Holder: b}}
	f.must(pass)
	f.holder(other, b)

	two := writes(f.write(a, exists, 1))
	two.Claims = []eventstore.Claim{{Key: old, Op: eventstore.Take, Holder: a}, {Key: other, Op: eventstore.Take, Holder: a}}
	f.refused(taken(1, b), two)
	f.free(old)

	two.Claims = []eventstore.Claim{{Key: other, Op: eventstore.Require, Holder: a}, {Key: old, Op: eventstore.Require, Holder: a}}
	f.refused(&eventstore.ClaimMissing{Index: 1}, two)
}

func claimsRefused(f *fixture) {
	a, b, key := newStream(), newStream(), hash()
	f.must(writes(f.write(b, none, 1)))
	late := f.claim(a, eventstore.Take, key)
	late.Writes = append(late.Writes, f.write(b, none, 1))
	f.refused(stale(b, none, 1), late)
	f.free(key)

	f.must(f.claim(a, eventstore.Take, key))
	late = f.claim(a, eventstore.Release, key)
	late.Writes = append(late.Writes, f.write(b, none, 1))
	f.refused(stale(b, none, 1), late)
	f.holder(key, a)
}

func claimsRaced(f *fixture) {
	stores := []eventstore.Store{f.store, f.Again()}
	for range 8 {
		key := hash()
		racers := make([]eventstore.Append, 16)
		for i := range racers {
			racers[i] = f.claim(newStream(), eventstore.Take, key)
		}
		won := f.winner(f.together(stores, racers...), func(won int) error { return taken(0, racers[won].Writes[0].Stream) })
		f.holder(key, racers[won].Writes[0].Stream)
	}
	f.audit()
}

// One holder lets go while others take, in the same group: whoever takes it, there is one holder and it was told so.
func claimsHandOver(f *fixture) {
	stores := []eventstore.Store{f.store, f.Again()}
	for range 8 {
		first, key := newStream(), hash()
		f.must(f.claim(first, eventstore.Take, key))
		racers := []eventstore.Append{f.claim(first, eventstore.Release, key)}
		for range 8 {
			racers = append(racers, f.claim(newStream(), eventstore.Take, key))
		}
		answers := f.together(stores, racers...)
		f.accepted(racers[0], answers[0])
		var won []eventstore.Stream
		for i, a := range answers[1:] {
			if a.err == nil {
				won = append(won, racers[i+1].Writes[0].Stream)
			}
		}
		switch len(won) {
		case 0:
			f.free(key)
		case 1:
			f.holder(key, won[0])
		default:
			f.Fatalf("%d streams took one claim", len(won))
		}
	}
}
