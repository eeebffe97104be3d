// Package conventions holds an OpenAPI document against the rules of the house.
package conventions

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	idForm       = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
	segmentForm  = regexp.MustCompile(`^(\{[a-z][a-z0-9_]*\}|[a-z0-9][a-z0-9._-]*)$`)
	propertyForm = regexp.MustCompile(`^\$?[a-z][a-z0-9_]*$`)
)

// words are the permission words.
var words = []string{"public", "user", "viewer", "editor", "admin", "platform", "owner", "employer", "evaluator", "service"}

type docSchema struct {
	Ref        string                `json:"$ref"`
	Type       any                   `json:"type"`
	Properties map[string]*docSchema `json:"properties"`
	Items      *docSchema            `json:"items"`
	Default    any                   `json:"default"`
	Maximum    *float64              `json:"maximum"`
	Closed     any                   `json:"additionalProperties"`
}

type docParam struct {
	Name     string     `json:"name"`
	In       string     `json:"in"`
	Required bool       `json:"required"`
	Schema   *docSchema `json:"schema"`
}

type docContent map[string]struct {
	Schema *docSchema `json:"schema"`
}

type docOperation struct {
	ID          string                `json:"operationId"`
	Summary     string                `json:"summary"`
	Tags        []string              `json:"tags"`
	Who         string                `json:"x-permission"`
	Security    []map[string][]string `json:"security"`
	Parameters  []docParam            `json:"parameters"`
	RequestBody *struct {
		Content docContent `json:"content"`
	} `json:"requestBody"`
	Responses map[string]struct {
		Headers map[string]any `json:"headers"`
		Content docContent     `json:"content"`
	} `json:"responses"`
}

type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]*docSchema `json:"schemas"`
	} `json:"components"`
	found []string
}

// Check walks an OpenAPI document and says, one line each, what breaks the house's conventions; none is a good document.
func Check(doc []byte) []string {
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		return []string{"not a document: " + err.Error()}
	}
	ids := map[string]string{}
	for path, methods := range d.Paths {
		for method, raw := range methods {
			var op docOperation
			where := strings.ToUpper(method) + " " + path
			if err := json.Unmarshal(raw, &op); err != nil {
				d.complainf(where, "unreadable: %v", err)
				continue
			}
			if other, twice := ids[op.ID]; twice {
				d.complainf(where, "shares its operationId with %s", other)
			}
			ids[op.ID] = where
			d.operation(where, method, path, op)
		}
	}
	for name, s := range d.Components.Schemas {
		for property := range s.Properties {
			if !propertyForm.MatchString(property) {
				d.complainf("schema "+name, "property %s is not snake_case", property)
			}
		}
	}
	slices.Sort(d.found)
	return d.found
}

func (d *document) complainf(where, format string, args ...any) {
	d.found = append(d.found, where+": "+fmt.Sprintf(format, args...))
}

func (d *document) operation(where, method, path string, op docOperation) {
	if !idForm.MatchString(op.ID) || len(op.Tags) != 1 || !strings.HasPrefix(op.ID, op.Tags[0]+"-") {
		d.complainf(where, "operationId %q is not {tag}-{kebab} of its only tag %v", op.ID, op.Tags)
	}
	if op.Summary == "" || strings.ToUpper(op.Summary[:1]) != op.Summary[:1] {
		d.complainf(where, "summary %q is not a sentence", op.Summary)
	}
	for segment := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if !segmentForm.MatchString(segment) {
			d.complainf(where, "path segment %q is neither lower case nor {snake_case}", segment)
		}
	}
	d.permission(where, op)
	if c, ok := op.Responses["default"]; !ok || c.Content["application/problem+json"].Schema == nil {
		d.complainf(where, "no problem as default response")
	}
	d.parameters(where, path, op)
	if method == "get" {
		d.question(where, op)
	} else {
		d.command(where, method, op)
	}
}

