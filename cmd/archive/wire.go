package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/bgce/archive/commands"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/directory"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/project/metrics"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/run"
	"github.com/bgce/archive/platform/run/operate"
	"github.com/bgce/archive/projections"
	"github.com/bgce/archive/readapi"
	"github.com/bgce/archive/schemas"
)

// servicePorts are the ports of the service registry.
var servicePorts = map[string]int{"cortex": 8080, "postal": 8081}

// rooms lists every room of this build.
func rooms() []string {
	all := maps.Clone(commands.Rooms(nil))
	for room := range readapi.Rooms {
		all[room] = nil
	}
	for room := range projections.Rooms {
		all[room] = nil
	}
	return slices.Sorted(maps.Keys(all))
}

// views of the rooms chosen.
func views(parts run.Parts) []project.View {
	var list []project.View
	for _, room := range slices.Sorted(maps.Keys(projections.Rooms)) {
		if parts.Has("project", room) {
			list = append(list, projections.Rooms[room]...)
		}
	}
	return list
}

// mount adds the routes of the rooms chosen, in order of name, so that the document is the same every time.
func mount(api *rest.API, parts run.Parts, service *auth.Service, process *operate.Process) {
	for _, each := range []struct {
		role  string
		rooms map[string]func(*rest.API)
	}{{"write", commands.Rooms(service)}, {"read", readapi.Rooms}} {
		for _, room := range slices.Sorted(maps.Keys(each.rooms)) {
			if parts.Has(each.role, room) {
				each.rooms[room](api)
			}
		}
	}
	operate.Routes(api, process)
}

// api is the whole edge of this process.
func (a *app) api(ctx context.Context, s *storage, engine *project.Engine, parts run.Parts, process *operate.Process) (*rest.API, error) {
	cursors, err := s.vault.Secret(ctx, "rest.cursors")
	if err != nil {
		return nil, err
	}
	a.tel.Registry.MustRegister(metrics.New(s.db, s.log))
	api := rest.New(rest.Config{
		Title: "Archive", Version: version, Examples: schemas.Examples,
		Kernel: s.kernel, DB: s.db, Directory: directory.New(s.db, s.log.Head), Verifier: s.auth,
		Waiter:    project.Reader{DB: s.db, Engine: engine}.WaitFor,
		CursorKey: cursors[:],
		Domain:    a.cfg.Domain, Loopback: a.cfg.Loopback(), TrustedProxies: a.cfg.Proxies(),
		Limits: rest.Limits{Reads: a.cfg.LimitReads, Writes: a.cfg.LimitWrites, Auth: a.cfg.LimitAuth},
		Ready: map[string]func(context.Context) error{
			"database": s.db.Ping,
			"log":      func(ctx context.Context) error { _, err := s.log.Head(ctx); return err },
			"views":    func(ctx context.Context) error { return viewsReady(ctx, s) },
		},
		Wrap: a.tel.HTTP, Metrics: a.tel.Metrics(), Registry: a.tel.Registry, Log: a.logger(),
	})
	mount(api, parts, s.auth, process)
	return api, nil
}

// viewsLag is how old an unapplied event may get before this process says it is not ready.
const viewsLag = 30 * time.Second

func viewsReady(ctx context.Context, s *storage) error {
	states, err := project.States(ctx, s.db, s.log)
	for _, v := range states {
		if v.Served && (v.State != project.Live || v.Age > viewsLag) {
			err = errors.Join(err, fmt.Errorf("%s is %s, %s behind", v.View, v.State, v.Age.Round(time.Second)))
		}
	}
	return err
}

func openapiCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "openapi", Short: "Print the OpenAPI 3.1 document of the whole API; needs no database", Args: cobra.NoArgs,
		Example: "  archive openapi > openapi.json",
		RunE: func(*cobra.Command, []string) error {
			api := rest.New(rest.Config{Title: "Archive", Version: version, Examples: schemas.Examples, Metrics: http.NotFoundHandler()})
			mount(api, run.All(), nil, &operate.Process{})
			doc, err := api.OpenAPI()
			if err == nil {
				_, err = fmt.Fprintln(a.out, string(doc))
			}
			return err
		},
	}
}
