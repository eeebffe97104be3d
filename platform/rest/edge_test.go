package rest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/directory"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
)

func TestTenants(t *testing.T) {
	s := server(t, func(c *rest.Config) { c.Loopback = true })
	s.Exec(`UPDATE apitest_tenants.tenants SET status = 'suspended' WHERE id = $1`, apitest.Globex)
	s.Run(t, []apitest.Case{
		{
			Name: "an unknown host is named, and the domain to use", Do: "GET /api/v1/berths", Host: "Nowhere.test:8080", Status: 421, Code: "rest.unknown_host",
			Want: `{"detail":"no tenant answers on \"nowhere.test\"; ARCHIVE_DOMAIN is \"root.test\", and a tenant's own domain must be verified first"}`,
		},
		{Name: "a host in capitals with a port", Do: "GET /api/v1/berths", Host: "ACME.test:8080", Status: 200},
		{Name: "loopback is the root tenant", Do: "GET /api/v1/berths", As: "platform", Host: "127.0.0.1:8080", Status: 200},
		{Name: "and so is IPv6", Do: "GET /api/v1/berths", As: "platform", Host: "[::1]:8080", Status: 200},
		{Name: "a token of another tenant", Do: "GET /api/v1/berths", As: "user", Host: "root.test", Status: 403, Code: "rest.wrong_tenant"},
		{Name: "a suspended tenant", Do: "GET /api/v1/berths", Host: "globex.test", Status: 403, Code: "rest.tenant_inactive"},
		{Name: "elsewhere without a reason", Do: "POST /api/v1/berths", As: "platform", Header: h("Archive-Tenant", apitest.Acme.String()), Body: `{"name":"n"}`, Status: 422, Code: "rest.reason_required"},
		{Name: "elsewhere without the right", Do: "POST /api/v1/berths", As: "admin", Header: h("Archive-Tenant", apitest.Globex.String(), "Archive-Reason", "x"), Body: `{"name":"n"}`, Status: 403, Code: "rest.forbidden"},
		{Name: "elsewhere is nowhere", Do: "POST /api/v1/berths", As: "platform", Header: h("Archive-Tenant", uuid.NewString(), "Archive-Reason", "x"), Body: `{"name":"n"}`, Status: 422, Code: "rest.unknown_tenant"},
		{Name: "elsewhere with a reason", Do: "POST /api/v1/berths", As: "platform", Header: h("Archive-Tenant", apitest.Acme.String(), "Archive-Reason", "ticket 7"), Body: `{"name":"n"}`, Status: 201, Events: []string{"harbour.berth.opened"}},
		{Name: "it lies there", Do: "GET /api/v1/berths/{id}", As: "user", Status: 200, Want: `{"name":"n"}`},
		{Name: "and not at home", Do: "GET /api/v1/berths/{id}", As: "platform", Status: 404},
	})
	page, err := s.Store.At(context.Background(), s.Head())
	if err != nil {
		t.Fatal(err)
	}
	var meta map[string]string
	if err := json.Unmarshal(page.Meta, &meta); err != nil || meta["reason"] != "ticket 7" || meta["archive_tenant"] != apitest.Acme.String() {
		t.Errorf("meta %s", page.Meta)
	}
	if page.Tenant != apitest.Acme || page.Actor != apitest.Account("platform").String() {
		t.Errorf("tenant %s, actor %s", page.Tenant, page.Actor)
	}
}

