package rest

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/bgce/archive/platform/fault"
)

//go:embed docs
var files embed.FS

var pages = template.Must(template.ParseFS(files, "docs/*.html"))

// pagePolicy lets a page use our own files and talk to this host, nothing else.
const pagePolicy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// mountOwn serves what belongs to no room and no tenant.
func (a *API) mountOwn() {
	a.router.NotFound(a.own(func(w http.ResponseWriter, r *http.Request) { requestOf(r.Context()).refuse(w, errNoRoute) }))
	a.router.MethodNotAllowed(a.own(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Allow"] = a.allowed(r.URL.Path)
		requestOf(r.Context()).refuse(w, errMethod)
	}))
	a.router.Get("/health", a.own(a.health(false)))
	a.router.Get("/health/live", a.own(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, "application/json", []byte(`{"status":"ok"}`))
	}))
	a.router.Get("/health/ready", a.own(a.health(true)))
	if a.cfg.Metrics != nil {
		a.router.Get("/metrics", a.cfg.Metrics.ServeHTTP)
	}
	a.router.Get("/openapi.json", a.own(func(w http.ResponseWriter, _ *http.Request) {
		doc, _ := a.document()
		reply(w, "application/json", doc)
	}))
	a.router.Get("/docs", a.own(a.page("docs.html", nil)))
	a.router.Get("/docs/docs.js", a.own(a.file("docs/docs.js", "text/javascript; charset=utf-8")))
	a.router.Get("/docs/docs.css", a.own(a.file("docs/docs.css", "text/css; charset=utf-8")))
	a.router.Get("/problems", a.own(a.problems))
	a.router.Get("/problems/{code}", a.own(a.problemPage))
}

// Public mounts a handler that needs no tenant and no token, like /.well-known/jwks.json. It is not part of the document.
func (a *API) Public(path string, h http.HandlerFunc) { a.router.Get(path, a.own(h)) }

// Mount serves other handlers (a console, an upload protocol) below a path, behind the edge's outer layer only.
func (a *API) Mount(path string, h http.Handler) { a.router.Mount(path, h) }

// own gives the edge's own handlers a request when they run without the outer layer.
func (a *API) own(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if req := requestOf(r.Context()); req != nil {
			req.http = r
		}
		h(w, r)
	}
}

func (a *API) allowed(path string) []string {
	var methods []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if a.router.Match(chi.NewRouteContext(), m, path) {
			methods = append(methods, m)
		}
	}
	return []string{strings.Join(methods, ", ")}
}

func reply(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(body)
}

func (a *API) page(name string, data any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, name, data); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Security-Policy", pagePolicy)
		reply(w, "text/html; charset=utf-8", b.Bytes())
	}
}

func (a *API) file(name, contentType string) http.HandlerFunc {
	body, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, contentType, body) }
}

// Entry is one code of the catalogue of problems.
type Entry struct {
	Code   string `json:"code"`
	Status int    `json:"status"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
}

// Catalogue lists every refusal this program knows, by code.
func Catalogue() []Entry {
	var list []Entry
	for _, f := range fault.All() {
		s := statusOf(f)
		list = append(list, Entry{f.Code, s, http.StatusText(s), f.Message})
	}
	return slices.CompactFunc(list, func(x, y Entry) bool { return x.Code == y.Code })
}

func (a *API) problems(w http.ResponseWriter, r *http.Request) {
	a.either(w, r, "problems.html", Catalogue())
}

func (a *API) problemPage(w http.ResponseWriter, r *http.Request) {
	list := Catalogue()
	i := slices.IndexFunc(list, func(e Entry) bool { return e.Code == chi.URLParam(r, "code") })
	if i < 0 {
		requestOf(r.Context()).refuse(w, errNoRoute.Withf("there is no such code; see /problems"))
		return
	}
	a.either(w, r, "problem.html", list[i])
}

// either answers a page to browsers and JSON to programs.
func (a *API) either(w http.ResponseWriter, r *http.Request, page string, data any) {
	w.Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		a.page(page, data)(w, r)
		return
	}
	body, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	reply(w, "application/json", body)
}

// render writes the document: the same routes give the same bytes, as maps are written in order of their keys.
func (a *API) render() ([]byte, error) {
	slices.SortFunc(a.routes, func(x, y *route) int { return strings.Compare(x.id, y.id) })
	doc, err := a.huma.OpenAPI().MarshalJSON()
	if err != nil {
		return nil, err
	}
	var ordered any
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	if err := dec.Decode(&ordered); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err = enc.Encode(ordered)
	return b.Bytes(), err
}

// checkFor bounds one readiness check.
const checkFor = 2 * time.Second

// health answers with the state of every check, at most a second old. Only ready turns a failure into a 503.
func (a *API) health(ready bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		checks, ok := a.checked(r.Context())
		status, code := "ok", http.StatusOK
		if !ok {
			status = "failing"
			if ready {
				code = http.StatusServiceUnavailable
				w.Header().Set("Retry-After", "1")
			}
		}
		body, err := json.Marshal(map[string]any{"status": status, "version": a.cfg.Version, "checks": checks})
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_, _ = w.Write(body)
	}
}

// checks is the latest look at what must answer.
type checks struct {
	mu   sync.Mutex
	at   time.Time
	last map[string]string
	ok   bool
}

// checked runs all checks side by side, or gives the last result when it is fresh. What failed is named, why is only logged.
func (a *API) checked(ctx context.Context) (map[string]string, bool) {
	c := &a.checks
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < time.Second {
		return c.last, c.ok
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkFor)
	defer cancel()
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(a.cfg.Ready))
	for name, check := range a.cfg.Ready {
		go func() { results <- result{name, check(ctx)} }()
	}
	c.last, c.ok = make(map[string]string, len(a.cfg.Ready)), true
	for name := range a.cfg.Ready {
		c.last[name] = "no answer in time"
	}
	for range a.cfg.Ready {
		select {
		case r := <-results:
			c.last[r.name] = "ok"
			if r.err != nil {
				c.last[r.name], c.ok = "failing", false
				a.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("check", r.name), slog.Any("cause", r.err))
			}
		case <-ctx.Done():
			c.ok = false
		}
	}
	c.at = time.Now()
	return c.last, c.ok
}
