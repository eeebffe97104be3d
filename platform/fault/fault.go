// Package fault is the one shape of a refusal: what kind it is, a stable code, and a sentence for people.
package fault

import (
	"errors"
	"fmt"
	"maps"
)

// Kind says what a client can do about a fault; the edge maps it to a status.
type Kind int

// The kinds and the HTTP status each becomes at the edge.
const (
	Internal     Kind = iota // 500: ours; says nothing outside, logs all
	Malformed                // 400: cannot be read at all
	Unauthorized             // 401
	Forbidden                // 403
	NotFound                 // 404: is not there, or must not be known to be
	Conflict                 // 409: the state forbids it
	Stale                    // 412: decided on an older version
	TooLarge                 // 413
	Unsupported              // 415
	Misdirected              // 421: no such tenant on this host
	Invalid                  // 422: readable, but wrong
	Precondition             // 428: needs If-Match
	Limited                  // 429
	Unavailable              // 503: try again
)

// Fault is an error with a stable code ("room.snake_case"). Sentinels are made once with New and compared with errors.Is;
// With* return a copy that still is the sentinel.
type Fault struct {
	Kind    Kind
	Code    string
	Message string
	Fields  []Field        // for Invalid and Malformed
	Extra   map[string]any // additional problem members, e.g. current_version
	RetryIn int            // seconds, for Retry-After; 0 = none
	base    *Fault
	cause   error
}

// Field points at one wrong input; it never carries the value.
type Field struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// New makes a sentinel.
func New(kind Kind, code, message string) *Fault {
	return keep(&Fault{Kind: kind, Code: code, Message: message})
}

func (f *Fault) Error() string { return f.Message }

// Unwrap gives the cause, which is logged and never shown.
func (f *Fault) Unwrap() error { return f.cause }

// Is reports whether target is the sentinel this fault was made from.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && (f == t || (f.base != nil && f.base == t) || f.Code == t.Code)
}

func (f *Fault) derive() *Fault {
	c := *f
	if c.base == nil {
		c.base = f
	}
	return &c
}

// Withf returns the fault with a more telling message.
func (f *Fault) Withf(format string, args ...any) *Fault {
	c := f.derive()
	c.Message = fmt.Sprintf(format, args...)
	return c
}

// WithCause returns the fault with the error behind it, for the log.
func (f *Fault) WithCause(err error) *Fault {
	c := f.derive()
	c.cause = err
	return c
}

// WithField returns the fault with one more field error.
func (f *Fault) WithField(location, message string) *Fault {
	c := f.derive()
	c.Fields = append(append([]Field(nil), f.Fields...), Field{location, message})
	return c
}

// WithExtra returns the fault with one more problem member.
func (f *Fault) WithExtra(name string, value any) *Fault {
	c := f.derive()
	c.Extra = map[string]any{name: value}
	maps.Copy(c.Extra, f.Extra)
	return c
}

// RetryAfter returns the fault with a Retry-After of so many seconds.
func (f *Fault) RetryAfter(seconds int) *Fault {
	c := f.derive()
	c.RetryIn = seconds
	return c
}

// From finds the fault in an error chain; anything else is Internal.
func From(err error) *Fault {
	if f, ok := errors.AsType[*Fault](err); ok {
		return f
	}
	return ErrInternal.WithCause(err)
}

// ErrInternal hides what went wrong.
var ErrInternal = New(Internal, "rest.internal", "something went wrong on our side; the trace id finds it in the log")
