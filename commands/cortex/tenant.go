// Package cortex is the write side of tenants, people and log-ins.
package cortex

import (
	"slices"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
)

type (
	tenant       = domain.Tenant
	tenantEvents = es.Events[domain.Tenant]
)

// CreateTenant makes a tenant with its first domain.
type CreateTenant struct {
	domain.Profile
	Domain string `json:"domain" minLength:"1" maxLength:"253" doc:"Names under localhost need no verification."`

	trusted bool
}

func (c CreateTenant) Decide(env es.Env, t tenant) (tenantEvents, error) {
	created := domain.TenantCreated{Profile: c.Profile}
	created.Evolve(&t)
	added, err := AddDomain{c.Domain, c.trusted}.Decide(env, t)
	if err != nil {
		return nil, err
	}
	return append(tenantEvents{created}, added...), c.Check()
}

// UpdateTenant replaces how the tenant presents itself.
type UpdateTenant struct{ domain.Profile }

func (c UpdateTenant) Decide(_ es.Env, t tenant) (tenantEvents, error) {
	if t.Profile == c.Profile {
		return nil, nil
	}
	return tenantEvents{domain.TenantUpdated{Profile: c.Profile}}, c.Check()
}

// SuspendTenant closes the tenant to everybody but the platform.
type SuspendTenant struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500"`
}

func (c SuspendTenant) Decide(env es.Env, t tenant) (tenantEvents, error) {
	switch {
	case env.ID == domain.Root:
		return nil, domain.ErrTenantRoot
	case t.Status == domain.Suspended:
		return nil, nil
	}
	return tenantEvents{domain.TenantSuspended{Reason: c.Reason}}, nil
}

// ReactivateTenant ends a suspension.
type ReactivateTenant struct{}

func (ReactivateTenant) Decide(_ es.Env, t tenant) (tenantEvents, error) {
	if t.Status == domain.Active {
		return nil, nil
	}
	return tenantEvents{domain.TenantReactivated{}}, nil
}

// DeleteTenant ends a suspended tenant and frees its domains.
type DeleteTenant struct{}

func (DeleteTenant) Decide(env es.Env, t tenant) (tenantEvents, error) {
	switch {
	case env.ID == domain.Root:
		return nil, domain.ErrTenantRoot
	case t.Status == domain.Active:
		return nil, domain.ErrTenantActive
	}
	return tenantEvents{domain.TenantDeleted{}}, nil
}

// AddDomain claims a domain for the tenant. It leads to the tenant once it is verified.
type AddDomain struct {
	Domain string `json:"domain" minLength:"1" maxLength:"253"`

	trusted bool // whoever starts the platform needs no proof
}

func (c AddDomain) Decide(env es.Env, t tenant) (tenantEvents, error) {
	host := domain.Host(c.Domain)
	switch {
	case host == "":
		return nil, domain.ErrDomainInvalid.WithField("body.domain", "must be a domain name")
	case slices.Contains(t.Domains, host):
		return nil, nil
	}
	events := tenantEvents{domain.DomainAdded{Domain: host}}
	if !c.trusted && !domain.IsLocal(host) {
		return events, nil
	}
	events[0].Evolve(&t)
	verified, err := VerifyDomain{host}.Decide(env, t)
	return append(events, verified...), err
}

// VerifyDomain states that the domain is the tenant's; the first verified one becomes the primary one.
type VerifyDomain struct {
	Domain string `path:"domain" json:"-" maxLength:"253"`
}

func (c VerifyDomain) Decide(_ es.Env, t tenant) (tenantEvents, error) {
	host := domain.Host(c.Domain)
	switch {
	case !slices.Contains(t.Domains, host):
		return nil, domain.ErrDomainUnknown
	case slices.Contains(t.Verified, host):
		return nil, nil
	case t.Primary != "":
		return tenantEvents{domain.DomainVerified{Domain: host}}, nil
	}
	return tenantEvents{domain.DomainVerified{Domain: host}, domain.PrimaryDomainChanged{Domain: host}}, nil
}

// SetPrimaryDomain chooses the domain that links are made with.
type SetPrimaryDomain struct {
	Domain string `path:"domain" json:"-" maxLength:"253"`
}

func (c SetPrimaryDomain) Decide(_ es.Env, t tenant) (tenantEvents, error) {
	host := domain.Host(c.Domain)
	switch {
	case !slices.Contains(t.Domains, host):
		return nil, domain.ErrDomainUnknown
	case !slices.Contains(t.Verified, host):
		return nil, domain.ErrDomainUnverified
	case t.Primary == host:
		return nil, nil
	}
	return tenantEvents{domain.PrimaryDomainChanged{Domain: host}}, nil
}
