package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	w := s.writer
	if ctx.Err() == nil {
		w.join(j)
	}
	for {
		select {
		case o := <-j.done:
			return o.result, o.err
		default:
		}
		select {
		case o := <-j.done:
			return o.result, o.err
		case w.lead <- struct{}{}: // nobody leads: do it, for everybody who waits
			w.turn(ctx)
			continue
		case <-ctx.Done():
		case <-w.stopped:
			select {
			case o := <-j.done:
				return o.result, o.err
			default:
			}
		}
		w.leave(j)
		if j.state.CompareAndSwap(queued, abandoned) || j.state.CompareAndSwap(taken, abandoned) {
			return eventstore.Result{}, fmt.Errorf("%w: nothing was stored: %w", eventstore.ErrUnavailable, cause(ctx))
		}
		return eventstore.Result{}, fmt.Errorf("%w: %w", eventstore.ErrUncertain, cause(ctx))
	}
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
	for i, w := range j.Writes {
		if slices.ContainsFunc(j.Writes[:i], func(other eventstore.Write) bool { return other.Stream == w.Stream }) { // of few
			return fmt.Errorf("%w: %s stands twice in one append", eventstore.ErrInvalid, w.Stream)
		}
		j.events += len(w.Events)
		for _, e := range w.Events {
			if len(e.Data) > eventstore.MaxPayload || len(e.Meta) > eventstore.MaxPayload {
				return fmt.Errorf("%w: an event of %d bytes, %d are allowed", eventstore.ErrTooLarge, max(len(e.Data), len(e.Meta)), eventstore.MaxPayload)
			}
			if e.Schema < 1 {
				return fmt.Errorf("%w: schema version %d, they begin at 1", eventstore.ErrInvalid, e.Schema)
			}
			j.bytes += len(e.Data) + len(e.Meta)
		}
	}
	if j.events > eventstore.MaxEvents {
		return fmt.Errorf("%w: %d events in one append, %d are allowed", eventstore.ErrTooLarge, j.events, eventstore.MaxEvents)
	}
	if j.bytes > eventstore.MaxAppend {
		return fmt.Errorf("%w: %d bytes in one append, %d are allowed", eventstore.ErrTooLarge, j.bytes, eventstore.MaxAppend)
	}
	j.bytes += 200 * j.events // of everything else, about
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

// appender commits what waits in groups, over one connection, one group at a time. A caller that finds nobody leading leads, in
// its own goroutine: alone, an append wakes nobody.
type appender struct {
	store   *Store
	cfg     *pgx.ConnConfig
	ctx     context.Context // ends when the store closes
	lead    chan struct{}   // held by the leader; of capacity 1
	stopped chan struct{}

	mu      sync.Mutex
	waiting []*job // each is a blocked caller

	// The leader's.
	conn    *pgx.Conn
	out     batch
	touched map[key]bool // kept for the next group
	alone   bool         // the last group had one member: nobody is on his way back
}

const (
	statementTime = 15 * time.Second // for a group's answer: a dead socket fails the statement itself
	hurry         = 2 * time.Second  // a caller with less time does not lead: its group would be cut off with it
)

func newAppender(ctx context.Context, s *Store, cfg *pgx.ConnConfig) *appender {
	bound(cfg.RuntimeParams, "archive log appender", "10s")
	// The statements of log.append are planned once and for all sizes of the log: by index.
	maps.Copy(cfg.RuntimeParams, map[string]string{"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"})
	return &appender{store: s, cfg: cfg, ctx: ctx, lead: make(chan struct{}, 1), stopped: make(chan struct{}), touched: map[key]bool{}}
}

func (a *appender) join(j *job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = append(a.waiting, j)
}

func (a *appender) leave(j *job) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiting = slices.DeleteFunc(a.waiting, func(w *job) bool { return w == j })
}

// turn commits one group. Trouble is left to a goroutine, which leads until it is over: the caller can go when its time is up.
func (a *appender) turn(ctx context.Context) {
	leading := true
	defer func() {
		if leading {
			<-a.lead
		}
	}()
	group := a.gather()
	end := time.Now().Add(statementTime)
	if mine, bounded := ctx.Deadline(); bounded && mine.Before(end) {
		end = mine
	}
	tried := time.Until(end) > hurry
	if tried && a.attempt(group, end, false) {
		return
	}
	leading = false
	go func() {
		defer func() { <-a.lead }()
		a.commit(group, tried)
	}()
}

// close waits for the leader, then answers everybody who came too late.
func (a *appender) close() {
	select {
	case a.lead <- struct{}{}: // for ever
	case <-a.stopped:
		return
	}
	close(a.stopped)
	if a.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = a.conn.Close(ctx)
	}
}

