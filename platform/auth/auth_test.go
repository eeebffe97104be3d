package auth_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/pgtest"
	"github.com/bgce/archive/platform/vault"
)

var (
	tenant  = uuid.MustParse("01900000-0000-7000-8000-0000000000aa")
	other   = uuid.MustParse("01900000-0000-7000-8000-0000000000ab")
	account = uuid.MustParse("01900000-0000-7000-8000-0000000000c1")
	session = uuid.MustParse("01900000-0000-7000-8000-0000000000d1")
	noon    = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	family  = auth.Session{Tenant: tenant, Account: account, ID: session}
)

type world struct {
	*auth.Service
	db    *pgxpool.Pool
	vault *vault.Vault
	now   time.Time
}

// another is a second process on the same database and clock.
func (w *world) another() *auth.Service {
	s := auth.New(w.db, w.vault)
	s.Clock = func() time.Time { return w.now }
	return s
}

func start(t *testing.T) *world {
	t.Helper()
	db := pgtest.Pool(t, pgtest.From(t, "auth", func(dsn string) error {
		db, err := pgxpool.New(context.Background(), dsn)
		if err != nil {
			return err
		}
		defer db.Close()
		return errors.Join(vault.Migrate(context.Background(), db), auth.Migrate(context.Background(), db), auth.Migrate(context.Background(), db))
	}))
	v, err := vault.Open(t.Context(), db, vault.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, vault: v, now: noon}
	w.Service = w.another()
	return w
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestPasswords(t *testing.T) {
	hash := must[string](t)(auth.HashPassword(t.Context(), "correct horse"))
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %.40s", hash)
	}
	for name, c := range map[string]struct {
		password, hash string
		match          bool
	}{
		"right":            {"correct horse", hash, true},
		"wrong":            {"battery staple", hash, false},
		"nobody":           {"no account has this password", "", false},
		"nothing, nowhere": {"", "", false},
	} {
		if match, _, err := auth.CheckPassword(t.Context(), c.password, c.hash); err != nil || match != c.match {
			t.Errorf("%s: got %v, %v", name, match, err)
		}
	}
	weak := must[string](t)(argon2id.CreateHash("x", &argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 8, KeyLength: 16}))
	for stored, want := range map[string]bool{hash: false, weak: true} {
		password := map[string]string{hash: "correct horse", weak: "x"}[stored]
		if match, stale, err := auth.CheckPassword(t.Context(), password, stored); !match || stale != want || err != nil {
			t.Errorf("%.30s: got match=%v stale=%v, %v", stored, match, stale, err)
		}
	}
	if _, _, err := auth.CheckPassword(t.Context(), "x", "x"); err == nil {
		t.Error("a stored password in the clear is an error")
	}
}

