package eventstore

import (
	"context"
	"errors"
	"iter"

	"github.com/google/uuid"
)

// Resume checks that a checkpoint still lies on this log. Every follower does it once before it reads on.
func Resume(ctx context.Context, s Store, c Checkpoint) error {
	if c.Position == "" && (c.Log == "" || c.Log == s.LogID()) {
		return nil
	}
	if c.Log != s.LogID() {
		return &Diverged{Follower: c, Log: s.LogID()}
	}
	at, err := s.At(ctx, c.Position)
	if errors.Is(err, ErrNoEvent) {
		return &Diverged{Follower: c, Log: s.LogID()}
	}
	if err != nil {
		return err
	}
	if c.Event != uuid.Nil && at.ID != c.Event {
		return &Diverged{Follower: c, Log: s.LogID(), Found: at.ID}
	}
	return nil
}

// Follow catches up from a checkpoint and then goes on live: every page in order, none missing, none twice.
// It ends with the context or the first error; the caller keeps the checkpoint.
func Follow(ctx context.Context, s Store, from Checkpoint, f Filter, limit int) iter.Seq2[Page, error] {
	return func(yield func(Page, error) bool) {
		if err := Resume(ctx, s, from); err != nil {
			yield(Page{}, err)
			return
		}
		at := from.Position
		for {
			page, err := s.Read(ctx, Query{From: at, Filter: f, Limit: limit})
			if err == nil && page.Next == at {
				if err = s.Wait(ctx, at); err == nil {
					continue
				}
			}
			if err != nil {
				yield(Page{}, err)
				return
			}
			at = page.Next
			if !yield(page, nil) {
				return
			}
		}
	}
}
