package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	cortex "github.com/bgce/archive/commands/cortex"
	cortexDomain "github.com/bgce/archive/domain/cortex"
	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/client"
	"github.com/bgce/archive/platform/run/operate"
)

//go:embed demo/*.md
var demoFiles embed.FS

const demoReason = "archive demo"

// demoPeople get a log-in in every demo tenant.
var demoPeople = []struct {
	role, name string
	roles      []string
}{
	{"admin", "Ada Morgenstern", []string{"admin"}},
	{"editor", "Emil Okafor", []string{"editor"}},
	{"viewer", "Vera Lindqvist", []string{"viewer"}},
	{"user", "Uma Castellanos", nil},
}

// demoLogin is a row of what is printed at the end.
type demoLogin struct {
	Tenant   string `json:"tenant"`
	Role     string `json:"role"`
	Email    string `json:"email"`
	Password string `json:"password"`
}

func demoCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Load three tenants with people and articles to play with",
		Long: `Loads the root tenant, acme.localhost and globex.localhost with a log-in per role and sixty articles with their history, through
the API. Running it again adds nothing. The passwords are the same everywhere and printed: not for a server that others can reach.`,
		Example: "  archive demo",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context()) },
	}
}

func (a *app) demo(ctx context.Context) error {
	if u, err := url.Parse(a.cfg.Server); err == nil && a.cfg.Server != "" {
		if ip, err := netip.ParseAddr(u.Hostname()); u.Hostname() != "localhost" && (err != nil || !ip.IsLoopback()) {
			return usage("demo makes log-ins whose passwords everybody knows; it loads only servers on this machine")
		}
	}
	api, err := a.client()
	if err != nil {
		return err
	}
	var logins []demoLogin
	for _, t := range []struct{ file, name, host string }{
		{"root", "Root", a.cfg.Domain}, {"acme", "Acme Algorithms", "acme.localhost"}, {"globex", "Globex Data", "globex.localhost"},
	} {
		l := &loader{api: api, tags: map[string]string{}, taken: map[string]bool{}}
		if t.file != "root" {
			if err := l.enterDemoTenant(ctx, t.name, t.host); err != nil {
				return fmt.Errorf("the tenant %s: %w", t.host, err)
			}
		}
		people, err := l.demoPeople(ctx, t.host)
		if err != nil {
			return fmt.Errorf("the log-ins of %s: %w", t.host, err)
		}
		logins = append(logins, people...)
		count, err := l.demoArticles(ctx, t.file)
		if err != nil {
			return fmt.Errorf("the articles of %s: %w", t.host, err)
		}
		fmt.Fprintf(a.err, "%-17s %d log-ins, %d articles added, %d already there\n", t.host, len(people), count[created], count[present])
		if n := count[duplicate] + count[refused]; n > 0 {
			fmt.Fprintf(a.err, "%-17s %d articles left out: their slugs belong to other posts\n", "", n)
		}
	}
	if err := a.show(logins); err != nil {
		return err
	}
	url, err := a.demoURL(ctx, api)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.err, `Try:
  curl -s -H 'Host: acme.localhost' '%[1]s/api/v1/posts?tag=algorithms'
  curl -s -H 'Host: globex.localhost' %[1]s/api/v1/posts/slug/a-baseline-is-a-promise
  curl -s -H 'Host: acme.localhost' -H 'Content-Type: application/json' %[1]s/api/v1/auth/login -d '{"email":"demo-editor@acme.localhost","password":"demo-editor-pass"}'
  bin/archive status
`, url)
	return nil
}

// demoURL is where people reach the server that was loaded, perhaps through its socket.
func (a *app) demoURL(ctx context.Context, api *client.Client) (string, error) {
	if a.cfg.Server != "" {
		return strings.TrimSuffix(a.cfg.Server, "/"), nil
	}
	var status operate.Status
	_, err := api.Do(ctx, http.MethodGet, "/api/v1/platform/status", nil, nil, &status)
	return status.URL, err
}

// enterDemoTenant finds or makes the tenant and acts in it from then on.
func (l *loader) enterDemoTenant(ctx context.Context, name, host string) error {
	var tenant struct{ ID uuid.UUID }
	err := l.do(ctx, http.MethodGet, "/api/v1/tenants/by-domain/"+host, nil, nil, &tenant)
	if notFound(err) {
		receipt, createErr := l.send(ctx, http.MethodPost, "/api/v1/tenants", "",
			cortex.CreateTenant{Profile: cortexDomain.Profile{Name: name}, Domain: host}, "demo")
		tenant.ID, err = receipt.ID, createErr
	}
	if err != nil {
		return err
	}
	l.as = http.Header{"Archive-Tenant": {tenant.ID.String()}, "Archive-Reason": {demoReason}}
	return patiently(ctx, "rest.unknown_tenant", func() error {
		return l.do(ctx, http.MethodGet, "/api/v1/tags?limit=1", nil, nil, nil)
	})
}

