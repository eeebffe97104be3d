package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/postal"
)

// What becomes of a row.
const (
	created   = "created"
	revised   = "revised"
	present   = "already there"
	duplicate = "duplicate"
	refused   = "refused"
)

// importLine is a row of the report.
type importLine struct {
	Row    int    `json:"row"`  // of the data, the first is 1
	Line   int    `json:"line"` // of the file
	Slug   string `json:"slug"`
	Result string `json:"result"`
	Column string `json:"column"`
	ToDo   string `json:"to_do"`
}

// importRow is a row of the file and what became of it.
type importRow struct {
	importLine
	Title, Summary, Author, Category, Body, Status string
	Tags                                           []string // as in the file
	PublishedAt                                    time.Time
	Identity                                       string // finds the post again: its external_id
	Named                                          bool   // the file has external_ids, so that even slugs may change
}

func (r *importRow) refuse(column, toDo string) {
	if r.Result == "" {
		r.Result, r.Column, r.ToDo = refused, column, toDo
	}
}

// open reports whether someone has to do something about the row.
func (r *importRow) open() bool {
	return r.Result != created && r.Result != revised && r.Result != present || r.ToDo != ""
}

var (
	importColumns = []string{"slug", "title", "summary", "author", "published_at", "category", "tags", "status", "body"}
	slugShape     = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,199}$`)
)

// parseImport reads the file; what is wrong with one row is that row's result. Its errors are about the file as a whole.
func parseImport(data []byte, opt importOptions) ([]importRow, error) {
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	in.FieldsPerRecord = -1
	head, err := in.Read()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, brokenCSV(err)
	}
	if err := checkHeader(head); err != nil {
		return nil, err
	}
	var rows []importRow
	for {
		record, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, brokenCSV(err)
		}
		line, _ := in.FieldPos(0)
		rows = append(rows, parseRow(head, record, len(rows)+1, line, opt))
	}
	identify(rows)
	settleSlugs(rows, opt.suffix)
	return rows, nil
}

func brokenCSV(err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	if parse.StartLine != parse.Line {
		return fmt.Errorf("line %d (of the row that begins in line %d): %w; put fields with quotes, commas or line ends in \"…\" and double the quotes inside",
			parse.Line, parse.StartLine, parse.Err)
	}
	return fmt.Errorf("line %d, column %d: %w; put fields with quotes, commas or line ends in \"…\" and double the quotes inside", parse.Line, parse.Column, parse.Err)
}

func checkHeader(head []string) error {
	var wrong []string
	for _, name := range importColumns {
		if !slices.Contains(head, name) {
			wrong = append(wrong, name+" is missing")
		}
	}
	for i, name := range head {
		if !slices.Contains(importColumns, name) && name != "external_id" {
			wrong = append(wrong, fmt.Sprintf("%q is not known", name))
		} else if slices.Contains(head[:i], name) {
			wrong = append(wrong, name+" is there twice")
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the first line must be the header %s (and external_id, if you have one): %s",
			strings.Join(importColumns, ","), strings.Join(wrong, ", "))
	}
	return nil
}

func parseRow(head, record []string, number, line int, opt importOptions) importRow {
	r := importRow{importLine: importLine{Row: number, Line: line}}
	if len(record) != len(head) {
		r.refuse("", fmt.Sprintf("has %d fields, the header %d", len(record), len(head)))
		return r
	}
	field := map[string]string{}
	for i, name := range head {
		field[name] = record[i]
		if !utf8.ValidString(record[i]) {
			r.refuse(name, "is not UTF-8; save the file as UTF-8")
		} else if strings.ContainsRune(record[i], 0) {
			r.refuse(name, "contains a NUL; remove it")
		}
	}
	if r.Result != "" {
		return r
	}
	r.Slug, r.Title, r.Summary, r.Author = field["slug"], field["title"], field["summary"], field["author"]
	r.Category, r.Body, r.Status, r.Identity = field["category"], field["body"], field["status"], field["external_id"]
	r.Named = slices.Contains(head, "external_id")
	for tag := range strings.SplitSeq(field["tags"], "|") {
		if tag = strings.TrimSpace(tag); tag != "" && !slices.Contains(r.Tags, tag) {
			r.Tags = append(r.Tags, tag)
		}
	}
	r.check(field["published_at"], opt)
	return r
}

func (r *importRow) check(publishedAt string, opt importOptions) {
	for _, text := range []struct {
		column, value string
		runes         int
	}{{"title", r.Title, 300}, {"summary", r.Summary, 1000}, {"author", r.Author, 200}, {"category", r.Category, 200}, {"external_id", r.Identity, 300}} {
		if utf8.RuneCountInString(text.value) > text.runes {
			r.refuse(text.column, fmt.Sprintf("is over %d characters; shorten it", text.runes))
		}
	}
	var err error
	if publishedAt != "" {
		if r.PublishedAt, err = parseDate(publishedAt); err != nil {
			r.refuse("published_at", "is not a date like 2024-05-31 or 2024-05-31T12:00:00Z")
		}
	}
	for _, tag := range r.Tags {
		if tagSlug(tag) == "" || utf8.RuneCountInString(tag) > 100 {
			r.refuse("tags", "a tag is over 100 characters or has no Latin letter or digit; create it with a slug of its own and put that slug here")
		}
	}
	published := r.Status == "published" && !opt.asDrafts
	switch {
	case !slugShape.MatchString(r.Slug):
		r.refuse("slug", "must be 1 to 200 of a-z 0-9 . _ - and begin with a letter or digit")
	case strings.TrimSpace(r.Title) == "":
		r.refuse("title", "is empty; give one")
	case len(r.Body) > domain.MaxBody:
		r.refuse("body", "body over 1 MiB; shorten it or split the article")
	case len(r.Tags) > 10:
		r.refuse("tags", fmt.Sprintf("has %d tags, at most 10", len(r.Tags)))
	case !slices.Contains([]string{"draft", "published", "archived"}, r.Status):
		r.refuse("status", "must be draft, published or archived")
	case published && publishedAt == "":
		r.refuse("published_at", "a published row needs a date; give one, or make its status draft")
	case published && r.Body == "":
		r.refuse("body", "is empty; write one, or make its status draft")
	case r.PublishedAt.After(time.Now()):
		r.refuse("published_at", "is in the future; import it as draft")
	case r.Named && r.Identity == "":
		r.refuse("external_id", "is empty; give one that stays the same")
	}
}

func parseDate(s string) (time.Time, error) {
	if at, err := time.Parse("2006-1-2", s); err == nil {
		return at, nil
	}
	at, err := time.Parse(time.RFC3339, s)
	return at.UTC().Truncate(time.Microsecond), err
}

// tagSlug is the slug of a tag named in a file: a slug as it is, a name as the server would derive it; "" if there is none.
func tagSlug(name string) string {
	if slugShape.MatchString(name) {
		return name
	}
	if slug := domain.SlugOf(name, uuid.Nil); slug != uuid.Nil.String() {
		return slug
	}
	return ""
}

// identify gives rows without external_id the one that will find their post again.
func identify(rows []importRow) {
	seen := map[string]int{}
	for i := range rows {
		r := &rows[i]
		if !r.Named && r.Result == "" {
			date := ""
			if !r.PublishedAt.IsZero() {
				date = strings.TrimSuffix(r.PublishedAt.Format(time.RFC3339Nano), "T00:00:00Z")
			}
			r.Identity = r.Slug + "@" + date
		}
		if r.Identity == "" {
			continue
		}
		if seen[r.Identity]++; seen[r.Identity] > 1 && r.Named {
			r.refuse("external_id", "another row has it too; one row per article")
		} else if seen[r.Identity] > 1 {
			r.Identity = fmt.Sprintf("%s#%d", r.Identity, seen[r.Identity])
		}
	}
}

// settleSlugs deals with rows that share a slug: all left out, or suffixed in the order of the file. Either way the outcome is the
// same whichever row is sent first.
func settleSlugs(rows []importRow, suffix bool) {
	sharing, taken := map[string][]*importRow{}, map[string]bool{}
	for i := range rows {
		if slug := rows[i].Slug; slug != "" {
			sharing[slug], taken[slug] = append(sharing[slug], &rows[i]), true
		}
	}
	for i := range rows {
		slug := rows[i].Slug
		group := sharing[slug]
		if len(group) < 2 || group[0] != &rows[i] {
			continue
		}
		for place, r := range group {
			switch {
			case suffix && place > 0:
				r.Slug = freeSlug(slug, taken)
				taken[r.Slug] = true
			case !suffix && r.Result == "":
				r.Result, r.Column = duplicate, "slug"
				r.ToDo = fmt.Sprintf("%d rows share it; give each its own, or use --on-duplicate-slug suffix", len(group))
			}
		}
	}
}

// freeSlug is the first of slug-2, slug-3 … that is not taken, within 200 characters.
func freeSlug(slug string, taken map[string]bool) string {
	for n := 2; ; n++ {
		suffix := fmt.Sprintf("-%d", n)
		if next := slug[:min(len(slug), 200-len(suffix))] + suffix; !taken[next] {
			return next
		}
	}
}
