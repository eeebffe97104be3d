package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// fixture is one test on one fresh log.
type fixture struct {
	*testing.T
	Log
	ctx    context.Context
	open   Open
	store  eventstore.Store
	tenant uuid.UUID
}

// outcome is what one append was answered.
type outcome struct {
	eventstore.Result
	err error
}

func newStream() eventstore.Stream {
	return eventstore.Stream{Category: "test.thing", ID: uuid.New()}
}

func hash() (h eventstore.Hash) {
	_, _ = rand.Read(h[:])
	return h
}

func (f *fixture) events(n int) []eventstore.Event {
	list := make([]eventstore.Event, n)
	for i := range list {
		list[i] = eventstore.Event{
			ID: uuid.New(), Type: "test.thing.happened", Schema: 1, Tenant: f.tenant, Actor: "service:storetest",
			At: time.Now().UTC().Truncate(time.Microsecond), Correlation: uuid.New(), Data: []byte(`{}`),
		}
	}
	return list
}

// write is n new events for a stream.
func (f *fixture) write(s eventstore.Stream, e eventstore.Expect, n int) eventstore.Write {
	return eventstore.Write{Stream: s, Expect: e, Events: f.events(n)}
}

func writes(list ...eventstore.Write) eventstore.Append { return eventstore.Append{Writes: list} }

// one is an append of one event to a new stream: nothing but the engine can refuse it.
func (f *fixture) one() eventstore.Append {
	return writes(f.write(newStream(), eventstore.NoStream, 1))
}

// must appends what has to succeed as new.
func (f *fixture) must(a eventstore.Append) eventstore.Result {
	f.Helper()
	r, err := f.store.Append(f.ctx, a)
	if err != nil {
		f.Fatalf("append: %v", err)
	}
	f.accepted(a, outcome{r, nil})
	return r
}

// accepted demands a first success with a position for every event, in rising order.
func (f *fixture) accepted(a eventstore.Append, o outcome) {
	f.Helper()
	if o.err != nil {
		f.Fatalf("append: %v", o.err)
	}
	if n := len(ids(a)); len(o.Positions) != n || o.Repeated || (n > 0 && o.RecordedAt.IsZero()) {
		f.Fatalf("%d events answered with %d positions, repeated %v, at %v", n, len(o.Positions), o.Repeated, o.RecordedAt)
	}
	if !slices.IsSorted(o.Positions) {
		f.Fatalf("positions out of order: %v", o.Positions)
	}
}

// refused appends what has to fail with this error and leave nothing behind.
func (f *fixture) refused(want error, a eventstore.Append) {
	f.Helper()
	head := f.head()
	_, err := f.store.Append(f.ctx, a)
	f.same(want, err)
	if now := f.head(); now != head {
		f.Fatalf("refused with %v, but the log went from %q to %q", err, head, now)
	}
}

// same compares a named failure with its details.
func (f *fixture) same(want, got error) {
	f.Helper()
	if !sameError(want, got) {
		f.Fatalf("answer: %v\n  want: %v", got, want)
	}
}

func sameError(want, got error) bool {
	{
		var w *eventstore.WrongVersion
		var w1 *eventstore.ClaimTaken
		var w2 *eventstore.ClaimMissing
		var w3 *eventstore.KeyReused
		var w4 *eventstore.ReceiptExists
		switch {
		case errors.As(want, &w):
			e, ok := errors.AsType[*eventstore.WrongVersion](got)
			return ok && *e == *w
		case errors.As(want, &w1):
			e, ok := errors.AsType[*eventstore.ClaimTaken](got)
			return ok && *e == *w1
		case errors.As(want, &w2):
			e, ok := errors.AsType[*eventstore.ClaimMissing](got)
			return ok && *e == *w2
		case errors.As(want, &w3):
			e, ok := errors.AsType[*eventstore.KeyReused](got)
			return ok && *e == *w3 && errors.Is(got, eventstore.ErrKeyReused)
		case errors.As(want, &w4):
			e, ok := errors.AsType[*eventstore.ReceiptExists](got)
			return ok && e.Index == w4.Index && sameReceipt(e.Receipt, w4.Receipt)
		}
	}
	return errors.Is(got, want)
}

func sameReceipt(a, b eventstore.Receipt) bool {
	return a.Key == b.Key && a.Fingerprint == b.Fingerprint && string(a.Answer) == string(b.Answer) && a.Position == b.Position
}

