package payments

import (
	"context"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

var (
	errNotManual  = fault.New(fault.Conflict, "payment_not_manual", "Only of manual payments does somebody say that the money has arrived.")
	errNotWaiting = fault.New(fault.Conflict, "payment_not_waiting", "The payment does not wait for the buyer's bank.")
)

func (m *Module) handleReceived(ctx context.Context, in *amountInput) (paymentResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return paymentResponse{}, err
	}
	once, err := httpx.Once(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	return httpx.Command(ctx, m.svc.db, func(tx *db.Tx) (paymentResponse, error) {
		c, err := m.svc.store.lockPayment(ctx, tx, id)
		switch {
		case err != nil:
			return paymentResponse{}, err
		case c.payment.Provider != manualName:
			return paymentResponse{}, errNotManual
		case c.attempt.Reference == "" && c.attempt.State.over():
			return paymentResponse{}, errNotPayable // it was called off before anybody was asked to pay
		case c.attempt.Reference == "":
			return paymentResponse{}, errInProgress
		}
		audit.Before(ctx, present(c))
		left, err := c.payment.Amount.Sub(c.payment.Captured)
		if err != nil {
			return paymentResponse{}, err
		}
		if left.Minor <= 0 && in.amount() == "" {
			return paymentResponse{}, httpx.ErrValidation(fault.Field{Pointer: "/amount", Code: "required", Detail: "must say how much came, of a payment that expects no more"})
		}
		amount, err := amountOr(in.amount(), left)
		if err != nil {
			return paymentResponse{}, err
		}
		o, err := m.manual.Received(ctx, tx, c.attempt.Reference, once.String(), amount)
		switch {
		case declined(err) != nil: // the buyer pays otherwise since
			return paymentResponse{}, errNotManual
		case err != nil:
			return paymentResponse{}, err
		}
		c, err = m.svc.conclude(ctx, tx, c.attempt.ID, o, nil)
		return shownTo(ctx, present(c)), err
	})
}

type authenticateBody struct {
	Outcome string `json:"outcome" enum:"succeeded,failed"`
}

type authenticateInput struct {
	httpx.JSON[authenticateBody]
	ID     string `path:"id" doc:"As it stands in nextAction"`
	Ticket string `header:"Cart-Token" maxLength:"200" doc:"The token of the cart that the order was"`
}

func (m *Module) handleAuthenticate(ctx context.Context, in *authenticateInput) (paymentResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil || m.test == nil {
		return paymentResponse{}, httpx.ErrNotFound
	}
	once, err := httpx.Once(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	return httpx.Command(ctx, m.svc.db, func(tx *db.Tx) (paymentResponse, error) {
		c, err := m.svc.store.lockCharge(ctx, tx, id)
		if err == nil {
			_, err = m.svc.payableBy(ctx, tx, c.payment.OrderID, in.Ticket)
		}
		switch {
		case err != nil:
			return paymentResponse{}, err
		case c.payment.Provider != testName:
			return paymentResponse{}, httpx.ErrNotFound
		case c.attempt.State != state(provider.NeedsAction):
			return paymentResponse{}, errNotWaiting
		}
		audit.About(ctx, "payment", c.payment.ID.String())
		o, err := m.test.Authenticate(ctx, tx, c.attempt.Reference, once.String(), in.Body.Outcome == succeeded)
		if no := declined(err); no != nil {
			return paymentResponse{}, refusedWith(no)
		}
		if err != nil {
			return paymentResponse{}, err
		}
		c, err = m.svc.conclude(ctx, tx, id, o, nil)
		return shownTo(ctx, present(c)), err
	})
}
