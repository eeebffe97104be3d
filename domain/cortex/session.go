package cortex

import (
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
)

// Sessions holds one stream per log-in. These names are stored: add, never rename.
var Sessions = es.Define[Session]("cortex.session",
	es.On[SessionStarted]("started"), es.On[SessionEnded]("ended"), es.On[SessionRevoked]("revoked"))

// Session is what decisions about a log-in need.
type Session struct {
	Account uuid.UUID
	Over    bool
}

func (s Session) Owners() []es.Actor { return []es.Actor{es.UserActor(s.Account)} }

// SessionStarted keeps where the person came from under the person's key.
type SessionStarted struct {
	Account   uuid.UUID `json:"account"`
	ExpiresAt time.Time `json:"expires_at"`
	IP        string    `json:"ip" pii:"ip"`
	UserAgent string    `json:"user_agent" pii:"user_agent"`
}

func (e SessionStarted) Evolve(s *Session)  { s.Account = e.Account }
func (e SessionStarted) Subject() uuid.UUID { return e.Account }

// SessionEnded is a log-out.
type SessionEnded struct{}

func (SessionEnded) Evolve(s *Session) { s.Over = true }

// SessionRevoked ends it against its holder's will: "reuse" of a refresh token.
type SessionRevoked struct {
	Reason string `json:"reason"`
}

func (SessionRevoked) Evolve(s *Session) { s.Over = true }
