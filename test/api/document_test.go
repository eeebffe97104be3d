package api

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/bgce/archive/platform/rest"
)

// operation is what the document says of one.
type operation struct {
	ID         string `json:"operationId"`
	Parameters []struct {
		Name     string `json:"name"`
		In       string `json:"in"`
		Required bool   `json:"required"`
		Example  any    `json:"example"`
	} `json:"parameters"`
	RequestBody struct {
		Content map[string]content `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Content map[string]content `json:"content"`
	} `json:"responses"`
}

type content struct {
	Example any `json:"example"`
}

// TestTheDocumentShowsEveryExample holds /openapi.json against schemas/examples.json: it shows them, and they fit its own schemas.
func TestTheDocumentShowsEveryExample(t *testing.T) {
	text, err := os.ReadFile(examplesFile)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]example
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	api := rest.New(rest.Config{Examples: text})
	setup(nil).Routes[0](api)
	document, err := api.OpenAPI()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Paths map[string]map[string]operation `json:"paths"`
	}
	if err := json.Unmarshal(document, &doc); err != nil {
		t.Fatal(err)
	}
	contract := compile(t, document)
	for path, methods := range doc.Paths {
		for method, op := range methods {
			x, known := all[op.ID]
			delete(all, op.ID)
			if !known || strings.ToUpper(method) != x.Method {
				t.Errorf("no example of %s %s", method, path)
				continue
			}
			t.Run(op.ID, func(t *testing.T) {
				op.shows(t, path, x)
				at := []string{"paths", path, method}
				contract.fits(t, x.Request, append(slices.Clip(at), "requestBody")...)
				contract.fits(t, x.Response, append(slices.Clip(at), "responses", strconv.Itoa(x.Status))...)
			})
		}
	}
	if len(all) > 0 {
		t.Errorf("examples of what is not there: %v", slices.Sorted(maps.Keys(all)))
	}
}

func (op operation) shows(t *testing.T, path string, x example) {
	t.Helper()
	if got := op.RequestBody.Content["application/json"].Example; !reflect.DeepEqual(got, x.Request) {
		t.Errorf("request %v, want %v", got, x.Request)
	}
	if got := op.Responses[strconv.Itoa(x.Status)].Content["application/json"].Example; !reflect.DeepEqual(got, x.Response) {
		t.Errorf("answer %v, want %v", got, x.Response)
	}
	var query []string
	for _, p := range op.Parameters {
		value, _ := p.Example.(string)
		if n, ok := p.Example.(float64); ok {
			value = strconv.Itoa(int(n))
		}
		switch {
		case p.Required && value == "":
			t.Errorf("%s %s has no example", p.In, p.Name)
		case p.In == "path":
			path = strings.Replace(path, "{"+p.Name+"}", value, 1)
		case p.In == "query" && value != "":
			query = append(query, p.Name+"="+value)
		case p.In == "header" && value != x.Headers[p.Name]:
			t.Errorf("header %s: %q, want %q", p.Name, value, x.Headers[p.Name])
		}
	}
	want, asked, _ := strings.Cut(x.Path, "?")
	slices.Sort(query)
	given := slices.Sorted(strings.FieldsFuncSeq(asked, func(r rune) bool { return r == '&' }))
	if path != want || !slices.Equal(query, given) {
		t.Errorf("path %s and %v, want %s", path, query, x.Path)
	}
}

// contract is the document's schemas.
type contract struct{ *jsonschema.Compiler }

func compile(t *testing.T, document []byte) contract {
	t.Helper()
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("file:///openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	return contract{c}
}

func (s contract) fits(t *testing.T, value any, at ...string) {
	t.Helper()
	if value == nil {
		return
	}
	pointer := "file:///openapi.json#"
	for _, word := range append(at, "content", "application/json", "schema") {
		pointer += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(word)
	}
	schema, err := s.Compile(pointer)
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%v: %v", at, err)
	}
}
