package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

var errRotated = errors.New("vault: the master key was rotated: restart this process with the new ARCHIVE_KEY")

// Erasure is one that was announced and is not done.
type Erasure struct {
	Tenant, Subject uuid.UUID
	AskedAt         time.Time
}

// Announce notes an erasure before the event that decides it is appended; Erase or Retract takes the note away.
func (v *Vault) Announce(ctx context.Context, tenant, subject uuid.UUID, at time.Time) error {
	_, err := v.db.Exec(ctx, `INSERT INTO vault.erasures (tenant, subject, asked_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, tenant, subject, at)
	return err
}

// Announced lists up to a thousand erasures that wait, oldest first.
func (v *Vault) Announced(ctx context.Context) ([]Erasure, error) {
	rows, err := v.db.Query(ctx, `SELECT tenant, subject, asked_at FROM vault.erasures ORDER BY asked_at LIMIT 1000`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Erasure])
}

// Retract takes back the announcement made at that time, because its decision was refused; others stay.
func (v *Vault) Retract(ctx context.Context, tenant, subject uuid.UUID, at time.Time) error {
	_, err := v.db.Exec(ctx, `DELETE FROM vault.erasures WHERE tenant = $1 AND subject = $2 AND asked_at = $3`, tenant, subject, at)
	return err
}

// Erase destroys a person's key for ever. Other processes stop opening what it sealed within KeysLive.
func (v *Vault) Erase(ctx context.Context, tenant, subject uuid.UUID) error {
	defer v.subjects.Forget(person{tenant, subject})
	return pgx.BeginFunc(ctx, v.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO vault.subject_keys (tenant, subject, gone_at) VALUES ($1, $2, now())
			ON CONFLICT (tenant, subject) DO UPDATE SET wrapped = NULL, gone_at = coalesce(subject_keys.gone_at, now())`, tenant, subject); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM vault.erasures WHERE tenant = $1 AND subject = $2`, tenant, subject)
		return err
	})
}

// DestroyTenant destroys a tenant's key and with it every personal value and claim of the tenant.
func (v *Vault) DestroyTenant(ctx context.Context, tenant uuid.UUID) error {
	_, err := v.db.Exec(ctx, `INSERT INTO vault.tenant_keys (tenant, gone_at) VALUES ($1, now())
		ON CONFLICT (tenant) DO UPDATE SET wrapped = NULL, gone_at = coalesce(tenant_keys.gone_at, now())`, tenant)
	v.tenants.Forget(tenant)
	v.subjects.Clear()
	return err
}

// Rotate wraps everything under a new master key, all or nothing. Other processes fail by name until they have it.
func (v *Vault) Rotate(ctx context.Context, master Key) error {
	from, to := v.master.Load(), newBox(master)
	err := pgx.BeginFunc(ctx, v.db, func(tx pgx.Tx) error {
		var proof []byte
		if err := tx.QueryRow(ctx, `SELECT proof FROM vault.master FOR UPDATE`).Scan(&proof); err != nil {
			return err
		}
		if _, err := from.open(masterProof, proof); err != nil {
			return errRotated
		}
		if err := rewrap(ctx, tx, from, to, "tenant ", `SELECT tenant::text, wrapped FROM vault.tenant_keys WHERE wrapped IS NOT NULL`,
			`UPDATE vault.tenant_keys SET wrapped = $2 WHERE tenant = $1::uuid`); err != nil {
			return err
		}
		if err := rewrap(ctx, tx, from, to, "secret ", `SELECT name, wrapped FROM vault.secrets`,
			`UPDATE vault.secrets SET wrapped = $2 WHERE name = $1`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `UPDATE vault.master SET key_id = $1, proof = $2`, to.id, to.seal(masterProof, nil))
		return err
	})
	if err != nil {
		return fmt.Errorf("vault: nothing was rotated: %w", err)
	}
	v.master.Store(to)
	return nil
}

func rewrap(ctx context.Context, tx pgx.Tx, from, to *box, aad, query, update string) error {
	rows, err := tx.Query(ctx, query)
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	var name string
	var wrapped []byte
	if _, err := pgx.ForEachRow(rows, []any{&name, &wrapped}, func() error {
		k, err := from.openKey(aad+name, wrapped)
		batch.Queue(update, name, to.seal(aad+name, k[:]))
		return err
	}); err != nil {
		return err
	}
	return tx.SendBatch(ctx, batch).Close()
}
