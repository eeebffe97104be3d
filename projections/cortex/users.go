package cortex

import (
	_ "embed"
	"time"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/project"
)

//go:embed users.sql
var usersSQL string

// UserRow is a person as they stand.
type UserRow struct {
	project.Key
	Email       string     `db:"email"`
	Username    string     `db:"username"`
	DisplayName string     `db:"display_name"`
	Roles       []string   `db:"roles"`
	Status      string     `db:"status"`
	LockedUntil *time.Time `db:"locked_until"`
	CreatedAt   time.Time  `db:"created_at"`
}

// Users is one row per person; an erased one has none.
var Users = project.Rows[UserRow]("cortex.users", 1, usersSQL,
	project.From(domain.Users,
		project.Insert(func(r *UserRow, e es.Recorded[domain.UserCreated]) {
			r.Email, r.Username, r.DisplayName, r.Roles = e.Data.Email, e.Data.Username, e.Data.DisplayName, e.Data.Roles
			r.Status, r.CreatedAt = string(domain.Active), e.At
		}),
		project.Update(func(r *UserRow, e es.Recorded[domain.RolesChanged]) { r.Roles = e.Data.Roles }),
		project.Update(func(r *UserRow, e es.Recorded[domain.UserLocked]) { r.LockedUntil = &e.Data.Until }),
		project.Update(func(r *UserRow, _ es.Recorded[domain.UserUnlocked]) { r.LockedUntil = nil }),
		project.Update(func(r *UserRow, _ es.Recorded[domain.UserSuspended]) { r.Status = string(domain.Suspended) }),
		project.Update(func(r *UserRow, _ es.Recorded[domain.UserReactivated]) { r.Status = string(domain.Active) }),
		project.Update(func(*UserRow, es.Recorded[domain.PasswordChanged]) {}), // its version counts
		project.Delete[domain.UserDeleted](),
	))
