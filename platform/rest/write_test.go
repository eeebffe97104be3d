package rest_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/rest/apitest"
)

func TestCommands(t *testing.T) {
	s := server(t)
	none := "/api/v1/berths/" + uuid.NewString()
	s.Run(t, []apitest.Case{
		{Name: "a berth is opened", Do: "POST /api/v1/berths", As: "user", Body: `{"name":"north"}`, Status: 201, Want: `{"version":1}`, Events: []string{"harbour.berth.opened"}, Save: "north"},
		{Name: "it is read at once", Do: "GET /api/v1/berths/{north}", Status: 200, Want: `{"name":"north","version":1}`},
		{Name: "a put without If-Match", Do: "PUT /api/v1/berths/{north}", As: "user", Body: `{"name":"n"}`, Status: 428, Code: "rest.if_match_required"},
		{Name: "a put with a stale version", Do: "PUT /api/v1/berths/{north}", As: "user", Header: h("If-Match", `"7"`), Body: `{"name":"n"}`, Status: 412, Code: "rest.stale", Want: `{"current_version":1}`},
		{Name: "a put with a bad version", Do: "PUT /api/v1/berths/{north}", As: "user", Header: h("If-Match", `1`), Body: `{"name":"n"}`, Status: 422, Code: "rest.invalid_if_match"},
		{Name: "a put", Do: "PUT /api/v1/berths/{north}", As: "user", Header: h("If-Match", `"1"`), Body: `{"name":"south"}`, Status: 200, Want: `{"version":2}`, Events: []string{"harbour.berth.moved"}},
		{Name: "the same put changes nothing", Do: "PUT /api/v1/berths/{north}", As: "user", Header: h("If-Match", `"2"`), Body: `{"name":"south"}`, Status: 200, Want: `{"version":2}`},
		{Name: "a put that overwrites", Do: "PUT /api/v1/berths/{north}", As: "editor", Header: h("If-Match", `*`), Body: `{"name":"west"}`, Status: 200, Want: `{"version":3}`, Events: []string{"harbour.berth.moved"}},
		{Name: "a parameter of the path", Do: "POST /api/v1/berths/{north}/names/4", As: "user", Status: 200, Want: `{"version":4}`, Events: []string{"harbour.berth.moved"}},
		{Name: "it went into the command", Do: "GET /api/v1/berths/{north}", Status: 200, Want: `{"name":"berth 4"}`},
		{Name: "a parameter out of range", Do: "POST /api/v1/berths/{north}/names/10", As: "user", Status: 422, Code: "rest.invalid", Want: `{"errors":[{"location":"path.number"}]}`},
		{Name: "a parameter of a wrong type", Do: "POST /api/v1/berths/{north}/names/x", As: "user", Status: 422, Code: "rest.invalid", Want: `{"errors":[{"location":"path.number"}]}`},
		{Name: "an id that is none", Do: "POST /api/v1/berths/7/close", As: "user", Status: 422, Code: "rest.invalid", Want: `{"errors":[{"location":"path.id"}]}`},
		{Name: "another user may see but not close", Do: "POST /api/v1/berths/{north}/close", As: "other", Status: 403, Code: "rest.forbidden"},
		{Name: "nobody may close", Do: "POST /api/v1/berths/{north}/close", Status: 401, Code: "rest.unauthorized"},
		{Name: "a role that does not do", Do: "POST /api/v1/berths/{north}/copy", As: "viewer", Status: 403, Code: "rest.forbidden"},
		{Name: "a foreign tenant's id", Do: "POST /api/v1/berths/{north}/close", As: "stranger", Status: 404, Code: "rest.not_found"},
		{Name: "a second berth", Do: "POST /api/v1/berths", As: "editor", Body: `{"name":"dry"}`, Status: 201, Save: "dry", Events: []string{"harbour.berth.opened"}},
		{Name: "a command on two", Do: "POST /api/v1/berths/{dry}/copy", As: "editor", Body: `{"from":"{north}"}`, Status: 422, Code: "rest.invalid"},
		{Name: "no body is needed", Do: "POST /api/v1/berths/{north}/close", As: "user", Status: 200, Events: []string{"harbour.berth.closed"}},
		{Name: "an empty body will do", Do: "POST /api/v1/berths/{north}/close", As: "user", Body: `{}`, Status: 200},
		{Name: "but not a full one", Do: "POST /api/v1/berths/{north}/close", As: "user", Body: `{"why":"x"}`, Status: 422, Code: "rest.invalid", Want: `{"errors":[{"location":"body.why"}]}`},
		{Name: "the state forbids", Do: "PUT /api/v1/berths/{north}", As: "user", Header: h("If-Match", "*"), Body: `{"name":"n"}`, Status: 409, Code: "harbour.berth_closed"},
		{Name: "what is not there", Do: "POST " + none + "/close", As: "user", Status: 404, Code: "rest.not_found"},
		{Name: "removed by its owner", Do: "DELETE /api/v1/berths/{north}", As: "user", Status: 200, Events: []string{"harbour.berth.removed"}},
		{Name: "removed again", Do: "DELETE /api/v1/berths/{north}", As: "user", Status: 200},
		{Name: "gone", Do: "GET /api/v1/berths/{north}", Status: 404, Code: "rest.not_found"},
	})
}

