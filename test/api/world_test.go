// Package api tells the story of the whole product over its REST API and provokes every refusal it knows.
package api

import (
	"context"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bgce/archive/commands"
	"github.com/bgce/archive/commands/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
	"github.com/bgce/archive/platform/run/operate"
	"github.com/bgce/archive/projections"
	"github.com/bgce/archive/readapi"
)

const (
	password = "correct horse battery"
	root     = "platform@root.localhost" // the first administrator
)

// world is the whole product behind its edge, and the names its story has given so far.
type world struct {
	*apitest.Server
	names map[string]string // {name} in a step: ids, and tokens by e-mail
	told  func(s step, a apitest.Answer)
}

// step is one request, who makes it, and what must come of it. {names} are replaced in all its texts.
type step struct {
	Name   string
	By     string // an e-mail whose token was saved; "@acme.localhost" is anyone at that host
	Do     string
	Header []string // name, value …
	Body   string
	Status int
	Code   string // of the problem
	Want   string // JSON the answer must contain
	Events string // stored types appended, in order; "" = none
	Save   string // "acme" keeps the answer's id under that name, "next=cursor" its cursor under next
	Aside  bool   // not the one to show as the operation's example
}

// setup is everything cmd/archive mounts.
func setup(config func(*rest.Config)) apitest.Setup {
	var service *auth.Service
	process := &operate.Process{
		Version: "0.1.0", URL: "http://root.localhost:8080", Started: time.Now(), Parts: "all", Database: "PostgreSQL 15, private",
	}
	s := apitest.Setup{
		Config: func(c *rest.Config) {
			service, c.Domain = c.Verifier.(*auth.Service), "root.localhost"
			process.DB, process.Store = c.DB, c.Kernel.Store
			c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("# metrics")) })
			if config != nil {
				config(c)
			}
		},
		Routes: []func(*rest.API){func(api *rest.API) {
			for _, layer := range []map[string]func(*rest.API){commands.Rooms(service), readapi.Rooms} {
				for _, room := range slices.Sorted(maps.Keys(layer)) {
					layer[room](api)
				}
			}
			operate.Routes(api, process)
		}},
	}
	for _, room := range slices.Sorted(maps.Keys(projections.Rooms)) {
		s.Views = append(s.Views, projections.Rooms[room]...)
	}
	return s
}

// open starts a product that nobody has set up yet.
func open(t *testing.T, s apitest.Setup) *world {
	t.Helper()
	return &world{Server: apitest.New(t, s), names: map[string]string{}}
}

// start also makes the root tenant with its first administrator.
func start(t *testing.T, config func(*rest.Config)) *world {
	t.Helper()
	w := open(t, setup(config))
	w.bootstrap(t)
	return w
}

func (w *world) bootstrap(t *testing.T) {
	t.Helper()
	first := cortex.Bootstrap{Domain: "root.localhost", AdminEmail: root, AdminPassword: password}
	if made, err := first.Run(t.Context(), w.Kernel); err != nil || !made {
		t.Fatalf("made %v, %v", made, err)
	}
	w.caughtUp(t)
}

// move lets a tenant move in: acme has the host acme.localhost and the administrator boss@acme.localhost, who is logged in.
func (w *world) move(t *testing.T, tenants ...string) {
	t.Helper()
	w.does(t, logIn(root))
	for _, name := range tenants {
		w.does(t, step{
			By: root, Do: "POST /api/v1/tenants", Body: `{"name":"` + name + `","domain":"` + name + `.localhost"}`, Status: 201, Save: name,
			Events: tenantMade,
		})
		boss := newUser(root, "boss@"+name+".localhost", "admin")
		boss.Header = []string{"Archive-Tenant", "{" + name + "}", "Archive-Reason", "its first administrator"}
		boss.Events = "cortex.user.created cortex.staff.admin_added"
		w.does(t, boss)
		w.does(t, logIn("boss@"+name+".localhost"))
	}
}

