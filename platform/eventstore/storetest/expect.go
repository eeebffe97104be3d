package storetest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

const anyVersion, none, exists = eventstore.Any, eventstore.NoStream, eventstore.StreamExists

func stale(s eventstore.Stream, e eventstore.Expect, actual int) error {
	return &eventstore.WrongVersion{Stream: s, Expect: e, Actual: actual}
}

func expectEveryMode(f *fixture) {
	s := newStream()
	f.refused(stale(s, exists, 0), writes(f.write(s, exists, 1)))
	f.refused(stale(s, 1, 0), writes(f.write(s, 1, 1)))
	f.must(writes(f.write(s, none, 2)))
	f.refused(stale(s, none, 2), writes(f.write(s, none, 1)))
	f.refused(stale(s, 1, 2), writes(f.write(s, 1, 1)))
	f.refused(stale(s, 3, 2), writes(f.write(s, 3, 1)))
	f.must(writes(f.write(s, 2, 1)))
	f.must(writes(f.write(s, exists, 1)))
	f.must(writes(f.write(s, anyVersion, 1)))
	f.version(s, 5)

	fresh := newStream()
	f.must(writes(f.write(fresh, anyVersion, 1)))
	f.version(fresh, 1)

	namesake := eventstore.Stream{Category: "test.other", ID: s.ID}
	f.must(writes(f.write(namesake, none, 1)))
	f.version(namesake, 1)
	f.audit()
}

func expectCheckOnly(f *fixture) {
	s, other := newStream(), newStream()
	check := func(e eventstore.Expect) eventstore.Append {
		return writes(f.write(other, anyVersion, 1), eventstore.Write{Stream: s, Expect: e})
	}
	f.must(check(none))
	f.refused(stale(s, exists, 0), check(exists))
	f.refused(stale(s, 2, 0), check(2))
	f.must(writes(f.write(s, none, 2)))
	f.must(check(2))
	f.must(check(exists))
	f.must(check(anyVersion))
	f.refused(stale(s, none, 2), check(none))
	f.refused(stale(s, 1, 2), check(1))
	f.refused(stale(s, 3, 2), check(3))
	f.version(s, 2)
	f.version(other, 4)

	f.must(writes(eventstore.Write{Stream: s, Expect: 2})) // nothing but a check
	f.refused(stale(s, 1, 2), writes(eventstore.Write{Stream: s, Expect: 1}))
}

// winner demands that exactly one of the answers is a success and every other the same named failure.
func (f *fixture) winner(answers []outcome, lost func(winner int) error) int {
	f.Helper()
	won := -1
	for i, a := range answers {
		if a.err == nil && won >= 0 {
			f.Fatalf("appends %d and %d both won", won, i)
		}
		if a.err == nil {
			won = i
		}
	}
	if won < 0 {
		f.Fatalf("nobody won: %v", answers[0].err)
	}
	for i, a := range answers {
		if i != won {
			f.same(lost(won), a.err)
		}
	}
	return won
}

func expectRaced(f *fixture) {
	stores := []eventstore.Store{f.store, f.Again()}
	for range 8 {
		s := newStream()
		f.must(writes(f.write(s, none, 3)))
		racers := make([]eventstore.Append, 16)
		for i := range racers {
			racers[i] = writes(f.write(s, 3, 1))
		}
		won := f.winner(f.together(stores, racers...), func(int) error { return stale(s, 3, 4) })
		list, err := f.store.ReadStream(f.ctx, s, 3, false, 10)
		if err != nil || len(list) != 1 || list[0].ID != ids(racers[won])[0] {
			f.Fatalf("the stream holds %v (%v), the winner sent %v", recordedIDs(list), err, ids(racers[won]))
		}
	}
	f.audit()
}

func expectRacedAny(f *fixture) {
	s := newStream()
	racers := make([]eventstore.Append, 32)
	for i := range racers {
		racers[i] = writes(f.write(s, anyVersion, 2))
	}
	for i, a := range f.together([]eventstore.Store{f.store, f.Again()}, racers...) {
		f.accepted(racers[i], a)
	}
	f.version(s, 64)
	f.audit()
}

