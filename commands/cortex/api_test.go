package cortex_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/commands/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
	views "github.com/bgce/archive/projections/cortex"
	questions "github.com/bgce/archive/readapi/cortex"
)

const (
	rootHost, acmeHost = "root.localhost", "acme.localhost"
	password           = "correct horse battery"
	platform, boss     = "platform@root.localhost", "boss@acme.localhost"
)

// world is the room's whole API: the root tenant with its first administrator, and the tenant acme with one of its own.
type world struct {
	*apitest.Server
	auth    *auth.Service
	tokens  map[string]string // access tokens by e-mail
	acme    uuid.UUID
	bossID  uuid.UUID
	counter int
}

type object = map[string]any

func start(t *testing.T) *world {
	t.Helper()
	w := &world{tokens: map[string]string{}}
	w.Server = apitest.New(t, apitest.Setup{
		Views:  views.Views,
		Routes: []func(*rest.API){func(api *rest.API) { cortex.Routes(api, w.auth) }, questions.Routes},
		Config: func(c *rest.Config) { w.auth = c.Verifier.(*auth.Service) },
	})
	first := cortex.Bootstrap{Domain: rootHost, AdminEmail: platform, AdminPassword: password}
	var wg sync.WaitGroup
	var made [2]bool
	for i := range made { // two processes start at once
		wg.Go(func() {
			var err error
			if made[i], err = first.Run(t.Context(), es.New(w.Store, w.Vault, 10)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made[0] == made[1] {
		t.Fatalf("of two that start together one makes the first tenant: got %v", made)
	}
	w.caughtUp(t)
	w.logIn(t, rootHost, platform)
	w.acme = w.id(t, w.as(t, platform, "POST /api/v1/tenants", object{"name": "Acme", "domain": acmeHost}))
	w.caughtUp(t)
	inAcme := map[string]string{"Archive-Tenant": w.acme.String(), "Archive-Reason": "first administrator"}
	w.bossID = w.id(t, w.do(t, platform, rootHost, "POST /api/v1/users", w.user(boss, "admin"), inAcme))
	w.caughtUp(t)
	w.logIn(t, acmeHost, boss)
	return w
}

// user is the body of a new account.
func (w *world) user(email string, roles ...string) object {
	w.counter++
	return object{"email": email, "username": fmt.Sprintf("user%d", w.counter), "display_name": "Some Body", "password": password, "roles": roles}
}

// add makes an account in acme and logs it in.
func (w *world) add(t *testing.T, email string, roles ...string) uuid.UUID {
	t.Helper()
	id := w.id(t, w.as(t, boss, "POST /api/v1/users", w.user(email, roles...)))
	w.caughtUp(t)
	w.logIn(t, acmeHost, email)
	return id
}

func (w *world) caughtUp(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for _, v := range views.Views {
		if err := (project.Reader{DB: w.DB, Engine: w.Engine}).WaitFor(ctx, v.Name(), w.Head()); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) do(t *testing.T, email, host, what string, body any, header map[string]string) apitest.Answer {
	t.Helper()
	h := map[string]string{}
	maps.Copy(h, header)
	if email != "" {
		h["Authorization"] = "Bearer " + w.tokens[email]
	}
	return w.Do(t, apitest.Case{Do: what, Host: host, Body: body, Header: h})
}

// as sends a request from the tenant that the e-mail says.
func (w *world) as(t *testing.T, email, what string, body any) apitest.Answer {
	t.Helper()
	_, host, _ := strings.Cut(email, "@")
	return w.do(t, email, host, what, body, map[string]string{"If-Match": "*"})
}

// raced is as for many goroutines at once.
func (w *world) raced(email, what string, body any) apitest.Answer {
	_, host, _ := strings.Cut(email, "@")
	method, path, _ := strings.Cut(what, " ")
	data, _ := json.Marshal(body)
	r := httptest.NewRequest(method, path, bytes.NewReader(data))
	if r.Host = host; body == nil {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+w.tokens[email])
	answer := httptest.NewRecorder()
	w.Handler.ServeHTTP(answer, r)
	return apitest.Answer{Status: answer.Code, Header: answer.Header(), Body: answer.Body.Bytes()}
}

func (w *world) id(t *testing.T, a apitest.Answer) uuid.UUID {
	t.Helper()
	if a.Status != 201 {
		t.Fatalf("got %d: %s", a.Status, a.Body)
	}
	return uuid.MustParse(a.JSON(t)["id"].(string))
}

func (w *world) tryLogIn(t *testing.T, host, email, pass string) apitest.Answer {
	t.Helper()
	return w.do(t, "", host, "POST /api/v1/auth/login", object{"email": email, "password": pass}, nil)
}

// logIn keeps the access token and gives the refresh token.
func (w *world) logIn(t *testing.T, host, email string) string {
	t.Helper()
	a := w.tryLogIn(t, host, email, password)
	wants(t, a, 200, "")
	got := a.JSON(t)
	if got["token_type"] != "Bearer" || got["expires_in"] != 900.0 || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v, Cache-Control %q", got, a.Header.Get("Cache-Control"))
	}
	w.tokens[email] = got["access_token"].(string)
	return got["refresh_token"].(string)
}

func wants(t *testing.T, a apitest.Answer, status int, code string) {
	t.Helper()
	if a.Status != status || a.Code() != code {
		t.Fatalf("got %d %q, want %d %q: %s", a.Status, a.Code(), status, code, a.Body)
	}
}

// eventually waits for what the directory's cache of a second delays.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("not within 2 s: %s", what)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestLogInOutAndMe(t *testing.T) {
	w := start(t)
	a := w.as(t, boss, "GET /api/v1/auth/me", nil)
	wants(t, a, 200, "")
	me := a.JSON(t)
	if me["actor"] != w.bossID.String() || me["tenant"] != w.acme.String() || me["user"].(object)["email"] != boss {
		t.Errorf("got %v", me)
	}
	unknown, wrong := w.tryLogIn(t, acmeHost, "nobody@acme.localhost", password), w.tryLogIn(t, acmeHost, boss, "wrong password")
	wants(t, unknown, 401, "cortex.credentials")
	wants(t, wrong, 401, "cortex.credentials")
	wants(t, w.tryLogIn(t, rootHost, boss, password), 401, "cortex.credentials") // an account is its tenant's
	wants(t, w.tryLogIn(t, acmeHost, "  BOSS@ACME.localhost ", password), 200, "")
	wants(t, w.do(t, boss, rootHost, "GET /api/v1/auth/me", nil, nil), 403, "rest.wrong_tenant")

	head := w.Head()
	wants(t, w.as(t, boss, "POST /api/v1/auth/logout", nil), 204, "")
	if got := w.Types(head); len(got) != 1 || got[0] != "cortex.session.ended" {
		t.Errorf("log-out: got %v", got)
	}
	eventually(t, "the token of an ended session is refused", func() bool {
		return w.as(t, boss, "GET /api/v1/auth/me", nil).Status == 401
	})
}

func TestRefreshGraceAndReuse(t *testing.T) {
	w := start(t)
	first := w.logIn(t, acmeHost, boss)
	refresh := func(token string) apitest.Answer {
		return w.do(t, "", acmeHost, "POST /api/v1/auth/refresh", object{"refresh_token": token}, nil)
	}
	a := refresh(first)
	wants(t, a, 200, "")
	second := a.JSON(t)["refresh_token"].(string)
	if again := refresh(first); again.Status != 200 || again.JSON(t)["refresh_token"] != second {
		t.Errorf("a lost answer is given again: got %d %s", again.Status, again.Body)
	}
	w.Exec(`UPDATE auth.refresh_tokens SET used_at = used_at - interval '31 seconds' WHERE used_at IS NOT NULL`) // the grace is over
	head := w.Head()
	wants(t, refresh(first), 401, "auth.refresh_reused")
	if got := w.Types(head); len(got) != 1 || got[0] != "cortex.session.revoked" {
		t.Errorf("got %v", got)
	}
	wants(t, refresh(second), 401, "auth.refresh_invalid")
	wants(t, refresh("nonsense"), 401, "auth.refresh_invalid")
}

func TestUsersOfATenant(t *testing.T) {
	w := start(t)
	ada := w.add(t, "ada@acme.localhost", "editor")
	same := w.user("ADA@acme.localhost")
	wants(t, w.as(t, boss, "POST /api/v1/users", same), 409, "cortex.email_taken")
	same = w.user("other@acme.localhost")
	same["username"] = "USER2" // ada's, in other letters
	wants(t, w.as(t, boss, "POST /api/v1/users", same), 409, "cortex.username_taken")
	wants(t, w.as(t, "ada@acme.localhost", "POST /api/v1/users", w.user("x@acme.localhost")), 403, "rest.forbidden")
	wants(t, w.as(t, boss, "GET /api/v1/users?role=editor", nil), 200, "")

	public := w.do(t, "", acmeHost, "GET /api/v1/users/"+ada.String(), nil, nil)
	wants(t, public, 200, "")
	if got := public.JSON(t); got["username"] == nil || got["email"] != nil || got["roles"] != nil || got["status"] != nil {
		t.Errorf("anyone sees %v", got)
	}
	if got := w.as(t, "ada@acme.localhost", "GET /api/v1/users/"+ada.String(), nil).JSON(t); got["email"] != "ada@acme.localhost" {
		t.Errorf("the person sees %v", got)
	}
	wants(t, w.as(t, platform, "GET /api/v1/users/"+ada.String(), nil), 404, "rest.not_found")

	path := "/api/v1/users/" + ada.String()
	wants(t, w.as(t, boss, "PUT "+path+"/roles", object{"roles": []string{"admin"}}), 200, "")
	wants(t, w.as(t, boss, "POST "+path+"/suspend", object{"reason": "spam"}), 200, "")
	eventually(t, "a suspended account is shut out", func() bool {
		return w.as(t, "ada@acme.localhost", "GET /api/v1/auth/me", nil).Status == 401
	})
	wants(t, w.tryLogIn(t, acmeHost, "ada@acme.localhost", password), 401, "cortex.credentials")
	wants(t, w.as(t, boss, "PUT "+path+"/roles", object{"roles": []string{}}), 409, "cortex.user_suspended")
	boss1 := "/api/v1/users/" + w.bossID.String()
	wants(t, w.as(t, boss, "POST "+boss1+"/suspend", object{"reason": "x"}), 409, "cortex.last_admin")
	wants(t, w.as(t, boss, "PUT "+boss1+"/roles", object{"roles": []string{"viewer"}}), 409, "cortex.last_admin")
	wants(t, w.as(t, boss, "PUT "+boss1+"/roles", object{"roles": []string{"admin", "employer"}}), 409, "cortex.own_roles")
	wants(t, w.as(t, boss, "DELETE "+boss1, nil), 409, "cortex.last_admin")
	wants(t, w.as(t, boss, "POST "+path+"/reactivate", nil), 200, "")
	wants(t, w.as(t, boss, "POST "+boss1+"/suspend", object{"reason": "x"}), 200, "") // ada administers again
	wants(t, w.as(t, boss, "POST /api/v1/users/"+uuid.NewString()+"/reactivate", nil), 404, "rest.not_found")
}

func TestOneOfManyGetsAnEmail(t *testing.T) {
	w := start(t)
	bodies := make([]object, 16)
	for i := range bodies {
		bodies[i] = w.user("wanted@acme.localhost")
	}
	answers := make([]apitest.Answer, len(bodies))
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = w.raced(boss, "POST /api/v1/users", bodies[i]) })
	}
	wg.Wait()
	made := 0
	for _, a := range answers {
		if a.Status == 201 {
			made++
		} else if a.Code() != "cortex.email_taken" {
			t.Errorf("got %d %s", a.Status, a.Body)
		}
	}
	if made != 1 {
		t.Errorf("%d accounts have one e-mail address", made)
	}
}

