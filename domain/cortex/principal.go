package cortex

import (
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
)

// Principals holds one stream per machine account. These names are stored: add, never rename.
var Principals = es.Define[Principal]("cortex.principal", es.On[PrincipalCreated]("created"), es.On[PrincipalRevoked]("revoked"))

// PrincipalNames are unique per tenant.
var PrincipalNames = es.ClaimsOf("cortex.principal", ErrPrincipalTaken, ErrClient)

// Refusals of machine accounts.
var (
	ErrPrincipalTaken = fault.New(fault.Conflict, "cortex.principal_taken", "a principal of this name exists already")
	ErrClient         = fault.New(fault.Unauthorized, "cortex.client_credentials", "client id or secret is wrong")
)

// Principal is what decisions about a machine account need.
type Principal struct {
	Name, Role string
	Hash       string // SHA-256 of its 256-bit secret, in hex
	Revoked    bool
}

func (Principal) Unsealed()       {}
func (p Principal) Deleted() bool { return p.Revoked }

type PrincipalCreated struct {
	Name string `json:"name"`
	Role string `json:"role"`
	Hash string `json:"secret_hash" pii:"secret"`
}

func (e PrincipalCreated) Evolve(p *Principal) { p.Name, p.Role, p.Hash = e.Name, e.Role, e.Hash }

func (e PrincipalCreated) Claims(Principal) []es.Claim {
	return []es.Claim{PrincipalNames.Take(e.Name)}
}

// PrincipalRevoked frees the name.
type PrincipalRevoked struct{}

func (PrincipalRevoked) Evolve(p *Principal) { p.Revoked = true }

func (PrincipalRevoked) Claims(before Principal) []es.Claim {
	return []es.Claim{PrincipalNames.Release(before.Name)}
}
