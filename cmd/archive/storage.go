package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/embedded"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/pgerr"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/telemetry"
	"github.com/bgce/archive/platform/vault"
)

const cachedStates = 10_000 // folded states in memory

// storage is what everything else stands on: the database, the log in it, the keys.
type storage struct {
	dsn    string
	server string // "PostgreSQL 15, private"
	db     *pgxpool.Pool
	log    *postgres.Store
	vault  *vault.Vault
	auth   *auth.Service
	kernel *es.Kernel

	closers []func() // in order of opening
}

func (s *storage) close() {
	for _, v := range slices.Backward(s.closers) {
		v()
	}
}

func (s *storage) onClose(f func()) { s.closers = append(s.closers, f) }

// open takes the data directory for this process alone and opens everything in it, starting the private PostgreSQL if that is the one.
func (a *app) open(ctx context.Context) (*storage, error) {
	s := &storage{}
	unlock, err := embedded.Lock(a.cfg.Data)
	if err != nil {
		return nil, err
	}
	s.onClose(unlock)
	s.dsn = a.cfg.DB.Reveal()
	if a.cfg.Embedded() {
		pg, err := embedded.Start(ctx, embedded.Options{Data: a.cfg.Data, Bin: a.cfg.PGBin, Log: a.logger()})
		if err != nil {
			s.close()
			return nil, err
		}
		s.onClose(pg.Stop)
		s.dsn = pg.DSN()
	}
	return s, s.connect(ctx, a)
}

// join uses the database beside whoever else does, without taking the data directory; a private PostgreSQL that does not run is started.
func (a *app) join(ctx context.Context) (*storage, error) {
	dsn, running := a.cfg.DB.Reveal(), true
	if a.cfg.Embedded() {
		dsn, running = embedded.Running(ctx, a.cfg.Data)
	}
	if !running {
		return a.open(ctx)
	}
	s := &storage{dsn: dsn}
	return s, s.connect(ctx, a)
}

// connect opens pools, vault and log and brings their tables up to date. On error everything is closed again.
func (s *storage) connect(ctx context.Context, a *app) (err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	key, made, err := masterKey(a.cfg)
	if err != nil {
		return err
	}
	if s.db, err = a.pool(ctx, s.dsn, "archive", max(8, 4*int32(runtime.NumCPU()))); err != nil {
		return err
	}
	s.onClose(s.db.Close)
	if err := a.insist(ctx, func() error { return s.prepare(ctx, a, key) }); err != nil {
		return err
	}
	if made {
		a.logger().Warn("a master key was made; without it personal data cannot be read: back it up", "file", masterPath(a.cfg))
	}
	s.onClose(s.log.Close)
	s.auth = auth.New(s.db, s.vault)
	s.kernel = es.New(s.log, s.vault, cachedStates)
	return nil
}

// prepare brings the tables of vault, tokens and log up to date and opens them. It may be repeated.
func (s *storage) prepare(ctx context.Context, a *app, key vault.Key) (err error) {
	var number int
	if err := s.db.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&number); err != nil {
		return fmt.Errorf("the database of ARCHIVE_DB does not answer: %w", err)
	}
	s.server = fmt.Sprintf("PostgreSQL %d, %s", number/10000, s.where(a))
	if err := errors.Join(vault.Migrate(ctx, s.db), auth.Migrate(ctx, s.db)); err != nil {
		return err
	}
	if s.vault, err = openVault(ctx, a, s.db, key); err != nil {
		return err
	}
	s.log, err = postgres.Open(ctx, s.dsn, postgres.Options{Log: a.logger(), Configure: a.tel.Pool})
	return err
}

// insist repeats a step of the start that lost the private PostgreSQL on its way, for half a minute: it comes back by itself. A
// configured database that does not answer is somebody else's to start, and said at once.
func (a *app) insist(ctx context.Context, step func() error) error {
	for end := time.Now().Add(30 * time.Second); ; {
		err := step()
		if err == nil || !a.cfg.Embedded() || !pgerr.Transient(err) || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		a.logger().Warn("the private PostgreSQL went away during the start; trying again", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// openVault takes up a rotation of the master key that was cut off: whichever of the two keys opens is the key.
func openVault(ctx context.Context, a *app, db *pgxpool.Pool, key vault.Key) (*vault.Vault, error) {
	v, err := vault.Open(ctx, db, key)
	next := masterPath(a.cfg) + ".next"
	if err == nil || a.cfg.Key != "" {
		if a.cfg.Key == "" {
			_ = os.Remove(next)
		}
		return v, err
	}
	fresh, nextErr := vault.ParseKey("file:" + next)
	if nextErr != nil {
		return nil, err
	}
	if v, nextErr = vault.Open(ctx, db, fresh); nextErr != nil {
		return nil, err
	}
	return v, os.Rename(next, masterPath(a.cfg))
}

func (s *storage) where(a *app) string {
	if a.cfg.Embedded() {
		return "private"
	}
	conn := s.db.Config().ConnConfig
	return conn.Host + "/" + conn.Database
}

// pool opens a pool of at most n connections; a DSN's own pool_max_conns is its owner's word on the matter.
func (a *app) pool(ctx context.Context, dsn, name string, n int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("ARCHIVE_DB is not a DSN such as postgres://user:password@host:5432/archive")
	}
	cfg.MaxConns = n
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	a.tel.Pool(cfg)
	cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		pgxuuid.Register(c.TypeMap())
		return nil
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

// engine keeps views; every one needs a connection of its own.
func (s *storage) engine(ctx context.Context, a *app, views []project.View) (*project.Engine, error) {
	db, err := a.pool(ctx, s.dsn, "archive views", int32(len(views))+4)
	if err != nil {
		return nil, err
	}
	s.onClose(db.Close)
	return &project.Engine{Store: s.log, Vault: s.vault, DB: db, Views: views, Log: a.logger(), AutoSwitch: a.cfg.AutoSwitch}, nil
}

// logger writes to standard error, as configured.
func (a *app) logger() *slog.Logger {
	if a.log == nil {
		a.log = telemetry.Logger(a.err, a.cfg.LogLevel, a.cfg.LogFormat)
	}
	return a.log
}
