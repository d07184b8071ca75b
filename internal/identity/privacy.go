package identity

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Holder is a module that holds personal data by a customer's id.
type Holder interface {
	Name() string
	// PersonalData is all that it holds of a customer, for the customer to read as JSON.
	PersonalData(ctx context.Context, customer string) (any, error)
	// Claim makes a customer's what was done without an account under an address that is
	// theirs.
	Claim(ctx context.Context, customer, email string) error
}

// Holds names the modules that hold personal data beside this one.
func (m *Module) Holds(others ...Holder) { m.customers.holders = others }

func (c *customers) mountPrivacy(api *httpx.API) {
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/customers/{id}/export", ID: "exportCustomer", Summary: "Read everything that is held about a customer", Permission: permissionPersonal, Own: true, Personal: true,
		Refusals:    []*fault.Error{errExport},
		Description: "For the customer, who has a right to it, and for who holds customers:read as well. A customer is not shown who of the staff did what. What other deployments of the shop hold they have to be asked for.",
	}, c.handleExport)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/customers/{id}", ID: "eraseCustomer", Summary: "Erase a customer's personal data", Permission: permissionCustomersWrite, Status: http.StatusNoContent,
		Description: "Record, account, sessions, addresses and notes are removed at once; orders lose e-mail address, shipping address, metadata and reasons within moments, and keep ids, amounts and counts. " +
			"It cannot be undone. Send `If-Match` to be sure whom you erase.",
	}, c.handleErase)
}

// exported is everything that is held about a customer.
type exported struct {
	ExportedAt time.Time         `json:"exportedAt"`
	Customer   customerResponse  `json:"customer"`
	Addresses  []addressResponse `json:"addresses"`
	Notes      []noteResponse    `json:"notes"`
	Account    *heldAccount      `json:"account,omitempty"`
	Sessions   []heldSession     `json:"sessions"`
	Providers  []heldLink        `json:"providers" doc:"Identity providers that know them, and as whom"`
	Log        []logged          `json:"log" doc:"What the audit log has of them: done by them, or to their record"`
	Others     map[string]any    `json:"others" personal:"true" doc:"What each other part of the shop holds"`
}

type logged struct {
	At        time.Time `json:"at"`
	Action    string    `json:"action"`
	Actor     string    `json:"actor"`
	IP        string    `json:"ip" personal:"true"`
	UserAgent string    `json:"userAgent" personal:"true"`
}

// most of each kind that an export shows: a page of a lifetime.
const mostExported = 10_000

func (c *customers) handleExport(ctx context.Context, in *customerByID) (exported, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return exported{}, err
	}
	only := identity.OnlyOf(ctx, permissionPersonal)
	switch {
	case only != "" && only != id.String():
		return exported{}, httpx.ErrNotFound
	case only == "" && !identity.Can(ctx, permissionCustomersRead):
		return exported{}, errExport
	}
	// Whoever may read this is shown it in full.
	who, err := identity.From(ctx)
	if err != nil {
		return exported{}, err
	}
	who.Permissions = append([]string{permissionPersonal}, who.Permissions...)
	out, err := c.export(identity.With(ctx, who), id)
	if err != nil {
		return exported{}, err
	}
	if only != "" {
		out.withoutStaff()
	}
	// Other modules are asked outside of the transaction.
	for _, h := range c.holders {
		if out.Others[h.Name()], err = h.PersonalData(ctx, id.String()); err != nil {
			return exported{}, fmt.Errorf("export of %s: %w", h.Name(), err)
		}
	}
	return out, nil
}