// Two appends that each check the stream the other writes: at most one may pass on the same state.
func expectRacedCheck(f *fixture) {
	stores := []eventstore.Store{f.store, f.Again()}
	for i := range 12 {
		a, b := newStream(), newStream()
		answers := f.together(stores[:1+i%2], // in one group, and in two
			writes(f.write(a, none, 1), eventstore.Write{Stream: b, Expect: none}),
			writes(f.write(b, none, 1), eventstore.Write{Stream: a, Expect: none}))
		f.winner(answers, func(won int) error { return stale([]eventstore.Stream{a, b}[won], none, 1) })
	}
}

func appendAtomically(f *fixture) {
	a, b, c := newStream(), newStream(), newStream()
	all := writes(f.write(a, none, 2), f.write(b, none, 1), f.write(c, anyVersion, 3))
	got := f.must(all)
	for i, w := range all.Writes {
		list, err := f.store.ReadStream(f.ctx, w.Stream, 0, false, 10)
		if err != nil || len(list) != len(w.Events) {
			f.Fatalf("write %d: %d events, %v", i, len(list), err)
		}
	}
	seen := f.audit()
	for i, id := range ids(all) {
		if seen[id] != got.Positions[i] {
			f.Fatalf("event %d is at %q, the answer said %q", i, seen[id], got.Positions[i])
		}
	}
	f.refused(stale(c, 2, 3), writes(f.write(a, 2, 1), f.write(b, 1, 1), f.write(c, 2, 1)))
	f.refused(stale(a, 1, 2), writes(f.write(a, 1, 1), f.write(b, 1, 1), f.write(newStream(), none, 1)))
	f.version(a, 2)
	f.version(b, 1)
	f.version(c, 3)
}

func conflictFailsAlone(f *fixture) {
	for range 8 {
		s := newStream()
		f.must(writes(f.write(s, none, 2)))
		group := make([]eventstore.Append, 17)
		for i := range group {
			group[i] = f.one()
		}
		odd := rand.IntN(len(group))
		group[odd] = writes(f.write(newStream(), none, 1), f.write(s, 1, 1))
		for i, a := range f.together([]eventstore.Store{f.store}, group...) {
			if i == odd {
				f.same(stale(s, 1, 2), a.err)
				continue
			}
			f.accepted(group[i], a)
		}
	}
	f.audit()
}

