package postal

import (
	_ "embed"
	"slices"

	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

//go:embed tags.sql
var tagsSQL string

// TagRow is a tag as it stands, found by any slug it ever had.
type TagRow struct {
	project.Key
	Name  string   `db:"name"`
	Slug  string   `db:"slug"`
	Slugs []string `db:"slugs"`
}

func (r *TagRow) call(name, slug string) {
	r.Name, r.Slug = name, slug
	if !slices.Contains(r.Slugs, slug) {
		r.Slugs = append(slices.Clone(r.Slugs), slug)
	}
}

// Tags is one row per tag.
var Tags = project.Rows[TagRow]("postal.tags", 1, tagsSQL,
	project.From(domain.Tags,
		project.Insert(func(r *TagRow, e es.Recorded[domain.TagCreated]) { r.call(e.Data.Name, e.Data.Slug) }),
		project.Update(func(r *TagRow, e es.Recorded[domain.TagUpdated]) { r.call(e.Data.Name, e.Data.Slug) }),
		project.Delete[domain.TagDeleted](),
	))
