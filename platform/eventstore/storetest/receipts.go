package storetest

import (
	"bytes"
	"time"

	"github.com/bgce/archive/platform/eventstore"
)

// command is an append of one event to a new stream with a receipt behind it.
func (f *fixture) command(key, body eventstore.Hash, answer string) eventstore.Append {
	a := f.one()
	a.Receipts = []eventstore.Receipt{{Key: key, Fingerprint: body, Answer: []byte(answer), After: 1}}
	return a
}

func (f *fixture) receipt(want eventstore.Receipt) {
	f.Helper()
	got, found, err := f.store.Receipt(f.ctx, want.Key)
	if err != nil || !found || !sameReceipt(got, want) {
		f.Fatalf("receipt %+v, found %v, %v; want %+v", got, found, err, want)
	}
}

func (f *fixture) noReceipt(key eventstore.Hash) {
	f.Helper()
	if got, found, err := f.store.Receipt(f.ctx, key); err != nil || found {
		f.Fatalf("receipt %+v, %v; want none", got, err)
	}
}

// kept is the receipt as it has to be found after the append.
func kept(r eventstore.Receipt, done eventstore.Result) eventstore.Receipt {
	if r.After > 0 {
		r.Position = done.Positions[r.After-1]
	}
	return r
}

func receiptsReplayed(f *fixture) {
	key, body := hash(), hash()
	f.noReceipt(key)
	first := f.command(key, body, `{"id":1}`)
	want := kept(first.Receipts[0], f.must(first))
	f.receipt(want)
	for range 3 { // new events each time: a client that sends its command again
		f.refused(&eventstore.ReceiptExists{Index: 0, Receipt: want}, f.command(key, body, `{"id":2}`))
	}
	f.refused(&eventstore.KeyReused{Index: 0}, f.command(key, hash(), `{"id":3}`))
	f.receipt(want)
	f.store = f.Reopen()
	f.refused(&eventstore.ReceiptExists{Index: 0, Receipt: want}, f.command(key, body, ""))
	f.must(f.command(hash(), body, "")) // another key, the same body: another command
}

// A command sent again meets its own effects (the version it made, the claim it took): the receipt must answer before they do.
func receiptsComeFirst(f *fixture) {
	s, other, claim := newStream(), newStream(), hash()
	key, body := hash(), hash()
	send := func(s eventstore.Stream) eventstore.Append {
		a := f.claim(s, eventstore.Take, claim)
		a.Writes[0].Expect = none
		a.Receipts = []eventstore.Receipt{{Key: key, Fingerprint: body, Answer: []byte("x"), After: 1}}
		return a
	}
	first := send(s)
	want := kept(first.Receipts[0], f.must(first))
	f.refused(&eventstore.ReceiptExists{Receipt: want}, send(s))
	f.refused(&eventstore.ReceiptExists{Receipt: want}, send(other))
}

func receiptsSeveral(f *fixture) {
	before := f.must(f.one()).Positions[0]
	a := writes(f.write(newStream(), none, 2), f.write(newStream(), none, 1))
	for after := range 4 {
		a.Receipts = append(a.Receipts, eventstore.Receipt{Key: hash(), Fingerprint: hash(), Answer: []byte{byte(after)}, After: after})
	}
	a.Receipts[0].Position = before // decided to do nothing, on this state
	done := f.must(a)
	for _, r := range a.Receipts {
		f.receipt(kept(r, done))
	}
	again := f.command(hash(), hash(), "")
	fresh := again.Receipts[0].Key
	again.Receipts = append(again.Receipts, a.Receipts[2])
	again.Receipts[1].After = 1
	f.refused(&eventstore.ReceiptExists{Index: 1, Receipt: kept(a.Receipts[2], done)}, again)
	again.Receipts[1].Fingerprint = hash()
	f.refused(&eventstore.KeyReused{Index: 1}, again)
	f.noReceipt(fresh)
}

