package api

import (
	"strings"
	"testing"
)

// cortexRefuses is every refusal of tenants, people and machines.
func cortexRefuses(t *testing.T, c *catalogue) {
	w := start(t, nil)
	w.furnish(t)
	w.tell(
		t, newUser(boss, "bob@acme.localhost", "viewer"),
		step{
			Name: "bob is away", By: boss, Do: "POST /api/v1/users/{bob@acme.localhost.id}/suspend", Body: `{"reason":"r"}`, Status: 200,
			Events: "cortex.user.suspended",
		},
		step{
			Name: "a domain nobody proved", By: root, Do: "POST /api/v1/tenants/{acme}/domains", Body: `{"domain":"acme.example"}`,
			Status: 200, Events: "cortex.tenant.domain_added",
		},
		step{
			Name: "a machine of the platform", By: root, Do: "POST /api/v1/principals", Body: `{"name":"judge","role":"evaluator"}`,
			Status: 200, Events: "cortex.principal.created", Save: "client=client_id",
		},
	)
	refused := func(name, code, by, do, body string) step {
		return step{Name: name, By: by, Do: do, Body: body, Header: []string{"If-Match", "*"}, Code: code}
	}
	taken, named := newUser(boss, "ADA@acme.localhost"), newUser(boss, "ada@elsewhere.example")
	taken.Name, taken.Status, taken.Events, taken.Save, taken.Code = "an address that is taken", 409, "", "", "cortex.email_taken"
	named.Name, named.Status, named.Events, named.Save, named.Code = "a name that is taken", 409, "", "", "cortex.username_taken"
	const self, bob = "/api/v1/users/{boss@acme.localhost.id}", "/api/v1/users/{bob@acme.localhost.id}"
	w.names["root"] = "00000000-0000-7000-8000-000000000001"
	c.provoke(
		t, w, taken, named,
		refused("roles of who is away", "cortex.user_suspended", boss, "PUT "+bob+"/roles", `{"roles":["editor"]}`),
		refused("the last administrator leaves", "cortex.last_admin", boss, "DELETE "+self, ""),
		refused("or is sent away", "cortex.last_admin", boss, "POST "+self+"/suspend", `{"reason":"r"}`),
		refused("or steps down", "cortex.last_admin", boss, "PUT "+self+"/roles", `{"roles":["editor"]}`),
		refused("a role for oneself", "cortex.own_roles", boss, "PUT "+self+"/roles", `{"roles":["admin","employer"]}`),
		refused("a wrong old password", "cortex.password_wrong", ada, "POST /api/v1/users/change-password",
			`{"old_password":"guess","new_password":"a longer battery staple"}`),
		refused("no such account", "cortex.credentials", "@acme.localhost", "POST /api/v1/auth/login",
			`{"email":"nobody@acme.localhost","password":"correct horse battery"}`),
		refused("one that is away", "cortex.credentials", "@acme.localhost", "POST /api/v1/auth/login",
			`{"email":"bob@acme.localhost","password":"correct horse battery"}`),
		refused("one of another tenant", "cortex.credentials", "@globex.localhost", "POST /api/v1/auth/login",
			`{"email":"ada@acme.localhost","password":"correct horse battery"}`),
		refused("no domain", "cortex.domain_invalid", root, "POST /api/v1/tenants", `{"name":"N","domain":"https://n.example/"}`),
		refused("a link that runs", "cortex.address_invalid", root, "PUT /api/v1/tenants/{globex}", `{"name":"N","client_url":"javascript:alert(1)"}`),
		refused("a link to nowhere", "cortex.address_invalid", root, "POST /api/v1/tenants", `{"name":"N","domain":"n.localhost","logo_url":"not a url"}`),
		refused("somebody's domain", "cortex.domain_taken", root, "POST /api/v1/tenants/{globex}/domains", `{"domain":"ACME.example."}`),
		refused("a domain nobody claimed", "cortex.domain_unknown", root, "POST /api/v1/tenants/{globex}/domains/acme.example/verify", ""),
		refused("a domain nobody proved", "cortex.domain_unverified", root, "PUT /api/v1/tenants/{acme}/domains/acme.example/primary", ""),
		refused("a tenant at work is not deleted", "cortex.tenant_active", root, "DELETE /api/v1/tenants/{acme}", ""),
		refused("nor the platform's own", "cortex.tenant_root", root, "DELETE /api/v1/tenants/{root}", ""),
		refused("nor closed", "cortex.tenant_root", root, "POST /api/v1/tenants/{root}/suspend", `{"reason":"r"}`),
		refused("nobody's domain", "cortex.tenant_unknown", "@acme.localhost", "GET /api/v1/tenants/by-domain/nobody.example", ""),
		refused("two machines of one name", "cortex.principal_taken", root, "POST /api/v1/principals", `{"name":"judge","role":"service"}`),
		refused("a wrong secret", "cortex.client_credentials", "@root.localhost", "POST /api/v1/auth/token",
			`{"grant_type":"client_credentials","client_id":"{client}","client_secret":"guess"}`),
		refused("a refresh token of nobody", "auth.refresh_invalid", "@acme.localhost", "POST /api/v1/auth/refresh", `{"refresh_token":"guess"}`),
		refused("a refresh token elsewhere", "auth.refresh_invalid", "@globex.localhost", "POST /api/v1/auth/refresh",
			`{"refresh_token":"{ada@acme.localhost.refresh}"}`),
	)
}

