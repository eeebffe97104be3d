package rest_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
)

// names reads a whole list page by page.
func names(t *testing.T, s *apitest.Server, query, position string) (all []string, pages int) {
	t.Helper()
	cursor := ""
	for {
		a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths?" + query + cursor, As: "user", Header: h("At-Least", position)})
		if a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		body := a.JSON(t)
		for _, item := range body["items"].([]any) {
			all = append(all, item.(map[string]any)["name"].(string))
		}
		pages++
		next, ok := body["next"].(string)
		if !ok {
			return all, pages
		}
		cursor = "&cursor=" + next
	}
}

func TestLists(t *testing.T) {
	s := server(t)
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("b%02d", i/2) // two of each: the id breaks the tie
		want = append(want, name)
		open(t, s, "user", name)
	}
	open(t, s, "stranger", "foreign")
	_, position := open(t, s, "other", "b99")
	want = append(want, "b99")
	if got, pages := names(t, s, "limit=4", position); !slices.Equal(got, want) || pages != 7 {
		t.Errorf("%d pages: %v", pages, got)
	}
	slices.Reverse(want)
	if got, _ := names(t, s, "limit=7&sort=-name", position); !slices.Equal(got, want) {
		t.Errorf("backwards: %v", got)
	}
	if got, _ := names(t, s, "name=b03", position); !slices.Equal(got, []string{"b03", "b03"}) {
		t.Errorf("filtered: %v", got)
	}
	if got, _ := names(t, s, "mine=true&limit=100", position); len(got) != 25 || slices.Contains(got, "b99") {
		t.Errorf("mine: %v", got)
	}
	first := s.Do(t, apitest.Case{Do: "GET /api/v1/berths", Header: h("At-Least", position)}).JSON(t)
	if n := len(first["items"].([]any)); n != 20 {
		t.Errorf("%d items by default", n)
	}
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths?name=nobody"}); !strings.Contains(string(a.Body), `"items":[]`) {
		t.Errorf("an empty list is %s", a.Body)
	}
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths/count", As: "admin", Header: h("At-Least", position)}); a.JSON(t)["berths"] != float64(26) {
		t.Errorf("count: %s", a.Body)
	}
	cursors(t, s, first["next"].(string))
}

// cursors shows that one is good for nothing but the list it came from.
func cursors(t *testing.T, s *apitest.Server, cursor string) {
	flipped := []byte(cursor)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]apitest.Case{
		"tampered":      {Do: "GET /api/v1/berths?cursor=" + string(flipped)},
		"cut":           {Do: "GET /api/v1/berths?cursor=" + cursor[:10]},
		"not base64":    {Do: "GET /api/v1/berths?cursor=%2B%2B"},
		"another sort":  {Do: "GET /api/v1/berths?sort=-name&cursor=" + cursor},
		"another query": {Do: "GET /api/v1/berths?name=b03&cursor=" + cursor},
		"other tenant":  {Do: "GET /api/v1/berths?cursor=" + cursor, Host: "globex.test"},
	} {
		if a := s.Do(t, c); a.Status != 422 || a.Code() != "rest.cursor" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths?cursor=" + cursor}); a.Status != 200 {
		t.Errorf("the cursor itself: %d %s", a.Status, a.Body)
	}
}

