package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/bgce/archive/platform/client"
	"github.com/bgce/archive/platform/pgtest"
)

// trial is a whole server in this process, and the commands run against it as the operator would.
type trial struct {
	data, url string
	api       *client.Client // as the operator
}

func newTrial(t *testing.T) *trial {
	t.Helper()
	data, err := os.MkdirTemp("", "archive") // t.TempDir can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(data) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	t.Setenv("ARCHIVE_DB", pgtest.New(t))
	t.Setenv("ARCHIVE_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
	t.Setenv("ARCHIVE_DATA", data)
	t.Setenv("ARCHIVE_HTTP", address)
	t.Setenv("ARCHIVE_LOG_LEVEL", "error")
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := &flagWriter{word: "ready", seen: make(chan struct{})}, make(chan error, 1)
	go func() {
		cmd := root(&app{in: strings.NewReader(""), out: ready, err: io.Discard})
		cmd.SetArgs([]string{"serve"})
		ended <- cmd.ExecuteContext(ctx)
	}()
	t.Cleanup(func() { stop(); <-ended })
	select {
	case <-ready.seen:
	case err := <-ended:
		ended <- nil
		t.Fatalf("serve ended: %v", err)
	}
	api, err := client.New(client.Options{Socket: filepath.Join(data, "archive.sock"), Host: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	return &trial{data, "http://" + address, api}
}

// flagWriter closes seen once a word was written.
type flagWriter struct {
	word string
	once sync.Once
	seen chan struct{}
	all  bytes.Buffer
}

func (w *flagWriter) Write(p []byte) (int, error) {
	w.all.Write(p)
	if strings.Contains(w.all.String(), w.word) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

// run runs a command and gives its data, its messages and its exit code.
func (s *trial) run(t *testing.T, in string, args ...string) (string, string, int) {
	t.Helper()
	var out, messages bytes.Buffer
	cmd := root(&app{in: strings.NewReader(in), out: &out, err: &messages})
	cmd.SetArgs(args)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		return out.String(), messages.String() + err.Error(), exitCode(err)
	}
	return out.String(), messages.String(), 0
}

// landed gives the results of an import, "row result column", one a line.
func (s *trial) landed(t *testing.T, file string, args ...string) (string, int) {
	t.Helper()
	out, messages, code := s.run(t, file, append([]string{"import", "-", "-o", "json"}, args...)...)
	var lines []importLine
	if err := json.Unmarshal([]byte(out), &lines); err != nil {
		t.Fatalf("%v: %s%s", err, out, messages)
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintln(&b, strings.TrimSpace(fmt.Sprint(l.Slug, " ", l.Result, " ", l.Column)))
	}
	return b.String(), code
}

// events counts what is in the log.
func (s *trial) events(t *testing.T) int64 {
	t.Helper()
	var n int64
	pool := pgtest.Pool(t, os.Getenv("ARCHIVE_DB"))
	if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM log.events`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const someRows = csvHead +
	"one,One,S,By,2020-01-01,go,talk|Go 1.22,published,First.\n" +
	"two,Two,,,2020-01-02,go,talk,published,Second.\n" +
	"same,A,,,2020-01-03,go,,published,Third.\n" +
	"same,B,,,2020-01-04,go,,published,Fourth.\n" +
	"dateless,C,,,,go,,published,Fifth.\n" +
	"sketch,D,,,,go,,draft,Sixth.\n" +
	"away,E,,,2020-01-05,go,,archived,Seventh.\n"

func TestImport(t *testing.T) {
	s := newTrial(t)
	before := s.events(t)

	const dry = "one created\ntwo created\nsame duplicate slug\nsame duplicate slug\ndateless refused published_at\nsketch created\naway created\n"
	if got, code := s.landed(t, someRows, "--dry-run"); got != dry || code != exitFindings || s.events(t) != before {
		t.Fatalf("dry run: exit %d, %d events more, %s", code, s.events(t)-before, got)
	}
	if got, code := s.landed(t, someRows); got != dry || code != exitFindings {
		t.Fatalf("first run: exit %d\n%s", code, got)
	}
	after := s.events(t)
	if after-before != 2+2+2+1+3 { // tags, two posts created and published, a draft, one created, published and archived
		t.Fatalf("%d events", after-before)
	}
	if got, _ := s.landed(t, someRows); got != strings.ReplaceAll(dry, "created", present) || s.events(t) != after {
		t.Fatalf("second run, %d events more:\n%s", s.events(t)-after, got)
	}
	var one struct {
		Tags                        []string
		Title, Body, Author, Status string
		Revision                    int
		PublishedAt                 string `json:"published_at"`
	}
	read := func(slug string) {
		t.Helper()
		if _, err := s.api.Do(t.Context(), http.MethodGet, "/api/v1/posts/slug/"+slug, nil, nil, &one); err != nil {
			t.Fatal(err)
		}
	}
	if read("one"); one.Body != "First." || strings.Join(one.Tags, " ") != "talk go-1.22" || !strings.HasPrefix(one.PublishedAt, "2020-01-01T00:00:00") || one.Revision != 1 {
		t.Fatalf("%+v", one)
	}

	changed := strings.Replace(someRows, "First.", "First and better.", 1)
	if got, _ := s.landed(t, changed); !strings.HasPrefix(got, "one revised\ntwo already there\n") || s.events(t) != after+1 {
		t.Fatalf("changed: %d events more\n%s", s.events(t)-after, got)
	}
	if got, _ := s.landed(t, changed); !strings.HasPrefix(got, "one already there\n") || s.events(t) != after+1 {
		t.Fatalf("changed, again:\n%s", got)
	}
	if read("one"); one.Body != "First and better." || one.Revision != 2 {
		t.Fatalf("%+v", one)
	}

	want := strings.NewReplacer("same duplicate slug\nsame duplicate slug", "same created\nsame-2 created", "one created", "one already there",
		"two created", "two already there", "sketch created", "sketch already there", "away created", "away already there").Replace(dry)
	if got, _ := s.landed(t, changed, "--on-duplicate-slug", "suffix"); got != want {
		t.Fatalf("suffix:\n%s", got)
	}
	if read("same-2"); one.Title != "B" {
		t.Fatalf("%+v", one)
	}

	elsewhere := csvHead + "one,Another,,,2021-01-01,go,,published,Mine.\n"
	if got, code := s.landed(t, elsewhere); got != "one duplicate slug\n" || code != exitFindings {
		t.Fatalf("a slug of another post: exit %d\n%s", code, got)
	}
	if got, code := s.landed(t, elsewhere, "--on-duplicate-slug", "suffix"); got != "one-2 created\n" || code != 0 {
		t.Fatalf("suffixed beside another post: exit %d\n%s", code, got)
	}
	if got, code := s.landed(t, elsewhere, "--on-duplicate-slug", "suffix"); got != "one-2 already there\n" || code != 0 {
		t.Fatalf("again: exit %d\n%s", code, got)
	}
}

func TestImportResumes(t *testing.T) {
	s := newTrial(t)
	var file strings.Builder
	file.WriteString(csvHead)
	for i := range 60 {
		fmt.Fprintf(&file, "post-%d,Post %d,,,2020-01-01,go,a|b,published,Body %d\n", i, i, i)
	}
	before := s.events(t)
	// A run that ends anywhere: after so many answers the connection is gone, as if the process were.
	for _, answers := range []int64{0, 1, 3, 4, 20, 57} {
		rows, err := parseImport([]byte(file.String()), importOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cut := &cutter{left: answers, cut: cancel}
		api, err := client.New(client.Options{Socket: filepath.Join(s.data, "archive.sock"), Host: "localhost", Renew: cut.renew})
		if err != nil {
			t.Fatal(err)
		}
		l := &loader{api: api, tags: map[string]string{}, taken: map[string]bool{}}
		if _, err := l.prepareTags(ctx, rows); err == nil {
			_ = l.landAll(ctx, rows, newProgress(&bytes.Buffer{}, len(rows)))
		}
		cancel()
	}
	if got, code := s.landed(t, file.String()); code != 0 || strings.Count(got, "\n") != 60 {
		t.Fatalf("exit %d\n%s", code, got)
	}
	if n := s.events(t) - before; n != 2+60+60 {
		t.Fatalf("%d events, want 2 tags, 60 posts, 60 published", n)
	}
}

// cutter lets so many requests begin.
type cutter struct {
	mu   sync.Mutex
	left int64
	cut  context.CancelFunc
}

func (c *cutter) renew(context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left--; c.left < 0 {
		c.cut()
	}
	return "", nil
}

func TestImportUnreachable(t *testing.T) {
	t.Setenv("ARCHIVE_DATA", t.TempDir())
	s := &trial{}
	out, messages, code := s.run(t, someRows, "import", "-")
	if code != exitUnreachable {
		t.Fatalf("exit %d: %s%s", code, out, messages)
	}
	if _, messages, code = s.run(t, "", "import", "-", "--on-duplicate-slug", "guess"); code != exitUsage || !strings.Contains(messages, "report, suffix") {
		t.Fatalf("exit %d: %s", code, messages)
	}
	if _, messages, code = s.run(t, "slug;title\n", "import", "-"); code != exitFailed || !strings.Contains(messages, "first line must be the header") {
		t.Fatalf("exit %d: %s", code, messages)
	}
}
