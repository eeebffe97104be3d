package cortex

import (
	"context"
	"errors"
	"math"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest"
)

// errWait slows down guessing, and everybody else who would log in to that account meanwhile.
var errWait = fault.New(fault.Limited, "cortex.login_throttled", "too many wrong passwords for this account; wait, then try again")

// LogInInput is the body of a log-in.
type LogInInput struct {
	Body struct {
		Email    string `json:"email" minLength:"1" maxLength:"254"`
		Password string `json:"password" minLength:"1" maxLength:"200"`
	}
}

// logIn answers an unknown address, a wrong password and a suspended account alike.
func (a accounts) logIn(ctx context.Context, c rest.Caller, in *LogInInput) (*auth.TokensAnswer, error) {
	login := domain.Fold(in.Body.Email)
	id, _, err := es.Find(ctx, c.Kernel, c.Tenant, domain.Emails, login)
	if err != nil {
		return nil, err
	}
	u, _, err := es.Load(ctx, c.Kernel, domain.Users, c.Tenant, id)
	if err != nil {
		return nil, err
	}
	t := c.Target(c.Operation, id)
	t.Key, t.Actor, t.OwnerOnly = "", es.UserActor(id), false
	done, err := a.check(ctx, c, login, in.Body.Password, u.Hash)
	switch {
	case err != nil:
		return nil, err
	case done.Locked && u.Hash != "":
		_, err := es.Handle(ctx, c.Kernel, domain.Users, t, es.Command[user](lockUser{c.Now.Add(auth.LockFor)}))
		return nil, errors.Join(domain.ErrCredentials, err)
	case !done.OK || u.Status != domain.Active:
		return nil, domain.ErrCredentials
	case !u.LockedUntil.IsZero():
		if _, err := es.Handle(ctx, c.Kernel, domain.Users, t, es.Command[user](unlockUser{})); err != nil {
			return nil, err
		}
	}
	t.ID, t.New = uuid.Must(uuid.NewV7()), true
	start := startSession{account: id, compared: u.Hash, lives: auth.RefreshAbsolute, ip: c.IP.String(), agent: clip(c.UserAgent)}
	if _, err := es.HandleWith(ctx, c.Kernel, domain.Sessions, domain.Users, t, es.CommandWith[session, user](start)); err != nil {
		return nil, err
	}
	refresh, err := a.auth.StartRefresh(ctx, auth.Session{Tenant: c.Tenant, Account: id, ID: t.ID}, c.Now)
	if err != nil {
		return nil, err
	}
	return a.auth.Answer(ctx, auth.Grant{Tenant: c.Tenant, Account: id, Session: t.ID, Roles: u.Roles}, refresh)
}

func (a accounts) check(ctx context.Context, c rest.Caller, login, password, hash string) (auth.Outcome, error) {
	done, err := a.auth.Check(ctx, auth.Try{Tenant: c.Tenant, Login: login, IP: c.IP.String(), Password: password, Hash: hash}, c.Now)
	if err == nil && done.Wait > 0 {
		err = errWait.RetryAfter(int(math.Ceil(done.Wait.Seconds())))
	}
	return done, err
}

// RefreshInput is the body of a refresh.
type RefreshInput struct {
	Body struct {
		RefreshToken string `json:"refresh_token" minLength:"1" maxLength:"200"`
	}
}

func (a accounts) refresh(ctx context.Context, c rest.Caller, in *RefreshInput) (*auth.TokensAnswer, error) {
	next, of, err := a.auth.Refresh(ctx, c.Tenant, in.Body.RefreshToken, c.Now)
	if errors.Is(err, auth.ErrReused) {
		return nil, errors.Join(err, a.end(ctx, c, of.ID, revokeSession{"reuse"}))
	}
	if err != nil {
		return nil, err
	}
	s, _, err := es.Load(ctx, c.Kernel, domain.Sessions, of.Tenant, of.ID)
	if err != nil {
		return nil, err
	}
	u, _, err := es.Load(ctx, c.Kernel, domain.Users, of.Tenant, of.Account)
	if err != nil {
		return nil, err
	}
	if s.Over || u.Status != domain.Active {
		return nil, errors.Join(auth.ErrRefresh, a.auth.Revoke(ctx, of.ID))
	}
	return a.auth.Answer(ctx, auth.Grant{Tenant: of.Tenant, Account: of.Account, Session: of.ID, Roles: u.Roles}, next)
}

// LoggedOut is nothing.
type LoggedOut struct{}

// logOut ends the session that the token names; machines have none.
func (a accounts) logOut(ctx context.Context, c rest.Caller, _ *struct{}) (*LoggedOut, error) {
	if c.Session == uuid.Nil {
		return &LoggedOut{}, nil
	}
	return &LoggedOut{}, a.end(ctx, c, c.Session, endSession{})
}

// end writes the event first: a family that outlived a crash is refused by its session.
func (a accounts) end(ctx context.Context, c rest.Caller, id uuid.UUID, cmd es.Command[session]) error {
	t := c.Target(c.Operation, id)
	t.Key, t.OwnerOnly = "", false
	if _, err := es.Handle(ctx, c.Kernel, domain.Sessions, t, cmd); err != nil {
		return err
	}
	return a.auth.Revoke(ctx, id)
}

func clip(s string) string { return s[:min(len(s), 500)] }
