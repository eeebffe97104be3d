package rest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bgce/archive/platform/fault"
)

// The edge's own refusals. Those of the kernel are in es.
var (
	errMalformed   = fault.New(fault.Malformed, "rest.malformed", "the request cannot be read")
	errInvalid     = fault.New(fault.Invalid, "rest.invalid", "the request is readable but wrong; see errors")
	errNoRoute     = fault.New(fault.NotFound, "rest.no_route", "there is no such path; see /docs")
	errTooLarge    = fault.New(fault.TooLarge, "rest.body_too_large", "the body is too large")
	errMediaType   = fault.New(fault.Unsupported, "rest.unsupported_media_type", "send the body as Content-Type: application/json")
	errUnavailable = fault.New(fault.Unavailable, "rest.unavailable", "a part this needs does not answer; try again").RetryAfter(2)
)

// The answers without a kind of their own.
var (
	errMoved      = fault.New(fault.NotFound, "rest.moved", "this has another address now; see Location")
	errMethod     = fault.New(fault.Malformed, "rest.method_not_allowed", "this path does not take that method; see Allow")
	errAcceptable = fault.New(fault.Malformed, "rest.not_acceptable", "answers are application/json; accept that or */*")
)

// MovedTo answers 308 with the path where something lives now.
func MovedTo(path string) error { return errMoved.WithExtra("location", path) }

// Problem is the RFC 9457 answer to a refused request. It never carries a value the client sent in.
type Problem struct {
	Type     string        `json:"type" format:"uri-reference" doc:"where the code is explained"`
	Title    string        `json:"title"`
	Status   int           `json:"status"`
	Detail   string        `json:"detail" doc:"for people: what is wrong and what to do"`
	Instance string        `json:"instance,omitempty" format:"uri-reference" doc:"path of the request"`
	Code     string        `json:"code" doc:"for programs: stable, room.snake_case"`
	TraceID  string        `json:"trace_id,omitempty" doc:"finds the request in the log"`
	Errors   []fault.Field `json:"errors,omitempty" doc:"each wrong input"`
	extra    map[string]any
	headers  http.Header
}

func (p *Problem) Error() string           { return p.Detail }
func (p *Problem) GetStatus() int          { return p.Status }
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType makes huma answer with the media type of problems.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// MarshalJSON adds the extension members.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	data, err := json.Marshal((*plain)(p))
	if err != nil || len(p.extra) == 0 {
		return data, err
	}
	extra, err := json.Marshal(p.extra)
	if err != nil {
		return nil, err
	}
	return append(append(data[:len(data)-1], ','), extra[1:]...), nil
}

// statusOf maps a fault to the status of its problem.
func statusOf(f *fault.Fault) int {
	switch {
	case f.Is(errMoved):
		return http.StatusMovedPermanently
	case f.Is(errMethod):
		return http.StatusMethodNotAllowed
	case f.Is(errAcceptable):
		return http.StatusNotAcceptable
	}
	switch f.Kind {
	case fault.Malformed:
		return http.StatusBadRequest
	case fault.Unauthorized:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Stale:
		return http.StatusPreconditionFailed
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.Unsupported:
		return http.StatusUnsupportedMediaType
	case fault.Misdirected:
		return http.StatusMisdirectedRequest
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Precondition:
		return http.StatusPreconditionRequired
	case fault.Limited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// problem turns any error into the answer, and logs what the answer must not say.
func (req *request) problem(err error) *Problem {
	var ready *Problem
	if errors.As(err, &ready) {
		return ready
	}
	f := fault.From(err)
	p := &Problem{
		Type: "/problems/" + f.Code, Status: statusOf(f), Detail: f.Message, Code: f.Code,
		Instance: req.http.URL.Path, TraceID: req.trace(), Errors: f.Fields, extra: f.Extra,
	}
	if p.Status == http.StatusInternalServerError {
		p.Type, p.Code, p.Detail, p.Errors, p.extra = "/problems/"+fault.ErrInternal.Code, fault.ErrInternal.Code, fault.ErrInternal.Message, nil, nil
	}
	p.Title = http.StatusText(p.Status)
	if to, ok := f.Extra["location"].(string); ok && f.Is(errMoved) {
		p.header("Location", to)
	}
	if f.RetryIn > 0 {
		p.header("Retry-After", strconv.Itoa(f.RetryIn))
	}
	if p.Status == http.StatusUnauthorized {
		p.header("WWW-Authenticate", req.challenge())
	}
	if cause := f.Unwrap(); p.Status >= 500 && cause != nil && req.http.Context().Err() == nil {
		req.api.cfg.Log.LogAttrs(req.http.Context(), slog.LevelError, "request failed", slog.String("code", f.Code),
			slog.String("operation", req.operation()), slog.String("trace_id", p.TraceID), slog.Any("cause", cause))
	}
	req.code = p.Code
	return p
}

func (p *Problem) header(name, value string) {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
}

// refuse answers with a problem outside of huma.
func (req *request) refuse(w http.ResponseWriter, err error) {
	p := req.problem(err)
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	body, err := json.Marshal(p)
	if err != nil {
		body = []byte(`{}`)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

var takeOver sync.Once

// takeOverErrors makes huma speak our problems. The hooks are package variables of huma, so this happens once per process.
func takeOverErrors() {
	takeOver.Do(func() {
		huma.ValidateStrictCasing = true
		huma.DefaultArrayNullable = false
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return &Problem{Status: status, Title: http.StatusText(status), Detail: msg}
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			return requestOf(ctx.Context()).problem(faultOf(status, msg, errs))
		}
	})
}

// faultOf reads huma's findings. It keeps places and sentences, never values, and of a failure of ours nothing but the log's cause.
func faultOf(status int, msg string, errs []error) error {
	var f *fault.Fault
	switch status {
	case http.StatusBadRequest:
		f = errMalformed
	case http.StatusUnprocessableEntity:
		f = errInvalid
	case http.StatusRequestEntityTooLarge:
		f = errTooLarge
	case http.StatusUnsupportedMediaType:
		f = errMediaType
	case http.StatusNotAcceptable:
		f = errAcceptable
	default:
		return fault.ErrInternal.WithCause(errors.Join(append(errs, errors.New(msg))...))
	}
	if len(errs) == 0 && msg != "" {
		f = f.Withf("%s", msg)
	}
	for _, err := range errs {
		var d huma.ErrorDetailer
		if errors.As(err, &d) {
			f = f.WithField(d.ErrorDetail().Location, clean(d.ErrorDetail().Message))
		}
	}
	return f
}

// clean cuts off what decoders quote from the input.
func clean(message string) string {
	if before, _, quoted := strings.Cut(message, "invalid value: "); quoted {
		return before + "invalid value"
	}
	return message
}
