package rest

import (
	"context"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// Question is a struct of parameters that reads its answer.
type Question[T any] interface {
	Read(ctx context.Context, r *Rows) (T, error)
}

type answer[T any] struct {
	ETag     string `header:"ETag" doc:"the version of the row, quoted, where it has one"`
	Warning  string `header:"Warning" doc:"says that rows may be missing, and how many streams were set aside"`
	Position string `header:"Position" doc:"how far the slowest view of the answer had read the log"`
	Body     T
}

// Get registers a question: its fields are the parameters, tagged path or query. rest.Page adds limit and cursor.
func Get[Q Question[T], T any](api *API, path, who string, opts ...Option) {
	t := reflect.TypeFor[Q]()
	rt := newRoute(http.MethodGet, path, who, t.Name(), t, opts)
	mustBind(path, t, nil)
	op := api.operation(rt)
	op.Parameters = append(op.Parameters, atLeastParams()...)
	huma.Register(api.huma, op, func(ctx context.Context, q *Q) (*answer[T], error) {
		req := requestOf(ctx)
		body, err := (*q).Read(ctx, &Rows{req: req})
		if err != nil {
			return nil, req.problem(unavailableRows(err))
		}
		a := &answer[T]{Body: body, Position: req.api.token(req.seen)}
		if req.version > 0 {
			a.ETag = etag(req.version)
		}
		if req.missing > 0 {
			a.Warning = warning(req.missing)
		}
		return a, nil
	})
}

func atLeastParams() []*huma.Param {
	const text = "a Position from an answer: wait up to 2 s until that write shows"
	h := header("At-Least", "^[A-Za-z0-9_-]{1,64}$", text)
	q := *h
	q.Name, q.In = "at_least", "query"
	return []*huma.Param{h, &q}
}

// Rows is a question's access to the views: of the caller's tenant only, from the live tables, as fresh as was asked.
type Rows struct{ req *request }

// Caller is who asks.
func (r *Rows) Caller() Caller { return r.req.caller }

// AtLeast is the position the answer must include, "" if none was asked for.
func (r *Rows) AtLeast() eventstore.Position { return r.req.atLeast }

// ETag sets the version of the answer, for questions that do not end in One.
func (r *Rows) ETag(version int) { r.req.version = version }

// only is the account the answer is restricted to, if the route let the caller in only as an owner or a mere user.
func (r *Rows) only() (uuid.UUID, bool) {
	const all = viewer | editor | admin | platform | service
	return r.req.caller.Account(), r.req.allowed&all == 0
}
