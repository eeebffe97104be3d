package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/bgce/archive/platform/client"
)

func TestDemoArticles(t *testing.T) {
	articles, slugs, revisions, status := 0, map[string]bool{}, 0, map[string]int{}
	for _, file := range []string{"root", "acme", "globex"} {
		text, err := demoFiles.ReadFile("demo/" + file + ".md")
		if err != nil {
			t.Fatal(err)
		}
		for _, rows := range parseDemo(string(text)) {
			articles, revisions = articles+1, revisions+len(rows)
			for _, r := range rows {
				dated := !r.PublishedAt.IsZero()
				r.check("2024-01-01", importOptions{})
				if !dated || len(r.Body) < 120 || r.Author == "" || r.Summary == "" || r.Result != "" {
					t.Errorf("%s: %s: %+v", file, r.Title, r.importLine)
				}
			}
			slugs[file+rows[0].Slug] = true
			status[rows[0].Status]++
		}
	}
	if articles != 60 || len(slugs) != 60 || revisions < 70 || status["draft"] < 3 || status["archived"] < 3 {
		t.Errorf("%d articles, %d slugs, %d revisions, %v", articles, len(slugs), revisions, status)
	}
}

func TestDemo(t *testing.T) {
	s := newTrial(t)
	out, messages, code := s.run(t, "", "demo")
	if code != 0 || strings.Count(messages, "20 articles added, 0 already there") != 3 || strings.Count(out, "-pass") != 12 {
		t.Fatalf("exit %d\n%s%s", code, messages, out)
	}
	before := s.events(t)
	if _, messages, code = s.run(t, "", "demo"); code != 0 || strings.Count(messages, "0 articles added, 20 already there") != 3 || s.events(t) != before {
		t.Fatalf("again: exit %d, %d events more\n%s", code, s.events(t)-before, messages)
	}
	if _, messages, code = s.run(t, "", "demo", "--server", "https://archive.example.org"); code != exitUsage {
		t.Fatalf("elsewhere: exit %d\n%s", code, messages)
	}
	t.Run("posts", func(t *testing.T) { postScenario(t, s) })
	t.Run("tags", func(t *testing.T) { tagScenario(t, s) })
}

