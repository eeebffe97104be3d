package rest_test

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
)

// secret stands where an answer must not repeat it.
const secret = "hunter2-do-not-echo"

// TestBadInput closes huma's traps: what cannot be read, what does not fit, and that no answer repeats it.
func TestBadInput(t *testing.T) {
	s := server(t)
	post := func(name, body string, status int, code, where string) apitest.Case {
		c := apitest.Case{Name: name, Do: "POST /api/v1/berths", As: "user", Body: body, Status: status, Code: code}
		if where != "" {
			c.Want = `{"errors":[{"location":"` + where + `"}]}`
		}
		return c
	}
	cases := []apitest.Case{
		post("a wrong type", `{"name":{"x":"`+secret+`"}}`, 422, "rest.invalid", "body.name"),
		post("a number where text is", `{"name":12345678987654321}`, 422, "rest.invalid", "body.name"),
		post("text where a number is", `{"name":"n","size":"`+secret+`"}`, 422, "rest.invalid", "body.size"),
		post("too small", `{"name":"n","size":0}`, 422, "rest.invalid", "body.size"),
		post("too long", `{"name":"`+strings.Repeat(secret, 9)+`"}`, 422, "rest.invalid", "body.name"),
		post("a missing field", `{"size":3,"tags":["`+secret+`"]}`, 422, "rest.invalid", "body"),
		post("an unknown field", `{"name":"n","nam":"`+secret+`"}`, 422, "rest.invalid", "body.nam"),
		post("an unknown field within", `{"name":"n","of":{"rope":"r","chain":"`+secret+`"}}`, 422, "rest.invalid", "body.of.chain"),
		post("a field in another case", `{"Name":"n"}`, 422, "rest.invalid", ""),
		post("null where text is", `{"name":null}`, 422, "rest.invalid", "body.name"),
		post("null where a list is needed", `{"name":null,"tags":[]}`, 422, "rest.invalid", "body.name"),
		post("an array where an object is", `["`+secret+`"]`, 422, "rest.invalid", "body"),
		post("no body", ``, 400, "rest.malformed", ""),
		post("no JSON", `name=`+secret, 400, "rest.malformed", "body"),
		post("half a JSON", `{"name":"`+secret, 400, "rest.malformed", ""),
		post("something after it", `{"name":"n"} {"name":"`+secret+`"}`, 400, "rest.malformed", "body"),
		post("a name twice", `{"name":"`+secret+`","name":"n"}`, 400, "rest.malformed", "body.name"),
		post("bad UTF-8", "{\"name\":\"\xff"+secret+"\"}", 400, "rest.malformed", "body.name"),
		post("half a surrogate", `{"name":"\ud800"}`, 400, "rest.malformed", "body.name"),
		post("an escaped NUL", `{"name":"a\u0000`+secret+`"}`, 400, "rest.malformed", "body.name"),
		post("an escaped NUL in a list", `{"name":"n","tags":["x","\u0000"]}`, 400, "rest.malformed", "body.tags.1"),
		post("a raw NUL", "{\"name\":\"\x00\"}", 400, "rest.malformed", ""),
		post("deep", strings.Repeat("[", 100)+strings.Repeat("]", 100), 400, "rest.malformed", ""),
		post("no NUL, only its name", `{"name":"\\u0000"}`, 201, "", ""),
		post("oversize", `{"name":"`+strings.Repeat("x", 1<<20)+`"}`, 413, "rest.body_too_large", ""),
		{Name: "a form", Do: "POST /api/v1/berths", As: "user", Body: "name=" + secret, Header: h("Content-Type", "application/x-www-form-urlencoded"), Status: 415, Code: "rest.unsupported_media_type"},
		{Name: "no content type", Do: "POST /api/v1/berths", As: "user", Body: `{"name":"n"}`, Header: h("Content-Type", ""), Status: 415, Code: "rest.unsupported_media_type"},
		{Name: "another charset", Do: "POST /api/v1/berths", As: "user", Body: `{"name":"n"}`, Header: h("Content-Type", "application/json; charset=latin1"), Status: 415},
		{Name: "answers are JSON", Do: "GET /api/v1/berths", Header: h("Accept", "text/csv"), Status: 406, Code: "rest.not_acceptable"},
		{Name: "a browser takes anything", Do: "GET /api/v1/berths", Header: h("Accept", "text/html,application/xml;q=0.9,*/*;q=0.8"), Status: 200},
		{Name: "an unknown parameter", Do: "GET /api/v1/berths?nam=" + secret, Status: 422, Code: "rest.invalid", Want: `{"errors":[{"location":"query.nam"}]}`},
		{Name: "a parameter of a wrong type", Do: "GET /api/v1/berths?limit=" + secret, Status: 422, Code: "rest.invalid", Want: `{"errors":[{"location":"query.limit"}]}`},
		{Name: "too many at once", Do: "GET /api/v1/berths?limit=101", Status: 422, Code: "rest.invalid"},
		{Name: "a word that is not in the list", Do: "GET /api/v1/berths?sort=" + secret, Status: 422, Code: "rest.invalid"},
		{Name: "a bad id", Do: "GET /api/v1/berths/" + secret, Status: 422, Code: "rest.invalid", Want: `{"errors":[{"location":"path.id"}]}`},
		{Name: "NUL in a parameter", Do: "GET /api/v1/berths?name=a%00" + secret, Status: 400, Code: "rest.malformed", Want: `{"errors":[{"location":"query.name"}]}`},
		{Name: "bad UTF-8 in a parameter", Do: "GET /api/v1/berths?name=%ff" + secret, Status: 400, Code: "rest.malformed"},
		{Name: "bad UTF-8 in the path", Do: "GET /api/v1/berths/%ff", Status: 400, Code: "rest.malformed", Want: `{"errors":[{"location":"path"}]}`},
		{Name: "a broken query", Do: "GET /api/v1/berths?name=%zz", Status: 400, Code: "rest.malformed"},
		{Name: "no such path", Do: "GET /api/v1/nothing", Status: 404, Code: "rest.no_route"},
		{Name: "no such method", Do: "PATCH /api/v1/berths", Status: 405, Code: "rest.method_not_allowed"},
	}
	for i := range cases {
		if cases[i].Status == 201 {
			cases[i].Events = []string{"harbour.berth.opened"}
		}
	}
	s.Run(t, cases)
	for _, c := range cases {
		a := s.Do(t, c)
		if strings.Contains(string(a.Body), secret) && !strings.Contains(c.Do, "/berths/"+secret) { // instance is the path
			t.Errorf("%s: the answer repeats what was sent: %s", c.Name, a.Body)
		}
		if a.Status >= 400 && a.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: answered as %s", c.Name, a.Header.Get("Content-Type"))
		}
		if a.Status >= 400 {
			p := a.JSON(t)
			if p["type"] != "/problems/"+a.Code() || p["status"] != float64(a.Status) || len(p["trace_id"].(string)) != 32 || p["title"] != http.StatusText(a.Status) || p["detail"] == "" {
				t.Errorf("%s: not a whole problem: %s", c.Name, a.Body)
			}
		}
	}
}

