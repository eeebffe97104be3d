package postal

import (
	"strings"
	"testing"
	"time"

	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/es/estest"
	"github.com/bgce/archive/platform/eventstore"
)

var (
	first = domain.Revision{
		Number: 1, Title: "Tides", Body: es.NewText("They come and go."), Summary: "s", Slug: "tides",
		Tags: []string{"sea"}, Category: "nature", Author: "A. Moon", ExternalID: "x-1",
	}
	article = Article{Title: "Tides", Body: "They come and go.", Summary: "s", Slug: "tides", Tags: []string{"sea"}, Category: "nature", Author: "A. Moon"}

	born        = domain.PostCreated(first)
	day         = time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC)
	shown       = domain.PostPublished{PublishedAt: day}
	draft       = postEvents{born}
	published   = postEvents{born, shown}
	withdrawn   = postEvents{born, shown, domain.PostUnpublished{}}
	archived    = postEvents{born, domain.PostArchived{}}
	restored    = postEvents{born, domain.PostArchived{}, domain.PostRestored{}}
	bodiless    = domain.PostCreated{Number: 1, Title: "Empty", Slug: "empty"}
	longBody    = strings.Repeat("ü", domain.MaxBody/2) + "!"
	longestBody = strings.Repeat("ü", domain.MaxBody/2)
)

func take(v string) es.Claim    { return es.Claim{Value: v, Op: eventstore.Take} }
func release(v string) es.Claim { return es.Claim{Value: v, Op: eventstore.Release} }
func require(v string) es.Claim { return es.Claim{Value: v, Op: eventstore.Require} }

// edited is the article with something else, and the event that says so.
func edited(number int, change func(*Article), also func(*domain.Revision)) (EditPost, domain.PostUpdated) {
	a, r := article, first
	change(&a)
	also(&r)
	r.Number = number
	return EditPost{a}, domain.PostUpdated(r)
}

func TestCreateDraft(t *testing.T) {
	estest.Run(t, map[string]estest.Case[domain.Post]{
		"with everything": {
			When: CreateDraft{Article: article, ExternalID: "x-1"}, Then: draft, Again: true,
			Claims: []es.Claim{take("x-1"), take("tides"), require("sea")},
		},
		"the slug comes from the title": {
			When: CreateDraft{Article: Article{Title: "Über Ebbe & Flut!"}}, Again: true,
			Then:   postEvents{domain.PostCreated{Number: 1, Title: "Über Ebbe & Flut!", Slug: "ueber-ebbe-and-flut"}},
			Claims: []es.Claim{take("ueber-ebbe-and-flut")},
		},
		"a title without Latin letters gets the id": {
			When: CreateDraft{Article: Article{Title: "潮汐"}}, Again: true,
			Then: postEvents{domain.PostCreated{Number: 1, Title: "潮汐", Slug: estest.ID.String()}},
		},
		"the longest body": {
			When: CreateDraft{Article: Article{Title: "T", Body: longestBody}}, Again: true,
			Then: postEvents{domain.PostCreated{Number: 1, Title: "T", Slug: "t", Body: es.NewText(longestBody)}},
		},
		"a byte too long": {When: CreateDraft{Article: Article{Title: "T", Body: longBody}}, Err: domain.ErrBodyTooLong},
	})
}

func TestEditPost(t *testing.T) {
	retitled, retitledEvent := edited(2, func(a *Article) { a.Title = "Ebb" }, func(r *domain.Revision) { r.Title = "Ebb" })
	moved, movedEvent := edited(2, func(a *Article) { a.Slug = "ebb" }, func(r *domain.Revision) { r.Slug = "ebb" })
	untagged, untaggedEvent := edited(2, func(a *Article) { a.Tags = nil }, func(r *domain.Revision) { r.Tags = nil })
	emptied, emptiedEvent := edited(2, func(a *Article) { a.Body = "" }, func(r *domain.Revision) { r.Body = es.NewText("") })
	third, thirdEvent := edited(3, func(a *Article) { a.Summary = "longer" }, func(r *domain.Revision) { r.Summary = "longer" })
	slugless := article
	slugless.Slug = ""
	tooLong := article
	tooLong.Body = longBody
	estest.Run(t, map[string]estest.Case[domain.Post]{
		"a draft":            {Given: draft, When: retitled, Then: postEvents{retitledEvent}, Claims: []es.Claim{require("sea")}},
		"published":          {Given: published, When: retitled, Then: postEvents{retitledEvent}},
		"withdrawn":          {Given: withdrawn, When: retitled, Then: postEvents{retitledEvent}},
		"restored":           {Given: restored, When: retitled, Then: postEvents{retitledEvent}},
		"archived":           {Given: archived, When: retitled, Err: domain.ErrPostArchived},
		"nothing new":        {Given: published, When: EditPost{article}},
		"nothing, archived":  {Given: archived, When: EditPost{article}},
		"the slug moves":     {Given: draft, When: moved, Then: postEvents{movedEvent}, Claims: []es.Claim{release("tides"), take("ebb"), require("sea")}},
		"no slug keeps it":   {Given: draft, When: EditPost{slugless}},
		"tags go":            {Given: draft, When: untagged, Then: postEvents{untaggedEvent}, Claims: []es.Claim{}},
		"an empty draft":     {Given: draft, When: emptied, Then: postEvents{emptiedEvent}},
		"not once published": {Given: published, When: emptied, Err: domain.ErrPostEmpty},
		"too long":           {Given: draft, When: EditPost{tooLong}, Err: domain.ErrBodyTooLong},
		"publishing counts for nothing": {
			Given: postEvents{born, retitledEvent, shown, domain.PostUnpublished{}}, When: third,
			Then: postEvents{thirdEvent},
		},
	})
}

