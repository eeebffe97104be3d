package cortex

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/es/estest"
)

var acme = domain.Profile{Name: "Acme"}

func TestTenants(t *testing.T) {
	created := domain.TenantCreated{Profile: acme}
	added, verified, primary := domain.DomainAdded{Domain: "acme.example"}, domain.DomainVerified{Domain: "acme.example"}, domain.PrimaryDomainChanged{Domain: "acme.example"}
	suspended := domain.TenantSuspended{Reason: "unpaid"}
	local := []es.Claim{domain.Domains.Take("acme.localhost")}
	estest.Run(t, map[string]estest.Case[domain.Tenant]{
		"a name under localhost needs no proof": {
			When: CreateTenant{Profile: acme, Domain: "Acme.localhost."}, Again: true, Claims: local,
			Then: tenantEvents{created, domain.DomainAdded{Domain: "acme.localhost"}, domain.DomainVerified{Domain: "acme.localhost"}, domain.PrimaryDomainChanged{Domain: "acme.localhost"}},
		},
		"any other name does":                   {When: CreateTenant{Profile: acme, Domain: "acme.example"}, Again: true, Then: tenantEvents{created, added}},
		"the founder needs no proof":            {When: CreateTenant{Profile: acme, Domain: "acme.example", trusted: true}, Again: true, Then: tenantEvents{created, added, verified, primary}},
		"a domain is a name":                    {When: CreateTenant{Profile: acme, Domain: "https://acme.example/"}, Err: domain.ErrDomainInvalid},
		"without a port":                        {When: CreateTenant{Profile: acme, Domain: "acme.example:80"}, Err: domain.ErrDomainInvalid},
		"updated":                               {Given: tenantEvents{created}, When: UpdateTenant{domain.Profile{Name: "New"}}, Then: tenantEvents{domain.TenantUpdated{Profile: domain.Profile{Name: "New"}}}},
		"updated to what it is":                 {Given: tenantEvents{created}, When: UpdateTenant{acme}},
		"suspended":                             {Given: tenantEvents{created}, When: SuspendTenant{"unpaid"}, Then: tenantEvents{suspended}},
		"a suspended one is still looked after": {Given: tenantEvents{created, suspended}, When: AddDomain{Domain: "acme.example"}, Then: tenantEvents{added}},
		"suspended twice":                       {Given: tenantEvents{created, suspended}, When: SuspendTenant{"again"}},
		"reactivated":                           {Given: tenantEvents{created, suspended}, When: ReactivateTenant{}, Then: tenantEvents{domain.TenantReactivated{}}},
		"an active one is not reactivated":      {Given: tenantEvents{created}, When: ReactivateTenant{}},
		"an active one is not deleted":          {Given: tenantEvents{created}, When: DeleteTenant{}, Err: domain.ErrTenantActive},
		"deleted, its domains are free": {
			Given: tenantEvents{created, added, suspended}, When: DeleteTenant{}, Then: tenantEvents{domain.TenantDeleted{}}, Again: true,
			Claims: []es.Claim{domain.Domains.Release("acme.example")},
		},
		"a domain added":                    {Given: tenantEvents{created}, When: AddDomain{Domain: "ACME.example"}, Then: tenantEvents{added}},
		"a domain added twice":              {Given: tenantEvents{created, added}, When: AddDomain{Domain: "acme.example"}},
		"the first verified one is primary": {Given: tenantEvents{created, added}, When: VerifyDomain{"acme.example"}, Then: tenantEvents{verified, primary}},
		"the second is not":                 {Given: tenantEvents{created, added, verified, primary, domain.DomainAdded{Domain: "b.example"}}, When: VerifyDomain{"b.example"}, Then: tenantEvents{domain.DomainVerified{Domain: "b.example"}}},
		"verified twice":                    {Given: tenantEvents{created, added, verified, primary}, When: VerifyDomain{"acme.example"}},
		"verified without being there":      {Given: tenantEvents{created}, When: VerifyDomain{"acme.example"}, Err: domain.ErrDomainUnknown},
		"primary":                           {Given: tenantEvents{created, added, verified, primary, domain.DomainAdded{Domain: "b.example"}, domain.DomainVerified{Domain: "b.example"}}, When: SetPrimaryDomain{"b.example"}, Then: tenantEvents{domain.PrimaryDomainChanged{Domain: "b.example"}}},
		"primary already":                   {Given: tenantEvents{created, added, verified, primary}, When: SetPrimaryDomain{"acme.example"}},
		"primary before it is verified":     {Given: tenantEvents{created, added}, When: SetPrimaryDomain{"acme.example"}, Err: domain.ErrDomainUnverified},
		"primary without being there":       {Given: tenantEvents{created}, When: SetPrimaryDomain{"acme.example"}, Err: domain.ErrDomainUnknown},
	})
	for name, cmd := range map[string]es.Command[domain.Tenant]{"suspended": SuspendTenant{"x"}, "deleted": DeleteTenant{}} {
		if _, err := cmd.Decide(es.Env{ID: domain.Root}, domain.Tenant{Status: domain.Active}); !errors.Is(err, domain.ErrTenantRoot) {
			t.Errorf("the root tenant %s: got %v", name, err)
		}
	}
}

