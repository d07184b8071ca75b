package orders

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mask"
)

// Customers is what orders needs to know of who has an account.
type Customers interface {
	// ProvenEmail is the address that a customer has shown to be theirs, as addresses are
	// compared; ok is false when there is none.
	ProvenEmail(ctx context.Context, customer string) (email string, ok bool, err error)
}

// Knows lets customers claim what they ordered as guests.
func (m *Module) Knows(customers Customers) { m.svc.customers = customers }

var errUnproven = fault.New(fault.Conflict, "email_not_verified", "Orders are yours once you have shown that the e-mail address is: follow the link in the mail.")

const permissionPersonal = "customers:pii"

// shownTo hides from who may not see people where an order goes. One's own is shown.
func shownTo(ctx context.Context, r orderResponse) orderResponse {
	id, err := identity.From(ctx)
	if err == nil && (id.Can(permissionPersonal) || id.Customer != "" && id.Customer == r.CustomerID) {
		return r
	}
	r.masked, r.Email = true, mask.Email(r.Email)
	if a := r.ShippingAddress; a != nil {
		r.ShippingAddress = &address{
			Name: mask.Name(a.Name), Line1: mask.Text(a.Line1), Line2: mask.Text(a.Line2), City: a.City, Region: a.Region,
			PostalCode: mask.Text(a.PostalCode), Country: a.Country, Phone: mask.Text(a.Phone),
		}
	}
	return r
}

type claimedResponse struct {
	Claimed int `json:"claimed" doc:"How many orders are yours that were nobody's"`
}

func (s *service) handleClaim(ctx context.Context, _ *struct{}) (claimedResponse, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return claimedResponse{}, err
	}
	if id.Customer == "" {
		return claimedResponse{}, httpx.ErrNotFound
	}
	email, ok, err := s.customers.ProvenEmail(ctx, id.Customer)
	if err != nil {
		return claimedResponse{}, fmt.Errorf("ask for the proven address: %w", err)
	}
	if !ok {
		return claimedResponse{}, errUnproven
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (claimedResponse, error) {
		n, err := s.claim(ctx, tx, id.Customer, email)
		return claimedResponse{n}, err
	})
}

// claim gives a customer what guests ordered with an address.
func (s *service) claim(ctx context.Context, tx *db.Tx, customer, email string) (int, error) {
	list, err := s.store.adopt(ctx, tx, customer, email)
	if err != nil {
		return 0, err
	}
	facts := make([]event.Event, len(list))
	for i, o := range list {
		facts[i] = ordersapi.OrderClaimed{Order: fact(o)}
	}
	return len(list), s.events.Publish(ctx, tx, facts...)
}

// Claim is the same for who erases a customer: what they did as a guest is forgotten too.
func (m *Module) Claim(ctx context.Context, customer, email string) error {
	return m.svc.db.InTx(ctx, func(tx *db.Tx) error {
		_, err := m.svc.claim(ctx, tx, customer, email)
		return err
	})
}

// held is an order as its buyer gets to see all of it.
type held struct {
	orderResponse

	Timeline []stepResponse `json:"timeline"`
}

// PersonalData is all orders of a customer with what happened to them.
func (m *Module) PersonalData(ctx context.Context, customer string) (any, error) {
	list := []held{}
	err := m.svc.db.Read(ctx, func(tx *db.Tx) error {
		for after := (*position)(nil); ; {
			f := filter{CustomerID: customer, Sort: "createdAt", After: after, Limit: 500}
			page, err := m.svc.store.list(ctx, tx, f)
			if err != nil {
				return err
			}
			for _, o := range page {
				steps, err := m.svc.store.timeline(ctx, tx, o.ID)
				if err != nil {
					return err
				}
				h := held{orderResponse: present(o)}
				for _, st := range steps {
					h.Timeline = append(h.Timeline, stepResponse{Status: st.Status, Reason: text(st.Reason), Actor: seenBy(ctx, st.Actor), At: st.At.UTC()})
				}
				list = append(list, h)
			}
			if len(page) < f.Limit {
				return nil
			}
			last := page[len(page)-1]
			after = &position{f.Sort, last.CreatedAt, last.ID}
		}
	})
	return list, err
}

// onErased forgets who bought, and keeps what was bought and for how much.
func (s *service) onErased(ctx context.Context, tx *db.Tx, batch []event.Received[identityapi.CustomerErased]) error {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.Fact.CustomerID
	}
	return s.store.forget(ctx, tx, ids)
}
