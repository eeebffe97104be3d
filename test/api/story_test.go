package api

import (
	"testing"
)

// TestStory is the product in use: every operation succeeds at least once, and what it answers is kept as its example.
func TestStory(t *testing.T) {
	w := start(t, nil)
	examples := newExamples(w)
	for _, chapter := range []struct {
		title string
		tell  func(*testing.T, *world)
	}{
		{"the platform takes in tenants", tenantsMoveIn},
		{"acme's administrator takes in people", peopleMoveIn},
		{"a person logs in and out", sessions},
		{"a tag", tags},
		{"an article is written", writing},
		{"and put away", puttingAway},
		{"a machine has credentials", machines},
		{"the platform is looked after", operations},
	} {
		if !t.Run(chapter.title, func(t *testing.T) { chapter.tell(t, w) }) {
			t.FailNow()
		}
	}
	if missing := w.Uncovered(nil); len(missing) > 0 && !*update {
		t.Errorf("the story lacks: %v", missing)
	}
	examples.keep(t)
}

const tenantMade = "cortex.tenant.created cortex.tenant.domain_added cortex.tenant.domain_verified cortex.tenant.primary_domain_changed"

func tenantsMoveIn(t *testing.T, w *world) {
	w.tell(
		t, logIn(root),
		step{
			Name: "the first administrator", By: root, Do: "GET /api/v1/auth/me", Status: 200, Aside: true,
			Want: `{"actor":"00000000-0000-7000-8000-000000000002","domain":"root.localhost","roles":["viewer","editor","admin","platform"],
				"user":{"email":"platform@root.localhost"}}`,
		},
		step{
			Name: "acme", By: root, Do: "POST /api/v1/tenants", Body: `{"name":"Acme","locale":"en","domain":"acme.localhost"}`,
			Status: 201, Want: `{"version":4}`, Events: tenantMade, Save: "acme",
		},
		step{
			Name: "globex", By: root, Do: "POST /api/v1/tenants", Body: `{"name":"Globex","domain":"GLOBEX.localhost."}`, Status: 201,
			Events: tenantMade, Save: "globex",
		},
		step{
			Name: "a domain that is not of this machine is claimed", By: root, Do: "POST /api/v1/tenants/{acme}/domains",
			Body: `{"domain":"www.acme.example"}`, Status: 200, Want: `{"version":5}`, Events: "cortex.tenant.domain_added",
		},
		step{
			Name: "found to be acme's", By: root, Do: "POST /api/v1/tenants/{acme}/domains/www.acme.example/verify", Status: 200,
			Events: "cortex.tenant.domain_verified",
		},
		step{
			Name: "and preferred", By: root, Do: "PUT /api/v1/tenants/{acme}/domains/www.acme.example/primary", Header: []string{"If-Match", `"6"`},
			Status: 200, Want: `{"version":7}`, Events: "cortex.tenant.primary_domain_changed",
		},
		step{
			Name: "acme gets a colour", By: root, Do: "PUT /api/v1/tenants/{acme}", Header: []string{"If-Match", `"7"`},
			Body:   `{"name":"Acme Press","locale":"en","color":"#0a7ea4","client_url":"https://www.acme.example/"}`,
			Status: 200, Want: `{"id":"{acme}","version":8}`, Events: "cortex.tenant.updated",
		},
		step{
			Name: "acme as it stands", By: root, Do: "GET /api/v1/tenants/{acme}", Status: 200,
			Want: `{"id":"{acme}","version":8,"name":"Acme Press","color":"#0a7ea4","status":"active","root":false,"domain":"www.acme.example",
				"domains":["acme.localhost","www.acme.example"],"pending_domains":[]}`,
		},
		step{
			Name: "whose host it is, anyone may ask anywhere", By: "@root.localhost", Do: "GET /api/v1/tenants/by-domain/ACME.localhost", Status: 200,
			Want: `{"id":"{acme}","name":"Acme Press","domain":"www.acme.example"}`,
		},
		step{
			Name: "initech", By: root, Do: "POST /api/v1/tenants", Body: `{"name":"Initech","domain":"initech.localhost"}`, Status: 201,
			Events: tenantMade, Save: "initech",
		},
		step{
			Name: "does not pay", By: root, Do: "POST /api/v1/tenants/{initech}/suspend", Body: `{"reason":"three invoices are open"}`,
			Status: 200, Events: "cortex.tenant.suspended",
		},
		step{Name: "pays", By: root, Do: "POST /api/v1/tenants/{initech}/reactivate", Status: 200, Events: "cortex.tenant.reactivated"},
		step{
			Name: "leaves", By: root, Do: "POST /api/v1/tenants/{initech}/suspend", Body: `{"reason":"they leave"}`,
			Status: 200, Events: "cortex.tenant.suspended", Aside: true,
		},
		step{
			Name: "for good", By: root, Do: "DELETE /api/v1/tenants/{initech}", Status: 200, Want: `{"version":8}`,
			Events: "cortex.tenant.deleted",
		},
		step{
			Name: "who is there", By: root, Do: "GET /api/v1/tenants?status=active", Status: 200,
			Want: `{"items":[{"name":"Globex","domains":["globex.localhost"]},{"name":"Acme Press"},{"name":"root","root":true}]}`,
		},
	)
}

