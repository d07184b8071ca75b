package payments

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

type payBody struct {
	OrderID   uuid.UUID `json:"orderId" format:"uuid"`
	Provider  string    `json:"provider,omitempty" maxLength:"40" doc:"The shop's preferred one when it is absent" example:"stripe"`
	Method    string    `json:"method,omitempty" maxLength:"200" doc:"A means of payment, by the provider's name for it; never a card number. Absent: the buyer's page gives one" example:"pm_card_visa"`
	Capture   string    `json:"capture,omitempty" enum:"automatic,manual" doc:"manual only holds the money, until it is captured. For who holds payments:write; the account says it when it is absent"`
	ReturnURL string    `json:"returnUrl,omitempty" maxLength:"2048" doc:"Where a bank sends the buyer back to" example:"https://shop.example.com/checkout/done"`
}

// Check finds what the schema cannot say.
func (b *payBody) Check() []fault.Field {
	if b.ReturnURL == "" {
		return nil
	}
	if u, err := url.Parse(b.ReturnURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return []fault.Field{{Pointer: "/returnUrl", Code: "url", Detail: "must be an absolute address that begins with https:// or http://"}}
	}
	return nil
}

// CheckFor leaves it to the shop when money is captured: what is only held keeps stock until
// somebody sees to it.
func (b *payBody) CheckFor(ctx context.Context) []fault.Field {
	if b.Capture == "" || identity.Can(ctx, permissionWrite) {
		return nil
	}
	return []fault.Field{{Pointer: "/capture", Code: "staff_only", Detail: "is the shop's to say: leave it out"}}
}

type payInput struct {
	httpx.JSON[payBody]
	Ticket string `header:"Cart-Token" maxLength:"200" doc:"The token of the cart that the order was: a guest pays with it"`
}

func (s *service) handlePay(ctx context.Context, in *payInput) (begunResponse, error) {
	b := in.Body
	var out begunResponse
	a, err := s.pay(ctx, wish{Order: b.OrderID, Ticket: in.Ticket, Provider: b.Provider, Method: b.Method, Capture: b.Capture, ReturnURL: b.ReturnURL}, func(tx *db.Tx, c charge) (err error) {
		out, err = httpx.CommandIn(ctx, tx, func(*db.Tx) (begunResponse, error) { return s.presentBegun(ctx, c) })
		return err
	})
	if err != nil || a == nil {
		return out, err
	}
	if a.failure != nil && declined(a.failure) == nil {
		s.log.WarnContext(ctx, "the provider did not say what became of a charge", "attempt", a.attempt, "err", a.failure)
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (begunResponse, error) {
		c, err := s.conclude(ctx, tx, a.attempt, a.object, a.failure)
		if err != nil {
			return begunResponse{}, err
		}
		return s.presentBegun(ctx, c)
	})
}

func (s *service) presentBegun(ctx context.Context, c charge) (begunResponse, error) {
	r, err := s.presentToBuyer(ctx, c)
	return begunResponse{r}, err
}

// payableBy is what there is to pay for an order, for who may pay it. Customers pay their own.
// A guest shows the order's ticket; an order that has none was placed by a page that anybody
// can open, and is paid by who knows its id. Of customers, whose ids are UUIDs, a page knows
// nothing.
func (s *service) payableBy(ctx context.Context, tx *db.Tx, order uuid.UUID, ticket string) (ordersapi.Payable, error) {
	who, err := identity.From(ctx)
	if err != nil {
		return ordersapi.Payable{}, err
	}
	due, ok, err := s.orders.Payable(ctx, tx, order, ticket)
	if err != nil {
		return due, fmt.Errorf("ask what there is to pay: %w", err)
	}
	guests := who.Customer == "" && who.Can(permissionPay) && !due.Ticketed && uuid.Validate(due.CustomerID) != nil
	if ok && (who.Can(permissionWrite) || due.Opened || who.Customer != "" && who.Customer == due.CustomerID || guests) {
		return due, nil
	}
	return ordersapi.Payable{}, httpx.ErrNotFound
}

type byID struct {
	ID string `path:"id"`
}

type getInput struct {
	ID     string `path:"id"`
	Ticket string `header:"Cart-Token" maxLength:"200" doc:"The token of the cart that the order was: a guest reads the payment with it"`
}

func (s *service) handleGet(ctx context.Context, in *getInput) (paymentResponse, error) {
	who, err := identity.From(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	id, err := httpx.ID(in.ID)
	if err != nil {
		return paymentResponse{}, err
	}
	var c charge
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if c, err = s.store.findPayment(ctx, tx, id, ""); err != nil || who.Can(permissionRead) || who.Customer != "" && who.Customer == c.payment.CustomerID {
			return err
		}
		if in.Ticket == "" {
			return httpx.ErrNotFound
		}
		if due, _, err := s.orders.Payable(ctx, tx, c.payment.OrderID, in.Ticket); err != nil || !due.Opened {
			return cmp.Or(err, error(httpx.ErrNotFound))
		}
		return nil
	}); err != nil {
		return paymentResponse{}, err
	}
	if who.Can(permissionRead) {
		return present(c), nil
	}
	return s.presentToBuyer(ctx, c)
}

type listInput struct {
	httpx.Page
	OrderID    string    `query:"orderId" format:"uuid" doc:"Only of this order"`
	CustomerID string    `query:"customerId" personal:"false" maxLength:"64"`
	Status     string    `query:"status" enum:"requires_payment_method,requires_action,processing,authorized,succeeded,failed,cancelled"`
	Provider   string    `query:"provider" personal:"false" maxLength:"40"`
	From       time.Time `query:"createdAt[gte]" doc:"Begun at this time or later"`
	Until      time.Time `query:"createdAt[lt]" doc:"Begun before this time"`
}

func (s *service) handleList(ctx context.Context, in *listInput) (httpx.List[paymentResponse], error) {
	out := httpx.List[paymentResponse]{Data: []paymentResponse{}}
	f := filter{Status: in.Status, CustomerID: in.CustomerID, Provider: in.Provider, Limit: in.Limit + 1}
	if only := identity.OnlyOf(ctx, permissionRead); only != "" {
		if f.CustomerID != "" && f.CustomerID != only {
			return out, nil
		}
		f.CustomerID = only
	}
	if in.OrderID != "" {
		id, err := uuid.Parse(in.OrderID)
		if err != nil {
			return out, httpx.ErrValidation(fault.Field{Pointer: "?orderId", Code: "format", Detail: "must be a UUID"})
		}
		f.OrderID = &id
	}
	if !in.From.IsZero() {
		f.From = &in.From
	}
	if !in.Until.IsZero() {
		f.Until = &in.Until
	}
	if in.Cursor != "" {
		f.After = &position{}
		if err := httpx.ReadCursor(in.Cursor, f.After); err != nil {
			return out, err
		}
	}
	var list []charge
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.list(ctx, tx, f)
		return err
	}); err != nil {
		return out, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		last := list[in.Limit-1].payment
		var err error
		if out.NextCursor, err = httpx.Cursor(position{last.CreatedAt, last.ID}); err != nil {
			return out, err
		}
	}
	for _, c := range list {
		out.Data = append(out.Data, shownTo(ctx, present(c)))
	}
	return out, nil
}
