package es_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/pgtest"
)

// Two processes with eight writers each on one stream: nothing is lost, and every decision saw exactly the version before its event.
func TestHotStreamDecidesInOrder(t *testing.T) {
	dsn := pgtest.New(t)
	first := es.New(storeAt(t, dsn), &plainVault{}, 100)
	second := es.New(storeAt(t, dsn), &plainVault{}, 100)
	id := mustOpen(t, first, "hot")
	var accepted, contended atomic.Int64
	var wg sync.WaitGroup
	for _, k := range []*es.Kernel{first, second} {
		for range 8 {
			wg.Go(func() {
				for range 60 {
					_, err := es.Handle(t.Context(), k, berths, on(id), moor{})
					switch {
					case err == nil:
						accepted.Add(1)
					case errors.Is(err, es.ErrContended):
						contended.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
	}
	wg.Wait()
	events, err := first.Store.ReadStream(t.Context(), berths.Stream(id), 1, false, 0)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(events)) != accepted.Load() || accepted.Load()+contended.Load() != 960 {
		t.Fatalf("%d events, %d accepted, %d contended of 960", len(events), accepted.Load(), contended.Load())
	}
	for i, e := range events {
		if want := fmt.Sprintf(`{"seen":%d}`, i+1); string(e.Data) != want || e.Version != i+2 {
			t.Fatalf("event %d at version %d saw %s, want %s", i, e.Version, e.Data, want)
		}
	}
}

func TestIfMatch(t *testing.T) {
	k := kernel(t)
	id := mustOpen(t, k, "match")
	at := on(id)
	one, two := 1, 2
	at.Expect = &one
	if r, err := es.Handle(t.Context(), k, berths, at, moor{}); err != nil || r.Version != 2 {
		t.Fatal(r, err)
	}
	_, err := es.Handle(t.Context(), k, berths, at, moor{})
	if !errors.Is(err, es.ErrStale) || fault.From(err).Extra["current_version"] != 2 {
		t.Fatalf("a stale version must be refused with the current one: %v", err)
	}
	// Of eight writers who saw version 2, one gets through.
	at.Expect = &two
	var through atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := es.Handle(t.Context(), k, berths, at, moor{}); err == nil {
				through.Add(1)
			} else if !errors.Is(err, es.ErrStale) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if through.Load() != 1 {
		t.Fatalf("%d writers got through", through.Load())
	}
}

func TestReceipts(t *testing.T) {
	k := kernel(t)
	create := func(key, body string) (es.Receipt, error) {
		id, _ := uuid.NewV7()
		at := on(id)
		at.New, at.Key, at.Operation, at.Body = true, key, "open", []byte(body)
		return es.Handle(t.Context(), k, berths, at, open{Name: body})
	}
	t.Run("16 at once make one", func(t *testing.T) {
		var wg sync.WaitGroup
		got := make([]es.Receipt, 16)
		for i := range got {
			wg.Go(func() {
				var err error
				if got[i], err = create("k1", "one"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, r := range got {
			if r != got[0] || r.Position == "" || r.Version != 1 {
				t.Fatalf("different answers: %+v and %+v", r, got[0])
			}
		}
	})
	t.Run("another body is refused", func(t *testing.T) {
		if _, err := create("k1", "other"); !errors.Is(err, es.ErrKeyReused) {
			t.Fatal(err)
		}
	})
	t.Run("the first answer outlives what came after", func(t *testing.T) {
		id := mustOpen(t, k, "acts")
		at := on(id)
		at.Key, at.Operation = "k2", "describe"
		first, err := es.Handle(t.Context(), k, berths, at, describe{"a"})
		if err != nil || !first.Changed {
			t.Fatal(first, err)
		}
		if _, err := es.Handle(t.Context(), k, berths, on(id), describe{"b"}); err != nil {
			t.Fatal(err)
		}
		if again, err := es.Handle(t.Context(), k, berths, at, describe{"a"}); err != nil || again != first {
			t.Fatalf("got %+v %v, want %+v", again, err, first)
		}
		del := on(id)
		del.Deletes = true
		if _, err := es.Handle(t.Context(), k, berths, del, closeIt{}); err != nil {
			t.Fatal(err)
		}
		if again, err := es.Handle(t.Context(), k, berths, at, describe{"a"}); err != nil || again != first {
			t.Fatalf("after the end: got %+v %v, want %+v", again, err, first)
		}
		if r, err := es.Handle(t.Context(), k, berths, del, closeIt{}); err != nil || r.Changed || r.Version != 4 {
			t.Fatalf("a repeated delete is quiet: %+v %v", r, err)
		}
		if _, err := es.Handle(t.Context(), k, berths, on(id), moor{}); !errors.Is(err, es.ErrNotFound) {
			t.Fatalf("what is gone is not found: %v", err)
		}
	})
	t.Run("a keyed no-op is remembered", func(t *testing.T) {
		id := mustOpen(t, k, "noop")
		at := on(id)
		at.Key, at.Operation = "k3", "describe"
		first, err := es.Handle(t.Context(), k, berths, at, describe{""})
		if err != nil || first.Changed || first.Position == "" {
			t.Fatal(first, err)
		}
		if _, err := es.Handle(t.Context(), k, berths, on(id), describe{"now something"}); err != nil {
			t.Fatal(err)
		}
		if again, err := es.Handle(t.Context(), k, berths, at, describe{""}); err != nil || again != first {
			t.Fatalf("got %+v %v, want %+v", again, err, first)
		}
	})
}
