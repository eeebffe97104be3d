package postal

import (
	"context"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/rest"
)

// TagView is a tag as it stands.
type TagView struct {
	ID      uuid.UUID `json:"id" db:"id"`
	Version int       `json:"version" db:"version"`
	Name    string    `json:"name" db:"name"`
	Slug    string    `json:"slug" db:"slug"`
	Slugs   []string  `json:"slugs" db:"slugs" doc:"All that mean this tag: today's and those before it was renamed"`
	Posts   int       `json:"posts" db:"-" doc:"Published posts that carry it"`
}

// ListTags shows all tags by name, with how often they are used.
type ListTags struct{ rest.Page }

func (q ListTags) Read(ctx context.Context, r *rest.Rows) (rest.List[TagView], error) {
	list, err := rest.Many[TagView](ctx, r, rest.From("postal.tags"), q.Page, "name")
	if err != nil {
		return list, err
	}
	return list, countPosts(ctx, r, list.Items)
}

// ReadTag gives a tag by its slug or one it had before.
type ReadTag struct {
	Slug string `path:"slug" maxLength:"200"`
}

func (q ReadTag) Read(ctx context.Context, r *rest.Rows) (TagView, error) {
	tag, err := rest.One[TagView](ctx, r, rest.From("postal.tags").Where("slugs && ARRAY[@slug::text]", rest.Args{"slug": q.Slug}))
	if err != nil {
		return tag, err
	}
	one := []TagView{tag}
	err = countPosts(ctx, r, one)
	return one[0], err
}

func countPosts(ctx context.Context, r *rest.Rows, tags []TagView) error {
	ids := make([]uuid.UUID, len(tags))
	for i, t := range tags {
		ids[i] = t.ID
	}
	type use struct {
		ID    uuid.UUID `db:"id"`
		Posts int       `db:"posts"`
	}
	uses, err := rest.Query[use](ctx, r, `SELECT t.id, count(*)::int AS posts FROM {postal.tags} t
		JOIN {postal.posts} p ON p.tenant = t.tenant AND p.status = 'published' AND p.tags && t.slugs
		WHERE t.tenant = @tenant AND t.id = ANY(@ids) GROUP BY t.id`, rest.Args{"ids": ids})
	if err != nil {
		return err
	}
	counts := map[uuid.UUID]int{}
	for _, u := range uses {
		counts[u.ID] = u.Posts
	}
	for i := range tags {
		tags[i].Posts = counts[tags[i].ID]
	}
	return nil
}