// poisons are appends no engine can store; each must be refused by name, alone.
func (f *fixture) poisons() map[string]eventstore.Append {
	list := map[string]eventstore.Append{}
	poison := func(name string, spoil func(*eventstore.Event)) {
		a := f.one()
		spoil(&a.Writes[0].Events[0])
		list[name] = a
	}
	poison("NUL in the actor", func(e *eventstore.Event) { e.Actor = "service:\x00" })
	poison("NUL in the type", func(e *eventstore.Event) { e.Type = "test.thing\x00.happened" })
	poison("bad UTF-8 in the type", func(e *eventstore.Event) { e.Type = "test.thing.\xff" })
	poison("schema version 0", func(e *eventstore.Event) { e.Schema = 0 })
	a := f.one()
	wide := make([]byte, 4096)
	for i := range wide {
		wide[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[rand.IntN(36)]
	}
	a.Writes[0].Stream.Category = string(wide)
	list["a category of 4 KB"] = a
	return list
}

func poisonFailsAlone(f *fixture) {
	for name, poison := range f.poisons() {
		group := make([]eventstore.Append, 18)
		for i := range group {
			group[i] = f.one()
		}
		odd := rand.IntN(len(group))
		group[odd] = poison
		answers := f.together([]eventstore.Store{f.store}, group...)
		for i, a := range answers {
			if i != odd && a.err != nil {
				f.Fatalf("%s: a neighbour failed: %v", name, a.err)
			}
		}
		if err := answers[odd].err; !errors.Is(err, eventstore.ErrInvalid) && !errors.Is(err, eventstore.ErrTooLarge) {
			f.Fatalf("%s: answered %v", name, err)
		}
		if _, stored := f.audit()[ids(poison)[0]]; stored {
			f.Fatalf("%s: refused and stored", name)
		}
	}
}

func keptExactly(f *fixture) {
	s, a := newStream(), writes(eventstore.Write{Expect: none})
	a.Writes[0].Stream = s
	a.Writes[0].Events = f.events(2)
	full := &a.Writes[0].Events[0]
	full.Type, full.Schema, full.Actor, full.Causation = "test.thing.changed", 7, "operator:ünï", uuid.New()
	full.Data = []byte("{ \"b\" : 1.0,\n \"a\":\"\\u0000 é\", \"b\":2 }") // order, spaces, duplicates, escapes
	full.Meta = []byte(`{"reason": "x"}`)
	full.At = time.Date(2001, 2, 3, 4, 5, 6, 789_012_000, time.UTC)
	plain := &a.Writes[0].Events[1]
	plain.Actor, plain.Correlation = "", uuid.Nil
	r := f.must(a)

	list, err := f.Again().ReadStream(f.ctx, s, 0, false, 10)
	if err != nil || len(list) != 2 {
		f.Fatalf("%d events, %v", len(list), err)
	}
	for i, got := range list {
		want := a.Writes[0].Events[i]
		if got.ID != want.ID || got.Type != want.Type || got.Schema != want.Schema || got.Tenant != want.Tenant || got.Actor != want.Actor ||
			!got.At.Equal(want.At) || got.At.Location() != time.UTC || got.Correlation != want.Correlation || got.Causation != want.Causation ||
			!bytes.Equal(got.Data, want.Data) || !bytes.Equal(got.Meta, want.Meta) || len(got.Contents) != 0 {
			f.Fatalf("kept %+v\n want %+v", got.Event, want)
		}
		if got.Stream != s || got.Version != i+1 || got.Position != r.Positions[i] || !got.RecordedAt.Equal(r.RecordedAt) {
			f.Fatalf("kept at %s %d %s %v, answered %+v", got.Stream, got.Version, got.Position, got.RecordedAt, r)
		}
	}
	if age := time.Since(list[0].RecordedAt); age < -time.Minute || age > time.Minute {
		f.Fatalf("recorded %v ago", age)
	}
}

func limits(f *fixture) {
	payload := func(n int) eventstore.Append {
		a := f.one()
		a.Writes[0].Events[0].Data = []byte(`"` + strings.Repeat("x", n-2) + `"`)
		return a
	}
	f.must(payload(eventstore.MaxPayload))
	f.refused(eventstore.ErrTooLarge, payload(eventstore.MaxPayload+1))

	together := func(bytes int) eventstore.Append { // in events as large as they may be
		a := f.one()
		first := a.Writes[0].Events[0]
		a.Writes[0].Events = nil
		for ; bytes > 0; bytes -= eventstore.MaxPayload {
			e := first
			e.ID, e.Data = uuid.New(), []byte(`"`+strings.Repeat("x", min(bytes, eventstore.MaxPayload)-2)+`"`)
			a.Writes[0].Events = append(a.Writes[0].Events, e)
		}
		return a
	}
	f.must(together(eventstore.MaxAppend))
	f.refused(eventstore.ErrTooLarge, together(eventstore.MaxAppend+2))

	f.must(writes(f.write(newStream(), none, eventstore.MaxEvents)))
	f.refused(eventstore.ErrTooLarge, writes(f.write(newStream(), none, eventstore.MaxEvents+1)))
	f.refused(eventstore.ErrTooLarge, writes(f.write(newStream(), none, 1), f.write(newStream(), none, eventstore.MaxEvents)))

	var wide eventstore.Append
	for i := range eventstore.MaxStreams {
		wide.Writes = append(wide.Writes, f.write(newStream(), none, i%2)) // half of them check only
	}
	f.must(wide)
	wide.Writes = append(wide.Writes, eventstore.Write{Stream: newStream(), Expect: none})
	f.refused(eventstore.ErrTooLarge, wide)

	if _, err := f.store.PutContent(f.ctx, f.tenant, make([]byte, eventstore.MaxContent+1)); !errors.Is(err, eventstore.ErrTooLarge) {
		f.Fatalf("a large text of one byte too many: %v", err)
	}
	f.audit()
}
