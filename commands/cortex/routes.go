package cortex

import (
	"context"
	"net/http"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/rest"
)

// Routes is the room's write API, one line per command. The service may be nil as long as nothing is called.
func Routes(api *rest.API, service *auth.Service) {
	a := accounts{service}

	tenants := rest.Over(api, "/api/v1/tenants", domain.Tenants)
	rest.Create[CreateTenant](tenants, "platform", itself[CreateTenant]())
	rest.Put[UpdateTenant](tenants, "/{id}", "admin|platform", itself[UpdateTenant]())
	rest.Delete[DeleteTenant](tenants, "/{id}", "platform", itself[DeleteTenant]())
	rest.Post[SuspendTenant](tenants, "/{id}/suspend", "platform", itself[SuspendTenant]())
	rest.Post[ReactivateTenant](tenants, "/{id}/reactivate", "platform", itself[ReactivateTenant]())
	rest.Post[AddDomain](tenants, "/{id}/domains", "platform", itself[AddDomain]())
	rest.Post[VerifyDomain](tenants, "/{id}/domains/{domain}/verify", "platform", itself[VerifyDomain]())
	rest.Put[SetPrimaryDomain](tenants, "/{id}/domains/{domain}/primary", "platform", itself[SetPrimaryDomain]())

	users := rest.Over(api, "/api/v1/users", domain.Users)
	rest.Create[CreateUser](users, "admin", rest.Via(a.create))
	rest.Put[SetRoles](users, "/{id}/roles", "admin", rest.Via(a.setRoles))
	rest.Post[SuspendUser](users, "/{id}/suspend", "admin", rest.Via(a.suspend))
	rest.Post[ReactivateUser](users, "/{id}/reactivate", "admin", rest.Via(a.reactivate))
	rest.Delete[DeleteUser](users, "/{id}", "owner|admin", rest.Via(a.delete))
	rest.Post[ChangePassword](users, "/change-password", "owner", rest.Self(), rest.Sensitive(), rest.Via(a.changePassword))

	rest.Do(api, http.MethodPost, "/api/v1/auth/login", "public", "LogIn", a.logIn, rest.Sensitive())
	rest.Do(api, http.MethodPost, "/api/v1/auth/refresh", "public", "RotateRefreshToken", a.refresh, rest.Sensitive())
	rest.Do(api, http.MethodPost, "/api/v1/auth/token", "public", "IssueToken", a.token, rest.Sensitive())
	rest.Do(api, http.MethodPost, "/api/v1/auth/logout", "user", "LogOut", a.logOut)
	service.Routes(api)

	principals := rest.Over(api, "/api/v1/principals", domain.Principals)
	rest.Do(api, http.MethodPost, "/api/v1/principals", "platform", "CreatePrincipal", a.createPrincipal)
	rest.Delete[RevokePrincipal](principals, "/{id}", "platform")
}

// itself lets a tenant's events belong to the tenant they are about; the key is the caller's.
func itself[C es.Command[tenant]]() rest.Option {
	return rest.Via(func(ctx context.Context, c rest.Caller, t es.Target, cmd C) (es.Receipt, error) {
		if t.ID != c.Tenant && !c.Is("platform") {
			return es.Receipt{}, es.ErrNotFound
		}
		own := t
		own.Tenant = t.ID
		receipts, err := es.HandleAll(ctx, c.Kernel, t, es.PartOf(domain.Tenants, own, es.Command[tenant](cmd)))
		if err != nil {
			return es.Receipt{}, err
		}
		return receipts[0], nil
	})
}
