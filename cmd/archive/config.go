package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/bgce/archive/platform/config"
)

func configCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Print the settings in force; secrets are not shown", Args: cobra.NoArgs,
		Example: "  archive config\n  ARCHIVE_HTTP=127.0.0.1:9000 archive config -o json",
		RunE:    func(*cobra.Command, []string) error { return a.show(a.cfg.Settings()) },
	}
	config.AddFlags(cmd.Flags())
	return cmd
}

func versionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs, Example: "  archive version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.out, "archive %s (%s %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
