package api

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// callers is who may not, and where nobody may.
func callers(t *testing.T, c *catalogue) {
	w := start(t, nil)
	w.furnish(t)
	w.tell(
		t, step{
			Name: "a tenant", By: root, Do: "POST /api/v1/tenants", Body: `{"name":"Hooli","domain":"hooli.localhost"}`, Status: 201,
			Events: tenantMade, Save: "hooli",
		},
		step{
			Name: "that was closed", By: root, Do: "POST /api/v1/tenants/{hooli}/suspend", Body: `{"reason":"r"}`, Status: 200,
			Events: "cortex.tenant.suspended",
		},
		newUser(boss, "bob@acme.localhost"), logIn("bob@acme.localhost"),
		step{
			Name: "a draft", By: ada, Do: "POST /api/v1/posts", Body: `{"title":"Draft"}`, Status: 201, Events: "postal.post.created",
			Save: "draft",
		},
	)
	const bob, tag = "bob@acme.localhost", `{"name":"Sea"}`
	w.names["ada@globex.localhost"], w.names["boss@root.localhost"], w.names["nothing"] = w.names[ada], w.names[hank], uuid.NewString()
	elsewhere := func(name, code, by string, header ...string) step {
		return step{Name: name, By: by, Do: "POST /api/v1/tags", Body: tag, Header: header, Code: code}
	}
	c.provoke(
		t, w,
		step{Name: "nobody writes", By: anyone, Do: "POST /api/v1/posts", Body: `{"title":"T"}`, Code: "rest.unauthorized"},
		step{
			Name: "nobody, however they say it", By: anyone, Do: "POST /api/v1/posts",
			Header: []string{"Authorization", "Basic YWRhOmFkYQ=="}, Body: `{"title":"T"}`, Code: "rest.invalid_token",
		},
		step{Name: "a writer makes no accounts", By: ada, Do: "GET /api/v1/users", Code: "rest.forbidden"},
		step{Name: "a tenant's administrator makes no tenants", By: boss, Do: "GET /api/v1/tenants", Code: "rest.forbidden"},
		step{Name: "a reader edits nothing of others", By: bob, Do: "POST /api/v1/posts/{post}/archive", Code: "rest.forbidden"},
		step{Name: "and does not learn of drafts", By: bob, Do: "POST /api/v1/posts/{draft}/archive", Code: "rest.not_found"},
		step{Name: "nor their titles", By: bob, Do: "GET /api/v1/posts/{draft}", Code: "rest.not_found"},
		step{Name: "nor their versions", By: bob, Do: "GET /api/v1/posts/{draft}/versions", Code: "postal.version_not_found"},
		step{Name: "a host nobody has", By: "@nowhere.example", Do: "GET /api/v1/posts", Code: "rest.unknown_host"},
		step{Name: "a host nobody can have", By: "@n\xffwhere", Do: "GET /api/v1/posts", Code: "rest.unknown_host"},
		step{Name: "a tenant that was closed", By: "@hooli.localhost", Do: "GET /api/v1/posts", Code: "rest.tenant_inactive"},
		step{Name: "acme's token at globex", By: "ada@globex.localhost", Do: "GET /api/v1/auth/me", Code: "rest.wrong_tenant"},
		step{Name: "globex's administrator's at the platform", By: "boss@root.localhost", Do: "GET /api/v1/tenants", Code: "rest.wrong_tenant"},
		elsewhere("in another tenant, for no reason", "rest.reason_required", root, "Archive-Tenant", "{acme}"),
		elsewhere("for a very long one", "rest.reason_required", root, "Archive-Tenant", "{acme}", "Archive-Reason", large(501)),
		elsewhere("in no tenant", "rest.unknown_tenant", root, "Archive-Tenant", "{nothing}", "Archive-Reason", "r"),
		elsewhere("in what is no id", "rest.unknown_tenant", root, "Archive-Tenant", "acme", "Archive-Reason", "r"),
		elsewhere("by another tenant's administrator", "rest.forbidden", hank, "Archive-Tenant", "{acme}", "Archive-Reason", "r"),
		elsewhere("by nobody", "rest.unauthorized", anyone, "Archive-Tenant", "{acme}", "Archive-Reason", "r"),
	)
}

