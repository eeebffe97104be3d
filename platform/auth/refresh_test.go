package auth_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/auth"
)

func (w *world) use(t *testing.T, token string, after time.Duration) string {
	t.Helper()
	next, of, err := w.Refresh(t.Context(), tenant, token, noon.Add(after))
	if err != nil || of != family {
		t.Fatalf("refresh after %s: %v, %v", after, of, err)
	}
	return next
}

func (w *world) refuses(t *testing.T, token string, after time.Duration, want error) {
	t.Helper()
	if _, _, err := w.Refresh(t.Context(), tenant, token, noon.Add(after)); !errors.Is(err, want) {
		t.Fatalf("refresh after %s: got %v, want %v", after, err, want)
	}
}

func TestRefreshTokensAreUsedOnce(t *testing.T) {
	w := start(t)
	first := must[string](t)(w.StartRefresh(t.Context(), family, noon))
	second := w.use(t, first, time.Hour)
	third := w.use(t, second, 2*time.Hour)
	if first == second || second == third || len(first) != 43 {
		t.Fatal("every refresh gives another token of 256 bits")
	}
	var stored string
	if err := w.db.QueryRow(t.Context(), `SELECT string_agg(r::text, ' ') FROM auth.refresh_tokens r`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stored, third) {
		t.Error("a live token shows in the table")
	}
}

func TestGraceGivesTheOneLiveToken(t *testing.T) {
	w := start(t)
	first := must[string](t)(w.StartRefresh(t.Context(), family, noon))
	second := w.use(t, first, 0)
	if again := w.use(t, first, 30*time.Second); again != second {
		t.Error("within the grace the same successor is given")
	}
	third := w.use(t, second, 20*time.Second)
	if late := w.use(t, first, 25*time.Second); late != third {
		t.Error("a tab two steps behind gets the live token")
	}
	w.refuses(t, first, 31*time.Second, auth.ErrReused)
}

func TestReuseNamesTheSessionToEnd(t *testing.T) {
	w := start(t)
	first := must[string](t)(w.StartRefresh(t.Context(), family, noon))
	live := w.use(t, w.use(t, first, 0), time.Hour)
	_, of, err := w.Refresh(t.Context(), tenant, first, noon.Add(2*time.Hour))
	if !errors.Is(err, auth.ErrReused) || of != family {
		t.Fatalf("got %v of %v", err, of)
	}
	if err := w.Revoke(t.Context(), of.ID); err != nil {
		t.Fatal(err)
	}
	w.refuses(t, live, 2*time.Hour, auth.ErrRefresh)
	w.refuses(t, first, 2*time.Hour, auth.ErrRefresh)
}

func TestRefreshTokensExpire(t *testing.T) {
	w := start(t)
	const day = 24 * time.Hour
	idle := must[string](t)(w.StartRefresh(t.Context(), family, noon))
	w.refuses(t, idle, 30*day, auth.ErrRefresh)
	token := idle
	for _, at := range []time.Duration{29 * day, 58 * day, 87 * day} {
		token = w.use(t, token, at)
	}
	w.refuses(t, token, 90*day, auth.ErrRefresh)
	if gone := must[int64](t)(w.Sweep(t.Context(), noon.Add(91*day))); gone != 4 {
		t.Errorf("swept %d, want all 4", gone)
	}
}

func TestRefreshRefusesWhatIsNoTokenHere(t *testing.T) {
	w := start(t)
	token := must[string](t)(w.StartRefresh(t.Context(), family, noon))
	w.refuses(t, "", 0, auth.ErrRefresh)
	w.refuses(t, "nonsense", 0, auth.ErrRefresh)
	w.refuses(t, strings.Repeat("A", 43), 0, auth.ErrRefresh)
	if _, _, err := w.Refresh(t.Context(), other, token, noon); !errors.Is(err, auth.ErrRefresh) {
		t.Errorf("on another tenant's host: got %v", err)
	}
	w.use(t, token, 0) // and nothing of that used it up
}

func TestRefreshRaced(t *testing.T) {
	w := start(t)
	token := must[string](t)(w.StartRefresh(t.Context(), family, noon))
	got := make([]string, 16)
	var wg sync.WaitGroup
	for i := range got {
		s := w.another()
		wg.Go(func() { got[i], _, _ = s.Refresh(t.Context(), tenant, token, noon) })
	}
	wg.Wait()
	for _, next := range got {
		if next == "" || next != got[0] {
			t.Fatalf("16 at once got different tokens")
		}
	}
}

func TestRevokeAllKeepsOneSession(t *testing.T) {
	w := start(t)
	kept := auth.Session{Tenant: tenant, Account: account, ID: uuid.New()}
	ended := must[string](t)(w.StartRefresh(t.Context(), family, noon))
	live := must[string](t)(w.StartRefresh(t.Context(), kept, noon))
	if err := w.RevokeAll(t.Context(), tenant, account, kept.ID); err != nil {
		t.Fatal(err)
	}
	w.refuses(t, ended, 0, auth.ErrRefresh)
	if _, of, err := w.Refresh(t.Context(), tenant, live, noon); err != nil || of != kept {
		t.Errorf("the kept session: %v, %v", of, err)
	}
}
