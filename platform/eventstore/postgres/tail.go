package postgres

import (
	"context"
	"slices"
	"sync"

	"github.com/bgce/archive/platform/eventstore"
)

// tail is the newest stretch of the log in memory, without holes (positions are dense), and the doorbell of followers.
type tail struct {
	mu      sync.RWMutex
	events  []eventstore.Recorded // of positions first … first+len-1
	first   int64
	head    int64 // the newest position this process knows of
	keep    int
	bytes   int
	bell    chan struct{} // closed and replaced when head moves
	waiters int
}

// tailBytes bounds the memory of the tail, however large its events are.
const tailBytes = 32 << 20

func (t *tail) init(keep int) { t.keep, t.bell = keep, make(chan struct{}) }

// advance moves the known head; it reports whether that was news.
func (t *tail) advance(head int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ring(head)
}

func (t *tail) ring(head int64) bool {
	if head <= t.head {
		return false
	}
	t.head = head
	close(t.bell)
	t.bell = make(chan struct{})
	return true
}

// add takes what this process has just committed; behind a foreign append the tail starts anew.
func (t *tail) add(first int64, events []eventstore.Recorded) {
	if len(events) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if next := t.first + int64(len(t.events)); first != next {
		if first < next {
			return
		}
		t.events, t.first, t.bytes = t.events[:0:0], first, 0
	}
	t.events = append(t.events, events...)
	for i := range events {
		t.bytes += len(events[i].Data)
	}
	t.trim()
	t.ring(first + int64(len(events)) - 1)
}

// trim halves the tail when it has grown over its bounds, so that the copying is rare.
func (t *tail) trim() {
	drop := 0
	if len(t.events) > 2*t.keep {
		drop = len(t.events) - t.keep
	}
	for _, e := range t.events[:drop] {
		t.bytes -= len(e.Data)
	}
	if t.bytes > tailBytes {
		for t.bytes > tailBytes/2 {
			t.bytes -= len(t.events[drop].Data)
			drop++
		}
	}
	if drop > 0 {
		t.first += int64(drop)
		t.events = slices.Clone(t.events[drop:]) // readers keep the old array
	}
}

// after gives up to limit events behind a position, none if the tail does not hold that place or has nothing newer: whether others
// wrote since, only the table knows.
func (t *tail) after(from int64, limit int) []eventstore.Recorded {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if from+1 < t.first || from+1 >= t.first+int64(len(t.events)) {
		return nil
	}
	rest := t.events[from+1-t.first:]
	return rest[:min(limit, len(rest))]
}

func (t *tail) waiting() bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.waiters > 0
}

func (t *tail) wait(ctx context.Context, after int64) error {
	for {
		t.mu.Lock()
		if t.head > after {
			t.mu.Unlock()
			return nil
		}
		bell := t.bell
		t.waiters++
		t.mu.Unlock()
		select {
		case <-bell:
		case <-ctx.Done():
		}
		t.mu.Lock()
		t.waiters--
		t.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
