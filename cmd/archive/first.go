package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bgce/archive/commands/cortex"
	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/config"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
)

// firstAdminPath is where the first administrator's password stands until it is changed.
func firstAdminPath(cfg config.Config) string { return filepath.Join(cfg.Data, "first-admin") }

// firstStart makes the root tenant and its administrator when the log is empty. A password made here is written down before it is
// used: a crash between the two must not leave an account that nobody can enter.
func (a *app) firstStart(ctx context.Context, s *storage) error {
	head, err := s.log.Head(ctx)
	if err != nil || head != "" {
		return err
	}
	password, path := a.firstPassword(), firstAdminPath(a.cfg)
	if password == "" {
		password = rand.Text()
		if err := writeSecret(path, password+"\n"); err != nil {
			return fmt.Errorf("the first administrator's password cannot be written down: %w", err)
		}
	}
	made, err := cortex.Bootstrap{Domain: a.cfg.Domain, AdminEmail: a.cfg.FirstAdmin(), AdminPassword: password}.Run(ctx, s.kernel)
	if err == nil && !made { // another process was first, with another password
		err = os.Remove(path)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	}
	return err
}

// firstPassword is the first administrator's, as configured or as written down; "" when it is neither.
func (a *app) firstPassword() string {
	if a.cfg.AdminPassword != "" {
		return a.cfg.AdminPassword.Reveal()
	}
	read, err := os.ReadFile(firstAdminPath(a.cfg))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(read))
}

// forgetFirstPassword removes the written password once it is not the password any more.
func (a *app) forgetFirstPassword(ctx context.Context, s *storage) error {
	path := firstAdminPath(a.cfg)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for err := firstPasswordChanged(ctx, s.kernel); err != nil; err = firstPasswordChanged(ctx, s.kernel) {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second): // the log was away; it is looked through again
		}
	}
	a.logger().Info("the first administrator's password was changed; the file with the old one is removed", "file", path)
	return os.Remove(path)
}

// firstPasswordChanged returns nil when the first administrator has chosen a password of their own, or is gone; else why it stopped looking.
func firstPasswordChanged(ctx context.Context, k *es.Kernel) error {
	filter := eventstore.Filter{
		Categories: []string{domain.Users.Name()}, Tenant: domain.Root,
		Types: []string{domain.Users.Name() + ".password_changed", domain.Users.Name() + ".deleted"},
	}
	for page, err := range eventstore.Follow(ctx, k.Store, eventstore.Checkpoint{Log: k.Store.LogID()}, filter, 1000) {
		if err != nil {
			return err
		}
		for _, e := range page.Events {
			if e.Stream.ID == cortex.FirstAdmin {
				return nil
			}
		}
	}
	return ctx.Err()
}
