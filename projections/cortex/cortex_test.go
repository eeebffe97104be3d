package cortex_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project/projecttest"
	"github.com/bgce/archive/projections/cortex"
)

type (
	tenantEvents = es.Events[domain.Tenant]
	userEvents   = es.Events[domain.User]
)

func TestTenants(t *testing.T) {
	t.Parallel()
	created := domain.TenantCreated{Profile: domain.Profile{Name: "Acme", Locale: "en"}}
	added, verified := domain.DomainAdded{Domain: "acme.example"}, domain.DomainVerified{Domain: "acme.example"}
	projecttest.Run(t, cortex.Tenants, domain.Tenants, map[string]projecttest.Case[domain.Tenant]{
		"a domain counts when it is verified": {
			Given: tenantEvents{created, added, domain.DomainAdded{Domain: "b.example"}, verified, domain.PrimaryDomainChanged{Domain: "acme.example"}},
			Rows:  []string{`{"name":"Acme","locale":"en","status":"active","root":false,"domain":"acme.example","domains":["acme.example"],"pending":["b.example"],"client_url":"","version":5}`},
		},
		"updated and suspended": {
			Given: tenantEvents{created, domain.TenantUpdated{Profile: domain.Profile{Name: "New", ClientURL: "https://new.example"}}, domain.TenantSuspended{Reason: "x"}},
			Rows:  []string{`{"name":"New","locale":"","client_url":"https://new.example","status":"suspended","domains":[]}`},
		},
		"reactivated": {Given: tenantEvents{created, domain.TenantSuspended{}, domain.TenantReactivated{}}, Rows: []string{`{"status":"active"}`}},
		"deleted, no domain leads to it": {
			Given: tenantEvents{created, added, verified, domain.PrimaryDomainChanged{Domain: "acme.example"}, domain.TenantSuspended{}, domain.TenantDeleted{}},
			Rows:  []string{`{"name":"Acme","status":"deleted","domain":"","domains":[],"pending":[]}`},
		},
		"the root": {
			Also: []projecttest.Stream[domain.Tenant]{{ID: domain.Root, Tenant: domain.Root, Events: tenantEvents{created}}},
			Rows: []string{`{"id":"00000000-0000-7000-8000-000000000001","root":true}`},
		},
	})
}

var ada = domain.UserCreated{Email: "ada@example.org", Username: "ada", DisplayName: "Ada", Hash: "h", Roles: []string{"editor"}}

func TestUsers(t *testing.T) {
	t.Parallel()
	projecttest.Run(t, cortex.Users, domain.Users, map[string]projecttest.Case[domain.User]{
		"created": {Given: userEvents{ada}, Rows: []string{`{"email":"ada@example.org","username":"ada","display_name":"Ada","roles":["editor"],"status":"active","locked_until":null,"version":1}`}},
		"changed": {
			Given: userEvents{ada, domain.RolesChanged{Roles: []string{"admin"}}, domain.UserLocked{Until: projecttest.At}, domain.UserSuspended{}, domain.PasswordChanged{Hash: "h2"}},
			Rows:  []string{`{"roles":["admin"],"status":"suspended","locked_until":"2026-01-02T03:04:05+00:00","version":5}`},
		},
		"and back": {
			Given: userEvents{ada, domain.UserLocked{Until: projecttest.At}, domain.UserUnlocked{}, domain.UserSuspended{}, domain.UserReactivated{}},
			Rows:  []string{`{"status":"active","locked_until":null}`},
		},
		"an erased person leaves no row": {Given: userEvents{ada, domain.UserDeleted{}}},
	})
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	projecttest.Run(t, cortex.Accounts, domain.Users, map[string]projecttest.Case[domain.User]{
		"active": {Given: userEvents{ada, domain.PasswordChanged{Hash: "h2"}}, Rows: []string{`{"status":"active","roles":["editor"],"sessions_valid_from":"2026-01-02T03:04:05+00:00"}`}},
		"suspended, with new roles": {
			Given: userEvents{ada, domain.RolesChanged{Roles: []string{}}, domain.UserSuspended{}},
			Rows:  []string{`{"status":"suspended","roles":[]}`},
		},
		"reactivated":                    {Given: userEvents{ada, domain.UserSuspended{}, domain.UserReactivated{}}, Rows: []string{`{"status":"active","roles":["editor"]}`}},
		"an erased one is known as gone": {Given: userEvents{ada, domain.UserDeleted{}}, Rows: []string{`{"status":"deleted"}`}},
	})
	judge := domain.PrincipalCreated{Name: "judge", Role: "evaluator", Hash: "f"}
	projecttest.Run(t, cortex.Accounts, domain.Principals, map[string]projecttest.Case[domain.Principal]{
		"a machine":         {Given: es.Events[domain.Principal]{judge}, Rows: []string{`{"status":"active","roles":["evaluator"]}`}},
		"a revoked machine": {Given: es.Events[domain.Principal]{judge, domain.PrincipalRevoked{}}, Rows: []string{`{"status":"deleted"}`}},
	})
}

func TestSessions(t *testing.T) {
	t.Parallel()
	started := domain.SessionStarted{Account: uuid.MustParse("01900000-0000-7000-8000-0000000000c1"), ExpiresAt: projecttest.At.Add(time.Hour), IP: "192.0.2.1"}
	live := `{"account":"01900000-0000-7000-8000-0000000000c1","started_at":"2026-01-02T03:04:05+00:00","expires_at":"2026-01-02T04:04:05+00:00","ended_at":null}`
	projecttest.Run(t, cortex.Sessions, domain.Sessions, map[string]projecttest.Case[domain.Session]{
		"live":    {Given: es.Events[domain.Session]{started}, Rows: []string{live}},
		"ended":   {Given: es.Events[domain.Session]{started, domain.SessionEnded{}}, Rows: []string{`{"ended_at":"2026-01-02T03:04:05+00:00"}`}},
		"revoked": {Given: es.Events[domain.Session]{started, domain.SessionRevoked{Reason: "reuse"}}, Rows: []string{`{"ended_at":"2026-01-02T03:04:05+00:00"}`}},
	})
}
