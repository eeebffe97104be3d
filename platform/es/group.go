package es

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// group is commands on one stream that leave as one append.
type group[S any] struct {
	stream   eventstore.Stream
	commands []*pending[S]
	done     int   // commands decided, from the front
	after    []int // per command: events of the append up to and with its own
	fresh    bool  // the state was read from the log for this group
	base     int   // version before the first event
	events   []eventstore.Event
	checks   []eventstore.Write
	large    []Text
	claims   []Claim
	hashes   []eventstore.Claim
	claimant []*pending[S]
	receipts []eventstore.Receipt
	keyed    []*pending[S]
	result   eventstore.Result
}

// decideAll decides commands in order on the folded state, each seeing what those before it decided.
// Again means that an earlier try was refused.
func (s *slot[S]) decideAll(ctx context.Context, k *Kernel, c *Category[S], commands []*pending[S], again bool) (*group[S], error) {
	g := &group[S]{stream: c.Stream(commands[0].ID), commands: commands, after: make([]int, len(commands))}
	if !s.loaded {
		s.folded = folded[S]{}
		if !commands[0].New || again { // an id just minted has no stream to read; the append checks that, and then we look
			if err := s.catchUp(ctx, k, c, g.stream.ID); err != nil {
				return nil, err
			}
			g.fresh = true
		}
	}
	g.base = s.version
	for i, p := range commands {
		if p.settled {
			g.done++
			continue
		}
		if len(g.events) >= groupEvents || g.waitsFor(p) {
			break
		}
		p.receipt, p.err = Receipt{}, nil
		if err := s.decide(ctx, k, c, g, p); err != nil {
			if err = s.refused(ctx, k, p, err); err != nil {
				return g, err
			}
		}
		g.after[i] = len(g.events)
		g.done++
	}
	return g, nil
}

// waitsFor reports whether a command must see an earlier one of the group stored: it has the same key.
func (g *group[S]) waitsFor(p *pending[S]) bool {
	for _, r := range g.receipts {
		if p.Key != "" && r.Key == p.keys.key {
			return true
		}
	}
	return false
}

// refused settles a command whose decision said no: with its first answer if its key has one. An error is trouble for the group.
func (s *slot[S]) refused(ctx context.Context, k *Kernel, p *pending[S], err error) error {
	if _, ok := errors.AsType[*troubled](err); ok {
		return err
	}
	p.err = err
	return replayed(ctx, k, p)
}

// replayed looks for the first answer to a keyed command that now changes nothing or is refused.
func replayed[S any](ctx context.Context, k *Kernel, p *pending[S]) error {
	if p.Key == "" {
		return nil
	}
	first, found, err := k.Store.Receipt(ctx, p.keys.key)
	switch {
	case err != nil:
		return &troubled{err}
	case found && first.Fingerprint != p.keys.fingerprint:
		p.refuse(ErrKeyReused)
	case found:
		p.replay(first)
	}
	return nil
}

// troubled marks an error that is not the command's decision: of the log, the vault or an event that does not decode.
type troubled struct{ error }

func (e *troubled) Unwrap() error { return e.error }

// decide adds one command's events, claims and receipt to the group.
func (s *slot[S]) decide(ctx context.Context, k *Kernel, c *Category[S], g *group[S], p *pending[S]) error {
	quiet, err := s.admit(&p.Target)
	if err != nil {
		return err
	}
	var events Events[S]
	if !quiet {
		var check *eventstore.Write
		env := Env{Now: p.Now, Tenant: p.Tenant, Actor: p.Actor, ID: p.ID, Version: s.version}
		if events, check, err = p.decide(ctx, env, s.state); err != nil {
			return err
		}
		if check != nil && len(events) > 0 {
			g.checks = append(g.checks, *check)
		}
	}
	for i, e := range events {
		if err := s.add(ctx, k, c, g, p, i, e); err != nil {
			return &troubled{err}
		}
	}
	p.receipt = Receipt{ID: p.ID, Version: s.version, Changed: len(events) > 0}
	if len(g.events) == 0 {
		p.receipt.Position = s.position
	}
	if len(events) == 0 {
		if err := replayed(ctx, k, p); err != nil || p.settled {
			return err
		}
	}
	if p.Key != "" {
		answer, err := json.Marshal(stored{p.ID, s.version, len(events) > 0})
		if err != nil {
			return err
		}
		g.receipts = append(g.receipts, eventstore.Receipt{Key: p.keys.key, Fingerprint: p.keys.fingerprint, Answer: answer, After: len(g.events), Position: s.position})
		g.keyed = append(g.keyed, p)
	}
	return nil
}

// admit answers what does not need a decision. Quiet is a delete of what is gone already.
func (s *slot[S]) admit(t *Target) (quiet bool, err error) {
	state := any(&s.state)
	switch {
	case t.New && s.version > 0:
		return false, ErrExists
	case t.New:
		return false, nil
	case s.version == 0 || s.tenant != t.Tenant:
		return false, ErrNotFound
	}
	d, deletable := state.(Deletable)
	gone := deletable && d.Deleted()
	if t.OwnerOnly && !owns(state, t.Actor) {
		if v, ok := state.(Visible); ok && v.Public() && !gone {
			return false, ErrForbidden.Withf("only %s may do this", t.May)
		}
		return false, ErrNotFound
	}
	if gone {
		if t.Deletes {
			return true, nil
		}
		return false, ErrNotFound
	}
	if t.Expect != nil && *t.Expect != s.version {
		return false, ErrStale.WithExtra("current_version", s.version)
	}
	return false, nil
}

