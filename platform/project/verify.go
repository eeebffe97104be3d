package project

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/project/tally"
)

// Verification compares what a view says it took in with the log, up to the view's position.
type Verification struct {
	View      string              `json:"view"`
	Physical  string              `json:"physical"`
	Position  eventstore.Position `json:"position"`
	Log       tally.Tally         `json:"log"` // events of the log the view must account for
	Applied   tally.Tally         `json:"applied"`
	Held      tally.Tally         `json:"held"` // of quarantined streams
	Discarded tally.Tally         `json:"discarded"`
}

// OK reports whether applied + held + discarded are exactly the log's events.
func (v Verification) OK() bool { return v.accounted() == v.Log }

func (v Verification) accounted() tally.Tally {
	var sum tally.Tally
	for _, t := range []tally.Tally{v.Applied, v.Held, v.Discarded} {
		sum.Plus(t)
	}
	return sum
}

// String is the finding in one sentence.
func (v Verification) String() string {
	sum := v.accounted()
	text := fmt.Sprintf("%s at %s: %d applied + %d quarantined + %d discarded, %d in the log", v.View, v.Position, v.Applied.Count, v.Held.Count, v.Discarded.Count, v.Log.Count)
	switch {
	case sum == v.Log:
		return text + ", the same events: complete"
	case sum.Count != v.Log.Count:
		return text + fmt.Sprintf(": the count differs by %d, rebuild the view", sum.Count-v.Log.Count)
	default:
		return text + ": as many but not the same events, rebuild the view"
	}
}

// Verify recomputes count and digest from the log and says whether the view took in exactly the events it should have.
func (e *Engine) Verify(ctx context.Context, name string) (Verification, error) {
	v, err := e.view(name)
	if err != nil {
		return Verification{}, err
	}
	result, follows, err := e.accounts(ctx, v)
	if err != nil {
		return result, err
	}
	if err := eventstore.Resume(ctx, e.Store, follows); err != nil {
		return result, err
	}
	for at := eventstore.Position(""); at < result.Position; {
		read, err := e.Store.Read(ctx, eventstore.Query{From: at, Filter: eventstore.Filter{Categories: v.reads}, Limit: 10_000})
		if err != nil {
			return result, err
		}
		for i := range read.Events {
			if read.Events[i].Position <= result.Position && v.counts(&read.Events[i]) {
				result.Log.Add(read.Events[i].ID)
			}
		}
		if read.Next == at {
			break
		}
		at = read.Next
	}
	return result, nil
}

// accounts reads the checkpoint and what is held in one snapshot.
func (e *Engine) accounts(ctx context.Context, v View) (result Verification, follows eventstore.Checkpoint, err error) {
	err = pgx.BeginTxFunc(ctx, e.DB, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		cp, err := scanCheckpoint(tx.QueryRow(ctx, `SELECT `+checkpointColumns+` FROM project.checkpoints WHERE physical = (SELECT physical FROM project.views WHERE name = $1)`, v.name))
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNoView
		}
		if err == nil && cp.version != v.version {
			err = stop(fmt.Sprintf("project: version %d of %s is live, this process has version %d and cannot verify it", cp.version, v.name, v.version))
		}
		if err != nil {
			return err
		}
		follows = cp.at
		result = Verification{View: v.name, Physical: cp.physical, Position: cp.at.Position, Applied: cp.applied, Discarded: cp.discarded}
		found, err := tx.Query(ctx, `SELECT event FROM project.quarantined_events WHERE physical = $1`, cp.physical)
		if err != nil {
			return err
		}
		held, err := pgx.CollectRows(found, pgx.RowTo[uuid.UUID])
		for _, id := range held {
			result.Held.Add(id)
		}
		return err
	})
	return result, follows, err
}
