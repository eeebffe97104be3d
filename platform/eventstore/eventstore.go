// Package eventstore is the port to the log: append atomically over streams, claims and receipts; read and follow it in one order.
package eventstore

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Limits of one append, in bytes and counts. The engine refuses more with ErrTooLarge.
const (
	MaxPayload = 1 << 20  // one event's data
	MaxAppend  = 16 << 20 // all data of one append
	MaxEvents  = 1000     // events of one append
	MaxStreams = 100      // written or checked streams of one append
	MaxContent = 8 << 20  // one large text
)

// Position is a place in the log: an opaque token that orders as a string within one log. The zero value is before the first event.
type Position string

// Expect is what an append demands of a stream. A number n ≥ 1 means "its last version is n".
type Expect int

// The expectations that are no version.
const (
	NoStream     Expect = 0
	Any          Expect = -1
	StreamExists Expect = -2
)

// Stream names one aggregate's history: its category, {service}.{entity}, and its id.
type Stream struct {
	Category string
	ID       uuid.UUID
}

func (s Stream) String() string { return s.Category + "-" + s.ID.String() }

// Event is a fact to append. The store adds stream, version, position and recorded_at.
type Event struct {
	ID          uuid.UUID // unique for ever; appending the same ids again is answered with the first outcome
	Type        string    // {service}.{entity}.{action}
	Schema      int       // ≥ 1
	Tenant      uuid.UUID
	Actor       string    // user id, "operator:<unix user>", "service:<name>", or "" for the system
	At          time.Time // when it was decided, µs UTC
	Correlation uuid.UUID
	Causation   uuid.UUID // the event or command that led to this one; zero if none
	Data        []byte    // JSON, ≤ MaxPayload, kept byte for byte
	Meta        []byte    // JSON or nil: reason, trace context
	Contents    []Hash    // large texts the data refers to; they must have been put before
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Event
	Stream     Stream
	Version    int // 1, 2, 3 … within the stream
	Position   Position
	RecordedAt time.Time // never decreasing with position
}

// Hash is a SHA-256.
type Hash [32]byte

func (h Hash) Compare(o Hash) int { return bytes.Compare(h[:], o[:]) }

// Write is events for one stream; without events it only checks the expectation.
type Write struct {
	Stream Stream
	Expect Expect
	Events []Event
}

// ClaimOp is what an append does with a claim.
type ClaimOp int16

// Take fails if another stream holds the claim, Require if nobody does; Release of what the stream does not hold is nothing.
const (
	Take ClaimOp = iota + 1
	Release
	Require
)

// Claim is a unique value held by a stream. Key is a hash of scope, tenant and value, so the log never shows the value.
type Claim struct {
	Key    Hash
	Op     ClaimOp
	Holder Stream
}

// Receipt is the stored answer of one command, found again by its key.
type Receipt struct {
	Key         Hash // of tenant, actor, operation and Idempotency-Key
	Fingerprint Hash // of the body: the same key with another is ErrKeyReused
	Answer      []byte
	After       int // how many of the append's events (in order) it stands behind; 0 = none, then Position is kept as given
	Position    Position
}

// Append is all or nothing.
type Append struct {
	Writes   []Write
	Claims   []Claim
	Receipts []Receipt
}

// Result says where the events went. A repeated append (same event ids) answers with the first outcome.
type Result struct {
	Positions  []Position // one per event, in order of Writes
	RecordedAt time.Time
	Repeated   bool
}

// Filter selects events; empty fields select all. Types are full names.
type Filter struct {
	Categories []string
	Types      []string
	Tenant     uuid.UUID // zero = every tenant
}

// Query reads the log from a position, exclusive, forwards or backwards.
type Query struct {
	From      Position // "" = before the first; backwards: "" = from the end
	Backwards bool
	Filter    Filter
	Limit     int // events looked at and returned, at most; default 500, max 10,000
}

// Page is a stretch of the log. Next is how far it was looked through, matching or not: the place to go on from.
type Page struct {
	Events []Recorded
	Next   Position
	End    bool // there was nothing beyond when this was read
}

// Checkpoint is a follower's place: the log it followed, how far, and the last event it saw there.
type Checkpoint struct {
	Log      string
	Position Position
	Event    uuid.UUID // the event at Position; zero at the very start
}

