// Package apitest runs scenario tables against a whole API on a real PostgreSQL: routes, kernel, log, projections, tokens.
package apitest

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/directory"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/eventstore/postgres"
	"github.com/bgce/archive/platform/pgtest"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/vault"
)

// The tenants of every test: Acme is where callers are at home, Root runs the platform, Globex is somebody else's.
var (
	Root   = uuid.MustParse("00000000-0000-7000-8000-000000000001")
	Acme   = uuid.MustParse("00000000-0000-7000-8000-00000000000a")
	Globex = uuid.MustParse("00000000-0000-7000-8000-00000000000b")
)

// Hosts by tenant.
var Hosts = map[uuid.UUID]string{Root: "root.test", Acme: "acme.test", Globex: "globex.test"}

// Callers that a case can act as, besides "public". "stranger" is a user of another tenant, "other" a second user of Acme.
var Callers = []string{"user", "other", "viewer", "editor", "admin", "employer", "evaluator", "service", "platform", "stranger"}

// Account is the id behind a caller's name.
func Account(caller string) uuid.UUID { return uuid.NewSHA1(Root, []byte(caller)) }

// Home is the tenant a caller belongs to.
func Home(caller string) uuid.UUID {
	switch caller {
	case "platform":
		return Root
	case "stranger":
		return Globex
	default:
		return Acme
	}
}

// Setup says what to mount.
type Setup struct {
	Routes []func(*rest.API)
	Views  []project.View     // a view named platform.accounts means: the directory is filled by the test's own events
	Config func(*rest.Config) // last changes
}

// Server is an API with everything behind it.
type Server struct {
	API     *rest.API
	Handler http.Handler
	Kernel  *es.Kernel
	Store   *postgres.Store
	DB      *pgxpool.Pool
	Auth    *auth.Service
	Vault   *vault.Vault
	Engine  *project.Engine

	t        testing.TB
	document *document
	mu       sync.Mutex
	seen     []Seen
	tokens   map[string]string
}

// New starts a server that ends with the test.
func New(t testing.TB, s Setup) *Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	dsn := pgtest.New(t)
	srv := &Server{t: t, DB: pgtest.Pool(t, dsn), tokens: map[string]string{}}
	must(t, vault.Migrate(ctx, srv.DB))
	must(t, auth.Migrate(ctx, srv.DB))
	var err error
	srv.Vault, err = vault.Open(ctx, srv.DB, vault.NewKey())
	must(t, err)
	srv.Store, err = postgres.Open(ctx, dsn, postgres.Options{})
	must(t, err)
	t.Cleanup(srv.Store.Close)
	srv.Auth = auth.New(srv.DB, srv.Vault)
	srv.Kernel = es.New(srv.Store, srv.Vault, 1000)
	srv.project(ctx, t, s.Views)
	cfg := rest.Config{
		Title: "Test", Version: "1.0.0", Kernel: srv.Kernel, DB: srv.DB, Verifier: srv.Auth, CursorKey: []byte("a key of a test, 32 bytes long..."),
		Directory: directory.New(srv.DB, nil), Domain: "root.test", Limits: rest.Limits{Reads: -1, Writes: -1, Auth: -1},
		Waiter: project.Reader{DB: srv.DB, Engine: srv.Engine}.WaitFor,
	}
	if s.Config != nil {
		s.Config(&cfg)
	}
	srv.API = rest.New(cfg)
	for _, mount := range s.Routes {
		mount(srv.API)
	}
	srv.Handler = srv.API.Handler()
	doc, err := srv.API.OpenAPI()
	must(t, err)
	srv.document, err = parseDocument(doc)
	must(t, err)
	return srv
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// project runs the views, and fills the directory by hand when none of them does.
func (s *Server) project(ctx context.Context, t testing.TB, views []project.View) {
	s.Engine = &project.Engine{Store: s.Store, Vault: s.Vault, DB: s.DB, Views: views}
	must(t, s.Engine.Migrate(ctx))
	var running sync.WaitGroup
	run, stop := context.WithCancel(ctx)
	running.Go(func() { _ = s.Engine.Run(run) })
	t.Cleanup(func() { stop(); running.Wait() })
	for _, v := range views {
		if v.Name() == "platform.accounts" {
			return
		}
	}
	_, err := s.DB.Exec(ctx, directorySQL)
	must(t, err)
	_, err = s.DB.Exec(ctx, `INSERT INTO project.checkpoints (physical, view, version, state, log)
		SELECT 'apitest_' || v, 'platform.' || v, 1, 'live', $1 FROM unnest(ARRAY['tenants', 'accounts', 'sessions']) v`, s.Store.LogID())
	must(t, err)
	_, err = s.DB.Exec(ctx, `INSERT INTO project.views (name, physical, version) SELECT view, physical, 1 FROM project.checkpoints WHERE physical LIKE 'apitest_%'`)
	must(t, err)
	for id, host := range Hosts {
		s.Exec(`INSERT INTO apitest_tenants.tenants (id, name, domain, domains, root) VALUES ($1, $2, $2, ARRAY[$2], $3)`, id, host, id == Root)
	}
	for _, caller := range Callers {
		s.Exec(`INSERT INTO apitest_accounts.accounts (tenant, id, roles) VALUES ($1, $2, $3)`, Home(caller), Account(caller), granted(caller))
		s.Exec(`INSERT INTO apitest_sessions.sessions (tenant, id, account, started_at) VALUES ($1, $2, $2, now())`, Home(caller), Account(caller))
	}
}

