package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// bout is two ways of doing the same, measured in alternating rounds.
type bout struct {
	lines  []line
	round  func(ctx context.Context) ([]pair, error) // one pair per line
	verify func(ctx context.Context) error           // after the last round: was what we measured right?
}

// line is one comparison with a target for the ratio ours/theirs.
type line struct {
	what         string
	unit         string // "/s" or " ms"
	ours, theirs string // what they are called
	target       float64
	atMost       bool // the target is an upper bound: times, not rates
}

// pair is what one round measured.
type pair struct{ ours, theirs float64 }

func (p pair) ratio() float64 { return p.ours / p.theirs }

const (
	tooWide = 0.25 // a spread beyond this is no measurement
	quiet   = 0.15 // cores that other processes may use during a round
)

// play runs rounds until enough of them were undisturbed, twice as many at most, and keeps the least disturbed.
func (b *bout) play(ctx context.Context, rounds int) (missed int, err error) {
	type taken struct {
		pairs  []pair
		others float64
	}
	var all []taken
	calm := 0
	for len(all) < rounds || calm < rounds && len(all) < 2*rounds {
		before := usage()
		pairs, err := b.round(ctx)
		if err != nil {
			return 0, err
		}
		others := before.others()
		if all = append(all, taken{pairs, others}); others < quiet {
			calm++
		}
	}
	slices.SortStableFunc(all, func(a, b taken) int { return int(1000 * (a.others - b.others)) })
	all = all[:rounds]
	for i, l := range b.lines {
		pairs, others := make([]pair, rounds), 0.0
		for k, t := range all {
			pairs[k], others = t.pairs[i], max(others, t.others)
		}
		if !l.print(pairs, others) {
			missed++
		}
	}
	if b.verify != nil {
		err = b.verify(ctx)
	}
	return missed, err
}

// print says what the rounds came to; false is a missed target.
func (l line) print(pairs []pair, others float64) bool {
	of := func(f func(pair) float64) []float64 {
		var v []float64
		for _, p := range pairs {
			v = append(v, f(p))
		}
		slices.Sort(v)
		return v
	}
	ratios := of(pair.ratio)
	ratio := median(ratios)
	spread := (ratios[len(ratios)-1] - ratios[0]) / ratio
	sign, met := "≥", ratio >= l.target
	if l.atMost {
		sign, met = "≤", ratio <= l.target
	}
	verdict := "ok"
	switch {
	case len(pairs) == 1:
		verdict = "one round: not measured"
	case spread > tooWide:
		verdict = "not measured: the spread is over 25 %"
	case !met:
		verdict = "MISS"
	}
	fmt.Printf("%-46s %5.2f×  target %s %.1f×  %-8s spread %2.0f %% of %d  %s %s%s, %s %s%s; others %.2f cores\n",
		l.what, ratio, sign, l.target, verdict, 100*spread, len(pairs),
		l.ours, figure(median(of(func(p pair) float64 { return p.ours }))), l.unit,
		l.theirs, figure(median(of(func(p pair) float64 { return p.theirs }))), l.unit, others)
	return met || len(pairs) == 1 || spread > tooWide
}

func figure(v float64) string {
	if v < 100 {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// way is one side of a bout: it works for about d and says how much it did per second.
type way func(ctx context.Context, d time.Duration) (float64, error)

// alternate makes a round of short slices A B A B …, so that what drifts drifts for both.
func alternate(ours, theirs way) func(context.Context) ([]pair, error) {
	return func(ctx context.Context) ([]pair, error) {
		var sum pair
		for range *slicesPerRound {
			for _, side := range []struct {
				way way
				sum *float64
			}{{ours, &sum.ours}, {theirs, &sum.theirs}} {
				rate, err := side.way(ctx, *slice)
				if err != nil {
					return nil, err
				}
				*side.sum += rate
			}
		}
		n := float64(*slicesPerRound)
		return []pair{{sum.ours / n, sum.theirs / n}}, nil
	}
}
