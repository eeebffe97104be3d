package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/bgce/archive/platform/embedded"
)

// compareLog finds every acknowledged change in the log, once, where the client was told, and nothing else. It gives the last position.
func (l *ledger) compareLog(ctx context.Context, data string) (last string, err error) {
	conn, err := connect(ctx, data)
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var id, token string
	var count, highest int64
	if err := conn.QueryRow(ctx, `SELECT (SELECT id FROM log.identity), count(*), max(position) FROM log.events`).Scan(&id, &count, &highest); err != nil {
		return "", err
	}
	if count != highest {
		l.complainf("the log has %d events, the last has position %d: positions are not dense", count, highest)
	}
	token = fmt.Sprint(highest)
	rows, err := conn.Query(ctx, `SELECT position, stream, version, split_part(type, '.', 3), data, recorded_at FROM log.events WHERE category = 'postal.post' ORDER BY position`)
	if err != nil {
		return "", err
	}
	seen := map[uuid.UUID]int{}
	var e stored
	_, err = pgx.ForEachRow(rows, []any{&e.position, &e.stream, &e.version, &e.kind, &e.data, &e.recorded}, func() error {
		seen[e.stream]++
		l.compareEvent(e)
		return nil
	})
	for id, p := range l.posts {
		if seen[id] != len(p.changes) {
			l.complainf("post %s: %d changes were acknowledged, the log has %d", id, len(p.changes), seen[id])
		}
	}
	return fmt.Sprintf("%s-%c%s", id, 'a'+len(token)-1, token), err
}

// connect reaches the private PostgreSQL, which may be slow to answer on a busy machine.
func connect(ctx context.Context, data string) (*pgx.Conn, error) {
	for range 10 {
		if dsn, found := embedded.Running(ctx, data); found {
			return pgx.Connect(ctx, dsn)
		}
		pause(ctx, time.Second, time.Second)
	}
	return nil, errors.New("the private PostgreSQL does not answer")
}

// stored is an event as the log holds it.
type stored struct {
	position int64
	stream   uuid.UUID
	version  int
	kind     string
	data     []byte
	recorded time.Time
}

func (l *ledger) compareEvent(e stored) {
	p := l.posts[e.stream]
	if p == nil {
		l.complainf("the log has %s of post %s at %d, which nobody was told of", e.kind, e.stream, e.position)
		return
	}
	c, told := p.changes[e.version]
	var data struct{ Title, Slug string }
	err := json.Unmarshal(e.data, &data)
	switch {
	case !told:
		l.complainf("the log has version %d (%s) of post %s at %d, which nobody was told of: an effect was doubled", e.version, e.kind, e.stream, e.position)
	case err != nil:
		l.complainf("event at %d: %v", e.position, err)
	case c.kind != e.kind || c.position != e.position:
		l.complainf("post %s version %d: told %s at %d, the log has %s at %d", e.stream, e.version, c.kind, c.position, e.kind, e.position)
	case (e.kind == "created" || e.kind == "updated") && (data.Title != c.content.Title || data.Slug != c.content.Slug):
		l.complainf("post %s version %d: told %q, the log has %q", e.stream, e.version, c.content.Title, data.Title)
	}
	if told && !c.resentAt.IsZero() && e.recorded.Before(c.resentAt) {
		l.early.Add(1)
	}
}

// view is what the API shows of a post.
type view struct {
	ID       uuid.UUID `json:"id"`
	Version  int       `json:"version"`
	Slug     string    `json:"slug"`
	Title    string    `json:"title"`
	Body     string    `json:"body"`
	Status   string    `json:"status"`
	Revision int       `json:"revision"`
}

func (v view) row() row {
	return row{content{v.Title, v.Body, v.Slug}, v.Status, v.Version, v.Revision, false}
}

type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// compareViews reads everything through the API: the list, each post by id and by slug, its versions. All must say what was told.
func (c *client) compareViews(ctx context.Context, last string) error {
	want := map[uuid.UUID]row{}
	for id, p := range c.ledger.posts {
		r, err := p.row()
		if err != nil {
			c.ledger.complainf("%v", err)
		}
		want[id] = r
	}
	listed, err := readAll[view](ctx, c, posts+"?limit=100", last)
	if err != nil {
		return err
	}
	live := 0
	for _, r := range want {
		if !r.Deleted {
			live++
		}
	}
	if len(listed) != live {
		c.ledger.complainf("the list has %d posts, %d should be there", len(listed), live)
	}
	for _, v := range listed {
		got, due := v.row(), want[v.ID]
		got.Body, due.Body = "", "" // not in the list
		if got != due {
			c.ledger.complainf("the list shows post %s as %+v, told was %+v", v.ID, got, due)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(16)
	var read atomic.Int64
	for id, r := range want {
		group.Go(func() error { read.Add(1); return c.comparePost(ctx, id, r, last) })
	}
	err = group.Wait()
	fmt.Printf("views: %d posts listed, %d read by id, slug and versions\n", len(listed), read.Load())
	return err
}

func (c *client) comparePost(ctx context.Context, id uuid.UUID, due row, last string) error {
	at := posts + "/" + id.String()
	if due.Deleted {
		a, err := c.deliver(ctx, request{method: http.MethodGet, path: at, atLeast: last})
		if err == nil && a.status != http.StatusNotFound {
			c.ledger.complainf("post %s was deleted, reading it gives %d", id, a.status)
		}
		return err
	}
	for _, path := range []string{at, posts + "/slug/" + url.PathEscape(due.Slug)} {
		var v view
		a, err := c.deliver(ctx, request{method: http.MethodGet, path: path, atLeast: last})
		if err != nil {
			return err
		}
		if err := json.Unmarshal(a.body, &v); err != nil || a.status != http.StatusOK || v.ID != id || v.row() != due {
			c.ledger.complainf("GET %s: %d %+v, told was %+v", path, a.status, v.row(), due)
		}
	}
	type revision struct {
		Version int    `json:"version"`
		Title   string `json:"title"`
	}
	versions, err := readAll[revision](ctx, c, at+"/versions?limit=100", last)
	if err != nil {
		return err
	}
	titles := c.ledger.posts[id].titles()
	if len(versions) != len(titles) {
		c.ledger.complainf("post %s: %d versions are listed, %d were told", id, len(versions), len(titles))
		return nil
	}
	for i, v := range versions { // newest first
		if n := len(titles) - i; v.Version != n || v.Title != titles[n-1] {
			c.ledger.complainf("post %s: version %d is %q, told was version %d %q", id, v.Version, v.Title, n, titles[n-1])
		}
	}
	return nil
}

// titles are those of the revisions, oldest first.
func (p *post) titles() (titles []string) {
	for v := 1; v <= len(p.changes); v++ {
		if c := p.changes[v]; c.kind == "created" || c.kind == "updated" {
			titles = append(titles, c.content.Title)
		}
	}
	return titles
}

func readAll[T any](ctx context.Context, c *client, path, last string) (all []T, err error) {
	for cursor := ""; ; {
		a, err := c.deliver(ctx, request{method: http.MethodGet, path: path + cursor, atLeast: last})
		if err != nil {
			return nil, err
		}
		var p page[T]
		if err := json.Unmarshal(a.body, &p); err != nil || a.status != http.StatusOK {
			return nil, fmt.Errorf("GET %s: %d %s %w", path, a.status, a.code, errors.Join(err))
		}
		all = append(all, p.Items...)
		if p.Next == "" {
			return all, nil
		}
		cursor = "&cursor=" + url.QueryEscape(p.Next)
	}
}
