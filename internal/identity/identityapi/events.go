// Package identityapi is the published language of the accounts: the only part of them
// that other modules may import. Fields are only ever added. Facts name people by id only.
package identityapi

import (
	"embed"
	"time"
)

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Staff is somebody who works for the shop.
type Staff struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	Name      string    `json:"name"`
	Roles     []string  `json:"roles"`
	Status    string    `json:"status"` // invited, active or disabled
	CreatedAt time.Time `json:"createdAt"`
}

// CustomerRegistered says that a customer made an account.
type CustomerRegistered struct {
	CustomerID string `json:"customerId"`
	AccountID  string `json:"accountId"`
}

// EventType is the topic.
func (CustomerRegistered) EventType() string { return "customer.registered" }

// EventKey is the customer.
func (c CustomerRegistered) EventKey() string { return c.CustomerID }

// EventSequence counts what happened to the customer.
func (CustomerRegistered) EventSequence() int64 { return 1 }

// AccountInvited says that somebody is to work for the shop.
type AccountInvited struct {
	AccountID string   `json:"accountId"`
	Roles     []string `json:"roles"`
	Version   int64    `json:"version"`
}

// EventType is the topic.
func (AccountInvited) EventType() string { return "identity.account.invited" }

// EventKey is the account.
func (a AccountInvited) EventKey() string { return a.AccountID }

// EventSequence is the account's version.
func (a AccountInvited) EventSequence() int64 { return a.Version }

// AccountUpdated says that somebody of the staff may do something else now, or nothing.
type AccountUpdated struct {
	AccountID string   `json:"accountId"`
	Roles     []string `json:"roles"`
	Status    string   `json:"status"`
	Version   int64    `json:"version"`
}

// EventType is the topic.
func (AccountUpdated) EventType() string { return "identity.account.updated" }

// EventKey is the account.
func (a AccountUpdated) EventKey() string { return a.AccountID }

// EventSequence is the account's version.
func (a AccountUpdated) EventSequence() int64 { return a.Version }

// AccountLocked says that somebody failed too often to sign in to an account.
type AccountLocked struct {
	AccountID string `json:"accountId"`
	Version   int64  `json:"version"`
}

// EventType is the topic.
func (AccountLocked) EventType() string { return "identity.account.locked" }

// EventKey is the account.
func (a AccountLocked) EventKey() string { return a.AccountID }

// EventSequence is the account's version, which locking does not change.
func (a AccountLocked) EventSequence() int64 { return a.Version }

// SessionReused says that a refresh token was used twice: one of the two who did has stolen
// it, and the session has ended.
type SessionReused struct {
	SessionID string `json:"sessionId"`
	AccountID string `json:"accountId"`
}

// EventType is the topic.
func (SessionReused) EventType() string { return "identity.session.reused" }

// EventKey is the session.
func (s SessionReused) EventKey() string { return s.SessionID }

// EventSequence counts what happened to the session.
func (SessionReused) EventSequence() int64 { return 1 }
