// Command gen writes schemas/ from the code; with -verify it changes nothing and fails if schemas/ says something else than the code,
// or something that would break who relies on it.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bgce/archive/domain"
	"github.com/bgce/archive/platform/config"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/schemas"
)

const dir = "schemas"

func main() {
	verify := flag.Bool("verify", false, "compare instead of writing")
	flag.Parse()
	if err := run(*verify); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(verify bool) error {
	want, err := generate()
	if err != nil {
		return err
	}
	have, err := written()
	if err != nil {
		return err
	}
	if !verify {
		return write(want, have)
	}
	findings := differences(want, have)
	breaking, err := breaks(want)
	if err != nil {
		return err
	}
	for _, finding := range append(findings, breaking...) {
		fmt.Fprintln(os.Stderr, finding)
	}
	switch {
	case len(findings) > 0:
		return fmt.Errorf("not what the code says: make generate")
	case len(breaking) > 0:
		return fmt.Errorf("this would break who relies on it: add a version, a type or a path instead; or, knowing what it does, put the line into %s/%s with a reason", dir, acceptedFile)
	}
	fmt.Printf("schemas: %d files are what the code says\n", len(want))
	return nil
}

// generate gives every file of schemas/ by its name below it.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{"config.md": []byte(config.Markdown())}
	var categories []es.Kinds
	for _, room := range slices.Sorted(maps.Keys(domain.Rooms)) {
		categories = append(categories, domain.Rooms[room]...)
	}
	events, err := schemas.Events(categories...)
	if err != nil {
		return nil, err
	}
	for name, text := range events {
		files["events/"+name] = text
	}
	bin, clean, err := build()
	if err != nil {
		return nil, err
	}
	defer clean()
	doc, err := output(bin, "openapi")
	if err != nil {
		return nil, err
	}
	for _, part := range []func() (map[string][]byte, error){
		func() (map[string][]byte, error) { return api(doc) },
		func() (map[string][]byte, error) { return cli(bin) },
		problems, views, metrics,
	} {
		made, err := part()
		if err != nil {
			return nil, err
		}
		maps.Copy(files, made)
	}
	return files, nil
}

// build makes the program, which knows its own document and its own help.
func build() (bin string, clean func(), err error) {
	tmp, err := os.MkdirTemp("", "archive-schemas")
	if err != nil {
		return "", nil, err
	}
	bin = filepath.Join(tmp, "archive")
	if out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "./cmd/archive").CombinedOutput(); err != nil {
		os.RemoveAll(tmp)
		return "", nil, fmt.Errorf("cmd/archive does not build: %s", out)
	}
	return bin, func() { os.RemoveAll(tmp) }, nil
}

func output(bin string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.Command(bin, args...)
	cmd.Stderr = &stderr
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Dir(bin), "COLUMNS=100"} // nothing of this machine's configuration
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return out, nil
}

// examplesFile is what the story of test/api gives; the program carries it.
const examplesFile = "examples.json"

// written reads what is there, without the generator itself, what people write and what a test keeps.
func written() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") || d.Name() == acceptedFile || d.Name() == examplesFile {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		files[filepath.ToSlash(name)], err = os.ReadFile(path)
		return err
	})
	return files, err
}

func write(want, have map[string][]byte) error {
	for name := range have {
		if want[name] == nil {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
			fmt.Println("removed", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if bytes.Equal(want[name], have[name]) {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, want[name], 0o644); err != nil {
			return err
		}
		fmt.Println("wrote", name)
	}
	return nil
}

func differences(want, have map[string][]byte) (found []string) {
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if want[name] == nil {
			found = append(found, name+": the code has nothing of it any more")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch {
		case have[name] == nil:
			found = append(found, name+": is missing")
		case !bytes.Equal(want[name], have[name]):
			found = append(found, name+": "+firstDifference(string(want[name]), string(have[name])))
		}
	}
	return found
}

func firstDifference(want, have string) string {
	a, b := strings.Split(want, "\n"), strings.Split(have, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "(end)", "(end)"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf("line %d is %q, the code says %q", i+1, strings.TrimSpace(y), strings.TrimSpace(x))
		}
	}
	return "differs"
}
