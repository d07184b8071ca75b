package tenant

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
)

// Directory tells for every request whose shop it is for and on which terms. It remembers
// what it read for a moment, so that a busy shop costs a query a second, not one a request.
type Directory struct {
	db     *db.DB
	strict bool
	public string

	terms *memory.Memory[uuid.UUID, terms]
	hosts *memory.Memory[string, uuid.UUID]
}

// terms are Terms and whether they count.
type terms struct {
	Terms
	status Status // empty: there is no such tenant
}

// NewDirectory reads from the database. Strict directories refuse hosts that no tenant
// has; others take them for the default tenant's. Public is where browsers find the
// installation; empty: nobody has said.
func NewDirectory(d *db.DB, now clock.Clock, strict bool, public string) *Directory {
	return &Directory{
		db: d, strict: strict, public: public,
		// While the database is away, what was known last counts: nothing can be changed there, and
		// nothing of the shop either.
		terms: memory.New[uuid.UUID](now, memory.Options[terms]{Early: true, Outage: db.IsOutage}),
		hosts: memory.New[string](now, memory.Options[uuid.UUID]{Early: true, Outage: db.IsOutage, Absent: true}),
	}
}

// Refusals are all that At and Admit can answer.
func (d *Directory) Refusals() []*fault.Error {
	if d.strict {
		return []*fault.Error{ErrSuspended, ErrNotHere, errUnknownHost}
	}
	return []*fault.Error{ErrSuspended, ErrNotHere}
}

// At is the tenant whose shop answers under the host of a request, which may have a port.
func (d *Directory) At(ctx context.Context, host string) (uuid.UUID, error) {
	tenant, err := d.owner(ctx, host)
	switch {
	case err != nil:
		return uuid.Nil, err
	case tenant != uuid.Nil:
		return tenant, nil
	case d.strict:
		return uuid.Nil, errUnknownHost
	}
	return identity.DefaultTenant, nil
}

// Address is where browsers find the shop of an admitted request that was sent to a host, by
// a scheme: at the host when it is the shop's, else where the installation is found. A host
// that is nobody's is only as good as who sent it.
func (d *Directory) Address(ctx context.Context, scheme, host string) (string, error) {
	if d.public == "" {
		return scheme + "://" + host, nil
	}
	owns, err := d.owns(ctx, host)
	if err != nil || !owns {
		return d.public, err
	}
	name, _ := nameOf(host)
	return Address(d.public, name), nil
}

// HasPages reports whether the pages of an origin are those of the shop of an admitted
// request: its storefront's, those at its hosts, and the operator's where the installation
// is found.
func (d *Directory) HasPages(ctx context.Context, origin string) (bool, error) {
	if origin == "" {
		return false, nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return false, err
	}
	if origin == Origin(Of(ctx).Settings.StorefrontURL) || id.Tenant == identity.DefaultTenant && origin == d.public {
		return true, nil
	}
	_, host, _ := strings.Cut(origin, "://")
	name, ok := nameOf(host)
	if !ok || origin != Address(d.public, name) {
		return false, nil
	}
	return d.owns(ctx, name)
}

// owns reports whether a host is one of the shop of an admitted request.
func (d *Directory) owns(ctx context.Context, host string) (bool, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return false, err
	}
	owner, err := d.owner(ctx, host)
	return owner != uuid.Nil && owner == id.Tenant, err
}

// nameOf is the name in a host that may have a port, as the directory keeps it.
func nameOf(host string) (name string, ok bool) {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return Host(strings.TrimSuffix(host, "."))
}

// owner is uuid.Nil for a name that is nobody's.
func (d *Directory) owner(ctx context.Context, host string) (uuid.UUID, error) {
	host, ok := nameOf(host)
	if !ok {
		return uuid.Nil, nil
	}
	tenant, _, err := d.hosts.Get(ctx, host, func(ctx context.Context) (uuid.UUID, bool, error) {
		rows, err := db.Query[uuid.UUID](ctx, d.db, `select tenant_id from platform.find_tenant($1)`, host)
		if err != nil {
			return uuid.Nil, false, fmt.Errorf("find the tenant of a host: %w", err)
		}
		if len(rows) == 0 {
			return uuid.Nil, false, nil
		}
		return rows[0], true, nil
	})
	return tenant, err
}

// Admit gives a request the terms of the tenant that it is for, or refuses it when the
// shop is closed. The other deployments are let in all the same: what they ask for belongs
// to events that are still handled.
func (d *Directory) Admit(ctx context.Context, id identity.Identity) (context.Context, error) {
	found, err := d.known(ctx, id.Tenant)
	switch {
	case err != nil:
		return ctx, err
	case found.status == "" && !id.IsService():
		return ctx, ErrNotHere
	case found.status != Active && !id.IsService():
		return ctx, ErrSuspended
	}
	return With(ctx, found.Terms), nil
}

// Terms of a tenant, whether its shop is open or not; none of one that there is not.
func (d *Directory) Terms(ctx context.Context, tenant uuid.UUID) (Terms, error) {
	found, err := d.known(ctx, tenant)
	return found.Terms, err
}

func (d *Directory) known(ctx context.Context, tenant uuid.UUID) (terms, error) {
	found, _, err := d.terms.Get(ctx, tenant, func(ctx context.Context) (terms, bool, error) { return d.read(ctx, tenant) })
	return found, err
}

// Allowance is how many requests a minute the operator lets the shop of an admitted request
// have; 0 is without a bound.
func (*Directory) Allowance(ctx context.Context) int {
	if quota := Of(ctx).Quotas.RequestsPerMinute; quota != nil {
		return int(*quota)
	}
	return 0
}

func (d *Directory) read(ctx context.Context, tenant uuid.UUID) (t terms, known bool, err error) {
	rows, err := db.Query[struct {
		Status   string `db:"status"`
		Name     string `db:"name"`
		Settings []byte `db:"settings"`
		Quotas   []byte `db:"quotas"`
	}](ctx, d.db, `select status, name, settings, quotas from platform.tenant_terms($1)`, tenant)
	if err != nil {
		return terms{}, false, fmt.Errorf("read the terms of a tenant: %w", err)
	}
	if len(rows) == 0 {
		return terms{}, false, nil
	}
	t.status, t.Name = Status(rows[0].Status), rows[0].Name
	if err := decode(rows[0].Settings, rows[0].Quotas, &t.Settings, &t.Quotas); err != nil {
		return terms{}, false, fmt.Errorf("tenant %s: %w", tenant, err)
	}
	return t, true, nil
}
