package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bgce/archive/platform/client"
)

// tokens is what a log-in and a refresh answer.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

func loginCmd(a *app) *cobra.Command {
	var email string
	var printIt bool
	cmd := &cobra.Command{
		Use: "login", Short: "Log in: keep the session for the other commands, or print a token for curl", Args: cobra.NoArgs,
		Long: `Logs in with e-mail and password. With --server the session is kept in the configuration directory, for this user's eyes only, and the
other commands use it. Beside a server of this machine the other commands need no log-in; --print gives a token for curl. The first
administrator's password is read from the data directory as long as it stands there; otherwise it is asked for, or read from standard input.`,
		Example: "  TOKEN=$(archive login --print)\n  archive login --server https://archive.example.org --email me@example.org",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.cfg.Server == "" && !printIt {
				return usage("the server of this data directory needs no log-in; --print gives a token, --server URL logs in elsewhere")
			}
			return a.login(cmd.Context(), email, printIt)
		},
	}
	cmd.Flags().StringVar(&email, "email", "", "who logs in; locally the first administrator")
	cmd.Flags().BoolVar(&printIt, "print", false, "print the access token on standard output and keep nothing")
	return cmd
}

func (a *app) login(ctx context.Context, email string, printIt bool) error {
	var password string
	var err error
	if a.cfg.Server == "" && (email == "" || email == a.cfg.FirstAdmin()) {
		password = a.firstPassword()
		email = a.cfg.FirstAdmin()
	}
	if password == "" {
		if email, password, err = a.ask(email); err != nil {
			return err
		}
	}
	api, err := a.anonymous()
	if err != nil {
		return err
	}
	var got tokens
	_, err = api.Do(ctx, http.MethodPost, "/api/v1/auth/login", nil, map[string]string{"email": email, "password": password}, &got)
	if err != nil {
		return err
	}
	if printIt {
		_, err = fmt.Fprintln(a.out, got.Access)
		return err
	}
	if err := a.keepSession(got.Refresh); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "logged in at %s as %s\n", a.cfg.Server, email)
	return nil
}

// ask reads what is missing: from a person with the password hidden, or from standard input a line each.
func (a *app) ask(email string) (string, string, error) {
	in := bufio.NewReader(a.in)
	line := func(what string) (string, error) {
		fmt.Fprintf(a.err, "%s: ", what)
		text, err := in.ReadString('\n')
		if text = strings.TrimRight(text, "\r\n"); text == "" {
			return "", errors.Join(fmt.Errorf("no %s given", strings.ToLower(what)), err)
		}
		return text, nil
	}
	var err error
	if email == "" {
		if email, err = line("E-mail"); err != nil {
			return "", "", err
		}
	}
	if f, ok := a.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprintf(a.err, "Password of %s: ", email)
		typed, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(a.err)
		return email, string(typed), err
	}
	password, err := line("Password")
	return email, password, err
}

// anonymous is the client without anyone's rights but the right to log in.
func (a *app) anonymous() (*client.Client, error) {
	b := *a
	b.cfg.Token = ""
	opt := b.options()
	opt.Renew = nil
	return client.New(opt)
}

func logoutCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "logout", Short: "End the session that login keeps for a server", Args: cobra.NoArgs,
		Example: "  archive logout --server https://archive.example.org",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.cfg.Server == "" {
				return usage("say where to log out with --server URL")
			}
			api, err := a.client()
			if err != nil {
				return err
			}
			_, err = api.Do(cmd.Context(), http.MethodPost, "/api/v1/auth/logout", nil, nil, nil)
			var p *client.Problem
			if errors.As(err, &p) && p.Status == http.StatusUnauthorized {
				err = nil // it is over already
			}
			return errors.Join(err, a.keepSession(""))
		},
	}
}

// sessions are kept by server and tenant: the refresh tokens of this user.
func sessionsPath() (string, error) {
	dir, err := os.UserConfigDir()
	return filepath.Join(dir, "archive", "sessions.json"), err
}

func (a *app) sessionName() string { return a.cfg.Server + " " + a.cfg.Host }

func (a *app) keepSession(refresh string) error {
	path, err := sessionsPath()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	kept, err := readSessions(path)
	if err != nil {
		return err
	}
	kept[a.sessionName()] = refresh
	if refresh == "" {
		delete(kept, a.sessionName())
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return writeSecret(path, string(text)+"\n")
}

func readSessions(path string) (map[string]string, error) {
	kept := map[string]string{}
	read, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return kept, nil
	}
	if err == nil {
		err = json.Unmarshal(read, &kept)
	}
	return kept, err
}

// renew trades the kept refresh token for an access token and keeps its successor. Commands running side by side take turns, so that
// none uses a token the other has used up.
func (a *app) renew(ctx context.Context) (string, error) {
	path, err := sessionsPath()
	if err != nil {
		return "", err
	}
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrNotExist) {
		return "", errNotLoggedIn(a.cfg.Server)
	}
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", err
	}
	kept, err := readSessions(path)
	if err != nil {
		return "", err
	}
	refresh := kept[a.sessionName()]
	if refresh == "" {
		return "", errNotLoggedIn(a.cfg.Server)
	}
	api, err := a.anonymous()
	if err != nil {
		return "", err
	}
	var got tokens
	if _, err := api.Do(ctx, http.MethodPost, "/api/v1/auth/refresh", nil, map[string]string{"refresh_token": refresh}, &got); err != nil {
		return "", fmt.Errorf("%w; log in again: archive login --server %s", err, a.cfg.Server)
	}
	return got.Access, a.keepSession(got.Refresh)
}

func errNotLoggedIn(server string) error {
	return fmt.Errorf("not logged in at %s: archive login --server %[1]s, or set ARCHIVE_TOKEN", server)
}