// newUser makes an account; its id is kept as "boss@acme.localhost.id".
func newUser(by, email string, roles ...string) step {
	name, _, _ := strings.Cut(email, "@")
	granted := ""
	if len(roles) > 0 {
		granted = `,"roles":["` + strings.Join(roles, `","`) + `"]`
	}
	return step{
		Name: "an account for " + email, By: by, Do: "POST /api/v1/users", Status: 201, Save: email + ".id", Events: "cortex.user.created",
		Body: `{"email":"` + email + `","username":"` + name + `","display_name":"` + strings.ToUpper(name[:1]) + name[1:] +
			`","password":"` + password + `"` + granted + `}`,
	}
}

// logIn keeps the access token under the e-mail and the refresh token under "….refresh".
func logIn(email string) step {
	_, host, _ := strings.Cut(email, "@")
	return step{
		Name: email + " logs in", By: "@" + host, Do: "POST /api/v1/auth/login", Body: `{"email":"` + email + `","password":"` + password + `"}`,
		Status: 200, Events: "cortex.session.started", Save: email + "=access_token " + email + ".refresh=refresh_token",
	}
}

// caughtUp waits until every view has taken in the whole log.
func (w *world) caughtUp(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, v := range w.Engine.Views {
		if err := (project.Reader{DB: w.DB, Engine: w.Engine}).WaitFor(ctx, v.Name(), w.Head()); err != nil {
			t.Fatal(err)
		}
	}
}

var placeholder = regexp.MustCompile(`\{[a-z0-9_.@-]+\}`)

// fill puts the names' values in; what is no name stays.
func (w *world) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		if value, known := w.names[name[1:len(name)-1]]; known {
			return value
		}
		return name
	})
}

// ask makes a step's request.
func (w *world) ask(t *testing.T, s step) (apitest.Case, apitest.Answer) {
	t.Helper()
	local, host, _ := strings.Cut(s.By, "@")
	c := apitest.Case{Name: s.Name, Do: w.fill(s.Do), Host: host, Header: map[string]string{}, Status: s.Status, Code: s.Code, Want: w.fill(s.Want)}
	if s.Body != "" {
		c.Body = w.fill(s.Body)
	}
	if local != "" {
		c.Header["Authorization"] = "Bearer " + w.names[s.By]
	}
	for i := 0; i < len(s.Header); i += 2 {
		c.Header[s.Header[i]] = w.fill(s.Header[i+1])
	}
	return c, w.Do(t, c)
}

// does makes the request and holds everything that came of it against the step.
func (w *world) does(t *testing.T, s step) apitest.Answer {
	t.Helper()
	head := w.Head()
	c, a := w.ask(t, s)
	w.Check(t, c, a)
	if got := strings.Join(w.Types(head), " "); got != s.Events {
		t.Fatalf("%s: events %q, want %q", c.Do, got, s.Events)
	}
	if s.Events != "" {
		w.caughtUp(t)
	}
	for word := range strings.FieldsSeq(s.Save) {
		name, field, given := strings.Cut(word, "=")
		if !given {
			field = "id"
		}
		w.names[name], _ = a.JSON(t)[field].(string)
		if w.names[name] == "" {
			t.Fatalf("%s: no %s to keep in %s", c.Do, field, a.Body)
		}
	}
	if w.told != nil {
		w.told(s, a)
	}
	return a
}

// tell does the steps in order; nothing follows one that fails.
func (w *world) tell(t *testing.T, steps ...step) {
	t.Helper()
	for _, s := range steps {
		if !t.Run(s.Name, func(t *testing.T) { w.does(t, s) }) {
			t.FailNow()
		}
	}
}

// written waits until every view has also written down how far it is, which one that nothing concerns does a moment later.
func (w *world) written(t *testing.T) {
	t.Helper()
	w.caughtUp(t)
	w.eventually(t, "all checkpoints stand at the end of the log", `SELECT bool_and(position = $1) FROM project.checkpoints`, string(w.Head()))
}

// eventually asks the database until it says true.
func (w *world) eventually(t *testing.T, what, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for yes := false; !yes; {
		if err := w.DB.QueryRow(ctx, sql, args...).Scan(&yes); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
