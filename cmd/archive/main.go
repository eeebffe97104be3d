// Command archive is the whole backend in one binary: the server, and a client for those who run, operate and use it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/bgce/archive/platform/client"
	"github.com/bgce/archive/platform/config"
	"github.com/bgce/archive/platform/telemetry"
)

const version = "0.1.0"

// Exit codes, the same for every command.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitFindings    = 4 // it ran to its end and found something wrong
)

// app is what the commands share: settings in force, where to print, in which form.
type app struct {
	cfg        config.Config
	configFile string
	output     string // table, json or csv
	in         io.Reader
	out        io.Writer // data
	err        io.Writer // everything else
	log        *slog.Logger
	tel        *telemetry.Telemetry
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	err := root(a).ExecuteContext(ctx)
	if a.tel != nil {
		err = errors.Join(err, a.tel.Stop(context.WithoutCancel(ctx)))
	}
	if err != nil {
		fmt.Fprintln(a.err, "archive:", a.explain(err))
		os.Exit(exitCode(err))
	}
}

// root is the list of commands, grouped by who you are.
func root(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "archive", Short: "An event-sourced backend for articles and people, in one binary", Example: "  archive serve",
		SilenceErrors: true, SilenceUsage: true, CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	cmd.SetIn(a.in)
	cmd.SetOut(a.out)
	cmd.SetErr(a.err)
	groups(cmd, "run", "To run it:", serveCmd(a), migrateCmd(a), demoCmd(a), configCmd(a), versionCmd(a))
	groups(cmd, "operate", "To operate it:", statusCmd(a), viewsCmd(a), keyCmd(a), loginCmd(a), logoutCmd(a), principalCmd(a))
	groups(cmd, "analyse", "To build on it:", openapiCmd(a))
	groups(cmd, "move", "To move data:", importCmd(a))
	strict(cmd)
	flags := cmd.PersistentFlags()
	config.AddFlags(flags, "data", "server", "token", "host", "log_level", "log_format")
	flags.StringVar(&a.configFile, "config", "", "YAML file with settings; ./archive.yaml if it is there")
	flags.StringVarP(&a.output, "output", "o", "table", "form of the answer: table, json or csv")
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		if a.output != "table" && a.output != "json" && a.output != "csv" {
			return usage("-o %s is none of table, json, csv", a.output)
		}
		if a.cfg, err = config.Load(cmd.Flags(), os.Environ(), a.configFile); err != nil {
			return &usageError{err}
		}
		a.tel, err = telemetry.Start(cmd.Context(), version)
		return err
	}
	return cmd
}

func groups(parent *cobra.Command, id, title string, children ...*cobra.Command) {
	parent.AddGroup(&cobra.Group{ID: id, Title: title})
	for _, c := range children {
		c.GroupID = id
		parent.AddCommand(c)
	}
}

// client speaks to the server named by --server, or to the process that serves the data directory.
func (a *app) client() (*client.Client, error) { return client.New(a.options()) }

func (a *app) options() client.Options {
	opt := client.Options{Server: a.cfg.Server, Token: a.cfg.Token.Reveal(), Host: a.cfg.Host, Agent: "archive/" + version}
	if a.cfg.Server == "" {
		opt.Socket, opt.Token = filepath.Join(a.cfg.Data, "archive.sock"), ""
		if opt.Host == "" {
			opt.Host = a.cfg.Domain
		}
	} else if opt.Token == "" {
		opt.Renew = a.renew
	}
	return opt
}

// explain says what to do where the error itself only says what is.
func (a *app) explain(err error) error {
	var away *client.Unreachable
	if errors.As(err, &away) && a.cfg.Server == "" {
		return fmt.Errorf("nothing answers for %s: start it with 'archive serve', or name a directory with --data or a server with --server (%w)", a.cfg.Data, away.Err)
	}
	return err
}

// usageError is a mistake in how the command was called.
type usageError struct{ error }

func (u *usageError) Unwrap() error { return u.error }

func usage(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// findings says that a check ran to its end and did not like what it saw.
type findings struct{ error }

func exitCode(err error) int {
	var (
		wrong   *usageError
		away    *client.Unreachable
		noticed *findings
	)
	switch {
	case errors.As(err, &wrong):
		return exitUsage
	case errors.As(err, &away):
		return exitUnreachable
	case errors.As(err, &noticed):
		return exitFindings
	}
	return exitFailed
}
