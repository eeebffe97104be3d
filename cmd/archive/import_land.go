package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	commands "github.com/bgce/archive/commands/postal"
	"github.com/bgce/archive/platform/client"
	"github.com/bgce/archive/platform/es"
	readapi "github.com/bgce/archive/readapi/postal"
)

// loader brings rows in through the API. Every request that changes something carries a key made of what it asks for, and a row is
// looked up before it is sent: so any step may be repeated, by this process or a later one.
type loader struct {
	importOptions
	api   *client.Client
	as    http.Header       // sent with everything: which tenant, and why
	tags  map[string]string // slug as in the file → slug today
	mu    sync.Mutex
	taken map[string]bool // slugs of the file, and those given out
	last  es.Receipt      // of the newest change
}

// do sends a command; limits are waited out for as long as the context lives.
func (l *loader) do(ctx context.Context, method, path string, header http.Header, in, out any) error {
	header = maps.Clone(header)
	if header == nil {
		header = http.Header{}
	}
	maps.Copy(header, l.as)
	for {
		_, err := l.api.Do(ctx, method, path, header, in, out)
		var problem *client.Problem
		if !errors.As(err, &problem) || problem.Status != http.StatusTooManyRequests {
			return err
		}
	}
}

// send is do with a key derived from everything that makes the request what it is. The salt sets apart what is asked for again on purpose.
func (l *loader) send(ctx context.Context, method, path, match string, body any, salt ...string) (es.Receipt, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return es.Receipt{}, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %q %s", method, path, match, salt, data))
	header := http.Header{"Idempotency-Key": {fmt.Sprintf("import-%x", sum[:16])}}
	if match != "" {
		header.Set("If-Match", match)
	}
	var receipt es.Receipt
	err = l.do(ctx, method, path, header, data, &receipt)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil && receipt.Position > l.last.Position {
		l.last = receipt
	}
	return receipt, err
}

// shown returns once everything that was sent can be read, so that what follows the command finds it.
func (l *loader) shown(ctx context.Context) error {
	if l.last.Position == "" {
		return nil
	}
	header := http.Header{"At-Least": {string(l.last.Position)}}
	for _, path := range []string{"/api/v1/posts/slug/any", "/api/v1/posts/" + l.last.ID.String() + "/versions"} {
		if err := l.do(ctx, http.MethodGet, path, header, nil, nil); err != nil && !notFound(err) {
			return err
		}
	}
	return nil
}

func isProblem(err error, code string) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && problem.Code == code
}

func notFound(err error) bool {
	var problem *client.Problem
	return errors.As(err, &problem) && problem.Status == http.StatusNotFound
}

// prepareTags learns the slug of every tag of the rows still to land and creates those that are missing; it says which.
func (l *loader) prepareTags(ctx context.Context, rows []importRow) ([]string, error) {
	var missing []string
	for _, r := range rows {
		for _, name := range r.Tags {
			slug := tagSlug(name)
			if r.Result != "" || l.tags[slug] != "" {
				continue
			}
			var tag readapi.TagView
			err := l.do(ctx, http.MethodGet, "/api/v1/tags/"+url.PathEscape(slug), nil, nil, &tag)
			if l.tags[slug] = tag.Slug; err == nil {
				continue
			}
			if !notFound(err) {
				return missing, err
			}
			l.tags[slug] = slug
			missing = append(missing, name)
			if l.dryRun {
				continue
			}
			_, err = l.send(ctx, http.MethodPost, "/api/v1/tags", "", commands.CreateTag{Label: commands.Label{Name: name, Slug: slug}})
			if err != nil && !isProblem(err, "postal.tag_taken") {
				return missing, fmt.Errorf("creating the tag %s: %w", name, err)
			}
		}
	}
	return missing, nil
}

// land makes the post what the row says. A post that others changed meanwhile is looked at again.
func (l *loader) land(ctx context.Context, r *importRow) error {
	for try := 1; ; try++ {
		post, err := l.find(ctx, r.Identity)
		switch {
		case err != nil:
			return err
		case post == nil:
			err = l.create(ctx, r)
		default:
			err = l.update(ctx, r, post)
		}
		again := isProblem(err, "rest.stale") || isProblem(err, "postal.external_id_taken") // the view may lag behind the log
		if !again || try == 10 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 50 * time.Millisecond):
		}
	}
}

