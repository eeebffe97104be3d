package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/bgce/archive/platform/config"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/run"
	"github.com/bgce/archive/platform/run/operate"
)

// viewLine is a view as a person wants to see it.
type viewLine struct {
	View        string `json:"view"`
	Version     int    `json:"version"`
	State       string `json:"state"`
	Lag         int64  `json:"lag"`
	Age         string `json:"age"`
	Quarantined int64  `json:"quarantined"`
	Heartbeat   string `json:"heartbeat"`
}

func statusCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "What runs, what lags; exit code 4 when something needs an operator", Args: cobra.NoArgs,
		Example: "  archive status\n  archive status -o json --server https://archive.example.org",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := a.client()
			if err != nil {
				return err
			}
			var status operate.Status
			if _, err := api.Do(cmd.Context(), http.MethodGet, "/api/v1/platform/status", nil, nil, &status); err != nil {
				return err
			}
			if a.output == "table" {
				fmt.Fprintf(a.out, "Archive %s at %s since %s · %s · runs %s\nlog %s: %d events · views: %d live, %d behind, %d stopped · %d streams quarantined\n\n",
					status.Version, status.URL, status.StartedAt.Local().Format(time.DateTime), status.Database, status.Parts,
					status.Log.ID, status.Log.Events, status.Views.Live, status.Views.Behind, status.Views.Stopped, status.Views.Quarantined)
				if err := a.listViews(cmd.Context()); err != nil {
					return err
				}
			} else if err := a.show([]operate.Status{status}); err != nil {
				return err
			}
			if status.Views.Stopped > 0 || status.Views.Quarantined > 0 {
				return &findings{fmt.Errorf("%d views stopped, %d streams quarantined; see: archive views", status.Views.Stopped, status.Views.Quarantined)}
			}
			return nil
		},
	}
}

func viewsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "views", Short: "List, rebuild and verify the read models", Example: "  archive views list"}
	list := &cobra.Command{
		Use: "list", Short: "Every view: version, state, lag", Args: cobra.NoArgs, Example: "  archive views list\n  archive views list -o csv",
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listViews(cmd.Context()) },
	}
	rebuild := &cobra.Command{
		Use: "rebuild NAME", Short: "Build a view anew from the log beside the live one, then switch to it", Args: cobra.ExactArgs(1),
		Example: "  archive views rebuild postal.posts",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withView(cmd.Context(), args[0], func(e *project.Engine) error {
				began := time.Now()
				if err := e.Rebuild(cmd.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(a.err, "%s was built anew in %.1f s and is live; the old tables are kept\n", args[0], time.Since(began).Seconds())
				return nil
			})
		},
	}
	verify := &cobra.Command{
		Use: "verify NAME", Short: "Prove from the log that a view took in exactly the events it should have", Args: cobra.ExactArgs(1),
		Example: "  archive views verify postal.posts",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withView(cmd.Context(), args[0], func(e *project.Engine) error {
				v, err := e.Verify(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if a.output == "json" {
					err = a.show([]project.Verification{v})
				} else {
					_, err = fmt.Fprintln(a.out, v)
				}
				if err == nil && !v.OK() {
					err = &findings{fmt.Errorf("%s is not what the log says", args[0])}
				}
				return err
			})
		},
	}
	for _, c := range []*cobra.Command{rebuild, verify} {
		config.AddFlags(c.Flags(), "db", "key", "pg_bin")
	}
	cmd.AddCommand(list, rebuild, verify)
	return cmd
}

func (a *app) listViews(ctx context.Context) error {
	api, err := a.client()
	if err != nil {
		return err
	}
	var answer struct {
		Items []operate.View `json:"items"`
	}
	if _, err := api.Do(ctx, http.MethodGet, "/api/v1/platform/views", nil, nil, &answer); err != nil {
		return err
	}
	if a.output == "json" {
		return a.show(answer.Items)
	}
	var lines []viewLine
	for _, v := range answer.Items {
		line := viewLine{v.View, v.Version, v.State, v.Lag, fmt.Sprintf("%.1f s", v.LagSeconds), v.Quarantined, "never"}
		if !v.Heartbeat.IsZero() {
			line.Heartbeat = max(0, time.Since(v.Heartbeat)).Round(100*time.Millisecond).String() + " ago"
		}
		lines = append(lines, line)
	}
	return a.show(lines)
}

// withView works on a view in this process, beside a running server or without one.
func (a *app) withView(ctx context.Context, name string, work func(*project.Engine) error) error {
	var names []string
	found := false
	for _, v := range views(run.All()) {
		names = append(names, v.Name())
		found = found || v.Name() == name
	}
	if !found {
		return usage("there is no view %q%s", name, nearest(name, names, ""))
	}
	s, err := a.join(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	engine, err := s.engine(ctx, a, views(run.All()))
	if err == nil {
		err = engine.Migrate(ctx)
	}
	if err != nil {
		return err
	}
	return work(engine)
}
