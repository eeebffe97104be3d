package auth

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest"
)

// What every access token says and how long it lives.
const (
	Issuer      = "archive"
	Audience    = "archive"
	AccessLives = 15 * time.Minute
	leeway      = 10 * time.Second
)

// ErrKeys means that a token could not be checked, not that it is wrong.
var ErrKeys = fault.New(fault.Unavailable, "auth.keys_unavailable", "tokens cannot be checked just now; try again").RetryAfter(2)

var _ rest.Verifier = (*Service)(nil)

// Grant is whom an access token is for.
type Grant struct {
	Tenant, Account uuid.UUID
	Session         uuid.UUID // none for a service
	Roles           []string
}

type claims struct {
	Tenant  uuid.UUID `json:"tenant"`
	Session uuid.UUID `json:"sid,omitzero"`
	Roles   []string  `json:"roles,omitempty"`
	jwt.RegisteredClaims
}

// Issue signs an access token that lives AccessLives.
func (s *Service) Issue(ctx context.Context, g Grant) (string, error) {
	set, err := s.keySet(ctx, keysFor)
	if err != nil {
		return "", err
	}
	now := s.Clock()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, &claims{
		Tenant: g.Tenant, Session: g.Session, Roles: g.Roles,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: Issuer, Audience: jwt.ClaimStrings{Audience}, Subject: g.Account.String(), ID: uuid.NewString(),
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(AccessLives)),
		},
	})
	token.Header["kid"] = set.kid
	return token.SignedString(set.sign)
}

// Verify gives what a valid token says. ErrKeys is our fault, any other error the token's. The edge keeps the answer for a few seconds.
func (s *Service) Verify(ctx context.Context, token string) (rest.Claims, error) {
	var c claims
	var broken error
	_, err := jwt.ParseWithClaims(token, &c, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		public, err := s.publicKey(ctx, kid)
		if broken = err; err == nil && public == nil {
			err = errors.New("auth: no such signing key")
		}
		return public, err
	},
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithIssuer(Issuer), jwt.WithAudience(Audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(leeway), jwt.WithTimeFunc(s.Clock))
	if broken != nil {
		return rest.Claims{}, ErrKeys.WithCause(broken)
	}
	if err != nil {
		return rest.Claims{}, err
	}
	account, err := uuid.Parse(c.Subject)
	if err != nil || c.Tenant == uuid.Nil || c.IssuedAt == nil {
		return rest.Claims{}, errors.New("auth: the token lacks subject, tenant or time")
	}
	return rest.Claims{
		Subject: account, Tenant: c.Tenant, Session: c.Session, Roles: c.Roles,
		Audience: Audience, IssuedAt: c.IssuedAt.Time, Expires: c.ExpiresAt.Time,
	}, nil
}

// publicKey is nil for a key nobody published. A kid not seen yet is looked up, at most once a second.
func (s *Service) publicKey(ctx context.Context, kid string) (ed25519.PublicKey, error) {
	set, err := s.keySet(ctx, keysFor)
	if err != nil {
		return nil, err
	}
	if _, ok := set.public[kid]; !ok {
		if set, err = s.keySet(ctx, time.Second); err != nil {
			return nil, err
		}
	}
	return set.public[kid], nil
}
