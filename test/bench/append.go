package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/test/bench/baseline"
)

// payload is 250 bytes of JSON, the same for both sides.
var payload = []byte(`{"title":"A crate of oranges","note":"Unloaded in the morning, weighed twice, found dry and sound, and put beside the others at the north wall.","tags":["fruit","north","weighed"],"weight_grams":12750,"price":{"amount":4210,"currency":"EUR"},"ok":true}`)

var (
	tenant = uuid.MustParse("01900000-0000-7000-8000-0000000000aa")
	actor  = "01900000-0000-7000-8000-0000000000cc"
)

// meta is what the log keeps in columns of its own, as the baseline keeps it.
var meta = []byte(`{"tenant":"` + tenant.String() + `","actor":"` + actor + `"}`)

// own appends events with new streams to the log and counts what was acknowledged.
type own struct {
	store eventstore.Store
	acks  atomic.Int64
}

func (o *own) append(ctx context.Context, _ int) error {
	stream := eventstore.Stream{Category: "bench.fact", ID: uuid.Must(uuid.NewV7())}
	_, err := o.store.Append(ctx, eventstore.Append{Writes: []eventstore.Write{{Stream: stream, Expect: eventstore.NoStream, Events: []eventstore.Event{{
		ID: uuid.Must(uuid.NewV7()), Type: "bench.fact.noted", Schema: 1, Tenant: tenant, Actor: actor, At: time.Now(), Data: payload,
	}}}}})
	if err == nil {
		o.acks.Add(1)
	}
	return err
}

// verify finds every acknowledged event in the log, at dense positions.
func (o *own) verify(ctx context.Context) error {
	head, err := o.store.Head(ctx)
	if err != nil {
		return err
	}
	n, err := o.store.Count(ctx, "", head)
	if err == nil && n != o.acks.Load() {
		err = fmt.Errorf("%d events were acknowledged, the log has %d", o.acks.Load(), n)
	}
	return err
}

func insert(l baseline.Log) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		return l.Insert(ctx, baseline.Event{Stream: uuid.Must(uuid.NewV7()), Version: 1, Type: "bench.fact.noted", Data: payload, Meta: meta})
	}
}

// appends: one event to a new stream, against a single-row INSERT in a transaction of its own, at its best pool size.
func appends(ctx context.Context, c *cluster, play func(*bout) error) error {
	ours, err1 := c.database(ctx, "append_ours")
	theirs, err2 := c.database(ctx, "append_theirs")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	store, err := postgres.Open(ctx, ours, postgres.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	o := &own{store: store}
	for _, at := range []struct {
		writers int
		target  float64
		pools   []int
	}{{1, 0.9, []int{1}}, {8, 1.4, []int{4, 8}}, {32, 3, []int{8, 16, 32}}, {128, 3, []int{8, 16, 32}}} {
		size, err := best(ctx, at.pools, func(size int) (way, func()) {
			db, err := plain(ctx, theirs, size)
			if err != nil {
				return func(context.Context, time.Duration) (float64, error) { return 0, err }, func() {}
			}
			return hammer(at.writers, insert(baseline.Log{DB: db})), db.Close
		})
		if err != nil {
			return err
		}
		db, err := plain(ctx, theirs, size)
		if err != nil {
			return err
		}
		err = play(&bout{
			lines: []line{{what: fmt.Sprintf("append, %d writers", at.writers), unit: "/s", ours: "log", theirs: fmt.Sprintf("INSERT (pool %d)", size), target: at.target}},
			round: alternate(hammer(at.writers, o.append), hammer(at.writers, insert(baseline.Log{DB: db}))), verify: o.verify,
		})
		db.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
