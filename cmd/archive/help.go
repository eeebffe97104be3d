package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bgce/archive/platform/config"
)

// strict makes mistakes in words, flags and arguments usage errors that name the nearest known one.
func strict(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		_, name, unknown := strings.Cut(err.Error(), "unknown flag: --")
		if !unknown {
			return &usageError{err}
		}
		var names []string
		collect := func(f *pflag.Flag) { names = append(names, f.Name) }
		c.Flags().VisitAll(collect)
		c.InheritedFlags().VisitAll(collect)
		return usage("%v%s; see: %s --help", err, nearest(name, names, "--"), c.CommandPath())
	})
	for _, child := range cmd.Commands() {
		strict(child)
	}
	if cmd.HasSubCommands() {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			var names []string
			for _, child := range c.Commands() {
				if child.IsAvailableCommand() {
					names = append(names, child.Name())
				}
			}
			return usage("unknown command %q%s; see: %s --help", args[0], nearest(args[0], names, ""), c.CommandPath())
		}
		return
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usage("%v; see: %s --help", err, c.CommandPath())
			}
			return nil
		}
	}
}

func nearest(word string, among []string, prefix string) string {
	if near := config.Nearest(word, among); near != "" {
		return "; did you mean " + prefix + near + "?"
	}
	return ""
}
