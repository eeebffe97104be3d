package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestEveryCommandExplainsItself(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || !strings.Contains(c.Example, "archive ") {
			t.Errorf("%s has no short description or no example that begins with archive", c.CommandPath())
		}
		if c.HasParent() && !c.Parent().HasParent() && c.GroupID == "" {
			t.Errorf("%s is in no group", c.CommandPath())
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(root(&app{}))
}

// Examples are commands that exist, with flags that exist.
func TestExamplesParse(t *testing.T) {
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		own := c.HasSubCommands()
		for line := range strings.Lines(c.Example) {
			_, rest, found := strings.Cut(strings.TrimSpace(line), "archive ")
			if !found {
				continue
			}
			rest, _, _ = strings.Cut(strings.NewReplacer("'write:postal,cortex read:*'", "all", ")", "").Replace(rest), " >")
			target, args, err := root(&app{}).Find(strings.Fields(rest))
			if err != nil || target.ParseFlags(args) != nil {
				t.Errorf("%s: the example %q does not parse: %v", c.CommandPath(), line, err)
				continue
			}
			own = own || target.CommandPath() == c.CommandPath()
		}
		if !own {
			t.Errorf("%s is not in its own examples", c.CommandPath())
		}
		for _, child := range c.Commands() {
			walk(child)
		}
	}
	walk(root(&app{}))
}

func TestShowKnowsThreeForms(t *testing.T) {
	type row struct {
		Name  string `json:"name"`
		Count int    `json:"count"`
	}
	rows := []row{{"a, b", 1}, {"c", 20}}
	for form, want := range map[string]string{
		"table": "NAME  COUNT\na, b  1\nc     20\n",
		"csv":   "name,count\n\"a, b\",1\nc,20\n",
		"json":  "[\n  {\n    \"name\": \"a, b\",\n    \"count\": 1\n  },\n  {\n    \"name\": \"c\",\n    \"count\": 20\n  }\n]\n",
	} {
		var out bytes.Buffer
		if err := (&app{output: form, out: &out}).show(rows); err != nil || out.String() != want {
			t.Errorf("%s: %q, want %q (%v)", form, out.String(), want, err)
		}
	}
	var out bytes.Buffer
	if err := (&app{output: "json", out: &out}).show([]row(nil)); err != nil || out.String() != "[]\n" {
		t.Errorf("nothing in json is %q", out.String())
	}
}
