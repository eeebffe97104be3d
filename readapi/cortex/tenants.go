// Package cortex answers questions about tenants and people.
package cortex

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest"
)

// PublicTenantView is what anyone may know of a tenant.
type PublicTenantView struct {
	ID      uuid.UUID `json:"id" db:"id"`
	Name    string    `json:"name" db:"name"`
	Status  string    `json:"status" db:"status" enum:"active,suspended,deleted"`
	Domain  string    `json:"domain,omitempty" db:"domain" doc:"the primary one"`
	Locale  string    `json:"locale,omitempty" db:"locale"`
	LogoURL string    `json:"logo_url,omitempty" db:"logo_url"`
	Color   string    `json:"color,omitempty" db:"color"`
}

// TenantView is a tenant as the platform sees it.
type TenantView struct {
	PublicTenantView
	Version   int       `json:"version" db:"version"`
	Root      bool      `json:"root" db:"root"`
	Domains   []string  `json:"domains" db:"domains" doc:"verified"`
	Pending   []string  `json:"pending_domains" db:"pending" doc:"to be verified"`
	ClientURL string    `json:"client_url,omitempty" db:"client_url"`
	CreatedAt time.Time `json:"created_at" db:"created_at"`
}

var errUnknownDomain = fault.New(fault.NotFound, "cortex.tenant_unknown", "no tenant answers on this domain")

// ListTenants shows all tenants, newest first.
type ListTenants struct {
	rest.Page
	Status string `query:"status" enum:"active,suspended,deleted"`
}

func (q ListTenants) Read(ctx context.Context, r *rest.Rows) (rest.List[TenantView], error) {
	return rest.Many[TenantView](ctx, r, rest.From("platform.tenants").EveryTenant().Eq("status", q.Status), q.Page, "created_at desc")
}

// ReadTenant gives one tenant: one's own to its administrators, any to the platform.
type ReadTenant struct {
	ID uuid.UUID `path:"id"`
}

func (q ReadTenant) Read(ctx context.Context, r *rest.Rows) (TenantView, error) {
	tenants := rest.From("platform.tenants")
	if r.Caller().Is("platform") {
		tenants = tenants.EveryTenant()
	}
	return rest.One[TenantView](ctx, r, tenants.Is("id", q.ID))
}

// ResolveTenant tells whose domain it is, in public words.
type ResolveTenant struct {
	Domain string `path:"domain" maxLength:"253"`
}

func (q ResolveTenant) Read(ctx context.Context, r *rest.Rows) (PublicTenantView, error) {
	found, err := rest.Query[PublicTenantView](ctx, r,
		`SELECT id, name, status, domain, locale, logo_url, color FROM {platform.tenants} WHERE @tenant::uuid IS NOT NULL AND domains @> ARRAY[lower(@domain)]`, rest.Args{"domain": q.Domain})
	if err == nil && len(found) == 0 {
		err = errUnknownDomain
	}
	if err != nil {
		return PublicTenantView{}, err
	}
	return found[0], nil
}