func TestFailuresShowNothing(t *testing.T) {
	s := server(t)
	for _, how := range []string{"panic", "error"} {
		a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths/break?how=" + how})
		if a.Status != 500 || a.Code() != "rest.internal" || strings.Contains(string(a.Body), "secret") {
			t.Errorf("%s: %d %s", how, a.Status, a.Body)
		}
	}
	a := s.Do(t, apitest.Case{Do: "GET /api/v1/berths/break?how=moved"})
	if a.Status != 301 || a.Header.Get("Location") != "/api/v1/berths" {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}

func TestBodyCapOfARoute(t *testing.T) {
	s := apitest.New(t, apitest.Setup{Routes: []func(*rest.API){func(api *rest.API) {
		rest.Create[OpenBerth](rest.Over(api, "/api/v1/berths", berths, rest.MaxBody(2<<20)), "user")
	}}})
	body := `{"name":"n","tags":["` + strings.Repeat("x", 3<<19) + `"]}`
	if a := s.Do(t, apitest.Case{Do: "POST /api/v1/berths", As: "user", Body: body}); a.Status != 201 {
		t.Errorf("1.5 MiB of 2: %d %s", a.Status, a.Body)
	}
	body = `{"name":"n","tags":["` + strings.Repeat("x", 2<<20) + `"]}`
	if a := s.Do(t, apitest.Case{Do: "POST /api/v1/berths", As: "user", Body: body}); a.Status != 413 || a.JSON(t)["limit"] != float64(2<<20) {
		t.Errorf("2 MiB and more: %d %s", a.Status, a.Body)
	}
}

type uploadInput struct {
	RawBody huma.MultipartFormFiles[struct {
		File huma.FormFile `form:"file"`
		Note huma.FormFile `form:"note" required:"false"`
	}]
}

type uploadAnswer struct {
	Body struct {
		Bytes int `json:"bytes"`
	}
}

// TestUploads: the cap holds for multipart too, an optional part may be left out, and no part's type is believed.
func TestUploads(t *testing.T) {
	s := apitest.New(t, apitest.Setup{Routes: []func(*rest.API){func(api *rest.API) {
		rest.Do(api, http.MethodPost, "/api/v1/charts", "user", "UploadChart", func(_ context.Context, _ rest.Caller, in *uploadInput) (*uploadAnswer, error) {
			data, err := io.ReadAll(in.RawBody.Data().File)
			out := &uploadAnswer{}
			out.Body.Bytes = len(data)
			return out, err
		}, rest.Tag("harbour"), rest.MaxBody(64<<10))
	}}})
	upload := func(size int) apitest.Answer {
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		w, _ := form.CreateFormFile("file", "chart.csv")
		_, _ = w.Write(bytes.Repeat([]byte("x"), size))
		_ = form.Close()
		return s.Do(t, apitest.Case{Do: "POST /api/v1/charts", As: "user", Body: b.Bytes(), Header: h("Content-Type", form.FormDataContentType())})
	}
	if a := upload(60 << 10); a.Status != 200 || a.JSON(t)["bytes"] != float64(60<<10) {
		t.Errorf("within the cap: %d %s", a.Status, a.Body)
	}
	if a := upload(65 << 10); a.Status != 413 || a.Code() != "rest.body_too_large" {
		t.Errorf("beyond the cap: %d %s", a.Status, a.Body)
	}
	defer func() {
		if recover() == nil {
			t.Error("a believed content type does not panic")
		}
	}()
	type trusting struct {
		RawBody huma.MultipartFormFiles[struct {
			File huma.FormFile `form:"file" contentType:"image/png"`
		}]
	}
	rest.Do(rest.New(rest.Config{}), http.MethodPost, "/api/v1/charts", "user", "UploadChart", func(context.Context, rest.Caller, *trusting) (*uploadAnswer, error) { return nil, nil }, rest.Tag("x"))
}
