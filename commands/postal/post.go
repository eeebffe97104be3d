// Package postal decides about articles and tags.
package postal

import (
	"time"

	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
)

type postEvents = es.Events[domain.Post]

// Article is the content of a post as its writer sends it.
type Article struct {
	Title    string   `json:"title" minLength:"1" maxLength:"300" pattern:"\\S"`
	Body     string   `json:"body,omitempty" maxLength:"1048576" doc:"Markdown, at most 1 MiB"`
	Summary  string   `json:"summary,omitempty" maxLength:"1000"`
	Slug     string   `json:"slug,omitempty" pattern:"^[a-z0-9][a-z0-9._-]{0,199}$" doc:"Unique in the tenant. Absent: made from the title, then kept"`
	Tags     []string `json:"tags,omitempty" maxItems:"10" uniqueItems:"true" doc:"Slugs of existing tags"`
	Category string   `json:"category,omitempty" maxLength:"200"`
	Author   string   `json:"author,omitempty" maxLength:"200" doc:"The byline"`
}

func (a Article) revision(number int) (domain.Revision, error) {
	if len(a.Body) > domain.MaxBody {
		return domain.Revision{}, domain.ErrBodyTooLong
	}
	return domain.Revision{
		Number: number, Title: a.Title, Body: es.NewText(a.Body), Summary: a.Summary, Slug: a.Slug,
		Tags: a.Tags, Category: a.Category, Author: a.Author,
	}, nil
}

// CreateDraft begins a post; its slug is reserved at once.
type CreateDraft struct {
	Article
	ExternalID string `json:"external_id,omitempty" maxLength:"300" doc:"Unique in the tenant; finds an imported post again"`
}

func (c CreateDraft) Decide(env es.Env, _ domain.Post) (postEvents, error) {
	first, err := c.revision(1)
	if err != nil {
		return nil, err
	}
	if first.ExternalID = c.ExternalID; first.Slug == "" {
		first.Slug = domain.SlugOf(c.Title, env.ID)
	}
	return postEvents{domain.PostCreated(first)}, nil
}

// EditPost replaces the content, which makes the next revision.
type EditPost struct{ Article }

func (c EditPost) Decide(_ es.Env, p domain.Post) (postEvents, error) {
	next, err := c.revision(p.Number + 1)
	if err != nil {
		return nil, err
	}
	if next.ExternalID = p.ExternalID; next.Slug == "" {
		next.Slug = p.Slug
	}
	switch {
	case next.Same(p.Revision):
		return nil, nil
	case p.Status == domain.Archived:
		return nil, domain.ErrPostArchived
	case p.Status == domain.Published && next.Body.Size() == 0:
		return nil, domain.ErrPostEmpty
	}
	return postEvents{domain.PostUpdated(next)}, nil
}

// PublishPost shows a draft to everyone. Its date is that of the first time.
type PublishPost struct {
	PublishedAt time.Time `json:"published_at,omitzero" doc:"When it first appeared elsewhere. Absent: now"`
}

func (c PublishPost) Decide(env es.Env, p domain.Post) (postEvents, error) {
	at := p.PublishedAt
	if at.IsZero() {
		at = env.Now
		if !c.PublishedAt.IsZero() {
			at = c.PublishedAt.UTC().Truncate(time.Microsecond)
		}
	}
	switch {
	case !c.PublishedAt.IsZero() && !at.Equal(c.PublishedAt.Truncate(time.Microsecond)):
		return nil, domain.ErrPostDated
	case p.Status == domain.Published:
		return nil, nil
	case p.Status == domain.Archived:
		return nil, domain.ErrPostArchived
	case p.Body.Size() == 0:
		return nil, domain.ErrPostEmpty
	case at.After(env.Now):
		return nil, domain.ErrFutureDate
	}
	return postEvents{domain.PostPublished{PublishedAt: at}}, nil
}

// UnpublishPost makes a published post a draft again; slug and date stay.
type UnpublishPost struct{}

func (UnpublishPost) Decide(_ es.Env, p domain.Post) (postEvents, error) {
	switch p.Status {
	case domain.Archived:
		return nil, domain.ErrPostArchived
	case domain.Draft:
		return nil, nil
	}
	return postEvents{domain.PostUnpublished{}}, nil
}

// ArchivePost puts a post away.
type ArchivePost struct{}

func (ArchivePost) Decide(_ es.Env, p domain.Post) (postEvents, error) {
	if p.Status == domain.Archived {
		return nil, nil
	}
	return postEvents{domain.PostArchived{}}, nil
}

// RestorePost makes an archived post a draft, never published at once.
type RestorePost struct{}

func (RestorePost) Decide(_ es.Env, p domain.Post) (postEvents, error) {
	switch p.Status {
	case domain.Published:
		return nil, domain.ErrPostPublished
	case domain.Draft:
		return nil, nil
	}
	return postEvents{domain.PostRestored{}}, nil
}

// DeletePost removes a post for good and frees its slug.
type DeletePost struct{}

func (DeletePost) Decide(es.Env, domain.Post) (postEvents, error) {
	return postEvents{domain.PostDeleted{}}, nil
}
