// Package identity knows who can sign in: customers and staff, their passwords and second
// factors, and the sessions in which they act.
//
// Only Module and New are exported. Other modules see identityapi, and whoever signed in as
// a platform identity.
package identity

import (
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// Module is the accounts and their sessions.
type Module struct {
	svc       *service
	customers *customers
}

// New makes the accounts.
func New(k app.Kit) *Module {
	return &Module{svc: &service{db: k.DB, events: k.Events}, customers: &customers{db: k.DB, events: k.Events, mail: k.Mail, erasures: k.Erasures}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "identity" }

// Mount declares routes and lets in who has signed in.
func (m *Module) Mount(on app.Mount) {
	m.customers.mountCustomers(on.API.Group("Customers"))
	m.customers.mountPrivacy(on.API.Group("Customers"))
	m.customers.mountAddresses(on.API.Group("Me"))
}

type service struct {
	db     *db.DB
	events *event.Log
}