func TestTwoAdministratorsCannotBothLeave(t *testing.T) {
	w := start(t)
	ada := w.add(t, "ada@acme.localhost", "admin")
	var wg sync.WaitGroup
	answers := make([]apitest.Answer, 2)
	for i, what := range []string{"DELETE /api/v1/users/" + ada.String(), "DELETE /api/v1/users/" + w.bossID.String()} {
		wg.Go(func() { answers[i] = w.raced(boss, what, nil) })
	}
	wg.Wait()
	if s := answers[0].Status + answers[1].Status; s != 200+409 {
		t.Errorf("got %s and %s", answers[0].Body, answers[1].Body)
	}
}

func TestAKeyMakesCreatingRepeatable(t *testing.T) {
	w := start(t)
	body, key := w.user("ada@acme.localhost"), map[string]string{"Idempotency-Key": "k1"}
	first := w.do(t, boss, acmeHost, "POST /api/v1/users", body, key)
	id := w.id(t, first)
	head := w.Head()
	if again := w.do(t, boss, acmeHost, "POST /api/v1/users", body, key); w.id(t, again) != id || w.Head() != head {
		t.Errorf("got %s", again.Body)
	}
	body["password"] = "another password"
	wants(t, w.do(t, boss, acmeHost, "POST /api/v1/users", body, key), 422, "rest.key_reused")

	tenant := object{"name": "Globex", "domain": "globex.localhost"}
	made := w.id(t, w.do(t, platform, rootHost, "POST /api/v1/tenants", tenant, key))
	if again := w.do(t, platform, rootHost, "POST /api/v1/tenants", tenant, key); w.id(t, again) != made {
		t.Errorf("got %s", again.Body)
	}
}

