package storetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

func (f *fixture) read(q eventstore.Query) eventstore.Page {
	f.Helper()
	page, err := f.store.Read(f.ctx, q)
	if err != nil {
		f.Fatalf("read %+v: %v", q, err)
	}
	return page
}

func (f *fixture) count(from, to eventstore.Position, want int64) {
	f.Helper()
	if n, err := f.store.Count(f.ctx, from, to); err != nil || n != want {
		f.Fatalf("count (%q, %q] is %d, %v; want %d", from, to, n, err, want)
	}
}

func readEmpty(f *fixture) {
	if head := f.head(); head != "" {
		f.Fatalf("the head of an empty log is %q", head)
	}
	for _, backwards := range []bool{false, true} {
		if page := f.read(eventstore.Query{Backwards: backwards}); len(page.Events) != 0 || page.Next != "" || !page.End {
			f.Fatalf("backwards %v: %+v", backwards, page)
		}
		if list, err := f.store.ReadStream(f.ctx, newStream(), 0, backwards, 10); err != nil || len(list) != 0 {
			f.Fatalf("a stream that is not there, backwards %v: %d events, %v", backwards, len(list), err)
		}
	}
	f.count("", "", 0)
	f.version(newStream(), 0)
	if at, err := f.store.AsOf(f.ctx, time.Now().Add(time.Hour)); err != nil || at != "" {
		f.Fatalf("as of now: %q, %v", at, err)
	}
	if _, err := f.store.At(f.ctx, ""); !errors.Is(err, eventstore.ErrNoEvent) {
		f.Fatalf("the event before the first: %v", err)
	}
	if f.store.LogID() == "" || f.store.LogID() != f.Again().LogID() {
		f.Fatalf("the log's id is %q", f.store.LogID())
	}
	if n, err := f.store.Sweep(f.ctx); err != nil || n != 0 {
		f.Fatalf("swept %d, %v", n, err)
	}
}

// A fresh counter reports its first value before it is used: the very first event is the one that gets lost.
func readFirst(f *fixture) {
	other := f.Again()
	woken := make(chan error, 1)
	soon, cancel := context.WithTimeout(f.ctx, 5*time.Second)
	defer cancel()
	go func() { woken <- other.Wait(soon, "") }()
	a := f.one()
	at := f.must(a).Positions[0]
	if err := <-woken; err != nil {
		f.Fatalf("waiting for the first event: %v", err)
	}
	if at == "" || f.head() != at {
		f.Fatalf("the first event is at %q, the head %q", at, f.head())
	}
	for _, store := range []eventstore.Store{f.store, other, f.Again()} {
		for page, err := range eventstore.Follow(f.ctx, store, eventstore.Checkpoint{}, eventstore.Filter{}, 10) {
			if err != nil || len(page.Events) != 1 || page.Events[0].ID != ids(a)[0] || page.Next != at {
				f.Fatalf("a follower from the start: %+v, %v", page, err)
			}
			break
		}
	}
	f.count("", at, 1)
	f.count(at, at, 0)
	if back := f.read(eventstore.Query{From: at, Backwards: true}); len(back.Events) != 0 || !back.End {
		f.Fatalf("before the first event: %+v", back)
	}
	if got, err := f.store.At(f.ctx, at); err != nil || got.ID != ids(a)[0] || got.Position != at {
		f.Fatalf("at the first position: %+v, %v", got, err)
	}
}

func readStream(f *fixture) {
	s := newStream()
	a := writes(f.write(s, none, 7))
	f.must(f.one())
	f.must(a)
	f.must(writes(f.write(eventstore.Stream{Category: "test.other", ID: s.ID}, none, 3)))
	all := ids(a)
	back := slices.Clone(all)
	slices.Reverse(back)
	for _, c := range []struct {
		from      int
		backwards bool
		limit     int
		want      []uuid.UUID
	}{
		{0, false, 100, all},
		{0, false, 3, all[:3]},
		{3, false, 3, all[3:6]},
		{6, false, 3, all[6:]},
		{7, false, 3, nil},
		{99, false, 3, nil},
		{0, true, 100, back},
		{0, true, 3, back[:3]},
		{5, true, 3, back[3:6]},
		{2, true, 3, back[6:]},
		{1, true, 3, nil},
	} {
		list, err := f.store.ReadStream(f.ctx, s, c.from, c.backwards, c.limit)
		if err != nil || !slices.Equal(recordedIDs(list), c.want) {
			f.Fatalf("%+v: %v, %v", c, recordedIDs(list), err)
		}
		for _, e := range list {
			if e.Stream != s || all[e.Version-1] != e.ID {
				f.Fatalf("%+v: version %d of %s is %s", c, e.Version, e.Stream, e.ID)
			}
		}
	}
}

// pages reads to the end in steps of limit and gives the ids met, in the order met.
func (f *fixture) pages(q eventstore.Query) (met []uuid.UUID) {
	f.Helper()
	for range 1000 {
		page := f.read(q)
		if len(page.Events) > q.Limit {
			f.Fatalf("%d events for a limit of %d", len(page.Events), q.Limit)
		}
		if !page.End && page.Next == q.From {
			f.Fatalf("stuck at %q: %+v", q.From, page)
		}
		met = append(met, recordedIDs(page.Events)...)
		if page.End {
			return met
		}
		q.From = page.Next
	}
	f.Fatal("reading never ends")
	return nil
}

