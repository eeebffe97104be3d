package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const clients = 32

// wire is a client's connection, made at its first use: as little work as can be, so that what is measured is the server.
type wire struct {
	address string
	conn    net.Conn
	in      *bufio.Reader
	out     []byte
}

// do sends one request and reads the whole answer.
func (w *wire) do(method, path, headers, body string, want int) ([]byte, error) {
	w.out = fmt.Appendf(w.out[:0], "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Length: %d\r\n\r\n%s", method, path, headers, len(body), body)
	if w.conn == nil {
		var err error
		if w.conn, err = net.Dial("tcp", w.address); err != nil {
			return nil, err
		}
		w.in = bufio.NewReader(w.conn)
	}
	if _, err := w.conn.Write(w.out); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %s: %w", method, path, res.Status, err)
	}
	if res.StatusCode != want {
		return nil, fmt.Errorf("%s %s: %s %s", method, path, res.Status, answer)
	}
	return answer, nil
}

// site is a server with a connection for each client.
type site struct {
	*child
	wires   []*wire
	headers string
	ids     []uuid.UUID // of the posts there are to edit and to read
	next    *atomic.Int64
	acks    atomic.Int64
}

func (p part) site(ctx context.Context, token string, next *atomic.Int64) (*site, error) {
	c, err := p.start(ctx)
	if err != nil {
		return nil, err
	}
	s := &site{child: c, next: next}
	if p.Ours {
		if token, _, err = logIn(ctx, c.address); err != nil {
			c.stop()
			return nil, err
		}
	}
	s.headers = "Content-Type: application/json\r\nAuthorization: Bearer " + token + "\r\n"
	for range clients {
		s.wires = append(s.wires, &wire{address: c.address})
	}
	return s, nil
}

const article = `{"title":"A crate of oranges, number %d","body":"Unloaded in the morning, weighed twice, found dry and sound, and put beside the others at the north wall, where it will wait for the cart.","slug":"crate-%d"}`

func (s *site) create(_ context.Context, w int) error {
	n := s.next.Add(1)
	_, err := s.wires[w].do(http.MethodPost, "/api/v1/posts", s.headers, fmt.Sprintf(article, n, n), http.StatusCreated)
	if err == nil {
		s.acks.Add(1)
	}
	return err
}

// edit replaces the content of an existing post, whatever its version.
func (s *site) edit(_ context.Context, w int) error {
	i := rand.IntN(len(s.ids))
	_, err := s.wires[w].do(http.MethodPut, "/api/v1/posts/"+s.ids[i].String(), s.headers+"If-Match: *\r\n", fmt.Sprintf(article, s.next.Add(1), -i), http.StatusOK)
	if err == nil {
		s.acks.Add(1)
	}
	return err
}

func (s *site) read(_ context.Context, w int) error {
	_, err := s.wires[w].do(http.MethodGet, "/api/v1/posts/"+s.ids[rand.IntN(len(s.ids))].String(), s.headers, "", http.StatusOK)
	return err
}

// fill makes the posts to edit and to read.
func (s *site) fill(n int) error {
	for i := range n {
		answer, err := s.wires[0].do(http.MethodPost, "/api/v1/posts", s.headers, fmt.Sprintf(article, i, -i), http.StatusCreated)
		if err != nil {
			return err
		}
		s.acks.Add(1)
		var made struct{ ID uuid.UUID }
		if err := json.Unmarshal(answer, &made); err != nil {
			return err
		}
		s.ids = append(s.ids, made.ID)
	}
	return nil
}

// commandsOverHTTP: token, JSON, load, decide, append; against a handler that checks the same token and does one INSERT.
func commandsOverHTTP(ctx context.Context, c *cluster, play func(*bout) error) error {
	ours, theirs, stop, err := sites(ctx, c, "http", false)
	if err != nil {
		return err
	}
	defer stop()
	if err := ours.fill(manyStreams); err != nil {
		return err
	}
	for _, b := range []struct {
		what string
		op   func(context.Context, int) error
	}{{"create a post over HTTP, 32 clients", ours.create}, {"edit 1,000 posts over HTTP, 32 clients", ours.edit}} {
		err := play(&bout{
			lines:  []line{{what: b.what, unit: "/s", ours: "command", theirs: theirs.name, target: 1}},
			round:  alternate(hammer(clients, b.op), hammer(clients, theirs.create)),
			verify: func(ctx context.Context) error { return ours.verify(ctx) },
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reads: a post by its id, against a handler that checks the same token and does one SELECT.
func reads(ctx context.Context, c *cluster, play func(*bout) error) error {
	ours, theirs, stop, err := sites(ctx, c, "read", true)
	if err != nil {
		return err
	}
	defer stop()
	if err := errors.Join(ours.fill(manyStreams), theirs.fill(manyStreams)); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; { // until the view has them all
		if _, err = ours.wires[0].do(http.MethodGet, "/api/v1/posts/"+ours.ids[manyStreams-1].String(), ours.headers, "", http.StatusOK); err == nil {
			break
		}
		if time.Now().After(deadline) {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
	return play(&bout{
		lines: []line{{what: "read a post by id, 32 clients", unit: "/s", ours: "question", theirs: theirs.name, target: 0.7}},
		round: alternate(hammer(clients, ours.read), hammer(clients, theirs.read)),
	})
}

// named is a site and what it is called in the result.
type named struct {
	*site
	name string
}

type checked struct {
	*site
	dsn string
}

// verify counts the articles' events of the log.
func (s checked) verify(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var n int64
	err = conn.QueryRow(ctx, `SELECT count(*) FROM log.events WHERE category = 'postal.post'`).Scan(&n)
	if err == nil && n != s.acks.Load() {
		err = fmt.Errorf("%d commands were acknowledged, the log has %d events of posts", s.acks.Load(), n)
	}
	return err
}

// sites starts both servers, the baseline with the pool it is fastest with.
func sites(ctx context.Context, c *cluster, name string, views bool) (ours checked, theirs named, stop func(), err error) {
	ourDSN, err1 := c.database(ctx, name+"_ours")
	theirDSN, err2 := c.database(ctx, name+"_theirs")
	if err = errors.Join(err1, err2); err != nil {
		return ours, theirs, nil, err
	}
	var next atomic.Int64
	mine := part{Ours: true, DSN: ourDSN, Views: views}
	if *profile != "" {
		mine.Profile = *profile + ".server"
	}
	s, err := mine.site(ctx, "", &next)
	if err != nil {
		return ours, theirs, nil, err
	}
	ours = checked{s, ourDSN}
	token, keys, err := logIn(ctx, s.address)
	if err != nil {
		s.stop()
		return ours, theirs, nil, err
	}
	plain := part{DSN: theirDSN, Keys: keys}
	size, err := best(ctx, []int{4, 8, 16, 32}, func(size int) (way, func()) {
		plain.Pool = size
		t, err := plain.site(ctx, token, &next)
		if err != nil {
			return func(context.Context, time.Duration) (float64, error) { return 0, err }, func() {}
		}
		return hammer(clients, t.create), t.stop
	})
	if err == nil {
		plain.Pool = size
		theirs.name = fmt.Sprintf("handler (pool %d)", size)
		theirs.site, err = plain.site(ctx, token, &next)
	}
	if err != nil {
		s.stop()
		return ours, theirs, nil, err
	}
	return ours, theirs, func() { s.stop(); theirs.stop() }, nil
}
