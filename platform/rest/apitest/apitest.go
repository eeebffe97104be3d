package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/bgce/archive/platform/rest"
)

// Case is one request and what must come of it. Cases of a table run in order against one server.
type Case struct {
	Name   string
	Do     string // "POST /api/v1/posts/{id}/publish"; {names} are answers' ids kept with Save
	As     string // one of Callers; "" = nobody
	Host   string // default: the caller's tenant, Acme for nobody
	Header map[string]string
	Body   any    // a string goes as it is, anything else as JSON
	Save   string // keeps the answer's id under this name; "id" is always the last one created
	Status int
	Code   string   // of the problem
	Want   string   // JSON the answer must contain: objects may have more members, arrays may not
	Events []string // stored types appended, in order; nil = none
}

// Seen is one answered request.
type Seen struct {
	Operation, Caller string
	Status            int
	Code              string
}

// Answer is a response read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// JSON reads the body.
func (a Answer) JSON(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatalf("not a JSON object: %s", a.Body)
	}
	return v
}

// Code is the problem's code, "" for none.
func (a Answer) Code() string {
	var p struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(a.Body, &p)
	return p.Code
}

// Run runs a table, each case as a subtest. Reads follow the writes before them.
func (s *Server) Run(t *testing.T, cases []Case) {
	t.Helper()
	names := map[string]string{}
	position := ""
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			head := s.Head()
			for name, id := range names {
				c.Do = strings.ReplaceAll(c.Do, "{"+name+"}", id)
			}
			header := map[string]string{}
			if method, _, _ := strings.Cut(c.Do, " "); method == http.MethodGet && position != "" {
				header["At-Least"] = position
			}
			maps.Copy(header, c.Header)
			c.Header = header
			a := s.Do(t, c)
			s.Check(t, c, a)
			if p := a.Header.Get("Position"); p != "" && a.Header.Get("Location") != "" {
				position = p
			}
			if id, ok := created(a); ok {
				names["id"] = id
				if c.Save != "" {
					names[c.Save] = id
				}
			}
			want := c.Events
			if want == nil {
				want = []string{}
			}
			if got := s.Types(head); !slices.Equal(got, want) {
				t.Errorf("events %v, want %v", got, want)
			}
		})
	}
}

// Check holds an answer against what a case says must come of it, events apart.
func (s *Server) Check(t *testing.T, c Case, a Answer) {
	t.Helper()
	if a.Status != c.Status {
		t.Fatalf("%s: status %d, want %d: %s", c.Do, a.Status, c.Status, a.Body)
	}
	if c.Code != "" && a.Code() != c.Code {
		t.Errorf("%s: code %q, want %q: %s", c.Do, a.Code(), c.Code, a.Body)
	}
	if c.Want == "" {
		return
	}
	var want, got any
	if err := json.Unmarshal([]byte(c.Want), &want); err != nil {
		t.Fatalf("Want is not JSON: %v", err)
	}
	if err := json.Unmarshal(a.Body, &got); err != nil {
		t.Fatalf("the answer is not JSON: %s", a.Body)
	}
	if where := lacks(got, want, "body"); where != "" {
		t.Errorf("%s: %s\n got %s\nwant %s", c.Do, where, a.Body, c.Want)
	}
}

// lacks says where got does not contain want, "" if it does.
func lacks(got, want any, at string) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return at + " is not an object"
		}
		for name, value := range w {
			if _, ok := g[name]; !ok {
				return at + "." + name + " is absent"
			}
			if where := lacks(g[name], value, at+"."+name); where != "" {
				return where
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s has not %d items", at, len(w))
		}
		for i := range w {
			if where := lacks(g[i], w[i], fmt.Sprintf("%s[%d]", at, i)); where != "" {
				return where
			}
		}
		return ""
	default:
		if !reflect.DeepEqual(got, want) {
			return fmt.Sprintf("%s is %v, want %v", at, got, want)
		}
		return ""
	}
}

func created(a Answer) (string, bool) {
	var body struct {
		ID string `json:"id"`
	}
	err := json.Unmarshal(a.Body, &body)
	return body.ID, err == nil && a.Status == http.StatusCreated && body.ID != ""
}

// Do sends one request, checks the answer against the document, and records it.
func (s *Server) Do(t testing.TB, c Case) Answer {
	t.Helper()
	method, path, _ := strings.Cut(c.Do, " ")
	r := httptest.NewRequest(method, path, body(t, c.Body))
	r.RemoteAddr = "192.0.2.1:1234"
	r.Host = c.Host
	if r.Host == "" {
		r.Host = Hosts[Home(c.As)]
	}
	if c.Body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.As != "" {
		r.Header.Set("Authorization", "Bearer "+s.Token(c.As))
	}
	for name, value := range c.Header {
		if r.Header.Set(name, value); value == "" {
			r.Header.Del(name)
		}
	}
	w := httptest.NewRecorder()
	s.Handler.ServeHTTP(w, r)
	a := Answer{w.Code, w.Header(), w.Body.Bytes()}
	s.record(t, c, r, a)
	return a
}

func body(t testing.TB, v any) io.Reader {
	switch v := v.(type) {
	case nil:
		return http.NoBody
	case string:
		return strings.NewReader(v)
	case []byte:
		return bytes.NewReader(v)
	default:
		data, err := json.Marshal(v)
		must(t, err)
		return bytes.NewReader(data)
	}
}

func (s *Server) record(t testing.TB, c Case, r *http.Request, a Answer) {
	t.Helper()
	op := s.operation(r)
	s.mu.Lock()
	s.seen = append(s.seen, Seen{op, c.As, a.Status, a.Code()})
	s.mu.Unlock()
	if op == "" {
		return
	}
	if err := s.document.fits(r.Method, s.path(op), a); err != nil {
		t.Errorf("%s: the answer does not fit the document: %v\n%s", c.Do, err, a.Body)
	}
}

func (s *Server) path(operation string) string {
	for _, p := range s.API.Permissions() {
		if p.Operation == operation {
			return p.Path
		}
	}
	return ""
}

// operation finds which operation a request goes to, "" for none.
func (s *Server) operation(r *http.Request) string {
	for _, p := range s.API.Permissions() {
		mux := chi.NewMux()
		mux.MethodFunc(p.Method, p.Path, func(http.ResponseWriter, *http.Request) {})
		if mux.Match(chi.NewRouteContext(), r.Method, r.URL.Path) && !s.closer(r, p) {
			return p.Operation
		}
	}
	return ""
}

// closer reports whether another route fits the request with more fixed words.
func (s *Server) closer(r *http.Request, than rest.Permission) bool {
	for _, p := range s.API.Permissions() {
		if p.Method == than.Method && strings.Count(p.Path, "{") < strings.Count(than.Path, "{") {
			mux := chi.NewMux()
			mux.MethodFunc(p.Method, p.Path, func(http.ResponseWriter, *http.Request) {})
			if mux.Match(chi.NewRouteContext(), r.Method, r.URL.Path) {
				return true
			}
		}
	}
	return false
}

// Seen lists what was recorded so far.
func (s *Server) Seen() []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}
