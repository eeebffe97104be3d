package es

import (
	"container/list"
	"sync"

	"github.com/bgce/archive/platform/eventstore"
)

// slots holds one slot per stream in use and keeps the least recently used others up to a bound.
type slots struct {
	mu       sync.Mutex
	keep     int
	byStream map[eventstore.Stream]*list.Element
	recent   *list.List // of *entry, most recent first
}

type entry struct {
	stream eventstore.Stream
	slot   any // *slot[S]
	users  int // commands at work or waiting: such an entry stays
}

func newSlots(keep int) *slots {
	return &slots{keep: keep, byStream: map[eventstore.Stream]*list.Element{}, recent: list.New()}
}

// use gives the stream's slot, made if there is none; every use is followed by a leave.
func use[S any](s *slots, stream eventstore.Stream) *slot[S] {
	s.mu.Lock()
	defer s.mu.Unlock()
	el, ok := s.byStream[stream]
	if !ok {
		el = s.recent.PushFront(&entry{stream: stream, slot: &slot[S]{}})
		s.byStream[stream] = el
	}
	s.recent.MoveToFront(el)
	e := el.Value.(*entry)
	e.users++
	return e.slot.(*slot[S])
}

func (s *slots) leave(stream eventstore.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if el, ok := s.byStream[stream]; ok {
		el.Value.(*entry).users--
	}
	for el := s.recent.Back(); el != nil && s.recent.Len() > s.keep; {
		previous, e := el.Prev(), el.Value.(*entry)
		if e.users == 0 {
			s.recent.Remove(el)
			delete(s.byStream, e.stream)
		}
		el = previous
	}
}

// evict makes the next command on the stream load it anew.
func (s *slots) evict(stream eventstore.Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if el, ok := s.byStream[stream]; ok {
		el.Value.(*entry).slot.(interface{ forget() }).forget()
	}
}
