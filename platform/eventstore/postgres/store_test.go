package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	osexec "os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/storetest"
	"github.com/bgce/archive/platform/pgtest"
)

func mustAppend(t *testing.T, s *Store, a eventstore.Append) eventstore.Result {
	t.Helper()
	r, err := s.Append(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The n-th event ever committed has position n, whatever was rolled back on the way, from two processes and this one at once.
func TestPositionsAreDense(t *testing.T) {
	l := newLog(t, pgtest.New(t), "log")
	var children []*osexec.Cmd
	for range 2 {
		child := osexec.Command(os.Args[0])
		child.Env = append(os.Environ(), storetest.ChildEnv+"="+l.DSN())
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = child.Process.Kill() })
		children = append(children, child)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for ctx.Err() == nil {
				if n, err := l.store.head(ctx); err != nil || n > 4000 {
					return
				}
				_, _ = l.store.Append(ctx, oneEvent())
				stale := oneEvent()
				stale.Writes[0].Expect = 7
				_, _ = l.store.Append(ctx, stale)
				l.Stall()() // takes the next position and rolls back
			}
		})
	}
	writers.Wait()
	for _, child := range children {
		_ = child.Process.Kill()
		_ = child.Wait()
	}
	mustAppend(t, l.store, oneEvent()) // behind whatever the killed ones had in flight
	var n, categories int
	var dense, ordered, whole bool
	err := l.inner.QueryRow(context.Background(), `SELECT count(*), count(DISTINCT category), bool_and(position = nth), bool_and(recorded_at >= before), bool_and(version = version_nth)
		FROM (SELECT *, row_number() OVER (ORDER BY position) nth, coalesce(lag(recorded_at) OVER (ORDER BY position), recorded_at) before,
			row_number() OVER (PARTITION BY category, stream ORDER BY position) version_nth FROM log.events) e`).Scan(&n, &categories, &dense, &ordered, &whole)
	if err != nil || n < 4000 || categories != 2 || !dense || !ordered || !whole {
		t.Fatalf("%d events of %d categories, dense %v, recorded in order %v, versions in order %v, %v", n, categories, dense, ordered, whole, err)
	}
	if count, err := l.store.Count(context.Background(), "", token(int64(n))); err != nil || int(count) != n {
		t.Fatalf("count %d, %v; want %d", count, err, n)
	}
}

// Two logs in one database: while one is held up, the other goes on.
func TestLogsDoNotBlockEachOther(t *testing.T) {
	if lockKey("log") == lockKey("other") {
		t.Fatal("two schemas share a lock")
	}
	dsn := pgtest.New(t)
	held, free := newLog(t, dsn, "log"), newLog(t, dsn, "other")
	if held.store.LogID() == free.store.LogID() {
		t.Fatal("two logs share an id")
	}
	release := held.Stall()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if _, err := free.store.Append(ctx, oneEvent()); err != nil {
		t.Fatalf("beside a log that is held up: %v", err)
	}
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := held.store.Append(short, oneEvent()); err == nil {
		t.Fatal("the log was not held up")
	}
	release()
	mustAppend(t, held.store, oneEvent())
	if head, err := free.store.Head(context.Background()); err != nil || head != token(1) {
		t.Fatalf("the other log ends at %q, %v", head, err)
	}
}

// Only the append function writes the log: its owner cannot change the past by accident, a stranger cannot call it.
func TestLogIsAppendOnly(t *testing.T) {
	l := newLog(t, pgtest.New(t), "log")
	mustAppend(t, l.store, oneEvent())
	for _, sql := range []string{`UPDATE log.events SET type = 'x'`, `DELETE FROM log.events`, `TRUNCATE log.events`, `DELETE FROM log.events WHERE false`} {
		if _, err := l.inner.Exec(context.Background(), sql); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	stranger := fmt.Sprintf("stranger_%d", os.Getpid())
	exec(t, l.inner, "CREATE ROLE "+stranger)
	t.Cleanup(func() { exec(t, l.outer, "DROP ROLE "+stranger) })
	conn, err := l.inner.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	defer func() { _, _ = conn.Exec(context.Background(), "RESET ROLE") }()
	if _, err := conn.Exec(context.Background(), "SET ROLE "+stranger); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`SELECT count(*) FROM log.events`, `SELECT * FROM log.receipts`, `INSERT INTO log.claims VALUES ('', '')`, `UPDATE log.identity SET id = 'x'`,
		"SELECT * FROM log" + regexp.MustCompile(`\$\d+`).ReplaceAllString(call, "NULL"),
	} {
		_, err := conn.Exec(context.Background(), sql)
		if pg, ok := errors.AsType[*pgconn.PgError](err); !ok || pg.Code != "42501" { // insufficient privilege
			t.Errorf("a stranger may %s: %v", sql, err)
		}
	}
}

