package cortex

import (
	"context"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/rest"
)

// PrincipalInput is the body of CreatePrincipal.
type PrincipalInput struct{ Body CreatePrincipal }

// PrincipalAnswer shows the secret, once.
type PrincipalAnswer struct {
	CacheControl string `header:"Cache-Control"`
	Location     string `header:"Location"`
	Body         struct {
		ClientID     uuid.UUID `json:"client_id"`
		ClientSecret string    `json:"client_secret" doc:"Shown this once; keep it."`
	}
}

// createPrincipal takes no Idempotency-Key: the secret could not be shown again.
func (a accounts) createPrincipal(ctx context.Context, c rest.Caller, in *PrincipalInput) (*PrincipalAnswer, error) {
	id := uuid.Must(uuid.NewV7())
	out := &PrincipalAnswer{CacheControl: "no-store", Location: "/api/v1/principals/" + id.String()}
	out.Body.ClientID = id
	out.Body.ClientSecret, in.Body.hash = auth.NewSecret()
	t := c.Target(c.Operation, id)
	t.New, t.Key = true, ""
	_, err := es.Handle(ctx, c.Kernel, domain.Principals, t, es.Command[principal](in.Body))
	return out, err
}

// TokenInput is a client's credentials.
type TokenInput struct {
	Body struct {
		GrantType    string    `json:"grant_type" enum:"client_credentials"`
		ClientID     uuid.UUID `json:"client_id" format:"uuid"`
		ClientSecret string    `json:"client_secret" minLength:"1" maxLength:"200"`
	}
}

func (a accounts) token(ctx context.Context, c rest.Caller, in *TokenInput) (*auth.TokensAnswer, error) {
	p, _, err := es.Load(ctx, c.Kernel, domain.Principals, c.Tenant, in.Body.ClientID)
	if err == nil && (p.Revoked || !auth.SecretIs(in.Body.ClientSecret, p.Hash)) {
		err = domain.ErrClient
	}
	if err != nil {
		return nil, err
	}
	return a.auth.Answer(ctx, auth.Grant{Tenant: c.Tenant, Account: in.Body.ClientID, Roles: []string{p.Role}}, "")
}