func (f *fixture) fill(n int) (all []uuid.UUID, at []eventstore.Position) {
	for i := 0; i < n; i += 3 {
		a := writes(f.write(newStream(), none, 1), f.write(newStream(), none, 2))
		at = append(at, f.must(a).Positions...)
		all = append(all, ids(a)...)
	}
	return all, at
}

func readLog(f *fixture) {
	all, at := f.fill(21)
	for _, store := range []eventstore.Store{f.store, f.Again()} { // one that wrote it, one that has only read it
		f.store = store
		for _, limit := range []int{1, 2, 7, 20, 21, 22, 500} {
			if got := f.pages(eventstore.Query{Limit: limit}); !slices.Equal(got, all) {
				f.Fatalf("in steps of %d: %v\nwant %v", limit, got, all)
			}
		}
		if got := f.pages(eventstore.Query{From: at[9], Limit: 4}); !slices.Equal(got, all[10:]) {
			f.Fatalf("from the middle: %v", got)
		}
		if page := f.read(eventstore.Query{From: at[20]}); len(page.Events) != 0 || page.Next != at[20] || !page.End {
			f.Fatalf("from the end: %+v", page)
		}
		if page := f.read(eventstore.Query{}); len(page.Events) != 21 || page.Next != at[20] {
			f.Fatalf("without a limit: %d events up to %q", len(page.Events), page.Next)
		}
	}
}

// What another store has appended is there for every read that begins later: no end is announced before it.
func readOther(f *fixture) {
	stores := []eventstore.Store{f.store, f.Again()}
	var all []uuid.UUID
	for i := range 12 {
		a := f.one()
		if _, err := stores[i%2].Append(f.ctx, a); err != nil {
			f.Fatal(err)
		}
		all = append(all, ids(a)...)
		for _, f.store = range stores {
			for _, limit := range []int{5, 500} {
				if got := f.pages(eventstore.Query{Limit: limit}); !slices.Equal(got, all) {
					f.Fatalf("after append %d: %v\nwant %v", i, got, all)
				}
			}
			if head, err := f.store.At(f.ctx, f.head()); err != nil || head.ID != all[i] {
				f.Fatalf("after append %d the head is %+v, %v", i, head, err)
			}
		}
	}
}

func readBackwards(f *fixture) {
	all, at := f.fill(21)
	slices.Reverse(all)
	slices.Reverse(at)
	for _, limit := range []int{1, 2, 7, 20, 21, 22, 500} {
		if got := f.pages(eventstore.Query{Backwards: true, Limit: limit}); !slices.Equal(got, all) {
			f.Fatalf("in steps of %d: %v\nwant %v", limit, got, all)
		}
	}
	if got := f.pages(eventstore.Query{Backwards: true, From: at[9], Limit: 4}); !slices.Equal(got, all[10:]) {
		f.Fatalf("from the middle: %v", got)
	}
	page := f.read(eventstore.Query{Backwards: true, Limit: 5})
	if page.Next != at[4] || page.End {
		f.Fatalf("five looked at, next is %q, want %q, end %v", page.Next, at[4], page.End)
	}
	other := f.pages(eventstore.Query{Backwards: true, Limit: 4, Filter: eventstore.Filter{Categories: []string{"test.other"}}})
	if len(other) != 0 {
		f.Fatalf("nothing of this category was written: %v", other)
	}
}

func readFilters(f *fixture) {
	type kind struct {
		category, typ string
		tenant        uuid.UUID
	}
	red, blue := uuid.New(), uuid.New()
	written := map[kind][]uuid.UUID{}
	var order []uuid.UUID
	for range 4 {
		for _, k := range []kind{{"test.thing", "test.thing.made", red}, {"test.thing", "test.thing.lost", blue}, {"test.other", "test.other.made", red}, {"test.thin", "test.thing.made", blue}} {
			a := writes(f.write(eventstore.Stream{Category: k.category, ID: uuid.New()}, none, 1))
			a.Writes[0].Events[0].Type, a.Writes[0].Events[0].Tenant = k.typ, k.tenant
			f.must(a)
			written[k] = append(written[k], ids(a)...)
			order = append(order, ids(a)...)
		}
	}
	list := func(s ...string) []string { return s }
	for _, c := range []struct {
		filter eventstore.Filter
		match  func(kind) bool
	}{
		{eventstore.Filter{}, func(kind) bool { return true }},
		{eventstore.Filter{Categories: list(), Types: list()}, func(kind) bool { return true }},
		{eventstore.Filter{Categories: list("test.thing")}, func(k kind) bool { return k.category == "test.thing" }},
		{eventstore.Filter{Categories: list("test.other", "test.thin")}, func(k kind) bool { return k.category != "test.thing" }},
		{eventstore.Filter{Types: list("test.thing.made")}, func(k kind) bool { return k.typ == "test.thing.made" }},
		{eventstore.Filter{Tenant: blue}, func(k kind) bool { return k.tenant == blue }},
		{
			eventstore.Filter{Categories: list("test.thing"), Types: list("test.thing.made", "test.other.made"), Tenant: red},
			func(k kind) bool { return k.category == "test.thing" && k.typ == "test.thing.made" },
		},
		{eventstore.Filter{Categories: list("test")}, func(kind) bool { return false }},
	} {
		want := map[uuid.UUID]bool{}
		for k, list := range written {
			for _, id := range list {
				want[id] = c.match(k)
			}
		}
		ordered := slices.DeleteFunc(slices.Clone(order), func(id uuid.UUID) bool { return !want[id] })
		for _, store := range []eventstore.Store{f.store, f.Log.Store()} {
			f.store = store
			for _, limit := range []int{3, 100} {
				forward := f.pages(eventstore.Query{Filter: c.filter, Limit: limit})
				back := f.pages(eventstore.Query{Filter: c.filter, Limit: limit, Backwards: true})
				slices.Reverse(back)
				if !slices.Equal(forward, ordered) || !slices.Equal(back, ordered) {
					f.Fatalf("%+v by %d: forwards %v\nbackwards %v\nwant %v", c.filter, limit, forward, back, ordered)
				}
			}
		}
		f.store = f.Again()
	}
}

