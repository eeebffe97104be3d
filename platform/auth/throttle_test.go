package auth_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bgce/archive/platform/auth"
)

func TestGuessingIsSlowedThenLocked(t *testing.T) {
	w := start(t)
	hash := must[string](t)(auth.HashPassword(t.Context(), "right"))
	try := auth.Try{Tenant: tenant, Login: "ada@example.org", IP: "192.0.2.1", Password: "wrong", Hash: hash}
	at := noon
	check := func(try auth.Try) auth.Outcome {
		t.Helper()
		return must[auth.Outcome](t)(w.Check(t.Context(), try, at))
	}

	for i, pause := range []time.Duration{0, 0, 0, 0, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second} { // after the 1st … 9th failure
		try.IP = fmt.Sprintf("192.0.2.%d", i) // from everywhere
		if got := check(try); got != (auth.Outcome{}) {
			t.Fatalf("failure %d: got %+v", i+1, got)
		}
		if pause > 0 {
			at = at.Add(pause - time.Millisecond)
			if got := check(try); got.Wait != time.Millisecond {
				t.Fatalf("too early after failure %d: got %+v", i+1, got)
			}
			at = at.Add(time.Millisecond)
		}
	}
	if got := check(try); !got.Locked {
		t.Fatalf("the tenth failure: got %+v, want locked", got)
	}
	right := try
	right.Password = "right"
	at = at.Add(time.Minute)
	if got := check(right); got.OK || got.Wait != 14*time.Minute {
		t.Fatalf("locked: got %+v", got)
	}
	stranger := try
	stranger.Login = "bob@example.org"
	if got := check(stranger); got.Wait != 0 {
		t.Errorf("another account waits too: %+v", got)
	}
	at = at.Add(14 * time.Minute)
	if got := check(right); !got.OK {
		t.Fatalf("after the lock: got %+v", got)
	}
}

func TestAnUnknownAccountIsCountedLikeAKnownOne(t *testing.T) {
	w := start(t)
	try := auth.Try{Tenant: tenant, Login: "nobody@example.org", IP: "192.0.2.1", Password: "x"}
	for i := range 5 {
		if got := must[auth.Outcome](t)(w.Check(t.Context(), try, noon)); got != (auth.Outcome{}) {
			t.Fatalf("failure %d: got %+v", i+1, got)
		}
	}
	if got := must[auth.Outcome](t)(w.Check(t.Context(), try, noon)); got.Wait != time.Second {
		t.Fatalf("got %+v, want to wait 1 s", got)
	}
}

func TestABurstGuessesNoMoreThanAQueue(t *testing.T) {
	w := start(t)
	try := auth.Try{Tenant: tenant, Login: "ada@example.org", IP: "192.0.2.1", Password: "wrong"}
	var checked atomic.Int32
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if got, err := w.Check(t.Context(), try, noon); err == nil && got.Wait == 0 {
				checked.Add(1)
			}
		})
	}
	wg.Wait()
	if n := checked.Load(); n < 5 || n > 5+8 { // as many over as hashes run at once
		t.Errorf("%d of 40 were checked", n)
	}
}

func TestSuccessForgetsOnesOwnFailures(t *testing.T) {
	w := start(t)
	hash := must[string](t)(auth.HashPassword(t.Context(), "right"))
	try := auth.Try{Tenant: tenant, Login: "ada@example.org", IP: "192.0.2.1", Hash: hash}
	for range 3 {
		for range 4 {
			try.Password = "wrong"
			must[auth.Outcome](t)(w.Check(t.Context(), try, noon))
		}
		try.Password = "right"
		if got := must[auth.Outcome](t)(w.Check(t.Context(), try, noon)); !got.OK {
			t.Fatalf("got %+v", got)
		}
	}
}
