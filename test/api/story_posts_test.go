package api

import (
	"net/http"
	"strings"
	"testing"
)

const (
	boss   = "boss@acme.localhost"
	ada    = "ada@acme.localhost"
	anyone = "@acme.localhost"
)

func tags(t *testing.T, w *world) {
	w.tell(
		t, step{
			Name: "a tag", By: ada, Do: "POST /api/v1/tags", Body: `{"name":"Sea"}`, Status: 201, Want: `{"version":1}`,
			Events: "postal.tag.created", Save: "sea",
		},
		step{
			Name: "renamed, it keeps its old slug too", By: ada, Do: "PUT /api/v1/tags/{sea}", Header: []string{"If-Match", `"1"`},
			Body: `{"name":"Oceans","slug":"oceans"}`, Status: 200, Want: `{"id":"{sea}","version":2}`, Events: "postal.tag.updated",
		},
		step{
			Name: "another", By: ada, Do: "POST /api/v1/tags", Body: `{"name":"Häfen & Küste"}`, Status: 201, Events: "postal.tag.created",
			Save: "coast", Aside: true,
		},
	)
}

func writing(t *testing.T, w *world) {
	w.tell(
		t, step{
			Name: "a draft", By: ada, Do: "POST /api/v1/posts", Status: 201, Want: `{"version":1}`, Events: "postal.post.created", Save: "post",
			Body: `{"title":"Why tides are late","body":"The moon pulls.\nThe water follows.\n","summary":"On tides.",
				"tags":["sea","haefen-and-kueste"],"category":"nature","author":"Ada"}`,
		},
		step{
			Name: "nobody else sees it", By: anyone, Do: "GET /api/v1/posts/{post}", Status: 404, Code: "rest.not_found",
		},
		step{
			Name: "she publishes it", By: ada, Do: "POST /api/v1/posts/{post}/publish", Body: `{"published_at":"2020-02-29T12:00:00Z"}`,
			Status: 200, Want: `{"id":"{post}","version":2}`, Events: "postal.post.published",
		},
		step{
			Name: "anyone reads it", By: anyone, Do: "GET /api/v1/posts/{post}", Status: 200,
			Want: `{"id":"{post}","version":2,"slug":"why-tides-are-late","tags":["oceans","haefen-and-kueste"],"status":"published","revision":1,
				"owner":"{ada@acme.localhost.id}","published_at":"2020-02-29T12:00:00.000000Z","body":"The moon pulls.\nThe water follows.\n"}`,
		},
		step{
			Name: "she corrects it", By: ada, Do: "PUT /api/v1/posts/{post}", Header: []string{"If-Match", `"2"`},
			Body: `{"title":"Why tides are late","body":"The moon pulls.\nThe water follows, later.\n","slug":"tides",
				"tags":["oceans"],"category":"nature","author":"Ada"}`,
			Status: 200, Want: `{"id":"{post}","version":3}`, Events: "postal.post.updated",
		},
		step{
			Name: "by its slug", By: anyone, Do: "GET /api/v1/posts/slug/tides", Status: 200,
			Want: `{"id":"{post}","revision":2,"tags":["oceans"],"published_at":"2020-02-29T12:00:00.000000Z",
				"body":"The moon pulls.\nThe water follows, later.\n"}`,
		},
		step{
			Name: "how it came about", By: ada, Do: "GET /api/v1/posts/{post}/versions", Status: 200,
			Want: `{"items":[{"version":2,"slug":"tides","editor":"{ada@acme.localhost.id}"},
				{"version":1,"slug":"why-tides-are-late","tags":["sea","haefen-and-kueste"]}]}`,
		},
		step{
			Name: "as it was", By: ada, Do: "GET /api/v1/posts/{post}/versions/1", Status: 200,
			Want: `{"version":1,"body":"The moon pulls.\nThe water follows.\n"}`,
		},
		step{
			Name: "what changed", By: ada, Do: "GET /api/v1/posts/{post}/versions/2/diff?against=1", Status: 200,
			Want: `{"version":2,"against":1,"diff":"--- version 1\n+++ version 2\n@@ -1,9 +1,9 @@\n title: Why tides are late\n` +
				`-summary: On tides.\n-slug: why-tides-are-late\n-tags: sea, haefen-and-kueste\n+summary: \n+slug: tides\n+tags: oceans\n` +
				` category: nature\n author: Ada\n \n The moon pulls.\n-The water follows.\n+The water follows, later.\n"}`,
		},
	)
	moved := w.does(t, step{By: anyone, Do: "GET /api/v1/posts/slug/why-tides-are-late", Status: http.StatusMovedPermanently, Code: "rest.moved"})
	if to := moved.Header.Get("Location"); to != "/api/v1/posts/slug/tides" {
		t.Errorf("its old slug leads to %q", to)
	}
	reading(t, w)
}

