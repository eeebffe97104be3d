package wire

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Namer names schemas room + type, also inside generics: View of room harbour is HarbourView, a list of it ListHarbourView.
func Namer() func(reflect.Type, string) string {
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

// Kebab writes PublishPost as publish-post and JWKSKeys as jwks-keys.
func Kebab(name string) string { return split(name, "-") }

// Sentence writes PublishPost as "Publish post".
func Sentence(name string) string { return upper(split(name, " ")) }

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

// MustSniff panics on a file part whose type huma would check: it believes what the client says. Handlers look at the bytes.
func MustSniff(in reflect.Type) {
	raw, ok := in.FieldByName("RawBody")
	if !ok || raw.Type.Kind() != reflect.Struct {
		return
	}
	data, ok := raw.Type.FieldByName("data") // of huma.MultipartFormFiles
	if !ok {
		return
	}
	for _, f := range reflect.VisibleFields(data.Type.Elem()) {
		if f.Tag.Get("contentType") != "" && (f.Type == reflect.TypeFor[huma.FormFile]() || f.Type == reflect.TypeFor[[]huma.FormFile]()) {
			panic(fmt.Sprintf("rest: %s.%s trusts the client's Content-Type; sniff the bytes in the handler instead", data.Type.Elem(), f.Name))
		}
	}
}
