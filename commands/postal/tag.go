package postal

import (
	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
)

type tagEvents = es.Events[domain.Tag]

// Label is what a tag is called.
type Label struct {
	Name string `json:"name" minLength:"1" maxLength:"100" pattern:"\\S"`
	Slug string `json:"slug,omitempty" pattern:"^[a-z0-9][a-z0-9._-]{0,199}$" doc:"Unique in the tenant. Absent: made from the name"`
}

func (l Label) slug(env es.Env) string {
	if l.Slug != "" {
		return l.Slug
	}
	return domain.SlugOf(l.Name, env.ID)
}

// CreateTag makes a tag that posts may carry.
type CreateTag struct{ Label }

func (c CreateTag) Decide(env es.Env, _ domain.Tag) (tagEvents, error) {
	return tagEvents{domain.TagCreated{Name: c.Name, Slug: c.slug(env)}}, nil
}

// RenameTag changes name and slug; the old slug keeps meaning this tag.
type RenameTag struct{ Label }

func (c RenameTag) Decide(env es.Env, t domain.Tag) (tagEvents, error) {
	slug := c.slug(env)
	if c.Name == t.Name && slug == t.Slug {
		return nil, nil
	}
	return tagEvents{domain.TagUpdated{Name: c.Name, Slug: slug}}, nil
}

// DeleteTag takes the tag from every post and frees its slugs.
type DeleteTag struct{}

func (DeleteTag) Decide(es.Env, domain.Tag) (tagEvents, error) {
	return tagEvents{domain.TagDeleted{}}, nil
}