func TestPublishPost(t *testing.T) {
	estest.Run(t, map[string]estest.Case[domain.Post]{
		"a draft, now":                  {Given: draft, When: PublishPost{}, Then: postEvents{domain.PostPublished{PublishedAt: estest.Now}}},
		"a draft, with its old date":    {Given: draft, When: PublishPost{PublishedAt: day}, Then: postEvents{shown}},
		"in another zone":               {Given: draft, When: PublishPost{PublishedAt: day.In(time.FixedZone("", 3600))}, Then: postEvents{shown}},
		"in the future":                 {Given: draft, When: PublishPost{PublishedAt: estest.Now.Add(time.Second)}, Err: domain.ErrFutureDate},
		"again keeps the first date":    {Given: withdrawn, When: PublishPost{}, Then: postEvents{shown}},
		"again with the same date":      {Given: withdrawn, When: PublishPost{PublishedAt: day}, Then: postEvents{shown}},
		"again with another date":       {Given: withdrawn, When: PublishPost{PublishedAt: day.AddDate(0, 0, 1)}, Err: domain.ErrPostDated},
		"published already":             {Given: published, When: PublishPost{}},
		"published, another date asked": {Given: published, When: PublishPost{PublishedAt: day.AddDate(0, 0, 1)}, Err: domain.ErrPostDated},
		"archived":                      {Given: archived, When: PublishPost{}, Err: domain.ErrPostArchived},
		"restored":                      {Given: restored, When: PublishPost{PublishedAt: day}, Then: postEvents{shown}},
		"without a body":                {Given: postEvents{bodiless}, When: PublishPost{}, Err: domain.ErrPostEmpty},
	})
}

func TestPutAwayAndBack(t *testing.T) {
	estest.Run(t, map[string]estest.Case[domain.Post]{
		"unpublish a draft":     {Given: draft, When: UnpublishPost{}},
		"unpublish":             {Given: published, When: UnpublishPost{}, Then: postEvents{domain.PostUnpublished{}}},
		"unpublish withdrawn":   {Given: withdrawn, When: UnpublishPost{}},
		"unpublish archived":    {Given: archived, When: UnpublishPost{}, Err: domain.ErrPostArchived},
		"archive a draft":       {Given: draft, When: ArchivePost{}, Then: postEvents{domain.PostArchived{}}},
		"archive a published":   {Given: published, When: ArchivePost{}, Then: postEvents{domain.PostArchived{}}},
		"archive twice":         {Given: archived, When: ArchivePost{}},
		"restore":               {Given: archived, When: RestorePost{}, Then: postEvents{domain.PostRestored{}}},
		"restore a draft":       {Given: draft, When: RestorePost{}},
		"restore a published":   {Given: published, When: RestorePost{}, Err: domain.ErrPostPublished},
		"delete a draft":        {Given: draft, When: DeletePost{}, Then: postEvents{domain.PostDeleted{}}, Again: true, Claims: []es.Claim{release("tides"), release("x-1")}},
		"delete a published":    {Given: published, When: DeletePost{}, Then: postEvents{domain.PostDeleted{}}, Again: true},
		"delete an archived":    {Given: archived, When: DeletePost{}, Then: postEvents{domain.PostDeleted{}}, Again: true},
		"delete without a name": {Given: postEvents{bodiless}, When: DeletePost{}, Then: postEvents{domain.PostDeleted{}}, Again: true, Claims: []es.Claim{release("empty")}},
	})
}

func TestTags(t *testing.T) {
	sea, ocean := domain.TagCreated{Name: "Sea", Slug: "sea"}, domain.TagUpdated{Name: "Ocean", Slug: "ocean"}
	estest.Run(t, map[string]estest.Case[domain.Tag]{
		"create":             {When: CreateTag{Label{Name: "Sea"}}, Then: tagEvents{sea}, Again: true, Claims: []es.Claim{take("sea")}},
		"create with a slug": {When: CreateTag{Label{Name: "Sea", Slug: "s.e_a-1"}}, Then: tagEvents{domain.TagCreated{Name: "Sea", Slug: "s.e_a-1"}}, Again: true},
		"rename":             {Given: tagEvents{sea}, When: RenameTag{Label{Name: "Ocean"}}, Then: tagEvents{ocean}, Claims: []es.Claim{take("ocean")}},
		"rename to the same": {Given: tagEvents{sea}, When: RenameTag{Label{Name: "Sea"}}},
		"only the name":      {Given: tagEvents{sea}, When: RenameTag{Label{Name: "SEA"}}, Then: tagEvents{domain.TagUpdated{Name: "SEA", Slug: "sea"}}},
		"rename and back":    {Given: tagEvents{sea, ocean}, When: RenameTag{Label{Name: "Sea"}}, Then: tagEvents{domain.TagUpdated{Name: "Sea", Slug: "sea"}}},
		"delete frees both":  {Given: tagEvents{sea, ocean}, When: DeleteTag{}, Then: tagEvents{domain.TagDeleted{}}, Again: true, Claims: []es.Claim{release("sea"), release("ocean")}},
		"delete frees it once": {
			Given: tagEvents{sea, domain.TagUpdated{Name: "SEA", Slug: "sea"}}, When: DeleteTag{}, Then: tagEvents{domain.TagDeleted{}}, Again: true,
			Claims: []es.Claim{release("sea")},
		},
	})
}
