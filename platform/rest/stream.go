package rest

import (
	"context"
	"net/http"
	"reflect"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-json-experiment/json"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest/sse"
	"github.com/bgce/archive/platform/rest/wire"
)

// Message is one server-sent event. Position is where a client that lost the connection goes on after it.
type Message struct {
	Position eventstore.Position
	Event    string // name for EventSource listeners, "" = message
	Data     any    // JSON
}

// Feed is a question answered for as long as the client listens. Stream sends what lies after a position ("" = from now on, or as the
// feed sees fit) and returns when the context ends or send fails.
type Feed interface {
	Stream(ctx context.Context, r *Rows, after eventstore.Position, send func(Message) error) error
}

type feedAnswer struct{ Body func(huma.Context) }

// Stream registers a feed as server-sent events: heartbeats keep proxies from closing it, Last-Event-ID (or ?last_event_id=) resumes it,
// and it ends when the token, the session or the role does.
func Stream[F Feed](api *API, path, who string, opts ...Option) {
	t := reflect.TypeFor[F]()
	rt := newRoute(http.MethodGet, path, who, t.Name(), t, opts)
	rt.stream, rt.raw = true, true
	mustBind(path, t, nil)
	op := api.operation(rt)
	last := header("Last-Event-ID", "^[A-Za-z0-9_-]{1,64}$", "the id of the last event seen: go on after it")
	query := *last
	query.Name, query.In = "last_event_id", "query"
	op.Parameters = append(op.Parameters, last, &query)
	op.Parameters = append(op.Parameters, atLeastParams()...)
	op.Responses["200"] = &huma.Response{
		Description: "server-sent events",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}
	huma.Register(api.huma, op, func(ctx context.Context, f *F) (*feedAnswer, error) {
		return &feedAnswer{func(hc huma.Context) {
			_, w := humachi.Unwrap(hc)
			requestOf(ctx).stream(ctx, w, *f)
		}}, nil
	})
}

func (req *request) stream(ctx context.Context, w http.ResponseWriter, f Feed) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if closing, ok := ctx.Value(closingKey{}).(context.Context); ok {
		defer context.AfterFunc(closing, func() { end(errClosing) })()
	}
	events, err := sse.Start(w)
	if err != nil {
		return
	}
	var helpers sync.WaitGroup
	every, standing := req.api.cfg.Heartbeat, req.standing()
	helpers.Go(func() { events.Beat(ctx, every, end) })
	helpers.Go(func() { watch(ctx, end, standing, min(every, time.Second)) })
	send := func(m Message) error {
		data, err := json.Marshal(m.Data, wire.Out)
		if err != nil {
			return err
		}
		return events.Send(req.api.token(m.Position), m.Event, data)
	}
	err = f.Stream(ctx, &Rows{req: req}, req.after, send)
	if err != nil && ctx.Err() == nil {
		p := req.problem(err)
		_ = send(Message{Event: "problem", Data: p})
	} else if reason := fault.From(context.Cause(ctx)); ctx.Err() != nil && reason.Kind != fault.Internal {
		_ = send(Message{Event: "end", Data: map[string]string{"code": reason.Code, "detail": reason.Message}})
	}
	end(nil)
	helpers.Wait()
}

var errClosing = fault.New(fault.Unavailable, "rest.closing", "this server is shutting down; connect again").RetryAfter(1)

// watch ends the stream when the caller lost the right to listen.
func watch(ctx context.Context, end context.CancelCauseFunc, standing func(context.Context) error, every time.Duration) {
	check := time.NewTicker(every)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-check.C:
			if err := standing(ctx); err != nil && fault.From(err).Kind != fault.Internal { // else the directory did not answer; the next look will tell
				end(err)
				return
			}
		}
	}
}

// standing checks again, on a copy, what let the request in.
func (req *request) standing() func(context.Context) error {
	probe := *req
	elsewhere := words(req.caller.Roles)&platform != 0
	return func(ctx context.Context) error {
		if probe.claims.Tenant == (Claims{}.Tenant) {
			return nil // anonymous, or an operator
		}
		if err := probe.stand(ctx); err != nil {
			return err
		}
		if elsewhere && words(probe.caller.Roles)&admin != 0 {
			probe.caller.Roles |= Roles(platform)
		}
		if probe.caller.has()&probe.route.words == 0 && probe.route.words&owner == 0 {
			return errBadToken.Withf("your role no longer lets you listen here")
		}
		return nil
	}
}