// find gives the post of an identity, nil if there is none.
func (l *loader) find(ctx context.Context, identity string) (*readapi.FullPostView, error) {
	var list struct{ Items []readapi.PostView }
	if err := l.do(ctx, http.MethodGet, "/api/v1/posts?limit=1&external_id="+url.QueryEscape(identity), nil, nil, &list); err != nil || len(list.Items) == 0 {
		return nil, err
	}
	post := &readapi.FullPostView{}
	err := l.do(ctx, http.MethodGet, "/api/v1/posts/"+list.Items[0].ID.String(), nil, nil, post)
	if notFound(err) {
		return nil, nil
	}
	return post, err
}

func (l *loader) article(r *importRow) commands.Article {
	a := commands.Article{Title: r.Title, Body: r.Body, Summary: r.Summary, Slug: r.Slug, Category: r.Category, Author: r.Author}
	for _, name := range r.Tags {
		if slug := l.tags[tagSlug(name)]; !slices.Contains(a.Tags, slug) {
			a.Tags = append(a.Tags, slug)
		}
	}
	return a
}

func (l *loader) create(ctx context.Context, r *importRow) error {
	if r.Result = created; l.dryRun {
		return l.foresee(ctx, r)
	}
	draft := commands.CreateDraft{Article: l.article(r), ExternalID: r.Identity}
	// A key answers for a post that was deleted since: the next round's key makes a new one.
	for round := range 5 {
		receipt, err := l.send(ctx, http.MethodPost, "/api/v1/posts", "", draft, fmt.Sprint(round))
		if isProblem(err, "postal.slug_taken") {
			if !l.suffix {
				r.Result, r.Column, r.ToDo = duplicate, "slug", "another post has this slug; change it here, or use --on-duplicate-slug suffix"
				return nil
			}
			draft.Slug = l.nextSlug(r.Slug)
			r.importLine.Slug = draft.Slug
			continue
		}
		if err != nil {
			return err
		}
		if err = l.settle(ctx, r, receipt.ID, "draft", false); !notFound(err) {
			return err
		}
	}
	r.Result = ""
	r.refuse("slug", "every slug like it is taken; give another one")
	return nil
}

// foresee says in a dry run what a create would meet.
func (l *loader) foresee(ctx context.Context, r *importRow) error {
	err := l.do(ctx, http.MethodGet, "/api/v1/posts/slug/"+url.PathEscape(r.Slug), nil, nil, nil)
	switch {
	case notFound(err):
		return nil
	case err != nil:
		return err
	case !l.suffix:
		r.Result, r.Column, r.ToDo = duplicate, "slug", "another post has this slug; change it here, or use --on-duplicate-slug suffix"
	}
	return nil
}

func (l *loader) nextSlug(slug string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := freeSlug(slug, l.taken)
	l.taken[next] = true
	return next
}

func (l *loader) update(ctx context.Context, r *importRow, post *readapi.FullPostView) error {
	want := l.article(r)
	if !r.Named || l.suffix {
		want.Slug = post.Slug // it may have been suffixed, or moved since
	}
	r.importLine.Slug, r.Result = post.Slug, present
	same := want.Title == post.Title && want.Body == post.Body && want.Summary == post.Summary && want.Slug == post.Slug &&
		want.Category == post.Category && want.Author == post.Author && slices.Equal(want.Tags, post.Tags)
	if !same {
		if r.Result = revised; !l.dryRun {
			if _, err := l.send(ctx, http.MethodPut, "/api/v1/posts/"+post.ID.String(), fmt.Sprintf("%q", fmt.Sprint(post.Version)), commands.EditPost{Article: want}); err != nil {
				return err
			}
		}
	}
	if at := post.PublishedAt; at != nil && !r.PublishedAt.IsZero() && !at.Equal(r.PublishedAt) {
		r.Column, r.ToDo = "published_at", "stays "+at.Format(time.RFC3339)+": the first date of a post is kept"
	}
	if l.dryRun {
		return nil
	}
	return l.settle(ctx, r, post.ID, post.Status, post.PublishedAt != nil)
}

// settle publishes or archives as the row says. What was published once and is a draft now was made so by someone: it stays.
func (l *loader) settle(ctx context.Context, r *importRow, id uuid.UUID, status string, dated bool) error {
	if l.asDrafts || r.Status == "draft" || status == r.Status {
		return nil
	}
	path := "/api/v1/posts/" + id.String()
	if status == "draft" && !dated && !r.PublishedAt.IsZero() && r.Body != "" {
		if _, err := l.send(ctx, http.MethodPost, path+"/publish", "", commands.PublishPost{PublishedAt: r.PublishedAt}); err != nil {
			return err
		}
		if r.Result == present {
			r.Result = created // an earlier run did not get this far
		}
	}
	if r.Status == "archived" {
		_, err := l.send(ctx, http.MethodPost, path+"/archive", "", nil)
		return err
	}
	return nil
}
