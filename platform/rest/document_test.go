package rest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bgce/archive/platform/rest"
)

func TestSweepOfRoles(t *testing.T) { server(t).Sweep(t) }

func TestDocument(t *testing.T) {
	build := func() []byte {
		api := rest.New(rest.Config{})
		routes(api)
		doc, err := api.OpenAPI()
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	doc := build()
	if string(doc) != string(build()) {
		t.Error("the document differs from one start to the next")
	}
	if broken := rest.CheckConventions(doc); len(broken) > 0 {
		t.Errorf("conventions broken:\n%s", strings.Join(broken, "\n"))
	}
	for _, want := range []string{`"harbour-open-berth"`, `"Open berth"`, `"x-permission":"owner|editor"`, `"RestBerthView"`, `"ListRestBerthView"`} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
}

// TestConventionsAreChecked breaks a good document in every way the check knows.
func TestConventionsAreChecked(t *testing.T) {
	api := rest.New(rest.Config{})
	routes(api)
	doc, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"harbour-open-berth"`, `"open-berth"`},
		{`"Open berth"`, `""`},
		{`"x-permission":"user"`, `"x-permission":"harbour.open"`},
		{`"/api/v1/berths/count"`, `"/api/v1/berths/Count"`},
		{`"name":"limit"`, `"name":"pageSize"`},
		{`"maximum":100`, `"maximum":1000`},
		{`"application/problem+json"`, `"application/json"`},
		{`"name":"If-Match","required":true`, `"name":"If-Match","required":false`},
		{`"additionalProperties":false`, `"additionalProperties":true`},
		{`"Position":{`, `"position":{`},
	} {
		broken := strings.ReplaceAll(string(doc), change[0], change[1])
		if broken == string(doc) {
			t.Errorf("%s is not in the document", change[0])
		} else if len(rest.CheckConventions([]byte(broken))) == 0 {
			t.Errorf("nothing is said of %s", change[1])
		}
	}
}

func TestPermissions(t *testing.T) {
	api := rest.New(rest.Config{})
	routes(api)
	i := slices.IndexFunc(api.Permissions(), func(p rest.Permission) bool { return p.Operation == "harbour-move-berth" })
	if got := api.Permissions()[i]; got != (rest.Permission{Operation: "harbour-move-berth", Method: "PUT", Path: "/api/v1/berths/{id}", Who: "owner|editor"}) {
		t.Errorf("%+v", got)
	}
}

func TestWrongRoutesPanic(t *testing.T) {
	api := rest.New(rest.Config{})
	all := rest.Over(api, "/api/v1/berths", berths)
	for name, f := range map[string]func(){
		"an unknown word":        func() { rest.Create[OpenBerth](all, "harbour.open") },
		"an unbound parameter":   func() { rest.Post[CloseBerth](all, "/{id}/of/{harbour}", "user") },
		"a field without one":    func() { rest.Post[NameBerth](all, "/{id}/names", "user") },
		"no aggregate":           func() { rest.Post[CloseBerth](all, "/close", "user") },
		"an unbound question":    func() { rest.Get[CountBerths](api, "/api/v1/berths/{id}/count", "user") },
		"owner without Owners()": func() { rest.Create[openShed](rest.Over(api, "/api/v1/sheds", sheds), "owner") },
		"one operation twice":    func() { rest.Create[OpenBerth](all, "user"); rest.CreateAt[OpenBerth](all, "/again", "user") },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}
