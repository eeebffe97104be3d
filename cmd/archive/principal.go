package main

import (
	"fmt"
	"net/http"

	"github.com/spf13/cobra"
)

// principalLine is shown once: the secret is not kept anywhere.
type principalLine struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
}

func principalCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "principal", Short: "Make and revoke the accounts of machines", Example: "  archive principal create judge-1 --role evaluator"}
	var role string
	create := &cobra.Command{
		Use: "create NAME", Short: "Make a machine account; its secret is shown this once", Args: cobra.ExactArgs(1),
		Example: "  archive principal create judge-1 --role evaluator\n  archive principal create importer --role service -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client()
			if err != nil {
				return err
			}
			var made principalLine
			if _, err := api.Do(cmd.Context(), http.MethodPost, "/api/v1/principals", nil, map[string]string{"name": args[0], "role": role}, &made); err != nil {
				return err
			}
			fmt.Fprintln(a.err, "keep the secret: it is not shown again. It is traded for a token at POST /api/v1/auth/token")
			return a.show([]principalLine{made})
		},
	}
	create.Flags().StringVar(&role, "role", "service", "what it may do: evaluator or service")
	revoke := &cobra.Command{
		Use: "revoke ID", Short: "End a machine account; its tokens stop within seconds", Args: cobra.ExactArgs(1),
		Example: "  archive principal revoke 01998f2e-0000-7000-8000-000000000000",
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := a.client()
			if err != nil {
				return err
			}
			if _, err = api.Do(cmd.Context(), http.MethodDelete, "/api/v1/principals/"+args[0], nil, nil, nil); err == nil {
				fmt.Fprintln(a.err, "revoked", args[0])
			}
			return err
		},
	}
	cmd.AddCommand(create, revoke)
	return cmd
}
