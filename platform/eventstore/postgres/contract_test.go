package postgres

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/storetest"
	"github.com/bgce/archive/platform/pgtest"
)

func TestMain(m *testing.M) {
	os.Exit(storetest.Main(m, func(ctx context.Context, log string) (eventstore.Store, error) {
		dsn, schema, _ := strings.Cut(log, "|")
		return Open(ctx, dsn, Options{Schema: schema})
	}))
}

func TestContract(t *testing.T) {
	direct, n := pgtest.New(t), 0
	proxy, dsn := through(t, direct)
	storetest.Run(t, func(t testing.TB) storetest.Log {
		n++
		l := newLog(t, direct, fmt.Sprintf("log_%d", n))
		l.proxy, l.dsn = proxy, dsn
		l.Reopen()
		return l
	})
}

// testLog is a log with everything the contract suite can make use of.
type testLog struct {
	t     testing.TB
	dsn   string
	opts  Options
	store *Store
	inner *pgxpool.Pool // to the log's database; cut like every other connection to it
	outer *pgxpool.Pool // to another database of the cluster
	proxy *proxy        // of the stores' connections, or nil
	cuts  int
}

func newLog(t testing.TB, dsn, schema string) *testLog {
	l := &testLog{t: t, dsn: dsn, opts: Options{Schema: schema}, inner: pgtest.Pool(t, dsn), outer: pgtest.Pool(t, pgtest.DSN())}
	l.store = openStore(t, dsn, l.opts)
	return l
}

func openStore(t testing.TB, dsn string, opts Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), dsn, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func (l *testLog) Store() eventstore.Store { return l.store }
func (l *testLog) Again() eventstore.Store { return openStore(l.t, l.dsn, l.opts) }
func (l *testLog) DSN() string             { return l.dsn + "|" + l.opts.Schema }

func (l *testLog) Reopen() eventstore.Store {
	l.store.Close()
	l.store = openStore(l.t, l.dsn, l.opts)
	return l.store
}

func (l *testLog) database() string { return l.inner.Config().ConnConfig.Database }

// sql is a statement about the schema "log", said of this log's.
func (l *testLog) sql(q string) string { return strings.ReplaceAll(q, "log.", l.opts.Schema+".") }

func exec(t testing.TB, pool *pgxpool.Pool, sql string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(context.Background(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// Cut kills every backend of the log's database; every other time it only loses what they answer next, so that what was asked for
// is done.
func (l *testLog) Cut() {
	if l.cuts++; l.proxy != nil && l.cuts%2 == 0 {
		l.proxy.loseAnswers()
		return
	}
	l.kill()
}

func (l *testLog) kill() {
	exec(l.t, l.outer, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, l.database())
}

// Stall is a slow transaction: it holds the append lock and an event nobody may see, and is rolled back in the end (or killed before).
func (l *testLog) Stall() func() {
	ctx := context.Background()
	tx, err := l.inner.Begin(ctx)
	if err == nil {
		_, err = tx.Exec(ctx, fmt.Sprintf(`SELECT pg_advisory_xact_lock(%d)`, lockKey(l.opts.Schema)))
	}
	if err == nil {
		_, err = tx.Exec(ctx, l.sql(`INSERT INTO log.events SELECT coalesce(max(position), 0) + 1, coalesce(max(position), 0) + 1, gen_random_uuid(), gen_random_uuid(), 1, 1,
			'test.slow', 'test.slow.begun', gen_random_uuid(), '', now(), clock_timestamp(), gen_random_uuid(), gen_random_uuid(), '{}', NULL FROM log.events`))
	}
	if err != nil { // cut already
		return func() {}
	}
	return func() { _ = tx.Rollback(ctx) }
}

// Age moves everything with a date of expiry into the past.
func (l *testLog) Age(by time.Duration) {
	exec(l.t, l.inner, l.sql(`UPDATE log.receipts SET expires_at = expires_at - $1::interval`), by)
	exec(l.t, l.inner, l.sql(`UPDATE log.contents SET put_at = put_at - $1::interval`), by)
}

var copies atomic.Int64

// Copy is a snapshot of the disk: unlike a dump's, its log cannot know that it is one, so it keeps the id.
func (l *testLog) Copy() eventstore.Store {
	name := fmt.Sprintf("%s_copy_%d", l.database(), copies.Add(1))
	l.t.Cleanup(func() { exec(l.t, l.outer, fmt.Sprintf("DROP DATABASE IF EXISTS %q WITH (FORCE)", name)) })
	exec(l.t, l.outer, fmt.Sprintf("ALTER DATABASE %q ALLOW_CONNECTIONS false", l.database()))
	for deadline := time.Now().Add(10 * time.Second); ; {
		l.kill()
		_, err := l.outer.Exec(context.Background(), fmt.Sprintf("CREATE DATABASE %q TEMPLATE %q", name, l.database()))
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			l.t.Fatal(err)
		}
	}
	exec(l.t, l.outer, fmt.Sprintf("ALTER DATABASE %q ALLOW_CONNECTIONS true", l.database()))
	dsn := pgtest.DSN() + " dbname=" + name
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		l.t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), l.sql(`UPDATE log.identity SET cluster = replace(cluster, $1, $2)`), l.database(), name); err != nil {
		l.t.Fatal(err)
	}
	return openStore(l.t, dsn, l.opts)
}
