package api

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
)

// unprovoked are the codes no request can provoke, and why.
var unprovoked = map[string]string{
	"platform.reason_missing":         "archive views discard works on the database and says it on the command line",
	"platform.stream_not_quarantined": "the same: archive views retry and discard",
	"platform.view_not_built":         "the same: archive views switch",
	"platform.view_unknown":           "the same: every archive views command",
	"rest.behind":                     "what project.WaitFor says to commands; the edge says rest.lagging instead",
	"rest.closing":                    "ends a stream of server-sent events; no room has one yet",
	"rest.exists":                     "the server chooses every id",
}

// catalogue is schemas/problems.md, and what has been provoked of it.
type catalogue struct {
	status   map[string]int
	provoked map[string]bool
}

func readCatalogue(t *testing.T) *catalogue {
	t.Helper()
	page, err := os.ReadFile("../../schemas/problems.md")
	if err != nil {
		t.Fatal(err)
	}
	c := &catalogue{map[string]int{}, map[string]bool{}}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (\\d+) \\|").FindAllStringSubmatch(string(page), -1) {
		if c.status[row[1]], err = strconv.Atoi(row[2]); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestEveryProblem provokes every code of the catalogue by what a client would send.
func TestEveryProblem(t *testing.T) {
	c := readCatalogue(t)
	groups := []struct {
		name    string
		provoke func(*testing.T, *catalogue)
	}{
		{"what cannot be read", unreadable},
		{"what comes too late or twice", conditions},
		{"who and where", callers},
		{"tokens", tokens},
		{"tenants and people", cortexRefuses},
		{"articles and tags", postalRefuses},
		{"passwords", guessing},
		{"views behind the log", lagging},
		{"the log held up", heldUp},
		{"nothing answers", outage},
		{"starting", starting},
	}
	ran := 0
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) { ran++; g.provoke(t, c) })
	}
	if ran < len(groups) {
		return // -run chose some
	}
	for _, e := range rest.Catalogue() {
		if c.status[e.Code] == 0 {
			t.Errorf("schemas/problems.md lacks %s", e.Code)
		}
	}
	for _, code := range slices.Sorted(maps.Keys(c.status)) {
		switch reason := unprovoked[code]; {
		case !c.provoked[code] && reason == "":
			t.Errorf("nothing here provokes %s: add the request that does, or say in unprovoked why there is none", code)
		case c.provoked[code] && reason != "":
			t.Errorf("%s is provoked and stands in unprovoked (%s)", code, reason)
		}
	}
	for code := range unprovoked {
		if c.status[code] == 0 {
			t.Errorf("unprovoked lists %s, which is no code of schemas/problems.md", code)
		}
	}
}

// provoke makes requests that are refused; nothing is stored by any.
func (c *catalogue) provoke(t *testing.T, w *world, steps ...step) {
	t.Helper()
	for _, s := range steps {
		t.Run(s.Name, func(t *testing.T) {
			s.Status = c.status[s.Code]
			c.saw(t, s.Code, w.does(t, s))
		})
	}
}

var internals = regexp.MustCompile(`(?i)sqlstate|error:|goroutine|\.go:\d|select |relation|dial |/tmp/`)

// saw holds an answer against what every problem promises.
func (c *catalogue) saw(t *testing.T, code string, a apitest.Answer) {
	t.Helper()
	c.provoked[code] = true
	p := a.JSON(t)
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if a.Code() != code || a.Status != c.status[code] || p["type"] != "/problems/"+code || p["status"] != float64(c.status[code]) {
		t.Errorf("%d %s, want %d %s", a.Status, a.Body, c.status[code], code)
	}
	trace, _ := p["trace_id"].(string)
	if detail, _ := p["detail"].(string); len(detail) < 10 || len(trace) != 32 || internals.MatchString(detail) {
		t.Errorf("detail and trace: %s", a.Body)
	}
	must := map[int]string{401: "WWW-Authenticate", 405: "Allow", 301: "Location", 429: "Retry-After", 503: "Retry-After"}[a.Status]
	if must != "" && a.Header.Get(must) == "" {
		t.Errorf("%d without %s: %v", a.Status, must, a.Header)
	}
}

// large is text of n bytes.
func large(n int) string { return strings.Repeat("a", n) }
