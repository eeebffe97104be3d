package cortex

import (
	"slices"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
)

// Staffs holds one stream per tenant, under the tenant's id: who administers it now. These names are stored: add, never rename.
var Staffs = es.Define[Staff]("cortex.staff", es.On[AdminAdded]("admin_added"), es.On[AdminRemoved]("admin_removed"))

// ErrLastAdmin keeps every tenant governable.
var ErrLastAdmin = fault.New(fault.Conflict, "cortex.last_admin", "this is the tenant's last administrator; make another one first")

// Staff counts the administrators that are not suspended.
type Staff struct{ Admins []uuid.UUID }

type AdminAdded struct {
	User uuid.UUID `json:"user"`
}

func (e AdminAdded) Evolve(s *Staff) { s.Admins = append(slices.Clip(s.Admins), e.User) }

type AdminRemoved struct {
	User uuid.UUID `json:"user"`
}

func (e AdminRemoved) Evolve(s *Staff) {
	s.Admins = slices.DeleteFunc(slices.Clone(s.Admins), func(id uuid.UUID) bool { return id == e.User })
}
