package rest

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/rest/problem"
)

// Resource is an aggregate at a path.
type Resource[S any] struct {
	api      *API
	path     string
	category *es.Category[S]
	opts     []Option
}

// Over puts an aggregate at a path. Options hold for every route of it; operations are tagged with the category's room.
func Over[S any](api *API, path string, c *es.Category[S], opts ...Option) Resource[S] {
	room, _, _ := strings.Cut(c.Name(), ".")
	return Resource[S]{api, path, c, append([]Option{Tag(room)}, opts...)}
}

// Create is POST on the resource: it makes a new aggregate and answers 201.
func Create[C es.Command[S], S any](r Resource[S], who string, opts ...Option) {
	CreateAt[C](r, "", who, opts...)
}

// CreateAt is Create on a path below the resource.
func CreateAt[C es.Command[S], S any](r Resource[S], path, who string, opts ...Option) {
	command[C](r, http.MethodPost, path, who, append(opts, creates), handle[C, S](r.category))
}

// Put replaces what the command says; it requires If-Match.
func Put[C es.Command[S], S any](r Resource[S], path, who string, opts ...Option) {
	command[C](r, http.MethodPut, path, who, opts, handle[C, S](r.category))
}

// Post acts on an aggregate that exists.
func Post[C es.Command[S], S any](r Resource[S], path, who string, opts ...Option) {
	command[C](r, http.MethodPost, path, who, opts, handle[C, S](r.category))
}

// Delete is quiet when repeated.
func Delete[C es.Command[S], S any](r Resource[S], path, who string, opts ...Option) {
	command[C](r, http.MethodDelete, path, who, opts, handle[C, S](r.category))
}

// CreateWith is Create for a command that decides on a second aggregate too.
func CreateWith[C es.CommandWith[S, O], S, O any](r Resource[S], other *es.Category[O], who string, opts ...Option) {
	command[C](r, http.MethodPost, "", who, append(opts, creates), handleWith[C, S, O](r.category, other))
}

// PostWith is Post for a command that decides on a second aggregate too.
func PostWith[C es.CommandWith[S, O], S, O any](r Resource[S], other *es.Category[O], path, who string, opts ...Option) {
	command[C](r, http.MethodPost, path, who, opts, handleWith[C, S, O](r.category, other))
}

// PutWith is Put for a command that decides on a second aggregate too.
func PutWith[C es.CommandWith[S, O], S, O any](r Resource[S], other *es.Category[O], path, who string, opts ...Option) {
	command[C](r, http.MethodPut, path, who, opts, handleWith[C, S, O](r.category, other))
}

func creates(r *route) { r.creates = true }

type handler[C any] func(ctx context.Context, c Caller, t es.Target, cmd C) (es.Receipt, error)

func handle[C es.Command[S], S any](category *es.Category[S]) handler[C] {
	return func(ctx context.Context, c Caller, t es.Target, cmd C) (es.Receipt, error) {
		return es.Handle(ctx, c.Kernel, category, t, cmd)
	}
}

func handleWith[C es.CommandWith[S, O], S, O any](category *es.Category[S], other *es.Category[O]) handler[C] {
	return func(ctx context.Context, c Caller, t es.Target, cmd C) (es.Receipt, error) {
		return es.HandleWith(ctx, c.Kernel, category, other, t, cmd)
	}
}

// Via handles a route's command with run instead of es.Handle: for commands that need IO or write several streams. Target, answer,
// headers and conventions stay.
func Via[C any](run func(ctx context.Context, c Caller, t es.Target, cmd C) (es.Receipt, error)) Option {
	return func(r *route) { r.via = handler[C](run) }
}

// Receipt is the answer to a command.
type Receipt struct {
	ID       uuid.UUID `json:"id"`
	Version  int       `json:"version" doc:"of the aggregate, for If-Match"`
	Position string    `json:"position" doc:"send it as At-Least to read this write"`
}

type receiptAnswer struct {
	Status   int
	ETag     string `header:"ETag" doc:"the version, quoted"`
	Location string `header:"Location"`
	Position string `header:"Position" doc:"send it as At-Least to read this write"`
	Body     Receipt
}

type (
	bodyInput[C any] struct{ Body C }
	bareInput        struct{}
)

