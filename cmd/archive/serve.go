package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/bgce/archive/commands/cortex"
	"github.com/bgce/archive/platform/config"
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/platform/run"
	"github.com/bgce/archive/platform/run/operate"
)

func serveCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Start the Archive; with nothing configured it brings its own PostgreSQL", Args: cobra.NoArgs,
		Long: `Starts everything in one process: the log, the API, the views. Without ARCHIVE_DB it starts a private PostgreSQL from the binaries that are
installed and keeps everything in the data directory. When all of it answers it says so on standard output. Ctrl-C or SIGTERM stops it:
requests finish, then the parts stop, then PostgreSQL. 'archive config' lists the settings.`,
		Example: "  archive serve\n  archive serve --http 0.0.0.0:80 --domain archive.example.org\n  archive serve --run 'write:postal,cortex read:*'\n  archive serve --service postal",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return quietly(a.serve(cmd.Context(), cmd.Flags().Changed("http")))
		},
	}
	config.AddFlags(cmd.Flags(), "http", "db", "eventstore", "key", "admin_email", "admin_password", "domain", "run", "service", "smtp",
		"trusted_proxies", "limit_reads", "limit_writes", "limit_auth", "auto_switch", "pg_bin")
	return cmd
}

func migrateCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the database's tables up to date and stop; serve does it too", Args: cobra.NoArgs,
		Example: "  archive migrate\n  ARCHIVE_DB=postgres://… ARCHIVE_KEY=file:master.key archive migrate",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := a.join(cmd.Context())
			if err != nil {
				return err
			}
			defer s.close()
			engine, err := s.engine(cmd.Context(), a, views(run.All()))
			if err == nil {
				err = engine.Migrate(cmd.Context())
			}
			if err == nil {
				fmt.Fprintf(a.err, "%s is up to date: %d views\n", s.server, len(engine.Views))
			}
			return err
		},
	}
	config.AddFlags(cmd.Flags(), "db", "key", "pg_bin")
	return cmd
}

// serve runs until the context ends or a part fails for good.
func (a *app) serve(ctx context.Context, addressGiven bool) error {
	began := time.Now()
	parts, err := a.parts(addressGiven)
	if err != nil {
		return err
	}
	l, err := listen(ctx, a.cfg.HTTP)
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	engine, err := s.engine(ctx, a, views(parts))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(a.cfg.Data, "mail"), 0o700); err != nil {
		return err
	}
	if err := a.insist(ctx, func() error { return engine.Migrate(ctx) }); err != nil {
		return err
	}
	if err := a.insist(ctx, func() error { return a.firstStart(ctx, s) }); err != nil {
		return err
	}
	var api *rest.API
	err = a.insist(ctx, func() (err error) {
		api, err = a.api(ctx, s, engine, parts, &operate.Process{Version: version, URL: a.cfg.URL(), Started: began, Parts: a.cfg.Run, Database: s.server, DB: s.db, Store: s.log})
		return err
	})
	if err != nil {
		return err
	}
	return a.work(ctx, s, engine, api, l, func(states []project.State) {
		a.announce(began, s, operate.Count(states))
	})
}

// parts are what --run or --service choose; a service listens on its own port unless the address was given.
func (a *app) parts(addressGiven bool) (run.Parts, error) {
	if a.cfg.Service == "" {
		parts, err := run.Parse(a.cfg.Run, rooms())
		if err != nil {
			return nil, &usageError{err}
		}
		return parts, nil
	}
	port, known := servicePorts[a.cfg.Service]
	if !known {
		return nil, usage("there is no service %q%s", a.cfg.Service, nearest(a.cfg.Service, rooms(), ""))
	}
	if !addressGiven && os.Getenv(config.Variable("http")) == "" {
		host, _, _ := net.SplitHostPort(a.cfg.HTTP)
		a.cfg.HTTP = net.JoinHostPort(host, strconv.Itoa(port))
	}
	a.cfg.Run = "write:" + a.cfg.Service + " read:" + a.cfg.Service + " project:" + a.cfg.Service
	return run.Only(a.cfg.Service), nil
}

