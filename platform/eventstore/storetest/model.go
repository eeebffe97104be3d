package storetest

import (
	"bytes"
	"flag"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/bgce/archive/platform/eventstore"
)

// world is what the log has to be, computed from what was sent and answered; it never reads the log.
type world struct {
	f        *fixture
	base     eventstore.Position // of the log before this history
	streams  []eventstore.Stream
	keys     []eventstore.Hash // of claims and receipts alike: they must not meet
	bodies   []eventstore.Hash
	events   map[eventstore.Stream][]uuid.UUID
	order    []uuid.UUID
	at       []eventstore.Position
	claims   map[eventstore.Hash]eventstore.Stream
	receipts map[eventstore.Hash]eventstore.Receipt
	done     []eventstore.Append
	results  []eventstore.Result
}

// model lets random histories of appends, repeats and reads run against the engine and against the world.
func model(f *fixture) {
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue { // a flag given by hand wins
		defer func() { _ = checks.Value.Set(checks.DefValue) }()
		_ = checks.Value.Set("50")
	}
	rapid.Check(f.T, func(t *rapid.T) {
		w := &world{f: f, base: f.head(), events: map[eventstore.Stream][]uuid.UUID{}, claims: map[eventstore.Hash]eventstore.Stream{}, receipts: map[eventstore.Hash]eventstore.Receipt{}}
		for range 4 {
			w.streams, w.keys, w.bodies = append(w.streams, newStream()), append(w.keys, hash()), append(w.bodies, hash())
		}
		t.Repeat(map[string]func(*rapid.T){
			"append":  w.append,
			"repeat":  w.repeat,
			"stream":  w.stream,
			"page":    w.page,
			"claim":   w.claim,
			"receipt": w.receipt,
			"":        w.invariant,
		})
	})
	f.audit()
}

// draw makes an append of up to three writes, claims and receipts, on streams and keys that meet often.
func (w *world) draw(t *rapid.T) (a eventstore.Append) {
	n := 0
	for _, s := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.streams), 1, 3, rapid.ID[eventstore.Stream]).Draw(t, "streams") {
		now := eventstore.Expect(len(w.events[s]))
		e := rapid.SampledFrom([]eventstore.Expect{anyVersion, anyVersion, now, now, now, none, exists, now + 1, max(1, now-1)}).Draw(t, "expect")
		a.Writes = append(a.Writes, w.f.write(s, e, rapid.IntRange(0, 3).Draw(t, "events")))
		n += len(a.Writes[len(a.Writes)-1].Events)
	}
	for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.keys), 0, 2, rapid.ID[eventstore.Hash]).Draw(t, "claims") {
		a.Claims = append(a.Claims, eventstore.Claim{
			Key: k, Op: rapid.SampledFrom([]eventstore.ClaimOp{eventstore.Take, eventstore.Take, eventstore.Release, eventstore.Require}).Draw(t, "op"),
			Holder: rapid.SampledFrom(w.streams).Draw(t, "holder"),
		})
	}
	for _, k := range rapid.SliceOfNDistinct(rapid.SampledFrom(w.keys), 0, 2, rapid.ID[eventstore.Hash]).Draw(t, "receipts") {
		r := eventstore.Receipt{Key: k, Fingerprint: w.bodies[rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "body")], Answer: fmt.Appendf(nil, "%d", len(w.order)), After: rapid.IntRange(0, n).Draw(t, "after")}
		if r.After == 0 && len(w.at) > 0 {
			r.Position = rapid.SampledFrom(w.at).Draw(t, "position")
		}
		a.Receipts = append(a.Receipts, r)
	}
	return a
}

