package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/bgce/archive/platform/config"
	"github.com/bgce/archive/platform/vault"
)

func keyCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Make and change the keys that protect personal data and sign tokens", Example: "  archive key new"}
	made := &cobra.Command{
		Use: "new", Short: "Print a new master key for ARCHIVE_KEY; keep a copy in a safe place", Args: cobra.NoArgs,
		Example: "  archive key new > master.key\n  ARCHIVE_KEY=file:master.key ARCHIVE_DB=postgres://… archive serve",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.out, vault.NewKey().Base64())
			return err
		},
	}
	var signing bool
	rotate := &cobra.Command{
		Use: "rotate", Short: "Change the master key (it rewraps every key), or with --signing the key that signs tokens", Args: cobra.NoArgs,
		Long: `Changes the master key: every tenant's key and every signing key is wrapped anew, no personal data is touched. Without ARCHIVE_KEY the
new key replaces keys/master in the data directory and the old one is kept beside it until you delete it. With ARCHIVE_KEY the new key is
printed: put it in the place of the old one before you start anything again. Running servers must be stopped.

--signing asks the running server to let the next signing key sign from now on. Tokens signed before stay valid until they expire.`,
		Example: "  archive key rotate\n  archive key rotate --signing",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if signing {
				return a.rotateSigning(cmd.Context())
			}
			return a.rotateMaster(cmd.Context())
		},
	}
	rotate.Flags().BoolVar(&signing, "signing", false, "change the key that signs tokens instead")
	config.AddFlags(rotate.Flags(), "db", "key", "pg_bin")
	cmd.AddCommand(made, rotate)
	return cmd
}

func (a *app) rotateSigning(ctx context.Context) error {
	api, err := a.client()
	if err != nil {
		return err
	}
	var signs struct {
		KeyID string `json:"kid"`
	}
	if _, err := api.Do(ctx, http.MethodPost, "/api/v1/platform/signing-keys/rotate", nil, nil, &signs); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.out, signs.KeyID)
	return err
}

// rotateMaster writes the new key down before anything is wrapped with it, so that a crash at any point leaves one that opens.
func (a *app) rotateMaster(ctx context.Context) error {
	s, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	fresh := vault.NewKey()
	if a.cfg.Key != "" {
		if _, err := fmt.Fprintln(a.out, fresh.Base64()); err != nil {
			return err
		}
		return s.vault.Rotate(ctx, fresh)
	}
	path := masterPath(a.cfg)
	if err := writeSecret(path+".next", fresh.Base64()+"\n"); err != nil {
		return err
	}
	if err := s.vault.Rotate(ctx, fresh); err != nil {
		return err
	}
	old := path + ".before-" + time.Now().UTC().Format("20060102T150405Z")
	if err := errors.Join(os.Rename(path, old), os.Rename(path+".next", path)); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "the new key is in %s: back it up. %s is the old one; backups made before today need it.\n", path, old)
	return nil
}

func masterPath(cfg config.Config) string { return filepath.Join(cfg.Data, "keys", "master") }

// masterKey is ARCHIVE_KEY, or the key kept beside the private PostgreSQL, made on the first start.
func masterKey(cfg config.Config) (key vault.Key, made bool, err error) {
	if cfg.Key != "" {
		key, err = vault.ParseKey(cfg.Key.Reveal())
		return key, false, err
	}
	if !cfg.Embedded() {
		return key, false, errors.New("ARCHIVE_DB is set but ARCHIVE_KEY is not: make a key with 'archive key new', keep a copy, and set ARCHIVE_KEY to it or to file:PATH")
	}
	path := masterPath(cfg)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		made = true
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return key, false, err
		}
		if err := writeSecret(path, vault.NewKey().Base64()+"\n"); err != nil {
			return key, false, err
		}
	}
	key, err = vault.ParseKey("file:" + path)
	return key, made, err
}

// writeSecret writes a whole file or none, for this user's eyes only.
func writeSecret(path, text string) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}