func TestUsers(t *testing.T) {
	ada := CreateUser{Email: "Ada@Example.org", Username: "Ada", DisplayName: "Ada L.", Password: "secret secret", Roles: []string{"editor", "admin"}, hash: "h1"}
	created := domain.UserCreated{Email: "Ada@Example.org", Username: "Ada", DisplayName: "Ada L.", Hash: "h1", Roles: []string{"admin", "editor"}}
	suspended := domain.UserSuspended{Reason: "spam"}
	self := es.UserActor(estest.ID)
	keep, until := uuid.New(), estest.Now.Add(time.Minute)
	change := ChangePassword{compared: "h1", hash: "h2", keep: keep}
	estest.Run(t, map[string]estest.Case[domain.User]{
		"created, its names taken as they compare": {
			When: ada, Then: userEvents{created}, Again: true,
			Claims: []es.Claim{domain.Emails.Take("ada@example.org"), domain.Usernames.Take("ada")},
		},
		"roles":                             {Given: userEvents{created}, When: SetRoles{[]string{"viewer"}}, Then: userEvents{domain.RolesChanged{Roles: []string{"viewer"}}}},
		"the same roles":                    {Given: userEvents{created}, When: SetRoles{[]string{"editor", "admin"}}},
		"no roles for a suspended one":      {Given: userEvents{created, suspended}, When: SetRoles{[]string{"viewer"}}, Err: domain.ErrUserSuspended},
		"nobody raises themselves":          {Given: userEvents{created}, When: SetRoles{[]string{"admin", "editor", "employer"}}, By: self, Err: domain.ErrOwnRoles},
		"stepping down to what it includes": {Given: userEvents{created}, When: SetRoles{[]string{"viewer"}}, By: self, Then: userEvents{domain.RolesChanged{Roles: []string{"viewer"}}}},
		"stepping down is fine":             {Given: userEvents{created}, When: SetRoles{[]string{"editor"}}, By: self, Then: userEvents{domain.RolesChanged{Roles: []string{"editor"}}}},
		"suspended":                         {Given: userEvents{created}, When: SuspendUser{"spam"}, Then: userEvents{suspended}},
		"suspended twice":                   {Given: userEvents{created, suspended}, When: SuspendUser{"again"}},
		"reactivated":                       {Given: userEvents{created, suspended}, When: ReactivateUser{}, Then: userEvents{domain.UserReactivated{}}},
		"an active one is not":              {Given: userEvents{created}, When: ReactivateUser{}},
		"password":                          {Given: userEvents{created}, When: change, Then: userEvents{domain.PasswordChanged{Hash: "h2", Keep: keep}}},
		"password, decided before":          {Given: userEvents{created, domain.PasswordChanged{Hash: "h2", Keep: keep}}, When: change},
		"password, another came between":    {Given: userEvents{created, domain.PasswordChanged{Hash: "h3"}}, When: change, Err: domain.ErrPassword},
		"password, the old one is wrong":    {Given: userEvents{created}, When: ChangePassword{hash: "h2"}, Err: domain.ErrPassword},
		"deleted, suspended or not, its names are free": {
			Given: userEvents{created, suspended}, When: DeleteUser{}, Then: userEvents{domain.UserDeleted{}}, Again: true,
			Claims: []es.Claim{domain.Emails.Release("ada@example.org"), domain.Usernames.Release("ada")},
		},
		"locked":                   {Given: userEvents{created}, When: lockUser{until}, Then: userEvents{domain.UserLocked{Until: until}}},
		"locked once":              {Given: userEvents{created, domain.UserLocked{Until: until}}, When: lockUser{until.Add(time.Hour)}},
		"locked again, long after": {Given: userEvents{created, domain.UserLocked{Until: until}}, When: lockUser{until.Add(time.Hour)}, At: until, Then: userEvents{domain.UserLocked{Until: until.Add(time.Hour)}}},
		"unlocked":                 {Given: userEvents{created, domain.UserLocked{Until: until}}, When: unlockUser{}, Then: userEvents{domain.UserUnlocked{}}},
		"unlocked without a lock":  {Given: userEvents{created}, When: unlockUser{}},
	})
}

