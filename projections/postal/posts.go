// Package postal keeps the views of articles and tags.
package postal

import (
	_ "embed"
	"time"

	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

// Views of the room.
var Views = []project.View{Posts, Slugs, Versions, Tags}

//go:embed posts.sql
var postsSQL string

// PostRow is a post as it stands.
type PostRow struct {
	project.Key
	Slug        string     `db:"slug"`
	Title       string     `db:"title"`
	Summary     string     `db:"summary"`
	Body        string     `db:"body"`
	Tags        []string   `db:"tags"`
	Category    string     `db:"category"`
	Author      string     `db:"author"`
	ExternalID  string     `db:"external_id"`
	Status      string     `db:"status"`
	Owner       string     `db:"owner"`
	Revision    int        `db:"revision"`
	PublishedAt *time.Time `db:"published_at"`
	ListedAt    time.Time  `db:"listed_at"`
	CreatedAt   time.Time  `db:"created_at"`
	UpdatedAt   time.Time  `db:"updated_at"`
}

func (r *PostRow) revise(v domain.Revision, at time.Time) {
	r.Slug, r.Title, r.Summary, r.Body, r.Tags = v.Slug, v.Title, v.Summary, v.Body.String(), append([]string{}, v.Tags...)
	r.Category, r.Author, r.ExternalID, r.Revision, r.UpdatedAt = v.Category, v.Author, v.ExternalID, v.Number, at
}

// Posts is one row per post.
var Posts = project.Rows[PostRow]("postal.posts", 1, postsSQL,
	project.From(domain.Posts,
		project.Insert(func(r *PostRow, e es.Recorded[domain.PostCreated]) {
			r.revise(domain.Revision(e.Data), e.At)
			r.Status, r.Owner, r.CreatedAt, r.ListedAt = string(domain.Draft), string(e.Actor), e.At, e.At
		}),
		project.Update(func(r *PostRow, e es.Recorded[domain.PostUpdated]) {
			r.revise(domain.Revision(e.Data), e.At)
		}),
		project.Update(func(r *PostRow, e es.Recorded[domain.PostPublished]) {
			r.Status, r.PublishedAt, r.ListedAt = string(domain.Published), &e.Data.PublishedAt, e.Data.PublishedAt
		}),
		project.Update(func(r *PostRow, _ es.Recorded[domain.PostUnpublished]) { r.Status = string(domain.Draft) }),
		project.Update(func(r *PostRow, _ es.Recorded[domain.PostArchived]) { r.Status = string(domain.Archived) }),
		project.Update(func(r *PostRow, _ es.Recorded[domain.PostRestored]) { r.Status = string(domain.Draft) }),
		project.Delete[domain.PostDeleted](),
	))