// reading goes through lists, and waits for its own write with At-Least alone.
func reading(t *testing.T, w *world) {
	second := w.does(t, step{
		By: boss, Do: "POST /api/v1/posts", Body: `{"title":"Ebb","body":"It goes.","tags":["oceans"],"external_id":"old-cms-7"}`,
		Status: 201, Events: "postal.post.created", Save: "second", Aside: true,
	})
	published := w.does(t, step{By: boss, Do: "POST /api/v1/posts/{second}/publish", Status: 200, Events: "postal.post.published", Aside: true})
	if at, before := published.Header.Get("Position"), second.Header.Get("Position"); !strings.HasPrefix(at, w.Store.LogID()+"-") || at <= before {
		t.Errorf("positions %q, %q", before, at)
	}
	w.tell(
		t, step{
			Name: "what is published", By: anyone, Do: "GET /api/v1/posts?tag=sea&limit=1",
			Header: []string{"At-Least", published.Header.Get("Position")},
			Status: 200, Want: `{"items":[{"id":"{second}","title":"Ebb"}]}`, Save: "next=next",
		},
		step{
			Name: "and before that", By: anyone, Do: "GET /api/v1/posts?tag=sea&limit=1&cursor={next}", Status: 200, Aside: true,
			Want: `{"items":[{"id":"{post}","title":"Why tides are late","tags":["oceans"]}]}`,
		},
		step{
			Name: "tags, by name, with what they are used for", By: anyone, Do: "GET /api/v1/tags", Status: 200,
			Want: `{"items":[{"slug":"haefen-and-kueste","name":"Häfen & Küste","posts":0},{"slug":"oceans","slugs":["sea","oceans"],"posts":2}]}`,
		},
		step{
			Name: "a tag by its old slug", By: anyone, Do: "GET /api/v1/tags/sea", Status: 200,
			Want: `{"id":"{sea}","name":"Oceans","slug":"oceans","posts":2}`,
		},
	)
}

func puttingAway(t *testing.T, w *world) {
	w.tell(
		t, step{
			Name: "withdrawn", By: ada, Do: "POST /api/v1/posts/{post}/unpublish", Status: 200, Want: `{"version":4}`,
			Events: "postal.post.unpublished",
		},
		step{
			Name: "archived", By: ada, Do: "POST /api/v1/posts/{post}/archive", Status: 200, Want: `{"version":5}`,
			Events: "postal.post.archived",
		},
		step{
			Name: "again, which is nothing new", By: ada, Do: "POST /api/v1/posts/{post}/archive", Status: 200, Want: `{"version":5}`,
			Aside: true,
		},
		step{
			Name: "found by who wrote it", By: ada, Do: "GET /api/v1/posts?status=archived", Status: 200, Aside: true,
			Want: `{"items":[{"id":"{post}","status":"archived","version":5}]}`,
		},
		step{
			Name: "restored", By: ada, Do: "POST /api/v1/posts/{post}/restore", Status: 200, Want: `{"version":6}`,
			Events: "postal.post.restored",
		},
		step{
			Name: "and deleted after all", By: ada, Do: "DELETE /api/v1/posts/{post}", Status: 200, Want: `{"id":"{post}","version":7}`,
			Events: "postal.post.deleted",
		},
		step{Name: "nothing is left", By: ada, Do: "GET /api/v1/posts/slug/tides", Status: 404, Code: "rest.not_found"},
		step{
			Name: "an administrator deletes the tag", By: boss, Do: "DELETE /api/v1/tags/{sea}", Status: 200, Want: `{"version":3}`,
			Events: "postal.tag.deleted",
		},
		step{Name: "from every post", By: anyone, Do: "GET /api/v1/posts/{second}", Status: 200, Aside: true, Want: `{"tags":[]}`},
	)
}
