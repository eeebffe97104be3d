package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/bgce/archive/platform/eventstore"
)

// job is one caller's append on its way.
type job struct {
	eventstore.Append
	ctx    context.Context
	claims []netClaim
	events int
	bytes  int
	state  atomic.Int32
	done   chan outcome // of capacity 1: the appender never waits for a caller
}

type outcome struct {
	result eventstore.Result
	err    error
}

const (
	queued    = iota
	taken     // the appender will answer it
	sent      // it may be stored, whatever happens now
	abandoned // its caller left before it was taken
)

// Append implements eventstore.Store.
func (s *Store) Append(ctx context.Context, a eventstore.Append) (eventstore.Result, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, s.opts.Timeout)
		defer cancel()
	}
	j := &job{Append: a, ctx: ctx, done: make(chan outcome, 1)}
	if err := j.check(); err != nil {
		return eventstore.Result{}, err
	}
	select {
	case s.writer.in <- j:
	case <-ctx.Done():
		return eventstore.Result{}, fmt.Errorf("%w: nothing was stored: %w", eventstore.ErrUnavailable, ctx.Err())
	case <-s.writer.stopped:
		return eventstore.Result{}, fmt.Errorf("%w: the store is closed", eventstore.ErrUnavailable)
	}
	select {
	case o := <-j.done:
		return o.result, o.err
	case <-ctx.Done():
	case <-s.writer.stopped:
		select {
		case o := <-j.done:
			return o.result, o.err
		default:
		}
	}
	if j.state.CompareAndSwap(queued, abandoned) || j.state.CompareAndSwap(taken, abandoned) {
		return eventstore.Result{}, fmt.Errorf("%w: nothing was stored: %w", eventstore.ErrUnavailable, cause(ctx))
	}
	return eventstore.Result{}, fmt.Errorf("%w: %w", eventstore.ErrUncertain, cause(ctx))
}

func cause(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.New("the store is closed")
}

// check refuses what no server should see, and counts.
func (j *job) check() error {
	if len(j.Writes) > eventstore.MaxStreams {
		return fmt.Errorf("%w: %d streams in one append, %d are allowed", eventstore.ErrTooLarge, len(j.Writes), eventstore.MaxStreams)
	}
	seen := make(map[eventstore.Stream]bool, len(j.Writes))
	for _, w := range j.Writes {
		if seen[w.Stream] {
			return fmt.Errorf("%w: %s stands twice in one append", eventstore.ErrInvalid, w.Stream)
		}
		seen[w.Stream] = true
		j.events += len(w.Events)
		for _, e := range w.Events {
			if len(e.Data) > eventstore.MaxPayload || len(e.Meta) > eventstore.MaxPayload {
				return fmt.Errorf("%w: an event of %d bytes, %d are allowed", eventstore.ErrTooLarge, max(len(e.Data), len(e.Meta)), eventstore.MaxPayload)
			}
			if e.Schema < 1 {
				return fmt.Errorf("%w: schema version %d, they begin at 1", eventstore.ErrInvalid, e.Schema)
			}
			j.bytes += len(e.Data) + len(e.Meta) + 200
		}
	}
	if j.events > eventstore.MaxEvents {
		return fmt.Errorf("%w: %d events in one append, %d are allowed", eventstore.ErrTooLarge, j.events, eventstore.MaxEvents)
	}
	if j.bytes > eventstore.MaxAppend {
		return fmt.Errorf("%w: %d bytes in one append, %d are allowed", eventstore.ErrTooLarge, j.bytes, eventstore.MaxAppend)
	}
	for _, r := range j.Receipts {
		if r.After < 0 || r.After > j.events {
			return fmt.Errorf("%w: a receipt stands behind event %d of %d", eventstore.ErrInvalid, r.After, j.events)
		}
		j.bytes += len(r.Answer) + 100
	}
	var err error
	j.claims, err = netClaims(j.Claims)
	return err
}

// appender commits what waits in groups, over one connection, one group at a time.
type appender struct {
	store   *Store
	cfg     *pgx.ConnConfig
	in      chan *job
	held    []*job // came with a stream, claim or receipt that is in the group before them
	conn    *pgx.Conn
	sql     string
	stopped chan struct{}
}

func newAppender(s *Store, cfg *pgx.ConnConfig) *appender {
	bound(cfg.RuntimeParams, "archive log appender", "10s")
	// The statements of log.append are planned once and for all sizes of the log: by index.
	maps.Copy(cfg.RuntimeParams, map[string]string{"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"})
	sql := "SELECT * FROM " + s.opts.Schema + ".append($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18)"
	return &appender{store: s, cfg: cfg, in: make(chan *job, 4*s.opts.BatchCount), sql: sql, stopped: make(chan struct{})}
}

func (a *appender) run(ctx context.Context) {
	defer a.close()
	for {
		group := a.gather(ctx)
		if group == nil {
			return
		}
		a.commit(ctx, group)
	}
}

// close answers everybody who came too late.
func (a *appender) close() {
	close(a.stopped)
	if a.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = a.conn.Close(ctx)
	}
	for {
		select {
		case j := <-a.in:
			j.done <- outcome{err: fmt.Errorf("%w: the store is closing, nothing was stored", eventstore.ErrUnavailable)}
		default:
			return
		}
	}
}

