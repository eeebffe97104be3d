package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const csvHead = "slug,title,summary,author,published_at,category,tags,status,body\r\n"

func TestImportFilesThatCannotBeRead(t *testing.T) {
	for name, c := range map[string]struct{ file, says string }{
		"empty":           {"", "slug is missing"},
		"a column less":   {"slug,title\n", "body is missing"},
		"an unknown one":  {strings.TrimSpace(csvHead) + ",colour\n", `"colour" is not known`},
		"one twice":       {strings.TrimSpace(csvHead) + ",slug\n", "slug is there twice"},
		"semicolons":      {strings.ReplaceAll(csvHead, ",", ";"), "slug is missing"},
		"an open quote":   {csvHead + "a,b,c,d,2020-01-01,e,,published,\"body\n\nand more\n", "row that begins in line 2"},
		"a stray quote":   {csvHead + "a,b,c,d,2020-01-01,e,,draft,x\nb,\"B\"x,c,d,,e,,draft,x\n", "line 3"},
		"a quote in text": {csvHead + "a,b \"c\",,,,,,draft,x\n", "line 2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseImport([]byte(c.file), importOptions{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v, want it to say %q", err, c.says)
			}
		})
	}
}

func TestImportRowsThatAreRefused(t *testing.T) {
	long := strings.Repeat("x", 2<<20)
	for name, c := range map[string]struct{ row, column, says string }{
		"no date":            {"a,T,,,,c,,published,b", "published_at", "needs a date"},
		"a bad date":         {"a,T,,,31.12.2020,c,,published,b", "published_at", "not a date"},
		"a future date":      {"a,T,,,2999-01-01,c,,published,b", "published_at", "future"},
		"an upper-case slug": {"Aa,T,,,2020-01-01,c,,published,b", "slug", "a-z"},
		"no slug":            {",T,,,2020-01-01,c,,published,b", "slug", "1 to 200"},
		"no title":           {"a, ,,,2020-01-01,c,,published,b", "title", "empty"},
		"a long title":       {"a," + strings.Repeat("ü", 301) + ",,,2020-01-01,c,,published,b", "title", "300"},
		"no body":            {"a,T,,,2020-01-01,c,,published,", "body", "empty"},
		"a body of 2 MB":     {"a,T,,,2020-01-01,c,,published," + long, "body", "body over 1 MiB"},
		"a strange status":   {"a,T,,,2020-01-01,c,,live,b", "status", "draft, published or archived"},
		"eleven tags":        {"a,T,,,2020-01-01,c,a|b|c|d|e|f|g|h|i|j|k,published,b", "tags", "11 tags"},
		"a tag of no letter": {"a,T,,,2020-01-01,c,日本,published,b", "tags", "slug"},
		"a field more":       {"a,T,,,2020-01-01,c,,published,b,x", "", "10 fields"},
		"not UTF-8":          {"a,T,,\xff\xfe,2020-01-01,c,,published,b", "author", "UTF-8"},
		"a NUL":              {"a,T,,,2020-01-01,c,,published,b\x00", "body", "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := parseImport([]byte(csvHead+"ok,T,,,2020-01-01,c,,published,b\n"+c.row+"\n"), importOptions{})
			if err != nil || len(rows) != 2 {
				t.Fatalf("%d rows, %v", len(rows), err)
			}
			if rows[0].Result != "" {
				t.Errorf("the good row: %+v", rows[0].importLine)
			}
			if r := rows[1]; r.Result != refused || r.Column != c.column || !strings.Contains(r.ToDo, c.says) || r.Row != 2 || r.Line != 3 {
				t.Errorf("got %+v, want column %q to say %q", r.importLine, c.column, c.says)
			}
		})
	}
}

