package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bgce/archive/platform/config"
	"github.com/bgce/archive/platform/run/operate"
)

// announce says that everything answers, and what to do next.
func (a *app) announce(began time.Time, s *storage, v operate.Views) {
	line := func(label, value, note string) {
		text := fmt.Sprintf("  %-10s %s", label, value)
		if note != "" {
			text = fmt.Sprintf("%-45s %s", text, note)
		}
		fmt.Fprintln(a.out, text)
	}
	url, program, tenant := a.cfg.URL(), os.Args[0], ""
	if a.cfg.Data != "./data" {
		program += " --data " + shellWord(a.cfg.Data)
	}
	if a.cfg.AdminEmail != "" {
		program = config.Variable("admin_email") + "=" + shellWord(a.cfg.AdminEmail) + " " + program
	}
	if a.cfg.Domain != "localhost" {
		program = config.Variable("domain") + "=" + a.cfg.Domain + " " + program
		tenant = " -H 'Host: " + a.cfg.Domain + "'"
	}
	stopped := ""
	if v.Stopped > 0 {
		stopped = fmt.Sprintf(", %d stopped (see: %s views list)", v.Stopped, program)
	}
	fmt.Fprintf(a.out, "Archive %s ready in %.1f s · data %s · %s · %d views live, %d behind%s\n", version, time.Since(began).Seconds(), a.cfg.Data, s.server, v.Live, v.Behind, stopped)
	line("API", url+"/api/v1", "tenant root (domain "+a.cfg.Domain+")")
	line("Reference", url+"/docs", "")
	if a.cfg.SMTP == "" {
		line("Mail", inData(a.cfg.Data, "mail"), "not sent anywhere; set ARCHIVE_SMTP to send")
	} else {
		line("Mail", "by SMTP", "as ARCHIVE_SMTP says")
	}
	if _, err := os.Stat(firstAdminPath(a.cfg)); err == nil {
		line("First admin", a.cfg.FirstAdmin(), "password in "+inData(a.cfg.Data, "first-admin")+" (removed at its first change)")
	}
	if a.cfg.Run == "all" { // a slice lacks some of what these need
		fmt.Fprintf(a.out, `Try, in another terminal:
  TOKEN=$(%[1]s login --print)
  curl -s %[2]s/api/v1/posts%[3]s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"title":"Hello","body":"*First* post"}'
  %-25[4]s three tenants, people, articles; running it again adds nothing
  %-25[5]s what runs, what lags
`, program, strings.TrimPrefix(url, "http://"), tenant, program+" demo", program+" status")
	}
	fmt.Fprintf(a.out, "Ctrl-C stops; everything stays in %s.\n", a.cfg.Data)
}

// inData keeps the directory as it was given, ./ included.
func inData(data, name string) string {
	return strings.TrimSuffix(data, "/") + "/" + filepath.ToSlash(name)
}

func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./@") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