func TestChangePassword(t *testing.T) {
	w := start(t)
	elsewhere := w.logIn(t, acmeHost, boss)
	w.tokens["elsewhere@acme.localhost"] = w.tokens[boss]
	kept := w.logIn(t, acmeHost, boss)
	change := func(old, next string) apitest.Answer {
		return w.as(t, boss, "POST /api/v1/users/change-password", object{"old_password": old, "new_password": next})
	}
	wants(t, change("not the old one", "a new password"), 422, "cortex.password_wrong")
	wants(t, change(password, "short"), 422, "rest.invalid")
	wants(t, change(password, "a new password"), 200, "")
	wants(t, w.tryLogIn(t, acmeHost, boss, password), 401, "cortex.credentials")
	wants(t, w.tryLogIn(t, acmeHost, boss, "a new password"), 200, "")
	wants(t, w.do(t, "", acmeHost, "POST /api/v1/auth/refresh", object{"refresh_token": elsewhere}, nil), 401, "auth.refresh_invalid")
	wants(t, w.do(t, "", acmeHost, "POST /api/v1/auth/refresh", object{"refresh_token": kept}, nil), 200, "")
	eventually(t, "the other sessions end", func() bool {
		return w.as(t, "elsewhere@acme.localhost", "GET /api/v1/auth/me", nil).Status == 401
	})
	wants(t, w.as(t, boss, "GET /api/v1/auth/me", nil), 200, "")
}