func TestStaff(t *testing.T) {
	ada, bob := uuid.New(), uuid.New()
	estest.Run(t, map[string]estest.Case[domain.Staff]{
		"the first administrator": {When: countAdmin{ada, true}, Then: staffEvents{domain.AdminAdded{User: ada}}},
		"counted once":            {Given: staffEvents{domain.AdminAdded{User: ada}}, When: countAdmin{ada, true}},
		"the last one stays":      {Given: staffEvents{domain.AdminAdded{User: ada}}, When: countAdmin{ada, false}, Err: domain.ErrLastAdmin},
		"one of two may go":       {Given: staffEvents{domain.AdminAdded{User: ada}, domain.AdminAdded{User: bob}}, When: countAdmin{ada, false}, Then: staffEvents{domain.AdminRemoved{User: ada}}},
		"others do not count":     {Given: staffEvents{domain.AdminAdded{User: ada}}, When: countAdmin{bob, false}},
		"the one left is the last": {
			Given: staffEvents{domain.AdminAdded{User: ada}, domain.AdminAdded{User: bob}, domain.AdminRemoved{User: ada}},
			When:  countAdmin{bob, false}, Err: domain.ErrLastAdmin,
		},
	})
}

func TestSessions(t *testing.T) {
	ada := uuid.New()
	started := domain.SessionStarted{Account: ada, ExpiresAt: estest.Now.Add(time.Hour), IP: "192.0.2.1", UserAgent: "curl"}
	estest.Run(t, map[string]estest.Case[domain.Session]{
		"ended":               {Given: sessionEvents{started}, When: endSession{}, Then: sessionEvents{domain.SessionEnded{}}},
		"ended twice":         {Given: sessionEvents{started, domain.SessionEnded{}}, When: endSession{}},
		"ended after revoked": {Given: sessionEvents{started, domain.SessionRevoked{Reason: "reuse"}}, When: endSession{}},
		"revoked":             {Given: sessionEvents{started}, When: revokeSession{"reuse"}, Then: sessionEvents{domain.SessionRevoked{Reason: "reuse"}}},
		"revoked after ended": {Given: sessionEvents{started, domain.SessionEnded{}}, When: revokeSession{"reuse"}},
	})
	if started.Subject() != ada {
		t.Error("where a person came from is sealed under their key")
	}

	start := startSession{account: ada, compared: "h1", lives: time.Hour, ip: "192.0.2.1", agent: "curl"}
	for name, c := range map[string]struct {
		user domain.User
		want int
	}{
		"the account as it was compared":          {domain.User{Status: domain.Active, Hash: "h1"}, 1},
		"the password changed meanwhile":          {domain.User{Status: domain.Active, Hash: "h2"}, 0},
		"the account was suspended meanwhile":     {domain.User{Status: domain.Suspended, Hash: "h1"}, 0},
		"the account was erased meanwhile":        {domain.User{Status: domain.Gone}, 0},
		"there is none, and nothing was compared": {domain.User{}, 0},
	} {
		events, err := start.DecideWith(es.Env{Now: estest.Now}, domain.Session{}, c.user)
		if len(events) != c.want || (err == nil) != (c.want == 1) {
			t.Errorf("%s: got %v, %v", name, events, err)
		}
		if c.want == 1 && events[0] != es.Event[domain.Session](started) {
			t.Errorf("%s: got %+v", name, events[0])
		}
	}
}

func TestPrincipals(t *testing.T) {
	created := domain.PrincipalCreated{Name: "judge-1", Role: "evaluator", Hash: "f"}
	estest.Run(t, map[string]estest.Case[domain.Principal]{
		"created": {
			When: CreatePrincipal{Name: "judge-1", Role: "evaluator", hash: "f"}, Then: es.Events[domain.Principal]{created}, Again: true,
			Claims: []es.Claim{domain.PrincipalNames.Take("judge-1")},
		},
		"revoked": {
			Given: principalEvents{created}, When: RevokePrincipal{}, Then: principalEvents{domain.PrincipalRevoked{}}, Again: true,
			Claims: []es.Claim{domain.PrincipalNames.Release("judge-1")},
		},
	})
}

func TestHosts(t *testing.T) {
	for name, want := range map[string]string{
		"acme.example": "acme.example", "ACME.Example.": "acme.example", "localhost": "localhost", "xn--bcher-kva.example": "xn--bcher-kva.example",
		"": "", "a..b": "", "-a.b": "", "a_b.c": "", "a.b:80": "", "a b": "", "bücher.example": "", "http://a.b": "",
	} {
		if got := domain.Host(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}
