package rest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest/problem"
)

var errNoRoute = fault.New(fault.NotFound, "rest.no_route", "there is no such path; see /docs")

// Problem is the RFC 9457 answer to a refused request.
type Problem = problem.Problem

// Entry is one code of the catalogue of problems.
type Entry = problem.Entry

// Catalogue lists every refusal this program knows, by code.
func Catalogue() []Entry { return problem.Catalogue() }

// MovedTo answers 301 with the path where something lives now.
func MovedTo(path string) error { return problem.ErrMoved.WithExtra("location", path) }

// ofHuma is the problem of what huma found wrong.
func ofHuma(ctx huma.Context, err error) *Problem { return requestOf(ctx.Context()).problem(err) }

// problem turns any error into the answer, and logs what the answer must not say.
func (req *request) problem(err error) *Problem {
	if ready, ok := errors.AsType[*Problem](err); ok {
		return ready
	}
	f := problem.Fault(err)
	p := problem.Of(f)
	p.Instance, p.TraceID = req.http.URL.EscapedPath(), req.trace()
	if p.Status == http.StatusUnauthorized {
		p.Header("WWW-Authenticate", req.challenge())
	}
	ctx := req.http.Context()
	if cause := f.Unwrap(); p.Status >= 500 && cause != nil && !errors.Is(ctx.Err(), context.Canceled) {
		req.api.cfg.Log.LogAttrs(ctx, slog.LevelError, "request failed", slog.String("code", f.Code),
			slog.String("operation", req.operation()), slog.String("trace_id", p.TraceID), slog.Any("cause", cause))
	}
	req.code = p.Code
	return p
}

// refuse answers with a problem outside of huma.
func (req *request) refuse(w http.ResponseWriter, err error) {
	p := req.problem(err)
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{}`)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}
