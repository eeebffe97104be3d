package projecttest_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/project/projecttest"
)

type sign struct{}

type (
	painted struct {
		Text   string `json:"text"`
		Author string `json:"author" pii:"name"`
	}
	faded struct {
		By int `json:"by"`
	}
	erased struct{}
)

func (painted) Evolve(*sign) {}
func (faded) Evolve(*sign)   {}
func (erased) Evolve(*sign)  {}

var signs = es.Define[sign]("depot.sign", es.On[painted]("painted"), es.On[faded]("faded"), es.On[erased]("erased"))

type signRow struct {
	project.Key
	Text   string `db:"text"`
	Author string `db:"author"`
	Faded  int    `db:"faded"`
}

var view = project.Rows[signRow]("depot.signs", 1, `CREATE TABLE signs (tenant uuid, id uuid, version int, text text, author text, faded int, PRIMARY KEY (tenant, id));`,
	project.From(signs,
		project.Insert(func(r *signRow, e es.Recorded[painted]) { r.Text, r.Author = e.Data.Text, e.Data.Author }),
		project.Update(func(r *signRow, e es.Recorded[faded]) { r.Faded += e.Data.By }),
		project.Update(func(r *signRow, _ es.Recorded[erased]) { r.Author = "" }),
	))

func TestSigns(t *testing.T) {
	all := es.Events[sign]{painted{"Exit", "Ada"}, faded{2}, faded{3}}
	projecttest.Run(t, view, signs, map[string]projecttest.Case[sign]{
		"nothing happened": {},
		"fading adds up":   {Given: all, Rows: []string{`{"id": "01900000-0000-7000-8000-000000000001", "text": "Exit", "author": "Ada", "faded": 5, "version": 3}`}},
		"erasing empties the name": {
			Given: append(all[:3:3], erased{}),
			Also:  []projecttest.Stream[sign]{{Tenant: uuid.New(), Events: all[:1]}},
			Rows:  []string{`{"author": "Ada", "version": 1}`, `{"author": "", "faded": 5, "version": 4}`},
		},
	})
}
