package auth

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
)

// LockFor is how long an account stays locked; failures older than this are forgotten.
const LockFor = 15 * time.Minute

const (
	tarpitFrom = 5
	lockAt     = 10
)

// Try is one attempt to log in.
type Try struct {
	Tenant   uuid.UUID
	Login    string // normalised e-mail, whether or not an account has it
	IP       string
	Password string
	Hash     string // of the account, "" if there is none
}

// Outcome of a Try. Wait > 0 means that nothing was checked: try again after it.
type Outcome struct {
	OK     bool
	Stale  bool // the hash should be made anew
	Locked bool // this failure locked the account
	Wait   time.Duration
}

// Check compares the password unless the account has to wait. At most as many guesses run at once as hashes do,
// and each is counted before the next takes its turn, so a burst guesses no more than a queue.
func (s *Service) Check(ctx context.Context, t Try, now time.Time) (Outcome, error) {
	account, err := s.Vault.ClaimHash(ctx, t.Tenant, "login account\x00"+t.Login)
	if err != nil {
		return Outcome{}, err
	}
	ip, err := s.Vault.ClaimHash(ctx, t.Tenant, "login ip\x00"+t.IP)
	if err != nil {
		return Outcome{}, err
	}
	done, err := turn(ctx)
	if err != nil {
		return Outcome{}, err
	}
	defer done()
	if wait, err := s.wait(ctx, account, now); err != nil || wait > 0 {
		return Outcome{Wait: wait}, err
	}
	ok, stale, err := compare(t.Password, t.Hash)
	if err != nil {
		return Outcome{}, err
	}
	if ok {
		_, err := s.db.Exec(ctx, `DELETE FROM auth.login_failures WHERE account = $1 AND ip = $2`, account[:], ip[:])
		return Outcome{OK: true, Stale: stale}, err
	}
	total, err := s.failed(ctx, account, ip, now)
	return Outcome{Locked: total >= lockAt}, err
}

func (s *Service) wait(ctx context.Context, account eventstore.Hash, now time.Time) (time.Duration, error) {
	var failures int
	var last time.Time
	if err := s.db.QueryRow(ctx, `SELECT coalesce(sum(failures), 0), coalesce(max(last_at), 'epoch') FROM auth.login_failures
		WHERE account = $1 AND last_at > $2`, account[:], now.Add(-LockFor)).Scan(&failures, &last); err != nil {
		return 0, err
	}
	return last.Add(pause(failures)).Sub(now), nil
}

// pause is how long after so many failures the next attempt has to wait.
func pause(failures int) time.Duration {
	switch {
	case failures < tarpitFrom:
		return 0
	case failures < lockAt:
		return min(time.Second<<(failures-tarpitFrom), 10*time.Second)
	default:
		return LockFor
	}
}

// failed counts a failure and gives how many the account has had lately, from everywhere.
func (s *Service) failed(ctx context.Context, account, ip eventstore.Hash, now time.Time) (total int, err error) {
	since := now.Add(-LockFor)
	if _, err := s.db.Exec(ctx, `INSERT INTO auth.login_failures AS f (account, ip, failures, last_at) VALUES ($1, $2, 1, $3)
		ON CONFLICT (account, ip) DO UPDATE SET last_at = $3, failures = CASE WHEN f.last_at > $4 THEN f.failures + 1 ELSE 1 END`,
		account[:], ip[:], now, since); err != nil {
		return 0, err
	}
	err = s.db.QueryRow(ctx, `SELECT coalesce(sum(failures), 0) FROM auth.login_failures WHERE account = $1 AND last_at > $2`, account[:], since).Scan(&total)
	return total, err
}