// postalRefuses is every refusal of articles and tags.
func postalRefuses(t *testing.T, c *catalogue) {
	w := start(t, nil)
	w.furnish(t)
	w.tell(
		t, step{
			Name: "imported", By: ada, Do: "POST /api/v1/posts", Body: `{"title":"Old","external_id":"cms-1"}`, Status: 201,
			Events: "postal.post.created", Save: "empty",
		},
		step{
			Name: "written", By: ada, Do: "POST /api/v1/posts", Body: `{"title":"Away","body":"b"}`, Status: 201,
			Events: "postal.post.created", Save: "away",
		},
		step{Name: "put away", By: ada, Do: "POST /api/v1/posts/{away}/archive", Status: 200, Events: "postal.post.archived"},
		step{
			Name: "renamed", By: ada, Do: "PUT /api/v1/tags/{sea}", Header: []string{"If-Match", "*"}, Body: `{"name":"Oceans"}`,
			Status: 200, Events: "postal.tag.updated",
		},
		step{
			Name: "not yet", By: ada, Do: "POST /api/v1/posts", Body: `{"title":"Soon","body":"b"}`, Status: 201,
			Events: "postal.post.created", Save: "soon",
		},
	)
	refused := func(name, code, do, body string) step {
		return step{Name: name, By: ada, Do: do, Body: body, Header: []string{"If-Match", "*"}, Code: code}
	}
	c.provoke(
		t, w,
		refused("a slug that is taken", "postal.slug_taken", "POST /api/v1/posts", `{"title":"T","slug":"tides"}`),
		refused("imported twice", "postal.external_id_taken", "POST /api/v1/posts", `{"title":"T","external_id":"cms-1"}`),
		refused("a tag nobody made", "postal.tag_missing", "POST /api/v1/posts", `{"title":"T","tags":["tides","ebb"]}`),
		refused("a megabyte in two-byte letters", "postal.body_too_long", "POST /api/v1/posts",
			`{"title":"T","body":"`+strings.Repeat("ü", 1<<19+1)+`"}`),
		refused("nothing to publish", "postal.post_empty", "POST /api/v1/posts/{empty}/publish", ""),
		refused("published tomorrow", "postal.future_date", "POST /api/v1/posts/{soon}/publish", `{"published_at":"2999-01-01T00:00:00Z"}`),
		refused("dated again", "postal.post_dated", "POST /api/v1/posts/{post}/publish", `{"published_at":"2020-02-29T00:00:00Z"}`),
		refused("published out of the archive", "postal.post_archived", "POST /api/v1/posts/{away}/publish", ""),
		refused("edited there", "postal.post_archived", "PUT /api/v1/posts/{away}", `{"title":"T"}`),
		refused("restored from the front page", "postal.post_published", "POST /api/v1/posts/{post}/restore", ""),
		refused("a tag's old slug", "postal.tag_taken", "POST /api/v1/tags", `{"name":"Tides"}`),
		refused("a version that is not there", "rest.not_found", "GET /api/v1/posts/{post}/versions/9", ""),
		refused("a version no column holds", "postal.version_not_found", "GET /api/v1/posts/{post}/versions/2147483648", ""),
		refused("versions of nothing", "postal.version_not_found", "GET /api/v1/posts/01900000-0000-7000-8000-0000000000aa/versions", ""),
	)
}
