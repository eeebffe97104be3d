package recent_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bgce/archive/platform/vault/recent"
)

func TestEntriesAreGoneAfterTheirTimeUsedOrNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := recent.New[string, int](100, time.Minute)
		m.Put("a", 1)
		for range 29 {
			time.Sleep(time.Second)
			if v, ok := m.Get("a"); !ok || v != 1 {
				t.Fatal("it was forgotten too early")
			}
		}
		time.Sleep(31*time.Second + time.Millisecond)
		if _, ok := m.Get("a"); ok {
			t.Fatal("it outlived its time")
		}
		m.Put("b", 2)
		time.Sleep(59 * time.Second)
		m.Get("b") // a late look must not prolong it
		time.Sleep(2 * time.Second)
		if _, ok := m.Get("b"); ok {
			t.Fatal("a late look prolonged it")
		}
	})
}

func TestItHoldsNoMoreThanItsLimit(t *testing.T) {
	m := recent.New[int, int](100, time.Hour)
	for i := range 10_000 {
		m.Put(i, i)
	}
	held := 0
	for i := range 10_000 {
		if _, ok := m.Get(i); ok {
			held++
		}
	}
	if held > 100 || held < 50 {
		t.Fatalf("it holds %d, want 50 to 100", held)
	}
	m.Forget(9_999)
	if _, ok := m.Get(9_999); ok {
		t.Error("forgotten, and still there")
	}
}
