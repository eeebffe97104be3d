package api

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/directory"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/pgtest"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
	"github.com/bgce/archive/projections"
)

// guessing is passwords tried too often or at once, and tokens used twice.
func guessing(t *testing.T, c *catalogue) {
	w := start(t, func(c *rest.Config) { c.Directory = directory.New(pgtest.Pool(t, c.DB.Config().ConnString()), nil) })
	w.move(t, "acme")
	const erin = "erin@acme.localhost"
	w.tell(
		t, newUser(boss, ada, "editor"), logIn(ada), newUser(boss, erin), logIn(erin),
		step{
			Name: "a refresh", By: anyone, Do: "POST /api/v1/auth/refresh", Body: `{"refresh_token":"{ada@acme.localhost.refresh}"}`,
			Status: 200,
		},
	)
	w.Exec(`UPDATE auth.refresh_tokens SET used_at = used_at - interval '31 seconds' WHERE used_at IS NOT NULL`) // no answer got lost then
	c.provoke(t, w, step{
		Name: "a refresh token a second time", By: anyone, Do: "POST /api/v1/auth/refresh", Body: `{"refresh_token":"{ada@acme.localhost.refresh}"}`,
		Code: "auth.refresh_reused", Events: "cortex.session.revoked",
	})
	guess := logIn(boss)
	guess.Name, guess.Body, guess.Events, guess.Save = "a guess", `{"email":"boss@acme.localhost","password":"a guess"}`, "", ""
	guess.Code = "cortex.credentials"
	c.provoke(t, w, guess, guess, guess, guess, guess)
	guess.Name, guess.Code = "one guess too many", "cortex.login_throttled"
	c.provoke(t, w, guess)

	if err := w.Vault.Erase(t.Context(), uuid.MustParse(w.names["acme"]), uuid.MustParse(w.names[erin+".id"])); err != nil {
		t.Fatal(err)
	}
	c.provoke(t, w, step{
		Name: "somebody whose key was destroyed", By: erin, Do: "POST /api/v1/users/change-password", Code: "rest.subject_erased",
		Body: `{"old_password":"` + password + `","new_password":"a longer battery staple"}`,
	})
	w.crowd(t, c)
}

// crowd lets as many log-ins as may run at once be held up, and one more come.
func (w *world) crowd(t *testing.T, c *catalogue) {
	t.Helper()
	h := w.hold(t, `LOCK TABLE auth.login_failures IN ACCESS EXCLUSIVE MODE`)
	places := max(2, runtime.NumCPU())
	var waiting []<-chan apitest.Answer
	for range places {
		waiting = append(waiting, w.background(t.Context(), logIn(ada)))
	}
	h.waiting(t, places)
	ctx, leave := context.WithTimeout(t.Context(), time.Second)
	defer leave()
	c.saw(t, "auth.busy", <-w.background(ctx, logIn(ada)))
	h.release(t)
	for _, answer := range waiting {
		if a := <-answer; a.Status != 200 {
			t.Errorf("whoever waited is let in: %d %s", a.Status, a.Body)
		}
	}
}

