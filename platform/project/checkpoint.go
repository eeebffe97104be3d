package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/project/tally"
)

// The states of a view's physical tables.
const (
	Live     = "live"     // readers see them
	Building = "building" // beside the live ones, not yet switched to
	Diverged = "diverged" // the log is not the one they followed: rebuild
	Failed   = "failed"   // a rebuild met an event it cannot take
	Kept     = "kept"     // were live before a switch
)

// checkpoint is the row that is locked, compared and moved with every page.
type checkpoint struct {
	physical  string
	view      string
	version   int
	state     string
	at        eventstore.Checkpoint
	applied   tally.Tally
	discarded tally.Tally
	epoch     int64
	owner     string
	held      int // streams in quarantine
}

const checkpointColumns = `physical, view, version, state, log, position, coalesce(event, '00000000-0000-0000-0000-000000000000'),
	applied, digest, discarded, discarded_digest, epoch, owner, quarantined`

func scanCheckpoint(row pgx.Row) (c checkpoint, err error) {
	var digest, discarded []byte
	err = row.Scan(&c.physical, &c.view, &c.version, &c.state, &c.at.Log, &c.at.Position, &c.at.Event,
		&c.applied.Count, &digest, &c.discarded.Count, &discarded, &c.epoch, &c.owner, &c.held)
	copy(c.applied.Digest[:], digest)
	copy(c.discarded.Digest[:], discarded)
	return c, err
}

// turn is a transaction that holds a checkpoint's lock. It speaks to the connection itself, so that beginning travels with the lock
// and committing with the checkpoint: a page costs four round trips.
type turn struct {
	conn *pgxpool.Conn
	cp   checkpoint
	was  checkpoint // as it was locked
	held map[eventstore.Stream]bool
	page bool // it takes in a page of the log
}

// errGone says that the checkpoint's row is not there any more.
const errGone = stop("project: the tables were dropped")

// take begins a transaction and waits for its turn. An owner that stops within its turn loses it after e.patience().
func (e *Engine) take(ctx context.Context, physical string) (*turn, error) {
	conn, err := e.DB.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	t := &turn{conn: conn, held: map[eventstore.Stream]bool{}}
	settings := fmt.Sprintf(`SELECT set_config('idle_in_transaction_session_timeout', '%d', true), set_config('lock_timeout', '%d', true),
		set_config('statement_timeout', '60s', true), set_config('search_path', '%s, public', true)`,
		e.patience().Milliseconds(), 4*e.patience().Milliseconds(), pgx.Identifier{physical}.Sanitize())
	if err := t.lock(ctx, physical, `BEGIN`, settings); err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

// lock waits for a checkpoint, after other statements of the same round trip.
func (t *turn) lock(ctx context.Context, physical string, before ...string) error {
	batch := &pgx.Batch{}
	for _, sql := range before {
		batch.Queue(sql)
	}
	batch.Queue(`SELECT `+checkpointColumns+` FROM project.checkpoints WHERE physical = $1 FOR UPDATE`, physical)
	results := t.conn.SendBatch(ctx, batch)
	defer results.Close()
	for range before {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	var err error
	if t.cp, err = scanCheckpoint(results.QueryRow()); err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			return errGone
		}
		return err
	}
	t.was = t.cp
	if t.cp.held == 0 {
		return results.Close()
	}
	if err := results.Close(); err != nil {
		return err
	}
	found, err := t.conn.Query(ctx, `SELECT category, stream FROM project.quarantine WHERE physical = $1`, physical)
	if err != nil {
		return err
	}
	held, err := pgx.CollectRows(found, pgx.RowToStructByPos[eventstore.Stream])
	for _, s := range held {
		t.held[s] = true
	}
	return err
}

// move writes the checkpoint where it still is what was locked, and commits. A page does not wait for the disk: rows and checkpoint go
// together, what a crash takes of them is applied again from the log. What an operator did waits.
func (t *turn) move(ctx context.Context, owner string) error {
	batch := &pgx.Batch{}
	if t.page {
		batch.Queue(`SET LOCAL synchronous_commit = off`)
	}
	if t.cp.owner != owner {
		t.cp.owner = owner
		t.cp.epoch++
	}
	t.write(batch)
	batch.Queue(`COMMIT`)
	return t.conn.SendBatch(ctx, batch).Close()
}

// write moves the checkpoint, or fails.
func (t *turn) write(batch *pgx.Batch) {
	var event *uuid.UUID
	if t.cp.at.Event != uuid.Nil {
		event = &t.cp.at.Event
	}
	batch.Queue(`SELECT project.move($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		t.cp.physical, t.cp.at.Log, t.cp.at.Position, event, t.cp.applied.Count, t.cp.applied.Digest[:],
		t.cp.discarded.Count, t.cp.discarded.Digest[:], t.cp.epoch, t.cp.owner, len(t.held), t.was.at.Position, t.was.epoch)
}

// end rolls back what was not committed; the caller's context may be over.
func (t *turn) end() {
	defer t.conn.Release()
	if c := t.conn.Conn(); !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, _ = t.conn.Exec(ctx, `ROLLBACK`) // nothing to do about it: the server rolls back what it loses
	}
}
