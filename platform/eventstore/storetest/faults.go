package storetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// passing errors may be gone when the same is sent again.
func passing(err error) bool {
	return errors.Is(err, eventstore.ErrUncertain) || errors.Is(err, eventstore.ErrUnavailable) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// insist sends the same append until it has a definite answer.
func (f *fixture) insist(ctx context.Context, store eventstore.Store, a eventstore.Append) (eventstore.Result, error) {
	for {
		r, err := store.Append(ctx, a)
		if err == nil || !passing(err) || ctx.Err() != nil {
			return r, err
		}
	}
}

func (f *fixture) persist(store eventstore.Store, a eventstore.Append) eventstore.Result {
	f.Helper()
	r, err := f.insist(f.ctx, store, a)
	if err != nil {
		f.Fatalf("sent until answered: %v", err)
	}
	return r
}

// account is what clients know: what they sent and what they were told in the end.
type account struct {
	mu        sync.Mutex
	stored    map[uuid.UUID]eventstore.Position // by event
	sent      []eventstore.Append
	refused   []eventstore.Append
	uncertain int
}

func newAccount() *account { return &account{stored: map[uuid.UUID]eventstore.Position{}} }

func (c *account) record(a eventstore.Append, r eventstore.Result, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.refused = append(c.refused, a)
		return
	}
	c.sent = append(c.sent, a)
	for i, id := range ids(a) {
		c.stored[id] = r.Positions[i]
	}
}

func (c *account) answers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent) + len(c.refused)
}

func (c *account) stores() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sent)
}

// order sends one append with everything: two streams, a claim, a receipt; some callers hardly wait. What is uncertain is sent
// again until it is not; what was called not stored is left at that.
func (f *fixture) order(store func() eventstore.Store, c *account) {
	a := f.claim(newStream(), eventstore.Take, hash())
	a.Writes = append(a.Writes, f.write(newStream(), none, 2))
	a.Receipts = []eventstore.Receipt{{Key: hash(), Fingerprint: hash(), Answer: []byte("done"), After: 3}}
	ctx, cancel := f.ctx, context.CancelFunc(func() {})
	if rand.IntN(3) == 0 {
		ctx, cancel = context.WithTimeout(f.ctx, time.Duration(rand.IntN(8000))*time.Microsecond)
	}
	r, err := store().Append(ctx, a)
	cancel()
	if errors.Is(err, eventstore.ErrUncertain) {
		c.mu.Lock()
		c.uncertain++
		c.mu.Unlock()
	}
	for errors.Is(err, eventstore.ErrUncertain) {
		again, failed := store().Append(f.ctx, a)
		if failed != nil && errors.Is(failed, eventstore.ErrUnavailable) {
			continue // still no answer to the question whether it happened
		}
		r, err = again, failed
	}
	if err != nil && !errors.Is(err, eventstore.ErrUnavailable) {
		f.Errorf("answered %v", err)
	}
	c.record(a, r, err)
	if err != nil {
		<-time.After(time.Millisecond) // as any client would before it tries something else
	}
}

// settled compares the log with the clients' account: nothing lost, nothing doubled, nothing half.
func (f *fixture) settled(c *account) {
	f.Helper()
	seen := f.audit()
	for id, at := range c.stored {
		if seen[id] != at {
			f.Fatalf("event %s is at %q, its client was told %q", id, seen[id], at)
		}
	}
	if len(seen) != len(c.stored) {
		f.Errorf("the log holds %d events, clients were told of %d", len(seen), len(c.stored))
	}
	for i, a := range c.refused {
		if at, stored := seen[ids(a)[0]]; stored {
			f.Errorf("at %q is an append its client was told is not stored", at)
		}
		if i%(len(c.refused)/100+1) == 0 {
			f.noReceipt(a.Receipts[0].Key)
			f.free(a.Claims[0].Key)
		}
	}
	for i, a := range c.sent {
		if i%(len(c.sent)/100+1) == 0 {
			f.receipt(kept(a.Receipts[0], eventstore.Result{Positions: positions(seen, a)}))
			f.holder(a.Claims[0].Key, a.Claims[0].Holder)
		}
	}
	f.Logf("%d appends stored, %d refused, %d uncertain answers", len(c.sent), len(c.refused), c.uncertain)
}

