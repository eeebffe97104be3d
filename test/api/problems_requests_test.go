package api

import (
	"strings"
	"testing"
)

// unreadable is what cannot be taken in at all, or is no sense.
func unreadable(t *testing.T, c *catalogue) {
	w := start(t, nil)
	w.furnish(t)
	tag := func(name, code, body string, header ...string) step {
		return step{Name: name, By: ada, Do: "POST /api/v1/tags", Body: body, Header: header, Code: code}
	}
	get := func(name, code, path string, header ...string) step {
		return step{Name: name, By: ada, Do: "GET " + path, Header: header, Code: code}
	}
	c.provoke(
		t, w,
		tag("half a body", "rest.malformed", `{"name":"Sea`),
		tag("no body", "rest.malformed", ""),
		tag("a list", "rest.invalid", `["Sea"]`),
		tag("something behind it", "rest.malformed", `{"name":"Sea"}{"name":"Ebb"}`),
		tag("one name twice", "rest.malformed", `{"name":"Sea","name":"Ebb"}`),
		tag("bad UTF-8", "rest.malformed", "{\"name\":\"S\xffa\"}"),
		tag("NUL", "rest.malformed", `{"name":"S\u0000a"}`),
		tag("a lone surrogate", "rest.malformed", `{"name":"\ud800"}`),
		tag("very deep", "rest.malformed", `{"name":`+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)+`}`),
		tag("a wrong type", "rest.invalid", `{"name":7}`),
		tag("null", "rest.invalid", `{"name":null}`),
		tag("an unknown field", "rest.invalid", `{"name":"Sea","colour":"blue"}`),
		tag("in other letters", "rest.invalid", `{"Name":"Sea"}`),
		tag("nothing but spaces", "rest.invalid", `{"name":"  "}`),
		tag("a slug that is none", "rest.invalid", `{"name":"Sea","slug":"../sea"}`),
		tag("too much", "rest.body_too_large", `{"name":"`+large(1<<20)+`"}`),
		tag("a form", "rest.unsupported_media_type", "name=Sea", "Content-Type", "application/x-www-form-urlencoded"),
		tag("another encoding", "rest.unsupported_media_type", `{"name":"Sea"}`, "Content-Type", "application/json; charset=latin1"),
		tag("HTML, please", "rest.not_acceptable", `{"name":"Sea"}`, "Accept", "text/html"),
		tag("anything but JSON", "rest.not_acceptable", `{"name":"Sea"}`, "Accept", "application/json;q=0, image/png"),
		step{
			Name: "larger than an event may be", By: ada, Do: "POST /api/v1/posts", Body: `{"title":"T","tags":["` + large(1<<20) + `"]}`,
			Code: "rest.too_large",
		},
		step{Name: "a body where none belongs", By: ada, Do: "POST /api/v1/posts/{post}/archive", Body: `{"why":"old"}`, Code: "rest.invalid"},
		get("NUL in the path", "rest.malformed", "/api/v1/tags/%00"),
		get("bad UTF-8 in the path", "rest.malformed", "/api/v1/tags/%ff"),
		get("bad UTF-8 in the query", "rest.malformed", "/api/v1/posts?category=%ff"),
		get("half an escape in the query", "rest.malformed", "/api/v1/posts?category=%f"),
		get("no UUID", "rest.invalid", "/api/v1/posts/7"),
		get("an unknown parameter", "rest.invalid", "/api/v1/posts?page=2"),
		get("too many", "rest.invalid", "/api/v1/posts?limit=101"),
		get("none", "rest.invalid", "/api/v1/posts?limit=0"),
		get("a status that is none", "rest.invalid", "/api/v1/posts?status=lost"),
		get("version zero", "rest.invalid", "/api/v1/posts/{post}/versions/0"),
		get("a position that is none", "rest.invalid", "/api/v1/posts", "At-Least", "42, please"),
		get("no such path", "rest.no_route", "/api/v2/posts"),
		step{Name: "no such method", By: ada, Do: "PATCH /api/v1/posts/{post}", Body: `{"title":"T"}`, Code: "rest.method_not_allowed"},
	)
}

// conditions are requests that were right once, or for something else.
func conditions(t *testing.T, c *catalogue) {
	w := start(t, nil)
	w.furnish(t)
	edit := func(name, code string, header ...string) step {
		return step{Name: name, By: ada, Do: "PUT /api/v1/posts/{post}", Body: `{"title":"T","body":"b"}`, Header: header, Code: code}
	}
	keyed := func(name, code, key, body string) step {
		return step{Name: name, By: ada, Do: "POST /api/v1/tags", Body: body, Header: []string{"Idempotency-Key", key}, Code: code}
	}
	first := keyed("a key", "", "k1", `{"name":"Sea"}`)
	first.Status, first.Events = 201, "postal.tag.created"
	w.tell(
		t, first,
		step{Name: "a page", By: ada, Do: "GET /api/v1/tags?limit=1", Status: 200, Save: "next=next"},
		step{
			Name: "a new slug", By: ada, Do: "PUT /api/v1/posts/{post}", Header: []string{"If-Match", "*"},
			Body: `{"title":"Ebb","slug":"ebb","body":"b"}`, Status: 200, Events: "postal.post.updated",
		},
	)
	w.names["bent"] = "A" + w.names["next"][1:]
	if w.names["bent"] == w.names["next"] {
		w.names["bent"] = "B" + w.names["next"][1:]
	}
	get := func(name, code, path string, header ...string) step {
		return step{Name: name, By: ada, Do: "GET " + path, Header: header, Code: code}
	}
	c.provoke(
		t, w,
		keyed("a key for another body", "rest.key_reused", "k1", `{"name":"Ebb"}`),
		keyed("too long a key", "rest.invalid_key", large(201), `{"name":"Sea"}`),
		keyed("an odd key", "rest.invalid_key", "schlüssel", `{"name":"Sea"}`),
		edit("no If-Match", "rest.if_match_required"),
		edit("If-Match without quotes", "rest.invalid_if_match", "If-Match", "2"),
		edit("a weak ETag", "rest.invalid_if_match", "If-Match", `W/"2"`),
		edit("two ETags", "rest.invalid_if_match", "If-Match", `"2", "3"`),
		edit("an old ETag", "rest.stale", "If-Match", `"2"`),
		edit("one of tomorrow", "rest.stale", "If-Match", `"4"`),
		step{
			Name: "deleted as it was", By: ada, Do: "DELETE /api/v1/posts/{post}", Header: []string{"If-Match", `"1"`}, Code: "rest.stale",
			Want: `{"current_version":3}`,
		},
		get("a bent cursor", "rest.cursor", "/api/v1/tags?limit=1&cursor={bent}"),
		get("half a cursor", "rest.cursor", "/api/v1/tags?cursor=abc"),
		get("a cursor of another list", "rest.cursor", "/api/v1/posts?cursor={next}"),
		step{Name: "a cursor of another tenant", By: hank, Do: "GET /api/v1/tags?limit=1&cursor={next}", Code: "rest.cursor"},
		get("a position of another log", "rest.foreign_position", "/api/v1/tags", "At-Least", "anotherlog-b42"),
		get("the same in the query", "rest.foreign_position", "/api/v1/tags?at_least=anotherlog-b42"),
		get("an old slug", "rest.moved", "/api/v1/posts/slug/tides"),
		get("nothing there", "rest.not_found", "/api/v1/posts/01900000-0000-7000-8000-0000000000aa"),
	)
}
