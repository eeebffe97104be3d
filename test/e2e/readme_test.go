package e2e

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var fenced = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")

// TestEveryCommandOfTheReadmeWorks runs the ```sh blocks in order, in one shell, beside a running server. A block that cannot be run
// there (one that starts the server) is fenced as ```console.
func TestEveryCommandOfTheReadmeWorks(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := fenced.FindAllStringSubmatch(string(text), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md has no ```sh block")
	}
	s := newPlace(t).serve(t)
	var script strings.Builder
	for _, b := range blocks {
		script.WriteString(b[1] + "\necho\n")
	}
	printed := s.shell(t, strings.ReplaceAll(script.String(), ":8080", ":"+s.port))
	for _, m := range regexp.MustCompile(`"code":"([^"]+)"`).FindAllStringSubmatch(printed, -1) {
		if m[1] != "rest.stale" { // the one it shows on purpose
			t.Errorf("a command was refused with %s:\n%s", m[1], printed)
		}
	}
}
