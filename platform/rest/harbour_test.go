package rest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/rest/apitest"
)

// The toy of these tests: berths in a harbour.

type (
	berth struct {
		Name   string
		Closed bool
		Gone   bool
		owner  es.Actor
	}
	berthEvents = es.Events[berth]
	berthOpened struct {
		Name string `json:"name"`
	}
	berthMoved struct {
		Name string `json:"name"`
	}
	berthClosed  struct{}
	berthRemoved struct{}
)

func (b *berth) Stamp(e es.Envelope) {
	if e.Version == 1 {
		b.owner = e.Actor
	}
}
func (b berth) Owners() []es.Actor { return []es.Actor{b.owner} }
func (b berth) Public() bool       { return true }
func (b berth) Deleted() bool      { return b.Gone }

func (e berthOpened) Evolve(b *berth) { b.Name = e.Name }
func (e berthMoved) Evolve(b *berth)  { b.Name = e.Name }
func (berthClosed) Evolve(b *berth)   { b.Closed = true }
func (berthRemoved) Evolve(b *berth)  { b.Gone = true }

var berths = es.Define[berth]("harbour.berth",
	es.On[berthOpened]("opened"), es.On[berthMoved]("moved"), es.On[berthClosed]("closed"), es.On[berthRemoved]("removed"))

var errBerthClosed = fault.New(fault.Conflict, "harbour.berth_closed", "the berth is closed for good")

type OpenBerth struct {
	Name string   `json:"name" minLength:"1" maxLength:"40"`
	Size int      `json:"size,omitempty" minimum:"1"`
	Tags []string `json:"tags,omitempty" maxItems:"3"`
	Of   *Mooring `json:"of,omitempty"`
}

type Mooring struct {
	Rope string `json:"rope"`
}

func (c OpenBerth) Decide(es.Env, berth) (berthEvents, error) {
	return berthEvents{berthOpened{c.Name}}, nil
}

type MoveBerth struct {
	Name string `json:"name" minLength:"1" maxLength:"40"`
}

func (c MoveBerth) Decide(_ es.Env, b berth) (berthEvents, error) {
	if b.Closed {
		return nil, errBerthClosed
	}
	if b.Name == c.Name {
		return nil, nil
	}
	return berthEvents{berthMoved(c)}, nil
}

type CloseBerth struct{}

func (CloseBerth) Decide(_ es.Env, b berth) (berthEvents, error) {
	if b.Closed {
		return nil, nil
	}
	return berthEvents{berthClosed{}}, nil
}

type RemoveBerth struct{}

func (RemoveBerth) Decide(es.Env, berth) (berthEvents, error) {
	return berthEvents{berthRemoved{}}, nil
}

// NameBerth takes part of what it needs from the path.
type NameBerth struct {
	Number int `path:"number" json:"-" minimum:"1" maximum:"9"`
}

func (c NameBerth) Decide(es.Env, berth) (berthEvents, error) {
	return berthEvents{berthMoved{fmt.Sprintf("berth %d", c.Number)}}, nil
}

// CopyBerth takes the name of another berth.
type CopyBerth struct {
	From uuid.UUID `json:"from"`
}

func (c CopyBerth) Other(es.Env) uuid.UUID { return c.From }
func (c CopyBerth) DecideWith(_ es.Env, _, other berth) (berthEvents, error) {
	return berthEvents{berthMoved{other.Name}}, nil
}

type BerthView struct {
	ID      uuid.UUID `json:"id" db:"id"`
	Version int       `json:"version" db:"version"`
	Name    string    `json:"name" db:"name"`
	At      time.Time `json:"at" db:"at"`
}

type ListBerths struct {
	rest.Page
	Name string `query:"name"`
	Mine bool   `query:"mine"`
	Sort string `query:"sort" enum:"name,-name" default:"name"`
}

func (q ListBerths) Read(ctx context.Context, r *rest.Rows) (rest.List[BerthView], error) {
	s := rest.From("harbour.berths").Eq("name", q.Name)
	if q.Mine {
		s = s.Where("owner = @me", rest.Args{"me": string(r.Caller().Actor)})
	}
	order := "name"
	if q.Sort == "-name" {
		order = "name desc"
	}
	return rest.Many[BerthView](ctx, r, s, q.Page, order)
}

type ReadBerth struct {
	ID uuid.UUID `path:"id"`
}

func (q ReadBerth) Read(ctx context.Context, r *rest.Rows) (BerthView, error) {
	return rest.One[BerthView](ctx, r, rest.From("harbour.berths").Is("id", q.ID))
}

