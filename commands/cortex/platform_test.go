package cortex_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/commands/cortex"
	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
	questions "github.com/bgce/archive/readapi/cortex"
)

func TestTenantsOverHTTP(t *testing.T) {
	w := start(t)
	acme := "/api/v1/tenants/" + w.acme.String()
	wants(t, w.as(t, boss, "POST /api/v1/tenants", object{"name": "Mine", "domain": "mine.localhost"}), 403, "rest.forbidden")
	wants(t, w.as(t, platform, "POST /api/v1/tenants", object{"name": "Thief", "domain": "ACME.localhost"}), 409, "cortex.domain_taken")
	wants(t, w.as(t, platform, "POST /api/v1/tenants", object{"name": "X", "domain": "a/b"}), 422, "cortex.domain_invalid")
	wants(t, w.as(t, boss, "PUT "+acme, object{"name": "Acme & Co", "color": "#336699"}), 200, "")
	wants(t, w.as(t, boss, "PUT /api/v1/tenants/"+domain.Root.String(), object{"name": "Mine"}), 404, "rest.not_found")
	wants(t, w.as(t, platform, "POST "+acme+"/domains", object{"domain": "acme.example"}), 200, "")
	wants(t, w.as(t, platform, "PUT "+acme+"/domains/acme.example/primary", nil), 409, "cortex.domain_unverified")
	w.caughtUp(t)
	wants(t, w.do(t, "", rootHost, "GET /api/v1/tenants/by-domain/acme.example", nil, nil), 404, "cortex.tenant_unknown")
	wants(t, w.as(t, platform, "POST "+acme+"/domains/acme.example/verify", nil), 200, "")
	wants(t, w.as(t, platform, "PUT "+acme+"/domains/acme.example/primary", nil), 200, "")
	w.caughtUp(t)
	got := w.do(t, "", rootHost, "GET /api/v1/tenants/by-domain/ACME.example", nil, nil)
	wants(t, got, 200, "")
	if v := got.JSON(t); v["name"] != "Acme & Co" || v["domain"] != "acme.example" || v["created_at"] != nil {
		t.Errorf("got %v", v)
	}
	list := w.as(t, platform, "GET /api/v1/tenants", nil)
	wants(t, list, 200, "")
	if n := len(list.JSON(t)["items"].([]any)); n != 2 {
		t.Errorf("got %d tenants, want 2", n)
	}
	wants(t, w.as(t, boss, "GET /api/v1/tenants", nil), 403, "rest.forbidden")
	for _, email := range []string{boss, platform} {
		got := w.as(t, email, "GET "+acme, nil)
		wants(t, got, 200, "")
		if got.Header.Get("ETag") != `"8"` || got.JSON(t)["version"] != 8.0 {
			t.Errorf("%s reads ETag %s of %s", email, got.Header.Get("ETag"), got.Body)
		}
	}
	wants(t, w.as(t, boss, "GET /api/v1/tenants/"+domain.Root.String(), nil), 404, "rest.not_found")

	wants(t, w.as(t, platform, "DELETE "+acme, nil), 409, "cortex.tenant_active")
	wants(t, w.as(t, platform, "DELETE /api/v1/tenants/"+domain.Root.String(), nil), 409, "cortex.tenant_root")
	wants(t, w.as(t, platform, "POST "+acme+"/suspend", object{"reason": "unpaid"}), 200, "")
	eventually(t, "a suspended tenant is closed", func() bool {
		return w.as(t, boss, "GET /api/v1/auth/me", nil).Code() == "rest.tenant_inactive"
	})
	wants(t, w.as(t, platform, "POST "+acme+"/reactivate", nil), 200, "")
	wants(t, w.as(t, platform, "POST "+acme+"/suspend", object{"reason": "unpaid"}), 200, "")
	for range 2 {
		wants(t, w.as(t, platform, "DELETE "+acme, nil), 200, "")
	}
	wants(t, w.as(t, platform, "POST "+acme+"/reactivate", nil), 404, "rest.not_found")
	w.id(t, w.as(t, platform, "POST /api/v1/tenants", object{"name": "Heir", "domain": "acme.example"}))
}

