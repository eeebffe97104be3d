// Package pgtest gives each test a database of its own on the one PostgreSQL that test/pg starts.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

// DSN of the cluster: ARCHIVE_TEST_PG, or where test/pg puts it.
func DSN() string {
	if dsn := os.Getenv("ARCHIVE_TEST_PG"); dsn != "" {
		return dsn
	}
	return "host=/tmp/archive-testpg user=postgres dbname=postgres"
}

var (
	made      atomic.Int64
	templates sync.Map // key → *sync.Once
)

// New gives the DSN of an empty database that is dropped when the test ends.
func New(t testing.TB) string {
	t.Helper()
	return create(t, "template0")
}

// From gives the DSN of a copy of a template made once per process by fill, which gets the DSN of the empty template.
func From(t testing.TB, key string, fill func(dsn string) error) string {
	t.Helper()
	template := fmt.Sprintf("t_%s_%d", key, os.Getpid())
	once, _ := templates.LoadOrStore(key, &sync.Once{})
	once.(*sync.Once).Do(func() {
		exec(t, fmt.Sprintf("CREATE DATABASE %q TEMPLATE template0", template))
		if err := fill(DSN() + " dbname=" + template); err != nil {
			t.Fatalf("filling template %s: %v", key, err)
		}
	})
	return create(t, template)
}

// Pool opens a pool that closes with the test.
func Pool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		pgxuuid.Register(c.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func create(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), made.Add(1))
	exec(t, fmt.Sprintf("CREATE DATABASE %q TEMPLATE %q STRATEGY file_copy", name, template))
	t.Cleanup(func() { exec(t, fmt.Sprintf("DROP DATABASE IF EXISTS %q WITH (FORCE)", name)) })
	return DSN() + " dbname=" + name
}

func exec(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, DSN())
	if err != nil {
		t.Fatalf("no PostgreSQL for tests (start it with test/pg start, or use make test): %v", err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