func peopleMoveIn(t *testing.T, w *world) {
	const bob = "bob@acme.localhost"
	first := newUser(root, boss, "admin")
	first.Header = []string{"Archive-Tenant", "{acme}", "Archive-Reason", "its first administrator"}
	first.Events, first.Aside = "cortex.user.created cortex.staff.admin_added", true
	writer := newUser(boss, ada, "editor")
	writer.Header = []string{"Idempotency-Key", "ada-1"}
	again := writer
	again.Name, again.Events = "the answer was lost: sent again, it is the same account", ""
	again.Want = `{"id":"{ada@acme.localhost.id}","version":1}`
	gone := newUser(boss, "carol@acme.localhost", "viewer")
	gone.Aside = true
	w.tell(
		t, first, logIn(boss), writer, again, newUser(boss, bob),
		step{
			Name: "bob may read", By: boss, Do: "PUT /api/v1/users/{bob@acme.localhost.id}/roles", Header: []string{"If-Match", `"1"`},
			Body: `{"roles":["viewer"]}`, Status: 200, Want: `{"version":2}`, Events: "cortex.user.roles_changed",
		},
		step{
			Name: "bob is away", By: boss, Do: "POST /api/v1/users/{bob@acme.localhost.id}/suspend", Body: `{"reason":"on leave until May"}`,
			Status: 200, Want: `{"version":3}`, Events: "cortex.user.suspended",
		},
		step{
			Name: "who is away", By: boss, Do: "GET /api/v1/users?status=suspended", Status: 200, Aside: true,
			Want: `{"items":[{"id":"{bob@acme.localhost.id}","username":"bob","roles":["viewer"],"status":"suspended"}]}`,
		},
		step{
			Name: "bob is back", By: boss, Do: "POST /api/v1/users/{bob@acme.localhost.id}/reactivate", Status: 200, Want: `{"version":4}`,
			Events: "cortex.user.reactivated",
		},
		gone,
		step{
			Name: "carol wants to be forgotten", By: boss, Do: "DELETE /api/v1/users/{carol@acme.localhost.id}", Status: 200,
			Events: "cortex.user.deleted",
		},
		step{
			Name: "everybody", By: boss, Do: "GET /api/v1/users?limit=10", Status: 200,
			Want: `{"items":[{"username":"bob","email":"bob@acme.localhost"},{"username":"ada","roles":["editor"]},
				{"username":"boss","roles":["admin"],"status":"active"}]}`,
		},
		step{
			Name: "ada, to her administrator", By: boss, Do: "GET /api/v1/users/{ada@acme.localhost.id}", Status: 200,
			Want: `{"id":"{ada@acme.localhost.id}","username":"ada","email":"ada@acme.localhost","roles":["editor"],"version":1}`,
		},
		step{
			Name: "acme, to its administrator", By: boss, Do: "GET /api/v1/tenants/{acme}", Status: 200, Aside: true,
			Want: `{"name":"Acme Press","version":8}`,
		},
	)
}

