package cortex

import (
	"slices"
	"time"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
)

type (
	user        = domain.User
	userEvents  = es.Events[domain.User]
	staff       = domain.Staff
	staffEvents = es.Events[domain.Staff]
)

// CreateUser makes an account for somebody; its e-mail address counts as verified.
type CreateUser struct {
	Email       string   `json:"email" format:"email" maxLength:"254"`
	Username    string   `json:"username" minLength:"3" maxLength:"30" pattern:"^[A-Za-z0-9][A-Za-z0-9._-]*$"`
	DisplayName string   `json:"display_name" minLength:"1" maxLength:"100"`
	Password    string   `json:"password" minLength:"10" maxLength:"200"`
	Roles       []string `json:"roles,omitempty" enum:"viewer,editor,admin,employer" maxItems:"4" uniqueItems:"true"`

	hash string // of the password
}

func (c CreateUser) Decide(_ es.Env, _ user) (userEvents, error) {
	return userEvents{domain.UserCreated{Email: c.Email, Username: c.Username, DisplayName: c.DisplayName, Hash: c.hash, Roles: sorted(c.Roles)}}, nil
}

// SetRoles gives the account exactly these roles.
type SetRoles struct {
	Roles []string `json:"roles" enum:"viewer,editor,admin,employer" maxItems:"4" uniqueItems:"true"`
}

func (c SetRoles) Decide(env es.Env, u user) (userEvents, error) {
	roles := sorted(c.Roles)
	switch {
	case u.Status == domain.Suspended: // and so its administrators need not be counted again
		return nil, domain.ErrUserSuspended
	case slices.Equal(roles, u.Roles):
		return nil, nil
	case env.Actor.User() == env.ID && !u.May(roles...):
		return nil, domain.ErrOwnRoles
	}
	return userEvents{domain.RolesChanged{Roles: roles}}, nil
}

// SuspendUser shuts the account out until it is reactivated.
type SuspendUser struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500"`
}

func (c SuspendUser) Decide(_ es.Env, u user) (userEvents, error) {
	if u.Status == domain.Suspended {
		return nil, nil
	}
	return userEvents{domain.UserSuspended{Reason: c.Reason}}, nil
}

// ReactivateUser ends a suspension.
type ReactivateUser struct{}

func (ReactivateUser) Decide(_ es.Env, u user) (userEvents, error) {
	if u.Status == domain.Active {
		return nil, nil
	}
	return userEvents{domain.UserReactivated{}}, nil
}

// DeleteUser erases the person.
type DeleteUser struct{}

func (DeleteUser) Decide(es.Env, user) (userEvents, error) {
	return userEvents{domain.UserDeleted{}}, nil
}

// ChangePassword replaces one's own password and ends one's other sessions.
type ChangePassword struct {
	Old string `json:"old_password" minLength:"1" maxLength:"200"`
	New string `json:"new_password" minLength:"10" maxLength:"200"`

	compared, hash string // what Old was found to match, and what New becomes
	keep           uuid.UUID
}

func (c ChangePassword) Decide(_ es.Env, u user) (userEvents, error) {
	switch {
	case u.Hash == c.hash: // decided before
		return nil, nil
	case u.Hash != c.compared:
		return nil, domain.ErrPassword
	}
	return userEvents{domain.PasswordChanged{Hash: c.hash, Keep: c.keep}}, nil
}

// lockUser records that guessing was stopped; unlockUser that the person came back.
type lockUser struct{ until time.Time }

func (c lockUser) Decide(env es.Env, u user) (userEvents, error) {
	if u.LockedUntil.After(env.Now) {
		return nil, nil
	}
	return userEvents{domain.UserLocked{Until: c.until}}, nil
}

type unlockUser struct{}

func (unlockUser) Decide(_ es.Env, u user) (userEvents, error) {
	if u.LockedUntil.IsZero() {
		return nil, nil
	}
	return userEvents{domain.UserUnlocked{}}, nil
}

// countAdmin keeps the tenant's list of administrators true, and refuses to empty it.
type countAdmin struct {
	user  uuid.UUID
	admin bool
}

func (c countAdmin) Decide(_ es.Env, s staff) (staffEvents, error) {
	switch listed := slices.Contains(s.Admins, c.user); {
	case listed == c.admin:
		return nil, nil
	case c.admin:
		return staffEvents{domain.AdminAdded{User: c.user}}, nil
	case len(s.Admins) == 1:
		return nil, domain.ErrLastAdmin
	}
	return staffEvents{domain.AdminRemoved{User: c.user}}, nil
}

func sorted(roles []string) []string { return slices.Sorted(slices.Values(roles)) }