func TestGuessingLocksOnce(t *testing.T) {
	w := start(t)
	var code string
	head := w.Head()
	for range 12 {
		a := w.tryLogIn(t, acmeHost, boss, "a wrong guess")
		if code = a.Code(); a.Status == 429 {
			if a.Header.Get("Retry-After") == "" {
				t.Fatal("429 without Retry-After")
			}
			w.Exec(`UPDATE auth.login_failures SET last_at = last_at - interval '10 seconds' WHERE failures < 10`) // wait
		}
	}
	for range 4 {
		a := w.tryLogIn(t, acmeHost, boss, "a wrong guess")
		code = a.Code()
		w.Exec(`UPDATE auth.login_failures SET last_at = last_at - interval '10 seconds' WHERE failures < 10`)
	}
	if code != "cortex.login_throttled" {
		t.Errorf("got %q", code)
	}
	wants(t, w.tryLogIn(t, acmeHost, boss, password), 429, "cortex.login_throttled") // the right one too
	if got := w.Types(head); len(got) != 1 || got[0] != "cortex.user.locked" {
		t.Errorf("got %v", got)
	}
	w.Exec(`UPDATE auth.login_failures SET last_at = last_at - interval '15 minutes'`)
	head = w.Head()
	w.logIn(t, acmeHost, boss)
	if got := strings.Join(w.Types(head), " "); got != "cortex.user.unlocked cortex.session.started" {
		t.Errorf("got %v", got)
	}
}
