package stripesim

// charge is one try to take the money of an intent.
type charge struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	AmountCaptured     int64             `json:"amount_captured"`
	AmountRefunded     int64             `json:"amount_refunded"`
	BalanceTransaction any               `json:"balance_transaction"`
	Captured           bool              `json:"captured"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	Disputed           bool              `json:"disputed"`
	FailureCode        *string           `json:"failure_code"`
	FailureMessage     *string           `json:"failure_message"`
	Livemode           bool              `json:"livemode"`
	Metadata           map[string]string `json:"metadata"`
	Paid               bool              `json:"paid"`
	PaymentIntent      string            `json:"payment_intent"`
	PaymentMethod      string            `json:"payment_method"`
	ReceiptEmail       *string           `json:"receipt_email"`
	Refunded           bool              `json:"refunded"`
	Refunds            *page             `json:"refunds,omitempty"`
	Status             string            `json:"status"`

	card     card
	intent   *intent
	refunds  []*refund
	dispute  *dispute
	movement *movement
}

func (ch *charge) name() string { return ch.ID }
func (ch *charge) made() int64  { return ch.Created }

func (ch *charge) view(e expand) any {
	v := *ch
	if ch.movement != nil {
		v.BalanceTransaction = ch.movement.ID
		if _, whole := e.of("balance_transaction"); whole {
			v.BalanceTransaction = *ch.movement
		}
	}
	if within, whole := e.of("refunds"); whole {
		inner, _ := within.of("data")
		v.Refunds = &page{Object: "list", Data: []any{}, URL: "/v1/charges/" + ch.ID + "/refunds", HasMore: len(ch.refunds) > usualPage}
		for n := len(ch.refunds) - 1; n >= 0 && len(v.Refunds.Data) < usualPage; n-- {
			v.Refunds.Data = append(v.Refunds.Data, ch.refunds[n].view(inner))
		}
	}
	return v
}

// take tries to get the money. A refusal is an error of the call.
func (c *call) take(i *intent, known card) error {
	ch := &charge{
		ID: c.sim.dice.id("ch"), Object: "charge", Amount: i.Amount, Currency: i.Currency, Created: seconds(c.sim.now()), Metadata: i.Metadata,
		PaymentIntent: i.ID, PaymentMethod: *i.PaymentMethod, ReceiptEmail: i.ReceiptEmail, Status: "pending", card: known, intent: i,
	}
	i.charge = ch
	c.acct.charges.add(ch)
	switch {
	case known.debit:
		i.Status = processing
		c.emit("payment_intent.processing", i)
		c.emit("charge.pending", ch)
		c.later(c.sim.opt.Settling, func(c *call) {
			if i.Status == processing {
				_ = c.settle(i, known.code == "")
			}
		})
		return nil
	case known.code != "":
		return c.decline(i)
	}
	c.approve(i)
	return nil
}

// settle ends a debit that was on its way.
func (c *call) settle(i *intent, paid bool) error {
	if i.Status != processing {
		return wrongState("payment_intent_unexpected_state", "This PaymentIntent is not on its way: it has a status of "+i.Status+".")
	}
	if paid {
		c.approve(i)
		return nil
	}
	if i.charge.card.code == "" {
		i.charge.card.code, i.charge.card.decline = "payment_intent_payment_attempt_failed", "generic_decline"
	}
	_ = c.decline(i) // there is no call that could be refused any more
	return nil
}

func (c *call) approve(i *intent) {
	ch := i.charge
	ch.Status, ch.Paid = "succeeded", true
	if i.CaptureMethod == "manual" {
		i.Status, i.AmountCapturable = needsCapture, i.Amount
		c.emit("charge.succeeded", ch)
		c.emit("payment_intent.amount_capturable_updated", i)
		c.later(c.sim.opt.Hold, func(c *call) { c.expire(i) })
		return
	}
	c.collect(i, i.Amount)
	c.emit("charge.succeeded", ch)
	c.emit("payment_intent.succeeded", i)
	c.aftermath(ch)
}

func (c *call) decline(i *intent) error {
	ch, why := i.charge, i.charge.card.refusal()
	why.Charge = ch.ID
	ch.Status, ch.FailureCode, ch.FailureMessage = "failed", &why.Code, &why.Message
	remembered := *why
	i.refuse(&remembered)
	why.PaymentIntent = i.view(nil)
	c.emit("charge.failed", ch)
	c.emit("payment_intent.payment_failed", i)
	return why
}

// capture takes what was held, or a part of it: the rest is the buyer's again.
func (c *call) capture(i *intent, amount int64) {
	c.collect(i, amount)
	if rest := i.Amount - amount; rest > 0 {
		c.release(i.charge, rest)
	}
	c.emit("charge.captured", i.charge)
	c.emit("payment_intent.succeeded", i)
	c.aftermath(i.charge)
}

func (c *call) collect(i *intent, amount int64) {
	i.Status, i.AmountCapturable, i.AmountReceived = succeeded, 0, amount
	ch := i.charge
	ch.Captured, ch.AmountCaptured = true, amount
	ch.movement = c.move("charge", ch.ID, ch.Currency, amount, feeOf(amount, ch.Currency))
}

// aftermath is what owners and banks of some cards do when the money has been taken.
func (c *call) aftermath(ch *charge) {
	if ch.card.fraud != "" {
		c.warn(ch)
	}
	if ch.card.dispute != "" {
		c.openDispute(ch, ch.card.dispute, ch.card.inquiry)
	}
}

func retrieveCharge(c *call) (any, error) {
	ch, err := c.acct.charges.find("charge", c.id, "charge")
	if err != nil {
		return nil, err
	}
	return ch.view(c.expand()), nil
}

func listCharges(c *call) (any, error) {
	of := c.text("payment_intent")
	return list(c, &c.acct.charges, "charge", func(ch *charge) bool { return of == "" || ch.PaymentIntent == of })
}
