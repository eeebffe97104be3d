package e2e

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

// want is the block of a start with nothing configured; the time, the port, the version of PostgreSQL and the number of views vary.
const want = `Archive 0.1.0 ready in N s · data ./data · PostgreSQL N, private · N views live, 0 behind
  API        http://localhost:8080/api/v1     tenant root (domain localhost)
  Reference  http://localhost:8080/docs
  Mail       ./data/mail                      not sent anywhere; set ARCHIVE_SMTP to send
  First admin admin@localhost                 password in ./data/first-admin (removed at its first change)
Try, in another terminal:
  TOKEN=$(bin/archive login --print)
  curl -s localhost:8080/api/v1/posts -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"title":"Hello","body":"*First* post"}'
  bin/archive demo          three tenants, people, articles; running it again adds nothing
  bin/archive status        what runs, what lags
Ctrl-C stops; everything stays in ./data.
`

func TestTheBlockIsTrueAndItsCommandsWork(t *testing.T) {
	s := newPlace(t).serve(t)
	got := strings.ReplaceAll(s.block, ":"+s.port, ":8080")
	for pattern, with := range map[string]string{`ready in \d+\.\d s`: "ready in N s", `PostgreSQL \d+`: "PostgreSQL N", `\d+ views live`: "N views live"} {
		got = regexp.MustCompile(pattern).ReplaceAllString(got, with)
	}
	if got != want {
		t.Fatalf("printed:\n%s\nwant:\n%s", got, want)
	}

	// the commands as printed, one after the other in one shell; the text beside two of them is not theirs
	_, commands, _ := strings.Cut(s.block, "Try, in another terminal:\n")
	commands, _, _ = strings.Cut(commands, "Ctrl-C stops")
	commands = regexp.MustCompile(`(?m)^  (bin/archive \w+) {2,}.*$`).ReplaceAllString(commands, "$1")
	printed := s.shell(t, commands)
	if !regexp.MustCompile(`\{"id":"[0-9a-f-]{36}","version":1,"position":"[^"]+"\}`).MatchString(printed) {
		t.Errorf("the article was not created:\n%s", printed)
	}
	for _, text := range []string{"acme.localhost", "globex.localhost", "postal.posts"} {
		if !strings.Contains(printed, text) {
			t.Errorf("%s is not mentioned:\n%s", text, printed)
		}
	}

	before := s.posts(t)
	s.archive(t, "demo")
	if after := s.posts(t); before < 60 || after != before {
		t.Errorf("%d articles after the demo, want at least 60; %d after the second one, want no more", before, after)
	}
	for _, path := range []string{"/health", "/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json", "/problems", "/.well-known/jwks.json"} {
		if code := s.shell(t, "curl -s -o /dev/null -w '%{http_code}' localhost:"+s.port+path); code != "200" {
			t.Errorf("%s answers %s", path, code)
		}
	}
}

// posts is how many article streams the log holds, by the one view that has a row for each.
func (s *server) posts(t *testing.T) int {
	t.Helper()
	var found []struct {
		View    string `json:"view"`
		Log     struct{ Count int }
		Applied struct{ Count int }
	}
	if err := json.Unmarshal([]byte(s.archive(t, "views", "verify", "postal.posts", "-o", "json")), &found); err != nil || len(found) != 1 {
		t.Fatalf("%v %v", err, found)
	}
	return found[0].Log.Count
}
