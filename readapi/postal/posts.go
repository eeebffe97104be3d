// Package postal answers questions about articles and tags.
package postal

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/rest"
)

// PostView is a post as it stands, without its text.
type PostView struct {
	ID          uuid.UUID  `json:"id" db:"id"`
	Version     int        `json:"version" db:"version"`
	Slug        string     `json:"slug" db:"slug"`
	Title       string     `json:"title" db:"title"`
	Summary     string     `json:"summary,omitempty" db:"summary"`
	Tags        []string   `json:"tags" db:"tags" doc:"Slugs as they are called today"`
	Category    string     `json:"category,omitempty" db:"category"`
	Author      string     `json:"author,omitempty" db:"author" doc:"The byline"`
	ExternalID  string     `json:"external_id,omitempty" db:"external_id"`
	Status      string     `json:"status" db:"status" enum:"draft,published,archived"`
	Owner       string     `json:"owner" db:"owner"`
	Revision    int        `json:"revision" db:"revision" doc:"Number of the newest of its versions"`
	PublishedAt *time.Time `json:"published_at,omitempty" db:"published_at" doc:"Of the first time"`
	CreatedAt   time.Time  `json:"created_at" db:"created_at"`
	UpdatedAt   time.Time  `json:"updated_at" db:"updated_at"`
}

// FullPostView is a post with its text.
type FullPostView struct {
	PostView
	Body string `json:"body" db:"body" doc:"Markdown"`
}

// visible leaves what the caller may know of: published, own, or everything for editors.
func visible(r *rest.Rows) rest.Selection {
	posts, caller := rest.From("postal.posts"), r.Caller()
	switch {
	case caller.Is("editor"):
		return posts
	case caller.Actor != "":
		return posts.Where("(status = 'published' OR owner = @me)", rest.Args{"me": string(caller.Actor)})
	}
	return posts.Is("status", "published")
}

// ListPosts shows what is published, one's own drafts, and everything to editors; newest first.
type ListPosts struct {
	rest.Page
	Tag        string `query:"tag" maxLength:"200" doc:"A tag's slug, an old one too"`
	Category   string `query:"category" maxLength:"200"`
	Author     string `query:"author" maxLength:"200" doc:"The byline"`
	Status     string `query:"status" enum:"draft,published,archived"`
	ExternalID string `query:"external_id" maxLength:"300"`
}

func (q ListPosts) Read(ctx context.Context, r *rest.Rows) (rest.List[PostView], error) {
	posts := visible(r).Eq("category", q.Category).Eq("author", q.Author).Eq("status", q.Status).Eq("external_id", q.ExternalID)
	if q.Tag != "" {
		slugs, err := rest.Query[string](ctx, r, `SELECT unnest(slugs) FROM {postal.tags} WHERE tenant = @tenant AND slugs && ARRAY[@tag::text]`,
			rest.Args{"tag": q.Tag})
		if err != nil {
			return rest.List[PostView]{}, err
		}
		posts = posts.Where("tags && @slugs", rest.Args{"slugs": slugs})
	}
	list, err := rest.Many[PostView](ctx, r, posts, q.Page, "listed_at desc")
	if err != nil {
		return list, err
	}
	return list, nameTags(ctx, r, list.Items)
}

// ReadPost gives a post with its text; drafts and archived ones to their owner and to editors.
type ReadPost struct {
	ID uuid.UUID `path:"id"`
}

func (q ReadPost) Read(ctx context.Context, r *rest.Rows) (FullPostView, error) {
	post, err := rest.One[FullPostView](ctx, r, visible(r).Is("id", q.ID))
	if err != nil {
		return post, err
	}
	one := []PostView{post.PostView}
	err = nameTags(ctx, r, one)
	post.PostView = one[0]
	return post, err
}

// ReadPostBySlug gives a post by its slug. A slug it had before leads to the one it has now.
type ReadPostBySlug struct {
	Slug string `path:"slug" maxLength:"200"`
}

func (q ReadPostBySlug) Read(ctx context.Context, r *rest.Rows) (FullPostView, error) {
	ids, err := rest.Query[uuid.UUID](ctx, r, `SELECT post FROM {postal.slugs} WHERE tenant = @tenant AND slug = @slug`, rest.Args{"slug": q.Slug})
	if err != nil {
		return FullPostView{}, err
	}
	post, err := ReadPost{append(ids, uuid.Nil)[0]}.Read(ctx, r)
	if err == nil && post.Slug != q.Slug {
		return FullPostView{}, rest.MovedTo("/api/v1/posts/slug/" + post.Slug)
	}
	return post, err
}

// nameTags calls the tags, kept as written, what they are called today; deleted ones are gone.
func nameTags(ctx context.Context, r *rest.Rows, posts []PostView) error {
	written := []string{}
	for _, p := range posts {
		written = append(written, p.Tags...)
	}
	if len(written) == 0 {
		return nil
	}
	type tag struct {
		Old string `db:"old"`
		New string `db:"new"`
	}
	tags, err := rest.Query[tag](ctx, r, `SELECT old, slug AS new FROM {postal.tags}, unnest(slugs) AS old WHERE tenant = @tenant AND slugs && @written`,
		rest.Args{"written": written})
	if err != nil {
		return err
	}
	today := map[string]string{}
	for _, t := range tags {
		today[t.Old] = t.New
	}
	for i, post := range posts {
		named := []string{}
		for _, old := range post.Tags {
			if now, ok := today[old]; ok && !slices.Contains(named, now) {
				named = append(named, now)
			}
		}
		posts[i].Tags = named //nolint:gosec // i ranges over posts
	}
	return nil
}