func TestForwardedHeadersOnlyFromProxies(t *testing.T) {
	forwarded := apitest.Case{Do: "GET /api/v1/berths", Host: "acme.test", Header: h("X-Forwarded-Host", "nowhere.test")}
	if a := server(t).Do(t, forwarded); a.Status != 200 {
		t.Errorf("somebody's header was believed: %d", a.Status)
	}
	trusting := server(t, func(c *rest.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
	if a := trusting.Do(t, forwarded); a.Status != 421 {
		t.Errorf("the proxy's header was not believed: %d", a.Status)
	}
}

// forge makes tokens nobody should accept.
func forge(t *testing.T, method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
	t.Helper()
	c := jwt.MapClaims{
		"iss": auth.Issuer, "aud": auth.Audience, "sub": apitest.Account("user").String(), "tenant": apitest.Acme.String(),
		"sid": apitest.Account("user").String(), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	if change != nil {
		change(c)
	}
	token, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokens(t *testing.T) {
	s := server(t)
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	valid := s.Token("user")
	parts := strings.Split(valid, ".")
	late := auth.New(s.DB, s.Vault)
	late.Clock = func() time.Time { return time.Now().Add(-time.Hour) }
	expired, err := late.Issue(t.Context(), auth.Grant{Tenant: apitest.Acme, Account: apitest.Account("user"), Session: apitest.Account("user")})
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	admin := base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), apitest.Account("user").String(), apitest.Account("admin").String(), 1)))
	for name, token := range map[string]string{
		"forged by another key": forge(t, jwt.SigningMethodEdDSA, stranger, nil),
		"alg none":              forge(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"a secret as key":       forge(t, jwt.SigningMethodHS256, []byte("x"), nil),
		"expired":               expired,
		"another payload":       parts[0] + "." + admin + "." + parts[2],
		"no signature":          parts[0] + "." + parts[1] + ".",
		"no token at all":       "x",
		"huge":                  strings.Repeat("x", 20000),
	} {
		a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths", Host: "acme.test", Header: h("Authorization", "Bearer "+token)})
		if a.Status != 401 || a.Code() != "rest.invalid_token" || a.Header.Get("WWW-Authenticate") != `Bearer realm="archive", error="invalid_token"` {
			t.Errorf("%s: %d %s %v", name, a.Status, a.Body, a.Header)
		}
		if strings.Contains(string(a.Body), token) {
			t.Errorf("%s: the answer repeats the token", name)
		}
	}
	if a := s.Do(t, apitest.Case{Do: "POST /api/v1/berths"}); a.Status != 401 || a.Header.Get("WWW-Authenticate") != `Bearer realm="archive"` {
		t.Errorf("nobody: %d %v", a.Status, a.Header)
	}
	if a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths", Host: "acme.test", Header: h("Authorization", "Basic dXNlcjpw")}); a.Status != 401 {
		t.Errorf("another scheme: %d", a.Status)
	}
}

// TestTheDirectoryBites shows that suspension, role loss, log-out and a new password end what a valid token could do, within 2 s.
func TestTheDirectoryBites(t *testing.T) {
	s := server(t)
	change := map[string]func(){
		"admin": func() {
			s.Exec(`UPDATE apitest_accounts.accounts SET roles = '{}' WHERE id = $1`, apitest.Account("admin"))
		},
		"user": func() {
			s.Exec(`UPDATE apitest_accounts.accounts SET status = 'suspended' WHERE id = $1`, apitest.Account("user"))
		},
		"editor": func() {
			s.Exec(`UPDATE apitest_sessions.sessions SET ended_at = now() WHERE id = $1`, apitest.Account("editor"))
		},
		"viewer": func() {
			s.Exec(`UPDATE apitest_accounts.accounts SET sessions_valid_from = now() WHERE id = $1`, apitest.Account("viewer"))
		},
		"service": func() { s.Exec(`DELETE FROM apitest_sessions.sessions WHERE id = $1`, apitest.Account("service")) },
	}
	do := func(as string) int {
		t.Helper()
		path := "/api/v1/berths"
		if as == "admin" {
			path = "/api/v1/berths/count"
		}
		a := s.Do(t, apitest.Case{Do: "GET " + path, As: as})
		if a.Status == 503 {
			t.Fatalf("%s: %s", as, a.Body)
		}
		return a.Status
	}
	for as, f := range change {
		if got := do(as); got != 200 {
			t.Fatalf("%s before: %d", as, got)
		}
		f()
	}
	want := map[string]int{"admin": 403, "user": 401, "editor": 401, "viewer": 401, "service": 200} // a fresh token may be ahead of the view
	deadline := time.Now().Add(directory.Fresh + 900*time.Millisecond)
	for as := range change {
		got := do(as)
		for got != want[as] && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
			got = do(as)
		}
		if got != want[as] {
			t.Errorf("%s: still %d, want %d", as, got, want[as])
		}
	}
}

