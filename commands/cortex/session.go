package cortex

import (
	"time"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
)

type (
	session       = domain.Session
	sessionEvents = es.Events[domain.Session]
)

// startSession begins a log-in of an account whose password was compared with this hash.
type startSession struct {
	account   uuid.UUID
	compared  string
	lives     time.Duration
	ip, agent string
}

func (c startSession) Other(es.Env) uuid.UUID { return c.account }

// DecideWith refuses when the account changed since the password was compared.
func (c startSession) DecideWith(env es.Env, _ session, u user) (sessionEvents, error) {
	if u.Status != domain.Active || u.Hash != c.compared {
		return nil, domain.ErrCredentials
	}
	return sessionEvents{domain.SessionStarted{Account: c.account, ExpiresAt: env.Now.Add(c.lives), IP: c.ip, UserAgent: c.agent}}, nil
}

// endSession is a log-out.
type endSession struct{}

func (endSession) Decide(_ es.Env, s session) (sessionEvents, error) {
	if s.Over {
		return nil, nil
	}
	return sessionEvents{domain.SessionEnded{}}, nil
}

// revokeSession ends it against its holder's will.
type revokeSession struct{ reason string }

func (c revokeSession) Decide(_ es.Env, s session) (sessionEvents, error) {
	if s.Over {
		return nil, nil
	}
	return sessionEvents{domain.SessionRevoked{Reason: c.reason}}, nil
}
