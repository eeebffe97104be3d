package baseline

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// PollSchema is the poll loop's read model and its checkpoint.
const PollSchema = `CREATE SCHEMA poll;
CREATE TABLE poll.tallies (id uuid PRIMARY KEY, version int NOT NULL, sum bigint NOT NULL, count int NOT NULL);
CREATE TABLE poll.checkpoint (position bigint NOT NULL);
INSERT INTO poll.checkpoint VALUES (0)`

// Poll keeps poll.tallies: it asks the log's table for what is new, and when there was nothing it asks again after the interval.
func Poll(ctx context.Context, db *pgxpool.Pool, interval time.Duration) error {
	var at int64
	if err := db.QueryRow(ctx, `SELECT position FROM poll.checkpoint`).Scan(&at); err != nil {
		return err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		n, err := page(ctx, db, &at)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// page applies what is new in one transaction with the checkpoint.
func page(ctx context.Context, db *pgxpool.Pool, at *int64) (n int, err error) {
	rows, err := db.Query(ctx, `SELECT position, stream, version, data FROM log.events WHERE position > $1 ORDER BY position LIMIT 1000`, *at)
	if err != nil {
		return 0, err
	}
	batch := &pgx.Batch{}
	var position int64
	var id uuid.UUID
	var version int
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&position, &id, &version, &data}, func() error {
		var e struct {
			Weight int `json:"weight_grams"`
		}
		n++
		batch.Queue(`INSERT INTO poll.tallies AS t VALUES ($1, $2, $3, 1) ON CONFLICT (id) DO UPDATE SET version = $2, sum = t.sum + $3, count = t.count + 1`,
			id, version, &e.Weight)
		return json.Unmarshal(data, &e)
	})
	if err != nil || n == 0 {
		return n, err
	}
	batch.Queue(`UPDATE poll.checkpoint SET position = $1`, position)
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	if err == nil {
		*at = position
	}
	return n, err
}
