package rest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bgce/archive/platform/rest/live"
)

// positional turns @name into $n, leaving quoted text, quoted names, casts and operators alone. Args so far are kept.
func positional(sql string, named Args, args []any) (string, []any, error) {
	var b strings.Builder
	b.Grow(len(sql) + 8)
	numbers := map[string]int{}
	for i := 0; i < len(sql); i++ {
		c := sql[i]
		if c == '\'' || c == '"' {
			end := strings.IndexByte(sql[i+1:], c)
			if end < 0 {
				return "", nil, fmt.Errorf("rest: a quote is not closed in: %s", sql)
			}
			b.WriteString(sql[i : i+end+2])
			i += end + 1
			continue
		}
		end := i + 1
		for end < len(sql) && (sql[end] == '_' || sql[end] >= 'a' && sql[end] <= 'z' || sql[end] >= '0' && sql[end] <= '9') {
			end++
		}
		if c != '@' || end == i+1 || (i > 0 && sql[i-1] == '@') {
			b.WriteByte(c)
			continue
		}
		name := sql[i+1 : end]
		n, known := numbers[name]
		if !known {
			value, ok := named[name]
			if !ok {
				return "", nil, fmt.Errorf("rest: @%s is not bound in: %s", name, sql)
			}
			args = append(args, value)
			n = len(args)
			numbers[name] = n
		}
		b.WriteString("$" + strconv.Itoa(n))
		i = end - 1
	}
	return b.String(), args, nil
}

// placeholders finds the {views} of a statement and how to put the live tables in.
func placeholders(sql string) ([]string, live.SQL) {
	var views []string
	parts := strings.Split(sql, "{")
	for _, part := range parts[1:] {
		if view, _, ok := strings.Cut(part, "}"); ok && strings.Contains(view, ".") && !slices.Contains(views, view) {
			views = append(views, view)
		}
	}
	return views, func(table func(string) string) string {
		pairs := make([]string, 0, 2*len(views))
		for _, view := range views {
			pairs = append(pairs, "{"+view+"}", table(view))
		}
		return strings.NewReplacer(pairs...).Replace(sql)
	}
}
