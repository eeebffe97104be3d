package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// write makes an article through the API and gives its id.
func (s *server) write(t *testing.T, slug string) string {
	t.Helper()
	answer := s.shell(t, `TOKEN=$(bin/archive login --print)
curl -s --fail-with-body localhost:`+s.port+`/api/v1/posts -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"title":"`+slug+`","slug":"`+slug+`","body":"x"}'`)
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(answer), &made); err != nil || made.ID == "" {
		t.Fatalf("%v: %s", err, answer)
	}
	return made.ID
}

// has says what is wrong when an article cannot be read.
func (s *server) has(t *testing.T, id, slug string) string {
	out, _, _ := s.run(t, nil, "bash", "-c", `curl -s --max-time 5 localhost:`+s.port+`/api/v1/posts/`+id+` -H "Authorization: Bearer $(bin/archive login --print)"`)
	if !strings.Contains(out, `"slug":"`+slug+`"`) {
		return "reading " + slug + ": " + out
	}
	return ""
}

func TestItComesBackFromEveryDeath(t *testing.T) {
	p := newPlace(t)
	s := p.serve(t)
	first := s.write(t, "first")

	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.exited
	s = p.serve(t)
	if s.took > 5*time.Second {
		t.Errorf("ready %s after kill -9, want within 5 s", s.took)
	}
	if wrong := s.has(t, first, "first"); wrong != "" {
		t.Error(wrong)
	}

	second := s.write(t, "second")
	if err := syscall.Kill(s.postmaster(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, func() string { return s.has(t, second, "second") })
	third := s.write(t, "third")

	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.ends(t, 20*time.Second); err != nil {
		t.Errorf("SIGTERM: %v\n%s", err, s.log())
	}
	for _, left := range []string{"postgres/postmaster.pid", "archive.sock"} {
		if _, err := os.Stat(filepath.Join(p.dir, "data", left)); err == nil {
			t.Errorf("%s is left behind", left)
		}
	}

	s = p.serve(t)
	if s.took > 5*time.Second {
		t.Errorf("the second start took %s, want at most 5 s", s.took)
	}
	for id, slug := range map[string]string{first: "first", second: "second", third: "third"} {
		if wrong := s.has(t, id, slug); wrong != "" {
			t.Error(wrong)
		}
	}
	for _, view := range []string{"postal.posts", "postal.versions", "platform.sessions"} {
		s.archive(t, "views", "verify", view)
	}
}

func TestTheFirstPasswordIsForgottenWhenChanged(t *testing.T) {
	s := newPlace(t).serve(t)
	file := filepath.Join(s.dir, "data", "first-admin")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	s.shell(t, `TOKEN=$(bin/archive login --print)
curl -s --fail-with-body localhost:`+s.port+`/api/v1/users/change-password -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
  -d "{\"old_password\":\"$(cat data/first-admin)\",\"new_password\":\"correct horse battery\"}"`)
	within(t, 5*time.Second, func() string {
		if _, err := os.Stat(file); err == nil {
			return "the file is still there"
		}
		return ""
	})
	s.shell(t, `echo 'correct horse battery' | bin/archive login --print`)
}
