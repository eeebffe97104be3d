// Command chaos kills the Archive and its PostgreSQL under load and compares log and views with what the client was told.
//
//	go run ./test/chaos [-kills 200] [-short] [-seed N] [-workers 32] [-keep]
//
// It exits 1 when a promise was broken, 2 when the run itself did not come about or was not hard enough.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

var (
	short   = flag.Bool("short", false, "20 kills and a tenth of everything, for CI")
	wanted  = flag.Int("kills", 200, "kills -9, of the Archive and of PostgreSQL")
	workers = flag.Int("workers", 32, "requests in flight, at most")
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the choices; a failing run says its own")
	keep    = flag.Bool("keep", false, "leave the data directory behind")
)

// thresholds are what a run must have been to count.
type thresholds struct{ kills, busy, acks, lost int }

func main() {
	flag.Parse()
	dice.Rand = rand.New(rand.NewPCG(*seed, 0))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	due := thresholds{kills: *wanted, busy: *wanted * 3 / 4, acks: *wanted * 500, lost: *wanted * 5 / 2}
	if *short {
		due = thresholds{kills: 20, busy: 10, acks: 4000, lost: 30}
	}
	broken, err := chaos(ctx, due)
	switch {
	case broken > 0:
		fmt.Printf("chaos: %d promises broken\n", broken)
		os.Exit(1)
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	}
}

func chaos(ctx context.Context, due thresholds) (broken int, err error) {
	dir, err := os.MkdirTemp("", "archive-chaos-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if broken > 0 || err != nil || *keep {
			fmt.Printf("seed %d; data and output of the Archive are in %s\n", *seed, dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	out, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return 0, err
	}
	defer out.Close()
	s := &server{data: filepath.Join(dir, "data"), out: out}
	if s.bin, err = build(ctx, dir); err != nil {
		return 0, fmt.Errorf("the Archive does not build: %w", err)
	}
	if s.http, err = freeAddress(); err != nil {
		return 0, err
	}
	l := &ledger{posts: map[uuid.UUID]*post{}}
	c := newClient(filepath.Join(s.data, "archive.sock"), l)
	if err := s.start(); err != nil {
		return 0, err
	}
	defer func() { s.kill() }()
	if err := s.ready(ctx, c); err != nil {
		return 0, err
	}
	var k kills
	began := time.Now()
	err = load(ctx, s, c, &k, due)
	fmt.Printf("%d kills -9 in %v: %d of the Archive, %d of PostgreSQL (%d %%), %d with at least %d requests in flight\n",
		k.all(), time.Since(began).Round(time.Second), k.archive, k.postgres, 100*k.postgres/max(1, k.all()), k.busy, manyInFlight)
	fmt.Printf("%d acknowledged commands on %d posts, %d with nothing to change, %d refused as they should be; %d requests went unanswered, %d were sent again\n",
		l.acks.Load(), len(l.posts), l.quiet.Load(), l.refusals.Load(), l.unanswered.Load(), l.resent.Load())
	if err == nil {
		err = settle(ctx, s, c)
	}
	if err == nil {
		fmt.Printf("%d answers lost on purpose, each sent again with its key; %d of them had taken effect before\n", l.lost.Load(), l.early.Load())
	}
	if len(l.wrong) > 0 || err != nil {
		return len(l.wrong), err
	}
	fmt.Println("log and views say what the clients were told: nothing lost, nothing doubled")
	return 0, due.met(k, l)
}

// load writes and kills until there was enough of both, and every request is answered.
func load(ctx context.Context, s *server, c *client, k *kills, due thresholds) error {
	shared := &worker{client: c, n: 0}
	for i := range 4 {
		text := shared.text()
		text.Slug = "shared-" + strconv.Itoa(i)
		if err := shared.command(ctx, nil, request{method: http.MethodPost, path: posts, body: text.body()}, "created", text, ""); err != nil {
			return err
		}
		shared.own[i].shared = true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	killed := make(chan struct{})
	enough := func() bool {
		select {
		case <-killed:
			return c.ledger.acks.Load() >= int64(due.acks) && c.ledger.lost.Load() >= int64(due.lost)
		default:
			return false
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for n := range *workers {
		w := &worker{client: c, n: n + 1, shared: shared.own}
		group.Go(func() error { return w.work(ctx, enough) })
	}
	group.Go(func() error {
		defer close(killed)
		return k.run(ctx, s, c, due.kills)
	})
	return group.Wait()
}

// settle stops the Archive politely, starts it once more, and compares.
func settle(ctx context.Context, s *server, c *client) error {
	if err := s.stop(); err != nil {
		return err
	}
	if err := s.start(); err != nil {
		return err
	}
	if err := s.ready(ctx, c); err != nil {
		return err
	}
	last, err := c.ledger.compareLog(ctx, s.data)
	if err != nil {
		return err
	}
	return c.compareViews(ctx, last)
}

func (t thresholds) met(k kills, l *ledger) error {
	var err error
	atLeast := func(what string, got, due int) {
		if got < due {
			err = errors.Join(err, fmt.Errorf("only %d %s, at least %d were to be", got, what, due))
		}
	}
	atLeast("kills", k.all(), t.kills)
	atLeast("% of them PostgreSQL's", 100*k.postgres/max(1, k.all()), 30)
	atLeast("kills with many requests in flight", k.busy, t.busy)
	atLeast("acknowledged commands", int(l.acks.Load()), t.acks)
	atLeast("lost answers", int(l.lost.Load()), t.lost)
	return err
}
