package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	keysFor      = time.Minute         // how long a process trusts what it read
	publishedFor = time.Hour           // a retired key still verifies: longer than any token it signed
	keySecret    = "auth.signing_keys" //nolint:gosec // the name of a secret, not the secret
)

type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// keySet is every key that verifies, and the one that signs. It never changes once made.
type keySet struct {
	kid    string
	sign   ed25519.PrivateKey
	public map[string]ed25519.PublicKey
	order  []string
	read   time.Time
}

// JWK is one public key of the JWKS document.
type JWK struct {
	Type      string `json:"kty"`
	Curve     string `json:"crv"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
	X         string `json:"x"`
}

// JWKS is the document other verifiers read: the next key too, so that they know it before it signs.
type JWKS struct {
	Keys []JWK `json:"keys"`
}

// JWKS lists the keys that verify, newest first.
func (s *Service) JWKS(ctx context.Context) (JWKS, error) {
	set, err := s.keySet(ctx, keysFor)
	if err != nil {
		return JWKS{}, err
	}
	var doc JWKS
	for _, kid := range set.order {
		doc.Keys = append(doc.Keys, JWK{"OKP", "Ed25519", "sig", "EdDSA", kid, base64.RawURLEncoding.EncodeToString(set.public[kid])})
	}
	return doc, nil
}

// ServeKeys answers with the JWKS document.
func (s *Service) ServeKeys(w http.ResponseWriter, r *http.Request) {
	doc, err := s.JWKS(r.Context())
	if err != nil {
		w.Header().Set("Retry-After", "2")
		http.Error(w, "the keys cannot be read just now; try again", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	if err := json.NewEncoder(w).Encode(doc); err != nil {
		return // the client went away
	}
}

// Rotate lets the next key sign, retires the one that did and publishes a new next one. It gives the kid that signs now.
func (s *Service) Rotate(ctx context.Context, now time.Time) (string, error) {
	if _, err := s.keySet(ctx, keysFor); err != nil { // there is something to rotate
		return "", err
	}
	next, err := s.newKey(ctx)
	if err != nil {
		return "", err
	}
	var kid string
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, "auth.signing_keys"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM auth.signing_keys WHERE retired_at < $1`, now.Add(-publishedFor)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE auth.signing_keys SET state = 'retired', retired_at = $1 WHERE state = 'active'`, now); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `UPDATE auth.signing_keys SET state = 'active' WHERE state = 'next' RETURNING kid`).Scan(&kid); err != nil {
			return err
		}
		return next.add(ctx, tx, "next", now)
	})
	s.keys.Store(nil)
	return kid, err
}

// keySet gives keys read at most maxAge ago.
func (s *Service) keySet(ctx context.Context, maxAge time.Duration) (*keySet, error) {
	if set := s.keys.Load(); set != nil && time.Since(set.read) < maxAge {
		return set, nil
	}
	s.loading.Lock()
	defer s.loading.Unlock()
	if set := s.keys.Load(); set != nil && time.Since(set.read) < maxAge {
		return set, nil
	}
	set, err := s.readKeys(ctx)
	if err == nil && set.sign == nil {
		if err = s.firstKeys(ctx); err == nil {
			set, err = s.readKeys(ctx)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("auth: signing keys: %w", err)
	}
	s.keys.Store(set)
	return set, nil
}

func (s *Service) readKeys(ctx context.Context) (*keySet, error) {
	set := &keySet{public: map[string]ed25519.PublicKey{}, read: time.Now()}
	rows, err := s.db.Query(ctx, `SELECT kid, state, public, private FROM auth.signing_keys
		WHERE state <> 'retired' OR retired_at > $1 ORDER BY made_at DESC, kid`, s.Clock().Add(-publishedFor))
	if err != nil {
		return nil, err
	}
	var kid, state string
	var public, private, sealed []byte
	if _, err = pgx.ForEachRow(rows, []any{&kid, &state, &public, &private}, func() error {
		set.public[kid], set.order = ed25519.PublicKey(append([]byte(nil), public...)), append(set.order, kid)
		if state == "active" {
			set.kid, sealed = kid, append([]byte(nil), private...)
		}
		return nil
	}); err != nil || set.kid == "" {
		return set, err
	}
	seed, err := s.Vault.Unwrap(ctx, keySecret, set.kid, sealed)
	if err != nil {
		return nil, err
	}
	set.sign = ed25519.NewKeyFromSeed(seed)
	return set, nil
}

func (s *Service) firstKeys(ctx context.Context) error {
	var fresh [2]*signingKey
	for i := range fresh {
		var err error
		if fresh[i], err = s.newKey(ctx); err != nil {
			return err
		}
	}
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, "auth.signing_keys"); err != nil {
			return err
		}
		var made bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM auth.signing_keys WHERE state = 'active')`).Scan(&made); err != nil || made {
			return err
		}
		if err := fresh[0].add(ctx, tx, "active", s.Clock()); err != nil {
			return err
		}
		return fresh[1].add(ctx, tx, "next", s.Clock())
	})
}

// signingKey is a new key, sealed. It is made before the transaction: sealing may need a connection of its own.
type signingKey struct {
	kid            string
	public, sealed []byte
}

func (s *Service) newKey(ctx context.Context) (*signingKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	kid := base64.RawURLEncoding.EncodeToString(public[:12])
	sealed, err := s.Vault.Wrap(ctx, keySecret, kid, private.Seed())
	return &signingKey{kid, public, sealed}, err
}

func (k *signingKey) add(ctx context.Context, tx pgx.Tx, state string, now time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO auth.signing_keys (kid, state, public, private, made_at) VALUES ($1, $2, $3, $4, $5)`, k.kid, state, k.public, k.sealed, now)
	return err
}