func (c *customers) export(ctx context.Context, id uuid.UUID) (out exported, err error) {
	err = c.db.Read(ctx, func(tx *db.Tx) error {
		out = exported{ExportedAt: tx.Now.UTC(), Addresses: []addressResponse{}, Notes: []noteResponse{}, Sessions: []heldSession{}, Providers: []heldLink{}, Log: []logged{}, Others: map[string]any{}}
		p, err := c.store.find(ctx, tx, id)
		if err != nil {
			return err
		}
		out.Customer = presentProfile(ctx, p)
		addresses, err := c.store.addresses(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, a := range addresses {
			out.Addresses = append(out.Addresses, presentAddress(a))
		}
		notes, err := c.store.notes(ctx, tx, id, nil, mostExported)
		if err != nil {
			return err
		}
		for _, n := range notes {
			out.Notes = append(out.Notes, presentNote(ctx, n))
		}
		if out.Account, err = c.store.accountOf(ctx, tx, id); err != nil {
			return err
		}
		if err := out.log(ctx, tx, audit.Filter{Entity: "customer", EntityID: id.String()}); err != nil || out.Account == nil {
			return err
		}
		sessions, err := c.store.sessionsOf(ctx, tx, out.Account.ID)
		if err != nil {
			return err
		}
		out.Sessions = append(out.Sessions, sessions...)
		links, err := c.store.linksOf(ctx, tx, out.Account.ID)
		if err != nil {
			return err
		}
		out.Providers = append(out.Providers, links...)
		return out.log(ctx, tx, audit.Filter{Actor: "user:" + out.Account.ID.String()})
	})
	return out, err
}

// log adds what the audit log has.
func (e *exported) log(ctx context.Context, tx *db.Tx, f audit.Filter) error {
	rows, err := audit.List(ctx, tx, f, 0, mostExported)
	for _, r := range rows {
		e.Log = append(e.Log, logged{At: r.At(), Action: r.Action, Actor: r.Actor, IP: r.IP, UserAgent: r.UserAgent})
	}
	return err
}

// withoutStaff leaves out who of the shop did what, and from where: their data is not the
// customer's.
func (e *exported) withoutStaff() {
	const somebody = "staff"
	for i := range e.Notes {
		e.Notes[i].Author = somebody
	}
	for i, l := range e.Log {
		if e.Account == nil || l.Actor != actorOf(e.Account.ID) {
			e.Log[i] = logged{At: l.At, Action: l.Action, Actor: somebody}
		}
	}
}

type eraseInput struct {
	httpx.IfMatch
	ID string `path:"id"`
}

func (c *customers) handleErase(ctx context.Context, in *eraseInput) (httpx.None, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return httpx.None{}, err
	}
	if err := c.gather(ctx, id); err != nil {
		return httpx.None{}, err
	}
	return httpx.Command(ctx, c.db, func(tx *db.Tx) (httpx.None, error) {
		return httpx.None{}, c.erase(ctx, tx, id, in.IfMatch)
	})
}

// gather makes a customer's what they did before they had an account, so that it is found
// by their id when they are erased. It comes before the transaction, and may come again.
func (c *customers) gather(ctx context.Context, id uuid.UUID) error {
	var email string
	if err := c.db.Read(ctx, func(tx *db.Tx) error {
		p, err := c.store.find(ctx, tx, id)
		if err != nil {
			return err
		}
		a, err := c.store.accountOf(ctx, tx, id)
		if a == nil || a.VerifiedAt != nil { // an address that nobody has proven may be somebody else's
			email = p.EmailKey
		}
		return err
	}); err != nil || email == "" {
		return err
	}
	for _, h := range c.holders {
		if err := h.Claim(ctx, id.String(), email); err != nil {
			return fmt.Errorf("gather what %s holds: %w", h.Name(), err)
		}
	}
	return nil
}

func (c *customers) erase(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) error {
	p, err := c.store.lock(ctx, tx, id)
	if err != nil {
		return err
	}
	audit.Before(ctx, presentProfile(ctx, p))
	if err := match.Allows(p.Version); err != nil {
		return err
	}
	a, err := c.store.accountOf(ctx, tx, id)
	if err != nil {
		return err
	}
	addresses, actor, account := []string{p.Email}, "", uuid.Nil
	if a != nil {
		addresses, actor, account = append(addresses, a.Email), "user:"+a.ID.String(), a.ID
	}
	if err := c.store.erase(ctx, tx, id, account); err != nil {
		return err
	}
	for _, address := range addresses {
		if err := c.mail.Forget(ctx, tx, address); err != nil {
			return err
		}
	}
	if err := httpx.ForgetAnswers(ctx, tx, actor, append(addresses, id.String())...); err != nil {
		return err
	}
	return c.forgotten(ctx, tx, id)
}

// forgotten tells everybody, and those who restore a backup.
func (c *customers) forgotten(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if err := c.erasures.Note(ctx, tx, id.String()); err != nil {
		return err
	}
	return c.events.Publish(ctx, tx, identityapi.CustomerErased{CustomerID: id.String()})
}

// Erase repeats an erasure in a database that knows the customer again, because it comes
// from a backup. Orders may be there also where the customer is not.
func (m *Module) Erase(ctx context.Context, customer string) error {
	c := m.customers
	id, err := httpx.ID(customer)
	if err != nil {
		return fmt.Errorf("erase %q: %w", customer, err)
	}
	if err := c.gather(ctx, id); err != nil && !errors.Is(err, httpx.ErrNotFound) {
		return err
	}
	return c.db.InTx(ctx, func(tx *db.Tx) error {
		err := c.erase(ctx, tx, id, httpx.IfMatch{})
		if errors.Is(err, httpx.ErrNotFound) {
			return c.forgotten(ctx, tx, id)
		}
		return err
	})
}
