package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	_ "github.com/bgce/archive/commands" // their refusals
	"github.com/bgce/archive/platform/fault"
	viewmetrics "github.com/bgce/archive/platform/project/metrics"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/projections"
	_ "github.com/bgce/archive/readapi" // the same
)

// problems is the catalogue that is served at /problems.
func problems() (map[string][]byte, error) {
	all := fault.All()
	for i, f := range all[1:] {
		if f.Code == all[i].Code {
			return nil, fmt.Errorf("the code %s stands twice: %q and %q", f.Code, all[i].Message, f.Message)
		}
	}
	page := "# Problems\n\nEvery refusal is `application/problem+json` (RFC 9457) with one of these codes; its `type` is `/problems/{code}`. A code is never used again for something else.\n\n" +
		"| code | status | detail, unless the case says more |\n| --- | --- | --- |\n"
	for _, e := range rest.Catalogue() {
		page += fmt.Sprintf("| `%s` | %d | %s |\n", e.Code, e.Status, e.Detail)
	}
	return map[string][]byte{"problems.md": []byte(page)}, nil
}

// views lists the reading models with their tables.
func views() (map[string][]byte, error) {
	page := "# Views\n\nA view is what SQL sees of the log: `room.plural`, one row per thing, kept by its projection and built anew when its version is raised.\n" +
		"Every row has `tenant`, the tenant's id. Columns are only added.\n"
	for _, room := range slices.Sorted(maps.Keys(projections.Rooms)) {
		page += "\n## " + room + "\n"
		for _, view := range projections.Rooms[room] {
			sql, err := os.ReadFile(filepath.Join("projections", room, view.Table()+".sql"))
			if err != nil {
				return nil, fmt.Errorf("view %s: its table belongs into %s.sql beside it: %w", view.Name(), view.Table(), err)
			}
			page += fmt.Sprintf("\n### %s\n\nVersion %d.\n\n```sql\n%s\n```\n", view.Name(), view.Version(), strings.TrimSpace(string(sql)))
		}
	}
	return map[string][]byte{"views.md": []byte(page)}, nil
}

var described = regexp.MustCompile(`fqName: "(archive_[^"]*)", help: "((?:[^"\\]|\\.)*)".*variableLabels: \{([^}]*)\}`)

// metrics lists what a server registers.
func metrics() (map[string][]byte, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(viewmetrics.New(nil, nil))
	rest.New(rest.Config{Registry: registry})
	found := make(chan *prometheus.Desc)
	go func() { registry.Describe(found); close(found) }()
	var rows []string
	for d := range found {
		if m := described.FindStringSubmatch(d.String()); m != nil {
			rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(m[3], ",", ", "), m[2]))
		}
	}
	slices.Sort(rows)
	page := "# Metrics\n\nServed at `/metrics` for Prometheus, beside those of the Go runtime (`go_*`) and the process (`process_*`).\n\n" +
		"| metric | labels | what it is |\n| --- | --- | --- |\n" + strings.Join(rows, "")
	return map[string][]byte{"metrics.md": []byte(page)}, nil
}
