package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expected is what the file says must be on the server.
type expected struct {
	posts                           []post
	absent                          map[string]bool // slugs that must not be there
	rows, dateless, sharing, shared int
}

func expect(text string, suffixed bool) (expected, error) {
	records, err := records(strings.TrimPrefix(text, "\ufeff"))
	if err != nil {
		return expected{}, err
	}
	const header = "slug,title,summary,author,published_at,category,tags,status,body"
	if len(records) == 0 || strings.Join(records[0], ",") != header {
		return expected{}, fmt.Errorf("the first line is not %s", header)
	}
	e := expected{absent: map[string]bool{}, rows: len(records) - 1}
	times := map[string]int{}
	for _, r := range records[1:] {
		times[r[0]]++
	}
	for _, n := range times {
		if n > 1 {
			e.sharing, e.shared = e.sharing+n, e.shared+1
		}
	}
	before := map[string]int{}
	for _, r := range records[1:] {
		slug := r[0]
		before[slug]++
		switch {
		case r[4] == "":
			e.dateless++
			e.absent[slug] = true
			continue
		case times[slug] > 1 && !suffixed:
			e.absent[slug] = true
			continue
		case before[slug] > 1:
			slug = fmt.Sprintf("%s-%d", slug, before[slug])
			if times[slug] > 0 {
				return e, fmt.Errorf("%s is a slug of the file too: this check does not know what the import should do", slug)
			}
		}
		at, err := date(r[4])
		if err != nil {
			return e, err
		}
		e.posts = append(e.posts, post{Slug: slug, Title: r[1], Summary: r[2], Author: r[3], PublishedAt: at, Category: r[5], Tags: tags(r[6]), Status: r[7], Body: r[8]})
	}
	return e, nil
}

// records reads quoted CSV, one character after another.
func records(text string) ([][]string, error) {
	var (
		all    [][]string
		row    []string
		field  strings.Builder
		quoted bool
	)
	end := func() { row = append(row, field.String()); field.Reset() }
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '"' && i+1 < len(text) && text[i+1] == '"':
			field.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
			field.WriteByte(c)
		case c == ',':
			end()
		case c == '\n':
			end()
			all, row = append(all, row), nil
		case c != '\r':
			field.WriteByte(c)
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if field.Len() > 0 || len(row) > 0 {
		end()
		all = append(all, row)
	}
	for i, r := range all {
		if len(r) != len(all[0]) {
			return nil, fmt.Errorf("record %d has %d fields, the first has %d", i+1, len(r), len(all[0]))
		}
	}
	return all, nil
}

func date(s string) (time.Time, error) {
	var numbers []int
	for part := range strings.SplitSeq(s, "-") {
		n, err := strconv.Atoi(part)
		if err != nil {
			return time.Time{}, fmt.Errorf("%q is not a date", s)
		}
		numbers = append(numbers, n)
	}
	if len(numbers) != 3 {
		return time.Time{}, fmt.Errorf("%q is not a date", s)
	}
	return time.Date(numbers[0], time.Month(numbers[1]), numbers[2], 0, 0, 0, 0, time.UTC), nil
}

var notSlug = regexp.MustCompile(`[^a-z0-9.]+`)

func tags(s string) []string {
	slugs := []string{}
	for name := range strings.SplitSeq(s, "|") {
		if slug := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-."); slug != "" && !slices.Contains(slugs, slug) {
			slugs = append(slugs, slug)
		}
	}
	return slugs
}