func h(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return m
}

func TestCommandOnTwoStreams(t *testing.T) {
	s := server(t)
	north, _ := open(t, s, "editor", "north")
	south, _ := open(t, s, "editor", "south")
	a := s.Do(t, apitest.Case{Do: "POST /api/v1/berths/" + south + "/copy", As: "editor", Body: map[string]any{"from": north}})
	if a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	a = s.Do(t, apitest.Case{Do: "GET /api/v1/berths/" + south, Header: h("At-Least", a.Header.Get("Position"))})
	if a.JSON(t)["name"] != "north" {
		t.Errorf("got %s", a.Body)
	}
}

func TestAnswersOfWrites(t *testing.T) {
	s := server(t)
	a := s.Do(t, apitest.Case{Do: "POST /api/v1/berths", As: "user", Body: `{"name":"north"}`})
	body := a.JSON(t)
	if a.Header.Get("ETag") != `"1"` || a.Header.Get("Location") != "/api/v1/berths/"+body["id"].(string) || a.Header.Get("Position") != body["position"] {
		t.Errorf("headers %v, body %s", a.Header, a.Body)
	}
	if p := a.Header.Get("Position"); !strings.HasPrefix(p, s.Store.LogID()+"-") || len(p) > 64 {
		t.Errorf("position %q does not carry the log's id %s", p, s.Store.LogID())
	}
	if a.JSON(t)["$schema"] != nil || a.Header.Get("Link") != "" {
		t.Error("huma's $schema is there")
	}
}

func TestIdempotencyKey(t *testing.T) {
	s := server(t)
	first := s.Do(t, apitest.Case{Do: "POST /api/v1/berths", As: "user", Header: h("Idempotency-Key", "k 1"), Body: `{"name":"north"}`})
	again := s.Do(t, apitest.Case{Do: "POST /api/v1/berths", As: "user", Header: h("Idempotency-Key", "k 1"), Body: `{"name":"north"}`})
	if first.Status != 201 || again.Status != 201 || string(first.Body) != string(again.Body) {
		t.Errorf("first %s, again %s", first.Body, again.Body)
	}
	id := first.JSON(t)["id"].(string)
	s.Run(t, []apitest.Case{
		{Name: "the key with another body", Do: "POST /api/v1/berths", As: "user", Header: h("Idempotency-Key", "k 1"), Body: `{"name":"south"}`, Status: 422, Code: "rest.key_reused"},
		{Name: "the same key of somebody else is another", Do: "POST /api/v1/berths", As: "other", Header: h("Idempotency-Key", "k 1"), Body: `{"name":"x"}`, Status: 201, Events: []string{"harbour.berth.opened"}},
		{Name: "on one berth", Do: "POST /api/v1/berths/" + id + "/close", As: "editor", Header: h("Idempotency-Key", "k 2"), Status: 200, Events: []string{"harbour.berth.closed"}},
		{Name: "on another berth it is another request", Do: "POST /api/v1/berths/{id}/close", As: "editor", Header: h("Idempotency-Key", "k 2"), Status: 422, Code: "rest.key_reused"},
		{Name: "too long", Do: "POST /api/v1/berths", As: "user", Header: h("Idempotency-Key", strings.Repeat("k", 201)), Body: `{"name":"x"}`, Status: 422, Code: "rest.invalid_key"},
		{Name: "not ASCII", Do: "POST /api/v1/berths", As: "user", Header: h("Idempotency-Key", "schlüssel"), Body: `{"name":"x"}`, Status: 422, Code: "rest.invalid_key"},
	})
}
