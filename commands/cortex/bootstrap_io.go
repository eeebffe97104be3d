package cortex

import (
	"context"
	"errors"
	"strings"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/es"
)

// FirstAdmin is the account that Bootstrap makes in the root tenant.
var FirstAdmin = uuid.MustParse("00000000-0000-7000-8000-000000000002")

// Bootstrap is what an empty log begins with.
type Bootstrap struct {
	Domain        string // of the root tenant
	AdminEmail    string
	AdminPassword string
}

// Run makes the root tenant, its domain and its first administrator, unless there is a root tenant already. Processes that start
// together make one. It reports whether this one did.
func (b Bootstrap) Run(ctx context.Context, k *es.Kernel) (bool, error) {
	if _, version, err := es.Load(ctx, k, domain.Tenants, domain.Root, domain.Root); err != nil || version > 0 {
		return false, err
	}
	hash, err := auth.HashPassword(ctx, b.AdminPassword)
	if err != nil {
		return false, err
	}
	name, _, _ := strings.Cut(b.AdminEmail, "@")
	root := CreateTenant{Profile: domain.Profile{Name: "root"}, Domain: b.Domain, trusted: true}
	admin := CreateUser{Email: b.AdminEmail, Username: name, DisplayName: "First administrator", Roles: []string{domain.Admin}, hash: hash}
	at := func(id uuid.UUID) es.Target { return es.Target{Tenant: domain.Root, ID: id, New: true} }
	_, err = es.HandleAll(ctx, k, at(domain.Root),
		es.PartOf(domain.Tenants, at(domain.Root), es.Command[tenant](root)),
		es.PartOf(domain.Users, at(FirstAdmin), es.Command[user](admin)),
		es.PartOf(domain.Staffs, at(domain.Root), es.Command[staff](countAdmin{FirstAdmin, true})))
	if errors.Is(err, es.ErrExists) {
		return false, nil
	}
	return err == nil, err
}