const directorySQL = `
CREATE SCHEMA apitest_tenants; CREATE SCHEMA apitest_accounts; CREATE SCHEMA apitest_sessions;
CREATE TABLE apitest_tenants.tenants (id uuid PRIMARY KEY, name text NOT NULL, status text NOT NULL DEFAULT 'active', root boolean NOT NULL,
	domain text NOT NULL, domains text[] NOT NULL, client_url text NOT NULL DEFAULT '');
CREATE TABLE apitest_accounts.accounts (tenant uuid, id uuid, status text NOT NULL DEFAULT 'active', roles text[] NOT NULL,
	sessions_valid_from timestamptz NOT NULL DEFAULT '-infinity', PRIMARY KEY (tenant, id));
CREATE TABLE apitest_sessions.sessions (tenant uuid, id uuid, account uuid NOT NULL, started_at timestamptz NOT NULL, ended_at timestamptz, PRIMARY KEY (tenant, id));`

// granted is what a caller's account holds.
func granted(caller string) []string {
	switch caller {
	case "user", "other", "stranger":
		return []string{}
	case "platform":
		return []string{"admin"}
	default:
		return []string{caller}
	}
}

// Exec changes the test's database, as something behind the API's back would.
func (s *Server) Exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.DB.Exec(context.Background(), sql, args...); err != nil {
		s.t.Fatal(err)
	}
}

// Token is a valid access token of a caller; its session has the caller's own id.
func (s *Server) Token(caller string) string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if token, ok := s.tokens[caller]; ok {
		return token
	}
	token, err := s.Auth.Issue(context.Background(), auth.Grant{Tenant: Home(caller), Account: Account(caller), Session: Account(caller), Roles: granted(caller)})
	must(s.t, err)
	s.tokens[caller] = token
	return token
}

// Types lists the stored types of the events after a position.
func (s *Server) Types(after eventstore.Position) []string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	page, err := s.Store.Read(ctx, eventstore.Query{From: after, Limit: 1000})
	must(s.t, err)
	types := []string{}
	for _, e := range page.Events {
		types = append(types, e.Type)
	}
	return types
}

// Head is the end of the log.
func (s *Server) Head() eventstore.Position {
	s.t.Helper()
	head, err := s.Store.Head(context.Background())
	must(s.t, err)
	return head
}