// command registers one command. Headers and path are read here, the body by huma.
func command[C, S any](r Resource[S], method, path, who string, opts []Option, run handler[C]) {
	t := reflect.TypeFor[C]()
	if t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("rest: command %s is not a struct", t))
	}
	rt := newRoute(method, r.path+path, who, t.Name(), t, append(append([]Option{}, r.opts...), opts...))
	if rt.via != nil {
		via, ok := rt.via.(handler[C])
		if !ok {
			panic(fmt.Sprintf("rest: %s goes via a handler of another command", rt.id))
		}
		run = via
	}
	rt.bare, rt.optional = bodyOf(t)
	if rt.words&owner != 0 && !owned[S]() {
		panic(fmt.Sprintf("rest: %s names owner, but %s has no Owners()", rt.id, reflect.TypeFor[S]()))
	}
	op := r.api.operation(rt)
	bound := r.api.bind(&op, rt, t)
	if rt.creates {
		op.DefaultStatus = http.StatusCreated
	}
	root := r.path
	serve := func(ctx context.Context, cmd *C) (*receiptAnswer, error) {
		req := requestOf(ctx)
		answer, err := decide(ctx, req, rt, bound, root, cmd, run)
		if err != nil {
			return nil, req.problem(err)
		}
		return answer, nil
	}
	if rt.bare {
		huma.Register(r.api.huma, op, func(ctx context.Context, _ *bareInput) (*receiptAnswer, error) {
			return serve(ctx, new(C))
		})
		return
	}
	op.RequestBody = &huma.RequestBody{}
	huma.Register(r.api.huma, op, func(ctx context.Context, in *bodyInput[C]) (*receiptAnswer, error) {
		return serve(ctx, &in.Body)
	})
	op.RequestBody.Required = !rt.optional
}

func decide[C any](ctx context.Context, req *request, rt *route, bound []binding, root string, cmd *C, run handler[C]) (*receiptAnswer, error) {
	id, err := req.bind(rt, bound, reflect.ValueOf(cmd).Elem())
	if err != nil {
		return nil, err
	}
	t := req.caller.Target(rt.id, id)
	if rt.creates {
		t.New = true
		if t.ID, err = uuid.NewV7(); err != nil {
			return nil, err
		}
	} else {
		expect, overwrite, err := ifMatch(req.http)
		if err != nil {
			return nil, err
		}
		if rt.method == http.MethodPut && expect == nil && !overwrite {
			return nil, errIfMatchRequired
		}
		t.Expect, t.Deletes = expect, rt.method == http.MethodDelete
	}
	receipt, err := run(ctx, req.caller, t, *cmd)
	if err != nil {
		return nil, err
	}
	answer := &receiptAnswer{Status: http.StatusOK, ETag: etag(receipt.Version), Position: req.api.token(receipt.Position)}
	answer.Location = root + "/" + receipt.ID.String()
	if rt.creates {
		answer.Status = http.StatusCreated
	}
	answer.Body = Receipt{receipt.ID, receipt.Version, answer.Position}
	if strings.Contains(answer.Location, "{") { // a resource below another one: its own parameters go in
		for _, name := range params(root) {
			answer.Location = strings.Replace(answer.Location, "{"+name+"}", chi.URLParam(req.http, name), 1)
		}
	}
	return answer, nil
}

func etag(version int) string { return `"` + strconv.Itoa(version) + `"` }

// owned reports whether a state says who owns it.
func owned[S any]() bool {
	var s S
	if _, ok := any(s).(es.Owned); ok {
		return true
	}
	_, ok := any(&s).(es.Owned)
	return ok
}

// bodyOf reports whether a command has no body at all, or none that is required.
func bodyOf(t reflect.Type) (bare, optional bool) {
	bare, optional = true, true
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if !f.IsExported() || tag == "-" || f.Anonymous {
			continue
		}
		bare = false
		if f.Tag.Get("required") == "true" || (f.Tag.Get("required") == "" && !strings.Contains(tag, "omitempty") && !strings.Contains(tag, "omitzero")) {
			optional = false
		}
	}
	return bare, optional
}

// binding is a path parameter that goes into a field of the command.
type binding struct {
	param  string
	index  []int
	schema *huma.Schema
}