// patiently repeats what fails because a view has not caught up yet.
func patiently(ctx context.Context, code string, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if !isProblem(err, code) || try == 10 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

// demoPeople makes the log-ins that are missing and gives them all.
func (l *loader) demoPeople(ctx context.Context, host string) ([]demoLogin, error) {
	var there struct{ Items []struct{ Username string } }
	if err := l.do(ctx, http.MethodGet, "/api/v1/users?limit=100", nil, nil, &there); err != nil {
		return nil, err
	}
	var logins []demoLogin
	for _, p := range demoPeople {
		name := "demo-" + p.role
		login := demoLogin{Tenant: host, Role: p.role, Email: name + "@" + host, Password: name + "-pass"}
		logins = append(logins, login)
		if slices.ContainsFunc(there.Items, func(u struct{ Username string }) bool { return u.Username == name }) {
			continue
		}
		_, err := l.send(ctx, http.MethodPost, "/api/v1/users", "", cortex.CreateUser{
			Email: login.Email, Username: name, DisplayName: p.name, Password: login.Password, Roles: p.roles,
		}, "demo")
		var problem *client.Problem
		if err != nil && !(errors.As(err, &problem) && problem.Status == http.StatusConflict && strings.HasSuffix(problem.Code, "_taken")) {
			return nil, err
		}
	}
	return logins, nil
}

// demoArticles lands every revision of every article that is not there yet, and counts what became of them.
func (l *loader) demoArticles(ctx context.Context, file string) (map[string]int, error) {
	text, err := demoFiles.ReadFile("demo/" + file + ".md")
	if err != nil {
		return nil, err
	}
	articles := parseDemo(string(text))
	for _, revisions := range articles {
		if _, err := l.prepareTags(ctx, revisions[:1]); err != nil {
			return nil, err
		}
	}
	results := make([]string, len(articles))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(importers)
	for i, revisions := range articles {
		g.Go(func() (err error) {
			results[i], err = l.demoArticle(within, revisions)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, result := range results {
		count[result]++
	}
	return count, l.shown(ctx)
}

// demoArticle goes on after the revision that is there. What somebody changed since is left alone.
func (l *loader) demoArticle(ctx context.Context, revisions []importRow) (string, error) {
	post, err := l.find(ctx, revisions[0].Identity)
	if err != nil {
		return "", err
	}
	if post != nil {
		at := slices.IndexFunc(revisions, func(r importRow) bool { return r.Body == post.Body })
		if at < 0 || at == len(revisions)-1 && (post.Status == revisions[at].Status || post.PublishedAt != nil) {
			return present, nil
		}
		revisions = revisions[at:]
	}
	for i := range revisions {
		r := &revisions[i]
		if err := l.land(ctx, r); err != nil || r.Result == duplicate || r.Result == refused {
			return r.Result, err
		}
	}
	return created, nil
}

// parseDemo reads articles: "## title", "date · tags · role of the author · status", a summary, the body. A line "+++" in the body
// ends a revision; the next one has what follows too.
func parseDemo(text string) [][]importRow {
	var articles [][]importRow
	for _, part := range strings.Split("\n"+text, "\n## ")[1:] {
		title, rest, _ := strings.Cut(part, "\n")
		facts, rest, _ := strings.Cut(rest, "\n")
		summary, body, _ := strings.Cut(rest, "\n")
		fact := strings.Split(facts, " · ")
		row := importRow{Title: title, Summary: summary, Category: "articles", Status: fact[3], Tags: strings.Split(fact[1], ", ")}
		row.Slug = domain.SlugOf(title, uuid.Nil)
		row.Identity = "demo/" + row.Slug
		row.PublishedAt, _ = time.Parse(time.DateOnly, fact[0])
		for _, p := range demoPeople {
			if p.role == fact[2] {
				row.Author = p.name
			}
		}
		var revisions []importRow
		for addition := range strings.SplitSeq(strings.TrimSpace(body), "\n+++\n") {
			row.Body = strings.TrimSpace(row.Body + "\n\n" + addition)
			revisions = append(revisions, row)
		}
		articles = append(articles, revisions)
	}
	return articles
}
