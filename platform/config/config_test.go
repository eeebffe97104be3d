package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/bgce/archive/platform/config"
)

func flags(t *testing.T, args ...string) *pflag.FlagSet {
	t.Helper()
	fs := pflag.NewFlagSet("archive", pflag.ContinueOnError)
	config.AddFlags(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	return fs
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNothingConfiguredIsComplete(t *testing.T) {
	c, err := config.Load(flags(t), nil, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "./data" || c.HTTP != "127.0.0.1:8080" || c.DB != "" || !c.Embedded() || c.Eventstore != "postgres" || c.Domain != "localhost" ||
		c.Run != "all" || c.FirstAdmin() != "admin@localhost" || !c.Loopback() || c.URL() != "http://localhost:8080" {
		t.Errorf("%+v", c)
	}
}

func TestFlagsWinOverVariablesOverFileOverDefaults(t *testing.T) {
	path := file(t, "http: 127.0.0.1:1\ndomain: file.example\nrun: read:*\nauto_switch: true\ntrusted_proxies: [10.0.0.0/8, 192.168.0.0/16]\n")
	environ := []string{"ARCHIVE_HTTP=127.0.0.1:2", "ARCHIVE_DOMAIN=env.example", "ARCHIVE_SMTP=", "ARCHIVE_TEST_PG=host=/tmp", "OTHER=1"}
	c, err := config.Load(flags(t, "--http", "127.0.0.1:3"), environ, path)
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP != "127.0.0.1:3" || c.Domain != "env.example" || c.Run != "read:*" || c.Data != "./data" || !c.AutoSwitch || c.FirstAdmin() != "admin@env.example" {
		t.Errorf("%+v", c)
	}
	if got := fmt.Sprint(c.Proxies()); got != "[10.0.0.0/8 192.168.0.0/16]" {
		t.Error(got)
	}
}

func TestEveryMistakeIsNamedAtOnce(t *testing.T) {
	path := file(t, "domian: example.org\n")
	_, err := config.Load(flags(t, "--http", "8080", "--log-level", "loud"),
		[]string{"ARCHIVE_DTA=/x", "ARCHIVE_KEY=short-and-secret", "ARCHIVE_TRUSTED_PROXIES=10.0.0.1, nets", "ARCHIVE_LIMIT_AUTH=0"}, path)
	var invalid *config.Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("%v", err)
	}
	want := []string{
		path + ": unknown key domian; did you mean domain?",
		"unknown variable ARCHIVE_DTA; did you mean ARCHIVE_DATA?",
		`ARCHIVE_HTTP: "8080" is not host:port, such as 127.0.0.1:8080`,
		`ARCHIVE_LOG_LEVEL: "loud" is none of debug, info, warn, error`,
		"ARCHIVE_KEY is not base64 of 32 bytes; make one with: archive key new",
		"ARCHIVE_LIMIT_AUTH: 0 is no number of requests a minute; give 1 or more, or -1 for no limit",
		`ARCHIVE_TRUSTED_PROXIES: "10.0.0.1" is not a network like 10.0.0.0/8`,
		`ARCHIVE_TRUSTED_PROXIES: "nets" is not a network like 10.0.0.0/8`,
	}
	if !slices.Equal(invalid.Complaints, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(invalid.Complaints, "\n"), strings.Join(want, "\n"))
	}
}

func TestWrongTypesAndFilesAreRefused(t *testing.T) {
	for name, path := range map[string]string{
		"a list where a word is due": file(t, "http: [1, 2]\n"),
		"not YAML":                   file(t, ": : :\n"),
		"not there":                  filepath.Join(t.TempDir(), "none.yaml"),
		"not a truth value":          file(t, "auto_switch: perhaps\n"),
		"not a number":               file(t, "limit_reads: many\n"),
	} {
		if _, err := config.Load(flags(t), nil, path); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSecretsAreNeverShown(t *testing.T) {
	c, err := config.Load(flags(t), []string{"ARCHIVE_DB=postgres://u:hunter2@h/d", "ARCHIVE_ADMIN_PASSWORD=hunter2", "ARCHIVE_TOKEN=hunter2", "ARCHIVE_SMTP=smtp://u:hunter2@h"}, "")
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprintf("%v %+v %#v %v", c, c, c, c.Settings())
	if strings.Contains(shown, "hunter2") {
		t.Error(shown)
	}
	if c.DB.Reveal() != "postgres://u:hunter2@h/d" {
		t.Error("the value is lost")
	}
}

func TestTheReferenceNamesEverySetting(t *testing.T) {
	page := config.Markdown()
	for _, name := range []string{
		"ARCHIVE_DATA", "ARCHIVE_HTTP", "ARCHIVE_DB", "ARCHIVE_EVENTSTORE", "ARCHIVE_KEY", "ARCHIVE_ADMIN_EMAIL",
		"ARCHIVE_ADMIN_PASSWORD", "ARCHIVE_DOMAIN", "ARCHIVE_RUN", "ARCHIVE_SMTP",
	} {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("%s is missing", name)
		}
	}
	for _, o := range config.Options() {
		if o.Doc == "" {
			t.Errorf("%s is not described", o.Key)
		}
	}
}
