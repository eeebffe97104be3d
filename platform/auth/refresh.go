package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/bgce/archive/platform/fault"
)

// How long refresh tokens live, and how long a used one still answers with the same successor.
const (
	RefreshIdle     = 30 * 24 * time.Hour
	RefreshAbsolute = 90 * 24 * time.Hour
	RefreshGrace    = 30 * time.Second
)

// Refusals of a refresh token. ErrReused comes with the Session whose family is revoked.
var (
	ErrRefresh = fault.New(fault.Unauthorized, "auth.refresh_invalid", "this refresh token is not valid any more; log in again")
	ErrReused  = fault.New(fault.Unauthorized, "auth.refresh_reused", "this refresh token was used before, so its session was ended; log in again")
)

// Session is what a family of refresh tokens belongs to.
type Session struct {
	Tenant, Account, ID uuid.UUID
}

// StartRefresh gives the first refresh token of a session.
func (s *Service) StartRefresh(ctx context.Context, of Session, now time.Time) (string, error) {
	var secret [32]byte
	rand.Read(secret[:])
	return encode(secret[:]), s.keep(ctx, s.db, secret[:], of, now, now.Add(RefreshAbsolute))
}

// Refresh uses a token of the tenant up and gives its successor. Within the grace the family's one live token is given again, so
// that parallel tabs and lost answers do no harm. After it the answer is ErrReused with the Session: end it, then Revoke it.
func (s *Service) Refresh(ctx context.Context, tenant uuid.UUID, token string, now time.Time) (next string, of Session, err error) {
	secret, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(secret) != 32 {
		return "", of, ErrRefresh
	}
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		next, of, err = s.use(ctx, tx, tenant, secret, now)
		return err
	})
	return next, of, err
}

func (s *Service) use(ctx context.Context, tx pgx.Tx, tenant uuid.UUID, secret []byte, now time.Time) (next string, of Session, err error) {
	for first := true; ; first = false {
		var expires, ends time.Time
		var used *time.Time
		var salt []byte
		hash := sha256.Sum256(secret)
		err := tx.QueryRow(ctx, `SELECT tenant, account, session, expires_at, ends_at, used_at, salt FROM auth.refresh_tokens
			WHERE hash = $1 AND tenant = $2 FOR UPDATE`, hash[:], tenant).Scan(&of.Tenant, &of.Account, &of.ID, &expires, &ends, &used, &salt)
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && !now.Before(expires):
			return "", of, ErrRefresh
		case err != nil:
			return "", of, err
		case used == nil && first:
			next, err = s.succeed(ctx, tx, secret, of, now, ends)
			return next, of, err
		case used == nil:
			return encode(secret), of, nil
		case now.Sub(*used) > RefreshGrace || salt == nil:
			return "", of, ErrReused
		}
		secret = successor(secret, salt)
	}
}

// succeed marks a token used. Salts beyond their grace go, so that an old token leads nowhere even to who reads the table.
func (s *Service) succeed(ctx context.Context, tx pgx.Tx, secret []byte, of Session, now, ends time.Time) (string, error) {
	hash, salt := sha256.Sum256(secret), make([]byte, 32)
	rand.Read(salt)
	if _, err := tx.Exec(ctx, `UPDATE auth.refresh_tokens SET salt = NULL WHERE session = $1 AND used_at < $2 AND salt IS NOT NULL`,
		of.ID, now.Add(-RefreshGrace)); err != nil {
		return "", err
	}
	if _, err := tx.Exec(ctx, `UPDATE auth.refresh_tokens SET used_at = $2, salt = $3 WHERE hash = $1`, hash[:], now, salt); err != nil {
		return "", err
	}
	secret = successor(secret, salt)
	return encode(secret), s.keep(ctx, tx, secret, of, now, ends)
}

// Revoke ends the refresh tokens of one session.
func (s *Service) Revoke(ctx context.Context, session uuid.UUID) error {
	_, err := s.db.Exec(ctx, `DELETE FROM auth.refresh_tokens WHERE session = $1`, session)
	return err
}

// RevokeAll ends the refresh tokens of an account, but for those of the session kept (uuid.Nil keeps none).
func (s *Service) RevokeAll(ctx context.Context, tenant, account, keep uuid.UUID) error {
	_, err := s.db.Exec(ctx, `DELETE FROM auth.refresh_tokens WHERE tenant = $1 AND account = $2 AND session <> $3`, tenant, account, keep)
	return err
}

func (s *Service) keep(ctx context.Context, db execer, secret []byte, of Session, now, ends time.Time) error {
	hash, expires := sha256.Sum256(secret), now.Add(RefreshIdle)
	if ends.Before(expires) {
		expires = ends
	}
	_, err := db.Exec(ctx, `INSERT INTO auth.refresh_tokens (hash, tenant, account, session, expires_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		hash[:], of.Tenant, of.Account, of.ID, expires, ends)
	return err
}

// successor is known to whoever holds the token and the row: nothing that opens a session is stored.
func successor(secret, salt []byte) []byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write(secret)
	return mac.Sum(nil)
}

func encode(secret []byte) string { return base64.RawURLEncoding.EncodeToString(secret) }
