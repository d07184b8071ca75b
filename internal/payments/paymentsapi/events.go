// Package paymentsapi is the payments' published language: the only part of the module that
// others may import. Fields are only ever added.
package paymentsapi

import "embed"

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Payment is the payment as the facts below show it: whole, so that the fact with the highest
// version is all that a reader needs.
type Payment struct {
	PaymentID string `json:"paymentId"`
	OrderID   string `json:"orderId"`
	Provider  string `json:"provider"`
	Amount    string `json:"amount"` // decimal, as those below: what was asked for
	Currency  string `json:"currency"`
	Status    string `json:"status"`
	// Authorized is what the provider has ever held or taken; Captured what it has taken.
	Authorized string `json:"authorized"`
	Captured   string `json:"captured"`
	Refunded   string `json:"refunded"` // of what was captured
	Disputed   string `json:"disputed"` // by the buyer at their bank, and not won
	Version    int64  `json:"version"`
}

// EventKey is the payment: its facts are handled in order.
func (p Payment) EventKey() string { return p.PaymentID }

// EventSequence is the payment's version.
func (p Payment) EventSequence() int64 { return p.Version }

// PaymentCreated says that somebody has begun to pay an order, or tries again what came to
// nothing before.
type PaymentCreated struct{ Payment }

// EventType is the topic.
func (PaymentCreated) EventType() string { return "payment.created" }

// PaymentAuthorized says that money is held, and can be captured.
type PaymentAuthorized struct{ Payment }

// EventType is the topic.
func (PaymentAuthorized) EventType() string { return "payment.authorized" }

// PaymentReceived says that a part of what was asked for has come, by bank transfer: the rest is
// still waited for.
type PaymentReceived struct{ Payment }

// EventType is the topic.
func (PaymentReceived) EventType() string { return "payment.received" }

// PaymentSucceeded says that money was captured: all that was asked for, or what somebody chose
// to capture of what was held.
type PaymentSucceeded struct{ Payment }

// EventType is the topic.
func (PaymentSucceeded) EventType() string { return "payment.succeeded" }

// PaymentFailed says that the provider refused. Another attempt may still succeed.
type PaymentFailed struct {
	Payment
	Reason string `json:"reason"` // the provider's code, "insufficient_funds"
}

// EventType is the topic.
func (PaymentFailed) EventType() string { return "payment.failed" }

// PaymentCancelled says that nothing will be taken: what was held is free.
type PaymentCancelled struct{ Payment }

// EventType is the topic.
func (PaymentCancelled) EventType() string { return "payment.cancelled" }

// PaymentRefunded says that what has been refunded is another amount now: more, or less when
// a bank sent a refund back.
type PaymentRefunded struct{ Payment }

// EventType is the topic.
func (PaymentRefunded) EventType() string { return "payment.refunded" }

// PaymentDisputed says that a dispute of the buyer at their bank began, changed or ended.
type PaymentDisputed struct{ Payment }

// EventType is the topic.
func (PaymentDisputed) EventType() string { return "payment.disputed" }
