package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// A reader's budgets, in lines.
const (
	fileLines    = 400
	funcLines    = 60
	packageLines = 2500 // of platform, without tests
)

func TestSizes(t *testing.T) {
	packages := map[string]int{}
	files(t, ".", func(name string, content []byte) {
		isGo, isTest := strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go")
		if !isGo && !strings.HasSuffix(name, ".sql") || strings.Contains(name, "testdata/") {
			return
		}
		lines := strings.Count(string(content), "\n")
		if lines > fileLines {
			t.Errorf("%s has %d lines, at most %d: split it by what it is about", name, lines, fileLines)
		}
		if isTest {
			return
		}
		packages[filepath.Dir(name)] += lines
		if isGo {
			functions(t, name, content)
		}
	})
	for dir, lines := range packages {
		if strings.HasPrefix(dir, "platform/") && !strings.HasSuffix(dir, "test") && lines > packageLines { // storetest and its like are tests
			t.Errorf("%s has %d lines without its tests, at most %d", dir, lines, packageLines)
		}
	}
}

func functions(t *testing.T, name string, content []byte) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, content, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		if f, ok := decl.(*ast.FuncDecl); ok {
			if lines := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1; lines > funcLines {
				t.Errorf("%s:%d: %s has %d lines, at most %d", name, set.Position(f.Pos()).Line, f.Name.Name, lines, funcLines)
			}
		}
	}
}
