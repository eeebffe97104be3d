// Package house tests the house itself: who imports whom, what is named where, how large things are, what the pages say.
package house

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bgce/archive"

// table says what of ours the files of a place may import; a file's own row is added to its directory's.
// <room> is the same room, * any one; "std" is the pure part of the standard library, "any" is no limit.
var table = map[string]string{
	"domain/<room>":                "platform/es platform/fault platform/eventstore std",
	"domain":                       "domain/* platform/es std",
	"commands/<room>":              "domain/<room> platform/es platform/fault std",
	"commands/<room>/routes.go":    "platform/rest platform/auth any-std",
	"commands/<room>/*_io.go":      "platform/rest platform/auth platform/blob platform/jobs platform/mail platform/directory any-std",
	"commands/<room>/reactions.go": "domain/* platform/react",
	"commands":                     "commands/* platform/rest platform/auth std",
	"projections/<room>":           "domain/* platform/es platform/fault platform/project std",
	"projections":                  "projections/* platform/project std",
	"readapi/<room>":               "platform/rest platform/fault any-std",
	"readapi":                      "readapi/* platform/rest std",
	"evaluator":                    "platform/* domain/competition any-std",
	"console":                      "platform/* any-std",
	"platform":                     "platform/* any-std",
	"cmd":                          "any",
	"schemas":                      "any",
	"test":                         "any",
}

// modules says which third-party modules a layer may use; a layer without a row may use any.
var modules = map[string]string{
	"domain":      "github.com/google/uuid",
	"commands":    "github.com/google/uuid github.com/gosimple/slug",
	"projections": "github.com/google/uuid",
	"readapi":     "github.com/google/uuid github.com/aymanbagabas/go-udiff",
}

// pure is what a decision may use of the standard library: nothing that reads a clock, a file, a socket or chance.
const pure = "bytes cmp crypto/sha256 embed encoding encoding/base64 encoding/hex encoding/json errors fmt hash html iter maps math " +
	"math/big math/bits net/mail net/url regexp slices sort strconv strings time unicode unicode/utf8"

// listed is a package of the tree, as `go list` sees it.
type listed struct {
	ImportPath, Dir string
	GoFiles         []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles", module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		here := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				imported, _ := strconv.Unquote(spec.Path.Value)
				if refusal := refuse(here, name, imported); refusal != "" {
					t.Error(refusal)
				}
				if misnamed(here, imported, spec.Name) {
					t.Errorf("%s/%s: import %s as domain, or another room's by its own name", here, name, imported)
				}
			}
		}
	}
}

// refuse says why the file may not import the package, "" if it may.
func refuse(here, file, imported string) string {
	layer, room, _ := strings.Cut(here, "/")
	place := layer
	if room != "" && table[layer+"/<room>"] != "" {
		place = layer + "/<room>"
	}
	row, known := table[place]
	if !known {
		return fmt.Sprintf("%s is no place of the house: give it a row in test/house/imports_test.go and ARCHITECTURE.md", here)
	}
	for key, more := range table {
		if in, pattern := path.Split(key); in == place+"/" && strings.HasSuffix(key, ".go") {
			if ok, _ := path.Match(pattern, file); ok {
				row += " " + more
			}
		}
	}
	may := strings.Fields(row)
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	first, _, _ := strings.Cut(imported, "/")
	for _, m := range may {
		ok, _ := path.Match(strings.Replace(m, "<room>", room, 1), ours)
		deep := strings.HasSuffix(m, "/*") && strings.HasPrefix(ours, strings.TrimSuffix(m, "*"))
		if m == "any" || isOurs && (ok || deep) {
			return ""
		}
	}
	switch {
	case isOurs:
		return fmt.Sprintf("%s/%s may not import %s", here, file, ours)
	case strings.Contains(first, "."):
		if allowed, limited := modules[layer]; limited && !contains(allowed, imported) {
			return fmt.Sprintf("%s/%s may not import %s", here, file, imported)
		}
	case !contains(row, "any-std") && !contains(pure, imported):
		return fmt.Sprintf("%s/%s must stay pure but imports %s", here, file, imported)
	}
	return ""
}

// misnamed holds to the rule that domain.X is always the room's own X.
func misnamed(here, imported string, name *ast.Ident) bool {
	layer, room, _ := strings.Cut(here, "/")
	theirs, isDomain := strings.CutPrefix(imported, module+"/domain/")
	if !isDomain || layer != "commands" && layer != "projections" {
		return false
	}
	if theirs == room {
		return name == nil || name.Name != "domain"
	}
	return name != nil
}

func contains(words, word string) bool {
	return strings.Contains(" "+words+" ", " "+word+" ")
}

func TestTheTableRefuses(t *testing.T) {
	cases := []struct{ here, file, imported, want string }{
		{"domain/postal", "post.go", module + "/platform/es", ""},
		{"domain/postal", "post.go", "context", "domain/postal/post.go must stay pure but imports context"},
		{"domain/postal", "post.go", module + "/domain/cortex", "domain/postal/post.go may not import domain/cortex"},
		{"domain/postal", "post.go", "github.com/jackc/pgx/v5", "domain/postal/post.go may not import github.com/jackc/pgx/v5"},
		{"commands/postal", "post.go", module + "/domain/postal", ""},
		{"commands/postal", "post.go", module + "/domain/cortex", "commands/postal/post.go may not import domain/cortex"},
		{"commands/postal", "reactions.go", module + "/domain/cortex", ""},
		{"commands/postal", "post.go", module + "/platform/rest", "commands/postal/post.go may not import platform/rest"},
		{"commands/postal", "routes.go", module + "/platform/rest", ""},
		{"commands/cortex", "session_io.go", module + "/platform/auth", ""},
		{"commands/cortex", "session_io.go", module + "/platform/eventstore/postgres", "commands/cortex/session_io.go may not import platform/eventstore/postgres"},
		{"projections/cortex", "users.go", module + "/domain/postal", ""},
		{"projections/cortex", "users.go", module + "/commands/cortex", "projections/cortex/users.go may not import commands/cortex"},
		{"readapi/postal", "posts.go", module + "/domain/postal", "readapi/postal/posts.go may not import domain/postal"},
		{"readapi/postal", "posts.go", module + "/projections/postal", "readapi/postal/posts.go may not import projections/postal"},
		{"platform/rest", "api.go", module + "/domain/postal", "platform/rest/api.go may not import domain/postal"},
		{"platform/rest", "api.go", module + "/platform/eventstore/postgres", ""},
		{"attic", "x.go", "fmt", "attic is no place of the house: give it a row in test/house/imports_test.go and ARCHITECTURE.md"},
	}
	for _, c := range cases {
		if got := refuse(c.here, c.file, c.imported); got != c.want {
			t.Errorf("%s/%s importing %s: %q, want %q", c.here, c.file, c.imported, got, c.want)
		}
	}
}
