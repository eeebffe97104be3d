package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEveryRefusalIsOneLineWithCauseAndCommand(t *testing.T) {
	s := newPlace(t).serve(t)

	foreign := newPlace(t)
	if err := os.MkdirAll(filepath.Join(foreign.dir, "data", "postgres"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(foreign.dir, "data", "postgres", "PG_VERSION"), []byte("9.6\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := s.place
	locked.port = freePort(t)
	taken := newPlace(t)
	taken.port = s.port
	fresh := newPlace(t)

	for name, c := range map[string]struct {
		at   place
		env  []string
		args string
		says []string
		code int
	}{
		"port taken":              {taken, nil, "serve", []string{"port " + s.port + " is taken", "ss -ltnp", "ARCHIVE_HTTP"}, 1},
		"data directory in use":   {locked, nil, "serve", []string{"./data is in use by process ", "kill ", "ARCHIVE_DATA"}, 1},
		"foreign version":         {foreign, nil, "serve", []string{"was made by PostgreSQL 9.6", "apt-get install postgresql-9.6"}, 1},
		"no PostgreSQL":           {fresh, []string{"ARCHIVE_PG_BIN=/nonexistent"}, "serve", []string{"no PostgreSQL 15 or newer", "apt-get install postgresql", "ARCHIVE_DB"}, 1},
		"a database without key":  {fresh, []string{"ARCHIVE_DB=postgres://nobody@localhost/none"}, "serve", []string{"ARCHIVE_KEY", "archive key new"}, 1},
		"not a DSN":               {fresh, []string{"ARCHIVE_DB=postgres://u:hunter2@h:x/y", "ARCHIVE_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "serve", []string{"ARCHIVE_DB is not a DSN"}, 1},
		"unknown variable":        {fresh, []string{"ARCHIVE_DTA=x"}, "serve", []string{"unknown variable ARCHIVE_DTA; did you mean ARCHIVE_DATA?"}, 2},
		"unknown part":            {fresh, []string{"ARCHIVE_RUN=write:postl"}, "serve", []string{`there is no room "postl"`, "postal"}, 2},
		"unknown service":         {fresh, nil, "serve --service postl", []string{"did you mean postal?"}, 2},
		"unknown command":         {fresh, nil, "stauts", []string{"did you mean status?"}, 2},
		"unknown flag":            {fresh, nil, "serve --htp 1", []string{"did you mean --http?"}, 2},
		"unknown view":            {fresh, nil, "views verify postal.pots", []string{"did you mean postal.posts?"}, 2},
		"a missing argument":      {fresh, nil, "import", []string{"archive import --help"}, 2},
		"nobody serves":           {fresh, nil, "status", []string{"nothing answers for ./data", "archive serve"}, 3},
		"nobody there":            {fresh, []string{"ARCHIVE_SERVER=http://127.0.0.1:1", "ARCHIVE_TOKEN=x"}, "status", []string{"no answer from http://127.0.0.1:1"}, 3},
		"not logged in":           {fresh, []string{"ARCHIVE_SERVER=http://127.0.0.1:1"}, "status", []string{"archive login --server http://127.0.0.1:1"}, 1},
		"a form nobody knows":     {fresh, nil, "status -o xml", []string{"table, json, csv"}, 2},
		"a token nobody gave out": {fresh, []string{"ARCHIVE_SERVER=http://127.0.0.1:" + s.port, "ARCHIVE_TOKEN=x"}, "status", []string{"log in"}, 1},
	} {
		out, errs, code := c.at.run(t, c.env, binary, strings.Fields(c.args)...)
		if code != c.code || out != "" || strings.Count(strings.TrimSpace(errs), "\n") != 0 {
			t.Errorf("%s: exit code %d, want %d; printed %q\n%s", name, code, c.code, out, errs)
		}
		for _, text := range c.says {
			if !strings.Contains(errs, text) {
				t.Errorf("%s: %q does not say %q", name, errs, text)
			}
		}
		if strings.Contains(errs, "hunter2") {
			t.Errorf("%s shows a password: %s", name, errs)
		}
	}
	if wrong := s.archive(t, "status", "-o", "json"); !strings.Contains(wrong, `"version": "0.1.0"`) {
		t.Errorf("the server that was there was disturbed: %s", wrong)
	}
}

func TestASessionIsKeptForAServerElsewhere(t *testing.T) {
	s := newPlace(t).serve(t)
	url := "http://localhost:" + s.port
	s.shell(t, `{ echo admin@localhost; cat data/first-admin; } | bin/archive login --server `+url+`
bin/archive status --server `+url+` >/dev/null
bin/archive status --server `+url+` >/dev/null
[ "$(stat -c %a .config/archive/sessions.json)" = 600 ]
bin/archive logout --server `+url+`
! bin/archive status --server `+url)
}
