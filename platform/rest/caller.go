package rest

import (
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
)

// words is a set of permission words: what a route asks for, or what a caller is.
type words uint16

// The closed list.
const (
	public words = 1 << iota
	user
	viewer
	editor
	admin
	platform
	owner
	employer
	evaluator
	service
)

var wordNames = []string{"public", "user", "viewer", "editor", "admin", "platform", "owner", "employer", "evaluator", "service"}

// parseWords reads "owner|editor". It panics on a word that is not in the list: routes are written by us.
func parseWords(who string) words {
	var set words
	for word := range strings.SplitSeq(who, "|") {
		w := wordOf(word)
		if w == 0 {
			panic("rest: " + word + " is not a permission word; there are " + strings.Join(wordNames, ", "))
		}
		set |= w
	}
	return set
}

func wordOf(word string) words {
	for i, name := range wordNames {
		if name == word {
			return 1 << i
		}
	}
	return 0
}

// Roles is what an account was granted, widened: an editor is a viewer too.
type Roles words

// rolesOf widens granted role names; names outside the list grant nothing.
func rolesOf(names []string) Roles {
	var r words
	for _, name := range names {
		switch w := wordOf(name); w {
		case admin:
			r |= admin | editor | viewer
		case editor:
			r |= editor | viewer
		case viewer, employer, evaluator, service:
			r |= w
		}
	}
	return Roles(r)
}

// Has reports whether a role is held.
func (r Roles) Has(role string) bool { return words(r)&wordOf(role) != 0 }

// Names lists the roles held, in the order of the closed list.
func (r Roles) Names() []string {
	var names []string
	for i, name := range wordNames {
		if words(r)&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// Caller is who asks, for which tenant, and what the edge knows of the request.
type Caller struct {
	Tenant      uuid.UUID // acted in
	TenantName  string
	Domain      string // primary domain of the tenant
	ClientURL   string
	Root        bool     // Tenant is the root tenant
	Actor       es.Actor // "" when nobody logged in
	Session     uuid.UUID
	Roles       Roles // in Tenant; "platform" when an administrator of the root tenant or the operator acts
	Now         time.Time
	Correlation uuid.UUID
	Kernel      *es.Kernel
	Meta        []byte     // stored with the events: reason, trace context
	Key         string     // Idempotency-Key
	IP          netip.Addr // for throttling; never stored or logged in the clear
	UserAgent   string
	Operation   string // id of the operation

	body  []byte // what Key stands for
	route *route
}

// Account is the caller's account, zero for nobody, operators and services.
func (c Caller) Account() uuid.UUID { return c.Actor.User() }

// has gives the words the caller satisfies by what it is; owner depends on the aggregate.
func (c Caller) has() words {
	set := public | words(c.Roles)
	if c.Actor != "" {
		set |= user
	}
	return set
}

// Is reports whether the caller satisfies any of the words ("editor|admin"). For owner ask the state.
func (c Caller) Is(who string) bool { return c.has()&parseWords(who)&^owner != 0 }

// Target aims a command of this caller at an aggregate. Operation scopes the Idempotency-Key.
func (c Caller) Target(operation string, id uuid.UUID) es.Target {
	t := es.Target{
		Tenant: c.Tenant, Actor: c.Actor, Now: c.Now, ID: id,
		Operation: operation, Key: c.Key, Body: c.body, Correlation: c.Correlation, Meta: c.Meta,
	}
	if c.route != nil {
		t.May = c.route.who
		t.OwnerOnly = c.route.words&owner != 0 && c.has()&c.route.words == 0
	}
	return t
}