func positions(seen map[uuid.UUID]eventstore.Position, a eventstore.Append) (list []eventstore.Position) {
	for _, id := range ids(a) {
		list = append(list, seen[id])
	}
	return list
}

// cut kills connections again and again while clients append: every answer is honest.
func cut(f *fixture) {
	log, ok := offered[Cutter](f)
	if !ok {
		return
	}
	c, stores := newAccount(), []eventstore.Store{f.store, f.Again()}
	done := make(chan struct{})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					f.order(func() eventstore.Store { return stores[i%2] }, c)
				}
			}
		})
	}
	for range 25 {
		n := c.answers()
		f.until("clients get answers", func() bool { return c.answers() > n+5 })
		log.Cut()
	}
	close(done)
	clients.Wait()
	f.settled(c)
}

// restart closes the store in the middle of appends and opens it anew.
func restart(f *fixture) {
	c := newAccount()
	var mu sync.RWMutex
	current := func() eventstore.Store { mu.RLock(); defer mu.RUnlock(); return f.store }
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					f.order(current, c)
				}
			}
		})
	}
	for range 8 {
		n := c.stores()
		f.until("clients append", func() bool { return c.stores() > n+20 })
		fresh := f.Reopen()
		mu.Lock()
		f.store = fresh
		mu.Unlock()
	}
	close(done)
	clients.Wait()
	f.settled(c)
}

// killedProcess: what a process was told before kill -9 is in the log; what it was doing is there whole or not at all.
func killedProcess(f *fixture) {
	log, ok := offered[Spawner](f)
	if !ok {
		return
	}
	var told []uuid.UUID
	for range 2 {
		p := f.spawn(log.DSN())
		f.until("the process appends", func() bool { return len(p.told()) >= 60 })
		p.kill()
		told = append(told, p.told()...)
	}
	f.must(f.one())
	f.children(told)
}

// children reads what killed children left behind, in order: what they were told is there, and every append, of one and of two
// events to two streams, is whole. Their last statement may still be on its way on the server, so the end is not asked for.
func (f *fixture) children(told []uuid.UUID) {
	f.Helper()
	o, byAppend := newOrder(), map[uuid.UUID]int{}
	f.each(eventstore.Query{}, func(e eventstore.Recorded) {
		if err := o.next(e); err != nil {
			f.Fatal(err)
		}
		if e.Stream.Category == childCategory {
			byAppend[e.Correlation]++
		}
	})
	for _, id := range told {
		if o.seen[id] == "" {
			f.Fatalf("event %s was acknowledged and is not in the log", id)
		}
	}
	for id, n := range byAppend {
		if n != 3 {
			f.Fatalf("append %s is in the log with %d of 3 events", id, n)
		}
	}
	f.count("", o.last, int64(len(o.seen)))
}

// frozenProcess: a writer stopped at any moment of its append holds the others up no longer than its timeout.
func frozenProcess(f *fixture) {
	log, ok := offered[Spawner](f)
	if !ok {
		return
	}
	const timeout = 10 * time.Second
	frozen, running := f.spawn(log.DSN()), f.spawn(log.DSN())
	f.until("both processes append", func() bool { return len(frozen.told()) > 30 && len(running.told()) > 30 })
	var waits []time.Duration
	for range 20 {
		n := len(frozen.told())
		f.until("it appends", func() bool { return len(frozen.told()) > n })
		_ = frozen.Process.Signal(syscall.SIGSTOP)
		n = len(running.told())
		began := time.Now()
		f.must(f.one())
		waits = append(waits, time.Since(began))
		f.until("the other process appends", func() bool { return len(running.told()) > n })
		_ = frozen.Process.Signal(syscall.SIGCONT)
	}
	if longest := slices.Max(waits); longest > timeout {
		f.Fatalf("held up for %v", longest)
	}
	for _, p := range []*process{frozen, running} {
		p.kill()
	}
	f.must(f.one())
	f.children(append(frozen.told(), running.told()...))
	f.Logf("longest append beside a frozen process: %v", slices.Max(waits))
}
