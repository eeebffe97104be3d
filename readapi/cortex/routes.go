package cortex

import "github.com/bgce/archive/platform/rest"

// Routes is the room's read API, one line per question.
func Routes(api *rest.API) {
	rest.Get[ReadMe](api, "/api/v1/auth/me", "user")
	rest.Get[ListTenants](api, "/api/v1/tenants", "platform")
	rest.Get[ReadTenant](api, "/api/v1/tenants/{id}", "admin|platform")
	rest.Get[ResolveTenant](api, "/api/v1/tenants/by-domain/{domain}", "public")
	rest.Get[ListUsers](api, "/api/v1/users", "admin")
	rest.Get[ReadUser](api, "/api/v1/users/{id}", "public")
}
