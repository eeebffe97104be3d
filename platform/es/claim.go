package es

import (
	"crypto/sha256"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

// Claims is a namespace of unique values: an append takes, releases or requires them together with its events.
type Claims struct {
	scope    string
	global   bool
	personal bool
	taken    *fault.Fault
	missing  *fault.Fault
}

// ClaimsOf makes a namespace whose values are unique per tenant. The scope is stored (as part of a hash): never rename it.
// taken is the refusal when another stream holds the value, missing when a required one is held by nobody.
func ClaimsOf(scope string, taken, missing *fault.Fault) Claims {
	return Claims{scope: scope, taken: taken, missing: missing}
}

// Global makes the values unique over all tenants.
func (c Claims) Global() Claims { c.global = true; return c }

// Personal keeps the values as HMACs under the tenant's claim key, so that they cannot be guessed from the log.
func (c Claims) Personal() Claims { c.personal = true; return c }

// Claim is one value and what is done with it.
type Claim struct {
	Claims
	Value string
	Op    eventstore.ClaimOp
}

// Take holds the value for the stream until it is released; taking what one holds is nothing.
func (c Claims) Take(value string) Claim { return Claim{c, value, eventstore.Take} }

// Release frees the value if the stream holds it.
func (c Claims) Release(value string) Claim { return Claim{c, value, eventstore.Release} }

// Require demands that some stream holds the value when the events are appended.
func (c Claims) Require(value string) Claim { return Claim{c, value, eventstore.Require} }

// Move releases one value and takes another; the same value is nothing, "" is no value.
func (c Claims) Move(from, to string) []Claim {
	if from == to {
		return nil
	}
	var moved []Claim
	if from != "" {
		moved = append(moved, c.Release(from))
	}
	if to != "" {
		moved = append(moved, c.Take(to))
	}
	return moved
}

func (c Claims) hash(tenant uuid.UUID, value string, personal func(string) (eventstore.Hash, error)) (eventstore.Hash, error) {
	if c.global {
		tenant = uuid.Nil
	}
	if c.personal {
		return personal(c.scope + "\x00" + value)
	}
	return sha256.Sum256([]byte(c.scope + "\x00" + tenant.String() + "\x00" + value)), nil
}
