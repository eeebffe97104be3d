package auth

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/sync/semaphore"

	"github.com/bgce/archive/platform/fault"
)

// OWASP's figures for argon2id; a hash made with others is told to be made again.
var params = &argon2id.Params{Memory: 19 << 10, Iterations: 2, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// hashing bounds memory and processor time of this process: each hash takes 19 MiB and a core.
var hashing = semaphore.NewWeighted(int64(max(2, runtime.NumCPU())))

// ErrBusy is the answer to more log-ins at once than the processors can check.
var ErrBusy = fault.New(fault.Unavailable, "auth.busy", "too many passwords to check at once; try again").RetryAfter(1)

// turn waits for one of the places, not longer than people do.
func turn(ctx context.Context) (done func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := hashing.Acquire(ctx, 1); err != nil {
		return nil, ErrBusy.WithCause(err)
	}
	return func() { hashing.Release(1) }, nil
}

// dummy is checked where there is no hash, so that an unknown account costs what a known one does.
var dummy = sync.OnceValue(func() string {
	hash, err := argon2id.CreateHash("no account has this password", params)
	if err != nil {
		panic(err)
	}
	return hash
})

// HashPassword gives a PHC string. It waits for its turn as long as ctx allows.
func HashPassword(ctx context.Context, password string) (string, error) {
	done, err := turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	return argon2id.CreateHash(password, params)
}

// CheckPassword compares at the cost of one hash; an empty hash matches nothing. stale asks for hashing anew with today's figures.
func CheckPassword(ctx context.Context, password, hash string) (match, stale bool, err error) {
	done, err := turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	return compare(password, hash)
}

func compare(password, hash string) (match, stale bool, err error) {
	known := hash != ""
	if !known {
		hash = dummy()
	}
	match, with, err := argon2id.CheckHash(password, hash)
	if err != nil {
		return false, false, fmt.Errorf("auth: stored password hash: %w", err)
	}
	return match && known, match && *with != *params, nil
}
