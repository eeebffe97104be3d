package rest

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
)

// micros is RFC 3339 in UTC with microseconds, always the same width.
const micros = "2006-01-02T15:04:05.000000Z"

// out writes answers: lists are never null, times are UTC microseconds, omitempty means what it does in encoding/json.
var out = json.JoinOptions(
	jsonv1.OmitEmptyWithLegacySemantics(true),
	json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, t time.Time) error {
		return enc.WriteToken(jsontext.String(t.UTC().Format(micros)))
	})),
)

// wire is the JSON of bodies both ways. What comes in was checked by checkJSON already.
var wire = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		if p, ok := v.(*Problem); ok {
			data, err := p.MarshalJSON()
			if err != nil {
				return err
			}
			_, err = w.Write(data)
			return err
		}
		return json.MarshalWrite(w, v, out)
	},
	Unmarshal: func(data []byte, v any) error {
		err := json.Unmarshal(data, v)
		var semantic *json.SemanticError
		if errors.As(err, &semantic) {
			return fmt.Errorf("%s does not fit", place(semantic.JSONPointer))
		}
		if err != nil {
			return errors.New("not readable")
		}
		return nil
	},
}

const schemaPrefix = "#/components/schemas/"

func humaConfig(title, version string) huma.Config {
	registry := huma.NewMapRegistry(schemaPrefix, newNamer())
	registry.RegisterTypeAlias(reflect.TypeFor[uuid.UUID](), reflect.TypeFor[uuidText]())
	registry.RegisterTypeAlias(reflect.TypeFor[es.Text](), reflect.TypeFor[string]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: title, Version: version,
				Description: "Writes answer `{id, version, position}`; send `position` as `At-Least` to read your own write. Refusals are problems (RFC 9457)."},
			Components: &huma.Components{
				Schemas:         registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": wire, "json": wire},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// uuidText gives UUIDs their format in the document.
type uuidText string

// Schema describes a UUID.
func (uuidText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}

// newNamer names schemas room + type, also inside generics: PostView of room postal is PostalPostView, a list of it ListPostalPostView.
func newNamer() func(reflect.Type, string) string {
	taken := map[string]reflect.Type{}
	return func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if t.Name() == "" {
			return huma.DefaultSchemaNamer(t, hint)
		}
		name := schemaName(t.PkgPath()+"."+t.Name(), "")
		if other, ok := taken[name]; ok && other != t {
			name = schemaName(t.PkgPath()+"."+t.Name(), layerOf(t.PkgPath()))
		}
		taken[name] = t
		return name
	}
}

func schemaName(full, layer string) string {
	var b strings.Builder
	for _, part := range strings.FieldsFunc(full, func(r rune) bool { return strings.ContainsRune("[]*,", r) }) {
		pkg, typ := "", part
		if i := strings.LastIndexByte(part, '.'); i >= 0 {
			pkg, typ = part[:i], part[i+1:]
		}
		room := roomOf(pkg)
		if room != "" && !strings.HasPrefix(strings.ToLower(typ), room) {
			b.WriteString(upper(room))
		}
		b.WriteString(upper(layer) + upper(typ))
		layer = ""
	}
	return b.String()
}

// roomOf is the last word of a package path, "" for the platform's own packages and the language's.
func roomOf(pkg string) string {
	if strings.Contains(pkg, "/platform/") && !strings.HasSuffix(pkg, "_test") || !strings.Contains(pkg, "/") {
		return ""
	}
	return strings.TrimSuffix(pkg[strings.LastIndexByte(pkg, '/')+1:], "_test")
}

// layerOf is the last but one word: two types of one room with one name are told apart by it.
func layerOf(pkg string) string {
	words := strings.Split(pkg, "/")
	if len(words) < 2 {
		return ""
	}
	return words[len(words)-2]
}

func upper(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// kebab writes PublishPost as publish-post and JWKSKeys as jwks-keys.
func kebab(name string) string { return split(name, "-") }

// sentence writes PublishPost as "Publish post".
func sentence(name string) string { return upper(split(name, " ")) }

func split(name, sep string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		capital := r >= 'A' && r <= 'Z'
		if capital && i > 0 {
			before := runes[i-1] < 'A' || runes[i-1] > 'Z'
			after := i+1 < len(runes) && (runes[i+1] < 'A' || runes[i+1] > 'Z')
			if before || after {
				b.WriteString(sep)
			}
		}
		if capital {
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
