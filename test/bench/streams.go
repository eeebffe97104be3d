package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/test/bench/baseline"
)

// A tally is enough of an aggregate to load, fold and decide on.
var tallies = es.Define[tally]("bench.tally", es.On[opened]("opened"), es.On[counted]("counted"))

type tally struct{ Sum, Count int }

type opened struct{}

func (opened) Evolve(*tally) {}

type counted struct {
	Title  string   `json:"title"`
	Note   string   `json:"note"`
	Tags   []string `json:"tags"`
	Weight int      `json:"weight_grams"`
	Seen   int      `json:"seen"` // the version the decision saw
}

func (e counted) Evolve(t *tally) { t.Sum, t.Count = t.Sum+e.Weight, t.Count+1 }

// open decides the first event.
type open struct{}

func (open) Decide(es.Env, tally) (es.Events[tally], error) { return es.Events[tally]{opened{}}, nil }

// count decides n events like the payload of the other scenarios.
type count struct{ n int }

func (c count) Decide(env es.Env, t tally) (es.Events[tally], error) {
	events := make(es.Events[tally], c.n)
	for i := range events {
		events[i] = counted{Title: "A crate of oranges", Note: note, Tags: []string{"fruit", "north", "weighed"}, Weight: 1 + t.Sum%1000, Seen: env.Version}
	}
	return events, nil
}

const (
	note        = "Unloaded in the morning, weighed twice, found dry and sound, and put beside the others at the north wall."
	manyStreams = 1000
	length      = 20
)

func target(id uuid.UUID, isNew bool) es.Target {
	return es.Target{Tenant: tenant, Actor: es.Actor(actor), ID: id, New: isNew, Operation: "Count"}
}

// herd is streams of about 20 events, all of which a kernel has handled a command on.
type herd struct {
	kernel *es.Kernel
	ids    []uuid.UUID
	acks   *atomic.Int64
}

func (h *herd) grow(ctx context.Context) error {
	h.ids = make([]uuid.UUID, manyStreams)
	var next atomic.Int64
	errs := make(chan error, 16)
	for range cap(errs) {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= manyStreams {
					errs <- nil
					return
				}
				h.ids[i] = uuid.Must(uuid.NewV7())
				_, err := es.Handle(ctx, h.kernel, tallies, target(h.ids[i], true), open{})
				if err == nil {
					_, err = es.Handle(ctx, h.kernel, tallies, target(h.ids[i], false), count{length - 1})
				}
				if err != nil {
					errs <- err
					return
				}
				h.acks.Add(length)
			}
		}()
	}
	var err error
	for range cap(errs) {
		err = errors.Join(err, <-errs)
	}
	return err
}

func (h *herd) command(ctx context.Context, _ int) error {
	_, err := es.Handle(ctx, h.kernel, tallies, target(h.ids[rand.IntN(len(h.ids))], false), count{1})
	if err == nil {
		h.acks.Add(1)
	}
	return err
}

// streams: load, decide, append on existing streams, against the same kernel that remembers no state. Every round has new streams,
// so that they stay short for both.
func streams(ctx context.Context, c *cluster, play func(*bout) error) error {
	dsn, err := c.database(ctx, "streams")
	if err != nil {
		return err
	}
	store, err := postgres.Open(ctx, dsn, postgres.Options{Readers: 16})
	if err != nil {
		return err
	}
	defer store.Close()
	o := &own{store: store}
	for _, workers := range []int{8, 32} {
		err := play(&bout{
			lines: []line{{what: fmt.Sprintf("command on 1,000 streams of 20, %d workers", workers), unit: "/s", ours: "remembered", theirs: "loaded", target: 2.5}},
			round: func(ctx context.Context) ([]pair, error) {
				with := &herd{kernel: es.New(store, nil, 10_000), acks: &o.acks}
				without := &herd{kernel: es.New(store, nil, 0), acks: &o.acks}
				if err := errors.Join(with.grow(ctx), without.grow(ctx)); err != nil {
					return nil, err
				}
				return alternate(hammer(workers, with.command), hammer(workers, without.command))(ctx)
			},
			verify: o.verify,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// hot: eight writers on one stream, against the loop that loads, decides, appends and on a conflict does it again.
func hot(ctx context.Context, c *cluster, play func(*bout) error) error {
	const writers = 8
	ours, err1 := c.database(ctx, "hot_ours")
	theirs, err2 := c.database(ctx, "hot_theirs")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	store, err := postgres.Open(ctx, ours, postgres.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	db, err := plain(ctx, theirs, writers)
	if err != nil {
		return err
	}
	defer db.Close()
	o := &own{store: store}
	h := &herd{kernel: es.New(store, nil, 10_000), ids: []uuid.UUID{uuid.Must(uuid.NewV7())}, acks: &o.acks}
	if _, err := es.Handle(ctx, h.kernel, tallies, target(h.ids[0], true), count{1}); err != nil {
		return err
	}
	o.acks.Add(1)
	loops := make([]*loop, writers)
	stream := uuid.Must(uuid.NewV7())
	for i := range loops {
		loops[i] = &loop{Writer: baseline.Writer{Log: baseline.Log{DB: db}, Stream: stream}}
	}
	return play(&bout{
		lines:  []line{{what: "hot stream, 8 writers", unit: "/s", ours: "in order", theirs: "retry loop", target: 6}},
		round:  alternate(hammer(writers, h.command), hammer(writers, func(ctx context.Context, w int) error { return loops[w].command(ctx) })),
		verify: func(ctx context.Context) error { return errors.Join(o.verify(ctx), inOrder(ctx, store, h.ids[0])) },
	})
}

// loop is one of the baseline's writers with the state it folded.
type loop struct {
	baseline.Writer
	state tally
}

func (l *loop) command(ctx context.Context) error {
	return l.Do(ctx, func(version int) baseline.Event {
		events, _ := count{1}.Decide(es.Env{Version: version}, l.state)
		data, _ := json.Marshal(events[0])
		return baseline.Event{Type: "bench.tally.counted", Data: data, Meta: meta}
	}, func(data []byte) {
		var e counted
		if json.Unmarshal(data, &e) == nil {
			e.Evolve(&l.state)
		}
	})
}

// inOrder checks that every event says the version its decision saw.
func inOrder(ctx context.Context, store eventstore.Store, id uuid.UUID) error {
	for from := 0; ; {
		page, err := store.ReadStream(ctx, tallies.Stream(id), from, false, 1000)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, rec := range page {
			var e counted
			if err := json.Unmarshal(rec.Data, &e); err != nil {
				return err
			}
			if from++; rec.Version != from || e.Seen != from-1 {
				return fmt.Errorf("event %d of the hot stream has version %d and was decided on version %d", from, rec.Version, e.Seen)
			}
		}
	}
}
