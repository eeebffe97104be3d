// Package cortex keeps the views of tenants and people, and the directory that every request is checked against.
package cortex

import (
	_ "embed"
	"slices"
	"time"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

// Views of the room; those named platform are read by platform/directory.
var Views = []project.View{Tenants, Accounts, Sessions, Users}

//go:embed tenants.sql
var tenantsSQL string

// TenantRow is a tenant as it stands; Domains are the verified ones.
type TenantRow struct {
	project.Key
	Name      string    `db:"name"`
	Status    string    `db:"status"`
	Root      bool      `db:"root"`
	Domain    string    `db:"domain"`
	Domains   []string  `db:"domains"`
	Pending   []string  `db:"pending"`
	Locale    string    `db:"locale"`
	LogoURL   string    `db:"logo_url"`
	Color     string    `db:"color"`
	ClientURL string    `db:"client_url"`
	CreatedAt time.Time `db:"created_at"`
}

func (r *TenantRow) present(p domain.Profile) {
	r.Name, r.Locale, r.LogoURL, r.Color, r.ClientURL = p.Name, p.Locale, p.LogoURL, p.Color, p.ClientURL
}

func tenantIs[E any](status domain.Status) project.Clause {
	return project.Update(func(r *TenantRow, _ es.Recorded[E]) { r.Status = string(status) })
}

// Tenants is one row per tenant, deleted ones too: their data may still have to be found.
var Tenants = project.Rows[TenantRow]("platform.tenants", 1, tenantsSQL,
	project.From(domain.Tenants,
		project.Insert(func(r *TenantRow, e es.Recorded[domain.TenantCreated]) {
			r.present(e.Data.Profile)
			r.Status, r.Root, r.CreatedAt = string(domain.Active), e.Stream == domain.Root, e.At
		}),
		project.Update(func(r *TenantRow, e es.Recorded[domain.TenantUpdated]) { r.present(e.Data.Profile) }),
		tenantIs[domain.TenantSuspended](domain.Suspended),
		tenantIs[domain.TenantReactivated](domain.Active),
		project.Update(func(r *TenantRow, _ es.Recorded[domain.TenantDeleted]) {
			r.Status, r.Domain, r.Domains, r.Pending = string(domain.Gone), "", nil, nil
		}),
		project.Update(func(r *TenantRow, e es.Recorded[domain.DomainAdded]) {
			r.Pending = append(slices.Clip(r.Pending), e.Data.Domain)
		}),
		project.Update(func(r *TenantRow, e es.Recorded[domain.DomainVerified]) {
			r.Pending = slices.DeleteFunc(slices.Clone(r.Pending), func(d string) bool { return d == e.Data.Domain })
			r.Domains = append(slices.Clip(r.Domains), e.Data.Domain)
		}),
		project.Update(func(r *TenantRow, e es.Recorded[domain.PrimaryDomainChanged]) { r.Domain = e.Data.Domain }),
	))

//go:embed accounts.sql
var accountsSQL string

// AccountRow is who may act: people and machines, nothing personal.
type AccountRow struct {
	project.Key
	Status    string    `db:"status"`
	Roles     []string  `db:"roles"`
	ValidFrom time.Time `db:"sessions_valid_from"`
}

func accountIs[E any](status domain.Status) project.Clause {
	return project.Update(func(r *AccountRow, e es.Recorded[E]) {
		if r.Status = string(status); status != domain.Active {
			r.ValidFrom = e.At
		}
	})
}

// Accounts is one row per account. Deleted ones stay, so that a fresh token of one is not taken for one that runs ahead.
var Accounts = project.Rows[AccountRow]("platform.accounts", 1, accountsSQL,
	project.From(domain.Users,
		project.Insert(func(r *AccountRow, e es.Recorded[domain.UserCreated]) {
			r.Status, r.Roles, r.ValidFrom = string(domain.Active), e.Data.Roles, e.At
		}),
		project.Update(func(r *AccountRow, e es.Recorded[domain.RolesChanged]) { r.Roles = e.Data.Roles }),
		accountIs[domain.UserSuspended](domain.Suspended),
		accountIs[domain.UserReactivated](domain.Active),
		accountIs[domain.UserDeleted](domain.Gone),
		project.Skip[domain.PasswordChanged](), project.Skip[domain.UserLocked](), project.Skip[domain.UserUnlocked](),
	),
	project.From(domain.Principals,
		project.Insert(func(r *AccountRow, e es.Recorded[domain.PrincipalCreated]) {
			r.Status, r.Roles, r.ValidFrom = string(domain.Active), []string{e.Data.Role}, e.At
		}),
		accountIs[domain.PrincipalRevoked](domain.Gone),
	))

//go:embed sessions.sql
var sessionsSQL string

const (
	endSession  = `UPDATE sessions SET ended_at = @at WHERE tenant = @tenant AND id = @id`
	endSessions = `UPDATE sessions SET ended_at = @at WHERE tenant = @tenant AND account = @id AND id <> @keep AND ended_at IS NULL`
)

func endsAll[E any]() project.Clause {
	return project.Exec(func(b *project.Batch, _ es.Recorded[E]) { b.Maybe(endSessions, project.Args{"keep": uuid.Nil}) })
}

// Sessions is one row per log-in, nothing personal.
var Sessions = project.SQL("platform.sessions", 1, sessionsSQL,
	project.From(domain.Sessions,
		project.Exec(func(b *project.Batch, e es.Recorded[domain.SessionStarted]) {
			b.Exec(`INSERT INTO sessions (tenant, id, account, started_at, expires_at) VALUES (@tenant, @id, @account, @at, @expires)`,
				project.Args{"account": e.Data.Account, "expires": e.Data.ExpiresAt})
		}),
		project.Exec(func(b *project.Batch, _ es.Recorded[domain.SessionEnded]) { b.Exec(endSession) }),
		project.Exec(func(b *project.Batch, _ es.Recorded[domain.SessionRevoked]) { b.Exec(endSession) }),
	),
	project.From(domain.Users,
		project.Exec(func(b *project.Batch, e es.Recorded[domain.PasswordChanged]) {
			b.Maybe(endSessions, project.Args{"keep": e.Data.Keep})
		}),
		endsAll[domain.UserSuspended](), endsAll[domain.UserDeleted](),
		project.Skip[domain.UserCreated](), project.Skip[domain.RolesChanged](), project.Skip[domain.UserReactivated](),
		project.Skip[domain.UserLocked](), project.Skip[domain.UserUnlocked](),
	))
