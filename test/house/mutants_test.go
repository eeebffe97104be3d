package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The runner itself: a tree of one function and a mutant for each verdict.
func TestMutantsRunner(t *testing.T) {
	dir := t.TempDir()
	const plain = "package p\n\nfunc Sum(a, b int) int { return a + b }\n"
	mutant := func(expects, body string) string {
		return expects + "--- a/p.go\n+++ b/p.go\n@@ -1,3 +1,3 @@\n package p\n \n-func Sum(a, b int) int { return a + b }\n+" + body + "\n"
	}
	const sum = "# expects: ./. TestSum\n"
	for name, text := range map[string]string{
		"test/mutants": read(t, "test/mutants"),
		"go.mod":       "module p\n\ngo 1.26\n",
		"p.go":         plain,
		"p_test.go": "package p\n\nimport \"testing\"\n\n" +
			"func TestSum(t *testing.T) { if Sum(2, 3) != 5 { t.Error(\"2+3\") } }\n" +
			"func TestZero(t *testing.T) { if Sum(0, 0) != 0 { t.Error(\"0+0\") } }\n",
		"testdata/mutants/01-product.patch":  mutant(sum, "func Sum(a, b int) int { return a * b }"),
		"testdata/mutants/02-survivor.patch": mutant(sum, "func Sum(a, b int) int { return b + a }"),
		"testdata/mutants/03-broken.patch":   mutant(sum, "func Sum(a, b int) int { return a + }"),
		"testdata/mutants/04-panic.patch":    mutant(sum, "func Sum(a, b int) int { panic(a + b) }"),
		"testdata/mutants/05-both.patch":     mutant(sum, "func Sum(a, b int) int { return a + b + 1 }"),
		"testdata/mutants/06-nameless.patch": mutant("", "func Sum(a, b int) int { return a * b }"),
		"testdata/mutants/07-stale.patch":    sum + "--- a/p.go\n+++ b/p.go\n@@ -1,1 +1,1 @@\n-package q\n+package r\n",
		"testdata/mutants/08-pair.patch":     mutant(sum+"# expects: ./. TestZero\n", "func Sum(a, b int) int { return a + b + 1 }"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", dir, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	run := exec.Command(filepath.Join(dir, "test/mutants"))
	run.Env = append(os.Environ(), "ARCHIVE_TEST_PG=none")
	out, err := run.CombinedOutput()
	if err == nil {
		t.Errorf("it should have failed:\n%s", out)
	}
	for _, want := range []string{
		"caught   01-product ", "by TestSum", "caught   08-pair ", "8 mutants, 6 not caught",
		"02-survivor                    expected: ./. TestSum; it survived",
		"03-broken                      expected: ./. TestSum; it does not compile",
		"04-panic                       expected: ./. TestSum; a test panicked",
		"05-both                        expected: ./. TestSum; these failed: TestSum TestZero",
		"06-nameless                    expected: ; it has no line",
		"07-stale                       expected: ./. TestSum; it does not apply",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}
