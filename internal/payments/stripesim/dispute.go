package stripesim

import (
	"strings"
	"time"
)

// evidenceTime is how long a merchant has to answer.
const evidenceTime = 7 * 24 * time.Hour

// dispute is a buyer's objection at the bank.
type dispute struct {
	ID                  string            `json:"id"`
	Object              string            `json:"object"`
	Amount              int64             `json:"amount"`
	BalanceTransactions []*movement       `json:"balance_transactions"`
	Charge              string            `json:"charge"`
	Created             int64             `json:"created"`
	Currency            string            `json:"currency"`
	EvidenceDetails     evidenceDetails   `json:"evidence_details"`
	IsChargeRefundable  bool              `json:"is_charge_refundable"`
	Livemode            bool              `json:"livemode"`
	Metadata            map[string]string `json:"metadata"`
	PaymentIntent       string            `json:"payment_intent"`
	Reason              string            `json:"reason"`
	Status              string            `json:"status"`

	charge *charge
}

type evidenceDetails struct {
	DueBy           int64 `json:"due_by"`
	HasEvidence     bool  `json:"has_evidence"`
	PastDue         bool  `json:"past_due"`
	SubmissionCount int   `json:"submission_count"`
}

func (d *dispute) name() string    { return d.ID }
func (d *dispute) made() int64     { return d.Created }
func (d *dispute) view(expand) any { return *d }

// inquiry tells a question of the bank from a dispute: money moves only for the latter.
func (d *dispute) inquiry() bool { return strings.HasPrefix(d.Status, "warning_") }

func (d *dispute) refundable() bool { return d.inquiry() }

func (d *dispute) closed() bool {
	return d.Status == "won" || d.Status == "lost" || d.Status == "warning_closed"
}

func (c *call) openDispute(ch *charge, reason string, inquiry bool) {
	d := &dispute{
		ID: c.sim.dice.id("du"), Object: "dispute", Amount: ch.AmountCaptured, BalanceTransactions: []*movement{}, Charge: ch.ID, Created: seconds(c.sim.now()),
		Currency: ch.Currency, EvidenceDetails: evidenceDetails{DueBy: seconds(c.sim.now().Add(evidenceTime))}, IsChargeRefundable: inquiry,
		Metadata: map[string]string{}, PaymentIntent: ch.PaymentIntent, Reason: reason, Status: "needs_response", charge: ch,
	}
	if inquiry {
		d.Status = "warning_needs_response"
	}
	ch.Disputed, ch.dispute = true, d
	c.acct.disputes.add(d)
	c.emit("charge.dispute.created", d)
	if !inquiry {
		d.BalanceTransactions = append(d.BalanceTransactions, c.move("adjustment", d.ID, d.Currency, -d.Amount, disputeFee(d.Currency)))
		c.emit("charge.dispute.funds_withdrawn", d)
	}
	c.later(evidenceTime, func(c *call) {
		if !d.closed() && d.EvidenceDetails.SubmissionCount == 0 {
			d.EvidenceDetails.PastDue = true
			c.closeDispute(d, false)
		}
	})
}

// disputeFee is fifteen of the currency's unit, as an amount of Stripe's.
func disputeFee(currency string) int64 {
	return [...]int64{0: 1500, 2: 1500, 3: 15000}[digits(currency)]
}

// updateDispute takes evidence. As in Stripe's test mode its text decides: winning_evidence,
// losing_evidence.
func updateDispute(c *call) (any, error) {
	d, err := c.acct.disputes.find("dispute", c.id, "dispute")
	if err != nil {
		return nil, err
	}
	if d.closed() {
		return nil, wrongState("", "This dispute is already closed")
	}
	evidence := c.group("evidence")
	d.EvidenceDetails.HasEvidence = d.EvidenceDetails.HasEvidence || len(evidence) > 0
	if c.text("submit") == "false" {
		return d.view(nil), nil
	}
	d.EvidenceDetails.SubmissionCount++
	d.Status = strings.Replace(d.Status, "needs_response", "under_review", 1)
	c.emit("charge.dispute.updated", d)
	switch evidence["uncategorized_text"] {
	case "winning_evidence":
		c.later(c.sim.opt.Settling, func(c *call) { c.closeDispute(d, true) })
	case "losing_evidence":
		c.later(c.sim.opt.Settling, func(c *call) { c.closeDispute(d, false) })
	}
	return d.view(nil), nil
}

// acceptDispute is a merchant who gives in.
func acceptDispute(c *call) (any, error) {
	d, err := c.acct.disputes.find("dispute", c.id, "dispute")
	if err != nil {
		return nil, err
	}
	if d.closed() {
		return nil, wrongState("", "This dispute is already closed")
	}
	c.closeDispute(d, false)
	return d.view(nil), nil
}

func (c *call) closeDispute(d *dispute, won bool) {
	switch {
	case d.closed():
		return
	case d.inquiry() && won:
		d.Status = "warning_closed"
	case won:
		d.Status = "won"
		d.BalanceTransactions = append(d.BalanceTransactions, c.move("adjustment", d.ID, d.Currency, d.Amount, 0))
		c.emit("charge.dispute.funds_reinstated", d)
	case d.inquiry():
		// Who lets the bank's question pass gets the dispute.
		d.BalanceTransactions = append(d.BalanceTransactions, c.move("adjustment", d.ID, d.Currency, -d.Amount, disputeFee(d.Currency)))
		c.emit("charge.dispute.funds_withdrawn", d)
		fallthrough
	default:
		d.Status = "lost"
	}
	d.IsChargeRefundable = false
	c.emit("charge.dispute.closed", d)
}

func retrieveDispute(c *call) (any, error) {
	d, err := c.acct.disputes.find("dispute", c.id, "dispute")
	if err != nil {
		return nil, err
	}
	return d.view(nil), nil
}

func listDisputes(c *call) (any, error) {
	intent, charge := c.text("payment_intent"), c.text("charge")
	return list(c, &c.acct.disputes, "dispute", func(d *dispute) bool {
		return (intent == "" || d.PaymentIntent == intent) && (charge == "" || d.Charge == charge)
	})
}

// warning is what a card's bank says before its owner has (radar.early_fraud_warning).
type warning struct {
	ID            string `json:"id"`
	Object        string `json:"object"`
	Actionable    bool   `json:"actionable"`
	Charge        string `json:"charge"`
	Created       int64  `json:"created"`
	FraudType     string `json:"fraud_type"`
	Livemode      bool   `json:"livemode"`
	PaymentIntent string `json:"payment_intent"`
}

func (w *warning) name() string    { return w.ID }
func (w *warning) made() int64     { return w.Created }
func (w *warning) view(expand) any { return *w }

func (c *call) warn(ch *charge) {
	w := &warning{
		ID: c.sim.dice.id("issfr"), Object: "radar.early_fraud_warning", Actionable: true, Charge: ch.ID, Created: seconds(c.sim.now()),
		FraudType: ch.card.fraud, PaymentIntent: ch.PaymentIntent,
	}
	c.acct.warnings.add(w)
	c.emit("radar.early_fraud_warning.created", w)
}

func listWarnings(c *call) (any, error) {
	intent, charge := c.text("payment_intent"), c.text("charge")
	return list(c, &c.acct.warnings, "early_fraud_warning", func(w *warning) bool {
		return (intent == "" || w.PaymentIntent == intent) && (charge == "" || w.Charge == charge)
	})
}
