package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/rest"
)

// Tokens is what a log-in gives.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type" enum:"Bearer"`
	ExpiresIn    int    `json:"expires_in" doc:"seconds"`
	RefreshToken string `json:"refresh_token,omitempty" doc:"Usable once: every refresh gives the next one."`
}

// TokensAnswer is not to be stored by anything between.
type TokensAnswer struct {
	CacheControl string `header:"Cache-Control"`
	Body         Tokens
}

// Answer issues an access token and puts the refresh token beside it, "" for none.
func (s *Service) Answer(ctx context.Context, g Grant, refresh string) (*TokensAnswer, error) {
	access, err := s.Issue(ctx, g)
	return &TokensAnswer{"no-store", Tokens{access, "Bearer", int(AccessLives / time.Second), refresh}}, err
}

// NewSecret makes a 256-bit secret for a machine and the hash to keep of it.
func NewSecret() (secret, hash string) {
	var raw [32]byte
	rand.Read(raw[:])
	secret = encode(raw[:])
	return secret, hashSecret(secret)
}

// SecretIs compares in constant time; nothing has the hash "".
func SecretIs(secret, hash string) bool {
	return subtle.ConstantTimeCompare([]byte(hashSecret(secret)), []byte(hash)) == 1
}

// hashSecret needs no salt and no work: the secret is random.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Rotation names the key that signs from now on.
type Rotation struct {
	Body struct {
		KeyID string `json:"kid"`
	}
}

// Routes mounts what concerns the signing keys. The service may be nil as long as nothing is called.
func (s *Service) Routes(api *rest.API) {
	api.Public("/.well-known/jwks.json", s.ServeKeys)
	rest.Do(api, http.MethodPost, "/api/v1/platform/signing-keys/rotate", "platform", "RotateSigningKeys",
		func(ctx context.Context, c rest.Caller, _ *struct{}) (out *Rotation, err error) {
			out = new(Rotation)
			out.Body.KeyID, err = s.Rotate(ctx, c.Now)
			return out, err
		}, rest.Tag("platform"))
}

// Keyed lets a request with a password stand for an HMAC of itself, so that its receipt tells nothing about it.
func (s *Service) Keyed(ctx context.Context, t es.Target) (es.Target, error) {
	if t.Key == "" {
		return t, nil
	}
	sum, err := s.Vault.ClaimHash(ctx, t.Tenant, "request body\x00"+string(t.Body))
	t.Body = sum[:]
	return t, err
}

// Erase ends an account's log-ins and destroys the person's key.
func (s *Service) Erase(ctx context.Context, tenant, account uuid.UUID) error {
	if err := s.RevokeAll(ctx, tenant, account, uuid.Nil); err != nil {
		return err
	}
	return s.Vault.Erase(ctx, tenant, account)
}

// Settle carries out announced erasures that were decided and not finished, and forgets those not decided for an hour.
// Run it at start and now and then.
func (s *Service) Settle(ctx context.Context, now time.Time, decided func(ctx context.Context, tenant, account uuid.UUID) (bool, error)) error {
	waiting, err := s.Vault.Announced(ctx)
	for _, e := range waiting {
		switch yes, trouble := decided(ctx, e.Tenant, e.Subject); {
		case trouble != nil:
			err = errors.Join(err, trouble)
		case yes:
			err = errors.Join(err, s.Erase(ctx, e.Tenant, e.Subject))
		case now.Sub(e.AskedAt) > time.Hour:
			err = errors.Join(err, s.Vault.Retract(ctx, e.Tenant, e.Subject, e.AskedAt))
		}
	}
	return err
}
