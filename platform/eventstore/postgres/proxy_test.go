package postgres

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// proxy stands between stores and the server and can lose the server's next answer on every connection: what was asked has happened,
// nobody hears of it.
type proxy struct {
	dir   string
	mu    sync.Mutex
	links map[*link]bool
}

type link struct {
	client, server net.Conn
	deaf           bool // under proxy.mu
}

// through starts a proxy that ends with the test and gives the DSN that leads through it.
func through(t testing.TB, dsn string) (*proxy, string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))
	socket := fmt.Sprintf(".s.PGSQL.%d", cfg.Port)
	if strings.HasPrefix(cfg.Host, "/") {
		network, address = "unix", filepath.Join(cfg.Host, socket)
	}
	dir, err := os.MkdirTemp("", "proxy") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, socket))
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{dir: dir, links: map[*link]bool{}}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			serving.Go(func() { p.serve(&link{client: client, server: server}) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); p.each((*link).close); serving.Wait() })
	return p, dsn + " host=" + dir
}

func (l *link) close() { _, _ = l.client.Close(), l.server.Close() }

func (p *proxy) each(do func(*link)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		do(l)
	}
}

// loseAnswers makes every connection of now lose its next answer and end.
func (p *proxy) loseAnswers() { p.each(func(l *link) { l.deaf = true }) }

func (p *proxy) serve(l *link) {
	p.mu.Lock()
	p.links[l] = true
	p.mu.Unlock()
	var asking sync.WaitGroup
	asking.Go(func() { _, _ = io.Copy(l.server, l.client); l.close() })
	for buffer := make([]byte, 64<<10); ; {
		n, err := l.server.Read(buffer)
		p.mu.Lock()
		deaf := l.deaf
		p.mu.Unlock()
		if err == nil && !deaf {
			_, err = l.client.Write(buffer[:n])
		}
		if err != nil || deaf {
			break
		}
	}
	l.close()
	asking.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}
