package tenant

import (
	"context"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
)

// Service is what the operator does with tenants, and each of them with its own settings.
// Methods that take a transaction want one of the operator's, whose log tells of it.
type Service struct {
	db     *db.DB
	events *event.Log
	grace  time.Duration
}

// New makes the service. Grace is how long a tenant that is given up can be taken back.
func New(d *db.DB, events *event.Log, grace time.Duration) *Service {
	return &Service{d, events, grace}
}

// Create makes a tenant and the key of its first owner, which nobody can read back.
func (s *Service) Create(ctx context.Context, tx *db.Tx, t Tenant) (Tenant, string, error) {
	if err := apikey.MayOutlive(ctx, tx); err != nil {
		return Tenant{}, "", err
	}
	t.ID, t.Status, t.Version, t.CreatedAt, t.UpdatedAt = clock.NewID(), Active, 1, tx.Now, tx.Now
	var ownerKey string
	if err := tx.For(ctx, t.ID, func() (err error) {
		if err = insert(ctx, tx, t); err != nil {
			return err
		}
		var key apikey.Key
		if key, ownerKey, err = apikey.Add(ctx, tx, apikey.Terms{Name: "Owner", Kind: apikey.Secret, Permissions: []string{identity.Everything}}); err != nil {
			return err
		}
		// The operator's log has the tenant; who holds the key looks into the tenant's own.
		return audit.Record(ctx, tx, audit.Entry{Action: "createKey", Entity: "key", EntityID: key.ID.String(), After: key})
	}); err != nil {
		return Tenant{}, "", err
	}
	return t, ownerKey, s.events.Publish(ctx, tx, tenantapi.TenantCreated{Tenant: fact(t)})
}

// List shows tenants by their slugs, those after the given one.
func (s *Service) List(ctx context.Context, after string, limit int) (tenants []Tenant, err error) {
	err = s.db.Across(ctx, func(tx *db.Tx) error {
		tenants, err = list(ctx, tx, after, limit)
		return err
	})
	return tenants, err
}

// Get shows one tenant.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (t Tenant, err error) {
	err = s.db.Across(ctx, func(tx *db.Tx) error {
		t, err = find(ctx, tx, ` where t.tenant_id = $1`, id)
		return err
	})
	return t, err
}

// Find is Get within a transaction.
func (s *Service) Find(ctx context.Context, tx *db.Tx, id uuid.UUID) (t Tenant, err error) {
	err = tx.Across(ctx, func() error {
		t, err = find(ctx, tx, ` where t.tenant_id = $1`, id)
		return err
	})
	return t, err
}

// Named is the tenant with a slug.
func (s *Service) Named(ctx context.Context, slug string) (t Tenant, err error) {
	err = s.db.Across(ctx, func(tx *db.Tx) error {
		t, err = find(ctx, tx, ` where t.slug = $1`, slug)
		return err
	})
	return t, err
}

// Own is the tenant that ctx acts for.
func (s *Service) Own(ctx context.Context) (t Tenant, err error) {
	id, err := identity.From(ctx)
	if err != nil {
		return Tenant{}, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		t, err = find(ctx, tx, ` where t.tenant_id = $1`, id.Tenant)
		return err
	})
	return t, err
}

// Change lets want change the name, the hosts, the settings or the quotas of a tenant.
func (s *Service) Change(ctx context.Context, tx *db.Tx, id uuid.UUID, want func(*Tenant) error) (t Tenant, err error) {
	var changed bool
	err = tx.Across(ctx, func() error {
		t, changed, err = change(ctx, tx, id, want)
		return err
	})
	if err != nil || !changed {
		return t, err
	}
	return t, s.events.Publish(ctx, tx, tenantapi.TenantUpdated{Tenant: fact(t)})
}

// ChangeOwn is Change for the tenant that the transaction is of: it sees no other.
func (s *Service) ChangeOwn(ctx context.Context, tx *db.Tx, want func(*Tenant) error) (Tenant, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return Tenant{}, err
	}
	t, changed, err := change(ctx, tx, id.Tenant, want)
	if err != nil || !changed {
		return t, err
	}
	return t, s.events.Publish(ctx, tx, tenantapi.TenantUpdated{Tenant: fact(t)})
}