func readCountAndAt(f *fixture) {
	all, at := f.fill(12)
	at = append([]eventstore.Position{""}, at...)
	for i := range at {
		for j := i; j < len(at); j++ {
			f.count(at[i], at[j], int64(j-i))
		}
	}
	for i, id := range all {
		got, err := f.store.At(f.ctx, at[i+1])
		if err != nil || got.ID != id || got.Position != at[i+1] {
			f.Fatalf("at %q: %+v, %v; want %s", at[i+1], got, err, id)
		}
	}
	if _, err := f.store.At(f.ctx, ""); !errors.Is(err, eventstore.ErrNoEvent) {
		f.Fatalf("at no position: %v", err)
	}
	const bad = "~no token~"
	for name, call := range map[string]func() error{
		"At":         func() error { _, err := f.store.At(f.ctx, bad); return err },
		"Read":       func() error { _, err := f.store.Read(f.ctx, eventstore.Query{From: bad}); return err },
		"Read back":  func() error { _, err := f.store.Read(f.ctx, eventstore.Query{From: bad, Backwards: true}); return err },
		"Count from": func() error { _, err := f.store.Count(f.ctx, bad, at[12]); return err },
		"Count to":   func() error { _, err := f.store.Count(f.ctx, "", bad); return err },
		"Wait":       func() error { return f.store.Wait(f.ctx, bad) },
	} {
		if err := call(); !errors.Is(err, eventstore.ErrInvalid) {
			f.Fatalf("%s with what is no position: %v", name, err)
		}
	}
}

func readAsOf(f *fixture) {
	var times []time.Time
	var at []eventstore.Position
	for len(times) < 6 {
		r := f.must(writes(f.write(newStream(), none, 2)))
		if len(times) > 0 && !r.RecordedAt.After(times[len(times)-1]) {
			at[len(at)-1] = r.Positions[1] // the same µs: as of then, both have happened
			continue
		}
		times, at = append(times, r.RecordedAt), append(at, r.Positions[1])
	}
	asOf := func(t time.Time, want eventstore.Position) {
		f.Helper()
		if got, err := f.store.AsOf(f.ctx, t); err != nil || got != want {
			f.Fatalf("as of %v: %q, %v; want %q", t, got, err, want)
		}
	}
	asOf(times[0].Add(-time.Microsecond), "")
	for i, t := range times {
		asOf(t, at[i])
		if i > 0 {
			asOf(t.Add(-time.Microsecond), at[i-1])
		}
	}
	asOf(times[5].Add(time.Hour), at[5])
}

func readWait(f *fixture) {
	other := f.Again()
	at := f.must(f.one()).Positions[0]
	for _, store := range []eventstore.Store{f.store, other} {
		if err := store.Wait(f.ctx, ""); err != nil { // what is there already
			f.Fatal(err)
		}
		short, cancel := context.WithTimeout(f.ctx, 30*time.Millisecond)
		if err := store.Wait(short, at); !errors.Is(err, context.DeadlineExceeded) {
			f.Fatalf("nothing new, but waiting ended with %v", err)
		}
		cancel()
	}
	soon, cancel := context.WithTimeout(f.ctx, 10*time.Second)
	defer cancel()
	for range 5 {
		woken := make(chan error, 2)
		for _, store := range []eventstore.Store{f.store, other} {
			go func(after eventstore.Position) { woken <- store.Wait(soon, after) }(at)
		}
		yield()
		began := time.Now()
		at = f.must(f.one()).Positions[0]
		for range 2 {
			if err := <-woken; err != nil {
				f.Fatal(err)
			}
		}
		if d := time.Since(began); d > 2*time.Second {
			f.Fatalf("woken after %v", d)
		}
	}
}
