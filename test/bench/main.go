// Command bench compares the Archive with what one writes by hand: alternating rounds, ratios with their spread, targets beside them.
//
//	go run ./test/bench [-smoke] [-only append,http,streams,hot,lag,read] [-rounds 5]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"time"
)

var (
	smoke          = flag.Bool("smoke", false, "one short round each: does it run and is it right")
	only           = flag.String("only", "", "scenarios, comma separated; all of them if empty")
	rounds         = flag.Int("rounds", 5, "undisturbed rounds wanted of each comparison")
	slice          = flag.Duration("slice", 500*time.Millisecond, "how long one side works before the other has its turn")
	slicesPerRound = flag.Int("slices", 3, "turns of each side in a round")
	profile        = flag.String("cpuprofile", "", "write a CPU profile to the file, of the Archive's server to FILE.server")
)

// scenario sets up and gives its bouts one after another; done frees what they used.
type scenario struct {
	name string
	run  func(ctx context.Context, c *cluster, play func(*bout) error) error
}

var scenarios = []scenario{
	{"append", appends}, {"http", commandsOverHTTP}, {"streams", streams}, {"hot", hot}, {"lag", lag}, {"read", reads},
}

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run, config := bench, os.Getenv(partVariable)
	if config != "" {
		run = func(ctx context.Context) error { return serve(ctx, config) }
	}
	if err := run(ctx); err != nil && (config == "" || ctx.Err() == nil) { // a child is ended by its interrupt
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context) error {
	if *smoke {
		*rounds, *slicesPerRound, *slice = 1, 1, 200*time.Millisecond
	}
	wanted := strings.FieldsFunc(*only, func(r rune) bool { return r == ',' })
	for _, name := range wanted {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("there is no scenario %q", name)
		}
	}
	c, err := start(ctx)
	if err != nil {
		return err
	}
	defer c.stop()
	stop, err := profiled(*profile)
	if err != nil {
		return err
	}
	defer stop()
	missed := 0
	for _, s := range scenarios {
		if len(wanted) > 0 && !slices.Contains(wanted, s.name) {
			continue
		}
		err := s.run(ctx, c, func(b *bout) error {
			m, err := b.play(ctx, *rounds)
			missed += m
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if missed > 0 {
		fmt.Printf("%d targets missed\n", missed)
	}
	return nil
}

// profiled writes a CPU profile to the path until stop; "" is none.
func profiled(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return func() { pprof.StopCPUProfile(); f.Close() }, pprof.StartCPUProfile(f)
}
