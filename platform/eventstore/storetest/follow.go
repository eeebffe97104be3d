package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

func followFiltered(f *fixture) {
	wanted := eventstore.Stream{Category: "test.rare", ID: uuid.New()}
	var want []uuid.UUID
	rare := func() {
		a := writes(f.write(wanted, anyVersion, 1))
		f.must(a)
		want = append(want, ids(a)...)
	}
	rare()
	f.fill(30)
	rare()
	end := f.head()
	ctx, cancel := context.WithTimeout(f.ctx, 20*time.Second)
	defer cancel()
	var got []uuid.UUID
	var at eventstore.Position
	for page, err := range eventstore.Follow(ctx, f.store, eventstore.Checkpoint{}, eventstore.Filter{Categories: []string{"test.rare"}}, 4) {
		if err != nil {
			f.Fatal(err)
		}
		if page.Next <= at {
			f.Fatalf("the page from %q goes on at %q", at, page.Next)
		}
		at = page.Next
		got = append(got, recordedIDs(page.Events)...)
		if at == end && len(want) == 2 { // caught up: now live, behind what it does not want
			if _, moved := f.fill(9); moved[8] <= at {
				f.Fatalf("head %q after %q", moved[8], at)
			}
			rare()
		}
		if len(got) == 3 {
			break
		}
	}
	if !slices.Equal(got, want) {
		f.Fatalf("followed %v, want %v", got, want)
	}
}

// diverged demands that a follower with this checkpoint is stopped by name, before any page.
func (f *fixture) diverged(store eventstore.Store, c eventstore.Checkpoint, found uuid.UUID) {
	f.Helper()
	want := eventstore.Diverged{Follower: c, Log: store.LogID(), Found: found}
	named := func(err error) bool {
		d, ok := errors.AsType[*eventstore.Diverged](err)
		return ok && *d == want && d.Error() != ""
	}
	if err := eventstore.Resume(f.ctx, store, c); !named(err) {
		f.Fatalf("resumed: %v", err)
	}
	for page, err := range eventstore.Follow(f.ctx, store, c, eventstore.Filter{}, 10) {
		if !named(err) || len(page.Events) > 0 {
			f.Fatalf("followed: %+v, %v", page, err)
		}
	}
}

func followForeign(f *fixture) {
	a := f.one()
	at := f.must(a).Positions[0]
	c := eventstore.Checkpoint{Log: f.store.LogID(), Position: at, Event: ids(a)[0]}
	if err := errors.Join(eventstore.Resume(f.ctx, f.store, c), eventstore.Resume(f.ctx, f.Again(), c), eventstore.Resume(f.ctx, f.Reopen(), c)); err != nil {
		f.Fatalf("on its own log: %v", err)
	}
	f.store = f.Store()
	other := f.open(f.T).Store()
	if _, err := other.Append(f.ctx, f.one()); err != nil {
		f.Fatal(err)
	}
	f.diverged(other, c, uuid.Nil)
	f.diverged(other, eventstore.Checkpoint{Log: f.store.LogID()}, uuid.Nil) // even before the first event
	c.Event = uuid.New()
	f.diverged(f.store, c, ids(a)[0])
}

func followRestored(f *fixture) {
	log, ok := offered[Copier](f)
	if !ok {
		return
	}
	common := f.one()
	first := f.must(common).Positions[0]
	restored := log.Copy()
	a := f.one()
	at := f.persist(f.store, a).Positions[0]
	c := eventstore.Checkpoint{Log: f.store.LogID(), Position: at, Event: ids(a)[0]}

	f.diverged(restored, c, uuid.Nil) // it ends before the follower's place
	other := f.one()
	if r, err := restored.Append(f.ctx, other); err != nil {
		f.Fatal(err)
	} else if restored.LogID() == f.store.LogID() && r.Positions[0] == at {
		f.diverged(restored, c, ids(other)[0]) // it went on differently
	} else {
		f.diverged(restored, c, uuid.Nil)
	}
	if restored.LogID() == f.store.LogID() { // a follower from before the copy lost nothing
		old := eventstore.Checkpoint{Log: c.Log, Position: first, Event: ids(common)[0]}
		if err := eventstore.Resume(f.ctx, restored, old); err != nil {
			f.Fatal(err)
		}
	}
	f.until("the follower resumes on its own log", func() bool { // making the copy may have cut its connections
		err := eventstore.Resume(f.ctx, f.store, c)
		if err != nil && !passing(err) {
			f.Fatalf("on the log it followed: %v", err)
		}
		return err == nil
	})
}

const (
	writers   = 24
	perWriter = 4200 // 100,800 events in all
)

