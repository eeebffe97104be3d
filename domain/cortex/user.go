package cortex

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
)

// Users holds one stream per person. These names are stored: add, never rename.
var Users = es.Define[User]("cortex.user",
	es.On[UserCreated]("created"), es.On[PasswordChanged]("password_changed"), es.On[RolesChanged]("roles_changed"),
	es.On[UserLocked]("locked"), es.On[UserUnlocked]("unlocked"),
	es.On[UserSuspended]("suspended"), es.On[UserReactivated]("reactivated"), es.On[UserDeleted]("deleted"),
)

// E-mails and usernames are unique per tenant, as Fold writes them.
var (
	Emails    = es.ClaimsOf("cortex.email", ErrEmailTaken, ErrCredentials).Personal()
	Usernames = es.ClaimsOf("cortex.username", ErrUsernameTaken, ErrCredentials).Personal()
)

// Refusals of users.
var (
	ErrEmailTaken    = fault.New(fault.Conflict, "cortex.email_taken", "this e-mail address belongs to an account already")
	ErrUsernameTaken = fault.New(fault.Conflict, "cortex.username_taken", "this username is taken; choose another")
	ErrUserSuspended = fault.New(fault.Conflict, "cortex.user_suspended", "the account is suspended; reactivate it first")
	ErrCredentials   = fault.New(fault.Unauthorized, "cortex.credentials", "e-mail or password is wrong")
	ErrPassword      = fault.New(fault.Invalid, "cortex.password_wrong", "the current password is not this one").WithField("body.old_password", "is not the current password")
	ErrOwnRoles      = fault.New(fault.Conflict, "cortex.own_roles", "you may not give yourself a role; another administrator can")
)

// Admin is the role that a tenant never runs out of.
const Admin = "admin"

// User is what decisions about a person need; its personal fields are opened.
type User struct {
	ID          uuid.UUID
	Status      Status
	Email       string
	Username    string
	Hash        string // of the password
	Roles       []string
	LockedUntil time.Time
}

func (u *User) Stamp(e es.Envelope) { u.ID = e.Stream }
func (User) Unsealed()              {}
func (u User) Deleted() bool        { return u.Status == Gone }
func (u User) Owners() []es.Actor   { return []es.Actor{es.UserActor(u.ID)} }

// May tells whether the account's roles include all of these: an admin is an editor, an editor is a viewer.
func (u User) May(roles ...string) bool {
	has := u.Roles
	for _, step := range [][2]string{{"admin", "editor"}, {"editor", "viewer"}} {
		if slices.Contains(has, step[0]) {
			has = append(slices.Clip(has), step[1])
		}
	}
	return !slices.ContainsFunc(roles, func(role string) bool { return !slices.Contains(has, role) })
}

// Fold is how e-mails and usernames are compared.
func Fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// UserCreated is an account made by an administrator: nobody verifies its e-mail address.
type UserCreated struct {
	Email       string   `json:"email" pii:"email"`
	Username    string   `json:"username" pii:"username"`
	DisplayName string   `json:"display_name" pii:"name"`
	Hash        string   `json:"password_hash" pii:"secret"`
	Roles       []string `json:"roles,omitempty"`
}

func (e UserCreated) Evolve(u *User) {
	u.Status, u.Email, u.Username, u.Hash, u.Roles = Active, e.Email, e.Username, e.Hash, e.Roles
}

func (e UserCreated) Claims(User) []es.Claim {
	return []es.Claim{Emails.Take(Fold(e.Email)), Usernames.Take(Fold(e.Username))}
}

// PasswordChanged ends every session but Keep.
type PasswordChanged struct {
	Hash string    `json:"password_hash" pii:"secret"`
	Keep uuid.UUID `json:"keep_session,omitzero"`
}

func (e PasswordChanged) Evolve(u *User) { u.Hash = e.Hash }

// RolesChanged gives the roles the account has from now on.
type RolesChanged struct {
	Roles []string `json:"roles"`
}

func (e RolesChanged) Evolve(u *User) { u.Roles = e.Roles }

// UserLocked is the answer to too much guessing; it ends by itself.
type UserLocked struct {
	Until time.Time `json:"until"`
}

func (e UserLocked) Evolve(u *User) { u.LockedUntil = e.Until }

type UserUnlocked struct{}

func (UserUnlocked) Evolve(u *User) { u.LockedUntil = time.Time{} }

type UserSuspended struct {
	Reason string `json:"reason"`
}

func (UserSuspended) Evolve(u *User) { u.Status = Suspended }

type UserReactivated struct{}

func (UserReactivated) Evolve(u *User) { u.Status = Active }

// UserDeleted erases the person: the key of everything personal about them is destroyed with it, their names are free.
type UserDeleted struct{}

func (UserDeleted) Evolve(u *User) { *u = User{ID: u.ID, Status: Gone} }

func (UserDeleted) Claims(before User) []es.Claim {
	return []es.Claim{Emails.Release(Fold(before.Email)), Usernames.Release(Fold(before.Username))}
}
