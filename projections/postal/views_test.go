package postal

import (
	"strings"
	"testing"
	"time"

	domain "github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project/projecttest"
	"github.com/google/uuid"
)

type events = es.Events[domain.Post]

var (
	born = domain.PostCreated{
		Number: 1, Title: "Tides", Body: es.NewText("They come."), Summary: "s", Slug: "tides",
		Category: "nature", Author: "A. Moon", ExternalID: "x-1",
	}
	edited = domain.PostUpdated{Number: 2, Title: "Ebb", Body: es.NewText("They go."), Slug: "ebb"}
	day    = time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC)
	large  = strings.Repeat("long ", 10_000) // kept out of the event
	other  = uuid.MustParse("01900000-0000-7000-8000-000000000002")
)

func TestPosts(t *testing.T) {
	projecttest.Run(t, Posts, domain.Posts, map[string]projecttest.Case[domain.Post]{
		"a draft": {Given: events{born}, Rows: []string{`{"id":"01900000-0000-7000-8000-000000000001","version":1,"slug":"tides","title":"Tides","summary":"s",
			"body":"They come.","tags":[],"category":"nature","author":"A. Moon","external_id":"x-1","status":"draft","revision":1,
			"owner":"01900000-0000-7000-8000-0000000000ff","published_at":null,"listed_at":"2026-01-02T03:04:05+00:00",
			"created_at":"2026-01-02T03:04:05+00:00","updated_at":"2026-01-02T03:04:05+00:00"}`}},
		"edited": {Given: events{born, edited}, Rows: []string{`{"version":2,"revision":2,"title":"Ebb","slug":"ebb","body":"They go.","tags":[],
			"summary":"","external_id":"","status":"draft"}`}},
		"published": {Given: events{born, domain.PostPublished{PublishedAt: day}}, Rows: []string{`{"version":2,"revision":1,"status":"published",
			"published_at":"2020-02-29T00:00:00+00:00","listed_at":"2020-02-29T00:00:00+00:00","created_at":"2026-01-02T03:04:05+00:00"}`}},
		"withdrawn keeps its date": {
			Given: events{born, domain.PostPublished{PublishedAt: day}, domain.PostUnpublished{}},
			Rows:  []string{`{"version":3,"status":"draft","published_at":"2020-02-29T00:00:00+00:00"}`},
		},
		"archived":     {Given: events{born, domain.PostArchived{}}, Rows: []string{`{"version":2,"status":"archived"}`}},
		"restored":     {Given: events{born, domain.PostArchived{}, domain.PostRestored{}}, Rows: []string{`{"version":3,"status":"draft"}`}},
		"deleted":      {Given: events{born, domain.PostDeleted{}}},
		"a large text": {Given: events{domain.PostCreated{Number: 1, Title: "L", Slug: "l", Body: es.NewText(large)}}, Rows: []string{`{"body":"` + large + `"}`}},
	})
}

func TestVersions(t *testing.T) {
	projecttest.Run(t, Versions, domain.Posts, map[string]projecttest.Case[domain.Post]{
		"each revision, publishing none": {Given: events{born, domain.PostPublished{PublishedAt: day}, edited}, Rows: []string{
			`{"id":"01900000-0000-7000-8000-000000000001","revision":1,"title":"Tides","slug":"tides","summary":"s","body":"They come.","tags":[],
				"category":"nature","author":"A. Moon","owner":"01900000-0000-7000-8000-0000000000ff","editor":"01900000-0000-7000-8000-0000000000ff",
				"created_at":"2026-01-02T03:04:05+00:00"}`,
			`{"revision":2,"title":"Ebb","slug":"ebb","body":"They go.","tags":[],"owner":"01900000-0000-7000-8000-0000000000ff"}`,
		}},
		"put away and back": {
			Given: events{born, domain.PostArchived{}, domain.PostRestored{}, domain.PostPublished{PublishedAt: day}, domain.PostUnpublished{}},
			Rows:  []string{`{"revision":1}`},
		},
		"deleted": {Given: events{born, edited, domain.PostDeleted{}}},
	})
}

func TestSlugs(t *testing.T) {
	follower := domain.PostCreated{Number: 1, Title: "Tides", Slug: "tides", Body: es.NewText("new")}
	projecttest.Run(t, Slugs, domain.Posts, map[string]projecttest.Case[domain.Post]{
		"the old slug leads on": {Given: events{born, edited}, Rows: []string{
			`{"slug":"tides","post":"01900000-0000-7000-8000-000000000001"}`, `{"slug":"ebb","post":"01900000-0000-7000-8000-000000000001"}`,
		}},
		"until another takes it": {Given: events{born, edited}, Also: []projecttest.Stream[domain.Post]{{ID: other, Events: events{follower}}}, Rows: []string{
			`{"slug":"tides","post":"01900000-0000-7000-8000-000000000002"}`, `{"slug":"ebb","post":"01900000-0000-7000-8000-000000000001"}`,
		}},
		"deleted": {Given: events{born, edited, domain.PostDeleted{}}},
		"publishing and putting away": {
			Given: events{born, domain.PostPublished{PublishedAt: day}, domain.PostUnpublished{}, domain.PostArchived{}, domain.PostRestored{}},
			Rows:  []string{`{"slug":"tides"}`},
		},
	})
}

func TestTags(t *testing.T) {
	type tags = es.Events[domain.Tag]
	sea := domain.TagCreated{Name: "Sea", Slug: "sea"}
	projecttest.Run(t, Tags, domain.Tags, map[string]projecttest.Case[domain.Tag]{
		"made":    {Given: tags{sea}, Rows: []string{`{"name":"Sea","slug":"sea","slugs":["sea"],"version":1}`}},
		"renamed": {Given: tags{sea, domain.TagUpdated{Name: "Ocean", Slug: "ocean"}}, Rows: []string{`{"name":"Ocean","slug":"ocean","slugs":["sea","ocean"],"version":2}`}},
		"and back": {
			Given: tags{sea, domain.TagUpdated{Name: "Ocean", Slug: "ocean"}, domain.TagUpdated{Name: "Sea", Slug: "sea"}},
			Rows:  []string{`{"slug":"sea","slugs":["sea","ocean"],"version":3}`},
		},
		"deleted": {Given: tags{sea, domain.TagDeleted{}}},
	})
}