// gather waits for the first job and takes along what arrives while the machine lets others run: callers just answered are
// often back at once. Alone, a caller is not kept waiting. Nil means the store is closing.
func (a *appender) gather(ctx context.Context) []*job {
	g := newGroup(&a.store.opts)
	waiting := a.held
	a.held = nil
	for _, j := range waiting {
		a.place(g, j)
	}
	if len(g.jobs) == 0 {
		select {
		case j := <-a.in:
			a.place(g, j)
		case <-ctx.Done():
			return nil
		}
	}
	start := time.Now()
	for idle := 0; idle < 2 && !g.full(); {
		if a.drain(g) {
			idle = 0
		} else {
			idle++
		}
		runtime.Gosched()
		if time.Since(start) > a.store.opts.Patience {
			break
		}
	}
	if len(g.jobs) == 0 {
		return []*job{} // all had left
	}
	return g.jobs
}

func (a *appender) drain(g *group) (some bool) {
	for !g.full() {
		select {
		case j := <-a.in:
			a.place(g, j)
			some = true
		default:
			return some
		}
	}
	return some
}

// place puts a job into the group, or holds it for the next one.
func (a *appender) place(g *group, j *job) {
	switch {
	case !g.fits(j):
		a.held = append(a.held, j)
		g.bar(j) // nobody may overtake it on what it touches
	case j.state.CompareAndSwap(queued, taken):
		g.add(j)
	}
}

// commit answers every job of a group. A group that the server refuses as a whole is split until the offender stands alone.
func (a *appender) commit(ctx context.Context, group []*job) {
	resent := false
	for pause := 5 * time.Millisecond; len(group) > 0; pause = min(2*pause, 250*time.Millisecond) {
		if a.attempt(ctx, group, resent) {
			return
		}
		resent = true
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		group = a.withoutExpired(ctx, group)
	}
}

// attempt sends a group once. False means: unknown or passing trouble, send the same again (event ids make that safe).
func (a *appender) attempt(ctx context.Context, group []*job, resent bool) bool {
	conn, err := a.connection(ctx)
	if err != nil {
		a.store.opts.Log.Warn("the log's appender cannot connect", "error", err)
		return false
	}
	live := group[:0:0]
	for _, j := range group {
		if j.state.CompareAndSwap(taken, sent) || j.state.Load() == sent {
			live = append(live, j)
		}
	}
	if len(live) == 0 {
		return true
	}
	batch := pack(live, a.store.opts.ReceiptTTL)
	// The statement goes on when the store closes: a group in flight is worth its answer. It is bounded by the socket, since a
	// context that can end costs the driver a goroutine per statement.
	call := context.WithoutCancel(ctx)
	_ = conn.PgConn().Conn().SetDeadline(time.Now().Add(15 * time.Second)) // a dead socket fails the statement itself
	var v verdict
	err = conn.QueryRow(call, a.sql, append(batch.args(), resent)...).Scan(&v.base, &v.recorded, &v.known, &v.failures)
	if err == nil {
		a.store.settle(live, &v)
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || connectionLost(pg) {
		a.store.opts.Log.Warn("the log's appender lost its connection; repeating the group", "appends", len(live), "error", err)
		_ = conn.Close(call)
		a.conn = nil
		return false
	}
	if pg.Code == uniqueViolation && !resent {
		return a.attempt(ctx, live, true) // an event id is in the log already: let it be looked up
	}
	return a.refused(ctx, live, pg)
}

const uniqueViolation = "23505"

// refused handles a server that said no and rolled back.
func (a *appender) refused(ctx context.Context, group []*job, pg *pgconn.PgError) bool {
	switch pg.Code {
	case "55P03", "57014", "40001", "40P01": // lock or statement timeout, serialization, deadlock: try again
		a.store.opts.Log.Warn("the log is held up; repeating the group", "code", pg.Code, "appends", len(group))
		return false
	case "0A000", "26000": // a prepared statement outlived a schema change
		a.conn = nil
		return false
	}
	if len(group) > 1 {
		half := len(group) / 2
		a.commit(ctx, group[:half])
		a.commit(ctx, group[half:])
		return true
	}
	err := fmt.Errorf("%w: %s (%s)", eventstore.ErrInvalid, pg.Message, pg.Code)
	if class := pg.Code[:2]; class == "53" || class == "58" || class == "25" || class == "42" { // resources, system, read-only, rights
		err = fmt.Errorf("%w: nothing was stored: %s (%s)", eventstore.ErrUnavailable, pg.Message, pg.Code)
	}
	group[0].done <- outcome{err: err}
	return true
}

// withoutExpired drops jobs whose callers have gone; when the store closes, all.
func (a *appender) withoutExpired(ctx context.Context, group []*job) []*job {
	live := group[:0:0]
	for _, j := range group {
		switch {
		case j.ctx.Err() != nil: // its caller has its answer
		case ctx.Err() != nil && j.state.Load() == sent:
			j.done <- outcome{err: eventstore.ErrUncertain}
		case ctx.Err() != nil:
			j.done <- outcome{err: eventstore.ErrUnavailable}
		default:
			live = append(live, j)
		}
	}
	return live
}

func (a *appender) connection(ctx context.Context) (*pgx.Conn, error) {
	if a.conn != nil && !a.conn.IsClosed() {
		return a.conn, nil
	}
	call, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(call, a.cfg)
	if err == nil {
		pgxuuid.Register(conn.TypeMap())
	}
	a.conn = conn
	return conn, err
}
