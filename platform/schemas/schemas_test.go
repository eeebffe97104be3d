package schemas

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
)

type lamp struct{}

type place struct {
	City string `json:"city"`
}

type lit struct {
	By    uuid.UUID `json:"by"`
	At    time.Time `json:"at"`
	Note  es.Text   `json:"note,omitzero"`
	Owner string    `json:"owner,omitempty" pii:"name"`
	Tags  []string  `json:"tags"`
	Where place     `json:"where"`
}

func (lit) Evolve(*lamp) {}

type litV1 struct {
	By uuid.UUID `json:"by"`
}

func TestEvents(t *testing.T) {
	lamps := es.Define[lamp]("house.lamp", es.On[lit]("lit", es.From(func(v litV1) lit { return lit{By: v.By} })))
	files, err := Events(lamps)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
	"$id": "house.lamp.lit.v1",
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"properties": {
		"by": {
			"format": "uuid",
			"type": "string"
		}
	},
	"required": [
		"by"
	],
	"title": "house.lamp.lit.v1",
	"type": "object"
}
`
	if diff := cmp.Diff(want, string(files["house.lamp.lit.v1.json"])); diff != "" {
		t.Error(diff)
	}
	var v2 struct {
		Required   []string
		Properties map[string]map[string]any
		Defs       map[string]any `json:"$defs"`
	}
	if err := json.Unmarshal(files["house.lamp.lit.v2.json"], &v2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"by", "at", "tags", "where"}, v2.Required); diff != "" {
		t.Error(diff)
	}
	if v2.Properties["owner"]["x-personal"] != true || v2.Properties["by"]["x-personal"] != nil {
		t.Errorf("personal fields: %v", v2.Properties)
	}
	if v2.Properties["note"]["oneOf"] == nil || v2.Properties["tags"]["type"] != "array" || v2.Properties["where"]["$ref"] == nil || len(v2.Defs) == 0 {
		t.Errorf("properties: %v, $defs: %v", v2.Properties, v2.Defs)
	}
	if len(files) != 2 {
		t.Errorf("%d files, want 2", len(files))
	}
	if _, err := Events(lamps, lamps); err == nil || !strings.Contains(err.Error(), "defined twice") {
		t.Errorf("the same category twice: %v", err)
	}
}

func TestBreaking(t *testing.T) {
	const before = `{"title":"x","type":"object","properties":{"a":{"type":"string"},"b":{"type":"integer"},"p":{"$ref":"#/$defs/P"},"l":{"type":"array","items":{"type":"string"}}},` +
		`"required":["a"],"$defs":{"P":{"type":"object","properties":{"city":{"type":"string"},"p":{"$ref":"#/$defs/P"}},"required":["city"]}}}`
	change := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(before) }
	cases := map[string]struct {
		now  string
		want []string
	}{
		"nothing":               {now: before},
		"another title":         {now: change(`"title":"x"`, `"title":"y"`)},
		"a new optional member": {now: change(`"b":{"type":"integer"}`, `"b":{"type":"integer"},"c":{"type":"string"}`)},
		"a definition renamed":  {now: change(`#/$defs/P`, `#/$defs/Q`, `"P":{`, `"Q":{`)},
		"a new required member": {
			now:  change(`"b":{"type":"integer"}`, `"b":{"type":"integer"},"c":{"type":"string"}`, `"required":["a"]`, `"required":["a","c"]`),
			want: []string{"e.c is required now: stored events may lack it"},
		},
		"a member gone":            {now: change(`"b":{"type":"integer"},`, ``), want: []string{"e.b is gone"}},
		"a member renamed":         {now: change(`"b":{`, `"bb":{`), want: []string{"e.b is gone"}},
		"another type":             {now: change(`"integer"`, `"number"`), want: []string{`e.b: type was "integer", is "number"`}},
		"optional now":             {now: change(`"required":["a"]`, `"required":[]`), want: []string{"e.a is optional now: readers rely on it"}},
		"an enum":                  {now: change(`"b":{"type":"integer"}`, `"b":{"type":"integer","enum":[1]}`), want: []string{"e.b: enum was not set, is [1]"}},
		"personal now":             {now: change(`"a":{`, `"a":{"x-personal":true,`), want: []string{"e.a: x-personal was not set, is true"}},
		"items of another type":    {now: change(`"items":{"type":"string"}`, `"items":{"type":"integer"}`), want: []string{`e.l[]: type was "string", is "integer"`}},
		"deep in a definition":     {now: change(`"city":{"type":"string"}`, `"city":{"type":"object"}`), want: []string{`e.p.city: type was "string", is "object"`}},
		"a definition that is not": {now: change(`"$defs":{"P"`, `"$defs":{"Q"`), want: []string{`e.p: $ref to nothing was not set, is "#/$defs/P"`, "e.p: type was \"object\", is not set", "e.p.city is gone", "e.p.p is gone", "e.p.city is optional now: readers rely on it"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Breaking(map[string][]byte{"e.json": []byte(before)}, map[string][]byte{"e.json": []byte(c.now)})
			if err != nil {
				t.Fatal(err)
			}
			less := func(s []string) map[string]bool {
				set := map[string]bool{}
				for _, x := range s {
					set[x] = true
				}
				return set
			}
			if diff := cmp.Diff(less(c.want), less(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
	got, err := Breaking(map[string][]byte{"e.v1.json": []byte(before)}, map[string][]byte{"e.v2.json": []byte(before)})
	if want := []string{"e.v1 is gone: stored events keep their type and version for ever"}; err != nil || !cmp.Equal(want, got) {
		t.Errorf("a type gone: %v, %v", got, err)
	}
}
