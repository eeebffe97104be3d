// Package directory says who is who right now: tenants by host, accounts, sessions; at most a second old.
//
// It reads three views, filled elsewhere, whose live tables need at least these columns:
//
//	platform.tenants   id uuid, name text, status text ('active' serves), root boolean, domain text (primary),
//	                   domains text[] (all verified, lower case, GIN index), client_url text
//	platform.accounts  tenant uuid, id uuid, status text ('active' may act), roles text[], sessions_valid_from timestamptz
//	platform.sessions  tenant uuid, id uuid, account uuid, started_at timestamptz, ended_at timestamptz
package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/rest/live"
)

// Fresh is how long an answer may be reused; MaxLag is how far the views may be behind the log before commands must wait.
const (
	Fresh  = time.Second
	MaxLag = 30 * time.Second
)

// entries bounds each cache.
const entries = 100_000

// Tenant is a customer with its own hosts.
type Tenant struct {
	ID        uuid.UUID
	Name      string
	Status    string
	Root      bool
	Domain    string // primary
	ClientURL string
}

// Active reports whether the tenant is served.
func (t Tenant) Active() bool { return t.Status == "active" }

// Standing is an account together with one of its sessions. A row that is not there yet has Known or SessionKnown false.
type Standing struct {
	Known        bool
	Active       bool
	Roles        []string
	ValidFrom    time.Time // sessions started before are dead
	SessionKnown bool
	SessionEnded bool
	StartedAt    time.Time
}

type standingKey struct{ tenant, account, session uuid.UUID }

// found is a cached answer that may be "there is none".
type found struct {
	tenant Tenant
	ok     bool
}

// Directory answers from the views in one database. Make it with New.
type Directory struct {
	Clock func() time.Time // to measure lag by; time.Now by default

	views    *live.Views
	head     func(context.Context) (eventstore.Position, error)
	tenants  *otter.Cache[string, found]
	accounts *otter.Cache[standingKey, Standing]

	mu      sync.Mutex
	follows map[string]follow // by view: at most the three
}

// follow is how far a view was asked to come, and when.
type follow struct {
	target eventstore.Position
	since  time.Time
	behind bool
}

// New makes a directory. Head is the log's last position, to tell how far the views are behind; nil = not checked.
func New(db *pgxpool.Pool, head func(context.Context) (eventstore.Position, error)) *Directory {
	return &Directory{
		Clock: time.Now, views: &live.Views{DB: db}, head: head, follows: map[string]follow{},
		tenants: otter.Must(&otter.Options[string, found]{
			MaximumSize: entries, ExpiryCalculator: otter.ExpiryWriting[string, found](Fresh),
		}),
		accounts: otter.Must(&otter.Options[standingKey, Standing]{
			MaximumSize: entries, ExpiryCalculator: otter.ExpiryWriting[standingKey, Standing](Fresh),
		}),
	}
}

const tenantSQL = `SELECT id, name, status, root, domain, coalesce(client_url, '') FROM %s WHERE `

// ByHost finds the tenant that verified a domain (lower case, no port).
func (d *Directory) ByHost(ctx context.Context, host string) (Tenant, bool, error) {
	return d.tenant(ctx, "h"+host, `domains @> ARRAY[$1]::text[]`, host)
}

// ByID finds a tenant.
func (d *Directory) ByID(ctx context.Context, id uuid.UUID) (Tenant, bool, error) {
	return d.tenant(ctx, "i"+string(id[:]), `id = $1`, id)
}

// Root is the tenant that runs the platform.
func (d *Directory) Root(ctx context.Context) (Tenant, bool, error) {
	return d.tenant(ctx, "r", `root`)
}

func (d *Directory) tenant(ctx context.Context, key, where string, args ...any) (Tenant, bool, error) {
	if f, ok := d.tenants.GetIfPresent(key); ok {
		return f.tenant, f.ok, nil
	}
	f, err := d.tenants.Get(ctx, key, otter.LoaderFunc[string, found](func(ctx context.Context, _ string) (found, error) {
		var f found
		err := d.query(ctx, []string{"platform.tenants"}, func(table func(string) string) string {
			return fmt.Sprintf(tenantSQL, table("platform.tenants")) + where + ` ORDER BY id LIMIT 1`
		}, args, func(rows pgx.Rows) error {
			if !rows.Next() {
				return nil
			}
			f.ok = true
			t := &f.tenant
			return rows.Scan(&t.ID, &t.Name, &t.Status, &t.Root, &t.Domain, &t.ClientURL)
		})
		return f, err
	}))
	return f.tenant, f.ok, err
}

const standingSQL = `SELECT a.id IS NOT NULL, coalesce(a.status, '') = 'active', coalesce(a.roles, '{}'),
  CASE WHEN isfinite(a.sessions_valid_from) THEN a.sessions_valid_from END,
  s.id IS NOT NULL, s.ended_at IS NOT NULL, s.started_at
FROM (VALUES ($1::uuid, $2::uuid, $3::uuid)) AS k (tenant, account, session)
LEFT JOIN %s a ON a.tenant = k.tenant AND a.id = k.account
LEFT JOIN %s s ON s.tenant = k.tenant AND s.id = k.session AND s.account = k.account`

// Standing looks an account and its session up. A zero session is not looked for.
func (d *Directory) Standing(ctx context.Context, tenant, account, session uuid.UUID) (Standing, error) {
	key := standingKey{tenant, account, session}
	if s, ok := d.accounts.GetIfPresent(key); ok {
		return s, nil
	}
	return d.accounts.Get(ctx, key, otter.LoaderFunc[standingKey, Standing](func(ctx context.Context, k standingKey) (Standing, error) {
		var s Standing
		var from, started *time.Time
		err := d.query(ctx, []string{"platform.accounts", "platform.sessions"}, func(table func(string) string) string {
			return fmt.Sprintf(standingSQL, table("platform.accounts"), table("platform.sessions"))
		}, []any{k.tenant, k.account, k.session}, func(rows pgx.Rows) error {
			rows.Next()
			return rows.Scan(&s.Known, &s.Active, &s.Roles, &from, &s.SessionKnown, &s.SessionEnded, &started)
		})
		if from != nil {
			s.ValidFrom = *from
		}
		if started != nil {
			s.StartedAt = *started
		}
		return s, err
	}))
}

func (d *Directory) query(ctx context.Context, views []string, sql live.SQL, args []any, scan func(pgx.Rows) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second) // others wait for this answer too
	defer cancel()
	var states []live.State
	err := d.views.Query(ctx, views, sql, args, func(s []live.State) error { states = s; return nil }, scan)
	if errors.Is(err, live.ErrNotBuilt) {
		return fmt.Errorf("directory: the views are not there yet: %w", err)
	}
	if err != nil || d.head == nil {
		return err
	}
	head, err := d.head(ctx)
	if err != nil {
		return err
	}
	d.note(states, head, d.Clock())
	return nil
}

// note measures lag without trusting clocks of others: a view is behind since it was first asked for a position it still has not reached.
func (d *Directory) note(states []live.State, head eventstore.Position, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range states {
		f, ok := d.follows[s.Name]
		if !ok || s.Position >= f.target {
			f = follow{target: head, since: now}
		}
		f.behind = s.Position < f.target
		d.follows[s.Name] = f
	}
}

// Lag is how long the slowest view has been behind the log, by the latest look at it.
func (d *Directory) Lag() time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	var worst time.Duration
	for _, f := range d.follows {
		if f.behind {
			worst = max(worst, d.Clock().Sub(f.since))
		}
	}
	return worst
}