// gather takes what waits and what arrives while the machine lets others run: callers just answered are often back at once. Alone,
// a caller is not kept waiting. Who touches what a member touches waits for the next group, and so does who comes after him.
func (a *appender) gather() []*job {
	g := group{opts: &a.store.opts, touched: a.touched}
	clear(g.touched)
	var held []*job
	start := time.Now()
	for idle := 0; idle < 2; {
		a.mu.Lock()
		arrived := a.waiting
		a.waiting = nil
		a.mu.Unlock()
		for _, j := range arrived {
			switch {
			case g.full() || !g.fits(j):
				held = append(held, j)
				g.bar(j)
			case j.ctx.Err() == nil && j.state.CompareAndSwap(queued, taken): // else its caller answers himself
				g.add(j)
			}
		}
		if idle++; len(arrived) > 0 {
			idle = 0
		}
		if alone := a.alone && len(g.jobs) == 1; alone || g.full() || time.Since(start) > a.store.opts.Patience {
			break
		}
		runtime.Gosched()
	}
	a.alone = len(g.jobs) == 1
	if len(held) > 0 {
		a.mu.Lock()
		a.waiting = append(held, a.waiting...)
		a.mu.Unlock()
	}
	return g.jobs
}

// commit answers every job of a group. A group that the server refuses as a whole is split until the offender stands alone.
func (a *appender) commit(group []*job, resent bool) {
	for pause := 5 * time.Millisecond; len(group) > 0; pause = min(2*pause, 250*time.Millisecond) {
		if a.attempt(group, time.Now().Add(statementTime), resent) {
			return
		}
		resent = true
		select {
		case <-time.After(pause):
		case <-a.ctx.Done():
		}
		group = a.withoutExpired(group)
	}
}

// attempt sends a group once. False means: unknown or passing trouble, send the same again (event ids make that safe).
func (a *appender) attempt(group []*job, end time.Time, resent bool) bool {
	if len(group) == 0 {
		return true
	}
	conn, err := a.connection()
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
	// The statement goes on when its callers leave or the store closes: a group in flight is worth its answer. It is bounded by the
	// socket, since a context that can end costs the driver a goroutine per statement.
	_ = conn.PgConn().Conn().SetDeadline(end)
	v, err := a.out.send(conn, live, a.store.opts.ReceiptTTL, resent)
	if err == nil {
		a.store.settle(live, v)
		return true
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || connectionLost(pg) {
		a.store.opts.Log.Warn("the log's appender lost its connection; repeating the group", "appends", len(live), "error", err)
		a.hangUp()
		return false
	}
	if pg.Code == uniqueViolation && !resent {
		return a.attempt(live, end, true) // an event id or a stream is in the log already: let them be looked up
	}
	return a.refused(live, pg, resent)
}

const uniqueViolation = "23505"

// refused handles a server that said no and rolled back.
func (a *appender) refused(group []*job, pg *pgconn.PgError, resent bool) bool {
	switch pg.Code {
	case "55P03", "57014", "40001", "40P01": // lock or statement timeout, serialization, deadlock: try again
		a.store.opts.Log.Warn("the log is held up; repeating the group", "code", pg.Code, "appends", len(group))
		return false
	case "0A000", "26000": // a prepared statement outlived a schema change
		a.hangUp()
		return false
	}
	if len(group) > 1 && !resent {
		return false // taking the group apart may take longer than the leader has
	}
	if len(group) > 1 {
		half := len(group) / 2
		a.commit(group[:half], true)
		a.commit(group[half:], true)
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
func (a *appender) withoutExpired(group []*job) []*job {
	live := group[:0:0]
	for _, j := range group {
		switch {
		case j.ctx.Err() == nil && a.ctx.Err() == nil:
			live = append(live, j)
		case j.state.Load() == sent:
			j.done <- outcome{err: fmt.Errorf("%w: %w", eventstore.ErrUncertain, cause(j.ctx))}
		default:
			j.done <- outcome{err: fmt.Errorf("%w: nothing was stored: %w", eventstore.ErrUnavailable, cause(j.ctx))}
		}
	}
	return live
}

func (a *appender) connection() (*pgx.Conn, error) {
	if a.conn != nil && !a.conn.IsClosed() {
		return a.conn, nil
	}
	ctx, cancel := context.WithTimeout(a.ctx, 3*time.Second)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, a.cfg)
	if err == nil {
		_, err = conn.Prepare(ctx, statement, "SELECT * FROM "+a.store.opts.Schema+call)
	}
	a.conn = conn
	return conn, err
}

// hangUp leaves a connection nobody can rely on.
func (a *appender) hangUp() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = a.conn.Close(ctx)
	a.conn = nil
}
