package stripe

import (
	"fmt"
	"slices"
	"time"

	upstream "github.com/stripe/stripe-go/v85"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// phases of a PaymentIntent. One that was refused waits for another means of payment: it is
// over only when it has succeeded or was cancelled.
var phases = map[upstream.PaymentIntentStatus]provider.Phase{
	upstream.PaymentIntentStatusRequiresPaymentMethod: provider.NeedsMethod,
	upstream.PaymentIntentStatusRequiresConfirmation:  provider.NeedsMethod,
	upstream.PaymentIntentStatusRequiresAction:        provider.NeedsAction,
	upstream.PaymentIntentStatusProcessing:            provider.Processing,
	upstream.PaymentIntentStatusRequiresCapture:       provider.Authorized,
	upstream.PaymentIntentStatusSucceeded:             provider.Succeeded,
	upstream.PaymentIntentStatusCanceled:              provider.Cancelled,
}

// object says in our words what Stripe says of a payment.
func object(i *upstream.PaymentIntent) (o provider.Object, err error) {
	phase, known := phases[i.Status]
	if !known {
		return o, fmt.Errorf("%w: %w: payment %s has the status %q", provider.ErrUnknownOutcome, errObject, i.ID, i.Status)
	}
	o = provider.Object{Reference: i.ID, Attempt: i.Metadata[attemptKey], Phase: phase, ClientSecret: i.ClientSecret}
	if i.NextAction != nil && i.NextAction.RedirectToURL != nil {
		o.NextAction = i.NextAction.RedirectToURL.URL
	}
	if i.LastPaymentError != nil {
		o.Declined = declined(i.LastPaymentError)
	}
	amounts := amounts{currency: i.Currency}
	o.Amount, o.Authorized, o.Captured = amounts.read(i.Amount), amounts.read(i.AmountCapturable), amounts.read(i.AmountReceived)
	if phase != provider.Succeeded {
		o.Captured.Minor = 0
	}
	o.Fee = amounts.read(0)
	if ch := i.LatestCharge; ch != nil {
		if t := ch.BalanceTransaction; t != nil {
			o.Fee = amounts.fee(t.Fee, t.Currency)
		}
		o.Refunds = amounts.refunds(ch)
	}
	if amounts.err != nil {
		return provider.Object{}, fmt.Errorf("%w: payment %s: %w", errObject, i.ID, amounts.err)
	}
	return o, nil
}

// amounts reads those of one payment; the first that cannot be read is its error.
type amounts struct {
	currency upstream.Currency
	err      error
}

func (a *amounts) read(n int64) money.Amount {
	m, err := fromStripe(n, a.currency)
	if err != nil && a.err == nil {
		a.err = err
	}
	return m
}

// fee is one that Stripe has taken, in the currency that the account is paid out in. In
// another than the payment's, or finer than it has units, it is as good as not said.
func (a *amounts) fee(n int64, currency upstream.Currency) money.Amount {
	m, err := fromStripe(n, currency)
	if err != nil || currency != a.currency {
		return a.read(0)
	}
	return m
}

// refunds of a charge. What was held and let go Stripe lists as a refund too: no money moved.
func (a *amounts) refunds(ch *upstream.Charge) (all []provider.RefundObject) {
	if ch.Refunds == nil || !ch.Captured {
		return nil
	}
	released := ch.Amount - ch.AmountCaptured
	for _, r := range slices.Backward(ch.Refunds.Data) {
		if released > 0 && r.Amount == released && r.BalanceTransaction == nil && r.Metadata[refundKey] == "" {
			released = 0
			continue
		}
		all = append(all, a.refund(r))
	}
	return all
}

func (a *amounts) refund(r *upstream.Refund) provider.RefundObject {
	o := provider.RefundObject{Reference: r.ID, Key: r.Metadata[refundKey], Amount: a.read(r.Amount), Status: string(r.Status), Reason: r.Metadata[reasonKey]}
	if r.Status == upstream.RefundStatusCanceled {
		o.Status = "cancelled"
	}
	if o.Reason == "" {
		o.Reason = string(r.Reason)
	}
	return o
}

func (a *amounts) dispute(d *upstream.Dispute) provider.DisputeObject {
	o := provider.DisputeObject{Reference: d.ID, Amount: a.read(d.Amount), Status: string(d.Status), Reason: string(d.Reason), Withdrawn: a.read(0), Fee: a.read(0)}
	if d.EvidenceDetails != nil && d.EvidenceDetails.DueBy > 0 {
		due := time.Unix(d.EvidenceDetails.DueBy, 0).UTC()
		o.DueBy = &due
	}
	var moved, fees int64
	paidOut := a.currency
	for _, t := range d.BalanceTransactions {
		moved, fees, paidOut = moved+t.Amount, fees+t.Fee, t.Currency
	}
	if moved < 0 {
		o.Withdrawn = o.Amount
	}
	o.Fee = a.fee(fees, paidOut)
	return o
}
