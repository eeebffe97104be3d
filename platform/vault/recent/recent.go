// Package recent is a bounded map that forgets: an entry is gone some time after it was put, used or not.
package recent

import (
	"sync"
	"time"
)

// Map keeps two generations; an entry lives between half its time and its whole time. It needs no goroutine.
type Map[K comparable, V any] struct {
	mu        sync.Mutex
	limit     int
	half      time.Duration
	since     time.Time
	now, past map[K]V
}

// New makes a map of at most limit entries that live at most ttl.
func New[K comparable, V any](limit int, ttl time.Duration) *Map[K, V] {
	return &Map[K, V]{limit: max(1, limit/2), half: ttl / 2, since: time.Now(), now: map[K]V{}}
}

// Get finds an entry that is not too old.
func (m *Map[K, V]) Get(key K) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	if v, ok := m.now[key]; ok {
		return v, true
	}
	v, ok := m.past[key]
	return v, ok
}

// Put keeps an entry.
func (m *Map[K, V]) Put(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	if len(m.now) >= m.limit {
		m.past, m.now, m.since = m.now, map[K]V{}, time.Now()
	}
	m.now[key] = value
}

// Forget drops an entry.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.now, key)
	delete(m.past, key)
}

// Clear drops everything.
func (m *Map[K, V]) Clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now, m.past = map[K]V{}, nil
}

// turn makes the generation the past one when its half is over. What was put at its beginning is then half its time old.
func (m *Map[K, V]) turn() {
	switch age := time.Since(m.since); {
	case age < m.half:
	case age < 2*m.half:
		m.past, m.now, m.since = m.now, map[K]V{}, m.since.Add(m.half)
	default:
		m.past, m.now, m.since = nil, map[K]V{}, time.Now()
	}
}
