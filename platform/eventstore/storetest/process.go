package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// ChildEnv makes a test binary with Main a writer to the log it names.
const ChildEnv = "STORETEST_CHILD_DSN"

const (
	childCategory = "test.child"
	childWriters  = 4
)

// Main is the TestMain of an engine's tests: in a child process it appends until killed, otherwise it runs the tests.
// A child's append is three events of one correlation id over two streams; it prints their ids when it is acknowledged.
func Main(m *testing.M, open func(ctx context.Context, dsn string) (eventstore.Store, error)) int {
	dsn := os.Getenv(ChildEnv)
	if dsn == "" {
		return m.Run()
	}
	store, err := open(context.Background(), dsn)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	failed := make(chan error)
	var print sync.Mutex
	for range childWriters {
		go func() {
			for {
				a := childAppend()
				if _, err := store.Append(context.Background(), a); err != nil {
					failed <- err
					return
				}
				print.Lock()
				for _, id := range ids(a) {
					fmt.Println(id)
				}
				print.Unlock()
			}
		}()
	}
	fmt.Fprintln(os.Stderr, <-failed)
	return 1
}

func childAppend() eventstore.Append {
	correlation := uuid.New()
	a := eventstore.Append{}
	for i := range 2 {
		w := eventstore.Write{Stream: eventstore.Stream{Category: childCategory, ID: uuid.New()}, Expect: eventstore.NoStream}
		for range i + 1 {
			w.Events = append(w.Events, eventstore.Event{
				ID: uuid.New(), Type: "test.child.wrote", Schema: 1, Correlation: correlation, Data: []byte(`{}`),
				At: time.Now().UTC().Truncate(time.Microsecond),
			})
		}
		a.Writes = append(a.Writes, w)
	}
	return a
}

// process is a child that appends, and what it was told.
type process struct {
	*exec.Cmd
	reading sync.WaitGroup
	mu      sync.Mutex
	ids     []uuid.UUID
}

func (p *process) told() []uuid.UUID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clip(p.ids)
}

// kill ends the child without warning; then told is complete.
func (p *process) kill() {
	_ = p.Process.Kill()
	p.reading.Wait()
	_ = p.Wait()
}

// spawn starts the test binary again as a writer. It is killed with the test at the latest.
func (f *fixture) spawn(dsn string) *process {
	f.Helper()
	p := &process{Cmd: exec.Command(os.Args[0])}
	p.Env = append(os.Environ(), ChildEnv+"="+dsn)
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		f.Fatal(err)
	}
	if err := p.Start(); err != nil {
		f.Fatal(err)
	}
	p.reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			id, err := uuid.ParseBytes(lines.Bytes())
			if err != nil {
				f.Errorf("the child printed %q", lines.Text())
				continue
			}
			p.mu.Lock()
			p.ids = append(p.ids, id)
			p.mu.Unlock()
		}
	})
	f.Cleanup(p.kill)
	return p
}
