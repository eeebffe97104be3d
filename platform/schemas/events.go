// Package schemas turns stored event types into JSON Schema files and says which changes to them would break a reader.
package schemas

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

// Events gives a file per event type and schema version: "room.thing.done.v1.json" → JSON Schema of the payload as a reader sees it,
// personal fields opened and marked x-personal.
func Events(categories ...es.Kinds) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, c := range categories {
		for _, k := range c.Kinds() {
			for i, t := range append(slices.Clone(k.Older), k.Go) {
				name := fmt.Sprintf("%s.v%d", k.Type, i+1)
				if files[name+".json"] != nil {
					return nil, fmt.Errorf("schemas: %s is defined twice", name)
				}
				text, err := payload(name, t)
				if err != nil {
					return nil, fmt.Errorf("schemas: %s: %w", name, err)
				}
				files[name+".json"] = text
			}
		}
	}
	return files, nil
}

func payload(name string, t reflect.Type) ([]byte, error) {
	registry := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	registry.RegisterTypeAlias(reflect.TypeFor[es.Text](), reflect.TypeFor[text]())
	registry.RegisterTypeAlias(reflect.TypeFor[uuid.UUID](), reflect.TypeFor[id]())
	text, err := json.Marshal(huma.SchemaFromType(registry, t))
	if err != nil {
		return nil, err
	}
	var schema map[string]any
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	defs := map[string]any{}
	for name, def := range registry.Map() {
		text, err := json.Marshal(def)
		if err != nil {
			return nil, err
		}
		var value map[string]any
		if err := json.Unmarshal(text, &value); err != nil {
			return nil, err
		}
		tidy(value)
		defs[name] = value
	}
	tidy(schema)
	mark(schema, t)
	if len(defs) > 0 {
		schema["$defs"] = defs
	}
	schema["$schema"], schema["$id"], schema["title"] = dialect, name, name
	return Indent(schema)
}

// text is how an es.Text is stored: as it is, or its hash and size when it is large.
type text struct{}

func (text) Schema(huma.Registry) *huma.Schema {
	ref := &huma.Schema{
		Type: huma.TypeObject, Required: []string{"sha256", "size"},
		Properties: map[string]*huma.Schema{
			"sha256": {Type: huma.TypeString, Pattern: "^[0-9a-f]{64}$"},
			"size":   {Type: huma.TypeInteger, Description: "bytes"},
		},
	}
	return &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, ref}}
}

// id is a UUID.
type id struct{}

func (id) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

// tidy takes out what does not hold for stored events: readers ignore members they do not know, and lists are never null.
func tidy(node any) {
	switch node := node.(type) {
	case map[string]any:
		if node["additionalProperties"] == false {
			delete(node, "additionalProperties")
		}
		if types, ok := node["type"].([]any); ok && slices.Contains(types, any("array")) {
			node["type"] = "array"
		}
		for _, child := range node {
			tidy(child)
		}
	case []any:
		for _, child := range node {
			tidy(child)
		}
	}
}

func mark(schema map[string]any, t reflect.Type) {
	properties, _ := schema["properties"].(map[string]any)
	for field := range t.Fields() {
		if _, personal := field.Tag.Lookup("pii"); personal {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if property, ok := properties[name].(map[string]any); ok {
				property["x-personal"] = true
			}
		}
	}
}

// Indent is how every generated JSON file is written: sorted members, tabs, a final newline.
func Indent(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "\t")
	return append(text, '\n'), err
}
