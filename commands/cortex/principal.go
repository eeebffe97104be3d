package cortex

import (
	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
)

type (
	principal       = domain.Principal
	principalEvents = es.Events[domain.Principal]
)

// CreatePrincipal makes a machine account; its secret is shown once.
type CreatePrincipal struct {
	Name string `json:"name" minLength:"1" maxLength:"60" pattern:"^[a-z0-9][a-z0-9._-]*$"`
	Role string `json:"role" enum:"evaluator,service"`

	hash string // of the secret
}

func (c CreatePrincipal) Decide(es.Env, principal) (principalEvents, error) {
	return principalEvents{domain.PrincipalCreated{Name: c.Name, Role: c.Role, Hash: c.hash}}, nil
}

// RevokePrincipal ends a machine account; its tokens stop within seconds.
type RevokePrincipal struct{}

func (RevokePrincipal) Decide(es.Env, principal) (principalEvents, error) {
	return principalEvents{domain.PrincipalRevoked{}}, nil
}
