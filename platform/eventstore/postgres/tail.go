package postgres

import (
	"context"
	"sync"

	"github.com/bgce/archive/platform/eventstore"
)

// tail is the newest stretch of the log in memory, without holes (positions are dense), and the doorbell of followers.
type tail struct {
	mu      sync.RWMutex
	ring    []eventstore.Recorded // position p stands at p % len
	first   int64                 // of the oldest event held
	next    int64                 // behind the newest
	bytes   int
	head    int64         // the newest position this process knows of
	bell    chan struct{} // closed and replaced when head moves
	waiters int
}

// tailBytes bounds the memory of the tail, however large its events are.
const tailBytes = 32 << 20

func (t *tail) init(keep int) {
	t.ring, t.bell = make([]eventstore.Recorded, keep), make(chan struct{})
}

func (t *tail) at(position int64) *eventstore.Recorded { return &t.ring[position%int64(len(t.ring))] }

// advance moves the known head; it reports whether that was news.
func (t *tail) advance(head int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rings(head)
}

func (t *tail) rings(head int64) bool {
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
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(events) == 0 || first < t.next {
		return
	}
	if first > t.next {
		for t.first < t.next {
			t.drop()
		}
		t.first, t.next = first, first
	}
	for i := range events {
		for t.next-t.first == int64(len(t.ring)) || t.bytes > tailBytes {
			t.drop()
		}
		*t.at(t.next) = events[i]
		t.bytes += len(events[i].Data)
		t.next++
	}
	t.rings(t.next - 1)
}

func (t *tail) drop() {
	oldest := t.at(t.first)
	t.bytes -= len(oldest.Data)
	*oldest = eventstore.Recorded{}
	t.first++
}

// after gives up to limit events behind a position, none if the tail does not hold that place or has nothing newer: whether others
// wrote since, only the table knows.
func (t *tail) after(from int64, limit int) []eventstore.Recorded {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if from+1 < t.first || from+1 >= t.next {
		return nil
	}
	events := make([]eventstore.Recorded, min(int64(limit), t.next-from-1))
	for i := range events {
		events[i] = *t.at(from + 1 + int64(i))
	}
	return events
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
