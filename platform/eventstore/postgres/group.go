package postgres

import (
	"fmt"

	"github.com/bgce/archive/platform/eventstore"
)

// group is what one call of log.append commits. Its members share nothing but reads, so that each is judged alone.
type group struct {
	opts    *Options
	jobs    []*job
	bytes   int
	marks   int          // of jobs, how many stand in touched: none while there is but one
	touched map[key]bool // streams, claims and receipts: true if a member (or one held back) changes it, false if only checks
}

// key is a stream, a claim or a receipt, by its kind.
type key struct {
	kind     byte
	category string
	id       [32]byte
}

// touches calls back for everything an append depends on, until one says no. Event ids are left to the unique index: no caller uses
// one twice but by mistake.
func (j *job) touches(each func(k key, changes bool) bool) bool {
	for _, w := range j.Writes {
		k := key{kind: 's', category: w.Stream.Category}
		copy(k.id[:], w.Stream.ID[:])
		if !each(k, len(w.Events) > 0) {
			return false
		}
	}
	for i := range j.claims {
		if c := &j.claims[i]; !each(key{kind: 'c', id: c.key}, c.need != needHeld || c.final != keep) {
			return false
		}
	}
	for i := range j.Receipts {
		if !each(key{kind: 'r', id: j.Receipts[i].Key}, true) {
			return false
		}
	}
	return true
}

func (g *group) fits(j *job) bool {
	if len(g.jobs) == 0 && len(g.touched) == 0 {
		return true
	}
	if len(g.jobs) > 0 && g.bytes+j.bytes > g.opts.BatchBytes {
		return false
	}
	for ; g.marks < len(g.jobs); g.marks++ {
		g.bar(g.jobs[g.marks])
	}
	return j.touches(func(k key, changes bool) bool {
		changed, known := g.touched[k]
		return !known || !changed && !changes
	})
}

// bar keeps later jobs from what a job touches.
func (g *group) bar(j *job) {
	j.touches(func(k key, changes bool) bool {
		g.touched[k] = g.touched[k] || changes
		return true
	})
}

func (g *group) add(j *job) {
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