// as logs a demo account of the root tenant in; "" is nobody.
func (s *trial) as(t *testing.T, role string) *client.Client {
	t.Helper()
	opt := client.Options{Server: s.url, Host: "localhost"}
	if role != "" {
		api, err := client.New(opt)
		if err != nil {
			t.Fatal(err)
		}
		var pair struct {
			AccessToken string `json:"access_token"`
		}
		in := map[string]string{"email": "demo-" + role + "@localhost", "password": "demo-" + role + "-pass"}
		if _, err := api.Do(t.Context(), http.MethodPost, "/api/v1/auth/login", nil, in, &pair); err != nil {
			t.Fatal(err)
		}
		opt.Token = pair.AccessToken
	}
	api, err := client.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// exchange is one request after the others. Every read waits for the last write.
type exchange struct {
	as, do, match, body string // do: "GET /path", with {id} for the newest thing created
	status              int
	has                 string // JSON members the answer has, or a part of its text
}

func play(t *testing.T, s *trial, steps []exchange) {
	t.Helper()
	people := map[string]*client.Client{}
	id, at := "", ""
	for i, step := range steps {
		if people[step.as] == nil {
			people[step.as] = s.as(t, step.as)
		}
		method, path, _ := strings.Cut(strings.ReplaceAll(step.do, "{id}", id), " ")
		header := http.Header{}
		if step.match != "" {
			header.Set("If-Match", step.match)
		}
		if method == http.MethodGet && at != "" {
			header.Set("At-Least", at)
		}
		var in any
		if step.body != "" {
			in = []byte(step.body)
		}
		var answer []byte
		res, err := people[step.as].Do(t.Context(), method, path, header, in, &answer)
		if res == nil {
			t.Fatal(err)
		}
		if err != nil {
			answer = []byte(err.Error())
		}
		if res.StatusCode != step.status || !strings.Contains(string(answer), step.has) {
			t.Fatalf("step %d, %s %s %s: got %d %.400s, want %d with %s", i, step.as, method, path, res.StatusCode, answer, step.status, step.has)
		}
		var receipt struct{ ID, Position string }
		if method != http.MethodGet && err == nil && json.Unmarshal(answer, &receipt) == nil {
			at = receipt.Position
			if res.StatusCode == http.StatusCreated {
				id = receipt.ID
			}
		}
	}
}

func postScenario(t *testing.T, s *trial) {
	const full = `{"title":"Ebb","body":"one\ntwo\n","slug":"ebb","tags":["learning"]}`
	play(t, s, []exchange{
		{"", "POST /api/v1/posts", "", full, 401, "rest.unauthorized"},
		{"user", "POST /api/v1/posts", "", `{"title":"Tides","body":"one\n","tags":["learning","nowhere"]}`, 409, "body.tags[1]"},
		{"user", "POST /api/v1/posts", "", `{"title":"Tides","body":"one\n","colour":1}`, 422, "rest.invalid"},
		{"user", "POST /api/v1/posts", "", `{"title":"","body":"one\n"}`, 422, "body.title"},
		{"user", "POST /api/v1/posts", "", `{"title":"Tides","body":"one\n","tags":["learning"]}`, 201, `"version":1`},
		{"user", "POST /api/v1/posts", "", `{"title":"Tides"}`, 409, `"tides-2"`},
		{"", "GET /api/v1/posts/{id}", "", "", 404, "rest.not_found"},
		{"viewer", "GET /api/v1/posts/{id}", "", "", 404, "rest.not_found"},
		{"user", "GET /api/v1/posts/{id}", "", "", 200, `"status":"draft"`},
		{"editor", "GET /api/v1/posts/slug/tides", "", "", 200, `"tags":["learning"]`},
		{"", "GET /api/v1/posts?status=draft", "", "", 200, `"items":[]`},
		{"user", "GET /api/v1/posts?status=draft", "", "", 200, `"slug":"tides"`},
		{"user", "PUT /api/v1/posts/{id}", "", full, 428, "rest."},
		{"user", "PUT /api/v1/posts/{id}", `"7"`, full, 412, "rest.stale"},
		{"viewer", "PUT /api/v1/posts/{id}", `"1"`, full, 404, "rest.not_found"},
		{"user", "PUT /api/v1/posts/{id}", `"1"`, full, 200, `"version":2`},
		{"user", "PUT /api/v1/posts/{id}", `"2"`, full, 200, `"version":2`},
		{"viewer", "POST /api/v1/posts/{id}/publish", "", "", 404, "rest.not_found"},
		{"user", "POST /api/v1/posts/{id}/publish", "", `{"published_at":"2999-01-01T00:00:00Z"}`, 422, "body.published_at"},
		{"user", "POST /api/v1/posts/{id}/publish", "", `{"published_at":"2020-02-29T00:00:00Z"}`, 200, `"version":3`},
		{"viewer", "POST /api/v1/posts/{id}/unpublish", "", "", 403, "rest.forbidden"},
		{"", "GET /api/v1/posts/slug/ebb", "", "", 200, `"published_at":"2020-02-29T00:00:00.000000Z"`},
		{"", "GET /api/v1/posts/slug/tides", "", "", 200, `"slug":"ebb"`}, // the client followed the redirect
		{"", "GET /api/v1/posts/slug/nowhere", "", "", 404, "rest.not_found"},
		{"", "GET /api/v1/posts?tag=learning&category=&limit=1", "", "", 200, `"next":`},
		{"", "GET /api/v1/posts/{id}/versions", "", "", 401, ""},
		{"viewer", "GET /api/v1/posts/{id}/versions", "", "", 404, "postal.version_not_found"},
		{"user", "GET /api/v1/posts/{id}/versions", "", "", 200, `{"items":[{"version":2`},
		{"user", "GET /api/v1/posts/{id}/versions?limit=1", "", "", 200, `"next":`},
		{"editor", "GET /api/v1/posts/{id}/versions/1", "", "", 200, `"body":"one\n"`},
		{"editor", "GET /api/v1/posts/{id}/versions/3", "", "", 404, "rest.not_found"},
		{"viewer", "GET /api/v1/posts/{id}/versions/1", "", "", 404, "rest.not_found"},
		{"user", "GET /api/v1/posts/{id}/versions/2/diff", "", "", 200, `--- version 1\n+++ version 2\n`},
		{"user", "GET /api/v1/posts/{id}/versions/2/diff", "", "", 200, `-title: Tides\n+title: Ebb\n`},
		{"user", "GET /api/v1/posts/{id}/versions/1/diff?against=2", "", "", 200, `-two\n`},
		{"user", "GET /api/v1/posts/{id}/versions/1/diff", "", "", 200, `"against":0`},
		{"user", "GET /api/v1/posts/{id}/versions/2/diff?against=9", "", "", 404, ""},
		{"editor", "POST /api/v1/posts/{id}/unpublish", "", "", 200, `"version":4`},
		{"user", "POST /api/v1/posts/{id}/archive", "", "", 200, `"version":5`},
		{"user", "POST /api/v1/posts/{id}/publish", "", "", 409, "postal.post_archived"},
		{"user", "POST /api/v1/posts/{id}/restore", "", "", 200, `"version":6`},
		{"user", "POST /api/v1/posts/{id}/publish", "", "", 200, `"version":7`},
		{"", "GET /api/v1/posts/{id}", "", "", 200, `"published_at":"2020-02-29T00:00:00.000000Z"`},
		{"editor", "DELETE /api/v1/posts/{id}", "", "", 403, "rest.forbidden"},
		{"user", "DELETE /api/v1/posts/{id}", "", "", 200, `"version":8`},
		{"user", "DELETE /api/v1/posts/{id}", "", "", 200, `"version":8`},
		{"", "GET /api/v1/posts/slug/ebb", "", "", 404, ""},
		{"user", "POST /api/v1/posts", "", full, 201, `"version":1`},
	})
}

func tagScenario(t *testing.T, s *trial) {
	play(t, s, []exchange{
		{"user", "POST /api/v1/tags", "", `{"name":"Brand New"}`, 403, "rest.forbidden"},
		{"editor", "POST /api/v1/tags", "", `{"name":"Learning"}`, 409, "postal.tag_taken"},
		{"editor", "POST /api/v1/tags", "", `{"name":"Brand New"}`, 201, `"version":1`},
		{"", "GET /api/v1/tags/brand-new", "", "", 200, `"posts":0`},
		{"", "GET /api/v1/tags/learning", "", "", 200, `"posts":10`},
		{"", "GET /api/v1/tags?limit=1", "", "", 200, `"name":"Brand New"`},
		{"editor", "PUT /api/v1/tags/{id}", `"1"`, `{"name":"Old Hat"}`, 200, `"version":2`},
		{"", "GET /api/v1/tags/brand-new", "", "", 200, `"slug":"old-hat"`},
	})
	var tag struct{ ID string }
	if _, err := s.api.Do(t.Context(), http.MethodGet, "/api/v1/tags/old-hat", nil, nil, &tag); err != nil {
		t.Fatal(err)
	}
	play(t, s, []exchange{
		{"user", "POST /api/v1/posts", "", `{"title":"Tagged","body":"x","tags":["brand-new","learning"]}`, 201, ""},
		{"user", "GET /api/v1/posts/{id}", "", "", 200, `"tags":["old-hat","learning"]`},
		{"user", "POST /api/v1/posts/{id}/publish", "", "", 200, ""},
		{"", "GET /api/v1/posts?tag=brand-new", "", "", 200, `"tags":["old-hat","learning"]`},
		{"", "GET /api/v1/posts?tag=old-hat", "", "", 200, `"slug":"tagged"`},
		{"", "GET /api/v1/tags/old-hat", "", "", 200, `"posts":1`},
		{"editor", "DELETE /api/v1/tags/" + tag.ID, "", "", 403, ""},
		{"admin", "DELETE /api/v1/tags/" + tag.ID, "", "", 200, `"version":3`},
		{"", "GET /api/v1/posts/slug/tagged", "", "", 200, `"tags":["learning"]`},
		{"", "GET /api/v1/posts?tag=old-hat", "", "", 200, `"items":[]`},
		{"", "GET /api/v1/tags/brand-new", "", "", 404, ""},
	})
}