// follower reads the whole log live, resuming from its checkpoint whenever the engine drops it.
func (f *fixture) follower(ctx context.Context, store eventstore.Store, filter eventstore.Filter, limit, total int, restless bool) (*order, error) {
	o := newOrder()
	o.partial = len(filter.Categories) > 0
	c := eventstore.Checkpoint{Log: store.LogID()}
	for ctx.Err() == nil {
		for page, err := range eventstore.Follow(ctx, store, c, filter, limit) {
			if err != nil && !passing(err) {
				return o, err
			}
			if err != nil {
				break
			}
			for _, e := range page.Events {
				if err := o.next(e); err != nil {
					return o, err
				}
				c.Event = e.ID
			}
			if n := len(page.Events); n == 0 || page.Events[n-1].Position != page.Next {
				c.Event = uuid.Nil // the last event looked at did not match
			}
			c.Position = page.Next
			if len(o.seen) >= total {
				return o, nil
			}
			if restless && rand.IntN(20) == 0 {
				break
			}
		}
	}
	return o, fmt.Errorf("saw %d of %d events up to %q: %w", len(o.seen), total, c.Position, ctx.Err())
}

// followUnderFire: 24 writers on two stores, with slow, cancelled and killed transactions, and four followers of different kinds.
// What the followers have to see comes from what the writers were told, not from the log.
func followUnderFire(f *fixture) {
	ctx, cancel := context.WithTimeout(f.ctx, 150*time.Second)
	defer cancel()
	stores := []eventstore.Store{f.store, f.Again()}
	hot := eventstore.Stream{Category: "test.hot", ID: uuid.New()}
	var told sync.Map // event id → position
	var inHot, appends atomic.Int64
	var work, reading, trouble sync.WaitGroup
	done := make(chan struct{})
	trouble.Go(func() { f.troubles(done, &appends) })

	seen := make([]*order, 3)
	for i := range seen {
		reading.Go(func() {
			var err error
			if seen[i], err = f.follower(ctx, stores[i%2], eventstore.Filter{}, []int{500, 37, 2000}[i], writers*perWriter, i == 2); err != nil {
				f.Errorf("follower %d: %v", i, err)
			}
		})
	}
	for w := range writers {
		work.Go(func() { inHot.Add(f.writer(ctx, stores[w%2], hot, &told, &appends)) })
	}
	work.Wait()
	close(done)
	trouble.Wait()
	reading.Wait()
	if f.Failed() {
		return
	}
	late, err := f.follower(ctx, f.Again(), eventstore.Filter{Categories: []string{hot.Category}}, 1000, int(inHot.Load()), false)
	if err != nil {
		f.Fatalf("the filtered follower: %v", err)
	}
	if len(late.seen) != int(inHot.Load()) || late.versions[hot] != len(late.seen) {
		f.Fatalf("%d events of the hot stream, its version is %d, %d were written", len(late.seen), late.versions[hot], inHot.Load())
	}
	f.ledger(&told, slices.Concat(seen, []*order{{seen: f.audit()}})...)
}

// ledger compares what followers saw with what writers were told.
func (f *fixture) ledger(told *sync.Map, followers ...*order) {
	f.Helper()
	n := 0
	for id, at := range told.Range {
		n++
		for i, o := range followers {
			if o.seen[id.(uuid.UUID)] != at.(eventstore.Position) {
				f.Fatalf("follower %d saw %s at %q, its writer was told %q", i, id, o.seen[id.(uuid.UUID)], at)
			}
		}
	}
	for i, o := range followers {
		if len(o.seen) != n || n != writers*perWriter {
			f.Fatalf("follower %d saw %d events, writers were told of %d", i, len(o.seen), n)
		}
	}
}

// writer appends its share in appends of all sizes, some given up in the middle and sent again.
func (f *fixture) writer(ctx context.Context, store eventstore.Store, hot eventstore.Stream, told *sync.Map, appends *atomic.Int64) (inHot int64) {
	own := []eventstore.Stream{newStream(), newStream(), newStream()}
	for left := perWriter; left > 0; {
		n := min(left, []int{1, 2, 5, 50, 150, 400}[rand.IntN(6)])
		left -= n
		a := writes(f.write(own[rand.IntN(3)], anyVersion, n-n/3))
		if n/3 > 0 {
			a.Writes = append(a.Writes, f.write(hot, anyVersion, n/3))
			inHot += int64(n / 3)
		}
		if rand.IntN(4) == 0 {
			hurried, cancel := context.WithTimeout(ctx, time.Duration(rand.IntN(5000))*time.Microsecond)
			_, err := store.Append(hurried, a)
			cancel()
			if err != nil && !passing(err) {
				f.Errorf("hurried append: %v", err)
			}
		}
		r, err := f.insist(ctx, store, a)
		if err != nil {
			f.Errorf("append: %v", err)
			return inHot
		}
		appends.Add(1)
		for i, id := range ids(a) {
			told.Store(id, r.Positions[i])
		}
	}
	return inHot
}

// troubles go on until done: a slow transaction for every 16 appends, and with some of them every connection is cut.
func (f *fixture) troubles(done <-chan struct{}, appends *atomic.Int64) {
	staller, slow := offered[Staller](f)
	cutter, kill := offered[Cutter](f)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for next, i := int64(16), 1; ; {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if appends.Load() < next || !slow {
			continue
		}
		release := staller.Stall()
		<-tick.C
		if kill && i%4 == 0 {
			cutter.Cut()
		}
		release()
		next, i = appends.Load()+16, i+1
	}
}