func owns(state any, actor Actor) bool {
	o, ok := state.(Owned)
	if !ok || actor == "" {
		return false
	}
	return slices.Contains(o.Owners(), actor)
}

// add encodes one decided event, collects its claims and evolves the state.
func (s *slot[S]) add(ctx context.Context, k *Kernel, c *Category[S], g *group[S], p *pending[S], i int, e Event[S]) error {
	kind := c.kindOf(e)
	data, large, err := kind.encode(ctx, k.Vault, p.Tenant, g.stream, e)
	if err != nil {
		return err
	}
	if claimer, ok := e.(Claimer[S]); ok {
		for _, claim := range claimer.Claims(s.state) {
			key, err := k.claimHash(ctx, claim.Claims, p.Tenant, claim.Value)
			if err != nil {
				return err
			}
			g.claims, g.claimant = append(g.claims, claim), append(g.claimant, p)
			g.hashes = append(g.hashes, eventstore.Claim{Key: key, Op: claim.Op, Holder: g.stream})
		}
	}
	event := eventstore.Event{
		ID: p.eventID(i), Type: kind.Type, Schema: kind.Schema, Tenant: p.Tenant, Actor: string(p.Actor), At: p.Now,
		Correlation: p.keys.correlation, Causation: p.Causation, Data: data, Meta: p.Meta,
	}
	for _, t := range large {
		event.Contents = append(event.Contents, t.sum())
		if t.Loaded() {
			g.large = append(g.large, t)
		}
	}
	g.events = append(g.events, event)
	s.evolve(e, Envelope{
		ID: event.ID, Type: event.Type, Schema: event.Schema, Category: g.stream.Category, Stream: g.stream.ID, Version: s.version + 1,
		Tenant: event.Tenant, Actor: p.Actor, At: event.At, Correlation: event.Correlation, Causation: event.Causation, Position: s.position,
	})
	return nil
}

// commit makes the group durable. A group that changes nothing is confirmed instead, if it was decided on a remembered state.
func (g *group[S]) commit(ctx context.Context, k *Kernel) error {
	if len(g.events) == 0 && len(g.receipts) == 0 {
		if g.fresh {
			return nil
		}
		version, err := k.Store.Version(ctx, g.stream)
		if err == nil && version != g.base {
			err = &eventstore.WrongVersion{Stream: g.stream, Expect: eventstore.Expect(g.base), Actual: version}
		}
		return err
	}
	for _, t := range g.large {
		if _, err := k.Store.PutContent(ctx, g.commands[0].Tenant, []byte(t.text)); err != nil {
			return err
		}
	}
	var err error
	own := eventstore.Write{Stream: g.stream, Expect: eventstore.Expect(g.base), Events: g.events}
	g.result, err = k.Store.Append(ctx, eventstore.Append{Writes: append([]eventstore.Write{own}, distinct(g.checks)...), Claims: g.hashes, Receipts: g.receipts})
	return err
}

// distinct drops repeated checks of one stream; two versions of it cannot both hold and the log refuses the older.
func distinct(checks []eventstore.Write) []eventstore.Write {
	at := make(map[eventstore.Stream]int, len(checks))
	var out []eventstore.Write
	for _, c := range checks {
		if i, seen := at[c.Stream]; seen {
			out[i].Expect = min(out[i].Expect, c.Expect)
			continue
		}
		at[c.Stream] = len(out)
		out = append(out, c)
	}
	return out
}

// stored is the answer kept in a receipt.
type stored struct {
	ID      uuid.UUID `json:"id"`
	Version int       `json:"version"`
	Changed bool      `json:"changed"`
}

func answered(r eventstore.Receipt) (Receipt, error) {
	var a stored
	if err := json.Unmarshal(r.Answer, &a); err != nil {
		return Receipt{}, internal(err)
	}
	return Receipt{ID: a.ID, Version: a.Version, Position: r.Position, Changed: a.Changed}, nil
}

// keys are what a target's Idempotency-Key stands for.
type keys struct {
	key, fingerprint eventstore.Hash
	correlation      uuid.UUID
}

func (t *Target) keys() keys {
	k := keys{correlation: t.Correlation}
	if k.correlation == uuid.Nil {
		k.correlation = newID()
	}
	if t.Key == "" {
		return k
	}
	k.key = sha256.Sum256([]byte(t.Tenant.String() + "\x00" + string(t.Actor) + "\x00" + t.Operation + "\x00" + t.Key))
	body := sha256.New()
	if !t.New { // a create gets a new id each time it is sent
		body.Write(t.ID[:])
	}
	body.Write(t.Body)
	body.Sum(k.fingerprint[:0])
	return k
}

func (t *Target) eventID(i int) uuid.UUID {
	if i < len(t.EventIDs) {
		return t.EventIDs[i]
	}
	return newID()
}

// newID is a UUIDv7: ids of events sort by time, which keeps the log's index hot at one end.
func newID() uuid.UUID {
	id, err := uuid.NewV7()
	if err != nil {
		panic("es: no randomness: " + err.Error())
	}
	return id
}
