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

// What the server says of an append it left out.
const (
	eventRepeated  = 1
	eventElsewhere = 2
	receiptExists  = 3
	wrongVersion   = 4
	claimTaken     = 5
	claimMissing   = 6
)

// verdict is what log.append answers for a batch.
type verdict struct {
	base     int64     // position before the first new event
	recorded time.Time // of every new event
	known    []int32   // version of each write's stream before the batch
	failures []failure
}

type failure struct {
	Append      int       `json:"append"` // 1 …
	What        int       `json:"what"`
	Item        int       `json:"item"`
	Number      int64     `json:"number"`
	Fingerprint []byte    `json:"fingerprint"`
	Answer      []byte    `json:"answer"`
	Holder      string    `json:"holder"`
	At          time.Time `json:"at"`
}

// batch is the arguments of log.append, column by column.
type batch struct {
	wAppend, wExpect                       []int32
	wCategory                              []string
	wStream                                []uuid.UUID
	eAppend, eWrite, eNth, eLeft, eSchema  []int32
	eID, eTenant, eCorrelation, eCausation []uuid.UUID
	eType, eActor                          []string
	eAt                                    []time.Time
	eData, eMeta                           [][]byte
	cAppend, cItem, cNeed, cFinal          []int32
	cKey                                   [][]byte
	cTaker, cFreed, cHolder                []string
	rAppend, rItem, rEvent                 []int32
	rKey, rFingerprint, rAnswer            [][]byte
	rPosition                              []int64
	ttl                                    time.Duration
	hAppend                                []int32
	hHash                                  [][]byte
}

func (b *batch) args() []any {
	return []any{
		b.wAppend, b.wCategory, b.wStream, b.wExpect,
		b.eAppend, b.eWrite, b.eNth, b.eLeft, b.eID, b.eType, b.eSchema, b.eTenant, b.eActor, b.eAt, b.eCorrelation, b.eCausation, b.eData, b.eMeta,
		b.cAppend, b.cItem, b.cKey, b.cNeed, b.cTaker, b.cFreed, b.cFinal, b.cHolder,
		b.rAppend, b.rItem, b.rKey, b.rFingerprint, b.rAnswer, b.rEvent, b.rPosition, b.ttl,
		b.hAppend, b.hHash,
	}
}

func pack(jobs []*job, ttl time.Duration) *batch {
	b := &batch{ttl: ttl}
	for i, j := range jobs {
		n, before := int32(i+1), len(b.eID)
		for _, w := range j.Writes {
			b.wAppend, b.wExpect = append(b.wAppend, n), append(b.wExpect, int32(w.Expect))
			b.wCategory, b.wStream = append(b.wCategory, w.Stream.Category), append(b.wStream, w.Stream.ID)
			for k := range w.Events {
				b.event(n, int32(k+1), int32(before+j.events-len(b.eID)-1), &w.Events[k])
			}
		}
		for _, c := range j.claims {
			b.cAppend, b.cItem, b.cKey = append(b.cAppend, n), append(b.cItem, int32(c.item)), append(b.cKey, c.key[:])
			b.cNeed, b.cFinal = append(b.cNeed, int32(c.need)), append(b.cFinal, int32(c.final))
			b.cTaker, b.cFreed, b.cHolder = append(b.cTaker, c.taker), append(b.cFreed, c.freed), append(b.cHolder, c.holder)
		}
		for k := range j.Receipts {
			r := &j.Receipts[k]
			event := int32(0)
			if r.After > 0 {
				event = int32(before + r.After)
			}
			position, _ := number(r.Position) // a position of another log stands as 0
			b.rAppend, b.rItem, b.rEvent, b.rPosition = append(b.rAppend, n), append(b.rItem, int32(k)), append(b.rEvent, event), append(b.rPosition, position)
			b.rKey, b.rFingerprint, b.rAnswer = append(b.rKey, r.Key[:]), append(b.rFingerprint, r.Fingerprint[:]), append(b.rAnswer, append([]byte{}, r.Answer...))
		}
	}
	return b
}

func (b *batch) event(n, nth, left int32, e *eventstore.Event) {
	b.eAppend, b.eWrite, b.eNth, b.eLeft = append(b.eAppend, n), append(b.eWrite, int32(len(b.wAppend))), append(b.eNth, nth), append(b.eLeft, left)
	b.eID, b.eType, b.eSchema, b.eTenant = append(b.eID, e.ID), append(b.eType, e.Type), append(b.eSchema, int32(e.Schema)), append(b.eTenant, e.Tenant)
	b.eActor, b.eAt, b.eCorrelation, b.eCausation = append(b.eActor, e.Actor), append(b.eAt, e.At), append(b.eCorrelation, e.Correlation), append(b.eCausation, e.Causation)
	b.eData, b.eMeta = append(b.eData, e.Data), append(b.eMeta, e.Meta)
	for i := range e.Contents {
		b.hAppend, b.hHash = append(b.hAppend, n), append(b.hHash, e.Contents[i][:])
	}
}
