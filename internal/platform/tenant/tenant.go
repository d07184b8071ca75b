// Package tenant looks after the merchants of an installation: what each of them decided
// for its shop, what it may use, whether it is open, under which names it answers, and its
// end. The operator of the installation, which is the default tenant, sees all of them.
package tenant

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
)

// Status of a tenant.
type Status string

// The states of a tenant. Deleting can be taken back until its time is over; Deleted
// cannot: its rows are being removed.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
	Deleting  Status = "deleting"
	Deleted   Status = "deleted"
)

type (
	// Settings are what a shop decided for itself.
	Settings = tenantapi.Settings
	// Colours of a shop.
	Colours = tenantapi.Colours
	// Quotas are what the operator lets a shop use.
	Quotas = tenantapi.Quotas
)

// Tenant is one merchant of the installation.
type Tenant struct {
	ID         uuid.UUID
	Slug       string
	Name       string
	Status     Status
	Reason     string // of the status, in the operator's words
	Hosts      []string
	Settings   Settings
	Quotas     Quotas
	PurgeAfter *time.Time
	Version    int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

var (
	// ErrUnknown says that there is no such tenant.
	ErrUnknown = fault.New(fault.NotFound, "not_found", "There is nothing at this address, or it is not yours.")
	// ErrSlugTaken refuses a second tenant of one name.
	ErrSlugTaken = fault.New(fault.Conflict, "slug_taken", "Another tenant has this slug.")
	// ErrHostTaken refuses a name under which another shop answers.
	ErrHostTaken = fault.New(fault.Conflict, "host_taken", "Another tenant answers under this host.")
	// ErrTransition refuses a step that the tenant's status does not allow.
	ErrTransition = fault.New(fault.Conflict, "tenant_status", "The tenant's status does not allow this.")
	// ErrOperator protects the tenant that looks after the others.
	ErrOperator = fault.New(fault.Conflict, "operator_tenant", "The default tenant is the operator's: it can be neither suspended nor deleted.")
	// ErrSuspended is what everybody hears who comes for a shop that is closed.
	ErrSuspended = fault.New(fault.Forbidden, "tenant_suspended", "This shop is closed.")
	// ErrQuota refuses what is more than the operator lets the shop use.
	ErrQuota = fault.New(fault.Forbidden, "quota_exceeded", "The shop has as many as it may have. Ask the operator for more.")

	errUnknownHost = fault.New(fault.NotFound, "unknown_host", "No shop answers under this host.")
	ErrNotHere     = fault.New(fault.Unavailable, "tenant_unknown", "This deployment has not heard of the shop yet. Try again shortly.").After(1)
)

// moves are the steps that a status allows.
var moves = map[Status][]Status{
	Active:    {Suspended, Deleting},
	Suspended: {Active, Deleting},
	Deleting:  {Active, Deleted},
}

func (t *Tenant) become(to Status) error {
	if !slices.Contains(moves[t.Status], to) {
		return ErrTransition.Saying("The tenant is %s already, or on its way out.", t.Status).With("tenantStatus", t.Status)
	}
	t.Status = to
	return nil
}

// Terms are what a request has to know of its merchant.
type Terms struct {
	Name     string
	Settings Settings
	Quotas   Quotas
}

type key struct{}

// With returns a context for a request of a merchant with these terms.
func With(ctx context.Context, t Terms) context.Context { return context.WithValue(ctx, key{}, t) }

// Of are the terms of the merchant whom a request is for, as they were less than
// two seconds ago. What reacts to an event has none: what was accepted once is not
// refused later because the terms have changed.
func Of(ctx context.Context) Terms {
	t, _ := ctx.Value(key{}).(Terms)
	return t
}

// Currencies are those that a shop sells in, the default one first.
func Currencies(s Settings) []money.Currency {
	list := money.Enabled()
	if len(s.Currencies) > 0 {
		list = list[:0]
		for _, c := range s.Currencies {
			list = append(list, money.Currency(c))
		}
	}
	if i := slices.Index(list, money.Currency(s.DefaultCurrency)); i > 0 {
		list = slices.Insert(slices.Delete(list, i, i+1), 0, money.Currency(s.DefaultCurrency))
	}
	return list
}
