// Package vault keeps the keys of tenants and persons, wrapped by the master key: to destroy a key is to erase what it sealed.
package vault

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/vault/recent"
)

// KeysLive bounds how long an opened key is used after it was read, in every process.
const KeysLive = 60 * time.Second

//go:embed vault.sql
var schema string

// Migrate makes the schema "vault"; running it again, or twice at once, is nothing.
func Migrate(ctx context.Context, db *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('vault.migrate'))`); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, schema)
		return err
	})
}

// Vault is es.Vault on Postgres.
type Vault struct {
	db       *pgxpool.Pool
	master   atomic.Pointer[box]
	tenants  *recent.Map[uuid.UUID, *tenantKeys]
	subjects *recent.Map[person, *box]
	secrets  *recent.Map[string, Key]
}

type person struct{ tenant, subject uuid.UUID }

type tenantKeys struct {
	box    *box // wraps the keys of persons
	claims []byte
}

var _ es.Vault = (*Vault)(nil)

const masterProof = "vault.master"

// Open checks that master is the key this database was made with, or makes the database its own on first use.
func Open(ctx context.Context, db *pgxpool.Pool, master Key) (*Vault, error) {
	v := &Vault{
		db:       db,
		tenants:  recent.New[uuid.UUID, *tenantKeys](10_000, KeysLive),
		subjects: recent.New[person, *box](50_000, KeysLive),
		secrets:  recent.New[string, Key](100, KeysLive),
	}
	b := newBox(master)
	v.master.Store(b)
	if _, err := db.Exec(ctx, `INSERT INTO vault.master (key_id, proof) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		b.id, b.seal(masterProof, nil)); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	var id, proof []byte
	if err := db.QueryRow(ctx, `SELECT key_id, proof FROM vault.master`).Scan(&id, &proof); err != nil {
		return nil, fmt.Errorf("vault: %w", err)
	}
	if _, err := b.open(masterProof, proof); err != nil {
		return nil, fmt.Errorf("ARCHIVE_KEY is not the key of this database (it has key id %x, this database wants %x): set ARCHIVE_KEY to the key that was backed up with it", b.id, id)
	}
	return v, nil
}

// Seal encrypts under the subject's key, made on first use; es.ErrErased when the person or the tenant is gone.
func (v *Vault) Seal(ctx context.Context, tenant, subject uuid.UUID, aad string, plain []byte) ([]byte, error) {
	b, err := v.subject(ctx, person{tenant, subject}, true)
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, es.ErrErased
	}
	return b.seal(aad, plain), nil
}

// Unseal decrypts; known is false when the key is gone for good.
func (v *Vault) Unseal(ctx context.Context, tenant, subject uuid.UUID, aad string, sealed []byte) ([]byte, bool, error) {
	b, err := v.subject(ctx, person{tenant, subject}, false)
	if err != nil || b == nil {
		return nil, false, err
	}
	plain, err := b.open(aad, sealed)
	return plain, err == nil, err
}

// ClaimHash is the HMAC of a value under the tenant's claim key, which no rotation of the master key changes.
func (v *Vault) ClaimHash(ctx context.Context, tenant uuid.UUID, value string) (eventstore.Hash, error) {
	t, err := v.tenant(ctx, tenant, true)
	if err != nil {
		return eventstore.Hash{}, err
	}
	if t == nil {
		return eventstore.Hash{}, es.ErrErased
	}
	mac := hmac.New(sha256.New, t.claims)
	mac.Write([]byte(value))
	return eventstore.Hash(mac.Sum(nil)), nil
}

// Secret is a 256-bit key of the platform by name, made on first use and wrapped by the master key.
func (v *Vault) Secret(ctx context.Context, name string) (Key, error) {
	if k, ok := v.secrets.Get(name); ok {
		return k, nil
	}
	wrapped, err := v.read(ctx, v.byMaster("secret "+name, `INSERT INTO vault.secrets (name, wrapped)`, name),
		`SELECT wrapped FROM vault.secrets WHERE name = $1`, name)
	if err != nil {
		return Key{}, err
	}
	k, err := v.unwrap("secret "+name, wrapped)
	if err == nil {
		v.secrets.Put(name, k)
	}
	return k, err
}