// A clock that steps back must not turn the order of recording round.
func TestRecordedAtSurvivesAClockThatStepsBack(t *testing.T) {
	l := newLog(t, pgtest.New(t), "log")
	mustAppend(t, l.store, oneEvent())
	ahead := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	exec(t, l.inner, `INSERT INTO log.events SELECT 2, 2, gen_random_uuid(), gen_random_uuid(), 1, 1, 'test.thing', 'test.thing.happened', tenant, '', at, $1, correlation, causation, data, meta
		FROM log.events`, ahead)
	r := mustAppend(t, l.store, oneEvent())
	if r.RecordedAt.Before(ahead) || r.Positions[0] != token(3) {
		t.Fatalf("recorded at %v behind an event of %v, at %q", r.RecordedAt, ahead, r.Positions[0])
	}
	for at, want := range map[time.Time]eventstore.Position{ahead.Add(-time.Microsecond): token(1), ahead: token(3)} {
		if got, err := l.store.AsOf(context.Background(), at); err != nil || got != want {
			t.Errorf("as of %v: %q, %v; want %q", at, got, err, want)
		}
	}
}

// A log restored into another database, or behind a promotion, has a new id for good; its followers stop by name.
func TestLogIDIsRenewedOnRestore(t *testing.T) {
	l := newLog(t, pgtest.New(t), "log")
	a := oneEvent()
	at := mustAppend(t, l.store, a).Positions[0]
	c := eventstore.Checkpoint{Log: l.store.LogID(), Position: at, Event: a.Writes[0].Events[0].ID}
	if err := eventstore.Resume(context.Background(), l.Reopen(), c); err != nil {
		t.Fatalf("after a restart: %v", err)
	}
	for _, elsewhere := range []string{"replace(cluster, '/1/', '/0/')", "'1' || cluster", "cluster || 'x'"} { // timeline, cluster, database
		exec(t, l.inner, `UPDATE log.identity SET cluster = `+elsewhere)
		s := l.Reopen()
		err := eventstore.Resume(context.Background(), s, c)
		if d, ok := errors.AsType[*eventstore.Diverged](err); !ok || d.Log == c.Log || !strings.Contains(d.Error(), c.Log) {
			t.Fatalf("resumed on a log made elsewhere (%s): %v", elsewhere, err)
		}
		if c.Log = s.LogID(); l.Reopen().LogID() != c.Log {
			t.Fatal("the id changes at every start")
		}
	}
}

func TestOpenAtOnce(t *testing.T) {
	dsn := pgtest.New(t)
	found := make([]string, 8)
	var opening sync.WaitGroup
	for i := range found {
		opening.Go(func() {
			s, err := Open(context.Background(), dsn, Options{Readers: 2})
			if err != nil {
				t.Errorf("store %d: %v", i, err)
				return
			}
			found[i] = s.LogID()
			s.Close()
		})
	}
	opening.Wait()
	for _, id := range found {
		if id == "" || id != found[0] {
			t.Fatalf("processes that start together see different logs: %q", found)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, schema := range []string{"Log", "log; DROP TABLE x", "1log", strings.Repeat("x", 64)} {
		if s, err := Open(ctx, pgtest.DSN(), Options{Schema: schema}); err == nil {
			s.Close()
			t.Errorf("a schema called %q", schema)
		}
	}
	if s, err := Open(ctx, "host=/nowhere dbname=x connect_timeout=1", Options{}); err == nil {
		s.Close()
		t.Error("no server, no error")
	}
}

// Close frees connections and goroutines, answers everybody, and a closed store says so.
func TestClose(t *testing.T) {
	l := newLog(t, pgtest.New(t), "log")
	alive := goleak.IgnoreCurrent()
	s := openStore(t, l.dsn, Options{})
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() { _, _ = s.Append(context.Background(), oneEvent()) })
	}
	began := time.Now()
	s.Close()
	callers.Wait()
	if _, err := s.Append(context.Background(), oneEvent()); !errors.Is(err, eventstore.ErrUnavailable) {
		t.Errorf("appending to a closed store: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("callers of a closing store waited %v", took)
	}
	if err := goleak.Find(alive); err != nil {
		t.Error(err)
	}
}

// Callers that give up while the log is away leave nothing behind.
func TestWhoGivesUpDoesNotWaitOn(t *testing.T) {
	l := newLog(t, pgtest.New(t), "log")
	l.store.writer.lead <- struct{}{} // somebody leads, and is held up
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			if _, err := l.store.Append(ctx, oneEvent()); !errors.Is(err, eventstore.ErrUnavailable) {
				t.Errorf("while nothing goes: %v", err)
			}
		})
	}
	callers.Wait()
	if n := len(l.store.writer.waiting); n > 0 {
		t.Errorf("%d appends wait for nobody", n)
	}
	<-l.store.writer.lead
	mustAppend(t, l.store, oneEvent())
}

// Tokens order as strings at every change of length.
func TestTokensOrder(t *testing.T) {
	last := token(0)
	for _, n := range []int64{1, 9, 10, 11, 99, 100, 12345, 99999, 100000, 1<<40 - 1, 1 << 40, 1<<63 - 1} {
		p := token(n)
		if back, err := number(p); p <= last || err != nil || back != n {
			t.Errorf("%d is %q after %q, read back as %d, %v", n, p, last, back, err)
		}
		last = p
	}
	for _, bad := range []eventstore.Position{"1", "a", "a0", "a10", "b1", "b01", "b+1", "a-", "z99", "~", eventstore.Position(uuid.Nil.String())} {
		if n, err := number(bad); !errors.Is(err, eventstore.ErrInvalid) {
			t.Errorf("%q is read as %d, %v", bad, n, err)
		}
	}
}
