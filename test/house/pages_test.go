package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are what people read: the Markdown at the top, and docs/.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range names {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(root, path)
			found[name] = string(text)
		}
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// anchor is the fragment a heading gets.
func anchor(heading string) string {
	kept := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(strings.TrimSpace(kept), " ", "-")
}

func headings(page string) map[string]bool {
	found := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		found[anchor(m[1])] = true
	}
	return found
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for name, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, fragment, _ := strings.Cut(m[1], "#")
			target := filepath.Join(filepath.Dir(name), file)
			if file == "" {
				target = name
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			} else if fragment != "" && !headings(read(t, target))[fragment] {
				t.Errorf("%s links to %s, which has no such heading", name, m[1])
			}
		}
	}
}

// Every make target, setting, command and stored file a page names exists.
func TestPagesNameWhatExists(t *testing.T) {
	targets, config, cli := read(t, "Makefile"), read(t, "schemas/config.md"), read(t, "schemas/cli.md")
	checks := map[*regexp.Regexp]func(string) bool{
		regexp.MustCompile("(?:`|^|\\n)make ([a-z]+)"): func(s string) bool { return strings.Contains(targets, "\n"+s+":") },
		regexp.MustCompile(`\b(ARCHIVE_[A-Z_]*[A-Z])\b`): func(s string) bool {
			return strings.Contains(config, s) || s == "ARCHIVE_TEST_PG" || s == "ARCHIVE_TOKEN" || s == "ARCHIVE_SERVER"
		},
		regexp.MustCompile("(?:bin/archive|[`(]archive) ([a-z]+(?: [a-z]+)?)"): func(s string) bool {
			verb, _, _ := strings.Cut(s, " ")
			return strings.Contains(cli, "archive "+s) || strings.Contains(cli, "archive "+verb)
		},
	}
	for name, text := range pages(t) {
		for pattern, exists := range checks {
			for _, m := range pattern.FindAllStringSubmatch(text, -1) {
				if !exists(m[1]) {
					t.Errorf("%s names %q, which does not exist", name, m[1])
				}
			}
		}
	}
}

// The lists of CONTRIBUTING are short enough to follow.
func TestContributingListsHaveAtMostSixSteps(t *testing.T) {
	text := read(t, "CONTRIBUTING.md")
	for _, heading := range []string{"## Add an event", "## Add a command", "## Add a view", "## Add a room"} {
		_, section, found := strings.Cut(text, heading+"\n")
		if !found {
			t.Errorf("CONTRIBUTING.md lacks %q", heading)
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		if steps := len(regexp.MustCompile(`(?m)^\d+\. `).FindAllString(section, -1)); steps < 1 || steps > 6 {
			t.Errorf("%q has %d steps, want 1 to 6", heading, steps)
		}
	}
}
