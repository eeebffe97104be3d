package es

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

const (
	tries       = 5               // of a group that loses races
	groupMax    = 100             // commands decided together
	groupEvents = 500             // after so many events a group is closed
	groupTime   = 8 * time.Second // for loading, deciding and appending a group
)

// slot is one stream in this process. Commands that arrive while an append is in flight wait, are then decided one after another
// on the folded state and leave as one append. One of the waiting callers leads; there is no goroutine of its own.
type slot[S any] struct {
	mu      sync.Mutex
	waiting []*pending[S]
	led     bool
	stale   bool // forget was called

	folded[S]      // owned by the leader
	loaded    bool // folded is what some version of the stream says
}

type decision[S any] func(ctx context.Context, env Env, state S) (Events[S], *eventstore.Write, error)

// pending is one command on its way.
type pending[S any] struct {
	Target
	decide decision[S]
	keys   keys
	turn   chan bool // true: lead; false: answered
	taken  bool      // guarded by slot.mu

	// The outcome, written by the leader before turn.
	receipt Receipt
	err     error
	settled bool // by a refusal or a replay that needs no append
}

func (s *slot[S]) forget() {
	s.mu.Lock()
	s.stale = true
	s.mu.Unlock()
}

func submit[S any](ctx context.Context, k *Kernel, c *Category[S], t Target, decide decision[S]) (Receipt, error) {
	t.Now = k.now(t)
	stream := c.Stream(t.ID)
	s := use[S](k.slots, stream)
	defer k.slots.leave(stream)
	p := &pending[S]{Target: t, decide: decide, keys: t.keys(), turn: make(chan bool, 1)}

	s.mu.Lock()
	s.waiting = append(s.waiting, p)
	lead := !s.led
	s.led = true
	s.mu.Unlock()
	if !lead {
		select {
		case lead = <-p.turn:
		case <-ctx.Done():
			return s.giveUp(p, ctx.Err())
		}
	}
	if lead {
		s.lead(ctx, k, c, p)
	}
	return p.receipt, p.err
}

// giveUp takes a command out of the queue, or says honestly that it is under way.
func (s *slot[S]) giveUp(p *pending[S], cause error) (Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.taken {
		return Receipt{}, ErrUncertain.WithCause(cause)
	}
	for i, w := range s.waiting {
		if w == p {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
		}
	}
	select {
	case <-p.turn: // it was to lead
		s.handOver()
	default:
	}
	return Receipt{}, ErrLogDown.WithCause(cause)
}

// handOver makes the next waiting caller the leader; s.mu is held.
func (s *slot[S]) handOver() {
	if len(s.waiting) == 0 {
		s.led = false
		return
	}
	s.waiting[0].turn <- true
}

// lead runs groups until its own command is answered. The caller's cancellation does not reach the others' commands.
func (s *slot[S]) lead(ctx context.Context, k *Kernel, c *Category[S], own *pending[S]) {
	for answered := false; !answered; {
		s.mu.Lock()
		n := min(len(s.waiting), groupMax)
		group := append([]*pending[S](nil), s.waiting[:n]...)
		s.waiting = s.waiting[n:]
		for _, p := range group {
			p.taken = true
		}
		if s.stale {
			s.loaded, s.stale = false, false
		}
		s.mu.Unlock()

		run, cancel := context.WithTimeout(context.WithoutCancel(ctx), groupTime)
		later := s.process(run, k, c, group)
		cancel()

		s.mu.Lock()
		for _, p := range later {
			p.taken = false
		}
		s.waiting = append(later, s.waiting...)
		s.mu.Unlock()
		for _, p := range group[:len(group)-len(later)] {
			if p == own {
				answered = true
			} else {
				p.turn <- false
			}
		}
	}
	s.mu.Lock()
	s.handOver()
	s.mu.Unlock()
}

// process answers a group, except its last commands that have to wait for a later one, which it returns.
func (s *slot[S]) process(ctx context.Context, k *Kernel, c *Category[S], group []*pending[S]) (later []*pending[S]) {
	stream := c.Stream(group[0].ID)
	for try := 1; ; try++ {
		g, err := s.decideAll(ctx, k, c, group, try > 1)
		if err == nil {
			err = g.commit(ctx, k)
		}
		if err == nil {
			s.loaded = s.version > 0
			s.settlePositions(g)
			return group[g.done:]
		}
		s.loaded = false // the state has run ahead of the log
		if s.exclude(g, err) {
			try-- // somebody was answered: the rest is a new group
			continue
		}
		var stale *eventstore.WrongVersion
		switch {
		case errors.As(err, &stale) && try < tries:
			if stale.Stream != stream {
				k.Evict(stale.Stream)
			}
			jitter(ctx, try)
			continue
		case errors.As(err, &stale):
			err = ErrContended
		case len(group) > 1 && !unavailable(err):
			s.process(ctx, k, c, group[:1]) // find the offender: one at a time
			return group[1:]
		}
		for _, p := range group {
			if !p.settled {
				p.err = internal(err)
			}
		}
		return nil
	}
}

// exclude settles the one command that the log named in its refusal; the others are decided again without it.
func (s *slot[S]) exclude(g *group[S], err error) bool {
	var taken *eventstore.ClaimTaken
	var missing *eventstore.ClaimMissing
	var replay *eventstore.ReceiptExists
	var reused *eventstore.KeyReused
	switch {
	case g == nil:
		return false
	case errors.As(err, &taken):
		g.claimant[taken.Index].refuse(orFault(g.claims[taken.Index].taken, ErrExists))
	case errors.As(err, &missing):
		g.claimant[missing.Index].refuse(orFault(g.claims[missing.Index].missing, ErrNotFound))
	case errors.As(err, &replay):
		g.keyed[replay.Index].replay(replay.Receipt)
	case errors.As(err, &reused):
		g.keyed[reused.Index].refuse(ErrKeyReused)
	default:
		return false
	}
	return true
}

func orFault(f, otherwise *fault.Fault) *fault.Fault {
	if f == nil {
		return otherwise
	}
	return f
}

func (p *pending[S]) refuse(err error) { p.err, p.settled = err, true }

func (p *pending[S]) replay(r eventstore.Receipt) {
	p.receipt, p.err = answered(r)
	p.settled = true
}

func (s *slot[S]) settlePositions(g *group[S]) {
	if n := len(g.result.Positions); n > 0 {
		s.position = g.result.Positions[n-1]
	}
	for i, p := range g.commands {
		if p.receipt.Position == "" && g.after[i] > 0 {
			p.receipt.Position = g.result.Positions[g.after[i]-1]
		}
	}
}

func jitter(ctx context.Context, try int) {
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(try) * int64(8*time.Millisecond))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func unavailable(err error) bool {
	return errors.Is(err, eventstore.ErrUncertain) || errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// internal turns what the log or the vault say into faults.
func internal(err error) error {
	var f *fault.Fault
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case errors.Is(err, eventstore.ErrTooLarge):
		return ErrTooLarge.WithCause(err)
	case errors.Is(err, eventstore.ErrUncertain):
		return ErrUncertain.WithCause(err)
	case unavailable(err):
		return ErrLogDown.WithCause(err)
	}
	return fault.ErrInternal.WithCause(err)
}