func sessions(t *testing.T, w *world) {
	after := logIn(ada)
	after.Name, after.Body = "the new password opens", `{"email":"Ada@ACME.localhost","password":"a longer battery staple"}`
	w.tell(
		t, logIn(ada),
		step{
			Name: "the token gets old", By: "@acme.localhost", Do: "POST /api/v1/auth/refresh", Body: `{"refresh_token":"{ada@acme.localhost.refresh}"}`,
			Status: 200, Want: `{"token_type":"Bearer","expires_in":900}`, Save: ada + "=access_token " + ada + ".refresh=refresh_token",
		},
		step{
			Name: "a better password", By: ada, Do: "POST /api/v1/users/change-password",
			Body:   `{"old_password":"` + password + `","new_password":"a longer battery staple"}`,
			Status: 200, Want: `{"id":"{ada@acme.localhost.id}","version":2}`, Events: "cortex.user.password_changed",
		},
		step{
			Name: "her session goes on", By: ada, Do: "GET /api/v1/auth/me", Status: 200,
			Want: `{"actor":"{ada@acme.localhost.id}","tenant":"{acme}","roles":["viewer","editor"]}`,
		},
		step{Name: "until she leaves", By: ada, Do: "POST /api/v1/auth/logout", Status: 204, Events: "cortex.session.ended"},
		after,
	)
}

func machines(t *testing.T, w *world) {
	const judge = "judge@root.localhost"
	w.tell(
		t, step{
			Name: "credentials, shown once", By: root, Do: "POST /api/v1/principals", Body: `{"name":"judge","role":"evaluator"}`, Status: 200,
			Events: "cortex.principal.created", Save: "client=client_id secret=client_secret",
		},
		step{
			Name: "become a token", By: "@root.localhost", Do: "POST /api/v1/auth/token", Status: 200, Save: judge + "=access_token",
			Body: `{"grant_type":"client_credentials","client_id":"{client}","client_secret":"{secret}"}`,
			Want: `{"token_type":"Bearer","expires_in":900}`,
		},
		step{
			Name: "that stands for the machine", By: judge, Do: "GET /api/v1/auth/me", Status: 200, Aside: true,
			Want: `{"actor":"{client}","roles":["evaluator"]}`,
		},
		step{
			Name: "until they are revoked", By: root, Do: "DELETE /api/v1/principals/{client}", Status: 200, Want: `{"version":2}`,
			Events: "cortex.principal.revoked",
		},
	)
}

func operations(t *testing.T, w *world) {
	w.tell(
		t, step{Name: "the next key signs", By: root, Do: "POST /api/v1/platform/signing-keys/rotate", Status: 200, Save: "kid=kid"},
		step{Name: "tokens of the last one are good", By: root, Do: "GET /api/v1/tenants/{acme}", Status: 200, Aside: true},
	)
	keys := w.does(t, step{By: "@nowhere.localhost", Do: "GET /.well-known/jwks.json", Status: 200}).JSON(t)["keys"].([]any)
	published := map[any]bool{}
	for _, key := range keys {
		published[key.(map[string]any)["kid"]] = true
	}
	if len(keys) != 3 || !published[w.names["kid"]] {
		t.Errorf("want the retired, the signing (%s) and the next key, got %v", w.names["kid"], keys)
	}
	w.written(t)
	w.tell(
		t,
		step{
			Name: "how it stands", By: root, Do: "GET /api/v1/platform/status", Status: 200,
			Want: `{"version":"0.1.0","parts":"all","log":{"id":"` + w.Store.LogID() + `","head":"` + string(w.Head()) + `"},
				"views":{"live":8,"behind":0,"stopped":0,"quarantined":0}}`,
		},
		step{Name: "view by view", By: root, Do: "GET /api/v1/platform/views", Status: 200},
	)
	for path, what := range map[string]string{
		"/health": `{"status":"ok"}`, "/health/live": `{"status":"ok"}`, "/health/ready": `{"status":"ok"}`, "/openapi.json": `{"openapi":"3.1.0"}`,
		"/problems/rest.stale": `{"code":"rest.stale","status":412}`, "/problems": "", "/docs": "", "/docs/docs.js": "", "/docs/docs.css": "",
		"/docs/icon.svg": "", "/metrics": "",
	} {
		w.does(t, step{By: "@nowhere.localhost", Do: "GET " + path, Status: 200, Want: what})
	}
}