func TestMachines(t *testing.T) {
	w := start(t)
	wants(t, w.as(t, boss, "POST /api/v1/principals", object{"name": "judge-1", "role": "evaluator"}), 403, "rest.forbidden")
	made := w.as(t, platform, "POST /api/v1/principals", object{"name": "judge-1", "role": "evaluator"})
	wants(t, made, 200, "")
	id, secret := uuid.MustParse(made.JSON(t)["client_id"].(string)), made.JSON(t)["client_secret"].(string)
	wants(t, w.as(t, platform, "POST /api/v1/principals", object{"name": "judge-1", "role": "service"}), 409, "cortex.principal_taken")
	token := func(id uuid.UUID, secret string) apitest.Answer {
		return w.do(t, "", rootHost, "POST /api/v1/auth/token", object{"grant_type": "client_credentials", "client_id": id, "client_secret": secret}, nil)
	}
	wants(t, token(id, "wrong"), 401, "cortex.client_credentials")
	wants(t, token(uuid.New(), secret), 401, "cortex.client_credentials")
	got := token(id, secret)
	wants(t, got, 200, "")
	w.tokens["judge@root.localhost"] = got.JSON(t)["access_token"].(string)
	me := w.as(t, "judge@root.localhost", "GET /api/v1/auth/me", nil)
	wants(t, me, 200, "")
	if roles := me.JSON(t)["roles"].([]any); len(roles) != 1 || roles[0] != "evaluator" {
		t.Errorf("got %s", me.Body)
	}
	wants(t, w.as(t, platform, "DELETE /api/v1/principals/"+id.String(), nil), 200, "")
	wants(t, token(id, secret), 401, "cortex.client_credentials")
	eventually(t, "the token of a revoked principal is refused", func() bool {
		return w.as(t, "judge@root.localhost", "GET /api/v1/auth/me", nil).Status == 401
	})
}

func TestSigningKeysRotateUnderUse(t *testing.T) {
	w := start(t)
	wants(t, w.as(t, boss, "POST /api/v1/platform/signing-keys/rotate", nil), 403, "rest.forbidden")
	wants(t, w.as(t, platform, "POST /api/v1/platform/signing-keys/rotate", nil), 200, "")
	wants(t, w.as(t, boss, "GET /api/v1/auth/me", nil), 200, "")
	w.logIn(t, acmeHost, boss)
	wants(t, w.as(t, boss, "GET /api/v1/auth/me", nil), 200, "")
	keys := w.Do(t, apitest.Case{Do: "GET /.well-known/jwks.json", Host: "unknown.example"}) // needs no tenant
	if keys.Status != 200 || len(keys.JSON(t)["keys"].([]any)) != 3 {
		t.Errorf("got %d %s", keys.Status, keys.Body)
	}
}

func TestTheDocumentKeepsTheConventionsWithoutADatabase(t *testing.T) {
	api := rest.New(rest.Config{})
	cortex.Routes(api, nil)
	questions.Routes(api)
	doc, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for _, breach := range rest.CheckConventions(doc) {
		t.Error(breach)
	}
}

// The list of a tenant's administrators begins with the first of them, whoever that is.
func TestManyFirstAdministratorsAtOnce(t *testing.T) {
	w := start(t)
	tenant := w.id(t, w.as(t, platform, "POST /api/v1/tenants", object{"name": "New", "domain": "new.localhost"}))
	w.caughtUp(t)
	answers := make([]apitest.Answer, 8)
	var wg sync.WaitGroup
	for i := range answers {
		body := w.user(fmt.Sprintf("admin%d@new.localhost", i), "admin")
		wg.Go(func() {
			answers[i] = w.do(t, platform, rootHost, "POST /api/v1/users", body, map[string]string{"Archive-Tenant": tenant.String(), "Archive-Reason": "its first"})
		})
	}
	wg.Wait()
	for _, a := range answers {
		if a.Status != 201 {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	}
}
