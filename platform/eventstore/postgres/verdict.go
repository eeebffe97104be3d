package postgres

import (
	"time"

	"github.com/bgce/archive/platform/eventstore"
)

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

// settle turns a verdict into answers and feeds the tail.
func (s *Store) settle(jobs []*job, v *verdict) {
	failed := make([][]failure, len(jobs)+1)
	for _, f := range v.failures {
		failed[f.Append] = append(failed[f.Append], f)
	}
	next, recordedAt := v.base, v.recorded.UTC()
	count := 0
	for _, j := range jobs {
		count += j.events
	}
	recorded := make([]eventstore.Recorded, 0, count)
	results := make([]outcome, len(jobs))
	events, writes := 0, 0 // of the batch, before the job
	for i, j := range jobs {
		if failed[i+1] != nil {
			results[i] = j.judge(failed[i+1], events, writes)
		} else {
			r := eventstore.Result{RecordedAt: recordedAt, Positions: make([]eventstore.Position, 0, j.events)}
			for k, w := range j.Writes {
				version := int(v.known[writes+k]) // of the stream before this write
				for n, e := range w.Events {
					next++
					at := token(next)
					r.Positions = append(r.Positions, at)
					e.At, e.Contents = e.At.UTC(), nil
					recorded = append(recorded, eventstore.Recorded{Event: e, Stream: w.Stream, Version: version + n + 1, Position: at, RecordedAt: recordedAt})
				}
			}
			results[i] = outcome{result: r}
		}
		events, writes = events+j.events, writes+len(j.Writes)
	}
	s.tail.add(v.base+1, recorded)
	for i, j := range jobs {
		j.done <- results[i]
	}
}

// judge names why an append was left out. Being stored already comes first: that is what a repeat asks.
// Items of events and writes count through the batch, events and writes are what stands in it before the job.
func (j *job) judge(failures []failure, events, writes int) outcome {
	repeated := make([]eventstore.Position, j.events)
	var found, elsewhere int
	var at time.Time
	for _, f := range failures {
		switch f.What {
		case eventRepeated:
			repeated[f.Item-events-1] = token(f.Number)
			at = f.At.UTC()
			found++
		case eventElsewhere:
			elsewhere++
		}
	}
	switch {
	case elsewhere > 0:
		return outcome{err: eventstore.ErrEventExists}
	case found > 0 && found < j.events:
		return outcome{err: eventstore.ErrPartialRepeat}
	case found > 0:
		return outcome{result: eventstore.Result{Positions: repeated, RecordedAt: at, Repeated: true}}
	}
	f := failures[0]
	switch f.What {
	case receiptExists:
		r := eventstore.Receipt{Key: j.Receipts[f.Item].Key, Fingerprint: eventstore.Hash(f.Fingerprint), Answer: f.Answer, Position: token(f.Number)}
		if r.Fingerprint != j.Receipts[f.Item].Fingerprint {
			return outcome{err: &eventstore.KeyReused{Index: f.Item}}
		}
		return outcome{err: &eventstore.ReceiptExists{Index: f.Item, Receipt: r}}
	case wrongVersion:
		w := j.Writes[f.Item-writes-1]
		return outcome{err: &eventstore.WrongVersion{Stream: w.Stream, Expect: w.Expect, Actual: int(f.Number)}}
	case claimTaken:
		holder, err := parseStream(f.Holder)
		if err != nil {
			return outcome{err: err}
		}
		return outcome{err: &eventstore.ClaimTaken{Index: f.Item, Holder: holder}}
	case claimMissing:
		return outcome{err: &eventstore.ClaimMissing{Index: f.Item}}
	default:
		return outcome{err: eventstore.ErrContentMissing}
	}
}
