// Package storetest is the contract of eventstore.Store as tests; every engine passes all of it.
package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// Open gives a fresh, empty log with a log id of its own. What it opens ends with the test.
type Open func(t testing.TB) Log

// Log is one log under test.
type Log interface {
	// Store is this process's store: the same one until Reopen.
	Store() eventstore.Store
	// Again opens one more store on the log, as another process would.
	Again() eventstore.Store
	// Reopen closes Store, whatever it is doing, and opens it anew.
	Reopen() eventstore.Store
}

// What an engine may offer beside. A test that needs more than the engine offers says so and ends.
type (
	// Cutter cuts every connection the log's stores have to the server, before or after what was asked for is done.
	Cutter interface{ Cut() }
	// Staller holds up every append, as a slow transaction does, until released.
	Staller interface{ Stall() (release func()) }
	// Ager makes receipts and contents older.
	Ager interface{ Age(by time.Duration) }
	// Copier opens a store on a copy of the log as it is now: what a backup of this moment would restore.
	Copier interface{ Copy() eventstore.Store }
	// Spawner says where a real process finds the log; Main must be the package's TestMain.
	Spawner interface{ DSN() string }
)

// offered is the log's further ability, if it has it.
func offered[T any](f *fixture) (T, bool) {
	a, ok := f.Log.(T)
	if !ok {
		f.Logf("not proved: the engine offers no %T", new(T))
	}
	return a, ok
}

var contract = []struct {
	name string
	run  func(*fixture)
}{
	{"expect/every_mode", expectEveryMode},
	{"expect/check_only", expectCheckOnly},
	{"expect/raced_exact", expectRaced},
	{"expect/raced_any", expectRacedAny},
	{"expect/raced_check_only", expectRacedCheck},
	{"append/several_streams_or_none", appendAtomically},
	{"append/conflict_fails_alone", conflictFailsAlone},
	{"append/poison_fails_alone", poisonFailsAlone},
	{"append/kept_exactly", keptExactly},
	{"append/limits", limits},
	{"claims/life", claimsLife},
	{"claims/in_one_append", claimsInOneAppend},
	{"claims/refused_takes_nothing", claimsRefused},
	{"claims/raced", claimsRaced},
	{"claims/hand_over_raced", claimsHandOver},
	{"receipts/replayed", receiptsReplayed},
	{"receipts/come_first", receiptsComeFirst},
	{"receipts/several", receiptsSeveral},
	{"receipts/alone", receiptsAlone},
	{"receipts/refused_keeps_none", receiptsRefused},
	{"receipts/raced", receiptsRaced},
	{"receipts/raced_bodies", receiptsRacedBodies},
	{"receipts/expired", receiptsExpired},
	{"repeat/first_outcome", repeatFirstOutcome},
	{"repeat/raced", repeatRaced},
	{"repeat/partial", repeatPartial},
	{"repeat/elsewhere", repeatElsewhere},
	{"read/empty_log", readEmpty},
	{"read/first_position", readFirst},
	{"read/stream", readStream},
	{"read/log", readLog},
	{"read/of_another_store", readOther},
	{"read/backwards", readBackwards},
	{"read/filters", readFilters},
	{"read/count_and_at", readCountAndAt},
	{"read/as_of", readAsOf},
	{"read/wait", readWait},
	{"contents/kept", contentsKept},
	{"contents/swept", contentsSwept},
	{"deadlines", deadlines},
	{"deadlines/behind_a_slow_transaction", deadlinesStalled},
	{"follow/filtered", followFiltered},
	{"follow/foreign_log", followForeign},
	{"follow/restored_log", followRestored},
	{"follow/under_fire", followUnderFire},
	{"faults/cut", cut},
	{"faults/restart", restart},
	{"faults/killed_process", killedProcess},
	{"faults/frozen_process", frozenProcess},
	{"model", model},
}

// Run proves the contract on the engine behind open.
func Run(t *testing.T, open Open) {
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			log := open(t)
			c.run(&fixture{T: t, Log: log, ctx: ctx, open: open, store: log.Store(), tenant: uuid.New()})
		})
	}
}
