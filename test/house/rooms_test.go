package house

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bgce/archive/domain"
)

// A category that domain/rooms.go forgets would have no schema and no gate.
func TestEveryCategoryIsListed(t *testing.T) {
	listed := map[string]bool{}
	for room, categories := range domain.Rooms {
		for _, c := range categories {
			if !strings.HasPrefix(c.Name(), room+".") {
				t.Errorf("domain.Rooms[%q] holds %s", room, c.Name())
			}
			listed[c.Name()] = true
		}
	}
	defined := regexp.MustCompile(`es\.Define\[\w+\]\("([^"]+)"`)
	files(t, "domain", func(name string, content []byte) {
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, m := range defined.FindAllStringSubmatch(string(content), -1) {
			if !listed[m[1]] {
				t.Errorf("%s defines %s, which domain/rooms.go does not list", name, m[1])
			}
		}
	})
}

// A stored name was commissioned, or stands in ARCHITECTURE.md's table of added ones.
func TestStoredNamesAreWrittenDown(t *testing.T) {
	page := read(t, "ARCHITECTURE.md")
	_, table, found := strings.Cut(page, "## Stored names")
	if !found {
		t.Fatal("ARCHITECTURE.md lacks the heading \"Stored names\"")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	commissioned := "\n" + read(t, "test/house/testdata/commissioned-events.txt")
	for _, categories := range domain.Rooms {
		for _, c := range categories {
			for _, k := range c.Kinds() {
				if !strings.Contains(commissioned, "\n"+k.Type+"\n") && !strings.Contains(table, "`"+k.Type+"`") {
					t.Errorf("%s was not commissioned: add it to ARCHITECTURE.md's table of stored names first", k.Type)
				}
			}
		}
	}
}