func TestReadYourWrites(t *testing.T) {
	s := server(t)
	id, position := open(t, s, "user", "north")
	for _, c := range []apitest.Case{
		{Do: "GET /api/v1/berths/" + id, Header: h("At-Least", position)},
		{Do: "GET /api/v1/berths/" + id + "?at_least=" + position},
	} {
		a := s.Do(t, c)
		if a.Status != 200 || a.Header.Get("ETag") != `"1"` || a.JSON(t)["name"] != "north" {
			t.Errorf("%s: %d %s", c.Do, a.Status, a.Body)
		}
		if at := a.JSON(t)["at"].(string); len(at) != len("2006-01-02T15:04:05.000000Z") || !strings.HasSuffix(at, "Z") {
			t.Errorf("time %s", at)
		}
	}
	s.Run(t, []apitest.Case{
		{Name: "another log", Do: "GET /api/v1/berths", Header: h("At-Least", "018f0000-0000-7000-8000-000000000009-a1"), Status: 422, Code: "rest.foreign_position"},
		{Name: "no position", Do: "GET /api/v1/berths", Header: h("At-Least", "a b"), Status: 422, Code: "rest.invalid"},
		{Name: "too long", Do: "GET /api/v1/berths?at_least=" + strings.Repeat("a", 65), Status: 422, Code: "rest.invalid"},
	})
}

func TestAViewThatDoesNotFollow(t *testing.T) {
	s := apitest.New(t, apitest.Setup{Routes: []func(*rest.API){routes}, Config: func(c *rest.Config) { c.Waiter, c.Patience = nil, 300*time.Millisecond }})
	_, position := open(t, s, "user", "north")
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths"}); a.Status != 503 || a.Code() != "rest.view_not_built" {
		t.Errorf("never built: %d %s", a.Status, a.Body)
	}
	s.Exec(`CREATE SCHEMA still; CREATE TABLE still.berths (tenant uuid, id uuid, version int, name text, owner text, at timestamptz)`)
	s.Exec(`INSERT INTO project.checkpoints (physical, view, version, state, log) VALUES ('still', 'harbour.berths', 1, 'live', $1)`, s.Store.LogID())
	s.Exec(`INSERT INTO project.views (name, physical, version) VALUES ('harbour.berths', 'still', 1)`)
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths"}); a.Status != 200 {
		t.Errorf("behind, but not asked for more: %d %s", a.Status, a.Body)
	}
	start := time.Now()
	a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths", Header: h("At-Least", position)})
	if a.Status != 503 || a.Code() != "rest.lagging" || a.Header.Get("Retry-After") != "1" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if took := time.Since(start); took < 200*time.Millisecond || took > 2*time.Second {
		t.Errorf("waited %s, not about 300 ms", took)
	}
}

func TestASwitchedView(t *testing.T) {
	s := server(t)
	id, position := open(t, s, "user", "north")
	read := apitest.Case{Do: "GET /api/v1/berths/" + id, Header: h("At-Least", position)}
	s.Do(t, read)
	s.Exec(`CREATE SCHEMA next; CREATE TABLE next.berths AS SELECT tenant, id, 7 AS version, 'next' AS name, owner, at FROM harbour_berths_v1.berths`)
	s.Exec(`INSERT INTO project.checkpoints (physical, view, version, state, log, position) SELECT 'next', view, 2, 'live', log, position FROM project.checkpoints WHERE view = 'harbour.berths'`)
	s.Exec(`UPDATE project.views SET physical = 'next', version = 2 WHERE name = 'harbour.berths'`)
	s.Exec(`UPDATE project.checkpoints SET state = 'kept' WHERE physical = 'harbour_berths_v1'`)
	if a := s.Do(t, apitest.Case{Do: read.Do}); a.JSON(t)["name"] != "next" || a.Header.Get("ETag") != `"7"` {
		t.Errorf("after the switch: %s", a.Body)
	}
	s.Exec(`UPDATE project.views SET physical = 'harbour_berths_v1', version = 1 WHERE name = 'harbour.berths'`)
	s.Exec(`UPDATE project.checkpoints SET state = 'live' WHERE physical = 'harbour_berths_v1'`)
	s.Exec(`DROP SCHEMA next CASCADE`)
	if a := s.Do(t, apitest.Case{Do: read.Do}); a.Status != 200 || a.JSON(t)["name"] != "north" {
		t.Errorf("after the way back: %s", a.Body)
	}
}

