package cortex

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/rest"
)

// UserView is a person; what only they and administrators may know is absent for others.
type UserView struct {
	ID          uuid.UUID  `json:"id" db:"id"`
	Version     int        `json:"version" db:"version"`
	Username    string     `json:"username" db:"username"`
	DisplayName string     `json:"display_name" db:"display_name"`
	CreatedAt   time.Time  `json:"created_at" db:"created_at"`
	Email       string     `json:"email,omitempty" db:"email"`
	Roles       []string   `json:"roles,omitempty" db:"roles"`
	Status      string     `json:"status,omitempty" db:"status" enum:"active,suspended"`
	LockedUntil *time.Time `json:"locked_until,omitempty" db:"locked_until"`
}

func (v *UserView) public() { v.Email, v.Roles, v.Status, v.LockedUntil = "", nil, "", nil }

// ListUsers shows the tenant's accounts, newest first.
type ListUsers struct {
	rest.Page
	Status string `query:"status" enum:"active,suspended"`
	Role   string `query:"role" enum:"viewer,editor,admin,employer"`
}

func (q ListUsers) Read(ctx context.Context, r *rest.Rows) (rest.List[UserView], error) {
	users := rest.From("cortex.users").Eq("status", q.Status)
	if q.Role != "" {
		users = users.Where("@role = ANY(roles)", rest.Args{"role": q.Role})
	}
	return rest.Many[UserView](ctx, r, users, q.Page, "created_at desc")
}

// ReadUser gives the public profile; all of it to the person and to administrators.
type ReadUser struct {
	ID uuid.UUID `path:"id"`
}

func (q ReadUser) Read(ctx context.Context, r *rest.Rows) (UserView, error) {
	user, err := rest.One[UserView](ctx, r, rest.From("cortex.users").Is("id", q.ID))
	if c := r.Caller(); c.Account() != q.ID && !c.Is("admin") {
		user.public()
	}
	return user, err
}

// MeView is who the token stands for, where, and what they may.
type MeView struct {
	Actor    string     `json:"actor" doc:"account id, or operator:<name>"`
	Tenant   uuid.UUID  `json:"tenant"`
	Domain   string     `json:"domain"`
	Roles    []string   `json:"roles"`
	Session  *uuid.UUID `json:"session,omitempty"`
	Verified bool       `json:"verified"`
	User     *UserView  `json:"user,omitempty" doc:"absent for machines and operators"`
}

// ReadMe tells who one is.
type ReadMe struct{}

func (ReadMe) Read(ctx context.Context, r *rest.Rows) (MeView, error) {
	c := r.Caller()
	me := MeView{Actor: string(c.Actor), Tenant: c.Tenant, Domain: c.Domain, Roles: append([]string{}, c.Roles.Names()...), Verified: true}
	if c.Session != uuid.Nil {
		me.Session = &c.Session
	}
	found, err := rest.Query[UserView](ctx, r, `SELECT id, version, username, display_name, created_at, email, roles, status, locked_until
		FROM {cortex.users} WHERE tenant = @tenant AND id = @me`, rest.Args{"me": c.Account()})
	if len(found) > 0 {
		me.User = &found[0]
	}
	return me, err
}
