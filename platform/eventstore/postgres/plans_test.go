package postgres

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/pgtest"
)

// large gives a log of 50,000 events in 10,000 streams, with as many claims and receipts and 2,000 large texts, and one of the streams.
func large(t *testing.T) (*testLog, eventstore.Stream) {
	l := newLog(t, pgtest.New(t), "log")
	for _, sql := range []string{
		`INSERT INTO log.events SELECT n, n, md5(n::text)::uuid, md5('s' || (n / 5))::uuid, n % 5 + 1, 1, 'test.thing', 'test.thing.happened', md5((n % 7)::text)::uuid, '',
			now(), now(), gen_random_uuid(), gen_random_uuid(), '{}', NULL FROM generate_series(5, 50004) n`,
		`INSERT INTO log.claims SELECT sha256(n::text::bytea), 'test.thing-' || md5(n::text)::uuid FROM generate_series(1, 50000) n`,
		`INSERT INTO log.receipts SELECT sha256(n::text::bytea), sha256(''), '', n, now() + n * interval '1 second' FROM generate_series(1, 50000) n`,
		`INSERT INTO log.contents SELECT sha256(n::text::bytea), gen_random_uuid(), '', n % 100 > 0, now() FROM generate_series(1, 2000) n`,
		`ANALYZE`,
	} {
		exec(t, l.inner, sql)
	}
	var id uuid.UUID
	if err := l.inner.QueryRow(context.Background(), `SELECT md5('s777')::uuid`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	return l, eventstore.Stream{Category: "test.thing", ID: id}
}

func TestAtSize(t *testing.T) {
	l, s := large(t)
	t.Run("plans", func(t *testing.T) { plans(t, l, s) })
	t.Run("append scans no table", func(t *testing.T) { appendScansNoTable(t, l, s) })
}

// With the settings every session starts with, reads go by index.
func plans(t *testing.T, l *testLog, s eventstore.Stream) {
	q, key := l.store.sql, make([]byte, 32)
	for name, c := range map[string]struct {
		sql  string
		args []any
		want string // the access path
	}{
		"head":           {q.head, nil, "Backward using events_pkey"},
		"version":        {q.version, []any{s.ID, s.Category}, "events_stream_category_version_key"},
		"stream":         {q.streamForward, []any{s.ID, s.Category, 2, 100}, "events_stream_category_version_key"},
		"stream back":    {q.streamBack, []any{s.ID, s.Category, 2, 100}, "events_stream_category_version_key"},
		"page":           {q.window, []any{40000, 40500, nil, nil, nil}, "using events_pkey"},
		"filtered page":  {q.window, []any{40000, 40500, []string{"test.thing"}, []string{"test.thing.lost"}, uuid.New()}, "using events_pkey"},
		"page back":      {q.windowBack, []any{40000, 40500, nil, nil, nil}, "Backward using events_pkey"},
		"position":       {q.at, []any{40000}, "using events_pkey"},
		"claim":          {q.holder, []any{key}, "using claims_pkey"},
		"receipt":        {q.receipt, []any{key}, "using receipts_pkey"},
		"contents":       {q.contents, []any{[][]byte{key}}, "contents_pkey"},
		"sweep receipts": {q.sweepReceipts, nil, "receipts_expiry"},
		"sweep contents": {q.sweepContents, nil, "contents_unpinned"},
	} {
		plan := explain(t, l, c.sql, c.args...)
		if strings.Contains(plan, "Seq Scan") || strings.Contains(name, "page") && strings.Contains(plan, "Sort") || !strings.Contains(plan, c.want) {
			t.Errorf("%s is not answered %s:\n%s", name, c.want, plan)
		}
	}
}

func explain(t *testing.T, l *testLog, sql string, args ...any) string {
	t.Helper()
	rows, err := l.inner.Query(context.Background(), "EXPLAIN "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(lines, "\n")
}

// The server counts how tables are read: an append of everything there is must not scan one, whatever the planner thinks inside
// the function.
func appendScansNoTable(t *testing.T, l *testLog, s eventstore.Stream) {
	ctx := context.Background()
	l.store.Close()
	before := scans(t, l)
	l.Reopen()
	text, err := l.store.PutContent(ctx, uuid.Nil, []byte("text"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		a := oneEvent()
		a.Writes[0].Events[0].Contents = []eventstore.Hash{text}
		a.Writes = append(a.Writes, eventstore.Write{Stream: s, Expect: 5})
		a.Claims = []eventstore.Claim{{Key: eventstore.Hash{byte(i)}, Op: eventstore.Take, Holder: s}}
		a.Receipts = []eventstore.Receipt{{Key: eventstore.Hash{byte(i)}, After: 1}}
		for range 1 + i%2 { // every other one is repeated
			if _, err := l.store.Append(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.store.Close()
	after := scans(t, l)
	if after.inserted != before.inserted+200 || !slices.Equal(after.sequential, before.sequential) {
		t.Errorf("200 appends: sequential scans and inserts went from %v to %v", before, after)
	}
}

type scanned struct {
	sequential []int64 // of claims, contents, events, receipts
	inserted   int64   // into events
}

// scans waits until the sessions of closed stores have ended: they leave their counts then.
func scans(t *testing.T, l *testLog) (s scanned) {
	t.Helper()
	for deadline, busy := time.Now().Add(10*time.Second), true; busy; {
		err := l.outer.QueryRow(context.Background(), `SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'archive log%'`, l.database()).Scan(&busy)
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("sessions of a closed store go on: %v", err)
		}
	}
	err := l.inner.QueryRow(context.Background(), `SELECT array_agg(seq_scan ORDER BY relname), sum(n_tup_ins) FILTER (WHERE relname = 'events')
		FROM pg_stat_user_tables WHERE schemaname = 'log' AND relname IN ('claims', 'contents', 'events', 'receipts')`).Scan(&s.sequential, &s.inserted)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func oneEvent() eventstore.Append {
	return eventstore.Append{Writes: []eventstore.Write{{
		Stream: eventstore.Stream{Category: "test.thing", ID: uuid.New()},
		Events: []eventstore.Event{{ID: uuid.New(), Type: "test.thing.happened", Schema: 1, At: time.Now().UTC(), Data: []byte(`{}`)}},
	}}}
}
