// Package es is the pattern every room repeats: events change state, commands decide events, Handle is the only way to write.
package es

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// Event is a fact of an aggregate with state S. Facts do not refuse.
type Event[S any] interface{ Evolve(*S) }

// Events is what a decision gives: in order, possibly none.
type Events[S any] []Event[S]

// Envelope is everything about an event that is not what happened: never repeated in a payload.
type Envelope struct {
	ID          uuid.UUID
	Type        string
	Schema      int
	Category    string
	Stream      uuid.UUID // the aggregate's id
	Version     int       // 1, 2, 3 … within the stream
	Tenant      uuid.UUID
	Actor       Actor
	At          time.Time // of the decision
	RecordedAt  time.Time
	Correlation uuid.UUID
	Causation   uuid.UUID
	Position    eventstore.Position
}

// Recorded is a typed event with its envelope, as projections and reactions see it.
type Recorded[E any] struct {
	Envelope
	Data E
}

// Actor is who acts: a user id, "operator:<unix user>", "service:<name>", or "" for the system.
type Actor string

// User is the account behind the actor, uuid.Nil if it is none.
func (a Actor) User() uuid.UUID {
	id, err := uuid.Parse(string(a))
	if err != nil || len(a) != 36 {
		return uuid.Nil
	}
	return id
}

// UserActor is the actor of an account.
func UserActor(id uuid.UUID) Actor { return Actor(id.String()) }

// Optional methods of a state; Handle looks for them on S or *S.
type (
	// Owned names who owns the aggregate. The creator does, until an event says otherwise.
	Owned interface{ Owners() []Actor }
	// Deletable says that the aggregate is gone: everything but a DELETE is then 404.
	Deletable interface{ Deleted() bool }
	// Visible says whether anyone may know the aggregate exists, which makes a refusal 403 instead of 404.
	Visible interface{ Public() bool }
	// Stamped sees the envelope of each event before it evolves the state: who and when.
	Stamped interface{ Stamp(Envelope) }
	// Unsealed states get personal fields opened when they are folded; other states see them empty.
	Unsealed interface{ Unsealed() }
)

// Optional methods of an event.
type (
	// Claimer takes, releases or requires unique values with the event; before is the state it was decided on.
	Claimer[S any] interface{ Claims(before S) []Claim }
	// Personal names whose key seals the pii fields; without it that is the aggregate itself.
	Personal interface{ Subject() uuid.UUID }
)

// Upcast lifts a payload of one schema version to the next.
type Upcast struct {
	old  reflect.Type
	lift func(data []byte) ([]byte, error)
}

// From makes an upcast out of a function between two payload shapes.
func From[Old, New any](lift func(Old) New) Upcast {
	return Upcast{reflect.TypeFor[Old](), func(data []byte) ([]byte, error) {
		var before Old
		if err := unmarshal(data, &before); err != nil {
			return nil, err
		}
		return marshal(lift(before))
	}}
}

// Kind is one event type of a category, without its state type.
type Kind struct {
	Type    string         // stored name, {service}.{entity}.{action}
	Schema  int            // 1 + number of upcasts
	Go      reflect.Type   // payload struct
	Older   []reflect.Type // payloads of schema 1 … Schema-1
	upcasts []Upcast
	layout  layout // which fields are personal or large
	decode  func(data []byte) (any, error)
}

// KindOf is a Kind whose events evolve S.
type KindOf[S any] struct{ kind Kind }

// On stores events of type E under {category}.{name}. Its schema version is 1 + the number of upcasts.
func On[E Event[S], S any](name string, upcasts ...Upcast) KindOf[S] {
	k := Kind{Type: name, Schema: 1 + len(upcasts), Go: reflect.TypeFor[E](), upcasts: upcasts, layout: layoutOf(reflect.TypeFor[E]())}
	for _, u := range upcasts {
		k.Older = append(k.Older, u.old)
	}
	k.decode = func(data []byte) (any, error) {
		var e E
		err := unmarshal(data, &e)
		return e, err
	}
	return KindOf[S]{k}
}

// Kinds is a category without its state type: what projections, schemas and reactions need.
type Kinds interface {
	Name() string
	Kinds() []Kind
	Lookup(typ string) (Kind, bool)
}

// Category is the storage contract of one aggregate: its stream prefix and its event types.
type Category[S any] struct {
	name   string
	kinds  []Kind
	byType map[string]int
	byGo   map[reflect.Type]int
}

// Define makes a category. Names are stored: add, never rename. It panics on a duplicate or a name that is not lower_snake.
func Define[S any](name string, kinds ...KindOf[S]) *Category[S] {
	c := &Category[S]{name: name, byType: map[string]int{}, byGo: map[reflect.Type]int{}}
	if strings.Count(name, ".") != 1 {
		panic("es: category " + name + " is not {service}.{entity}")
	}
	for _, k := range kinds {
		k := k.kind
		k.Type = name + "." + k.Type
		if strings.Trim(k.Type, "abcdefghijklmnopqrstuvwxyz0123456789_.") != "" || strings.Count(k.Type, ".") != 2 {
			panic("es: " + k.Type + " is not {service}.{entity}.{action}")
		}
		if _, twice := c.byType[k.Type]; twice {
			panic("es: " + k.Type + " is defined twice")
		}
		if _, twice := c.byGo[k.Go]; twice {
			panic(fmt.Sprintf("es: %s has two names in %s", k.Go, name))
		}
		c.byType[k.Type], c.byGo[k.Go] = len(c.kinds), len(c.kinds)
		c.kinds = append(c.kinds, k)
	}
	return c
}

// Name is the stored prefix, {service}.{entity}.
func (c *Category[S]) Name() string { return c.name }

// Kinds lists the event types in order of definition.
func (c *Category[S]) Kinds() []Kind { return slices.Clone(c.kinds) }

// Lookup finds an event type by its stored name.
func (c *Category[S]) Lookup(typ string) (Kind, bool) {
	i, ok := c.byType[typ]
	if !ok {
		return Kind{}, false
	}
	return c.kinds[i], true
}

// Stream names one aggregate's history.
func (c *Category[S]) Stream(id uuid.UUID) eventstore.Stream {
	return eventstore.Stream{Category: c.name, ID: id}
}

func (c *Category[S]) kindOf(e Event[S]) *Kind {
	i, ok := c.byGo[reflect.TypeOf(e)]
	if !ok {
		panic(fmt.Sprintf("es: %T is not an event of %s", e, c.name))
	}
	return &c.kinds[i]
}