type CountBerths struct{}

type Count struct {
	Berths int `json:"berths"`
}

func (CountBerths) Read(ctx context.Context, r *rest.Rows) (Count, error) {
	n, err := rest.Query[int](ctx, r, `SELECT count(*) FROM {harbour.berths} b WHERE b.tenant = @tenant AND name <> '@tenant {x.y}'`)
	if err != nil {
		return Count{}, err
	}
	return Count{n[0]}, nil
}

// BreakBerth fails in ways that must not show.
type BreakBerth struct {
	How string `query:"how"`
}

func (q BreakBerth) Read(ctx context.Context, r *rest.Rows) (Count, error) {
	switch q.How {
	case "panic":
		panic("secret of a panic")
	case "moved":
		return Count{}, rest.MovedTo("/api/v1/berths")
	}
	return Count{}, errors.New("secret of the database")
}

type WatchBerths struct{}

func (WatchBerths) Stream(ctx context.Context, r *rest.Rows, after eventstore.Position, send func(rest.Message) error) error {
	k := r.Caller().Kernel
	for page, err := range eventstore.Follow(ctx, k.Store, eventstore.Checkpoint{Log: k.Store.LogID(), Position: after}, eventstore.Filter{Tenant: r.Caller().Tenant}, 100) {
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if err := send(rest.Message{Position: e.Position, Event: e.Type, Data: map[string]any{"id": e.Stream.ID}}); err != nil {
				return err
			}
		}
	}
	return nil
}

type berthRow struct {
	project.Key
	Name  string    `db:"name"`
	Owner string    `db:"owner"`
	At    time.Time `db:"at"`
}

var berthsView = project.Rows[berthRow]("harbour.berths", 1,
	`CREATE TABLE berths (tenant uuid, id uuid, version int NOT NULL, name text NOT NULL, owner text NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (tenant, id))`,
	project.From(berths,
		project.Insert(func(r *berthRow, e es.Recorded[berthOpened]) {
			r.Name, r.Owner, r.At = e.Data.Name, string(e.Actor), e.At
		}),
		project.Update(func(r *berthRow, e es.Recorded[berthMoved]) { r.Name = e.Data.Name }),
		project.Update(func(*berthRow, es.Recorded[berthClosed]) {}),
		project.Delete[berthRemoved](),
	))

func routes(api *rest.API) {
	all := rest.Over(api, "/api/v1/berths", berths)
	rest.Create[OpenBerth](all, "user")
	rest.Put[MoveBerth](all, "/{id}", "owner|editor")
	rest.Post[CloseBerth](all, "/{id}/close", "owner|editor")
	rest.Post[NameBerth](all, "/{id}/names/{number}", "owner|editor")
	rest.PostWith[CopyBerth](all, berths, "/{id}/copy", "editor")
	rest.Delete[RemoveBerth](all, "/{id}", "owner|admin")
	harbour := rest.Tag("harbour")
	rest.Get[ListBerths](api, "/api/v1/berths", "public", harbour)
	rest.Get[CountBerths](api, "/api/v1/berths/count", "admin|platform", harbour)
	rest.Get[BreakBerth](api, "/api/v1/berths/break", "public", harbour)
	rest.Get[ReadBerth](api, "/api/v1/berths/{id}", "public", harbour)
	rest.Stream[WatchBerths](api, "/api/v1/berths/events", "user", harbour)
}

func server(t testing.TB, config ...func(*rest.Config)) *apitest.Server {
	t.Helper()
	return apitest.New(t, apitest.Setup{Routes: []func(*rest.API){routes}, Views: []project.View{berthsView}, Config: func(c *rest.Config) {
		for _, f := range config {
			f(c)
		}
	}})
}

// open makes a berth as a user and gives its id and position.
func open(t testing.TB, s *apitest.Server, as, name string) (id, position string) {
	t.Helper()
	a := s.Do(t, apitest.Case{Do: "POST /api/v1/berths", As: as, Body: map[string]any{"name": name}})
	if a.Status != http.StatusCreated {
		t.Fatalf("open: %d %s", a.Status, a.Body)
	}
	return a.JSON(t)["id"].(string), a.Header.Get("Position")
}

// shed has no Owners.
type (
	shed       struct{}
	shedOpened struct{}
	openShed   struct{}
)

func (shedOpened) Evolve(*shed) {}
func (openShed) Decide(es.Env, shed) (es.Events[shed], error) {
	return es.Events[shed]{shedOpened{}}, nil
}

var sheds = es.Define[shed]("harbour.shed", es.On[shedOpened]("opened"))