// Wrap seals platform data (a signing key) under the secret of that name.
func (v *Vault) Wrap(ctx context.Context, name, aad string, plain []byte) ([]byte, error) {
	k, err := v.Secret(ctx, name)
	if err != nil {
		return nil, err
	}
	return newBox(k).seal(aad, plain), nil
}

// Unwrap opens what Wrap sealed.
func (v *Vault) Unwrap(ctx context.Context, name, aad string, sealed []byte) ([]byte, error) {
	k, err := v.Secret(ctx, name)
	if err != nil {
		return nil, err
	}
	return newBox(k).open(aad, sealed)
}

// tenant gives the opened keys of a tenant, nil when they were destroyed.
func (v *Vault) tenant(ctx context.Context, id uuid.UUID, create bool) (*tenantKeys, error) {
	if t, ok := v.tenants.Get(id); ok {
		return t, nil
	}
	aad := "tenant " + id.String()
	var insert insertion
	if create {
		insert = v.byMaster(aad, `INSERT INTO vault.tenant_keys (tenant, wrapped)`, id)
	}
	wrapped, err := v.read(ctx, insert, `SELECT wrapped FROM vault.tenant_keys WHERE tenant = $1`, id)
	if err != nil || wrapped == nil {
		return nil, err
	}
	k, err := v.unwrap(aad, wrapped)
	if err != nil {
		return nil, err
	}
	claims, err := hkdf.Key(sha256.New, k[:], nil, "archive claims", len(k))
	if err != nil {
		return nil, err
	}
	t := &tenantKeys{newBox(k), claims}
	v.tenants.Put(id, t)
	return t, nil
}

// subject gives the opened key of a person, nil when it is gone for good.
func (v *Vault) subject(ctx context.Context, p person, create bool) (*box, error) {
	if b, ok := v.subjects.Get(p); ok {
		return b, nil
	}
	t, err := v.tenant(ctx, p.tenant, create)
	if err != nil || t == nil {
		return nil, err
	}
	aad := "subject " + p.tenant.String() + p.subject.String()
	var insert insertion
	if create {
		k := NewKey()
		insert = insertion{
			`INSERT INTO vault.subject_keys (tenant, subject, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			[]any{p.tenant, p.subject, t.box.seal(aad, k[:])},
		}
	}
	wrapped, err := v.read(ctx, insert, `SELECT wrapped FROM vault.subject_keys WHERE tenant = $1 AND subject = $2`, p.tenant, p.subject)
	if err != nil || wrapped == nil {
		return nil, err
	}
	k, err := t.box.openKey(aad, wrapped)
	if err != nil {
		return nil, err
	}
	b := newBox(k)
	v.subjects.Put(p, b)
	return b, nil
}

var errNoKey = errors.New("vault: there is no key for this: the vault is not the one the log was written with")

type insertion struct {
	sql  string
	args []any
}

// byMaster adds a fresh key wrapped by the master key, unless that was rotated meanwhile: then it adds nothing.
func (v *Vault) byMaster(aad, insert string, row any) insertion {
	k, m := NewKey(), v.master.Load()
	return insertion{insert + ` SELECT $1, $2 FROM vault.master WHERE key_id = $3 FOR SHARE ON CONFLICT DO NOTHING`, []any{row, m.seal(aad, k[:]), m.id}}
}

// read gives the wrapped key of a row, nil for a tombstone. A missing row is inserted first; of many who do, one wins for all.
func (v *Vault) read(ctx context.Context, insert insertion, query string, row ...any) ([]byte, error) {
	for try := 0; ; try++ {
		var wrapped []byte
		err := v.db.QueryRow(ctx, query, row...).Scan(&wrapped)
		switch {
		case err == nil:
			return wrapped, nil
		case !errors.Is(err, pgx.ErrNoRows):
			return nil, fmt.Errorf("vault: %w", err)
		case insert.sql == "":
			return nil, errNoKey
		case try > 0:
			return nil, errRotated
		}
		if _, err := v.db.Exec(ctx, insert.sql, insert.args...); err != nil {
			return nil, fmt.Errorf("vault: %w", err)
		}
	}
}

func (v *Vault) unwrap(aad string, wrapped []byte) (Key, error) {
	k, err := v.master.Load().openKey(aad, wrapped)
	if errors.Is(err, errOtherKey) {
		err = errRotated
	}
	return k, err
}
