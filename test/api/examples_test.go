package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bgce/archive/platform/rest/apitest"
	"github.com/bgce/archive/platform/schemas"
)

var update = flag.Bool("update", false, "write schemas/examples.json as the story gives it")

const examplesFile = "../../schemas/examples.json"

// example is one request of the story and its answer, as schemas/examples.json keeps it.
type example struct {
	Method   string            `json:"method"`
	Path     string            `json:"path"`
	Headers  map[string]string `json:"headers,omitempty"`
	Request  any               `json:"request,omitempty"`
	Status   int               `json:"status"`
	Response any               `json:"response,omitempty"`
}

// examples are the first successes of each operation, by its id, with what differs from run to run settled.
type examples struct {
	world *world
	by    map[string]example
	ids   map[string]string
}

func newExamples(w *world) *examples {
	e := &examples{w, map[string]example{}, map[string]string{}}
	w.told = e.see
	return e
}

func (e *examples) see(s step, a apitest.Answer) {
	seen := e.world.Seen()
	operation := seen[len(seen)-1].Operation
	if _, have := e.by[operation]; have || operation == "" || s.Aside || a.Status/100 != 2 {
		return
	}
	x := example{Status: a.Status}
	x.Method, x.Path, _ = strings.Cut(e.settled("", e.world.fill(s.Do)), " ")
	for i := 0; i < len(s.Header); i += 2 {
		if x.Headers == nil {
			x.Headers = map[string]string{}
		}
		x.Headers[s.Header[i]] = e.settled(s.Header[i], e.world.fill(s.Header[i+1]))
	}
	x.Request, x.Response = e.body([]byte(e.world.fill(s.Body))), e.body(a.Body)
	e.by[operation] = x
}

func (e *examples) body(text []byte) any {
	if len(text) == 0 {
		return nil
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return e.settle("", v)
}

// settle gives what differs from run to run its stable value.
func (e *examples) settle(name string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) { // ids are numbered in this order
			v[key] = e.settle(key, v[key])
		}
	case []any:
		for i := range v {
			v[i] = e.settle(name, v[i])
		}
	case string:
		return e.settled(name, v)
	}
	return v
}

var (
	uuidForm     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	timeForm     = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)`)
	positionForm = regexp.MustCompile(`^(` + logID + `-)?[a-z]\d+$`)
)

const logID = "k7q2m9x4tc"

// settledNames are secrets and what is made of chance, by the name they stand under.
var settledNames = map[string]string{
	"access_token": "eyJhbGciOiJFZERTQSIs…", "refresh_token": "mJ8dV0c2Qn6x…", "client_secret": "Zt3kQ9w1Lr5b…",
	"kid": "pX4nB7sT2vK9cR6h", "next": "c3RhYmxl…",
}

func (e *examples) settled(name, text string) string {
	if stable, ok := settledNames[name]; ok {
		return stable
	}
	text = strings.ReplaceAll(text, e.world.Store.LogID(), logID)
	text = positionForm.ReplaceAllString(text, "${1}b42")
	text = timeForm.ReplaceAllString(text, "2026-01-02T03:04:05Z")
	return uuidForm.ReplaceAllStringFunc(text, func(id string) string {
		if strings.HasPrefix(id, "00000000-0000-7000-8000-") { // the same everywhere
			return id
		}
		if e.ids[id] == "" {
			e.ids[id] = fmt.Sprintf("01900000-0000-7000-8000-%012d", len(e.ids)+1)
		}
		return e.ids[id]
	})
}

// keep holds the file against the story, or writes it.
func (e *examples) keep(t *testing.T) {
	t.Helper()
	want, err := schemas.Indent(e.by)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(want), e.world.names["secret"]) || strings.Contains(string(want), e.world.names[root]) {
		t.Fatal("a secret is left in the examples")
	}
	if *update {
		if err := os.WriteFile(examplesFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(examplesFile)
	if err != nil || !bytes.Equal(have, want) {
		t.Errorf("schemas/examples.json is not what the story gives (%v)%s: write it anew with go test ./test/api -update, or make generate",
			err, difference(have, want))
	}
}

func difference(have, want []byte) string {
	a, b := strings.Split(string(have), "\n"), strings.Split(string(want), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("; line %d is %s, the story gives %s", i+1, strings.TrimSpace(a[i]), strings.TrimSpace(b[i]))
		}
	}
	return fmt.Sprintf("; it has %d lines, the story gives %d", len(a), len(b))
}
