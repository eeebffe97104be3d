package postgres

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// group is what one call of log.append commits. Its members share nothing but reads, so that each is judged alone.
type group struct {
	opts   *Options
	jobs   []*job
	bytes  int
	writes map[any]bool // streams, claims, receipts and event ids that a member (or one held back) changes
	reads  map[any]bool // streams and claims that a member only checks
}

func newGroup(o *Options) *group {
	return &group{opts: o, writes: map[any]bool{}, reads: map[any]bool{}}
}

type (
	claimKey   eventstore.Hash
	receiptKey eventstore.Hash
)

// touches calls back for everything an append depends on, until one says no.
func (j *job) touches(each func(key any, changes bool) bool) bool {
	for _, w := range j.Writes {
		if !each(w.Stream, len(w.Events) > 0) {
			return false
		}
		for i := range w.Events {
			if !each(w.Events[i].ID, true) {
				return false
			}
		}
	}
	for i := range j.claims {
		if c := &j.claims[i]; !each(claimKey(c.key), c.need != needHeld || c.final != keep) {
			return false
		}
	}
	for i := range j.Receipts {
		if !each(receiptKey(j.Receipts[i].Key), true) {
			return false
		}
	}
	return true
}

func (g *group) fits(j *job) bool {
	if len(g.jobs) > 0 && g.bytes+j.bytes > g.opts.BatchBytes {
		return false
	}
	return j.touches(func(key any, changes bool) bool { return !g.writes[key] && !(changes && g.reads[key]) })
}

func (g *group) bar(j *job) {
	j.touches(func(key any, changes bool) bool {
		if changes {
			g.writes[key] = true
		} else {
			g.reads[key] = true
		}
		return true
	})
}

func (g *group) add(j *job) {
	g.bar(j)
	g.jobs = append(g.jobs, j)
	g.bytes += j.bytes
}

func (g *group) full() bool {
	return len(g.jobs) >= g.opts.BatchCount || g.bytes >= g.opts.BatchBytes
}

// What a claim needs to be before the append, and what becomes of it.
const (
	needNothing = iota
	needFree    // nobody's, or the taker's, or of the one who releases it in the same append
	needHeld
)

const (
	keep = iota
	hold
	drop
)

// netClaim is all operations of an append on one claim, folded into one check and one change.
type netClaim struct {
	key    eventstore.Hash
	item   int // index of the operation a refusal names
	need   int
	taker  string // "" or the first to take it
	freed  string // "" or who releases it first
	final  int
	holder string // when final is hold
}

// netClaims folds the operations in their order: a take after a release in the same append finds the claim free.
func netClaims(ops []eventstore.Claim) ([]netClaim, error) {
	if len(ops) == 0 {
		return nil, nil
	}
	index := make(map[eventstore.Hash]int, len(ops))
	var net []netClaim
	for i, op := range ops {
		at, known := index[op.Key]
		if !known {
			at = len(net)
			index[op.Key] = at
			net = append(net, netClaim{key: op.Key, item: i})
		}
		c, by := &net[at], op.Holder.String()
		switch op.Op {
		case eventstore.Take:
			if c.final == hold && c.holder != by {
				holder, err := parseStream(c.holder)
				if err != nil {
					return nil, err
				}
				return nil, &eventstore.ClaimTaken{Index: i, Holder: holder}
			}
			if c.need == needNothing {
				c.need, c.taker, c.item = needFree, by, i
			}
			c.final, c.holder = hold, by
		case eventstore.Release:
			switch {
			case c.final == hold && c.holder == by:
				c.final, c.holder = drop, ""
			case c.final == keep:
				c.final, c.freed = drop, by
			}
		case eventstore.Require:
			if c.final == drop && c.need == needFree {
				return nil, &eventstore.ClaimMissing{Index: i}
			}
			if c.final == keep && c.need == needNothing {
				c.need, c.item = needHeld, i
			}
		default:
			return nil, fmt.Errorf("%w: claim operation %d", eventstore.ErrInvalid, op.Op)
		}
	}
	return net, nil
}

// batch is the arguments of log.append; schema.sql says how rows lie in them.
type batch struct {
	wInt      []int32
	wCategory []string
	wStream   []uuid.UUID
	eInt      []int32
	eUUID     []uuid.UUID
	eText     []string
	eAt       []time.Time
	eBytes    [][]byte
	cInt      []int32
	cKey      [][]byte
	cText     []string
	rInt      []int32
	rBytes    [][]byte
	rPosition []int64
	ttl       time.Duration
	hAppend   []int32
	hHash     [][]byte
}

func (b *batch) args() []any {
	return []any{
		b.wInt, b.wCategory, b.wStream, b.eInt, b.eUUID, b.eText, b.eAt, b.eBytes,
		b.cInt, b.cKey, b.cText, b.rInt, b.rBytes, b.rPosition, b.ttl, b.hAppend, b.hHash,
	}
}

func pack(jobs []*job, ttl time.Duration) *batch {
	b := &batch{ttl: ttl}
	for i, j := range jobs {
		n, before := int32(i+1), len(b.eAt)
		for _, w := range j.Writes {
			b.wInt = append(b.wInt, n, int32(w.Expect))
			b.wCategory, b.wStream = append(b.wCategory, w.Stream.Category), append(b.wStream, w.Stream.ID)
			for k := range w.Events {
				b.event(n, int32(k+1), int32(before+j.events-len(b.eAt)-1), &w.Events[k])
			}
		}
		for _, c := range j.claims {
			b.cInt = append(b.cInt, n, int32(c.item), int32(c.need), int32(c.final))
			b.cKey = append(b.cKey, c.key[:])
			b.cText = append(b.cText, c.taker, c.freed, c.holder)
		}
		for k := range j.Receipts {
			b.receipt(n, int32(k), before, &j.Receipts[k])
		}
	}
	return b
}

func (b *batch) event(n, nth, left int32, e *eventstore.Event) {
	b.eInt = append(b.eInt, n, int32(len(b.wStream)), nth, left, int32(e.Schema))
	b.eUUID = append(b.eUUID, e.ID, e.Tenant, e.Correlation, e.Causation)
	b.eText = append(b.eText, e.Type, e.Actor)
	b.eAt = append(b.eAt, e.At)
	b.eBytes = append(b.eBytes, e.Data, e.Meta)
	for i := range e.Contents {
		b.hAppend, b.hHash = append(b.hAppend, n), append(b.hHash, e.Contents[i][:])
	}
}

func (b *batch) receipt(n, item int32, before int, r *eventstore.Receipt) {
	event := int32(0)
	if r.After > 0 {
		event = int32(before + r.After)
	}
	position, _ := number(r.Position) // a position of another log stands as 0
	b.rInt, b.rPosition = append(b.rInt, n, item, event), append(b.rPosition, position)
	b.rBytes = append(b.rBytes, r.Key[:], r.Fingerprint[:], append([]byte{}, r.Answer...))
}
