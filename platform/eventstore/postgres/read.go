package postgres

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/eventstore"
)

const columns = "position, id, stream, version, schema, category, type, tenant, actor, at, recorded_at, correlation, causation, data, meta"

type queries struct {
	head, streamForward, streamBack, version, window, windowBack, at, holder, receipt, contents, putContent, sweepReceipts, sweepContents string
}

func queriesFor(log string) queries {
	filter := ` AND ($3::text[] IS NULL OR category = ANY ($3)) AND ($4::text[] IS NULL OR type = ANY ($4)) AND ($5::uuid IS NULL OR tenant = $5)`
	q := queries{
		head:          `SELECT coalesce(max(position), 0) FROM {log}.events`,
		streamForward: `SELECT {columns} FROM {log}.events WHERE stream = $1 AND category = $2 AND version > $3 ORDER BY version LIMIT $4`,
		streamBack:    `SELECT {columns} FROM {log}.events WHERE stream = $1 AND category = $2 AND version < $3 ORDER BY version DESC LIMIT $4`,
		version:       `SELECT coalesce(max(version), 0) FROM {log}.events WHERE stream = $1 AND category = $2`,
		window:        `SELECT {columns} FROM {log}.events WHERE position > $1 AND position <= $2` + filter + ` ORDER BY position`,
		windowBack:    `SELECT {columns} FROM {log}.events WHERE position > $1 AND position <= $2` + filter + ` ORDER BY position DESC`,
		at:            `SELECT {columns} FROM {log}.events WHERE position = $1`,
		holder:        `SELECT holder FROM {log}.claims WHERE key = $1`,
		receipt:       `SELECT fingerprint, answer, position FROM {log}.receipts WHERE key = $1 AND expires_at > now()`,
		contents:      `SELECT hash, data FROM {log}.contents WHERE hash = ANY ($1)`,
		putContent:    `INSERT INTO {log}.contents AS c (hash, tenant, data) VALUES ($1, $2, $3) ON CONFLICT (hash) DO UPDATE SET put_at = now() WHERE NOT c.pinned`,
		sweepReceipts: `DELETE FROM {log}.receipts WHERE key IN (SELECT key FROM {log}.receipts WHERE expires_at < now() LIMIT 5000)`,
		sweepContents: `DELETE FROM {log}.contents WHERE hash IN (SELECT hash FROM {log}.contents WHERE NOT pinned AND put_at < now() - interval '1 day' LIMIT 500)`,
	}
	fill := strings.NewReplacer("{log}", log, "{columns}", columns)
	for _, s := range []*string{&q.head, &q.streamForward, &q.streamBack, &q.version, &q.window, &q.windowBack, &q.at, &q.holder, &q.receipt, &q.contents, &q.putContent, &q.sweepReceipts, &q.sweepContents} {
		*s = fill.Replace(*s)
	}
	return q
}

func scan(row pgx.CollectableRow) (r eventstore.Recorded, err error) {
	var position int64
	err = row.Scan(&position, &r.ID, &r.Stream.ID, &r.Version, &r.Schema, &r.Stream.Category, &r.Type, &r.Tenant, &r.Actor, &r.At, &r.RecordedAt, &r.Correlation, &r.Causation, &r.Data, &r.Meta)
	r.Position = token(position)
	r.At, r.RecordedAt = r.At.UTC(), r.RecordedAt.UTC()
	return r, err
}

func (s *Store) collect(ctx context.Context, sql string, args ...any) ([]eventstore.Recorded, error) {
	var events []eventstore.Recorded
	err := s.read(ctx, func() error {
		rows, err := s.pool.Query(ctx, sql, args...)
		if err == nil {
			events, err = pgx.CollectRows(rows, scan)
		}
		return err
	})
	return events, err
}

// ReadStream implements eventstore.Store.
func (s *Store) ReadStream(ctx context.Context, stream eventstore.Stream, from int, backwards bool, limit int) ([]eventstore.Recorded, error) {
	sql := s.sql.streamForward
	if backwards {
		sql = s.sql.streamBack
		if from == 0 {
			from = 1<<31 - 1
		}
	}
	if limit <= 0 {
		limit = 1<<31 - 1
	}
	return s.collect(ctx, sql, stream.ID, stream.Category, from, limit)
}

