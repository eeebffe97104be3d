package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/embedded"
	"github.com/bgce/archive/test/bench/baseline"
)

// cluster is a private PostgreSQL for the time of the benchmark, set up as the Archive sets up its own.
type cluster struct {
	dir    string
	server *embedded.Server
}

func start(ctx context.Context) (*cluster, error) {
	dir, err := os.MkdirTemp("", "archive-bench-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir}
	if c.server, err = embedded.Start(ctx, embedded.Options{Data: dir, Log: slog.New(slog.DiscardHandler)}); err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	return c, c.honest(ctx)
}

func (c *cluster) stop() {
	c.server.Stop()
	os.RemoveAll(c.dir)
}

// honest refuses to measure a server that does not keep what it acknowledges.
func (c *cluster) honest(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.server.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := conn.QueryRow(ctx, "SHOW "+setting).Scan(&value); err != nil {
			return err
		}
		if value != "on" {
			return fmt.Errorf("bench: %s is %s; a server that may lose what it acknowledged is not measured", setting, value)
		}
	}
	return nil
}

// database makes an empty one and gives its DSN.
func (c *cluster) database(ctx context.Context, name string) (string, error) {
	conn, err := pgx.Connect(ctx, c.server.DSN())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err = conn.Exec(ctx, "CREATE DATABASE "+name); err != nil {
		return "", err
	}
	return strings.Replace(c.server.DSN(), "dbname=archive", "dbname="+name, 1), nil
}

// pool opens exactly n connections, so that no round pays for opening them.
func pool(ctx context.Context, dsn string, n int) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns, cfg.MinConns = int32(n), int32(n)
	cfg.ConnConfig.RuntimeParams["jit"] = "off"
	return pgxpool.NewWithConfig(ctx, cfg)
}

// plain is a pool on a database with the baseline's table.
func plain(ctx context.Context, dsn string, n int) (*pgxpool.Pool, error) {
	db, err := pool(ctx, dsn, n)
	if err == nil {
		_, err = db.Exec(ctx, baseline.Schema)
	}
	return db, err
}
