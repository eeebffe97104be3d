package house

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// The rooms. The first two are no ordinary words and stand nowhere in platform; the others are looked for where they would be names.
var (
	unmistakable = []string{"cortex", "postal"}
	ordinary     = []string{
		"community", "learning", "competition", "sandbox", "interview", "portfolio", "dataset", "model", "jobs",
		"newsletter", "media", "search", "support", "analytics", "notification",
	}
)

// files calls see with the path and content of every file that would be committed, below dir.
func files(t *testing.T, dir string, see func(name string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if base := d.Name(); name == "data" || name == "bin" || base == ".git" || base == ".cache" || base == "node_modules" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, ".test") || strings.HasSuffix(name, ".prof") {
			return nil
		}
		content, err := os.ReadFile(path)
		if err == nil {
			see(name, content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPlatformNamesNoRoom(t *testing.T) {
	word := regexp.MustCompile(`(?i)\b\w*(` + strings.Join(unmistakable, "|") + `)\w*\b`)
	files(t, "platform", func(name string, content []byte) {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/testdata/") {
			return
		}
		for i, line := range strings.Split(string(content), "\n") {
			if found := word.FindString(line); found != "" {
				t.Errorf("%s:%d names a room: %s", name, i+1, found)
			}
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(filepath.Dir(name), "test") {
			for _, found := range roomLiterals(t, name, content) {
				t.Error(found)
			}
		}
	})
}

// roomLiterals finds string literals that are a room's name or one of its stored names: "jobs", "media.asset.uploaded".
func roomLiterals(t *testing.T, name string, content []byte) []string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, content, 0)
	if err != nil {
		t.Fatal(err)
	}
	stored := regexp.MustCompile(`^(` + strings.Join(ordinary, "|") + `)(\.[a-z_]+)*$`)
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		if field, ok := n.(*ast.Field); ok {
			field.Tag = nil // json:"model" is a field's name
		}
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil && stored.MatchString(s) {
				found = append(found, set.Position(lit.Pos()).String()+" names a room: "+lit.Value)
			}
		}
		return true
	})
	return found
}

func TestRoomLiterals(t *testing.T) {
	source := "package p\n\ntype T struct {\n\tM string `json:\"model\"`\n}\n\nvar a = []string{\"jobs\", \"media.asset\", \"media type\", \"search results\"}\n"
	found := strings.Join(roomLiterals(t, "p.go", []byte(source)), "\n")
	if want := "p.go:7:18 names a room: \"jobs\"\np.go:7:26 names a room: \"media.asset\""; found != want {
		t.Errorf("got\n%s\nwant\n%s", found, want)
	}
}

// Nothing that is committed may hold a key, or a path of somebody's machine.
func TestNoSecretsAndNoMachinePaths(t *testing.T) {
	leak := regexp.MustCompile(`BEGIN (RSA |EC )?PRIVATE` + ` KEY|/(home|work|farm|Users)/[a-z.]`)
	files(t, ".", func(name string, content []byte) {
		for _, at := range leak.FindAllIndex(content, -1) {
			if before := rune(content[max(at[0], 1)-1]); unicode.IsLetter(before) || before == '.' || before == '_' {
				continue // the middle of some other path
			}
			t.Errorf("%s:%d: %s", name, 1+bytes.Count(content[:at[0]], []byte("\n")), content[at[0]:at[1]])
		}
	})
}