func TestQuarantine(t *testing.T) {
	s := server(t)
	id, _ := open(t, s, "user", "north")
	other, position := open(t, s, "user", "south")
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths", Header: h("At-Least", position)}); a.Header.Get("Warning") != "" {
		t.Errorf("warned of nothing: %v", a.Header)
	}
	s.Exec(`INSERT INTO project.quarantine (physical, category, stream, tenant, position, event, type, error)
		SELECT physical, 'harbour.berth', $1, $2, position, $1, 'harbour.berth.moved', 'x' FROM project.views_live WHERE name = 'harbour.berths'`, id, apitest.Acme)
	s.Exec(`UPDATE project.checkpoints SET quarantined = 1 WHERE view = 'harbour.berths'`)
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths/" + id}); a.Status != 503 || a.Code() != "rest.view_quarantined" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths/" + other}); a.Status != 200 {
		t.Errorf("another row: %d %s", a.Status, a.Body)
	}
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths"}); !strings.Contains(a.Header.Get("Warning"), "1 streams") {
		t.Errorf("no warning: %v", a.Header)
	}
}

// listen connects to the stream of berths and gives its lines as they come.
func listen(ctx context.Context, t *testing.T, url, token, last string) *bufio.Scanner {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/berths/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "acme.test"
	r.Header.Set("Authorization", "Bearer "+token)
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", res.StatusCode, res.Header)
	}
	return bufio.NewScanner(res.Body)
}

// until reads lines up to one with a prefix.
func until(t *testing.T, lines *bufio.Scanner, prefix string) string {
	t.Helper()
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return rest
		}
	}
	t.Fatalf("the stream ended before %q: %v", prefix, lines.Err())
	return ""
}

func TestStream(t *testing.T) {
	s := server(t, func(c *rest.Config) { c.Heartbeat = 50 * time.Millisecond })
	web := httptest.NewServer(s.Handler)
	defer web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	lines := listen(ctx, t, web.URL, s.Token("user"), "")
	north, _ := open(t, s, "user", "north")
	open(t, s, "stranger", "foreign")
	south, _ := open(t, s, "user", "south")
	first := until(t, lines, "id: ")
	if got := until(t, lines, "data: "); got != `{"id":"`+north+`"}` {
		t.Errorf("first %s", got)
	}
	if got := until(t, lines, "data: "); got != `{"id":"`+south+`"}` {
		t.Errorf("another tenant's event came: %s", got)
	}
	until(t, lines, ": beat")
	again := listen(ctx, t, web.URL, s.Token("user"), first)
	if got := until(t, again, "data: "); got != `{"id":"`+south+`"}` {
		t.Errorf("resumed at %s", got)
	}
	s.Exec(`UPDATE apitest_accounts.accounts SET status = 'suspended' WHERE id = $1`, apitest.Account("user"))
	until(t, lines, "event: end")
	if got := until(t, lines, "data: "); !strings.Contains(got, "rest.invalid_token") {
		t.Errorf("ended with %s", got)
	}
}

func TestOperatorSocket(t *testing.T) {
	s := server(t, func(c *rest.Config) { c.Limits = rest.Limits{Reads: 1, Writes: 1, Auth: 1} })
	dir, err := os.MkdirTemp("", "sock")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "archive.sock")
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.API.ServeSocket(ctx, path) }()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (c net.Conn, err error) {
		for range 200 {
			if c, err = new(net.Dialer).DialContext(ctx, "unix", path); err == nil {
				return c, nil
			}
			time.Sleep(5 * time.Millisecond)
		}
		return nil, err
	}}}
	for range 3 {
		res, err := client.Post("http://operator/api/v1/berths", "application/json", strings.NewReader(`{"name":"n"}`))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 201 {
			t.Fatalf("%d", res.StatusCode)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	e, err := s.Store.At(t.Context(), s.Head())
	if err != nil || !strings.HasPrefix(e.Actor, "operator:") || e.Tenant != apitest.Root {
		t.Errorf("%v %+v", err, e)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