// tokens nobody should accept: all that a forger, a thief or another service could bring.
func tokens(t *testing.T, c *catalogue) {
	w := start(t, nil)
	w.furnish(t)
	genuine := w.names[ada]
	part := strings.Split(genuine, ".")
	kid, own := w.signingKey(t, part[0])
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		now := time.Now()
		claims := jwt.MapClaims{
			"iss": "archive", "aud": "archive", "sub": w.names[ada+".id"], "tenant": w.names["acme"],
			"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}
		if change != nil {
			change(claims)
		}
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = kid
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	set := func(name string, value any) string {
		return sign(jwt.SigningMethodEdDSA, own, func(c jwt.MapClaims) { c[name] = value })
	}
	w.names["forger@acme.localhost"] = sign(jwt.SigningMethodEdDSA, own, nil)
	w.tell(t, step{
		Name: "what this test signs is a token", By: "forger@acme.localhost", Do: "GET /api/v1/auth/me", Status: 200,
		Want: `{"actor":"{ada@acme.localhost.id}"}`,
	})
	payload, err := base64.RawURLEncoding.DecodeString(part[1])
	if err != nil {
		t.Fatal(err)
	}
	promoted := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), `"editor"`, `"admin"`, 1)))
	for name, token := range map[string]string{
		"signed by somebody else":     sign(jwt.SigningMethodEdDSA, stranger, nil),
		"alg none":                    sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"the public key as a secret":  sign(jwt.SigningMethodHS256, []byte(own.Public().(ed25519.PublicKey)), nil),
		"expired":                     set("exp", time.Now().Add(-time.Minute).Unix()),
		"of tomorrow":                 set("iat", time.Now().Add(24*time.Hour).Unix()),
		"for another service":         set("aud", "billing"),
		"by another issuer":           set("iss", "https://login.example"),
		"for nobody":                  set("sub", ""),
		"for no tenant":               set("tenant", uuid.Nil.String()),
		"with other roles":            part[0] + "." + promoted + "." + part[2],
		"without its signature":       part[0] + "." + part[1] + ".",
		"a refresh token":             w.names[ada+".refresh"],
		"no token at all":             "null",
		"twenty thousand characters":  large(20_000),
		"of somebody who was deleted": w.goneToken(t),
	} {
		w.names["forger@acme.localhost"] = token
		c.provoke(t, w, step{Name: name, By: "forger@acme.localhost", Do: "GET /api/v1/auth/me", Code: "rest.invalid_token"})
	}
}

// signingKey opens the key that signs, as only the vault can.
func (w *world) signingKey(t *testing.T, header string) (string, ed25519.PrivateKey) {
	t.Helper()
	var h struct {
		Kid string `json:"kid"`
	}
	raw, _ := base64.RawURLEncoding.DecodeString(header)
	if err := json.Unmarshal(raw, &h); err != nil {
		t.Fatal(err)
	}
	var sealed []byte
	if err := w.DB.QueryRow(t.Context(), `SELECT private FROM auth.signing_keys WHERE kid = $1`, h.Kid).Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	seed, err := w.Vault.Unwrap(t.Context(), "auth.signing_keys", h.Kid, sealed)
	if err != nil {
		t.Fatal(err)
	}
	return h.Kid, ed25519.NewKeyFromSeed(seed)
}

// goneToken is a good token of somebody who was deleted meanwhile.
func (w *world) goneToken(t *testing.T) string {
	t.Helper()
	const dora = "dora@acme.localhost"
	w.does(t, newUser(boss, dora))
	w.does(t, logIn(dora))
	w.does(t, step{By: boss, Do: "DELETE /api/v1/users/{dora@acme.localhost.id}", Status: 200, Events: "cortex.user.deleted"})
	return w.names[dora]
}