func TestWhatNeedsNoTenant(t *testing.T) {
	ready := errors.New("secret of the check")
	s := server(t, func(c *rest.Config) {
		c.Ready = map[string]func(context.Context) error{"database": func(context.Context) error { return nil }, "log": func(context.Context) error { return ready }}
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("metrics")) })
	})
	for path, status := range map[string]int{
		"/health": 200, "/health/live": 200, "/health/ready": 503, "/metrics": 200, "/openapi.json": 200, "/docs": 200,
		"/docs/docs.js": 200, "/docs/docs.css": 200, "/problems": 200, "/problems/rest.stale": 200, "/problems/rest.nothing": 404,
	} {
		a := s.Do(t, apitest.Case{Do: "GET " + path, Host: "nowhere.test"})
		if a.Status != status || strings.Contains(string(a.Body), "secret") {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
		for _, name := range []string{"X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy"} {
			if a.Header.Get(name) == "" {
				t.Errorf("%s lacks %s", path, name)
			}
		}
	}
	a := s.Do(t, apitest.Case{Do: "GET /health"})
	if checks := a.JSON(t)["checks"].(map[string]any); checks["database"] != "ok" || checks["log"] != "failing" {
		t.Errorf("%s", a.Body)
	}
	page := s.Do(t, apitest.Case{Do: "GET /problems/rest.stale", Header: h("Accept", "text/html")})
	if !strings.Contains(string(page.Body), "<code>rest.stale</code>") {
		t.Errorf("%s", page.Body)
	}
}

// TestDocsStandAlone holds the page to its own policy: no inline script or style, nothing from elsewhere.
func TestDocsStandAlone(t *testing.T) {
	s := server(t)
	for _, path := range []string{"/docs", "/problems", "/problems/rest.stale"} {
		a := s.Do(t, apitest.Case{Do: "GET " + path, Header: h("Accept", "text/html")})
		body := string(a.Body)
		if !strings.HasPrefix(a.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: policy %q", path, a.Header.Get("Content-Security-Policy"))
		}
		for _, no := range []string{"http://", "https://", "<style", " style=", "onclick=", "javascript:"} {
			if strings.Contains(body, no) {
				t.Errorf("%s contains %s", path, no)
			}
		}
		if strings.Count(body, "<script") != strings.Count(body, "<script src=\"/docs/") {
			t.Errorf("%s has a script of its own", path)
		}
	}
}

func TestLimits(t *testing.T) {
	s := server(t, func(c *rest.Config) { c.Limits = rest.Limits{Reads: 3, Writes: 2, Auth: -1} })
	var last apitest.Answer
	for range 3 {
		last = s.Do(t, apitest.Case{Do: "GET /api/v1/berths"})
		if last.Status != 200 {
			t.Fatalf("%d %s", last.Status, last.Body)
		}
	}
	if p := last.Header.Get("RateLimit-Policy"); p != `"read";q=3;w=60` {
		t.Errorf("policy %q", p)
	}
	if r := last.Header.Get("RateLimit"); !strings.HasPrefix(r, `"read";r=0;t=`) {
		t.Errorf("limit %q", r)
	}
	a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths"})
	if a.Status != 429 || a.Code() != "rest.limited" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
	if a := s.Do(t, apitest.Case{Do: "POST /api/v1/berths", As: "user", Body: `{"name":"n"}`}); a.Status != 201 {
		t.Errorf("writes are counted apart: %d", a.Status)
	}
}