// Store is the log. Every method honours the context's deadline.
type Store interface {
	// LogID names this log; it changes on restore or promotion.
	LogID() string
	// Append commits everything or nothing. Errors: *WrongVersion, *ClaimTaken, *ClaimMissing, *ReceiptExists, ErrKeyReused,
	// ErrPartialRepeat, ErrEventExists, ErrTooLarge, ErrContentMissing, ErrUncertain.
	Append(ctx context.Context, a Append) (Result, error)
	// ReadStream gives up to limit events with a version after (forwards) or before (backwards; 0 = from the end) the one given.
	ReadStream(ctx context.Context, s Stream, from int, backwards bool, limit int) ([]Recorded, error)
	// Version is the stream's last version, 0 if it does not exist.
	Version(ctx context.Context, s Stream) (int, error)
	// Read gives a page of the log in order.
	Read(ctx context.Context, q Query) (Page, error)
	// Wait returns when the log has an event after the position, or with the context's error.
	Wait(ctx context.Context, after Position) error
	// Head is the position of the last event, "" for an empty log.
	Head(ctx context.Context) (Position, error)
	// Count is how many events lie in (from, to].
	Count(ctx context.Context, from, to Position) (int64, error)
	// At gives the event at exactly this position; ErrNoEvent if there is none.
	At(ctx context.Context, p Position) (Recorded, error)
	// AsOf is the last position recorded at or before t.
	AsOf(ctx context.Context, t time.Time) (Position, error)
	// Holder is the stream that holds a claim.
	Holder(ctx context.Context, key Hash) (Stream, bool, error)
	// Receipt finds a stored answer that has not expired.
	Receipt(ctx context.Context, key Hash) (Receipt, bool, error)
	// PutContent keeps a large text under its SHA-256 before the event that refers to it is appended.
	PutContent(ctx context.Context, tenant uuid.UUID, data []byte) (Hash, error)
	// Contents gives large texts by hash; a missing one is absent from the map.
	Contents(ctx context.Context, hashes []Hash) (map[Hash][]byte, error)
	// Sweep removes expired receipts and contents no event refers to; it says how many.
	Sweep(ctx context.Context) (int64, error)
}

// The named failures without details.
var (
	ErrKeyReused      = fmt.Errorf("eventstore: the idempotency key was used for another body")
	ErrPartialRepeat  = fmt.Errorf("eventstore: some of these event ids are in the log already, but not this append")
	ErrEventExists    = fmt.Errorf("eventstore: an event with this id exists already")
	ErrTooLarge       = fmt.Errorf("eventstore: too large")
	ErrInvalid        = fmt.Errorf("eventstore: not storable")
	ErrContentMissing = fmt.Errorf("eventstore: a large text the event refers to was not put")
	ErrUncertain      = fmt.Errorf("eventstore: no answer in time, it may or may not have been stored; repeat with the same ids to learn")
	ErrNoEvent        = fmt.Errorf("eventstore: no event at this position")
	ErrUnavailable    = fmt.Errorf("eventstore: unavailable")
)

// WrongVersion is a stale expectation.
type WrongVersion struct {
	Stream Stream
	Expect Expect
	Actual int
}

func (e *WrongVersion) Error() string {
	return fmt.Sprintf("eventstore: %s is at version %d, expected %d", e.Stream, e.Actual, e.Expect)
}

// ClaimTaken says which claim of the append another stream holds.
type ClaimTaken struct {
	Index  int // in Append.Claims
	Holder Stream
}

func (e *ClaimTaken) Error() string {
	return fmt.Sprintf("eventstore: claim %d is held by %s", e.Index, e.Holder)
}

// ClaimMissing says which required claim nobody holds.
type ClaimMissing struct{ Index int }

func (e *ClaimMissing) Error() string {
	return fmt.Sprintf("eventstore: required claim %d is not held", e.Index)
}

// ReceiptExists carries the first answer to the same key and body.
type ReceiptExists struct {
	Index   int // in Append.Receipts
	Receipt Receipt
}

func (e *ReceiptExists) Error() string {
	return fmt.Sprintf("eventstore: receipt %d exists", e.Index)
}

// KeyReused says which receipt's key was used for another body; it is ErrKeyReused.
type KeyReused struct{ Index int } // in Append.Receipts

func (e *KeyReused) Error() string { return ErrKeyReused.Error() }

// Is makes errors.Is(err, ErrKeyReused) true.
func (e *KeyReused) Is(target error) bool { return target == ErrKeyReused }

// Diverged stops a follower by name: the log it followed is not this one any more (restored, promoted, replaced).
type Diverged struct {
	Follower Checkpoint
	Log      string
	Found    uuid.UUID // the event now at the follower's position, zero if the log ends before it
}

func (e *Diverged) Error() string {
	switch {
	case e.Follower.Log != e.Log:
		return fmt.Sprintf("eventstore: the checkpoint follows log %s, this is log %s; rebuild the follower", e.Follower.Log, e.Log)
	case e.Found == uuid.Nil:
		return fmt.Sprintf("eventstore: the checkpoint is at %s, beyond the end of this log (restored from an older copy?); rebuild the follower", e.Follower.Position)
	default:
		return fmt.Sprintf("eventstore: at %s the log holds event %s, the checkpoint saw %s; rebuild the follower", e.Follower.Position, e.Found, e.Follower.Event)
	}
}
