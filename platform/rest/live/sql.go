package live

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Positional turns @name into $n, leaving quoted text, quoted names, casts and operators alone. Args so far are kept.
func Positional(sql string, named map[string]any, args []any) (string, []any, error) {
	var b strings.Builder
	b.Grow(len(sql) + 8)
	numbers := map[string]int{}
	for i := 0; i < len(sql); i++ {
		c := sql[i]
		if c == '\'' || c == '"' {
			end := strings.IndexByte(sql[i+1:], c)
			if end < 0 {
				return "", nil, fmt.Errorf("live: a quote is not closed in: %s", sql)
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
				return "", nil, fmt.Errorf("live: @%s is not bound in: %s", name, sql)
			}
			args = append(args, Lean(value))
			n = len(args)
			numbers[name] = n
		}
		b.WriteString("$" + strconv.Itoa(n))
		i = end - 1
	}
	return b.String(), args, nil
}

// Placeholders finds the {views} of a statement outside of quotes, and how to put the live tables in.
func Placeholders(sql string) ([]string, SQL) {
	var views, parts []string // parts: text, view, text, view … text
	start := 0
	for i := 0; i < len(sql); i++ {
		if sql[i] == '\'' || sql[i] == '"' {
			if end := strings.IndexByte(sql[i+1:], sql[i]); end >= 0 {
				i += end + 1
			}
			continue
		}
		if sql[i] != '{' {
			continue
		}
		view, _, closed := strings.Cut(sql[i+1:], "}")
		if !closed || !strings.Contains(view, ".") {
			continue
		}
		parts = append(parts, sql[start:i], view)
		i += len(view) + 1
		start = i + 1
		if !slices.Contains(views, view) {
			views = append(views, view)
		}
	}
	parts = append(parts, sql[start:])
	return views, func(table func(string) string) string {
		var b strings.Builder
		for i, part := range parts {
			if i%2 == 1 {
				part = table(part)
			}
			b.WriteString(part)
		}
		return b.String()
	}
}

// Lean gives UUIDs to the driver as bytes: as uuid.UUID they take a path through database/sql that costs more than the query.
func Lean(v any) any {
	switch v := v.(type) {
	case uuid.UUID:
		return [16]byte(v)
	case []uuid.UUID:
		raw := make([][16]byte, len(v))
		for i, id := range v {
			raw[i] = id
		}
		return raw
	}
	return v
}
