package es

import (
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

// Env is all that a decision may know besides the state: never a clock, never chance.
type Env struct {
	Now     time.Time // once per request, µs UTC
	Tenant  uuid.UUID
	Actor   Actor
	ID      uuid.UUID // the aggregate's
	Version int       // of the state decided on; 0 = it does not exist yet
}

// Command decides. It is pure: the same env and state give the same events. No events means nothing to change.
type Command[S any] interface {
	Decide(env Env, state S) (Events[S], error)
}

// CommandWith decides on a second stream too, which is read and checked, not written.
type CommandWith[S, O any] interface {
	// Other is the second aggregate's id.
	Other(env Env) uuid.UUID
	DecideWith(env Env, state S, other O) (Events[S], error)
}

// Target says what a command is for and on what terms. Tenant, actor and time come from the edge.
type Target struct {
	Tenant      uuid.UUID
	Actor       Actor
	Now         time.Time // zero = the kernel's clock
	ID          uuid.UUID // of the aggregate
	New         bool      // it must not exist yet
	Expect      *int      // If-Match: the version the caller saw; nil = whatever is there
	Deletes     bool      // a repeated delete is quiet
	OwnerOnly   bool      // no role of the actor sufficed: only an owner may
	May         string    // the words that would do, for the refusal: "owner|editor"
	Operation   string    // scopes the key
	Key         string    // Idempotency-Key, "" = none
	Body        []byte    // what Key stands for: another body under the same key is refused
	Correlation uuid.UUID // zero = a new one
	Causation   uuid.UUID
	Meta        []byte      // JSON kept beside the events: reason, trace
	EventIDs    []uuid.UUID // derived ids of a reaction's command; nil = new ones
}

// Receipt is the answer to a command.
type Receipt struct {
	ID       uuid.UUID           `json:"id"`
	Version  int                 `json:"version"`
	Position eventstore.Position `json:"position"`
	Changed  bool                `json:"-"` // events were appended by this call or the first one with its key
}

// Refusals of the kernel itself.
var (
	ErrNotFound  = fault.New(fault.NotFound, "rest.not_found", "there is nothing here by that id")
	ErrForbidden = fault.New(fault.Forbidden, "rest.forbidden", "you may not do this")
	ErrStale     = fault.New(fault.Stale, "rest.stale", "it has changed since you read it; read it again and repeat with the new version in If-Match")
	ErrContended = fault.New(fault.Conflict, "rest.contended", "too many writers at once; try again").RetryAfter(1)
	ErrExists    = fault.New(fault.Conflict, "rest.exists", "it exists already")
	ErrKeyReused = fault.New(fault.Invalid, "rest.key_reused", "this Idempotency-Key was used with another body; use a new key for a new request")
	ErrTooLarge  = fault.New(fault.TooLarge, "rest.too_large", "too large to store; see the limits in the reference")
	ErrUncertain = fault.New(fault.Unavailable, "rest.uncertain", "no answer from the log in time: it may or may not be stored; repeat with the same Idempotency-Key to learn").RetryAfter(1)
	ErrLogDown   = fault.New(fault.Unavailable, "rest.log_unavailable", "the log cannot be reached; nothing was stored").RetryAfter(2)
	ErrErased    = fault.New(fault.Conflict, "rest.subject_erased", "this person's data was erased; nothing personal can be stored about them")
)