func receiptsAlone(f *fixture) {
	at := f.must(f.one()).Positions[0]
	r := eventstore.Receipt{Key: hash(), Fingerprint: hash(), Answer: []byte("nothing to do"), Position: at}
	f.must(eventstore.Append{Receipts: []eventstore.Receipt{r}})
	f.receipt(r)
	f.refused(&eventstore.ReceiptExists{Receipt: r}, eventstore.Append{Receipts: []eventstore.Receipt{r}})
	r.Fingerprint = hash()
	f.refused(eventstore.ErrKeyReused, eventstore.Append{Receipts: []eventstore.Receipt{r}})

	long := eventstore.Receipt{Key: hash(), Fingerprint: hash(), Answer: bytes.Repeat([]byte("\x00answer\xff\n"), 100)}
	f.must(eventstore.Append{Receipts: []eventstore.Receipt{long}})
	f.refused(&eventstore.ReceiptExists{Receipt: long}, eventstore.Append{Receipts: []eventstore.Receipt{long}})

	empty := eventstore.Receipt{Key: hash(), Fingerprint: hash()} // no answer, before the first event
	f.must(eventstore.Append{Receipts: []eventstore.Receipt{empty}})
	f.receipt(empty)
}

func receiptsRefused(f *fixture) {
	s := newStream()
	f.must(writes(f.write(s, none, 1)))
	a := f.command(hash(), hash(), "")
	a.Writes[0].Stream = s
	f.refused(stale(s, none, 1), a)
	f.noReceipt(a.Receipts[0].Key)
	a = f.command(hash(), hash(), "")
	a.Claims = []eventstore.Claim{{Key: hash(), Op: eventstore.Require, Holder: a.Writes[0].Stream}}
	f.refused(&eventstore.ClaimMissing{}, a)
	f.noReceipt(a.Receipts[0].Key)
}

// Sixteen of the same command at once: one happens, fifteen get its answer.
func receiptsRaced(f *fixture) {
	stores := []eventstore.Store{f.store, f.Again()}
	for range 8 {
		key, body := hash(), hash()
		racers := make([]eventstore.Append, 16)
		for i := range racers {
			racers[i] = f.command(key, body, string(rune('a'+i)))
		}
		answers := f.together(stores, racers...)
		won := f.winner(answers, func(won int) error {
			return &eventstore.ReceiptExists{Receipt: kept(racers[won].Receipts[0], answers[won].Result)}
		})
		f.receipt(kept(racers[won].Receipts[0], answers[won].Result))
		seen := f.audit()
		for i, r := range racers {
			if _, stored := seen[ids(r)[0]]; stored != (i == won) {
				f.Fatalf("append %d stored: %v, the winner is %d", i, stored, won)
			}
		}
	}
}

func receiptsRacedBodies(f *fixture) {
	key := hash()
	racers := make([]eventstore.Append, 16)
	for i := range racers {
		racers[i] = f.command(key, hash(), "")
	}
	f.winner(f.together([]eventstore.Store{f.store, f.Again()}, racers...), func(int) error { return &eventstore.KeyReused{} })
}

func receiptsExpired(f *fixture) {
	log, ok := offered[Ager](f)
	if !ok {
		return
	}
	key, body := hash(), hash()
	f.must(f.command(key, body, "first"))
	old := f.command(hash(), hash(), "old")
	first := f.must(old)
	log.Age(100 * 365 * 24 * time.Hour)
	f.noReceipt(key)

	again := f.command(key, hash(), "second") // another body: the key is free again
	want := kept(again.Receipts[0], f.must(again))
	f.receipt(want)
	if n, err := f.store.Sweep(f.ctx); err != nil || n != 1 {
		f.Fatalf("swept %d, %v; want the one that expired and was not used again", n, err)
	}
	f.receipt(want)
	f.noReceipt(old.Receipts[0].Key)
	f.repeated(f.store, old, first) // events never expire
	f.audit()
}
