package main

import (
	"slices"
	"testing"
	"time"
)

func TestExpect(t *testing.T) {
	file := "\ufeffslug,title,summary,author,published_at,category,tags,status,body\r\n" +
		"a,\"One, \"\"two\"\"\",,Me,2024-4-09,go,Go 1.22|talk|talk,published,\"x\n\ny\"\r\n" +
		"b,B,,,,go,,published,x\r\n" +
		"c,C1,,,2020-01-01,go,,published,x\r\n" +
		"c,C2,,,2020-01-02,go,,published,x"
	report, err := expect(file, false)
	if err != nil || report.rows != 4 || len(report.posts) != 1 || report.dateless != 1 || report.sharing != 2 || report.shared != 1 {
		t.Fatalf("%+v %v", report, err)
	}
	a := report.posts[0]
	if a.Title != `One, "two"` || a.Body != "x\n\ny" || !a.PublishedAt.Equal(time.Date(2024, 4, 9, 0, 0, 0, 0, time.UTC)) || !slices.Equal(a.Tags, []string{"go-1.22", "talk"}) {
		t.Errorf("%+v", a)
	}
	if !report.absent["b"] || !report.absent["c"] || report.absent["a"] {
		t.Errorf("absent: %v", report.absent)
	}
	suffixed, err := expect(file, true)
	if err != nil || len(suffixed.posts) != 3 || suffixed.posts[1].Slug != "c" || suffixed.posts[2].Slug != "c-2" {
		t.Fatalf("%+v %v", suffixed.posts, err)
	}
	if _, err := expect(file+",\"open", false); err == nil {
		t.Error("an open quote is read")
	}
}
