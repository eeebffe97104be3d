package cortex_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/commands/cortex"
	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
)

func TestErasure(t *testing.T) {
	w := start(t)
	ada := w.add(t, "ada@acme.localhost", "editor")
	path := "/api/v1/users/" + ada.String()
	w.add(t, "bob@acme.localhost")
	wants(t, w.as(t, "bob@acme.localhost", "DELETE "+path, nil), 404, "rest.not_found")
	wants(t, w.as(t, "ada@acme.localhost", "DELETE "+path, nil), 200, "")
	w.caughtUp(t)
	wants(t, w.as(t, boss, "GET "+path, nil), 404, "rest.not_found")
	head := w.Head()
	wants(t, w.as(t, boss, "DELETE "+path, nil), 200, "") // again is quiet
	if w.Head() != head {
		t.Error("deleting again wrote something")
	}
	u, _, err := es.Load(t.Context(), w.Kernel, domain.Users, w.acme, ada)
	if err != nil || u.Email != "" || u.Hash != "" {
		t.Errorf("still there: %+v, %v", u, err)
	}
	if left, err := w.Vault.Announced(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v", left, err)
	}
	w.add(t, "ada@acme.localhost") // the address is free
}

func TestAnErasureThatACrashInterruptedIsFinished(t *testing.T) {
	w := start(t)
	ada, bob := w.add(t, "ada@acme.localhost"), w.add(t, "bob@acme.localhost")
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, id := range []uuid.UUID{ada, bob} {
		if err := w.Vault.Announce(t.Context(), w.acme, id, now); err != nil {
			t.Fatal(err)
		}
	}
	gone := es.Target{Tenant: w.acme, ID: ada, Deletes: true} // the event, and then the process died
	if _, err := es.Handle(t.Context(), w.Kernel, domain.Users, gone, es.Command[domain.User](cortex.DeleteUser{})); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{now.Add(time.Minute), now.Add(2 * time.Hour)} {
		if err := cortex.Settle(t.Context(), w.Kernel, w.auth, at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Vault.Seal(t.Context(), w.acme, ada, "", nil); !errors.Is(err, es.ErrErased) {
		t.Errorf("ada's key: got %v", err)
	}
	if _, err := w.Vault.Seal(t.Context(), w.acme, bob, "", nil); err != nil {
		t.Errorf("bob's deletion was never decided: got %v", err)
	}
	if left, err := w.Vault.Announced(t.Context()); err != nil || len(left) > 0 {
		t.Errorf("got %v, %v", left, err)
	}
}
