package orders

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mask"
)

// Customers is what orders needs to know of who has an account. Its methods take part in the
// transaction of the command.
type Customers interface {
	// ProvenEmail is the address that a customer has shown to be theirs, as addresses are
	// compared; ok is false when there is none.
	ProvenEmail(ctx context.Context, tx *db.Tx, customer string) (email string, ok bool, err error)
	// OfferOrders writes to who has signed in that so many orders were placed with their
	// address, with a token to have them.
	OfferOrders(ctx context.Context, tx *db.Tx, orders int) error
	// AcceptOrders takes the token, which is good once, and returns the address.
	AcceptOrders(ctx context.Context, tx *db.Tx, token string) (email string, err error)
}

// Knows lets customers claim what they ordered as guests.
func (m *Module) Knows(customers Customers) { m.svc.customers = customers }

var (
	errUnproven   = fault.New(fault.Conflict, "email_not_verified", "Orders are yours once you have shown that the e-mail address is: follow the link in the mail.")
	errClaimToken = fault.New(fault.Malformed, "invalid_token", "The token is not valid, or not any more. Ask for a new one.")
)

const permissionPersonal = "customers:pii"

// shownTo hides from who may not see people where an order goes and what is noted about it. One's own is shown.
func shownTo(ctx context.Context, r orderResponse) orderResponse {
	id, err := identity.From(ctx)
	if err == nil && (id.Can(permissionPersonal) || id.Customer != "" && id.Customer == r.CustomerID) {
		return r
	}
	r.Masked, r.Email = true, mask.Email(r.Email)
	r.ShippingAddress, r.BillingAddress, r.Metadata = masked(r.ShippingAddress), masked(r.BillingAddress), mask.Values(r.Metadata)
	return r
}

func masked(a *address) *address {
	if a == nil {
		return nil
	}
	return &address{
		Name: mask.Name(a.Name), Line1: mask.Text(a.Line1), Line2: mask.Text(a.Line2), City: a.City, Region: a.Region,
		PostalCode: mask.Text(a.PostalCode), Country: a.Country, Phone: mask.Text(a.Phone),
	}
}

// offeredResponse says the same whether there are orders or not: who has signed in need not
// be who reads the mail.
type offeredResponse struct {
	Status string `json:"status" enum:"accepted"`
}

func (s *service) handleClaim(ctx context.Context, _ *struct{}) (offeredResponse, error) {
	customer, err := claimant(ctx)
	if err != nil {
		return offeredResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (offeredResponse, error) {
		audit.About(ctx, "customer", customer)
		return offeredResponse{"accepted"}, s.offer(ctx, tx, customer)
	})
}

// offer has a letter written about what guests ordered with a customer's address, if they did.
func (s *service) offer(ctx context.Context, tx *db.Tx, customer string) error {
	email, ok, err := s.customers.ProvenEmail(ctx, tx, customer)
	if err != nil {
		return fmt.Errorf("ask for the proven address: %w", err)
	}
	if !ok {
		return errUnproven
	}
	n, err := s.store.adoptable(ctx, tx, email)
	if err != nil || n == 0 {
		return err
	}
	return s.customers.OfferOrders(ctx, tx, n)
}

type confirmClaimBody struct {
	Token string `json:"token" minLength:"1" maxLength:"200" doc:"From the mail"`
}

type confirmClaimInput struct{ httpx.JSON[confirmClaimBody] }

type claimedResponse struct {
	Claimed int `json:"claimed" doc:"How many orders are yours that were nobody's"`
}

func (s *service) handleConfirmClaim(ctx context.Context, in *confirmClaimInput) (claimedResponse, error) {
	customer, err := claimant(ctx)
	if err != nil {
		return claimedResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (claimedResponse, error) {
		audit.About(ctx, "customer", customer)
		email, err := s.customers.AcceptOrders(ctx, tx, in.Body.Token)
		if err != nil {
			return claimedResponse{}, err
		}
		n, err := s.claim(ctx, tx, customer, email)
		return claimedResponse{n}, err
	})
}

// claimant is the customer who acts; there is nothing here for anybody else.
func claimant(ctx context.Context) (customer string, err error) {
	id, err := identity.From(ctx)
	if err == nil && id.Customer == "" {
		err = httpx.ErrNotFound
	}
	return id.Customer, err
}

// claim gives a customer what guests ordered with an address, piece by piece.
func (s *service) claim(ctx context.Context, tx *db.Tx, customer, email string) (all int, err error) {
	for {
		n, err := s.claimSome(ctx, tx, customer, email)
		if all += n; err != nil || n < mostAdopted {
			return all, err
		}
	}
}

func (s *service) claimSome(ctx context.Context, tx *db.Tx, customer, email string) (int, error) {
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

// Claim is the same for who erases a customer: what they did as a guest is forgotten too. What
// was claimed before something failed need not be claimed again, so each piece is by itself.
func (m *Module) Claim(ctx context.Context, customer, email string) error {
	for n := mostAdopted; n == mostAdopted; {
		if err := m.svc.db.InTx(ctx, func(tx *db.Tx) (err error) {
			n, err = m.svc.claimSome(ctx, tx, customer, email)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// held is an order as its buyer gets to see all of it.
type held struct {
	orderResponse

	Timeline []ordersapi.StepView   `json:"timeline"`
	Returns  []ordersapi.ReturnView `json:"returns"`
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
				for i := range steps {
					steps[i].Actor = seenBy(ctx, steps[i].Actor)
				}
				h := held{orderResponse: present(o), Returns: []ordersapi.ReturnView{}}
				back, err := m.svc.store.returnsOf(ctx, tx, o.ID)
				if err != nil {
					return err
				}
				for _, r := range back {
					h.Returns = append(h.Returns, presentReturn(r))
				}
				if h.Timeline, err = presentSteps(steps); err != nil {
					return err
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

// onErased forgets who bought, and keeps what was bought and for how much. What is being
// written of them is waited for, and what comes later is refused.
func (s *service) onErased(ctx context.Context, tx *db.Tx, batch []event.Received[identityapi.CustomerErased]) error {
	ids := make([]string, len(batch))
	for i, r := range batch {
		ids[i] = r.Fact.CustomerID
	}
	if err := erasure.Heed(ctx, tx, ids); err != nil {
		return err
	}
	if err := s.takeBack(ctx, tx, ids); err != nil {
		return err
	}
	if err := s.store.forget(ctx, tx, ids); err != nil {
		return err
	}
	return httpx.ForgetAnswers(ctx, tx, "", ids...) // of orders that were placed meanwhile, or in a database of their own
}