func TestCORS(t *testing.T) {
	ask := apitest.Case{Do: "OPTIONS /api/v1/berths", Header: h("Origin", "https://app.test", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,if-match")}
	if a := server(t).Do(t, ask); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("CORS is on by default")
	}
	s := server(t, func(c *rest.Config) { c.Origins = []string{"https://app.test"} })
	if a := s.Do(t, ask); a.Header.Get("Access-Control-Allow-Origin") != "https://app.test" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	ask.Header["Origin"] = "https://evil.test"
	if a := s.Do(t, ask); a.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("any origin may call")
	}
}

func TestTrace(t *testing.T) {
	s := server(t)
	parent := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths/count", Header: h("Traceparent", parent)})
	if a.JSON(t)["trace_id"] != "4bf92f3577b34da6a3ce929d0e0e4736" {
		t.Errorf("%s", a.Body)
	}
	open := apitest.Case{Do: "POST /api/v1/berths", As: "user", Header: h("Traceparent", parent, "Correlation-Id", "018f0000-0000-7000-8000-000000000009"), Body: `{"name":"n"}`}
	s.Do(t, open)
	e, err := s.Store.At(t.Context(), s.Head())
	if err != nil || e.Correlation.String() != "018f0000-0000-7000-8000-000000000009" || !strings.Contains(string(e.Meta), parent) {
		t.Errorf("%v %+v", err, e)
	}
}

// TestADirectoryFarBehindStopsCommands: who may do what is not known any more, so nothing is decided; reading goes on.
func TestADirectoryFarBehindStopsCommands(t *testing.T) {
	var late atomic.Int64 // how far the clock is ahead
	s := server(t, func(c *rest.Config) {
		c.Directory = directory.New(c.DB, func(context.Context) (eventstore.Position, error) { return "z", nil })
		c.Directory.Clock = func() time.Time { return time.Now().Add(time.Duration(late.Load())) }
	})
	open(t, s, "user", "in time") // the views have not reached z, but only just
	late.Store(int64(directory.MaxLag + time.Second))
	s.Run(t, []apitest.Case{
		{Name: "a command waits", Do: "POST /api/v1/berths", As: "user", Body: `{"name":"n"}`, Status: 503, Code: "rest.directory_lagging"},
		{Name: "a question does not", Do: "GET /api/v1/berths", As: "user", Status: 200},
	})
}

// TestWhatIsKeptOfARequest: the log and the metrics have the operation and numbers, never what somebody typed.
func TestWhatIsKeptOfARequest(t *testing.T) {
	var lines bytes.Buffer
	metrics := prometheus.NewRegistry()
	s := server(t, func(c *rest.Config) {
		c.Log, c.Registry = slog.New(slog.NewJSONHandler(&lines, nil)), metrics
	})
	s.Do(t, apitest.Case{Do: "GET /api/v1/berths?name=" + secret, As: "user"})
	s.Do(t, apitest.Case{Do: "GET /api/v1/" + secret, Host: secret})
	s.Do(t, apitest.Case{Do: "GET /api/v1/berths/break?how=" + secret, As: "user"})
	log := lines.String()
	if strings.Contains(log, secret) || strings.Contains(log, s.Token("user")) || strings.Contains(log, "192.0.2.1") {
		t.Errorf("the log has what was sent:\n%s", log)
	}
	for _, want := range []string{`"operation":"harbour-list-berths"`, `"route":"/api/v1/berths"`, `"code":"rest.internal"`, `"cause":"secret of the database"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
	families, err := metrics.Gather()
	if err != nil || len(families) != 1 || families[0].GetName() != "archive_http_request_duration_seconds" {
		t.Fatalf("%v %v", families, err)
	}
	seen := map[string]bool{}
	for _, m := range families[0].GetMetric() {
		seen[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = true
	}
	if !seen["harbour-list-berths 200"] || !seen["none 404"] || !seen["harbour-break-berth 500"] {
		t.Errorf("%v", seen)
	}
}
