package cortex

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	domain "github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest"
)

// accounts are the handlers that hash, compare and erase.
type accounts struct{ auth *auth.Service }

func (a accounts) create(ctx context.Context, c rest.Caller, t es.Target, cmd CreateUser) (_ es.Receipt, err error) {
	if t, err = a.auth.Keyed(ctx, t); err != nil {
		return es.Receipt{}, err
	}
	if cmd.hash, err = auth.HashPassword(ctx, cmd.Password); err != nil {
		return es.Receipt{}, err
	}
	return counted(ctx, c.Kernel, t, cmd, slices.Contains(cmd.Roles, domain.Admin))
}

func (a accounts) setRoles(ctx context.Context, c rest.Caller, t es.Target, cmd SetRoles) (es.Receipt, error) {
	return counted(ctx, c.Kernel, t, cmd, slices.Contains(cmd.Roles, domain.Admin))
}

func (a accounts) suspend(ctx context.Context, c rest.Caller, t es.Target, cmd SuspendUser) (es.Receipt, error) {
	receipt, err := counted(ctx, c.Kernel, t, cmd, false)
	if err != nil {
		return receipt, err
	}
	return receipt, a.auth.RevokeAll(ctx, t.Tenant, t.ID, uuid.Nil)
}

// reactivate decides on the version it read the roles of.
func (a accounts) reactivate(ctx context.Context, c rest.Caller, t es.Target, cmd ReactivateUser) (es.Receipt, error) {
	u, version, err := es.Load(ctx, c.Kernel, domain.Users, t.Tenant, t.ID)
	if err != nil {
		return es.Receipt{}, err
	}
	asked := t.Expect != nil
	if !asked {
		t.Expect = &version
	}
	receipt, err := counted(ctx, c.Kernel, t, cmd, slices.Contains(u.Roles, domain.Admin))
	if !asked && errors.Is(err, es.ErrStale) {
		err = es.ErrContended
	}
	return receipt, err
}

// delete announces the erasure, decides it and carries it out; Settle finishes what a crash leaves between.
func (a accounts) delete(ctx context.Context, c rest.Caller, t es.Target, cmd DeleteUser) (es.Receipt, error) {
	if err := a.auth.Vault.Announce(ctx, t.Tenant, t.ID, c.Now); err != nil {
		return es.Receipt{}, err
	}
	receipt, err := counted(ctx, c.Kernel, t, cmd, false)
	if err == nil {
		c.Kernel.Evict(domain.Users.Stream(t.ID))
		err = a.auth.Erase(ctx, t.Tenant, t.ID)
	} else if k := fault.From(err).Kind; k != fault.Internal && k != fault.Unavailable {
		err = errors.Join(err, a.auth.Vault.Retract(ctx, t.Tenant, t.ID, c.Now))
	}
	return receipt, err
}

// Settle finishes erasures that a crash interrupted. Run it at start and now and then.
func Settle(ctx context.Context, k *es.Kernel, a *auth.Service, now time.Time) error {
	return a.Settle(ctx, now, func(ctx context.Context, tenant, account uuid.UUID) (bool, error) {
		u, _, err := es.Load(ctx, k, domain.Users, tenant, account)
		return u.Deleted(), err
	})
}

func (a accounts) changePassword(ctx context.Context, c rest.Caller, t es.Target, cmd ChangePassword) (_ es.Receipt, err error) {
	if t, err = a.auth.Keyed(ctx, t); err != nil {
		return es.Receipt{}, err
	}
	u, _, err := es.Load(ctx, c.Kernel, domain.Users, t.Tenant, t.ID)
	if err != nil {
		return es.Receipt{}, err
	}
	done, err := a.check(ctx, c, domain.Fold(u.Email), cmd.Old, u.Hash)
	if err != nil {
		return es.Receipt{}, err
	}
	if done.OK {
		cmd.compared, cmd.keep = u.Hash, c.Session
	}
	if cmd.hash, err = auth.HashPassword(ctx, cmd.New); err != nil {
		return es.Receipt{}, err
	}
	receipt, err := es.Handle(ctx, c.Kernel, domain.Users, t, es.Command[user](cmd))
	if err != nil {
		return receipt, err
	}
	return receipt, a.auth.RevokeAll(ctx, t.Tenant, t.ID, c.Session)
}

// counted decides about a person and, in the same append, about the tenant's list of administrators.
func counted(ctx context.Context, k *es.Kernel, t es.Target, cmd es.Command[user], admin bool) (es.Receipt, error) {
	for first := true; ; first = false {
		parts := []es.Part{es.PartOf(domain.Users, t, cmd)}
		_, version, err := es.Load(ctx, k, domain.Staffs, t.Tenant, t.Tenant)
		if err != nil {
			return es.Receipt{}, err
		}
		if version > 0 || admin {
			list := es.Target{Tenant: t.Tenant, Actor: t.Actor, Now: t.Now, ID: t.Tenant, New: version == 0, Correlation: t.Correlation, Meta: t.Meta}
			parts = append(parts, es.PartOf(domain.Staffs, list, es.Command[staff](countAdmin{t.ID, admin})))
		}
		receipts, err := es.HandleAll(ctx, k, t, parts...)
		if first && version == 0 && errors.Is(err, es.ErrExists) { // another first administrator began the list meanwhile
			continue
		}
		if err != nil {
			return es.Receipt{}, err
		}
		return receipts[0], nil
	}
}
