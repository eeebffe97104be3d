package es

import (
	"context"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// Kernel is what writing needs. Make one per process with New.
type Kernel struct {
	Opener
	Clock func() time.Time // time.Now by default

	slots *slots
}

// New makes a kernel that keeps the folded states of up to cached streams.
func New(store eventstore.Store, vault Vault, cached int) *Kernel {
	return &Kernel{Opener: Opener{Vault: vault, Store: store}, Clock: time.Now, slots: newSlots(cached)}
}

// Handle loads, folds, decides and appends: the only write path. Without t.Expect a command that loses a race is decided again,
// five times at most. Errors are faults: the command's own refusals or the kernel's.
func Handle[S any](ctx context.Context, k *Kernel, c *Category[S], t Target, cmd Command[S]) (Receipt, error) {
	return submit(ctx, k, c, t, func(_ context.Context, env Env, state S) (Events[S], *eventstore.Write, error) {
		events, err := cmd.Decide(env, state)
		return events, nil, err
	})
}

// HandleWith is Handle for a decision that reads a second stream; the append fails if that stream moved meanwhile.
func HandleWith[S, O any](ctx context.Context, k *Kernel, c *Category[S], other *Category[O], t Target, cmd CommandWith[S, O]) (Receipt, error) {
	return submit(ctx, k, c, t, func(ctx context.Context, env Env, state S) (Events[S], *eventstore.Write, error) {
		id := cmd.Other(env)
		second, version, err := Load(ctx, k, other, env.Tenant, id)
		if err != nil {
			return nil, nil, err
		}
		events, err := cmd.DecideWith(env, state, second)
		return events, &eventstore.Write{Stream: other.Stream(id), Expect: eventstore.Expect(version)}, err
	})
}

// Load folds a stream for a command handler with IO; version 0 means it does not exist in this tenant.
func Load[S any](ctx context.Context, k *Kernel, c *Category[S], tenant, id uuid.UUID) (state S, version int, err error) {
	f := folded[S]{}
	if err := f.catchUp(ctx, k, c, id); err != nil {
		return state, 0, internal(err)
	}
	if f.version > 0 && f.tenant != tenant {
		return state, 0, nil
	}
	return f.state, f.version, nil
}

// Find gives the aggregate that holds a claimed value: how log-in finds an account without reading a view.
func Find(ctx context.Context, k *Kernel, tenant uuid.UUID, c Claims, value string) (uuid.UUID, bool, error) {
	key, err := k.claimHash(ctx, c, tenant, value)
	if err != nil {
		return uuid.Nil, false, internal(err)
	}
	holder, held, err := k.Store.Holder(ctx, key)
	return holder.ID, held, internal(err)
}

// Evict drops a stream's folded state, as erasure does.
func (k *Kernel) Evict(s eventstore.Stream) { k.slots.evict(s) }

func (k *Kernel) now(t Target) time.Time {
	now := t.Now
	if now.IsZero() {
		now = k.Clock()
	}
	return now.UTC().Truncate(time.Microsecond)
}

func (k *Kernel) claimHash(ctx context.Context, c Claims, tenant uuid.UUID, value string) (eventstore.Hash, error) {
	return c.hash(tenant, value, func(v string) (eventstore.Hash, error) { return k.Vault.ClaimHash(ctx, tenant, v) })
}

// folded is the state of one stream as far as it has been read.
type folded[S any] struct {
	state    S
	version  int
	tenant   uuid.UUID
	position eventstore.Position // of the last event
}

const foldPage = 1000

// catchUp reads on from the folded version to the end of the stream.
func (f *folded[S]) catchUp(ctx context.Context, k *Kernel, c *Category[S], id uuid.UUID) error {
	for {
		page, err := k.Store.ReadStream(ctx, c.Stream(id), f.version, false, foldPage)
		if err != nil {
			return err
		}
		for _, rec := range page {
			if err := f.apply(ctx, k, c, rec); err != nil {
				return err
			}
		}
		if len(page) < foldPage {
			return nil
		}
	}
}

func (f *folded[S]) apply(ctx context.Context, k *Kernel, c *Category[S], rec eventstore.Recorded) error {
	kind, ok := c.Lookup(rec.Type)
	if !ok {
		return &UnknownEvent{Type: rec.Type, Schema: rec.Schema, ID: rec.ID, Position: rec.Position}
	}
	event, err := kind.Decode(rec)
	if err != nil {
		return err
	}
	if _, asks := any(&f.state).(Unsealed); asks && len(kind.layout.personal) > 0 {
		val := reflect.New(kind.Go).Elem()
		val.Set(reflect.ValueOf(event))
		if err := k.unseal(ctx, kind, rec, val); err != nil {
			return err
		}
		event = val.Interface()
	}
	f.evolve(event.(Event[S]), EnvelopeOf(rec))
	return nil
}

func (f *folded[S]) evolve(event Event[S], env Envelope) {
	if s, ok := any(&f.state).(Stamped); ok {
		s.Stamp(env)
	}
	event.Evolve(&f.state)
	f.version, f.tenant, f.position = env.Version, env.Tenant, env.Position
}

// Fold applies events to a state outside the log: for tests and time travel.
func Fold[S any](events ...Recorded[Event[S]]) S {
	var f folded[S]
	for _, e := range events {
		f.evolve(e.Data, e.Envelope)
	}
	return f.state
}