// lagging is views that are behind, broken or lack a row.
func lagging(t *testing.T, c *catalogue) {
	var ahead atomic.Int64
	w := start(t, func(c *rest.Config) {
		c.Patience = 50 * time.Millisecond
		c.Directory = directory.New(c.DB, c.Kernel.Store.Head)
		c.Directory.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	w.furnish(t)
	posts := w.table(t, "postal.posts")
	w.Exec(`ALTER TABLE ` + posts + ` ADD CONSTRAINT harmless CHECK (title <> 'Poison')`)
	w.tell(t, step{
		Name: "a row the view cannot take", By: ada, Do: "POST /api/v1/posts", Body: `{"title":"Poison"}`, Status: 201,
		Events: "postal.post.created", Save: "poison",
	})
	c.provoke(t, w, step{Name: "it was set aside", By: ada, Do: "GET /api/v1/posts/{poison}", Code: "rest.view_quarantined"})
	list := w.does(t, step{By: ada, Do: "GET /api/v1/posts", Status: 200, Want: `{"items":[{"id":"{post}"}]}`})
	if !strings.Contains(list.Header.Get("Warning"), "1 streams") {
		t.Errorf("a list that lacks it says so: %v", list.Header)
	}

	h := w.hold(t, `SELECT 1 FROM project.checkpoints WHERE view = 'postal.posts' FOR UPDATE`)
	_, a := w.ask(t, step{By: ada, Do: "POST /api/v1/posts/{post}/archive", Status: 200})
	w.eventually(t, "the other views go on", `SELECT position = $1 FROM project.checkpoints WHERE view = 'postal.tags'`, string(w.Head()))
	c.provoke(t, w, step{
		Name: "one's own write is not there yet", By: ada, Do: "GET /api/v1/posts/{post}", Header: []string{"At-Least", a.Header.Get("Position")},
		Code: "rest.lagging",
	})
	old := w.does(t, step{By: ada, Do: "GET /api/v1/posts", Status: 200, Want: `{"items":[{"id":"{post}","status":"published"}]}`})
	if at := old.Header.Get("Position"); at == "" || at >= a.Header.Get("Position") {
		t.Errorf("an answer from before %s says that it is of %s", a.Header.Get("Position"), at)
	}
	h.release(t)
	w.caughtUp(t)

	w.Exec(`ALTER TABLE ` + w.table(t, "postal.tags") + ` RENAME COLUMN name TO title`) // somebody's hand
	c.provoke(t, w, step{Name: "a table nobody expects", By: ada, Do: "GET /api/v1/tags", Code: "rest.internal"})

	h = w.hold(t, `SELECT 1 FROM project.checkpoints WHERE view = 'platform.accounts' FOR UPDATE`)
	w.ask(t, newUser(boss, "late@acme.localhost"))
	_, a = w.ask(t, logIn(boss))
	w.names["again@acme.localhost"], _ = a.JSON(t)["access_token"].(string)
	w.ask(t, step{By: "again@acme.localhost", Do: "GET /api/v1/auth/me"}) // the directory has to look, and sees how far its views are
	ahead.Store(int64(31 * time.Second))
	c.provoke(t, w, step{
		Name: "nobody knows any more who may", By: ada, Do: "POST /api/v1/tags", Body: `{"name":"Sea"}`, Code: "rest.directory_lagging",
	})
	w.tell(t, step{Name: "reading goes on", By: ada, Do: "GET /api/v1/posts", Status: 200})
	h.release(t)
}

// locked is what another process does to an account.
type locked struct{}

func (locked) Decide(env es.Env, _ domain.User) (es.Events[domain.User], error) {
	return es.Events[domain.User]{domain.UserLocked{Until: env.Now}}, nil
}

// heldUp is a log that answers late, or another process that was first.
func heldUp(t *testing.T, c *catalogue) {
	w := start(t, nil)
	w.move(t, "acme")
	w.tell(t, newUser(boss, ada, "editor"))
	store, err := postgres.Open(t.Context(), w.DB.Config().ConnString(), postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	const appends = `LOCK TABLE log.events IN SHARE MODE`

	h := w.hold(t, appends)
	first := make(chan error, 1)
	go func() {
		at := es.Target{Tenant: uuid.MustParse(w.names["acme"]), ID: uuid.MustParse(w.names[ada+".id"])}
		_, err := es.Handle(t.Context(), es.New(store, w.Vault, 10), domain.Users, at, es.Command[domain.User](locked{}))
		first <- err
	}()
	h.waiting(t, 1)
	second := w.background(t.Context(), step{By: boss, Do: "POST /api/v1/users/{ada@acme.localhost.id}/reactivate"})
	h.waiting(t, 2)
	h.release(t)
	if err := <-first; err != nil {
		t.Fatal(err)
	}
	c.saw(t, "rest.contended", <-second)

	head := w.Head()
	late := newUser(boss, "late@acme.localhost")
	late.Header = []string{"Idempotency-Key", "late-1"}
	h = w.hold(t, appends)
	ctx, leave := context.WithTimeout(t.Context(), 1900*time.Millisecond)
	defer leave()
	answer := w.background(ctx, late)
	h.waiting(t, 1)
	leave()
	c.saw(t, "rest.uncertain", <-answer)
	h.release(t)
	if a := <-w.background(t.Context(), late); a.Status != 201 {
		t.Errorf("sent again with its key: %d %s", a.Status, a.Body)
	}
	if got := strings.Join(w.Types(head), " "); got != "cortex.user.created" {
		t.Errorf("sent twice, stored %q", got)
	}
}

// outage cuts the way to the database, of all but the directory, which remembers for a second in any case.
func outage(t *testing.T, c *catalogue) {
	var l *line
	var keys *auth.Service
	w := start(t, func(c *rest.Config) {
		var dsn string
		l, dsn = layLine(t, c.DB.Config().ConnString())
		store, err := postgres.Open(t.Context(), dsn, postgres.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(store.Close)
		c.DB = pgtest.Pool(t, dsn)
		vault := c.Verifier.(*auth.Service).Vault
		c.Kernel, keys = es.New(store, vault, 10), auth.New(c.DB, vault)
		c.Verifier = keys
	})
	w.furnish(t)
	w.tell(t, logIn(ada))
	if _, err := keys.Rotate(t.Context(), time.Now()); err != nil { // they are read anew
		t.Fatal(err)
	}
	l.set(true)
	c.provoke(
		t, w,
		step{Name: "a token nobody has seen", By: ada, Do: "GET /api/v1/auth/me", Code: "auth.keys_unavailable"},
		step{Name: "a question", By: anyone, Do: "GET /api/v1/posts", Code: "rest.unavailable"},
		step{
			Name: "a command", By: boss, Do: "POST /api/v1/users/{ada@acme.localhost.id}/suspend", Body: `{"reason":"r"}`,
			Code: "rest.log_unavailable",
		},
	)
	l.set(false)
	w.tell(
		t, step{Name: "it is back", By: anyone, Do: "GET /api/v1/posts/{post}", Status: 200},
		step{
			Name: "for commands too", By: boss, Do: "POST /api/v1/users/{ada@acme.localhost.id}/suspend", Body: `{"reason":"r"}`,
			Status: 200, Events: "cortex.user.suspended",
		},
	)
}

// starting is a server before its first tenant, without a view, and asked too often.
func starting(t *testing.T, c *catalogue) {
	s := setup(func(c *rest.Config) { c.Loopback, c.Limits = true, rest.Limits{Reads: 2, Writes: -1, Auth: -1} })
	s.Views = projections.Rooms["cortex"]
	w := open(t, s)
	c.provoke(t, w, step{Name: "nobody lives here yet", By: "@127.0.0.1", Do: "GET /api/v1/posts", Code: "rest.starting"})
	w.bootstrap(t)
	c.provoke(
		t, w,
		step{Name: "nobody keeps the view", By: "@root.localhost", Do: "GET /api/v1/posts", Code: "rest.view_not_built"},
		step{Name: "too often", By: "@root.localhost", Do: "GET /api/v1/posts", Code: "rest.limited"},
	)
}

// table is where a view's rows are.
func (w *world) table(t *testing.T, view string) string {
	t.Helper()
	var physical string
	if err := w.DB.QueryRow(t.Context(), `SELECT physical FROM project.views WHERE name = $1`, view).Scan(&physical); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(view, ".")
	return physical + "." + table
}
