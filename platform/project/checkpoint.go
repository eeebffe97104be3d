package project

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

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
}

const checkpointColumns = `physical, view, version, state, log, position, coalesce(event, '00000000-0000-0000-0000-000000000000'),
	applied, digest, discarded, discarded_digest, epoch, owner`

func scanCheckpoint(row pgx.Row) (c checkpoint, err error) {
	var digest, discarded []byte
	err = row.Scan(&c.physical, &c.view, &c.version, &c.state, &c.at.Log, &c.at.Position, &c.at.Event,
		&c.applied.Count, &digest, &c.discarded.Count, &discarded, &c.epoch, &c.owner)
	copy(c.applied.Digest[:], digest)
	copy(c.discarded.Digest[:], discarded)
	return c, err
}

// turn is a transaction that holds a checkpoint's lock.
type turn struct {
	tx   pgx.Tx
	cp   checkpoint
	was  checkpoint // as it was locked
	held map[eventstore.Stream]bool
}

// errGone says that the checkpoint's row is not there any more.
const errGone = stop("project: the tables were dropped")

// take begins a transaction and waits for its turn. An owner that stops within its turn loses it after e.patience().
func (e *Engine) take(ctx context.Context, physical string) (*turn, error) {
	tx, err := e.DB.BeginTx(ctx, pgx.TxOptions{BeginQuery: fmt.Sprintf(
		`BEGIN; SET LOCAL idle_in_transaction_session_timeout = %d; SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = '60s'; SET LOCAL search_path = %s, public`,
		e.patience().Milliseconds(), 4*e.patience().Milliseconds(), pgx.Identifier{physical}.Sanitize())})
	if err != nil {
		return nil, err
	}
	t := &turn{tx: tx, held: map[eventstore.Stream]bool{}}
	if err := t.lock(ctx, physical); err != nil {
		t.end()
		return nil, err
	}
	return t, nil
}

func (t *turn) lock(ctx context.Context, physical string) error {
	batch := &pgx.Batch{}
	batch.Queue(`SELECT `+checkpointColumns+` FROM project.checkpoints WHERE physical = $1 FOR UPDATE`, physical)
	batch.Queue(`SELECT category, stream FROM project.quarantine WHERE physical = $1`, physical)
	results := t.tx.SendBatch(ctx, batch)
	defer results.Close()
	var err error
	if t.cp, err = scanCheckpoint(results.QueryRow()); err != nil {
		if errors.Is(err, pgx.ErrNoRows) {
			return errGone
		}
		return err
	}
	t.was = t.cp
	found, err := results.Query()
	if err != nil {
		return err
	}
	held, err := pgx.CollectRows(found, pgx.RowToStructByPos[eventstore.Stream])
	for _, s := range held {
		t.held[s] = true
	}
	return err
}

// move writes the checkpoint where it still is what was locked, and commits.
func (t *turn) move(ctx context.Context, owner string) error {
	if t.cp.owner != owner {
		t.cp.owner = owner
		t.cp.epoch++
	}
	if err := t.write(ctx); err != nil {
		return err
	}
	return t.tx.Commit(ctx)
}

func (t *turn) write(ctx context.Context) error {
	var event *uuid.UUID
	if t.cp.at.Event != uuid.Nil {
		event = &t.cp.at.Event
	}
	tag, err := t.tx.Exec(ctx, `UPDATE project.checkpoints SET log = $2, position = $3, event = $4, applied = $5, digest = $6,
		discarded = $7, discarded_digest = $8, epoch = $9, owner = $10, quarantined = $11,
		heartbeat = clock_timestamp(), updated_at = clock_timestamp() WHERE physical = $1 AND position = $12 AND epoch = $13`,
		t.cp.physical, t.cp.at.Log, t.cp.at.Position, event, t.cp.applied.Count, t.cp.applied.Digest[:],
		t.cp.discarded.Count, t.cp.discarded.Digest[:], t.cp.epoch, t.cp.owner, len(t.held), t.was.at.Position, t.was.epoch)
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("project: the checkpoint of %s moved although it was locked", t.cp.physical)
	}
	return err
}

// end rolls back what was not committed; the caller's context may be over.
func (t *turn) end() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = t.tx.Rollback(ctx) // nothing to do about it: the server rolls back what it loses
}
