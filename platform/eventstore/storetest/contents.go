package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/bgce/archive/platform/eventstore"
)

func (f *fixture) put(data []byte) eventstore.Hash {
	f.Helper()
	h, err := f.store.PutContent(f.ctx, f.tenant, data)
	if err != nil || h != eventstore.Hash(sha256.Sum256(data)) {
		f.Fatalf("put %d bytes: %x, %v", len(data), h, err)
	}
	return h
}

// contents demands exactly these large texts among those asked for.
func (f *fixture) contents(asked []eventstore.Hash, want ...[]byte) {
	f.Helper()
	got, err := f.Again().Contents(f.ctx, asked)
	if err != nil || len(got) != len(want) {
		f.Fatalf("%d of %d large texts, %v; want %d", len(got), len(asked), err, len(want))
	}
	for _, data := range want {
		if !bytes.Equal(got[sha256.Sum256(data)], data) {
			f.Fatalf("a large text of %d bytes is not what was put", len(data))
		}
	}
}

func (f *fixture) referring(hashes ...eventstore.Hash) eventstore.Append {
	a := f.one()
	a.Writes[0].Events[0].Contents = hashes
	return a
}

func contentsKept(f *fixture) {
	large := bytes.Repeat([]byte("large\x00\xff"), eventstore.MaxContent/7)
	small, missing := []byte("small"), hash()
	a, b := f.put(large), f.put(small)
	if again := f.put(small); again != b {
		f.Fatalf("the same text again: %x", again)
	}
	f.contents([]eventstore.Hash{a, missing, b}, large, small)
	f.contents([]eventstore.Hash{missing})
	f.contents(nil)
	f.refused(eventstore.ErrContentMissing, f.referring(a, missing))
	f.must(f.referring(a, b))
	f.must(f.referring(b))

	group := []eventstore.Append{f.one(), f.referring(missing), f.referring(a), f.one()}
	for i, o := range f.together([]eventstore.Store{f.store}, group...) {
		if i == 1 {
			f.same(eventstore.ErrContentMissing, o.err)
			continue
		}
		f.accepted(group[i], o)
	}
}

func contentsSwept(f *fixture) {
	log, ok := offered[Ager](f)
	if !ok {
		return
	}
	used, unused, refused, fresh := []byte("used"), []byte("unused"), []byte("refused"), []byte("fresh")
	all := []eventstore.Hash{f.put(used), f.put(unused), f.put(refused)}
	f.must(f.referring(all[0]))
	late := f.referring(all[2])
	late.Writes[0].Expect = exists
	f.refused(stale(late.Writes[0].Stream, exists, 0), late)

	log.Age(100 * 365 * 24 * time.Hour)
	all = append(all, f.put(fresh)) // put a moment ago: its event may be on its way
	if n, err := f.store.Sweep(f.ctx); err != nil || n != 2 {
		f.Fatalf("swept %d, %v; want the two nobody refers to", n, err)
	}
	f.contents(all, used, fresh)
	f.refused(eventstore.ErrContentMissing, f.referring(all[1]))
	f.put(unused)
	f.must(f.referring(all[1]))
}

// deadlines: a context that has ended is an answer at once, and what was not called uncertain did not happen.
func deadlines(f *fixture) {
	at := f.must(f.one()).Positions[0]
	ended, cancel := context.WithCancel(f.ctx)
	cancel()
	var sent []eventstore.Append
	var uncertain []int
	for i := range 50 {
		a := f.one()
		sent = append(sent, a)
		if _, err := f.store.Append(ended, a); err == nil {
			f.Fatal("stored for a caller who had left")
		} else if errors.Is(err, eventstore.ErrUncertain) {
			uncertain = append(uncertain, i)
		}
	}
	f.must(f.one()) // behind all of them
	seen := f.audit()
	for i, a := range sent {
		if _, stored := seen[ids(a)[0]]; stored && !slices.Contains(uncertain, i) {
			f.Fatalf("append %d is in the log, its caller was told otherwise", i)
		}
	}
	for name, call := range map[string]func() error{
		"Read":       func() error { _, err := f.Again().Read(ended, eventstore.Query{}); return err },
		"ReadStream": func() error { _, err := f.store.ReadStream(ended, newStream(), 0, false, 1); return err },
		"Wait":       func() error { return f.store.Wait(ended, f.head()) },
		"At":         func() error { _, err := f.store.At(ended, at); return err },
		"Receipt":    func() error { _, _, err := f.store.Receipt(ended, hash()); return err },
		"Holder":     func() error { _, _, err := f.store.Holder(ended, hash()); return err },
		"PutContent": func() error { _, err := f.store.PutContent(ended, f.tenant, []byte("late")); return err },
	} {
		if err := call(); !errors.Is(err, context.Canceled) {
			f.Fatalf("%s for a caller who had left: %v", name, err)
		}
	}
}

func deadlinesStalled(f *fixture) {
	log, ok := offered[Staller](f)
	if !ok {
		return
	}
	release := log.Stall()
	a := f.one()
	short, cancel := context.WithTimeout(f.ctx, 60*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err := f.store.Append(short, a)
	if took := time.Since(began); took > time.Second {
		f.Fatalf("answered after %v", took)
	}
	release()
	if err == nil {
		f.Fatal("stored past a stalled log")
	}
	got := f.persist(f.store, a)
	if seen := f.audit(); seen[ids(a)[0]] != got.Positions[0] {
		f.Fatalf("in the log at %q, answered %q after %v", seen[ids(a)[0]], got.Positions[0], err)
	}
}