func TestImportRowsThatAreFine(t *testing.T) {
	body := strings.Repeat("line, with \"quotes\"\n", 15_000) // 300 KB
	quoted := `"` + strings.ReplaceAll(body, `"`, `""`) + `"`
	file := "\xef\xbb\xbf" + csvHead + "a,T,S,By,2024-4-09,go,talk| go 1.22|talk,published," + quoted + "\r\nb,T,,,2020-01-02T03:04:05+01:00,,,archived,x\r\nc,T,,,,,,draft,"
	rows, err := parseImport([]byte(file), importOptions{})
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, r := range rows {
		if r.Result != "" {
			t.Errorf("refused: %+v", r.importLine)
		}
	}
	a, b, c := rows[0], rows[1], rows[2]
	if a.Body != body || !slices.Equal(a.Tags, []string{"talk", "go 1.22"}) || a.Identity != "a@2024-04-09" {
		t.Errorf("got %d bytes, tags %q, identity %q", len(a.Body), a.Tags, a.Identity)
	}
	if !b.PublishedAt.Equal(time.Date(2020, 1, 2, 2, 4, 5, 0, time.UTC)) || b.Identity != "b@2020-01-02T02:04:05Z" || c.Identity != "c@" {
		t.Errorf("got %v, %q, %q", b.PublishedAt, b.Identity, c.Identity)
	}
}

func TestImportAsDraftsNeedsNoDate(t *testing.T) {
	rows, err := parseImport([]byte(csvHead+"a,T,,,,c,,published,\n"), importOptions{asDrafts: true})
	if err != nil || rows[0].Result != "" {
		t.Fatalf("%+v %v", rows, err)
	}
}

func TestImportSharedSlugs(t *testing.T) {
	file := csvHead + "a,1,,,2020-01-01,,,published,x\nb,2,,,2020-01-01,,,published,x\na,3,,,2020-01-02,,,published,x\n" +
		"a-2,4,,,2020-01-03,,,published,x\na,5,,,2020-01-01,,,published,x\n"
	report, _ := parseImport([]byte(file), importOptions{})
	var results []string
	for _, r := range report {
		results = append(results, r.Result)
	}
	if want := []string{duplicate, "", duplicate, "", duplicate}; !slices.Equal(results, want) {
		t.Errorf("report: got %q, want %q", results, want)
	}
	suffixed, _ := parseImport([]byte(file), importOptions{suffix: true})
	var slugs, identities []string
	for _, r := range suffixed {
		slugs, identities = append(slugs, r.Slug), append(identities, r.Identity)
	}
	if want := []string{"a", "b", "a-3", "a-2", "a-4"}; !slices.Equal(slugs, want) {
		t.Errorf("suffix: got %q, want %q", slugs, want)
	}
	if want := []string{"a@2020-01-01", "b@2020-01-01", "a@2020-01-02", "a-2@2020-01-03", "a@2020-01-01#2"}; !slices.Equal(identities, want) {
		t.Errorf("identities: got %q, want %q", identities, want)
	}
}

func TestImportExternalIDs(t *testing.T) {
	rows, err := parseImport([]byte("external_id,"+csvHead+"7,a,T,,,2020-01-01,,,published,x\n7,b,T,,,2020-01-01,,,published,x\n,c,T,,,,,,draft,x\n"), importOptions{})
	if err != nil || len(rows) != 3 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if rows[0].Result != "" || rows[0].Identity != "7" || rows[1].Column != "external_id" || rows[2].Column != "external_id" {
		t.Errorf("got %+v", rows)
	}
}

func FuzzParseImport(f *testing.F) {
	f.Add([]byte(csvHead + "a,T,,,2020-01-01,c,x|y,published,b\n"))
	f.Add([]byte("\xef\xbb\xbfslug"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := parseImport(data, importOptions{suffix: true})
		slugs := map[string]bool{}
		for _, r := range rows {
			if r.Result == "" && (slugs[r.Slug] || len(r.Slug) > 200 || r.Identity == "") {
				t.Fatalf("row %d: slug %q, identity %q", r.Row, r.Slug, r.Identity)
			}
			if r.Slug != "" {
				slugs[r.Slug] = true
			}
		}
		if err != nil && rows != nil {
			t.Fatal("rows beside an error")
		}
	})
}