// Version implements eventstore.Store.
func (s *Store) Version(ctx context.Context, stream eventstore.Stream) (int, error) {
	var version int
	err := s.read(ctx, func() error { return s.pool.QueryRow(ctx, s.sql.version, stream.ID, stream.Category).Scan(&version) })
	return version, err
}

// Read implements eventstore.Store. Positions being dense, limit is a window of positions: a sparse filter costs no more than a full one.
func (s *Store) Read(ctx context.Context, q eventstore.Query) (eventstore.Page, error) {
	from, err := number(q.From)
	if err != nil {
		return eventstore.Page{}, err
	}
	limit := min(q.Limit, 10_000)
	if limit <= 0 {
		limit = 500
	}
	if q.Backwards {
		return s.readBack(ctx, q, from, limit)
	}
	if events := s.tail.after(from, limit); len(events) > 0 {
		return eventstore.Page{Events: selected(events, q.Filter), Next: events[len(events)-1].Position}, nil
	}
	head, err := s.head(ctx)
	if err != nil {
		return eventstore.Page{}, err
	}
	s.tail.advance(head)
	to := min(from+int64(limit), head)
	if to <= from {
		return eventstore.Page{Next: q.From, End: true}, nil
	}
	events, err := s.window(ctx, s.sql.window, from, to, q.Filter)
	return eventstore.Page{Events: events, Next: token(to), End: to == head}, err
}

func (s *Store) readBack(ctx context.Context, q eventstore.Query, from int64, limit int) (eventstore.Page, error) {
	if from == 0 {
		head, err := s.head(ctx)
		if err != nil {
			return eventstore.Page{}, err
		}
		if head == 0 {
			return eventstore.Page{End: true}, nil
		}
		from = head + 1
	}
	low := max(0, from-1-int64(limit))
	events, err := s.window(ctx, s.sql.windowBack, low, from-1, q.Filter)
	return eventstore.Page{Events: events, Next: token(low + 1), End: low == 0}, err
}

func (s *Store) window(ctx context.Context, sql string, after, to int64, f eventstore.Filter) ([]eventstore.Recorded, error) {
	var tenant *uuid.UUID
	if f.Tenant != uuid.Nil {
		tenant = &f.Tenant
	}
	return s.collect(ctx, sql, after, to, f.Categories, f.Types, tenant)
}

func selected(events []eventstore.Recorded, f eventstore.Filter) []eventstore.Recorded {
	var out []eventstore.Recorded
	for _, e := range events {
		if (len(f.Categories) == 0 || slices.Contains(f.Categories, e.Stream.Category)) &&
			(len(f.Types) == 0 || slices.Contains(f.Types, e.Type)) && (f.Tenant == uuid.Nil || f.Tenant == e.Tenant) {
			out = append(out, e)
		}
	}
	return out
}

// Wait implements eventstore.Store.
func (s *Store) Wait(ctx context.Context, after eventstore.Position) error {
	n, err := number(after)
	if err != nil {
		return err
	}
	return s.tail.wait(ctx, n)
}

// Head implements eventstore.Store.
func (s *Store) Head(ctx context.Context) (eventstore.Position, error) {
	head, err := s.head(ctx)
	return token(head), err
}

// Count implements eventstore.Store: positions are dense, so it is a subtraction.
func (s *Store) Count(_ context.Context, from, to eventstore.Position) (int64, error) {
	low, err := number(from)
	if err != nil {
		return 0, err
	}
	high, err := number(to)
	return max(0, high-low), err
}

// At implements eventstore.Store.
func (s *Store) At(ctx context.Context, p eventstore.Position) (eventstore.Recorded, error) {
	n, err := number(p)
	if err != nil {
		return eventstore.Recorded{}, err
	}
	events, err := s.collect(ctx, s.sql.at, n)
	if err == nil && len(events) == 0 {
		err = eventstore.ErrNoEvent
	}
	if err != nil {
		return eventstore.Recorded{}, err
	}
	return events[0], nil
}

