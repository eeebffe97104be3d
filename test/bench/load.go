package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// hammer lets workers repeat op for d and gives how often it succeeded per second. The first error ends it.
func hammer(workers int, op func(ctx context.Context, worker int) error) way {
	return func(ctx context.Context, d time.Duration) (float64, error) {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var done atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for w := range workers {
			wg.Go(func() {
				for time.Since(start) < d && ctx.Err() == nil {
					if err := op(ctx, w); err != nil {
						cancel(err)
						return
					}
					done.Add(1)
				}
			})
		}
		wg.Wait()
		return float64(done.Load()) / time.Since(start).Seconds(), context.Cause(ctx)
	}
}

// best gives the pool size of the candidates with which a way is fastest.
func best(ctx context.Context, sizes []int, of func(size int) (way, func())) (int, error) {
	var rates []float64
	for _, size := range sizes {
		w, done := of(size)
		if _, err := w(ctx, *slice/2); err != nil { // warm
			return 0, err
		}
		rate, err := w(ctx, *slice)
		done()
		if err != nil {
			return 0, err
		}
		rates = append(rates, rate)
	}
	return sizes[slices.Index(rates, slices.Max(rates))], nil
}

// cpu is processor time so far, in seconds: of the machine, and of this process with all it started.
type cpu struct {
	all, own float64
	at       time.Time
}

// others is how many cores were used by anything else since.
func (c cpu) others() float64 {
	now := usage()
	return max(0, (now.all-c.all)-(now.own-c.own)) / now.at.Sub(c.at).Seconds()
}

func usage() cpu {
	c := cpu{at: time.Now()}
	stat, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(stat), "\n")
	c.all = ticks(strings.Fields(first), 1, 2, 3, 6, 7) // user nice system irq softirq
	parent, used := map[int]int{}, map[int]float64{}
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		stat, _ := os.ReadFile(path)
		_, rest, found := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); found && len(fields) > 14 {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			parent[pid], _ = strconv.Atoi(fields[1])
			used[pid] = ticks(fields, 11, 12, 13, 14) // with what it waited for
		}
	}
	for pid, t := range used {
		for p := pid; p > 1; p = parent[p] {
			if p == os.Getpid() {
				c.own += t
				break
			}
		}
	}
	return c
}

func ticks(fields []string, columns ...int) (seconds float64) {
	for _, i := range columns {
		if i < len(fields) {
			t, _ := strconv.ParseFloat(fields[i], 64)
			seconds += t / 100
		}
	}
	return seconds
}
