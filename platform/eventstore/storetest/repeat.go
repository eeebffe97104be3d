package storetest

import (
	"errors"
	"slices"

	"github.com/bgce/archive/platform/eventstore"
)

// repeated sends an append again and demands the first outcome.
func (f *fixture) repeated(store eventstore.Store, a eventstore.Append, first eventstore.Result) {
	f.Helper()
	head := f.head()
	got, err := store.Append(f.ctx, a)
	if err != nil || !got.Repeated || !slices.Equal(got.Positions, first.Positions) || !got.RecordedAt.Equal(first.RecordedAt) {
		f.Fatalf("repeated: %+v, %v\n first: %+v", got, err, first)
	}
	if now := f.head(); now != head {
		f.Fatalf("a repeat moved the log from %q to %q", head, now)
	}
}

func repeatFirstOutcome(f *fixture) {
	s, key := newStream(), hash()
	a := f.claim(s, eventstore.Take, key)
	a.Writes[0].Expect = none
	a.Writes = append(a.Writes, f.write(newStream(), none, 2), eventstore.Write{Stream: newStream(), Expect: none})
	a.Receipts = []eventstore.Receipt{{Key: hash(), Fingerprint: hash(), Answer: []byte("x"), After: 1}}
	first := f.must(a)
	f.repeated(f.store, a, first)

	f.must(f.claim(s, eventstore.Release, key)) // the world goes on
	f.must(f.claim(newStream(), eventstore.Take, key))
	f.repeated(f.store, a, first)
	f.repeated(f.Again(), a, first)
	f.store = f.Reopen()
	f.repeated(f.store, a, first)
	f.version(s, 2)
	f.audit()
}

func repeatRaced(f *fixture) {
	stores := []eventstore.Store{f.store, f.Again()}
	for range 8 {
		a := writes(f.write(newStream(), none, 2), f.write(newStream(), none, 1))
		same := make([]eventstore.Append, 8)
		for i := range same {
			same[i] = a
		}
		fresh, answers := 0, f.together(stores, same...)
		for _, o := range answers {
			if o.err != nil || !slices.Equal(o.Positions, answers[0].Positions) {
				f.Fatalf("answers differ: %+v, %+v", o, answers[0])
			}
			if !o.Repeated {
				fresh++
			}
		}
		if fresh != 1 {
			f.Fatalf("%d answers claim to be the first", fresh)
		}
	}
	f.audit()
}

func repeatPartial(f *fixture) {
	s := newStream()
	a := writes(f.write(s, none, 2))
	f.must(a)
	longer := writes(eventstore.Write{Stream: s, Expect: none, Events: append(slices.Clone(a.Writes[0].Events), f.events(1)...)})
	f.refused(eventstore.ErrPartialRepeat, longer)
	shifted := writes(eventstore.Write{Stream: s, Expect: anyVersion, Events: append(slices.Clone(a.Writes[0].Events[1:]), f.events(1)...)})
	f.refused(eventstore.ErrPartialRepeat, shifted)
	wider := writes(a.Writes[0], f.write(newStream(), none, 1))
	f.refused(eventstore.ErrPartialRepeat, wider)
	f.version(s, 2)
}

func repeatElsewhere(f *fixture) {
	s := newStream()
	a := writes(f.write(s, none, 1))
	f.must(a)
	named := func(err error) bool {
		return errors.Is(err, eventstore.ErrEventExists) || errors.Is(err, eventstore.ErrPartialRepeat)
	}
	elsewhere := writes(eventstore.Write{Stream: newStream(), Expect: none, Events: a.Writes[0].Events})
	mixed := f.one()
	mixed.Writes[0].Events = append(mixed.Writes[0].Events, a.Writes[0].Events...)
	twice := f.one()
	twice.Writes[0].Events = append(twice.Writes[0].Events, twice.Writes[0].Events...)
	for name, bad := range map[string]eventstore.Append{"in another stream": elsewhere, "beside a new one": mixed} {
		if got, err := f.store.Append(f.ctx, bad); !named(err) {
			f.Fatalf("an event id %s: %+v, %v", name, got, err)
		}
	}
	if got, err := f.store.Append(f.ctx, twice); !named(err) && !errors.Is(err, eventstore.ErrInvalid) {
		f.Fatalf("an event id twice in one append: %+v, %v", got, err)
	}
	if n := len(f.audit()); n != 1 {
		f.Fatalf("%d events in the log", n)
	}

	// Two appends that share an event id, in one group: one of them is stored, whole.
	shared := f.events(1)
	rivals := []eventstore.Append{
		writes(eventstore.Write{Stream: newStream(), Expect: none, Events: append(f.events(1), shared...)}),
		writes(eventstore.Write{Stream: newStream(), Expect: none, Events: append(slices.Clone(shared), f.events(1)...)}),
	}
	answers := f.together([]eventstore.Store{f.store}, rivals...)
	if (answers[0].err == nil) == (answers[1].err == nil) {
		f.Fatalf("rivals answered %v and %v", answers[0].err, answers[1].err)
	}
	for i, o := range answers {
		if o.err != nil && !named(o.err) {
			f.Fatalf("rival %d: %v", i, o.err)
		}
	}
	f.audit()
}