// AsOf implements eventstore.Store by halving: recorded_at never decreases with position.
func (s *Store) AsOf(ctx context.Context, t time.Time) (eventstore.Position, error) {
	high, err := s.head(ctx)
	low := int64(0) // everything up to low was recorded by t, everything after high later
	for err == nil && low < high {
		var e eventstore.Recorded
		mid := (low + high + 1) / 2
		if e, err = s.At(ctx, token(mid)); err == nil && e.RecordedAt.After(t) {
			high = mid - 1
		} else {
			low = mid
		}
	}
	return token(low), err
}

// Holder implements eventstore.Store.
func (s *Store) Holder(ctx context.Context, key eventstore.Hash) (eventstore.Stream, bool, error) {
	var holder string
	err := s.read(ctx, func() error { return s.pool.QueryRow(ctx, s.sql.holder, key[:]).Scan(&holder) })
	if errors.Is(err, pgx.ErrNoRows) {
		return eventstore.Stream{}, false, nil
	}
	if err != nil {
		return eventstore.Stream{}, false, err
	}
	stream, err := parseStream(holder)
	return stream, err == nil, err
}

func parseStream(name string) (eventstore.Stream, error) {
	cut := len(name) - 37 // "-" and a uuid
	if cut < 0 {
		return eventstore.Stream{}, fmt.Errorf("eventstore: %q names no stream", name)
	}
	id, err := uuid.Parse(name[cut+1:])
	return eventstore.Stream{Category: name[:cut], ID: id}, err
}

// Receipt implements eventstore.Store.
func (s *Store) Receipt(ctx context.Context, key eventstore.Hash) (eventstore.Receipt, bool, error) {
	r := eventstore.Receipt{Key: key}
	var position int64
	var fingerprint []byte
	err := s.read(ctx, func() error {
		return s.pool.QueryRow(ctx, s.sql.receipt, key[:]).Scan(&fingerprint, &r.Answer, &position)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return eventstore.Receipt{}, false, nil
	}
	if err != nil {
		return eventstore.Receipt{}, false, err
	}
	r.Position = token(position)
	copy(r.Fingerprint[:], fingerprint)
	return r, true, nil
}

// PutContent implements eventstore.Store.
func (s *Store) PutContent(ctx context.Context, tenant uuid.UUID, data []byte) (eventstore.Hash, error) {
	if len(data) > eventstore.MaxContent {
		return eventstore.Hash{}, fmt.Errorf("%w: a text of %d bytes, %d are allowed", eventstore.ErrTooLarge, len(data), eventstore.MaxContent)
	}
	hash := eventstore.Hash(sha256.Sum256(data))
	_, err := s.pool.Exec(ctx, s.sql.putContent, hash[:], tenant, data)
	return hash, readError(err)
}

// Contents implements eventstore.Store.
func (s *Store) Contents(ctx context.Context, hashes []eventstore.Hash) (map[eventstore.Hash][]byte, error) {
	keys := make([][]byte, len(hashes))
	for i := range hashes {
		keys[i] = hashes[i][:]
	}
	found := make(map[eventstore.Hash][]byte, len(hashes))
	var hash, data []byte
	rows, err := s.pool.Query(ctx, s.sql.contents, keys)
	if err != nil {
		return nil, readError(err)
	}
	_, err = pgx.ForEachRow(rows, []any{&hash, &data}, func() error {
		found[eventstore.Hash(hash)] = slices.Clone(data)
		return nil
	})
	return found, readError(err)
}

// Sweep implements eventstore.Store. It takes the appenders' lock for the texts, so that none is removed while it is being referred to.
func (s *Store) Sweep(ctx context.Context) (int64, error) {
	var swept int64
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		receipts, err := tx.Exec(ctx, s.sql.sweepReceipts)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", lockKey(s.opts.Schema)); err != nil {
			return err
		}
		contents, err := tx.Exec(ctx, s.sql.sweepContents)
		swept = receipts.RowsAffected() + contents.RowsAffected()
		return err
	})
	return swept, readError(err)
}
