package api

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/rest/apitest"
)

// TestSweep calls every operation in every role.
func TestSweep(t *testing.T) {
	s := setup(nil)
	s.Views = nil // callers of every role, without the stories of how they got them
	apitest.New(t, s).Sweep(t)
}

const hank = "boss@globex.localhost"

// acmes are an object of acme for every operation that names one, and what would be done to it.
var acmes = map[string]step{
	"cortex-add-domain":         {Do: "/api/v1/tenants/{acme}/domains", Body: `{"domain":"stolen.localhost"}`},
	"cortex-delete-tenant":      {Do: "/api/v1/tenants/{acme}"},
	"cortex-delete-user":        {Do: "/api/v1/users/{ada@acme.localhost.id}"},
	"cortex-reactivate-tenant":  {Do: "/api/v1/tenants/{acme}/reactivate"},
	"cortex-reactivate-user":    {Do: "/api/v1/users/{ada@acme.localhost.id}/reactivate"},
	"cortex-read-tenant":        {Do: "/api/v1/tenants/{acme}"},
	"cortex-read-user":          {Do: "/api/v1/users/{ada@acme.localhost.id}"},
	"cortex-revoke-principal":   {Do: "/api/v1/principals/{machine}"},
	"cortex-set-primary-domain": {Do: "/api/v1/tenants/{acme}/domains/acme.localhost/primary"},
	"cortex-set-roles":          {Do: "/api/v1/users/{ada@acme.localhost.id}/roles", Body: `{"roles":[]}`},
	"cortex-suspend-tenant":     {Do: "/api/v1/tenants/{acme}/suspend", Body: `{"reason":"rivalry"}`},
	"cortex-suspend-user":       {Do: "/api/v1/users/{ada@acme.localhost.id}/suspend", Body: `{"reason":"rivalry"}`},
	"cortex-update-tenant":      {Do: "/api/v1/tenants/{acme}", Body: `{"name":"Ours now"}`},
	"cortex-verify-domain":      {Do: "/api/v1/tenants/{acme}/domains/acme.localhost/verify"},
	"postal-archive-post":       {Do: "/api/v1/posts/{post}/archive"},
	"postal-delete-post":        {Do: "/api/v1/posts/{post}"},
	"postal-delete-tag":         {Do: "/api/v1/tags/{sea}"},
	"postal-diff-versions":      {Do: "/api/v1/posts/{post}/versions/1/diff"},
	"postal-edit-post":          {Do: "/api/v1/posts/{post}", Body: `{"title":"Ours now"}`},
	"postal-list-versions":      {Do: "/api/v1/posts/{post}/versions"},
	"postal-publish-post":       {Do: "/api/v1/posts/{post}/publish"},
	"postal-read-post":          {Do: "/api/v1/posts/{post}"},
	"postal-read-post-by-slug":  {Do: "/api/v1/posts/slug/{slug}"},
	"postal-read-tag":           {Do: "/api/v1/tags/{slug}"},
	"postal-read-version":       {Do: "/api/v1/posts/{post}/versions/1"},
	"postal-rename-tag":         {Do: "/api/v1/tags/{sea}", Body: `{"name":"Ours now"}`},
	"postal-restore-post":       {Do: "/api/v1/posts/{post}/restore"},
	"postal-unpublish-post":     {Do: "/api/v1/posts/{post}/unpublish"},
}

// everyones names what anyone may ask about any tenant.
var everyones = map[string]string{"cortex-resolve-tenant": "tells by a domain, which is public, whose it is in public words"}

// TestAnotherTenantsThingsAreNotThere calls every operation that names a thing on a real one of acme's, from elsewhere.
func TestAnotherTenantsThingsAreNotThere(t *testing.T) {
	w := start(t, nil)
	w.furnish(t)
	head := w.Head()
	for _, p := range w.API.Permissions() {
		if !strings.Contains(p.Path, "{") || everyones[p.Operation] != "" {
			continue
		}
		s, known := acmes[p.Operation]
		if !known {
			t.Errorf("%s: say in acmes which thing of acme's it would be called on", p.Operation)
			continue
		}
		callers := []string{hank, "@globex.localhost"}
		if !strings.HasPrefix(p.Path, "/api/v1/tenants/") {
			callers = append(callers, root) // who does not say that it acts for acme
		}
		for _, by := range callers {
			s.Do, s.By, s.Header = p.Method+" "+acmes[p.Operation].Do, by, []string{"If-Match", "*"}
			t.Run(p.Operation+" by "+by, func(t *testing.T) { w.foreign(t, s, p.Who) })
		}
	}
	if got := w.Types(head); len(got) > 0 {
		t.Errorf("acme's things were changed from elsewhere: %v", got)
	}
	w.caughtUp(t)
	w.tell(t, step{
		Name: "acme still has its own", By: "@acme.localhost", Do: "GET /api/v1/posts/{post}", Status: 200,
		Want: `{"slug":"tides","tags":["tides"]}`,
	})
}

// furnish gives acme a thing of every kind, all of them in public view, and globex nothing.
func (w *world) furnish(t *testing.T) {
	t.Helper()
	w.move(t, "acme", "globex")
	w.tell(
		t, newUser(boss, ada, "editor"), logIn(ada),
		step{Name: "tag", By: ada, Do: "POST /api/v1/tags", Body: `{"name":"Tides"}`, Status: 201, Save: "sea", Events: "postal.tag.created"},
		step{
			Name: "post", By: ada, Do: "POST /api/v1/posts", Body: `{"title":"Tides","slug":"tides","body":"b","tags":["tides"]}`, Status: 201,
			Save: "post", Events: "postal.post.created",
		},
		step{Name: "published", By: ada, Do: "POST /api/v1/posts/{post}/publish", Status: 200, Events: "postal.post.published"},
		step{
			Name: "machine", By: root, Do: "POST /api/v1/principals", Header: []string{"Archive-Tenant", "{acme}", "Archive-Reason", "its build"},
			Body: `{"name":"build","role":"service"}`, Status: 200, Save: "machine=client_id", Events: "cortex.principal.created",
		},
	)
	w.names["slug"] = "tides"
}

// foreign asks for a thing of acme's and for one that does not exist: who asks cannot tell them apart.
func (w *world) foreign(t *testing.T, s step, who string) {
	t.Helper()
	_, real := w.ask(t, s)
	nothing := &world{Server: w.Server, names: maps.Clone(w.names)}
	for name := range nothing.names {
		if !strings.Contains(name, "@") || strings.HasSuffix(name, ".id") {
			nothing.names[name] = uuid.NewString()
		}
	}
	_, none := nothing.ask(t, s)
	if real.Status != 404 && real.Status != 401 && real.Status != 403 {
		t.Fatalf("%s (%s): %d %s", s.Do, who, real.Status, real.Body)
	}
	if strings.HasPrefix(s.By, "@") && !strings.Contains(who, "public") && real.Status != 401 {
		t.Errorf("%s (%s): nobody gets %d, not 401", s.Do, who, real.Status)
	}
	if real.Status != none.Status || said(t, real) != said(t, none) {
		t.Errorf("%s: the thing answers %d %s\nnothing answers %d %s", s.Do, real.Status, real.Body, none.Status, none.Body)
	}
}

// said is a problem without what names the very request.
func said(t *testing.T, a apitest.Answer) string {
	t.Helper()
	body := a.JSON(t)
	delete(body, "instance")
	delete(body, "trace_id")
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
