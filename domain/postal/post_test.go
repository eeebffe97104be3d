package postal

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/es/estest"
)

func TestSlugOf(t *testing.T) {
	id := uuid.MustParse("01900000-0000-7000-8000-0000000000bb")
	for title, want := range map[string]string{
		"Go Turns 10":             "go-turns-10",
		"  What's new in 1.22? ":  "whats-new-in-1.22",
		"Crème brûlée":            "creme-brulee",
		"...":                     id.String(),
		"Привет":                  id.String(),
		"R&D":                     "r-and-d",
		strings.Repeat("ab ", 90): strings.TrimSuffix(strings.Repeat("ab-", 67), "-")[:200],
	} {
		if got := SlugOf(title, id); got != want {
			t.Errorf("%q: got %q, want %q", title, got, want)
		}
	}
	shape := regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,199}$`)
	rapid.Check(t, func(t *rapid.T) {
		title := rapid.String().Draw(t, "title")
		if slug := SlugOf(title, id); !shape.MatchString(slug) {
			t.Fatalf("%q gives %q", title, slug)
		}
	})
}

// The creator owns a post; editing and publishing by others changes nothing about that.
func TestOwnership(t *testing.T) {
	created := PostCreated{Number: 1, Title: "T", Slug: "t", Body: es.NewText("b")}
	p := estest.Fold[Post]("someone", created)
	if got := p.Owners(); len(got) != 1 || got[0] != "someone" || p.Public() || p.Deleted() {
		t.Fatalf("a draft: owners %v, public %v, deleted %v", got, p.Public(), p.Deleted())
	}
	p.Stamp(es.Envelope{Version: 2, Actor: "another"})
	PostPublished{}.Evolve(&p)
	if p.Owner != "someone" || !p.Public() {
		t.Fatalf("published by another: owner %q, public %v", p.Owner, p.Public())
	}
	PostDeleted{}.Evolve(&p)
	if !p.Deleted() {
		t.Fatal("deleted is not said")
	}
}

// A state must not hold texts: it is kept in memory for thousands of posts.
func TestStateIsLight(t *testing.T) {
	p := estest.Fold[Post]("someone", PostCreated{Number: 1, Title: "T", Slug: "t", Body: es.NewText("long")})
	if p.Body.String() != "" || p.Body.Size() != 4 || !p.Body.Same(es.NewText("long")) {
		t.Fatalf("got %q of %d bytes", p.Body.String(), p.Body.Size())
	}
}

// What a reader finds in the log, and has found there from the first day.
func TestStoredForm(t *testing.T) {
	data, err := json.Marshal(PostCreated{Number: 1, Title: "T", Body: es.NewText("b"), Slug: "t", Tags: []string{"x"}})
	if err != nil || string(data) != `{"revision":1,"title":"T","body":"b","slug":"t","tags":["x"]}` {
		t.Fatalf("%s %v", data, err)
	}
}

func TestAMissingTagIsPointedAt(t *testing.T) {
	claims := PostCreated{Slug: "t", Tags: []string{"here", "gone"}}.Claims(Post{})
	if len(claims) != 3 || claims[2].Value != "gone" {
		t.Fatalf("claims %v", claims)
	}
	if !errors.Is(ErrSlugTaken.Withf("x"), ErrSlugTaken) {
		t.Fatal("a derived refusal is not its sentinel")
	}
}
