// Package problem is what a refusal looks like to a client: RFC 9457, with a stable code and never a value that was sent.
package problem

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/pgerr"
)

// The refusals of what cannot be read or does not fit.
var (
	ErrMalformed   = fault.New(fault.Malformed, "rest.malformed", "the request cannot be read")
	ErrInvalid     = fault.New(fault.Invalid, "rest.invalid", "the request is readable but wrong; see errors")
	ErrTooLarge    = fault.New(fault.TooLarge, "rest.body_too_large", "the body is too large")
	ErrMediaType   = fault.New(fault.Unsupported, "rest.unsupported_media_type", "send the body as Content-Type: application/json")
	ErrUnavailable = fault.New(fault.Unavailable, "rest.unavailable", "a part this needs does not answer; try again").RetryAfter(2)
)

// The answers without a kind of their own.
var (
	ErrMoved      = fault.New(fault.NotFound, "rest.moved", "this has another address now; see Location")
	ErrMethod     = fault.New(fault.Malformed, "rest.method_not_allowed", "this path does not take that method; see Allow")
	ErrAcceptable = fault.New(fault.Malformed, "rest.not_acceptable", "the answer is not of a type you accept; accept application/json or */*")
)

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

// What huma asks of an error that is an answer.
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

// Fault finds the refusal in an error. What may go away by itself, a connection that broke, is no failure of ours: trying again helps.
func Fault(err error) *fault.Fault {
	f := fault.From(err)
	if f.Kind == fault.Internal && pgerr.Transient(err) {
		return ErrUnavailable.WithCause(err)
	}
	return f
}

// Of makes the problem of a fault. Of a failure of ours it says nothing but that.
func Of(f *fault.Fault) *Problem {
	p := &Problem{Type: "/problems/" + f.Code, Status: StatusOf(f), Detail: f.Message, Code: f.Code, Errors: f.Fields, extra: f.Extra}
	if p.Status == http.StatusInternalServerError {
		e := fault.ErrInternal
		p.Type, p.Code, p.Detail, p.Errors, p.extra = "/problems/"+e.Code, e.Code, e.Message, nil, nil
	}
	p.Title = http.StatusText(p.Status)
	if to, ok := f.Extra["location"].(string); ok && f.Is(ErrMoved) {
		p.Header("Location", to)
	}
	if f.RetryIn > 0 {
		p.Header("Retry-After", strconv.Itoa(f.RetryIn))
	}
	return p
}

// Header adds a header to the answer.
func (p *Problem) Header(name, value string) {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(name, value)
}

// StatusOf maps a fault to the status of its problem.
func StatusOf(f *fault.Fault) int {
	switch {
	case f.Is(ErrMoved):
		return http.StatusMovedPermanently
	case f.Is(ErrMethod):
		return http.StatusMethodNotAllowed
	case f.Is(ErrAcceptable):
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
		s := StatusOf(f)
		list = append(list, Entry{f.Code, s, http.StatusText(s), f.Message})
	}
	return slices.CompactFunc(list, func(x, y Entry) bool { return x.Code == y.Code })
}

var takeOver sync.Once

// TakeOver makes huma speak our problems. The hooks are package variables of huma, so this happens once per process; of turns a fault
// of a request into its problem.
func TakeOver(of func(huma.Context, error) *Problem) {
	takeOver.Do(func() {
		huma.ValidateStrictCasing = true
		huma.DefaultArrayNullable = false
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return &Problem{Status: status, Title: http.StatusText(status), Detail: msg}
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			return of(ctx, FaultOf(status, msg, errs))
		}
	})
}

// FaultOf reads huma's findings. It keeps places and sentences, never values, and of a failure of ours nothing but the log's cause.
func FaultOf(status int, msg string, errs []error) error {
	for _, err := range errs { // huma keeps no more than the text of what reading a form said
		if strings.Contains(err.Error(), (&http.MaxBytesError{}).Error()) {
			return ErrTooLarge
		}
		if strings.Contains(err.Error(), "cannot read multipart form") {
			return ErrMalformed.WithField("body", "not a readable multipart form")
		}
	}
	var f *fault.Fault
	switch status {
	case http.StatusBadRequest:
		f = ErrMalformed
	case http.StatusUnprocessableEntity:
		f = ErrInvalid
	case http.StatusRequestEntityTooLarge:
		f = ErrTooLarge
	case http.StatusUnsupportedMediaType:
		f = ErrMediaType
	case http.StatusNotAcceptable:
		f = ErrAcceptable
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
