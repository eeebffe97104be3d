package postal

import (
	_ "embed"

	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

//go:embed slugs.sql
var slugsSQL string

const takeSlug = `INSERT INTO slugs (tenant, slug, post) VALUES (@tenant, @slug, @id) ON CONFLICT (tenant, slug) DO UPDATE SET post = @id`

// Slugs leads from every slug a post has or had to the post, until another post takes it.
var Slugs = project.SQL("postal.slugs", 1, slugsSQL,
	project.From(domain.Posts,
		project.Exec(func(b *project.Batch, e es.Recorded[domain.PostCreated]) {
			b.Exec(takeSlug, project.Args{"slug": e.Data.Slug})
		}),
		project.Exec(func(b *project.Batch, e es.Recorded[domain.PostUpdated]) {
			b.Exec(takeSlug, project.Args{"slug": e.Data.Slug})
		}),
		project.Exec(func(b *project.Batch, _ es.Recorded[domain.PostDeleted]) {
			b.Maybe(`DELETE FROM slugs WHERE tenant = @tenant AND post = @id`, project.Args{}) // others may have taken them all
		}),
		project.Skip[domain.PostPublished](),
		project.Skip[domain.PostUnpublished](),
		project.Skip[domain.PostArchived](),
		project.Skip[domain.PostRestored](),
	))
