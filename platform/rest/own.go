package rest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/bgce/archive/platform/rest/docs"
	"github.com/bgce/archive/platform/rest/problem"
)

// mountOwn serves what belongs to no room and no tenant.
func (a *API) mountOwn() {
	a.router.NotFound(a.own(func(w http.ResponseWriter, r *http.Request) { requestOf(r.Context()).refuse(w, errNoRoute) }))
	a.router.MethodNotAllowed(a.own(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Allow"] = a.allowed(r.URL.Path)
		requestOf(r.Context()).refuse(w, problem.ErrMethod)
	}))
	a.router.Get("/health", a.own(a.health.Handler(false)))
	a.router.Get("/health/live", a.own(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, "application/json", []byte(`{"status":"ok"}`))
	}))
	a.router.Get("/health/ready", a.own(a.health.Handler(true)))
	if a.cfg.Metrics != nil {
		a.router.Get("/metrics", a.cfg.Metrics.ServeHTTP)
	}
	a.router.Get("/openapi.json", a.own(func(w http.ResponseWriter, _ *http.Request) {
		doc, _ := a.document()
		reply(w, "application/json", doc)
	}))
	a.router.Get("/docs", a.own(docs.Page("docs.html", nil)))
	a.router.Get("/docs/docs.js", a.own(docs.File("docs.js", "text/javascript; charset=utf-8")))
	a.router.Get("/docs/docs.css", a.own(docs.File("docs.css", "text/css; charset=utf-8")))
	a.router.Get("/docs/icon.svg", a.own(docs.File("icon.svg", "image/svg+xml")))
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
		docs.Page(page, data)(w, r)
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
	if err := docs.AddExamples(a.huma.OpenAPI(), a.cfg.Examples); err != nil {
		return nil, err
	}
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
