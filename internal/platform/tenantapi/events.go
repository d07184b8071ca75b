// Package tenantapi is the published language of what the platform says about the tenants
// of an installation. Fields are only ever added.
package tenantapi

import (
	"embed"
	"time"
)

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Settings are what a shop decided for itself.
type Settings struct {
	LogoURL              string   `json:"logoUrl,omitempty"`
	StorefrontURL        string   `json:"storefrontUrl,omitempty"`
	SenderName           string   `json:"senderName,omitempty"`
	ReplyTo              string   `json:"replyTo,omitempty"`
	Colours              Colours  `json:"colours,omitzero"`
	Currencies           []string `json:"currencies,omitempty"`      // empty: all that the platform has enabled
	DefaultCurrency      string   `json:"defaultCurrency,omitempty"` // empty: the first of them
	SecondFactorForStaff bool     `json:"secondFactorForStaff,omitempty"`
	RequireVerifiedEmail bool     `json:"requireVerifiedEmail,omitempty"` // of customers, to sign in
}

// Colours of a shop, as #rrggbb.
type Colours struct {
	Primary    string `json:"primary,omitempty"`
	Accent     string `json:"accent,omitempty"`
	Background string `json:"background,omitempty"`
	Text       string `json:"text,omitempty"`
}

// Quotas are what the operator lets a shop use. Nil is without a bound.
type Quotas struct {
	Products          *int64 `json:"products,omitempty"`
	OrdersPerDay      *int64 `json:"ordersPerDay,omitempty"`
	RequestsPerMinute *int64 `json:"requestsPerMinute,omitempty"`
}

// Tenant is the tenant as the facts below show it.
type Tenant struct {
	TenantID   string     `json:"tenantId"`
	Slug       string     `json:"slug"`
	Name       string     `json:"name"`
	Status     string     `json:"status"`
	Hosts      []string   `json:"hosts"`
	Settings   Settings   `json:"settings"`
	Quotas     Quotas     `json:"quotas"`
	PurgeAfter *time.Time `json:"purgeAfter,omitempty"` // of one that is given up
	Version    int64      `json:"version"`
	CreatedAt  time.Time  `json:"createdAt"`
	UpdatedAt  time.Time  `json:"updatedAt"`
}

// EventKey is the tenant: its facts are handled in order.
func (t Tenant) EventKey() string { return t.TenantID }

// EventSequence is the tenant's version.
func (t Tenant) EventSequence() int64 { return t.Version }

// TenantCreated says that there is a shop more.
type TenantCreated struct{ Tenant }

// EventType is the topic.
func (TenantCreated) EventType() string { return "tenant.created" }

// TenantUpdated says that a shop has another name, other hosts, settings or quotas; it
// shows the tenant as it is now.
type TenantUpdated struct{ Tenant }

// EventType is the topic.
func (TenantUpdated) EventType() string { return "tenant.updated" }

// TenantSuspended says that a shop is closed: nobody gets in until it is resumed.
type TenantSuspended struct {
	Tenant
	Reason string `json:"reason"`
}

// EventType is the topic.
func (TenantSuspended) EventType() string { return "tenant.suspended" }

// TenantResumed says that a shop that was closed or given up is open again.
type TenantResumed struct{ Tenant }

// EventType is the topic.
func (TenantResumed) EventType() string { return "tenant.resumed" }

// TenantDeleted says that a shop is given up: nobody gets in, and everything that is kept
// of it is removed after PurgeAfter.
type TenantDeleted struct{ Tenant }

// EventType is the topic.
func (TenantDeleted) EventType() string { return "tenant.deleted" }
