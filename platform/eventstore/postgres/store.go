// Package postgres is the default engine of the log: dense positions, group commit, one server-side append function.
package postgres

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/bgce/archive/platform/eventstore"
)

// Options of a store; the zero value is right for production.
type Options struct {
	Schema     string        // of the log; "log"
	Readers    int           // connections for reading, besides one for appending; 8
	Timeout    time.Duration // of an append whose context has no deadline; 10 s
	ReceiptTTL time.Duration // how long a command's answer is kept; 48 h
	BatchCount int           // appends of one group commit, at most; 256
	BatchBytes int           // bytes of one group commit, at most (one append may be larger); 4 MiB
	Patience   time.Duration // how long a batch may wait for callers on their way; 200 µs, shrinks to nothing when idle
	Tail       int           // newest events kept in memory for followers; 8192
	Log        *slog.Logger
	Configure  func(*pgxpool.Config) // last word on the readers' pool: tracing
}

func (o *Options) defaults() {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&o.Readers, 8)
	set(&o.BatchCount, 256)
	set(&o.BatchBytes, 4<<20)
	set(&o.Tail, 8192)
	if o.Schema == "" {
		o.Schema = "log"
	}
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.ReceiptTTL == 0 {
		o.ReceiptTTL = 48 * time.Hour
	}
	if o.Patience == 0 {
		o.Patience = 200 * time.Microsecond
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
}

// Store is the log in one Postgres schema. It is safe for concurrent use, and any number of processes may share the log.
type Store struct {
	opts     Options
	id       string
	pool     *pgxpool.Pool
	writer   *appender
	tail     tail
	sql      queries
	stop     context.CancelFunc
	finished sync.WaitGroup
}

var _ eventstore.Store = (*Store)(nil)

//go:embed schema.sql
var schema string

// Open connects, brings the schema up to date and starts the appender and the watcher of foreign appends; Close ends them.
func Open(ctx context.Context, dsn string, opts Options) (*Store, error) {
	opts.defaults()
	if !regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`).MatchString(opts.Schema) {
		return nil, fmt.Errorf("eventstore: %q cannot name a schema; use lower case letters, digits and _", opts.Schema)
	}
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(opts.Readers)
	cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		pgxuuid.Register(c.TypeMap()) // without it each uuid goes through text and an error
		return nil
	}
	bound(cfg.ConnConfig.Config.RuntimeParams, "archive log reader", "30s")
	if opts.Configure != nil {
		opts.Configure(cfg)
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{opts: opts, pool: pool, sql: queriesFor(opts.Schema)}
	s.tail.init(opts.Tail)
	if err := s.migrate(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.writer = newAppender(run, s, cfg.ConnConfig.Copy())
	s.finished.Go(func() { s.watch(run) })
	return s, nil
}

// Close lets appends in flight finish, then frees all connections.
func (s *Store) Close() {
	s.stop()
	s.writer.close()
	s.finished.Wait()
	s.pool.Close()
}

// LogID implements eventstore.Store.
func (s *Store) LogID() string { return s.id }

// bound gives a session its name and the limits that keep a frozen client or a slow statement from holding others up.
func bound(params map[string]string, name, statement string) {
	params["application_name"] = name
	params["statement_timeout"] = statement
	params["lock_timeout"] = "5s"
	params["idle_in_transaction_session_timeout"] = "5s"
	params["jit"] = "off"
}

func lockKey(schema string) int64 {
	h := fnv.New64a()
	h.Write([]byte("archive log " + schema))
	return int64(h.Sum64()) // any 64 bits
}

func (s *Store) migrate(ctx context.Context) error {
	lock := strconv.FormatInt(lockKey(s.opts.Schema), 10)
	ddl := strings.NewReplacer("{log}", s.opts.Schema, "{lock}", lock).Replace(schema)
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var version int
		if err := tx.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
			return err
		}
		if version < 15 {
			return fmt.Errorf("eventstore: PostgreSQL %d is too old for the log, 15 or newer is needed", version)
		}
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+lock+")"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, ddl, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("eventstore: creating the schema %s: %w", s.opts.Schema, err)
		}
		return s.identify(ctx, tx)
	})
}

// identify reads the log's id and renews it when the log has moved to another cluster or timeline: after a restore or a promotion
// followers must not go on as if nothing had happened.
func (s *Store) identify(ctx context.Context, tx pgx.Tx) error {
	var cluster string
	err := tx.QueryRow(ctx, `SELECT system_identifier || '/' || timeline_id || '/' || current_database() FROM pg_control_system(), pg_control_checkpoint()`).Scan(&cluster)
	if err != nil {
		return fmt.Errorf("eventstore: the role may not read the cluster's identity (GRANT EXECUTE ON FUNCTION pg_control_system, pg_control_checkpoint): %w", err)
	}
	var known string
	err = tx.QueryRow(ctx, `SELECT id, cluster FROM `+s.opts.Schema+`.identity`).Scan(&s.id, &known)
	if err == nil && known == cluster {
		return nil
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	s.id = strings.ToLower(rand.Text()[:10])
	_, err = tx.Exec(ctx, `INSERT INTO `+s.opts.Schema+`.identity (id, cluster) VALUES ($1, $2)
		ON CONFLICT (single) DO UPDATE SET id = excluded.id, cluster = excluded.cluster, since = now()`, s.id, cluster)
	return err
}

// watch notices what other processes append, often while there is traffic and rarely when there is none.
func (s *Store) watch(ctx context.Context) {
	const often, rarely = 2 * time.Millisecond, 50 * time.Millisecond
	pause := rarely
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		pause = min(2*pause, rarely)
		if s.tail.waiting() {
			if head, err := s.head(ctx); err == nil && s.tail.advance(head) {
				pause = often
			}
		}
		timer.Reset(pause)
	}
}

func (s *Store) head(ctx context.Context) (int64, error) {
	var head int64
	err := s.read(ctx, func() error { return s.pool.QueryRow(ctx, s.sql.head).Scan(&head) })
	return head, err
}

// read runs a query that changes nothing, and once more when its connection turns out to be dead: then the others of the pool are too.
func (s *Store) read(ctx context.Context, query func() error) error {
	err := readError(query())
	if errors.Is(err, eventstore.ErrUnavailable) && ctx.Err() == nil {
		s.pool.Reset()
		err = readError(query())
	}
	return err
}

// readError names what a reader can act on.
func readError(err error) error {
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, pgx.ErrNoRows):
		return err
	case errors.As(err, &pg) && !connectionLost(pg):
		return err
	default:
		return fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err)
	}
}

// connectionLost reports whether the server ended the session, so that nobody knows what became of its statement.
func connectionLost(e *pgconn.PgError) bool {
	return strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P")
}
