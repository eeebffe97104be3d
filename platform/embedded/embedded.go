// Package embedded runs a private PostgreSQL under a data directory: installed binaries, a unix socket, no privileges, restarted when it dies.
package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	database     = "archive"
	superuser    = "postgres"
	startWithin  = 10 * time.Minute // recovery after a crash may have much to replay
	fastStop     = 10 * time.Second
	longestPause = 5 * time.Second // between two tries to restart
)

// Options of Start.
type Options struct {
	Data string // the directory; PostgreSQL keeps itself in its "postgres" directory. The caller holds its Lock
	Bin  string // where initdb and postgres are; "" = where Debian, /usr/local or PATH have them
	Log  *slog.Logger
}

// Server is a running PostgreSQL.
type Server struct {
	opt    Options
	pgdata string
	dir    *os.File // pgdata, open: how the child reaches it and how the socket stays short
	found  install
	owner  owner

	child *child
	stop  context.CancelFunc
	done  chan struct{}
}

// Start makes the cluster if there is none, starts it and keeps it running until Stop. Errors are one line: cause and what to do.
func Start(ctx context.Context, opt Options) (*Server, error) {
	s := &Server{opt: opt, pgdata: filepath.Join(opt.Data, "postgres"), done: make(chan struct{})}
	var err error
	if s.found, err = choose(s.pgdata, opt.Bin); err != nil {
		return nil, err
	}
	if s.owner, err = ownerOf(s.pgdata); err != nil {
		return nil, err
	}
	if err := s.initialise(ctx); err != nil {
		return nil, diskError(opt.Data, err)
	}
	if s.dir, err = os.Open(s.pgdata); err != nil {
		return nil, err
	}
	if err := s.clear(ctx); err != nil {
		s.dir.Close()
		return nil, err
	}
	if err := s.launch(ctx); err != nil {
		s.dir.Close()
		return nil, diskError(opt.Data, err)
	}
	if err := s.createDatabase(ctx); err != nil {
		s.child.end(fastStop)
		s.dir.Close()
		return nil, diskError(opt.Data, err)
	}
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go s.supervise(watch)
	return s, nil
}

// DSN connects to the server from this process.
func (s *Server) DSN() string { return s.dsn(database) }

func (s *Server) dsn(name string) string { return dsn(s.pgdata, s.dir, name) }

// dsn names the socket by its path, or by an open directory when the path is too long for a socket's address.
func dsn(pgdata string, dir *os.File, name string) string {
	host, err := filepath.Abs(pgdata)
	if err != nil || len(host)+len("/.s.PGSQL.5432") > 107 {
		host = fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	}
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(host)
	return fmt.Sprintf("host='%s' port=5432 user=%s dbname=%s sslmode=disable", quoted, superuser, name)
}

// Running gives the DSN of the server another process runs under the data directory; found is false if none does.
func Running(ctx context.Context, data string) (string, bool) {
	pgdata := filepath.Join(data, "postgres")
	dir, err := os.Open(pgdata)
	if err != nil {
		return "", false
	}
	name := dsn(pgdata, dir, database) // dir stays open: the name may stand for it
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, name)
	if err != nil {
		dir.Close()
		return "", false
	}
	conn.Close(ctx)
	return name, true
}

// Version is the server's, "15.18".
func (s *Server) Version() string { return s.found.version }

// Stop ends the server cleanly; close the pools first. It takes at most about 20 s.
func (s *Server) Stop() {
	s.stop()
	<-s.done
	s.dir.Close()
}

// supervise restarts the server when it dies, until Stop.
func (s *Server) supervise(ctx context.Context) {
	defer close(s.done)
	pause := 100 * time.Millisecond
	for {
		select {
		case <-ctx.Done():
			s.child.end(fastStop)
			return
		case <-s.child.exited:
			s.opt.Log.Error("PostgreSQL died, starting it again", "cause", s.child.lastWords())
		}
		for started := time.Now(); ; {
			err := s.clear(ctx)
			if err == nil {
				err = s.launch(ctx)
			}
			if err == nil {
				s.opt.Log.Info("PostgreSQL runs again", "after", time.Since(started).Round(time.Millisecond))
				break
			}
			if ctx.Err() != nil {
				return
			}
			s.opt.Log.Error("PostgreSQL does not start", "error", diskError(s.opt.Data, err), "again_in", pause)
			if sleep(ctx, pause) != nil {
				return
			}
			pause = min(2*pause, longestPause)
		}
		pause = 100 * time.Millisecond
	}
}

// launch starts the process and waits until it answers.
func (s *Server) launch(ctx context.Context) error {
	c, err := s.spawn("postgres", settings...)
	if err != nil {
		return err
	}
	s.child = c
	deadline, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for tick := time.Now().Add(5 * time.Second); ; {
		err := ping(deadline, s.dsn("postgres"))
		if err == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("PostgreSQL %s does not start: %s", s.found.version, c.lastWords())
		case <-deadline.Done():
			c.end(fastStop)
			return fmt.Errorf("PostgreSQL %s was not ready in time: %w", s.found.version, err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(tick) {
			s.opt.Log.Info("PostgreSQL recovers from a crash; waiting for it")
			tick = time.Now().Add(15 * time.Second)
		}
	}
}

func ping(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func (s *Server) createDatabase(ctx context.Context) error {
	var missing *pgconn.PgError
	if err := ping(ctx, s.DSN()); !errors.As(err, &missing) || missing.Code != "3D000" {
		return err
	}
	conn, err := pgx.Connect(ctx, s.dsn("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+database)
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
