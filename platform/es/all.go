package es

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

// Part is one stream's share of a HandleAll; PartOf makes it.
type Part interface {
	prepare(ctx context.Context, k *Kernel) (prepared, error)
	stream() eventstore.Stream
}

// prepared is a decided part on its way into the common append.
type prepared struct {
	write   eventstore.Write
	checks  []eventstore.Write
	claims  []Claim
	hashes  []eventstore.Claim
	large   []Text
	receipt Receipt
}

type part[S any] struct {
	category *Category[S]
	target   Target
	command  Command[S]
}

// PartOf is a command on one stream for HandleAll; the target's key is not used.
func PartOf[S any](c *Category[S], t Target, cmd Command[S]) Part { return part[S]{c, t, cmd} }

func (p part[S]) stream() eventstore.Stream { return p.category.Stream(p.target.ID) }

func (p part[S]) prepare(ctx context.Context, k *Kernel) (prepared, error) {
	t := p.target
	t.Now, t.Key = k.now(t), ""
	s := &slot[S]{}
	one := &pending[S]{Target: t, keys: t.keys(), decide: func(_ context.Context, env Env, state S) (Events[S], *eventstore.Write, error) {
		events, err := p.command.Decide(env, state)
		return events, nil, err
	}}
	g, err := s.decideAll(ctx, k, p.category, []*pending[S]{one}, true)
	if err != nil {
		return prepared{}, err
	}
	if one.err != nil {
		return prepared{}, one.err
	}
	write := eventstore.Write{Stream: g.stream, Expect: eventstore.Expect(g.base), Events: g.events}
	return prepared{write, g.checks, g.claims, g.hashes, g.large, one.receipt}, nil
}

// HandleAll decides several commands, each on its own stream (at most eventstore.MaxStreams), and appends all or nothing.
// Key, Operation and Body of t make the whole repeatable.
func HandleAll(ctx context.Context, k *Kernel, t Target, parts ...Part) ([]Receipt, error) {
	if len(parts) == 0 || len(parts) > eventstore.MaxStreams {
		return nil, ErrTooLarge.Withf("%d commands at once; 1 to %d are allowed", len(parts), eventstore.MaxStreams)
	}
	for try := 1; ; try++ {
		receipts, err := handleAll(ctx, k, t, parts)
		if _, ok := errors.AsType[*eventstore.WrongVersion](err); !ok {
			return receipts, internal(err)
		}
		if try == tries {
			return nil, ErrContended
		}
		jitter(ctx, try)
	}
}

func handleAll(ctx context.Context, k *Kernel, t Target, parts []Part) ([]Receipt, error) {
	var whole eventstore.Append
	var claims []Claim
	receipts := make([]Receipt, len(parts))
	after := make([]int, len(parts))
	events := 0
	for i, p := range parts {
		ready, err := p.prepare(ctx, k)
		if err != nil {
			return firstAnswer(ctx, k, t, err)
		}
		for _, text := range ready.large {
			if _, err := k.Store.PutContent(ctx, t.Tenant, []byte(text.text)); err != nil {
				return nil, err
			}
		}
		events += len(ready.write.Events)
		whole.Writes = append(append(whole.Writes, ready.write), ready.checks...)
		whole.Claims, claims = append(whole.Claims, ready.hashes...), append(claims, ready.claims...)
		receipts[i], after[i] = ready.receipt, events
	}
	if keys := t.keys(); t.Key != "" {
		answers := make([]stored, len(receipts))
		for i, r := range receipts {
			answers[i] = stored{r.ID, r.Version, r.Changed}
		}
		answer, err := json.Marshal(answers)
		if err != nil {
			return nil, err
		}
		whole.Receipts = []eventstore.Receipt{{Key: keys.key, Fingerprint: keys.fingerprint, Answer: answer, After: events}}
	}
	result, err := k.Store.Append(ctx, whole)
	if err != nil {
		return refusedAll(claims, err)
	}
	for i := range receipts {
		if receipts[i].Changed {
			receipts[i].Position = result.Positions[after[i]-1]
		}
		k.Evict(parts[i].stream())
	}
	return receipts, nil
}

func refusedAll(claims []Claim, err error) ([]Receipt, error) {
	var taken *eventstore.ClaimTaken
	var missing *eventstore.ClaimMissing
	var replay *eventstore.ReceiptExists
	switch {
	case errors.As(err, &taken):
		return nil, orFault(claims[taken.Index].taken, ErrExists)
	case errors.As(err, &missing):
		return nil, orFault(claims[missing.Index].missing, ErrNotFound)
	case errors.Is(err, eventstore.ErrKeyReused):
		return nil, ErrKeyReused
	case errors.As(err, &replay):
		return answeredAll(replay.Receipt)
	}
	return nil, err
}

// firstAnswer replays the answer of a keyed call whose repeat is now refused.
func firstAnswer(ctx context.Context, k *Kernel, t Target, refusal error) ([]Receipt, error) {
	var f *fault.Fault
	if t.Key == "" || !errors.As(refusal, &f) {
		return nil, refusal
	}
	keys := t.keys()
	first, found, err := k.Store.Receipt(ctx, keys.key)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, refusal
	case first.Fingerprint != keys.fingerprint:
		return nil, ErrKeyReused
	}
	return answeredAll(first)
}

func answeredAll(r eventstore.Receipt) ([]Receipt, error) {
	var answers []stored
	if err := json.Unmarshal(r.Answer, &answers); err != nil {
		return nil, err
	}
	receipts := make([]Receipt, len(answers))
	for i, a := range answers {
		receipts[i] = Receipt{ID: a.ID, Version: a.Version, Position: r.Position, Changed: a.Changed}
	}
	return receipts, nil
}