// refusals are the errors the append may be answered with; a receipt comes before all others.
func (w *world) refusals(a eventstore.Append) (list []error) {
	for i, r := range a.Receipts {
		if old, ok := w.receipts[r.Key]; ok && old.Fingerprint == r.Fingerprint {
			list = append(list, &eventstore.ReceiptExists{Index: i, Receipt: old})
		} else if ok {
			list = append(list, &eventstore.KeyReused{Index: i})
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, x := range a.Writes {
		now := len(w.events[x.Stream])
		if x.Expect >= 0 && int(x.Expect) != now || x.Expect == exists && now == 0 {
			list = append(list, stale(x.Stream, x.Expect, now))
		}
	}
	for i, c := range a.Claims {
		holder, held := w.claims[c.Key]
		if c.Op == eventstore.Take && held && holder != c.Holder {
			list = append(list, taken(i, holder))
		}
		if c.Op == eventstore.Require && !held {
			list = append(list, &eventstore.ClaimMissing{Index: i})
		}
	}
	return list
}

func (w *world) append(t *rapid.T) {
	a := w.draw(t)
	want := w.refusals(a)
	r, err := w.f.store.Append(w.f.ctx, a)
	if len(want) > 0 {
		if !slices.ContainsFunc(want, func(e error) bool { return sameError(e, err) }) {
			t.Fatalf("answered %v\nwant one of %v", err, want)
		}
		return
	}
	if err != nil || r.Repeated || len(r.Positions) != len(ids(a)) {
		t.Fatalf("answered %+v, %v", r, err)
	}
	for _, p := range r.Positions {
		if p <= w.head() {
			t.Fatalf("position %q after %q", p, w.head())
		}
		w.at = append(w.at, p)
	}
	w.order = append(w.order, ids(a)...)
	for _, x := range a.Writes {
		w.events[x.Stream] = append(w.events[x.Stream], ids(writes(x))...)
	}
	for _, c := range a.Claims {
		if c.Op == eventstore.Take {
			w.claims[c.Key] = c.Holder
		} else if c.Op == eventstore.Release && w.claims[c.Key] == c.Holder {
			delete(w.claims, c.Key)
		}
	}
	for _, x := range a.Receipts {
		w.receipts[x.Key] = kept(x, r)
	}
	if len(r.Positions) > 0 {
		w.done, w.results = append(w.done, a), append(w.results, r)
	}
}

// repeat sends something that happened once more, whatever has happened since.
func (w *world) repeat(t *rapid.T) {
	if len(w.done) == 0 {
		t.Skip("nothing happened yet")
	}
	i := rapid.IntRange(0, len(w.done)-1).Draw(t, "which")
	r, err := w.f.store.Append(w.f.ctx, w.done[i])
	if err != nil || !r.Repeated || !slices.Equal(r.Positions, w.results[i].Positions) || !r.RecordedAt.Equal(w.results[i].RecordedAt) {
		t.Fatalf("repeated: %+v, %v\nfirst %+v", r, err, w.results[i])
	}
}

func (w *world) stream(t *rapid.T) {
	s := rapid.SampledFrom(w.streams).Draw(t, "stream")
	all := w.events[s]
	from := rapid.IntRange(0, len(all)+1).Draw(t, "from")
	limit := rapid.IntRange(1, 6).Draw(t, "limit")
	backwards := rapid.Bool().Draw(t, "backwards")
	var want []uuid.UUID
	if !backwards {
		want = all[min(from, len(all)):]
	} else if want = slices.Clone(all); from > 0 {
		want = want[:min(from-1, len(all))]
	}
	if backwards {
		slices.Reverse(want)
	}
	want = want[:min(limit, len(want))]
	got, err := w.f.store.ReadStream(w.f.ctx, s, from, backwards, limit)
	if err != nil || !slices.Equal(recordedIDs(got), want) {
		t.Fatalf("stream from %d, %d, backwards %v: %v, %v\nwant %v", from, limit, backwards, recordedIDs(got), err, want)
	}
	if v, err := w.f.store.Version(w.f.ctx, s); err != nil || v != len(all) {
		t.Fatalf("version %d, %v; want %d", v, err, len(all))
	}
}

func (w *world) page(t *rapid.T) {
	from := rapid.IntRange(0, len(w.order)).Draw(t, "from")
	limit := rapid.IntRange(1, 8).Draw(t, "limit")
	page, err := w.f.store.Read(w.f.ctx, eventstore.Query{From: w.place(from), Limit: limit})
	to := min(from+limit, len(w.order))
	if err != nil || !slices.Equal(recordedIDs(page.Events), w.order[from:to]) || page.Next != w.place(to) || page.End && to < len(w.order) || !page.End && from == len(w.order) {
		t.Fatalf("page from %d, %d: %v, next %q, end %v, %v\nwant %v, %q", from, limit, recordedIDs(page.Events), page.Next, page.End, err, w.order[from:to], w.place(to))
	}
	if n, err := w.f.store.Count(w.f.ctx, w.place(from), w.place(to)); err != nil || int(n) != to-from {
		t.Fatalf("count %d, %v; want %d", n, err, to-from)
	}
}

// place is the position of the n-th event of this history.
func (w *world) place(n int) eventstore.Position {
	if n == 0 {
		return w.base
	}
	return w.at[n-1]
}

func (w *world) head() eventstore.Position { return w.place(len(w.at)) }

func (w *world) claim(t *rapid.T) {
	k := rapid.SampledFrom(w.keys).Draw(t, "key")
	want, held := w.claims[k]
	if got, ok, err := w.f.store.Holder(w.f.ctx, k); err != nil || ok != held || got != want {
		t.Fatalf("holder %s, %v, %v; want %s, %v", got, ok, err, want, held)
	}
}

func (w *world) receipt(t *rapid.T) {
	k := rapid.SampledFrom(w.keys).Draw(t, "key")
	want, kept := w.receipts[k]
	got, ok, err := w.f.store.Receipt(w.f.ctx, k)
	if err != nil || ok != kept || ok && (!sameReceipt(got, want) || !bytes.Equal(got.Answer, want.Answer)) {
		t.Fatalf("receipt %+v, %v, %v; want %+v, %v", got, ok, err, want, kept)
	}
}

func (w *world) invariant(t *rapid.T) {
	if head, err := w.f.store.Head(w.f.ctx); err != nil || head != w.head() {
		t.Fatalf("head %q, %v; want %q", head, err, w.head())
	}
}