func (d *document) permission(where string, op docOperation) {
	if op.Who == "" {
		d.complainf(where, "no x-permission")
	}
	public := false
	for word := range strings.SplitSeq(op.Who, "|") {
		if !slices.Contains(words, word) {
			d.complainf(where, "%q is not a permission word", word)
		}
		public = public || word == "public"
	}
	anonymous := slices.ContainsFunc(op.Security, func(s map[string][]string) bool { return len(s) == 0 })
	bearer := slices.ContainsFunc(op.Security, func(s map[string][]string) bool { _, ok := s["bearer"]; return ok })
	if !bearer || anonymous != public {
		d.complainf(where, "security does not say what x-permission %q does", op.Who)
	}
}

func (d *document) parameters(where, path string, op docOperation) {
	inPath := []string{}
	for _, p := range op.Parameters {
		switch p.In {
		case "path":
			inPath = append(inPath, p.Name)
			fallthrough
		case "query":
			if !propertyForm.MatchString(p.Name) {
				d.complainf(where, "parameter %s is not snake_case", p.Name)
			}
		}
		if p.Schema == nil {
			d.complainf(where, "parameter %s has no schema", p.Name)
		}
	}
	want := parameters(path)
	slices.Sort(inPath)
	slices.Sort(want)
	if !slices.Equal(inPath, want) {
		d.complainf(where, "path has %v, parameters say %v", want, inPath)
	}
}

func (op docOperation) param(in, name string) *docParam {
	for i := range op.Parameters {
		if op.Parameters[i].In == in && op.Parameters[i].Name == name {
			return &op.Parameters[i]
		}
	}
	return nil
}

func (d *document) question(where string, op docOperation) {
	if op.RequestBody != nil {
		d.complainf(where, "a question has a body")
	}
	answer, ok := op.Responses["200"]
	if !ok {
		d.complainf(where, "no 200")
		return
	}
	s := d.resolve(answer.Content["application/json"].Schema)
	if s == nil || s.Properties["items"] == nil {
		return
	}
	items := s.Properties["items"]
	if items.Type != "array" {
		d.complainf(where, "items is not an array")
	}
	limit := op.param("query", "limit")
	if limit == nil {
		return // a list that is always whole
	}
	if limit.Schema == nil || limit.Schema.Default != float64(20) || limit.Schema.Maximum == nil || *limit.Schema.Maximum != 100 {
		d.complainf(where, "limit is not 20 by default and 100 at most")
	}
	if op.param("query", "cursor") == nil || s.Properties["next"] == nil {
		d.complainf(where, "a paged list without cursor and next")
	}
	for _, total := range []string{"total", "count", "total_count"} {
		if s.Properties[total] != nil {
			d.complainf(where, "a list has no totals, but this has %s", total)
		}
	}
}

func (d *document) command(where, method string, op docOperation) {
	if op.RequestBody != nil {
		if s := d.resolve(op.RequestBody.Content["application/json"].Schema); s != nil && s.Properties != nil && s.Closed != false {
			d.complainf(where, "the body takes unknown fields")
		}
	}
	if op.Responses["204"].Content != nil {
		d.complainf(where, "204 carries a body")
	}
	key := op.param("header", "Idempotency-Key")
	if key == nil {
		return // no aggregate's command: logging in and the like
	}
	status := "200"
	if op.param("header", "If-Match") == nil {
		status = "201"
	}
	answer, ok := op.Responses[status]
	if !ok {
		d.complainf(where, "no %s", status)
	}
	for _, h := range []string{"ETag", "Location", "Position"} {
		if _, ok := answer.Headers[h]; !ok {
			d.complainf(where, "%s without header %s", status, h)
		}
	}
	if m := op.param("header", "If-Match"); method == "put" && (m == nil || !m.Required) {
		d.complainf(where, "PUT does not require If-Match")
	}
	if s := d.resolve(answer.Content["application/json"].Schema); s == nil || s.Properties["id"] == nil || s.Properties["version"] == nil || s.Properties["position"] == nil {
		d.complainf(where, "the answer is not {id, version, position}")
	}
}

func (d *document) resolve(s *docSchema) *docSchema {
	for s != nil && s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

// parameters lists the {names} of a path.
func parameters(path string) []string {
	names := []string{}
	for _, part := range strings.Split(path, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		names = append(names, name)
	}
	return names
}