// bind documents the parameters of a command and says which fields take them. Unbound ones panic: they would silently be empty.
func (a *API) bind(op *huma.Operation, rt *route, t reflect.Type) []binding {
	registry := a.huma.OpenAPI().Components.Schemas
	var bound []binding
	for _, f := range reflect.VisibleFields(t) {
		param := f.Tag.Get("path")
		if param == "" {
			continue
		}
		if f.Tag.Get("json") != "-" {
			panic(fmt.Sprintf("rest: %s.%s comes from the path; tag it json:\"-\"", t, f.Name))
		}
		bound = append(bound, binding{param, f.Index, huma.SchemaFromField(registry, f, "")})
	}
	ownID := false
	for _, param := range params(rt.path) {
		i := indexOf(bound, param)
		schema := &huma.Schema{Type: huma.TypeString, Format: "uuid"}
		switch {
		case i >= 0:
			schema = bound[i].schema
		case param == rt.idParam && !rt.creates && !rt.self:
			ownID = true
		default:
			panic(fmt.Sprintf("rest: {%s} of %s %s is bound to no field of %s; add one tagged path:%q json:\"-\"", param, rt.method, rt.path, t, param))
		}
		op.Parameters = append(op.Parameters, &huma.Param{Name: param, In: "path", Required: true, Schema: schema})
	}
	for _, b := range bound {
		if !strings.Contains(rt.path, "{"+b.param+"}") {
			panic(fmt.Sprintf("rest: %s has a field for {%s}, which is not in %s", t, b.param, rt.path))
		}
	}
	if !rt.creates && !rt.self && !ownID && indexOf(bound, rt.idParam) < 0 {
		panic(fmt.Sprintf("rest: %s %s does not say which aggregate: no {%s}", rt.method, rt.path, rt.idParam))
	}
	op.Parameters = append(op.Parameters, header("Idempotency-Key", "^[ -~]{1,200}$", "makes the request safe to repeat: same key and body, same answer"))
	if !rt.creates {
		p := header("If-Match", `^("[1-9][0-9]*"|\*)$`, `the ETag read before, or * for whatever is there`)
		p.Required = rt.method == http.MethodPut
		op.Parameters = append(op.Parameters, p)
	}
	return bound
}

func indexOf(bound []binding, param string) int {
	return slices.IndexFunc(bound, func(b binding) bool { return b.param == param })
}

// bind reads the path of a request: the aggregate's id, and the fields of the command that come from there.
func (req *request) bind(rt *route, bound []binding, cmd reflect.Value) (id uuid.UUID, err error) {
	if rt.self {
		id = req.caller.Account()
	} else if !rt.creates {
		if id, err = uuid.Parse(chi.URLParam(req.http, rt.idParam)); err != nil || len(chi.URLParam(req.http, rt.idParam)) != 36 {
			return id, problem.ErrInvalid.WithField("path."+rt.idParam, "expected a UUID")
		}
	}
	for _, b := range bound {
		if err := req.api.set(cmd.FieldByIndex(b.index), chi.URLParam(req.http, b.param), b); err != nil {
			return id, err
		}
	}
	return id, nil
}

func (a *API) set(field reflect.Value, text string, b binding) error {
	where := "path." + b.param
	var value any = text
	switch {
	case field.Type() == reflect.TypeFor[uuid.UUID]():
		id, err := uuid.Parse(text)
		if err != nil || len(text) != 36 {
			return problem.ErrInvalid.WithField(where, "expected a UUID")
		}
		field.Set(reflect.ValueOf(id))
	case field.CanInt():
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || field.OverflowInt(n) {
			return problem.ErrInvalid.WithField(where, "expected an integer")
		}
		field.SetInt(n)
		value = float64(n)
	case field.Kind() == reflect.String:
		field.SetString(text)
	default:
		panic(fmt.Sprintf("rest: a path field cannot be a %s", field.Type()))
	}
	var found huma.ValidateResult
	huma.Validate(a.huma.OpenAPI().Components.Schemas, b.schema, huma.NewPathBuffer([]byte(where), len(where)), huma.ModeWriteToServer, value, &found)
	if len(found.Errors) > 0 {
		return problem.FaultOf(http.StatusUnprocessableEntity, "", found.Errors)
	}
	return nil
}
