// Package cortex keeps tenants, the people in them, and how they prove who they are.
package cortex

import (
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
)

// Root is the tenant that runs the platform; its administrators may act on every tenant.
var Root = uuid.MustParse("00000000-0000-7000-8000-000000000001")

// Tenants holds one stream per tenant, in the tenant itself. These names are stored: add, never rename.
var Tenants = es.Define[Tenant]("cortex.tenant",
	es.On[TenantCreated]("created"), es.On[TenantUpdated]("updated"),
	es.On[TenantSuspended]("suspended"), es.On[TenantReactivated]("reactivated"), es.On[TenantDeleted]("deleted"),
	es.On[DomainAdded]("domain_added"), es.On[DomainVerified]("domain_verified"), es.On[PrimaryDomainChanged]("primary_domain_changed"),
)

// Domains are unique over all tenants.
var Domains = es.ClaimsOf("cortex.domain", ErrDomainTaken, ErrDomainUnknown).Global()

// Refusals of tenants.
var (
	ErrDomainTaken      = fault.New(fault.Conflict, "cortex.domain_taken", "this domain belongs to a tenant already")
	ErrDomainUnknown    = fault.New(fault.NotFound, "cortex.domain_unknown", "the tenant has no such domain; add it first")
	ErrDomainInvalid    = fault.New(fault.Invalid, "cortex.domain_invalid", "this is not a domain name; write it like acme.example, without port or path")
	ErrDomainUnverified = fault.New(fault.Conflict, "cortex.domain_unverified", "verify the domain before it becomes the primary one")
	ErrNotWeb           = fault.New(fault.Invalid, "cortex.address_invalid", "logo_url and client_url are whole addresses that begin with https:// or http://")
	ErrTenantActive     = fault.New(fault.Conflict, "cortex.tenant_active", "the tenant is active; suspend it before deleting it")
	ErrTenantRoot       = fault.New(fault.Conflict, "cortex.tenant_root", "the root tenant runs the platform and stays")
)

// Status of tenants and users.
type Status string

// The statuses. A user that does not exist has none.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
	Gone      Status = "deleted"
)

// Profile is how a tenant presents itself.
type Profile struct {
	Name      string `json:"name" minLength:"1" maxLength:"100"`
	Locale    string `json:"locale,omitempty" pattern:"^[a-z]{2}(-[A-Z]{2})?$" maxLength:"5" doc:"Default language, like en or de-CH."`
	LogoURL   string `json:"logo_url,omitempty" format:"uri" maxLength:"500"`
	Color     string `json:"color,omitempty" pattern:"^#[0-9a-f]{6}$" maxLength:"7"`
	ClientURL string `json:"client_url,omitempty" format:"uri" maxLength:"500" doc:"Where links in mails lead."`
}

// Check refuses addresses that a page or a mail may not link to.
func (p Profile) Check() error {
	for _, address := range []string{p.LogoURL, p.ClientURL} {
		u, err := url.Parse(address)
		if address != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
			return ErrNotWeb
		}
	}
	return nil
}

// Tenant is what decisions about a tenant need.
type Tenant struct {
	Status   Status
	Profile  Profile
	Domains  []string
	Verified []string
	Primary  string
}

// Deleted tenants are gone for everybody.
func (t Tenant) Deleted() bool { return t.Status == Gone }

// Host is a domain name as it is compared: lower case, no dot at the end; "" if it is none.
func Host(name string) string {
	name = strings.TrimSuffix(strings.ToLower(strings.TrimSpace(name)), ".")
	if len(name) > 253 {
		return ""
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return ""
		}
	}
	return name
}

// IsLocal tells the names that lead to this machine and need no proof.
func IsLocal(host string) bool { return host == "localhost" || strings.HasSuffix(host, ".localhost") }

type TenantCreated struct{ Profile }

func (e TenantCreated) Evolve(t *Tenant) { t.Status, t.Profile = Active, e.Profile }

type TenantUpdated struct{ Profile }

func (e TenantUpdated) Evolve(t *Tenant) { t.Profile = e.Profile }

type TenantSuspended struct {
	Reason string `json:"reason"`
}

func (TenantSuspended) Evolve(t *Tenant) { t.Status = Suspended }

type TenantReactivated struct{}

func (TenantReactivated) Evolve(t *Tenant) { t.Status = Active }

// TenantDeleted frees the domains.
type TenantDeleted struct{}

func (TenantDeleted) Evolve(t *Tenant) { t.Status = Gone }

func (TenantDeleted) Claims(before Tenant) []es.Claim {
	var freed []es.Claim
	for _, d := range before.Domains {
		freed = append(freed, Domains.Release(d))
	}
	return freed
}

type DomainAdded struct {
	Domain string `json:"domain"`
}

func (e DomainAdded) Evolve(t *Tenant) { t.Domains = append(slices.Clip(t.Domains), e.Domain) }

func (e DomainAdded) Claims(Tenant) []es.Claim { return []es.Claim{Domains.Take(e.Domain)} }

type DomainVerified struct {
	Domain string `json:"domain"`
}

func (e DomainVerified) Evolve(t *Tenant) { t.Verified = append(slices.Clip(t.Verified), e.Domain) }

// PrimaryDomainChanged names the domain that links are made with.
type PrimaryDomainChanged struct {
	Domain string `json:"domain"`
}

func (e PrimaryDomainChanged) Evolve(t *Tenant) { t.Primary = e.Domain }
