package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// worker writes articles of its own, one request at a time, and edits the shared ones beside all others.
type worker struct {
	*client
	n      int
	serial int
	own    []*post
	freed  []string // slugs of deleted posts
	shared []*post
}

const posts = "/api/v1/posts"

// work goes on until stop says that enough was done. Every request it has begun is answered before it ends.
func (w *worker) work(ctx context.Context, enough func() bool) error {
	for !enough() {
		if err := w.step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) step(ctx context.Context) error {
	switch n := pick(100); {
	case n < 15 || len(w.own) < 3:
		return w.create(ctx)
	case n < 30:
		return w.editShared(ctx)
	case n < 33:
		return w.takeTakenSlug(ctx)
	}
	return w.act(ctx, w.own[pick(len(w.own))])
}

func (w *worker) text() content {
	w.serial++
	name := fmt.Sprintf("w%d-%d", w.n, w.serial)
	return content{Title: "Article " + name, Body: strings.Repeat("The text of "+name+". ", 1+pick(20)), Slug: name}
}

func (c content) body() map[string]string {
	return map[string]string{"title": c.Title, "body": c.Body, "slug": c.Slug}
}

// command sends a change and enters what came of it: an event, nothing to change, or the refusal that was due.
func (w *worker) command(ctx context.Context, p *post, r request, kind string, c content, refusal string) error {
	r.key = uuid.NewString()
	a, err := w.deliver(ctx, r)
	if err != nil {
		return err
	}
	switch {
	case refusal != "" && a.code == refusal:
		w.ledger.refusals.Add(1)
	case a.status >= 300 || refusal != "":
		w.ledger.complainf("%s %s (%s, %s): answered %d %s, due was %q", r.method, r.path, kind, r.key, a.status, a.code, refusal)
	case kind == "":
		w.ledger.quiet.Add(1)
		if a.version != p.now.Version {
			w.ledger.complainf("post %s: nothing to change at version %d, but told version %d", p.id, p.now.Version, a.version)
		}
	default:
		if p == nil {
			p = w.ledger.add(a.id, false)
			w.own = append(w.own, p)
		}
		n, err := place(a.position)
		if err != nil {
			w.ledger.complainf("%s %s: %v", r.method, r.path, err)
		}
		w.ledger.told(p, a.version, change{kind: kind, content: c, position: n, resentAt: a.resentAt, key: r.key})
	}
	return nil
}

func (w *worker) create(ctx context.Context) error {
	c := w.text()
	if len(w.freed) > 0 && chance(50) {
		c.Slug, w.freed = w.freed[0], w.freed[1:]
	}
	return w.command(ctx, nil, request{method: http.MethodPost, path: posts, body: c.body()}, "created", c, "")
}

func (w *worker) takeTakenSlug(ctx context.Context) error {
	for _, p := range w.own {
		if !p.now.Deleted {
			c := w.text()
			c.Slug = p.now.Slug
			return w.command(ctx, nil, request{method: http.MethodPost, path: posts, body: c.body()}, "created", c, "postal.slug_taken")
		}
	}
	return nil
}

// editShared overwrites whatever is there, as others do at the same time: every edit is its own version.
func (w *worker) editShared(ctx context.Context) error {
	p := w.shared[pick(len(w.shared))]
	c := w.text()
	c.Slug = "shared-" + strconv.Itoa(slices.Index(w.shared, p))
	return w.command(ctx, p, request{method: http.MethodPut, path: posts + "/" + p.id.String(), body: c.body(), match: "*"}, "updated", c, "")
}

// act does to an own post what its status allows, or now and then what it does not.
func (w *worker) act(ctx context.Context, p *post) error {
	at := posts + "/" + p.id.String()
	do := func(verb, kind, refusal string) error {
		return w.command(ctx, p, request{method: http.MethodPost, path: at + "/" + verb}, kind, p.now.content, refusal)
	}
	n := pick(100)
	switch {
	case p.now.Deleted:
		w.own = slices.DeleteFunc(w.own, func(o *post) bool { return o == p })
		return w.command(ctx, p, request{method: http.MethodDelete, path: at}, "", content{}, "") // gone already
	case len(w.own) > 60 || n < 3:
		w.freed = append(w.freed, p.now.Slug)
		return w.command(ctx, p, request{method: http.MethodDelete, path: at}, "deleted", p.now.content, "")
	case p.now.Status == "archived" && n < 30:
		return w.edit(ctx, p, "postal.post_archived")
	case p.now.Status == "archived":
		return do("restore", "restored", "")
	case n < 10:
		return do("archive", "archived", "")
	case p.now.Status == "published" && n < 20:
		return do("publish", "", "")
	case p.now.Status == "published" && n < 30:
		return do("unpublish", "unpublished", "")
	case p.now.Status == "draft" && n < 30:
		return do("publish", "published", "")
	}
	return w.edit(ctx, p, "")
}

// edit replaces the content: mostly of the version seen, sometimes of a stale one, which must be refused.
func (w *worker) edit(ctx context.Context, p *post, refusal string) error {
	c := w.text()
	if !chance(10) {
		c.Slug = p.now.Slug
	}
	r := request{method: http.MethodPut, path: posts + "/" + p.id.String(), body: c.body(), match: fmt.Sprintf(`"%d"`, p.now.Version)}
	switch {
	case refusal == "" && p.now.Version > 1 && chance(5):
		r.match, refusal = fmt.Sprintf(`"%d"`, p.now.Version-1), "rest.stale"
	case chance(30):
		r.match = "*"
	}
	return w.command(ctx, p, r, "updated", c, refusal)
}
