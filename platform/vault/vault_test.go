package vault_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/pgtest"
	"github.com/bgce/archive/platform/vault"
)

var (
	tenant = uuid.MustParse("01900000-0000-7000-8000-0000000000aa")
	other  = uuid.MustParse("01900000-0000-7000-8000-0000000000ab")
	ada    = uuid.MustParse("01900000-0000-7000-8000-0000000000c1")
	bob    = uuid.MustParse("01900000-0000-7000-8000-0000000000c2")
)

func database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	return pgtest.Pool(t, pgtest.From(t, "vault", func(dsn string) error {
		db, err := pgxpool.New(context.Background(), dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		if err := vault.Migrate(context.Background(), db); err != nil {
			return err
		}
		return vault.Migrate(context.Background(), db) // again is nothing
	}))
}

func open(t *testing.T, db *pgxpool.Pool, k vault.Key) *vault.Vault {
	t.Helper()
	v, err := vault.Open(t.Context(), db, k)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func seal(t *testing.T, v *vault.Vault, subject uuid.UUID, text string) []byte {
	t.Helper()
	sealed, err := v.Seal(t.Context(), tenant, subject, "where", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func opens(t *testing.T, v *vault.Vault, subject uuid.UUID, sealed []byte, want string, wantKnown bool) {
	t.Helper()
	plain, known, err := v.Unseal(t.Context(), tenant, subject, "where", sealed)
	if err != nil || known != wantKnown || string(plain) != want {
		t.Fatalf("unseal: got %q known=%v err=%v, want %q known=%v", plain, known, err, want, wantKnown)
	}
}

func TestSealedValuesOpenInEveryProcessAndNowhereElse(t *testing.T) {
	db, key := database(t), vault.NewKey()
	v := open(t, db, key)
	sealed := seal(t, v, ada, "ada@example.org")
	if bytes.Contains(sealed, []byte("ada")) {
		t.Fatal("the value shows")
	}
	opens(t, v, ada, sealed, "ada@example.org", true)
	opens(t, open(t, db, key), ada, sealed, "ada@example.org", true)

	seal(t, v, bob, "bob has a key too")
	if _, _, err := v.Unseal(t.Context(), tenant, bob, "where", sealed); err == nil {
		t.Error("another person's key opened it")
	}
	if _, _, err := v.Unseal(t.Context(), tenant, ada, "elsewhere", sealed); err == nil {
		t.Error("it opened in another place than it was sealed for")
	}
	sealed[len(sealed)-1] ^= 1
	if _, _, err := v.Unseal(t.Context(), tenant, ada, "where", sealed); err == nil {
		t.Error("an altered value opened")
	}
	if _, _, err := v.Unseal(t.Context(), tenant, uuid.New(), "where", sealed); err == nil {
		t.Error("a person without a key is not an erased one")
	}
}

func TestErasedPersonNeverGetsANewKey(t *testing.T) {
	db, key := database(t), vault.NewKey()
	v := open(t, db, key)
	hers, his := seal(t, v, ada, "hers"), seal(t, v, bob, "his")
	for range 2 { // twice is once
		if err := v.Erase(t.Context(), tenant, ada); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range []*vault.Vault{v, open(t, db, key)} {
		opens(t, v, ada, hers, "", false)
		opens(t, v, bob, his, "his", true)
		if _, err := v.Seal(t.Context(), tenant, ada, "where", []byte("again")); !errors.Is(err, es.ErrErased) {
			t.Fatalf("sealing for an erased person: got %v, want ErrErased", err)
		}
	}
	never := uuid.New() // erased before anything was sealed
	if err := v.Erase(t.Context(), tenant, never); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Seal(t.Context(), tenant, never, "where", nil); !errors.Is(err, es.ErrErased) {
		t.Fatalf("got %v, want ErrErased", err)
	}
}

func TestDestroyedTenantIsGoneAsAWhole(t *testing.T) {
	db, key := database(t), vault.NewKey()
	v := open(t, db, key)
	sealed := seal(t, v, ada, "x")
	if err := v.DestroyTenant(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
	for _, v := range []*vault.Vault{v, open(t, db, key)} {
		opens(t, v, ada, sealed, "", false)
		if _, err := v.Seal(t.Context(), tenant, bob, "where", nil); !errors.Is(err, es.ErrErased) {
			t.Fatalf("got %v, want ErrErased", err)
		}
		if _, err := v.ClaimHash(t.Context(), tenant, "x"); !errors.Is(err, es.ErrErased) {
			t.Fatalf("got %v, want ErrErased", err)
		}
	}
}

func TestManyProcessesMakeOneKey(t *testing.T) {
	db, key := database(t), vault.NewKey()
	const processes = 16
	sealed := make([][]byte, processes)
	var wg sync.WaitGroup
	for i := range processes {
		v := open(t, db, key)
		wg.Go(func() { sealed[i], _ = v.Seal(t.Context(), tenant, ada, "where", []byte("same")) })
	}
	wg.Wait()
	v := open(t, db, key)
	for _, s := range sealed {
		opens(t, v, ada, s, "same", true)
	}
}

func TestRotationOfTheMasterKey(t *testing.T) {
	db, old, fresh := database(t), vault.NewKey(), vault.NewKey()
	v, bystander := open(t, db, old), open(t, db, old)
	sealed := seal(t, v, ada, "kept")
	claim, err := v.ClaimHash(t.Context(), tenant, "email\x00ada")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := v.Secret(t.Context(), "cursors")
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := v.Wrap(t.Context(), "signing", "kid", []byte("private"))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Rotate(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}

	for name, v := range map[string]*vault.Vault{"the process that rotated": v, "a new one": open(t, db, fresh)} {
		opens(t, v, ada, sealed, "kept", true)
		if again, err := v.ClaimHash(t.Context(), tenant, "email\x00ada"); err != nil || again != claim {
			t.Errorf("%s: the claim's hash changed (%v)", name, err)
		}
		if again, err := v.Secret(t.Context(), "cursors"); err != nil || again != secret {
			t.Errorf("%s: the secret changed (%v)", name, err)
		}
		if plain, err := v.Unwrap(t.Context(), "signing", "kid", wrapped); err != nil || string(plain) != "private" {
			t.Errorf("%s: got %q, %v", name, plain, err)
		}
	}
	if _, err := vault.Open(t.Context(), db, old); err == nil || !strings.Contains(err.Error(), "ARCHIVE_KEY") {
		t.Errorf("the old key: got %v, want an error naming ARCHIVE_KEY", err)
	}
	// A process with the old key must not wrap anything new by it.
	if _, err := bystander.Seal(t.Context(), other, ada, "where", nil); err == nil || !strings.Contains(err.Error(), "rotated") {
		t.Errorf("a process with the old key: got %v, want an error that says rotated", err)
	}
	if err := bystander.Rotate(t.Context(), vault.NewKey()); err == nil {
		t.Error("a process with the old key rotated")
	}
	opens(t, open(t, db, fresh), ada, sealed, "kept", true)
}

func TestClaimHashesTellTenantsApart(t *testing.T) {
	v := open(t, database(t), vault.NewKey())
	one, err := v.ClaimHash(t.Context(), tenant, "x")
	if err != nil {
		t.Fatal(err)
	}
	two, err := v.ClaimHash(t.Context(), other, "x")
	if err != nil || one == two {
		t.Fatalf("one value has one hash in two tenants (%v)", err)
	}
}

func TestAnnouncedErasuresWaitUntilDoneOrRetracted(t *testing.T) {
	v := open(t, database(t), vault.NewKey())
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	waiting := func() (ids []uuid.UUID) {
		t.Helper()
		list, err := v.Announced(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range list {
			ids = append(ids, e.Subject)
		}
		return ids
	}
	for i, id := range []uuid.UUID{ada, bob} {
		if err := v.Announce(t.Context(), tenant, id, at.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Retract(t.Context(), tenant, bob, at); err != nil { // somebody else's announcement
		t.Fatal(err)
	}
	if got := waiting(); len(got) != 2 || got[0] != ada || got[1] != bob {
		t.Fatalf("got %v, want ada, bob", got)
	}
	if err := v.Erase(t.Context(), tenant, ada); err != nil {
		t.Fatal(err)
	}
	if err := v.Retract(t.Context(), tenant, bob, at.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := waiting(); len(got) != 0 {
		t.Fatalf("got %v, want none", got)
	}
}

func TestParseKey(t *testing.T) {
	key := vault.NewKey()
	path := filepath.Join(t.TempDir(), "master")
	if err := os.WriteFile(path, []byte(key.Base64()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{key.Base64(), "file:" + path, base64.RawURLEncoding.EncodeToString(key[:])} {
		if got, err := vault.ParseKey(text); err != nil || got != key {
			t.Errorf("a good key was refused: %v", err)
		}
	}
	for _, text := range []string{"", "c2hvcnQ=", "not base64 at all!", "file:" + path + ".none", strings.Repeat("A", 88)} {
		_, err := vault.ParseKey(text)
		if err == nil || !strings.Contains(err.Error(), "ARCHIVE_KEY") {
			t.Errorf("%d characters: got %v, want an error naming ARCHIVE_KEY", len(text), err)
		}
		if err != nil && len(text) > 20 && !strings.HasPrefix(text, "file:") && strings.Contains(err.Error(), text) {
			t.Error("the error shows the value")
		}
	}
}
