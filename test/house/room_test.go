package house

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What make room writes compiles against the tree and is formatted, so that the example cannot rot.
func TestScaffoldCompiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "test"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "test/room"), []byte(read(t, "test/room")), 0o755); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "test/room")
	if out, err := exec.Command(script, "community").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := exec.Command(script, "community").CombinedOutput(); err == nil || !strings.Contains(string(out), "is there already") {
		t.Errorf("a second time: %v, %s", err, out)
	}
	tree, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	layers := []string{"domain", "commands", "projections", "readapi"}
	for _, layer := range layers {
		names, err := filepath.Glob(filepath.Join(dir, layer, "community", "*"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %v, %v", layer, names, err)
		}
		for _, name := range names {
			overlay.Replace[filepath.Join(tree, layer, "community", filepath.Base(name))] = name
		}
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-overlay", file, "./domain/community", "./commands/community", "./projections/community", "./readapi/community")
	build.Dir = tree
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	format := exec.Command("gofmt", append([]string{"-l"}, layers...)...)
	format.Dir = dir
	if out, err := format.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("not formatted: %v: %s", err, out)
	}
}
