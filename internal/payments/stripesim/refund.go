package stripesim

import "fmt"

// refund gives money back.
type refund struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	BalanceTransaction any               `json:"balance_transaction"`
	Charge             any               `json:"charge"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	FailureReason      *string           `json:"failure_reason,omitempty"`
	Metadata           map[string]string `json:"metadata"`
	PaymentIntent      any               `json:"payment_intent"`
	Reason             *string           `json:"reason"`
	Status             string            `json:"status"`

	charge   *charge
	movement *movement
	released bool // it was held and never taken: no money moved
}

func (r *refund) name() string { return r.ID }
func (r *refund) made() int64  { return r.Created }

func (r *refund) view(e expand) any {
	v := *r
	v.Charge, v.PaymentIntent = r.charge.ID, r.charge.PaymentIntent
	if within, whole := e.of("charge"); whole {
		v.Charge = r.charge.view(within)
	}
	if within, whole := e.of("payment_intent"); whole {
		v.PaymentIntent = r.charge.intent.view(within)
	}
	if r.movement != nil {
		v.BalanceTransaction = r.movement.ID
	}
	return v
}

func createRefund(c *call) (any, error) {
	ch, err := c.refunded()
	if err != nil {
		return nil, err
	}
	amount, given, err := c.number("amount")
	if err != nil {
		return nil, err
	}
	left := ch.Amount - ch.AmountRefunded
	if !given {
		amount = left
	}
	switch reason := c.text("reason"); reason {
	case "", "duplicate", "fraudulent", "requested_by_customer":
	default:
		return nil, invalid("", "reason", "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer")
	}
	switch {
	case !ch.Captured:
		return nil, wrongState("charge_not_refundable", "This PaymentIntent ("+ch.PaymentIntent+") does not have a successful charge to refund.")
	case ch.dispute != nil && !ch.dispute.refundable():
		return nil, wrongState("charge_disputed", "Charge "+ch.ID+" has been charged back; cannot issue a refund.")
	case left == 0:
		return nil, wrongState("charge_already_refunded", "Charge "+ch.ID+" has already been refunded.")
	case amount > left:
		return nil, wrongState("", fmt.Sprintf("Refund amount (%d) is greater than unrefunded amount on charge (%d)", amount, left))
	}
	if err := checkAmount(amount, ch.Currency, "amount", false); err != nil {
		return nil, err
	}
	r := c.giveBack(ch, amount)
	r.Metadata, r.Reason = c.group("metadata"), optional(c.text("reason"))
	c.emit("refund.created", r)
	c.emit("charge.refunded", ch)
	switch ch.card.refunds {
	case "pending":
		c.later(c.sim.opt.Settling, func(c *call) { _ = c.settleRefund(r, true) })
	case "fail":
		c.later(c.sim.opt.Settling, func(c *call) { _ = c.settleRefund(r, false) })
	}
	return r.view(c.expand()), nil
}

// refunded is the charge that a refund names, itself or by its intent.
func (c *call) refunded() (*charge, error) {
	if id := c.text("charge"); id != "" {
		return c.acct.charges.find("charge", id, "charge")
	}
	id := c.text("payment_intent")
	if id == "" {
		return nil, invalid("parameter_missing", "payment_intent", "One of the following params should be provided for this request: payment_intent or charge.")
	}
	i, err := c.acct.intents.find("payment_intent", id, "payment_intent")
	if err != nil {
		return nil, err
	}
	if i.charge == nil {
		return nil, wrongState("charge_not_refundable", "This PaymentIntent ("+i.ID+") does not have a successful charge to refund.")
	}
	return i.charge, nil
}

func (c *call) giveBack(ch *charge, amount int64) *refund {
	r := c.refund(ch, amount)
	r.movement = c.move("refund", r.ID, ch.Currency, -amount, 0)
	if ch.card.refunds == "pending" {
		r.Status = "pending"
	}
	return r
}

// release is a refund of money that was held and never taken. Stripe lists it with the others.
func (c *call) release(ch *charge, amount int64) {
	c.refund(ch, amount).released = true
}

func (c *call) refund(ch *charge, amount int64) *refund {
	r := &refund{
		ID: c.sim.dice.id("re"), Object: "refund", Amount: amount, Created: seconds(c.sim.now()), Currency: ch.Currency,
		Metadata: map[string]string{}, Status: "succeeded", charge: ch,
	}
	ch.refunds = append(ch.refunds, r)
	ch.AmountRefunded += amount
	ch.Refunded = ch.AmountRefunded == ch.Amount
	c.acct.refunds.add(r)
	return r
}

// settleRefund ends a refund that the bank took its time for. One that seemed to have
// succeeded may fail as well: the money is the merchant's again.
func (c *call) settleRefund(r *refund, paid bool) error {
	if r.Status == "failed" || r.Status == "canceled" || r.released || paid && r.Status == "succeeded" {
		return wrongState("", "This refund is settled: it has a status of "+r.Status+".")
	}
	if paid {
		r.Status = "succeeded"
		c.emit("refund.updated", r)
		c.emit("charge.refund.updated", r)
		return nil
	}
	r.Status, r.FailureReason = "failed", optional("lost_or_stolen_card")
	r.charge.AmountRefunded -= r.Amount
	r.charge.Refunded = false
	c.move("refund_failure", r.ID, r.Currency, r.Amount, 0)
	c.emit("refund.failed", r)
	c.emit("refund.updated", r)
	c.emit("charge.refund.updated", r)
	return nil
}

func retrieveRefund(c *call) (any, error) {
	r, err := c.acct.refunds.find("refund", c.id, "refund")
	if err != nil {
		return nil, err
	}
	return r.view(c.expand()), nil
}

func listRefunds(c *call) (any, error) {
	intent, charge := c.text("payment_intent"), c.text("charge")
	return list(c, &c.acct.refunds, "refund", func(r *refund) bool {
		return (intent == "" || r.charge.PaymentIntent == intent) && (charge == "" || r.charge.ID == charge)
	})
}