// together sends the appends at once, so that an engine that groups them does: behind a stalled one, where the engine can stall.
func (f *fixture) together(stores []eventstore.Store, appends ...eventstore.Append) []outcome {
	release := func() {}
	var all, begun sync.WaitGroup
	if s, ok := f.Log.(Staller); ok {
		release = s.Stall()
		for _, store := range stores {
			begun.Add(1)
			all.Go(func() { begun.Done(); _, _ = store.Append(f.ctx, f.one()) })
		}
		begun.Wait()
		yield()
	}
	answers := make([]outcome, len(appends))
	for i, a := range appends {
		begun.Add(1)
		all.Go(func() {
			begun.Done()
			r, err := stores[i%len(stores)].Append(f.ctx, a)
			answers[i] = outcome{r, err}
		})
	}
	begun.Wait()
	yield()
	release()
	all.Wait()
	return answers
}

// yield lets goroutines that just began reach the store.
func yield() {
	for range 200 {
		runtime.Gosched()
	}
}

// until waits for a condition, at most 20 s.
func (f *fixture) until(what string, done func() bool) {
	f.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !done(); <-tick.C {
		if time.Now().After(end) {
			f.Fatalf("waited in vain: %s", what)
		}
	}
}

func (f *fixture) head() eventstore.Position {
	f.Helper()
	p, err := f.store.Head(f.ctx)
	if err != nil {
		f.Fatalf("head: %v", err)
	}
	return p
}

func (f *fixture) version(s eventstore.Stream, want int) {
	f.Helper()
	got, err := f.store.Version(f.ctx, s)
	if err != nil || got != want {
		f.Fatalf("version of %s is %d, %v; want %d", s, got, err, want)
	}
}

func ids(a eventstore.Append) (list []uuid.UUID) {
	for _, w := range a.Writes {
		for _, e := range w.Events {
			list = append(list, e.ID)
		}
	}
	return list
}

func recordedIDs(list []eventstore.Recorded) (out []uuid.UUID) {
	for _, e := range list {
		out = append(out, e.ID)
	}
	return out
}

// order is what every reader may rely on from one event to the next.
type order struct {
	seen     map[uuid.UUID]eventstore.Position
	versions map[eventstore.Stream]int
	last     eventstore.Position
	at       time.Time
	partial  bool // a filtered reader: versions may jump, never fall
}

func newOrder() *order {
	return &order{seen: map[uuid.UUID]eventstore.Position{}, versions: map[eventstore.Stream]int{}}
}

var token = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (o *order) next(e eventstore.Recorded) error {
	v := o.versions[e.Stream]
	switch before, twice := o.seen[e.ID]; {
	case twice:
		return fmt.Errorf("event %s at %s was seen at %s already", e.ID, e.Position, before)
	case e.Position <= o.last:
		return fmt.Errorf("position %q after %q", e.Position, o.last)
	case !token.MatchString(string(e.Position)):
		return fmt.Errorf("position %q is no token", e.Position)
	case e.RecordedAt.Before(o.at):
		return fmt.Errorf("recorded at %v after %v", e.RecordedAt, o.at)
	case e.Version <= v || (!o.partial && e.Version != v+1):
		return fmt.Errorf("version %d of %s after %d", e.Version, e.Stream, v)
	}
	o.seen[e.ID], o.versions[e.Stream], o.last, o.at = e.Position, e.Version, e.Position, e.RecordedAt
	return nil
}

// audit reads the whole log, demands its order and that its end is the head, and gives every event's position.
func (f *fixture) audit() map[uuid.UUID]eventstore.Position {
	f.Helper()
	head := f.head()
	o := newOrder()
	f.each(eventstore.Query{}, func(e eventstore.Recorded) {
		if err := o.next(e); err != nil {
			f.Fatal(err)
		}
	})
	if o.last != head {
		f.Fatalf("the head is %q, reading ended at %q", head, o.last)
	}
	f.count("", head, int64(len(o.seen)))
	return o.seen
}

// each reads from q.From to the end.
func (f *fixture) each(q eventstore.Query, visit func(eventstore.Recorded)) {
	f.Helper()
	for q.Limit = 5000; ; {
		page := f.read(q)
		for _, e := range page.Events {
			visit(e)
		}
		if q.From = page.Next; page.End {
			return
		}
	}
}
