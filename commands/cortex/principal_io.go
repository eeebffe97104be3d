package cortex

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"

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
	Status       int
	CacheControl string `header:"Cache-Control"`
	Location     string `header:"Location"`
	Body         struct {
		ID           uuid.UUID `json:"id"`
		ClientID     uuid.UUID `json:"client_id"`
		ClientSecret string    `json:"client_secret" doc:"Shown this once; keep it."`
	}
}

// createPrincipal takes no Idempotency-Key: the secret could not be shown again.
func (a accounts) createPrincipal(ctx context.Context, c rest.Caller, in *PrincipalInput) (*PrincipalAnswer, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	var raw [32]byte
	rand.Read(raw[:])
	out := &PrincipalAnswer{Status: http.StatusCreated, CacheControl: "no-store", Location: "/api/v1/principals/" + id.String()}
	out.Body.ID, out.Body.ClientID, out.Body.ClientSecret = id, id, base64.RawURLEncoding.EncodeToString(raw[:])
	cmd := in.Body
	cmd.hash = fingerprint(out.Body.ClientSecret)
	t := c.Target(c.Operation, id)
	t.New, t.Key = true, ""
	_, err = es.Handle(ctx, c.Kernel, domain.Principals, t, es.Command[principal](cmd))
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

func (a accounts) token(ctx context.Context, c rest.Caller, in *TokenInput) (*TokensAnswer, error) {
	p, _, err := es.Load(ctx, c.Kernel, domain.Principals, c.Tenant, in.Body.ClientID)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(p.Hash), []byte(fingerprint(in.Body.ClientSecret))) != 1 || p.Revoked {
		return nil, domain.ErrClient
	}
	return a.tokens(ctx, auth.Session{Tenant: c.Tenant, Account: in.Body.ClientID}, []string{p.Role}, "")
}

// fingerprint suffices for a secret of 256 random bits.
func fingerprint(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// RotationAnswer names the key that signs now.
type RotationAnswer struct {
	Body struct {
		KeyID string `json:"kid"`
	}
}

func (a accounts) rotateKeys(ctx context.Context, c rest.Caller, _ *LogOutInput) (out *RotationAnswer, err error) {
	out = new(RotationAnswer)
	out.Body.KeyID, err = a.auth.Rotate(ctx, c.Now)
	return out, err
}
