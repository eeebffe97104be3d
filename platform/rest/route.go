package rest

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/bgce/archive/platform/rest/conventions"
	"github.com/bgce/archive/platform/rest/limit"
	"github.com/bgce/archive/platform/rest/wire"
	"github.com/danielgtaylor/huma/v2"
)

// route is one operation as its one line in a routes file says it.
type route struct {
	id, name     string // harbour-open-berth, OpenBerth
	method, path string
	who          string
	words        words
	tag          string
	maxBody      int64
	class        limit.Class
	writes       bool // decides something
	creates      bool
	bare         bool // takes no body
	optional     bool // the body may be left out
	multipart    bool
	stream       bool
	raw          bool // answers are not JSON
	self         bool // the aggregate is the caller's account
	idParam      string
	via          any // handler[C] instead of the kernel's
	tenantless   bool
	description  string
}

// Option changes one route or, given to Over, all routes of a resource.
type Option func(*route)

// MaxBody allows request bodies of up to n bytes; the default is 1 MiB.
func MaxBody(n int64) Option { return func(r *route) { r.maxBody = n } }

// Tag groups the operation under another word than its room's name.
func Tag(tag string) Option { return func(r *route) { r.tag = tag } }

// Doc adds what the name does not say to the document.
func Doc(text string) Option { return func(r *route) { r.description = text } }

// Sensitive counts the operation against the strict limits of logging in.
func Sensitive() Option { return func(r *route) { r.class = limit.Auth } }

// IDFrom names the path parameter that is the aggregate's id; the default is "id".
func IDFrom(param string) Option { return func(r *route) { r.idParam = param } }

// Self takes the caller's account as the aggregate.
func Self() Option { return func(r *route) { r.self = true } }

// Raw says that the handler answers something else than JSON (a page, a feed, a file).
func Raw() Option { return func(r *route) { r.raw = true } }

func newRoute(method, path, who, name string, t reflect.Type, opts []Option) *route {
	r := &route{
		name: name, method: method, path: path, who: who, words: parseWords(who), tag: tagOf(t),
		maxBody: defaultBody, idParam: "id", class: limit.Read, writes: method != http.MethodGet,
		tenantless: strings.HasPrefix(path, "/.well-known/"),
	}
	if r.writes {
		r.class = limit.Write
	}
	for _, o := range opts {
		o(r)
	}
	r.id = r.tag + "-" + wire.Kebab(name)
	return r
}

// tagOf is the room a type lives in, by the last word of its package.
func tagOf(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	pkg := t.PkgPath()
	return strings.TrimSuffix(pkg[strings.LastIndexByte(pkg, '/')+1:], "_test")
}

// params lists the {names} of a path.
func params(path string) []string {
	var names []string
	for _, part := range strings.Split(path, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		name, _, _ = strings.Cut(name, ":")
		names = append(names, name)
	}
	return names
}

// operation is the route as huma registers it.
func (a *API) operation(r *route) huma.Operation {
	for _, other := range a.routes {
		if other.id == r.id {
			panic(fmt.Sprintf("rest: %s %s and %s %s are both %s", other.method, other.path, r.method, r.path, r.id))
		}
	}
	a.routes = append(a.routes, r)
	security := []map[string][]string{{"bearer": {}}}
	if r.words&public != 0 {
		security = []map[string][]string{{}, {"bearer": {}}}
	}
	return huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: wire.Sentence(r.name), Description: r.description,
		Tags: []string{r.tag}, Security: security, MaxBodyBytes: -1, BodyReadTimeout: -1,
		Extensions:  map[string]any{"x-permission": r.who},
		Responses:   map[string]*huma.Response{"default": a.problemResponse()},
		Middlewares: huma.Middlewares{a.guard(r)},
	}
}

func (a *API) problemResponse() *huma.Response {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	a.huma.OpenAPI().Components.Schemas.Map()["Problem"].AdditionalProperties = true
	return &huma.Response{Description: "A problem: see its code under /problems/", Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema}}}
}

func header(name, pattern, description string) *huma.Param {
	return &huma.Param{Name: name, In: "header", Description: description, Schema: &huma.Schema{Type: huma.TypeString, Pattern: pattern}}
}

// Permission is one row of the table of who may do what.
type Permission struct {
	Operation, Method, Path, Who string
}

// Permissions lists every operation with the words that may call it, by path and method.
func (a *API) Permissions() []Permission {
	var table []Permission
	for _, r := range a.routes {
		table = append(table, Permission{r.id, r.method, r.path, r.who})
	}
	slices.SortFunc(table, func(x, y Permission) int {
		if c := strings.Compare(x.Path, y.Path); c != 0 {
			return c
		}
		return strings.Compare(x.Method, y.Method)
	})
	return table
}

// CheckConventions says, one line each, what of an OpenAPI document breaks the conventions of the house.
func CheckConventions(doc []byte) []string { return conventions.Check(doc) }

// Do registers a handler with IO that fits no command: logging in, importing. Name is a Go name like "LogIn".
// In is a huma input struct (Body, RawBody, path and query fields), Out a huma output struct.
func Do[In, Out any](api *API, method, path, who, name string, handle func(ctx context.Context, c Caller, in *In) (*Out, error), opts ...Option) {
	t := reflect.TypeFor[In]()
	if tagOf(t) == "" { // struct{}: nothing to read
		t = reflect.TypeFor[Out]()
	}
	r := newRoute(method, path, who, name, t, opts)
	in := reflect.TypeFor[In]()
	_, hasBody := in.FieldByName("Body")
	rawBody, hasRaw := in.FieldByName("RawBody")
	r.multipart = hasRaw
	r.bare = !hasBody && !hasRaw
	if hasRaw && rawBody.Tag.Get("contentType") == "application/json" {
		r.multipart = false
	}
	mustBind(path, in, nil)
	wire.MustSniff(in)
	huma.Register(api.huma, api.operation(r), func(ctx context.Context, in *In) (*Out, error) {
		req := requestOf(ctx)
		answer, err := handle(ctx, req.caller, in)
		if err != nil {
			return nil, req.problem(err)
		}
		return answer, nil
	})
}

// mustBind panics when a {param} of the path reaches no field: it would silently be empty.
func mustBind(path string, t reflect.Type, known []string) {
	bound := slices.Clone(known)
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("path"); name != "" && len(f.Index) == 1 || exportedEmbed(t, f) {
			bound = append(bound, name)
		}
	}
	for _, name := range params(path) {
		if !slices.Contains(bound, name) {
			panic(fmt.Sprintf("rest: {%s} of %s is bound to no field of %s; add one tagged path:%q", name, path, t, name))
		}
	}
}

// exportedEmbed reports whether a promoted field is reached through exported embedded structs only, as huma needs.
func exportedEmbed(t reflect.Type, f reflect.StructField) bool {
	for i := 1; i < len(f.Index); i++ {
		if e := t.FieldByIndex(f.Index[:i]); !e.IsExported() || !e.Anonymous {
			return false
		}
	}
	return true
}
