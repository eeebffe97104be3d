package main

import (
	"context"
	"fmt"
	"time"
)

// kills counts what was done to the processes.
type kills struct {
	archive, postgres int
	busy              int // with at least eight requests in flight
}

func (k kills) all() int { return k.archive + k.postgres }

const (
	manyInFlight = 8
	ofPostgres   = 42 // percent of the kills
	fewest       = 33 // percent of them, whatever the dice say
	atAnyTime    = 12 // percent of the kills that do not wait for traffic: they hit a start or a recovery
)

// run kills until there were so many. Between two kills there is traffic, mostly.
func (k *kills) run(ctx context.Context, s *server, c *client, wanted int) error {
	for k.all() < wanted && ctx.Err() == nil {
		if !chance(atAnyTime) {
			if err := k.awaitTraffic(ctx, s, c); err != nil {
				return err
			}
		}
		pause(ctx, 0, 1200*time.Millisecond)
		for i := 0; i < 500 && c.inFlight.Load() < manyInFlight; i++ {
			pause(ctx, time.Millisecond, time.Millisecond)
		}
		if gone := s.gone(); gone != nil {
			return gone
		}
		inFlight := c.inFlight.Load()
		if chance(ofPostgres) || 100*k.postgres < fewest*(k.all()+1) {
			if s.killPostgres() != nil {
				continue // it is not there just now
			}
			k.postgres++
		} else {
			s.kill()
			k.archive++
		}
		if inFlight >= manyInFlight {
			k.busy++
		}
		if k.all()%20 == 0 {
			fmt.Printf("%d kills, %d acknowledged, %d lost answers\n", k.all(), c.ledger.acks.Load(), c.ledger.lost.Load())
		}
		select {
		case <-s.exited:
			pause(ctx, 0, 200*time.Millisecond)
			if err := s.start(); err != nil {
				return err
			}
		default:
		}
	}
	return ctx.Err()
}

// awaitTraffic returns when requests are being answered again.
func (k *kills) awaitTraffic(ctx context.Context, s *server, c *client) error {
	before := c.answered.Load()
	for deadline := time.Now().Add(2 * time.Minute); c.answered.Load() < before+manyInFlight; {
		if gone := s.gone(); gone != nil {
			return gone
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("nothing was answered for two minutes after kill %d", k.all())
		}
		pause(ctx, 5*time.Millisecond, 5*time.Millisecond)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}
