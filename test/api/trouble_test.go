package api

import (
	"context"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/rest/apitest"
)

// holder keeps something in the database from moving on, as a slow process or an operator's session would.
type holder struct {
	tx    pgx.Tx
	watch *pgx.Conn
}

// hold begins a transaction and locks with it; release ends it.
func (w *world) hold(t *testing.T, sql string) *holder {
	t.Helper()
	conns := make([]*pgx.Conn, 2)
	for i := range conns {
		var err error
		if conns[i], err = pgx.ConnectConfig(t.Context(), w.DB.Config().ConnConfig); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conns[i].Close(context.Background()) })
	}
	tx, err := conns[0].Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), sql)
	}
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return &holder{tx, conns[1]}
}

func (h *holder) release(t *testing.T) {
	t.Helper()
	if err := h.tx.Rollback(context.Background()); err != nil {
		t.Error(err)
	}
}

// waiting returns when so many sessions of this database wait for a lock.
func (h *holder) waiting(t *testing.T, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for now := -1; now != n; {
		if err := h.watch.QueryRow(ctx, `SELECT count(*) FROM pg_locks
			WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`).Scan(&now); err != nil {
			t.Fatal(err)
		}
	}
}

// background sends a step's request from a client that leaves when the context ends; the answer is what the server would have said.
func (w *world) background(ctx context.Context, s step) <-chan apitest.Answer {
	method, path, _ := strings.Cut(w.fill(s.Do), " ")
	r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(w.fill(s.Body)))
	local, host, _ := strings.Cut(s.By, "@")
	r.Host = host
	if s.Body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if local != "" {
		r.Header.Set("Authorization", "Bearer "+w.names[s.By])
	}
	for i := 0; i < len(s.Header); i += 2 {
		r.Header.Set(s.Header[i], s.Header[i+1])
	}
	answer := make(chan apitest.Answer, 1)
	go func() {
		rec := httptest.NewRecorder()
		w.Handler.ServeHTTP(rec, r)
		answer <- apitest.Answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
	}()
	return answer
}

// line is a way to the database that can be cut.
type line struct {
	mu  sync.Mutex
	cut bool
	all map[net.Conn]bool
}

// layLine gives a DSN that leads over the line.
func layLine(t *testing.T, dsn string) (*line, string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	network, address := addressOf(cfg.Host, cfg.Port)
	dir, err := os.MkdirTemp("", "line") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	_, socket := addressOf(dir, cfg.Port)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l := &line{all: map[net.Conn]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { l.join(client, network, address) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); l.set(true); serving.Wait() })
	return l, dsn + " host=" + dir
}

func addressOf(host string, port uint16) (network, address string) {
	if strings.HasPrefix(host, "/") {
		return "unix", filepath.Join(host, ".s.PGSQL."+strconv.Itoa(int(port)))
	}
	return "tcp", net.JoinHostPort(host, strconv.Itoa(int(port)))
}

// join carries bytes both ways until either end closes or the line is cut.
func (l *line) join(client net.Conn, network, address string) {
	defer client.Close()
	server, err := net.Dial(network, address)
	if err != nil {
		return
	}
	defer server.Close()
	l.mu.Lock()
	if l.cut {
		l.mu.Unlock()
		return
	}
	l.all[client], l.all[server] = true, true
	l.mu.Unlock()
	var one sync.WaitGroup
	one.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	_, _ = io.Copy(client, server)
	_ = client.Close()
	one.Wait()
}

// set cuts the line, or mends it.
func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	for c := range l.all {
		_ = c.Close()
		delete(l.all, c)
	}
}
