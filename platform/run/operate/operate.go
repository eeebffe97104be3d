// Package operate answers what runs in this process and what lags.
package operate

import (
	"context"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/rest"
)

// Process is what the operations report on. For the document alone the zero value will do.
type Process struct {
	Version  string
	URL      string // of the API, for this machine
	Started  time.Time
	Parts    string // as configured: "all", "write:* …"
	Database string // "PostgreSQL 15, private"
	DB       *pgxpool.Pool
	Store    eventstore.Store
}

// Status is the whole in one look.
type Status struct {
	Version   string    `json:"version"`
	URL       string    `json:"url" doc:"Where the API listens, for this machine."`
	StartedAt time.Time `json:"started_at"`
	Parts     string    `json:"parts" doc:"What this process runs."`
	Database  string    `json:"database"`
	Log       LogStatus `json:"log"`
	Views     Views     `json:"views"`
}

// LogStatus is where the log ends.
type LogStatus struct {
	ID     string              `json:"id"`
	Head   eventstore.Position `json:"head" doc:"Position of the last event; empty for an empty log."`
	Events int64               `json:"events"`
}

// Views counts the tables that readers see.
type Views struct {
	Live        int   `json:"live"`
	Behind      int   `json:"behind" doc:"Live views that have not passed the end of the log."`
	Stopped     int   `json:"stopped" doc:"Views that do not follow the log until an operator acts."`
	Quarantined int64 `json:"quarantined" doc:"Streams set aside, over all views."`
}

// Count sums up how views stand.
func Count(states []project.State) Views {
	var v Views
	for _, s := range states {
		if !s.Served {
			continue
		}
		v.Quarantined += s.Quarantined
		if s.State != project.Live {
			v.Stopped++
			continue
		}
		v.Live++
		if s.Lag != 0 || s.Heartbeat == nil {
			v.Behind++
		}
	}
	return v
}

// View is how one set of a view's tables stands.
type View struct {
	View        string              `json:"view"`
	Version     int                 `json:"version"`
	State       string              `json:"state" doc:"live, building, diverged or failed."`
	Served      bool                `json:"served" doc:"Readers see these tables."`
	Error       string              `json:"error,omitempty"`
	Position    eventstore.Position `json:"position"`
	Lag         int64               `json:"lag" doc:"Events of the log beyond the position; -1 when it follows another log."`
	LagSeconds  float64             `json:"lag_seconds" doc:"Age of the oldest of them."`
	Applied     int64               `json:"applied"`
	Quarantined int64               `json:"quarantined" doc:"Streams set aside."`
	Held        int64               `json:"held" doc:"Events of these streams."`
	Discarded   int64               `json:"discarded"`
	Heartbeat   time.Time           `json:"heartbeat,omitzero" doc:"When its worker was last known to be alive."`
}

func viewOf(s project.State) View {
	v := View{s.View, s.Version, s.State, s.Served, s.Error, s.Position, s.Lag, s.Age.Seconds(), s.Applied, s.Quarantined, s.Held, s.Discarded, time.Time{}}
	if s.Heartbeat != nil {
		v.Heartbeat = *s.Heartbeat
	}
	return v
}

type statusAnswer struct{ Body Status }

type viewsAnswer struct {
	Body struct {
		Items []View `json:"items"`
	}
}

// Routes mounts the operations; only the platform may ask.
func Routes(api *rest.API, p *Process) {
	rest.Do(api, http.MethodGet, "/api/v1/platform/status", "platform", "ReadStatus", p.status, rest.Tag("platform"))
	rest.Do(api, http.MethodGet, "/api/v1/platform/views", "platform", "ListViews", p.views, rest.Tag("platform"))
}

func (p *Process) status(ctx context.Context, _ rest.Caller, _ *struct{}) (*statusAnswer, error) {
	states, err := project.States(ctx, p.DB, p.Store)
	if err != nil {
		return nil, err
	}
	head, err := p.Store.Head(ctx)
	if err != nil {
		return nil, err
	}
	events, err := p.Store.Count(ctx, "", head)
	if err != nil {
		return nil, err
	}
	return &statusAnswer{Status{p.Version, p.URL, p.Started, p.Parts, p.Database, LogStatus{p.Store.LogID(), head, events}, Count(states)}}, nil
}

func (p *Process) views(ctx context.Context, _ rest.Caller, _ *struct{}) (*viewsAnswer, error) {
	states, err := project.States(ctx, p.DB, p.Store)
	if err != nil {
		return nil, err
	}
	answer := &viewsAnswer{}
	answer.Body.Items = make([]View, 0, len(states))
	for _, s := range states {
		answer.Body.Items = append(answer.Body.Items, viewOf(s))
	}
	return answer, nil
}
