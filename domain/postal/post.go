// Package postal is articles: written, revised, published, and tagged.
package postal

import (
	"slices"
	"time"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
)

// Posts holds one stream per article. These names are stored: add, never rename.
var Posts = es.Define[Post]("postal.post",
	es.On[PostCreated]("created"),
	es.On[PostUpdated]("updated"),
	es.On[PostPublished]("published"),
	es.On[PostUnpublished]("unpublished"),
	es.On[PostArchived]("archived"),
	es.On[PostRestored]("restored"),
	es.On[PostDeleted]("deleted"),
)

// MaxBody is the size of an article's text in bytes, at most.
const MaxBody = 1 << 20

var (
	ErrSlugTaken       = fault.New(fault.Conflict, "postal.slug_taken", "the slug belongs to another post; give another one")
	ErrExternalIDTaken = fault.New(fault.Conflict, "postal.external_id_taken", "another post has this external_id; edit that one, or give another")
	ErrPostArchived    = fault.New(fault.Conflict, "postal.post_archived", "the post is archived; restore it first")
	ErrPostPublished   = fault.New(fault.Conflict, "postal.post_published", "the post is published, not archived; there is nothing to restore")
	ErrPostEmpty       = fault.New(fault.Conflict, "postal.post_empty", "the post has no body yet; write one, then publish")
	ErrPostDated       = fault.New(fault.Conflict, "postal.post_dated", "the date of a post is fixed when it is first published; publish without published_at")
	ErrFutureDate      = fault.New(fault.Invalid, "postal.future_date", "a post cannot have been published in the future").WithField("body.published_at", "must not be after now")
	ErrBodyTooLong     = fault.New(fault.Invalid, "postal.body_too_long", "the body is over 1 MiB").WithField("body.body", "must be at most 1048576 bytes")
)

// externalIDs lets an import find its articles again, whoever imports.
var (
	slugs       = es.ClaimsOf("postal.slug", ErrSlugTaken, nil)
	externalIDs = es.ClaimsOf("postal.external_id", ErrExternalIDTaken, nil)
)

// Status of a post: draft ⇄ published, both → archived → draft.
type Status string

// The stored statuses.
const (
	Draft     Status = "draft"
	Published Status = "published"
	Archived  Status = "archived"
)

// Post is what decisions need to know; its body is known by hash only.
type Post struct {
	Revision
	Status      Status
	PublishedAt time.Time // of the first time, kept for good
	Owner       es.Actor
	deleted     bool
}

// Stamp makes the creator the owner.
func (p *Post) Stamp(e es.Envelope) {
	if e.Version == 1 {
		p.Owner = e.Actor
	}
}

func (p Post) Owners() []es.Actor { return []es.Actor{p.Owner} }
func (p Post) Deleted() bool      { return p.deleted }
func (p Post) Public() bool       { return p.Status == Published }

// Revision is the content an edit replaces as a whole; revisions count 1, 2, 3 … without gaps.
type Revision struct {
	Number     int      `json:"revision"`
	Title      string   `json:"title"`
	Body       es.Text  `json:"body"`
	Summary    string   `json:"summary,omitempty"`
	Slug       string   `json:"slug"`
	Tags       []string `json:"tags,omitempty"` // slugs as given, a tag's old ones too
	Category   string   `json:"category,omitempty"`
	Author     string   `json:"author,omitempty"` // the byline
	ExternalID string   `json:"external_id,omitempty"`
}

// Same reports whether two revisions say the same, whatever their numbers.
func (r Revision) Same(o Revision) bool {
	return r.Title == o.Title && r.Body.Same(o.Body) && r.Summary == o.Summary && r.Slug == o.Slug && slices.Equal(r.Tags, o.Tags) &&
		r.Category == o.Category && r.Author == o.Author && r.ExternalID == o.ExternalID
}

func (r Revision) light() Revision { r.Body = r.Body.Light(); return r }

func (r Revision) claims(before Post) []es.Claim {
	taken := es.ClaimsOf("postal.slug", ErrSlugTaken.Withf("the slug belongs to another post; give another one, for example %q", r.Slug+"-2"), nil)
	claims := append(externalIDs.Move(before.ExternalID, r.ExternalID), taken.Move(before.Slug, r.Slug)...) // who it is, then what it is called
	return append(claims, requireTags(r.Tags)...)
}

type PostCreated Revision

func (e PostCreated) Evolve(p *Post)                { p.Status, p.Revision = Draft, Revision(e).light() }
func (e PostCreated) Claims(before Post) []es.Claim { return Revision(e).claims(before) }

type PostUpdated Revision

func (e PostUpdated) Evolve(p *Post)                { p.Revision = Revision(e).light() }
func (e PostUpdated) Claims(before Post) []es.Claim { return Revision(e).claims(before) }

type PostPublished struct {
	PublishedAt time.Time `json:"published_at"` // of the first time
}

func (e PostPublished) Evolve(p *Post) { p.Status, p.PublishedAt = Published, e.PublishedAt }

type PostUnpublished struct{}

func (PostUnpublished) Evolve(p *Post) { p.Status = Draft }

type PostArchived struct{}

func (PostArchived) Evolve(p *Post) { p.Status = Archived }

type PostRestored struct{}

func (PostRestored) Evolve(p *Post) { p.Status = Draft }

type PostDeleted struct{}

func (PostDeleted) Evolve(p *Post) { p.deleted = true }

func (PostDeleted) Claims(before Post) []es.Claim {
	return append(slugs.Move(before.Slug, ""), externalIDs.Move(before.ExternalID, "")...)
}