// change locks a tenant, lets want change it (what it changes it replaces), and stores it if that made a difference.
func change(ctx context.Context, tx *db.Tx, id uuid.UUID, want func(*Tenant) error) (t Tenant, changed bool, err error) {
	if t, err = find(ctx, tx, ` where t.tenant_id = $1 for update`, id); err != nil {
		return Tenant{}, false, err
	}
	before := t
	if err := want(&t); err != nil {
		return Tenant{}, false, err
	}
	if reflect.DeepEqual(before, t) {
		return t, false, nil
	}
	t.Version, t.UpdatedAt = t.Version+1, tx.Now
	return t, true, save(ctx, tx, t)
}

// Suspend closes a shop. What is under way is finished, and nothing is lost.
func (s *Service) Suspend(ctx context.Context, tx *db.Tx, id uuid.UUID, reason string) (Tenant, error) {
	t, err := s.step(ctx, tx, id, func(t *Tenant) error {
		t.Reason = reason
		return t.become(Suspended)
	})
	if err != nil {
		return Tenant{}, err
	}
	return t, s.events.Publish(ctx, tx, tenantapi.TenantSuspended{Tenant: fact(t), Reason: reason})
}

// Resume opens a shop again that was suspended, or given up not too long ago.
func (s *Service) Resume(ctx context.Context, tx *db.Tx, id uuid.UUID) (Tenant, error) {
	t, err := s.step(ctx, tx, id, func(t *Tenant) error {
		if t.PurgeAfter != nil && !t.PurgeAfter.After(tx.Now) {
			return ErrTransition.Saying("The time in which the tenant could be taken back is over.").With("tenantStatus", t.Status)
		}
		t.Reason, t.PurgeAfter = "", nil
		return t.become(Active)
	})
	if err != nil {
		return Tenant{}, err
	}
	return t, s.events.Publish(ctx, tx, tenantapi.TenantResumed{Tenant: fact(t)})
}

// Delete closes a shop and has it purged when the grace period is over.
func (s *Service) Delete(ctx context.Context, tx *db.Tx, id uuid.UUID) (Tenant, error) {
	return s.giveUp(ctx, tx, id, s.grace)
}

// settle is how long requests of a tenant may still be under way that came before it was
// given up: its status is remembered for a while, and what then runs takes its time.
const settle = memory.Freshness + 3*time.Second

// DeleteNow is Delete without a grace period: it can be purged as soon as what is under
// way has ended. A tenant that was given up before is not waited for any longer.
func (s *Service) DeleteNow(ctx context.Context, tx *db.Tx, id uuid.UUID) (Tenant, error) {
	return s.giveUp(ctx, tx, id, settle)
}

func (s *Service) giveUp(ctx context.Context, tx *db.Tx, id uuid.UUID, grace time.Duration) (Tenant, error) {
	t, err := s.step(ctx, tx, id, func(t *Tenant) error {
		after := tx.Now.Add(grace)
		if t.Status == Deleting && t.PurgeAfter != nil && after.Before(*t.PurgeAfter) {
			t.PurgeAfter = &after
			return nil
		}
		t.PurgeAfter = &after
		return t.become(Deleting)
	})
	if err != nil {
		return Tenant{}, err
	}
	return t, s.events.Publish(ctx, tx, tenantapi.TenantDeleted{Tenant: fact(t)})
}

func (s *Service) step(ctx context.Context, tx *db.Tx, id uuid.UUID, want func(*Tenant) error) (t Tenant, err error) {
	if id == identity.DefaultTenant {
		return Tenant{}, ErrOperator
	}
	err = tx.Across(ctx, func() error {
		t, _, err = change(ctx, tx, id, want)
		return err
	})
	return t, err
}

func fact(t Tenant) tenantapi.Tenant {
	hosts := t.Hosts
	if hosts == nil {
		hosts = []string{}
	}
	return tenantapi.Tenant{
		TenantID: t.ID.String(), Slug: t.Slug, Name: t.Name, Status: string(t.Status), Hosts: hosts, Settings: t.Settings, Quotas: t.Quotas,
		PurgeAfter: t.PurgeAfter, Version: t.Version, CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	}
}
