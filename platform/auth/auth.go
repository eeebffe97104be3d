// Package auth proves who calls: passwords, access tokens and their keys, refresh tokens, and the price of guessing.
package auth

import (
	"context"
	_ "embed"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/vault"
)

//go:embed auth.sql
var schema string

// Migrate makes the schema "auth"; running it again, or twice at once, is nothing.
func Migrate(ctx context.Context, db *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := lock(ctx, tx, "auth.migrate"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
}

// Service keeps its state in Postgres, so that any number of processes may share it.
type Service struct {
	Clock func() time.Time // of issuing and verifying access tokens; time.Now by default
	Vault *vault.Vault

	db      *pgxpool.Pool
	keys    atomic.Pointer[keySet]
	loading sync.Mutex
}

// New needs a database that Migrate ran on.
func New(db *pgxpool.Pool, v *vault.Vault) *Service {
	return &Service{Clock: time.Now, Vault: v, db: db}
}

// Sweep removes what has expired: refresh tokens and counted failures. Run it now and then; it says how many rows went.
func (s *Service) Sweep(ctx context.Context, now time.Time) (int64, error) {
	tokens, err := s.db.Exec(ctx, `DELETE FROM auth.refresh_tokens WHERE expires_at < $1`, now)
	if err != nil {
		return 0, err
	}
	failures, err := s.db.Exec(ctx, `DELETE FROM auth.login_failures WHERE last_at < $1`, now.Add(-LockFor))
	return tokens.RowsAffected() + failures.RowsAffected(), err
}

// lock makes processes take turns until the transaction ends.
func lock(ctx context.Context, tx pgx.Tx, what string) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext($1))`, what)
	return err
}
