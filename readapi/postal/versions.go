package postal

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest"
)

// VersionView is a revision of a post, without its text.
type VersionView struct {
	Version   int       `json:"version" db:"revision"`
	Title     string    `json:"title" db:"title"`
	Summary   string    `json:"summary,omitempty" db:"summary"`
	Slug      string    `json:"slug" db:"slug"`
	Tags      []string  `json:"tags" db:"tags" doc:"As written then"`
	Category  string    `json:"category,omitempty" db:"category"`
	Author    string    `json:"author,omitempty" db:"author" doc:"The byline"`
	Editor    string    `json:"editor" db:"editor" doc:"Who made the revision"`
	CreatedAt time.Time `json:"created_at" db:"created_at"`
}

// FullVersionView is a revision with its text.
type FullVersionView struct {
	VersionView
	Body string `json:"body" db:"body" doc:"Markdown"`
}

// errNoVersion also answers those who may not know.
var errNoVersion = fault.New(fault.NotFound, "postal.version_not_found", "there is no such version of this post for you to see")

// ListVersions shows the revisions of a post, newest first.
type ListVersions struct {
	rest.Page
	ID uuid.UUID `path:"id"`
}

func (q ListVersions) Read(ctx context.Context, r *rest.Rows) (rest.List[VersionView], error) {
	list, err := rest.Many[VersionView](ctx, r, rest.From("postal.versions").Is("id", q.ID).OwnedBy("owner"), q.Page, "revision desc")
	if err == nil && len(list.Items) == 0 && q.Cursor == "" {
		err = errNoVersion
	}
	return list, err
}

// ReadVersion gives one revision with its text.
type ReadVersion struct {
	ID      uuid.UUID `path:"id"`
	Version int       `path:"version" minimum:"1"`
}

func (q ReadVersion) Read(ctx context.Context, r *rest.Rows) (FullVersionView, error) {
	if q.Version > math.MaxInt32 { // more than a column holds
		return FullVersionView{}, errNoVersion
	}
	return rest.One[FullVersionView](ctx, r, rest.From("postal.versions").Is("id", q.ID).Is("revision", q.Version).OwnedBy("owner"))
}

// maxDiff is how many bytes of a diff are shown.
const maxDiff = 256 << 10

// DiffView is what one revision changed against another, as a unified diff of "field: value" lines, an empty line and the body.
type DiffView struct {
	Version   int    `json:"version"`
	Against   int    `json:"against" doc:"0 is the empty text before the first"`
	Diff      string `json:"diff" doc:"Unified, empty when nothing differs"`
	Truncated bool   `json:"truncated,omitempty" doc:"Only the first 256 KiB are shown"`
}

// DiffVersions compares a revision with an older or newer one.
type DiffVersions struct {
	ReadVersion
	Against int `query:"against" minimum:"1" doc:"Absent: the version before"`
}

func (q DiffVersions) Read(ctx context.Context, r *rest.Rows) (DiffView, error) {
	if q.Against == 0 {
		q.Against = q.Version - 1
	}
	now, err := q.ReadVersion.Read(ctx, r)
	if err != nil {
		return DiffView{}, err
	}
	var before string
	if q.Against > 0 {
		old, err := ReadVersion{q.ID, q.Against}.Read(ctx, r)
		if err != nil {
			return DiffView{}, err
		}
		before = old.plain()
	}
	diff := udiff.Unified(fmt.Sprintf("version %d", q.Against), fmt.Sprintf("version %d", q.Version), before, now.plain())
	short := diff
	if len(diff) > maxDiff {
		short = diff[:strings.LastIndexByte(diff[:maxDiff], '\n')+1]
	}
	return DiffView{q.Version, q.Against, short, len(short) < len(diff)}, nil
}

// plain is the revision as the text that is compared.
func (v FullVersionView) plain() string {
	return fmt.Sprintf("title: %s\nsummary: %s\nslug: %s\ntags: %s\ncategory: %s\nauthor: %s\n\n%s",
		v.Title, v.Summary, v.Slug, strings.Join(v.Tags, ", "), v.Category, v.Author, v.Body)
}