func TestTokensAreVerifiedByEveryProcess(t *testing.T) {
	w := start(t)
	token := must[string](t)(w.Issue(t.Context(), auth.Grant{Tenant: tenant, Account: account, Session: session, Roles: []string{"editor"}}))
	got, err := w.another().Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject != account || got.Tenant != tenant || got.Session != session || len(got.Roles) != 1 || got.Roles[0] != "editor" ||
		!got.IssuedAt.Equal(noon) || !got.Expires.Equal(noon.Add(15*time.Minute)) {
		t.Errorf("got %+v", got)
	}
	w.now = noon.Add(15*time.Minute + 11*time.Second)
	if _, err := w.Verify(t.Context(), token); !errors.Is(err, jwt.ErrTokenExpired) {
		t.Errorf("after its time: got %v", err)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	w := start(t)
	genuine := must[string](t)(w.Issue(t.Context(), auth.Grant{Tenant: tenant, Account: account}))
	var header struct {
		Kid string `json:"kid"`
	}
	raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(genuine, ".")[0])
	if err := json.Unmarshal(raw, &header); err != nil {
		t.Fatal(err)
	}
	_, own, _ := ed25519.GenerateKey(nil)
	public := must[auth.JWKS](t)(w.JWKS(t.Context())).Keys[0].X
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"iss": "archive", "aud": "archive", "sub": account.String(), "tenant": tenant.String(), "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix()}
		if change != nil {
			change(c)
		}
		return c
	}
	sign := func(method jwt.SigningMethod, kid string, c jwt.MapClaims, key any) string {
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"] = kid
		return must[string](t)(token.SignedString(key))
	}
	for name, token := range map[string]string{
		"empty":                "",
		"no token":             "hello",
		"alg none":             sign(jwt.SigningMethodNone, header.Kid, claims(nil), jwt.UnsafeAllowNoneSignatureType),
		"hmac with public key": sign(jwt.SigningMethodHS256, header.Kid, claims(nil), []byte(public)),
		"another's key":        sign(jwt.SigningMethodEdDSA, header.Kid, claims(nil), own),
		"an unknown kid":       sign(jwt.SigningMethodEdDSA, "nobody", claims(nil), own),
		"altered":              genuine[:len(genuine)-8] + "AAAAAAAA",
		"cut":                  genuine[:strings.LastIndexByte(genuine, '.')+1],
	} {
		if _, err := w.Verify(t.Context(), token); err == nil || errors.Is(err, auth.ErrKeys) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// Signed by our own key, and still wrong.
	key := signingKey(t, w, header.Kid)
	if _, err := w.Verify(t.Context(), sign(jwt.SigningMethodEdDSA, header.Kid, claims(nil), key)); err != nil {
		t.Fatalf("the test's own token: %v", err)
	}
	for name, change := range map[string]func(jwt.MapClaims){
		"wrong audience": func(c jwt.MapClaims) { c["aud"] = "elsewhere" },
		"no audience":    func(c jwt.MapClaims) { delete(c, "aud") },
		"wrong issuer":   func(c jwt.MapClaims) { c["iss"] = "elsewhere" },
		"no expiry":      func(c jwt.MapClaims) { delete(c, "exp") },
		"expired":        func(c jwt.MapClaims) { c["exp"] = noon.Add(-time.Minute).Unix() },
		"from tomorrow":  func(c jwt.MapClaims) { c["iat"] = noon.Add(24 * time.Hour).Unix() },
		"no subject":     func(c jwt.MapClaims) { delete(c, "sub") },
		"no tenant":      func(c jwt.MapClaims) { delete(c, "tenant") },
	} {
		if _, err := w.Verify(t.Context(), sign(jwt.SigningMethodEdDSA, header.Kid, claims(change), key)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// signingKey opens a stored key, as only the vault can.
func signingKey(t *testing.T, w *world, kid string) ed25519.PrivateKey {
	t.Helper()
	var sealed []byte
	if err := w.db.QueryRow(t.Context(), `SELECT private FROM auth.signing_keys WHERE kid = $1`, kid).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	seed := must[[]byte](t)(w.vault.Unwrap(t.Context(), "auth.signing_keys", kid, sealed))
	key := ed25519.NewKeyFromSeed(seed)
	if bytes.Contains(sealed, seed) {
		t.Fatal("the private key shows in the table")
	}
	return key
}

func TestRotationOverlaps(t *testing.T) {
	w := start(t)
	far := w.another() // has read the keys before they change
	grant := auth.Grant{Tenant: tenant, Account: account}
	before := must[string](t)(far.Issue(t.Context(), grant))
	first := must[auth.JWKS](t)(w.JWKS(t.Context()))
	if len(first.Keys) != 2 {
		t.Fatalf("got %d keys, want the signing one and the next one", len(first.Keys))
	}
	kid := must[string](t)(w.Rotate(t.Context(), noon))
	if kid != first.Keys[0].ID && kid != first.Keys[1].ID {
		t.Error("the key that signs now was not published before")
	}
	after := must[string](t)(w.Issue(t.Context(), grant))
	late := must[string](t)(far.Issue(t.Context(), grant)) // by the key it still trusts
	for name, token := range map[string]string{"before": before, "after": after, "late": late} {
		for _, s := range []*auth.Service{w.Service, far, w.another()} {
			if _, err := s.Verify(t.Context(), token); err != nil {
				t.Errorf("a token from %s the rotation: %v", name, err)
			}
		}
	}
	if n := len(must[auth.JWKS](t)(w.JWKS(t.Context())).Keys); n != 3 {
		t.Errorf("got %d keys, want active, next and retired", n)
	}
	w.now = noon.Add(61 * time.Minute)
	if _, err := w.Rotate(t.Context(), w.now); err != nil {
		t.Fatal(err)
	}
	if n := len(must[auth.JWKS](t)(w.JWKS(t.Context())).Keys); n != 3 {
		t.Errorf("got %d keys, want the first one gone", n)
	}
}

func TestProcessesThatStartTogetherShareOneSigningKey(t *testing.T) {
	w := start(t)
	tokens := make([]string, 8)
	var wg sync.WaitGroup
	for i := range tokens {
		s := w.another()
		wg.Go(func() { tokens[i], _ = s.Issue(t.Context(), auth.Grant{Tenant: tenant, Account: account}) })
	}
	wg.Wait()
	for _, token := range tokens {
		if _, err := w.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(must[auth.JWKS](t)(w.JWKS(t.Context())).Keys); n != 2 {
		t.Errorf("got %d keys, want 2", n)
	}
}

func TestServeKeys(t *testing.T) {
	w := start(t)
	answer := httptest.NewRecorder()
	w.ServeKeys(answer, httptest.NewRequest("GET", "/.well-known/jwks.json", nil))
	var doc struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &doc); err != nil || answer.Code != 200 || len(doc.Keys) != 2 {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	for _, k := range doc.Keys {
		x, err := base64.RawURLEncoding.DecodeString(k["x"])
		if err != nil || len(x) != 32 || k["kty"] != "OKP" || k["crv"] != "Ed25519" || k["alg"] != "EdDSA" || k["use"] != "sig" || k["kid"] == "" || len(k) != 6 {
			t.Errorf("got %v", k)
		}
	}
}
