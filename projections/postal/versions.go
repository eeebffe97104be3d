package postal

import (
	_ "embed"

	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

//go:embed versions.sql
var versionsSQL string

const insertVersion = `INSERT INTO versions (tenant, id, revision, title, summary, slug, body, tags, category, author, editor, created_at, owner)
	VALUES (@tenant, @id, @revision, @title, @summary, @slug, @body, @tags, @category, @author, @actor, @at,
		coalesce((SELECT owner FROM versions WHERE tenant = @tenant AND id = @id AND revision = 1), @actor))`

func revision(r domain.Revision) project.Args {
	return project.Args{
		"revision": r.Number, "title": r.Title, "summary": r.Summary, "slug": r.Slug, "body": r.Body.String(),
		"tags": append([]string{}, r.Tags...), "category": r.Category, "author": r.Author,
	}
}

// Versions is one row per revision of each post.
var Versions = project.SQL("postal.versions", 1, versionsSQL,
	project.From(domain.Posts,
		project.Exec(func(b *project.Batch, e es.Recorded[domain.PostCreated]) {
			b.Exec(insertVersion, revision(domain.Revision(e.Data)))
		}),
		project.Exec(func(b *project.Batch, e es.Recorded[domain.PostUpdated]) {
			b.Exec(insertVersion, revision(domain.Revision(e.Data)))
		}),
		project.Exec(func(b *project.Batch, _ es.Recorded[domain.PostDeleted]) {
			b.Exec(`DELETE FROM versions WHERE tenant = @tenant AND id = @id`, project.Args{})
		}),
		project.Skip[domain.PostPublished](),
		project.Skip[domain.PostUnpublished](),
		project.Skip[domain.PostArchived](),
		project.Skip[domain.PostRestored](),
	))
