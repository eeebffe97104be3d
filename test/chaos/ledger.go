package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// ledger is what the client was told. It never looks into the log or the views until the end.
type ledger struct {
	mu    sync.Mutex
	posts map[uuid.UUID]*post
	wrong []string // broken promises, as they were seen

	acks, refusals, quiet           atomic.Int64 // answers: changed, refused as they should be, nothing to change
	lost, unanswered, resent, early atomic.Int64 // early: lost answers whose effect was there before the request was sent again
}

// post is one article as its clients were told.
type post struct {
	mu      sync.Mutex
	id      uuid.UUID
	shared  bool
	changes map[int]change // by version
	now     row            // of a post with one writer: after its last change
}

// change is one acknowledged event.
type change struct {
	kind     string // the event's action
	content  content
	position int64
	resentAt time.Time // of the first repeat, if an answer was lost
	key      string
}

type content struct{ Title, Body, Slug string }

// row is what the views must show.
type row struct {
	content
	Status   string
	Version  int
	Revision int
	Deleted  bool
}

func (r *row) apply(c change) {
	r.Version++
	switch c.kind {
	case "created":
		r.Status, r.Revision, r.content = "draft", 1, c.content
	case "updated":
		r.Revision, r.content = r.Revision+1, c.content
	case "published":
		r.Status = "published"
	case "unpublished", "restored":
		r.Status = "draft"
	case "archived":
		r.Status = "archived"
	case "deleted":
		r.Deleted = true
	}
}

func (l *ledger) complainf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wrong = append(l.wrong, fmt.Sprintf(format, args...)); len(l.wrong) <= 20 {
		fmt.Println("WRONG:", l.wrong[len(l.wrong)-1])
	}
}

// told enters an acknowledged change; two requests may never be told the same version of one post.
func (l *ledger) told(p *post, version int, c change) {
	l.acks.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, twice := p.changes[version]; twice {
		l.complainf("post %s: version %d was acknowledged to %s and to %s", p.id, version, before.key, c.key)
	}
	p.changes[version] = c
	if !p.shared {
		if p.now.apply(c); version != p.now.Version {
			l.complainf("post %s: %s (%s) was acknowledged as version %d, its only writer expected %d", p.id, c.kind, c.key, version, p.now.Version)
		}
	}
}

func (l *ledger) add(id uuid.UUID, shared bool) *post {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &post{id: id, shared: shared, changes: map[int]change{}}
	if l.posts[id] != nil {
		l.complainf("two creations were told the same id %s", id)
	}
	l.posts[id] = p
	return p
}

// rows folds what was told into what must be seen. Versions must be 1, 2, 3 … without a gap.
func (p *post) row() (row, error) {
	var r row
	for v := 1; v <= len(p.changes); v++ {
		c, ok := p.changes[v]
		if !ok {
			return r, fmt.Errorf("post %s: %d changes were acknowledged, none as version %d", p.id, len(p.changes), v)
		}
		r.apply(c)
	}
	return r, nil
}

// dice make all choices of a run, so that a seed repeats them; what the processes do with their time it does not repeat.
var dice struct {
	sync.Mutex
	*rand.Rand
}

func pick(n int) int {
	dice.Lock()
	defer dice.Unlock()
	return dice.IntN(n)
}

func chance(percent int) bool { return pick(100) < percent }

// upTo is a random time.
func upTo(most time.Duration) time.Duration { return time.Duration(pick(int(most) + 1)) }
