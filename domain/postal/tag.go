package postal

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
)

// Tags holds one stream per tag. These names are stored: add, never rename.
var Tags = es.Define[Tag]("postal.tag",
	es.On[TagCreated]("created"),
	es.On[TagUpdated]("updated"),
	es.On[TagDeleted]("deleted"),
)

var (
	ErrTagTaken   = fault.New(fault.Conflict, "postal.tag_taken", "another tag has this slug, or had it before it was renamed")
	ErrTagMissing = fault.New(fault.Conflict, "postal.tag_missing", "a tag of the post does not exist; create it with POST /api/v1/tags, or leave it out")
)

var tagSlugs = es.ClaimsOf("postal.tag", ErrTagTaken, ErrTagMissing)

// requireTags holds each tag to its existence when the post is stored; a tag's old slugs do.
func requireTags(tags []string) []es.Claim {
	claims := make([]es.Claim, len(tags))
	for i, tag := range tags {
		missing := ErrTagMissing.WithField(fmt.Sprintf("body.tags[%d]", i), "no such tag")
		claims[i] = es.ClaimsOf("postal.tag", ErrTagTaken, missing).Require(tag)
	}
	return claims
}

// Tag is what decisions need to know.
type Tag struct {
	Name    string
	Slug    string
	Slugs   []string // the current one and every one before, all still held
	deleted bool
}

func (t Tag) Deleted() bool { return t.deleted }
func (t Tag) Public() bool  { return true }

func (t *Tag) call(name, slug string) {
	t.Name, t.Slug = name, slug
	if !slices.Contains(t.Slugs, slug) {
		t.Slugs = append(slices.Clone(t.Slugs), slug)
	}
}

type TagCreated struct {
	Name string `json:"name"`
	Slug string `json:"slug"`
}

func (e TagCreated) Evolve(t *Tag)         { t.call(e.Name, e.Slug) }
func (e TagCreated) Claims(Tag) []es.Claim { return []es.Claim{tagSlugs.Take(e.Slug)} }

// TagUpdated renames; the old slug stays an alias.
type TagUpdated struct {
	Name string `json:"name"`
	Slug string `json:"slug"`
}

func (e TagUpdated) Evolve(t *Tag)         { t.call(e.Name, e.Slug) }
func (e TagUpdated) Claims(Tag) []es.Claim { return []es.Claim{tagSlugs.Take(e.Slug)} }

type TagDeleted struct{}

func (TagDeleted) Evolve(t *Tag) { t.deleted = true }

func (TagDeleted) Claims(before Tag) []es.Claim {
	var claims []es.Claim
	for _, slug := range before.Slugs {
		claims = append(claims, tagSlugs.Release(slug))
	}
	return claims
}

var latin = strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "æ", "ae", "œ", "oe", "ø", "o", "å", "a", "à", "a", "á", "a", "â", "a",
	"ã", "a", "ç", "c", "č", "c", "ć", "c", "è", "e", "é", "e", "ê", "e", "ë", "e", "ě", "e", "ì", "i", "í", "i", "î", "i", "ï", "i", "ł", "l", "ñ", "n",
	"ń", "n", "ò", "o", "ó", "o", "ô", "o", "õ", "o", "ř", "r", "š", "s", "ś", "s", "ù", "u", "ú", "u", "û", "u", "ý", "y", "ÿ", "y", "ž", "z", "ź", "z", "ż", "z",
	"'", "", "’", "", "&", " and ")

// SlugOf derives a slug, [a-z0-9][a-z0-9._-]{0,199}, from a title or name; what has no Latin letter or digit gets the id's.
func SlugOf(title string, id uuid.UUID) string {
	words := strings.FieldsFunc(latin.Replace(strings.ToLower(title)), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.'
	})
	for i := range words {
		words[i] = strings.Trim(words[i], ".")
	}
	words = slices.DeleteFunc(words, func(w string) bool { return w == "" })
	slug := strings.Join(words, "-")
	if slug == "" {
		return id.String()
	}
	return strings.Trim(slug[:min(len(slug), 200)], "-.")
}