// listen takes the port before anything is started, so that a port taken costs nothing. Nobody is answered before Serve.
func listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	_, port, _ := net.SplitHostPort(address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %s is taken: see by whom with 'ss -ltnp sport = :%[1]s', or choose another with ARCHIVE_HTTP=127.0.0.1:PORT", port)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("port %s is for root only: choose one above 1023 with ARCHIVE_HTTP, or allow it (setcap cap_net_bind_service=+ep)", port)
	case err != nil:
		return nil, fmt.Errorf("ARCHIVE_HTTP: %w", err)
	}
	return l, nil
}

// work runs the parts. They end in this order: HTTP stops accepting and drains, then what runs behind it; the caller closes storage.
func (a *app) work(ctx context.Context, s *storage, engine *project.Engine, api *rest.API, l net.Listener, ready func([]project.State)) error {
	behind, stopBehind := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBehind()
	parts, behind := errgroup.WithContext(behind)
	edge, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return quietly(engine.Run(behind)) })
	parts.Go(func() error { return a.sweep(behind, s) })
	parts.Go(func() error { return a.forgetFirstPassword(behind, s) })

	edge.Go(func() error { return api.Serve(ctx, l) })
	edge.Go(func() error { return a.serveSocket(ctx, api) })
	edge.Go(func() error { // a part that fails takes the edge down
		select {
		case <-ctx.Done():
			return nil
		case <-behind.Done():
			return errors.New("a part stopped")
		}
	})
	edge.Go(func() error {
		states, err := a.awaitReady(ctx, s, engine, l.Addr())
		if err == nil {
			ready(states)
		}
		return quietly(err)
	})
	err := edge.Wait()
	stopBehind()
	if failed := parts.Wait(); failed != nil {
		err = failed
	}
	if err == nil {
		fmt.Fprintln(a.err, "stopped; everything is in", a.cfg.Data)
	}
	return err
}

func quietly(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (a *app) serveSocket(ctx context.Context, api *rest.API) error {
	address, done, err := run.Reach(filepath.Join(a.cfg.Data, "archive.sock"))
	if err != nil {
		return err
	}
	defer done()
	return api.ServeSocket(ctx, address)
}

// awaitReady returns once every view that this process keeps has come to the end of the log and the listener answers. A view that
// waits for an operator does not hold the others up.
func (a *app) awaitReady(ctx context.Context, s *storage, engine *project.Engine, at net.Addr) ([]project.State, error) {
	tick, patience := time.NewTicker(10*time.Millisecond), time.NewTicker(10*time.Second)
	defer tick.Stop()
	defer patience.Stop()
	for {
		states, err := project.States(ctx, s.db, s.log)
		states = slices.DeleteFunc(states, func(state project.State) bool {
			return !slices.ContainsFunc(engine.Views, func(v project.View) bool { return v.Name() == state.View })
		})
		if err == nil && operate.Count(states).Behind == 0 && answers(ctx, at) {
			return states, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-patience.C:
			a.logger().Info("views are catching up with the log", "behind", operate.Count(states).Behind, "error", err)
		case <-tick.C:
		}
	}
}

func answers(ctx context.Context, at net.Addr) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+"/health/live", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK
}

// sweep removes what has expired (receipts, unreferenced contents, refresh tokens) and finishes erasures that a crash cut short:
// at the start and then every ten minutes.
func (a *app) sweep(ctx context.Context, s *storage) error {
	tick := time.NewTicker(10 * time.Minute)
	defer tick.Stop()
	for ctx.Err() == nil {
		_, err := s.log.Sweep(ctx)
		_, tokens := s.auth.Sweep(ctx, time.Now())
		if err = errors.Join(err, tokens, cortex.Settle(ctx, s.kernel, s.auth, time.Now())); err != nil && ctx.Err() == nil {
			a.logger().Warn("sweeping failed; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}
