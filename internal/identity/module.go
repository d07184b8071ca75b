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
type Module struct{ svc *service }

// New makes the accounts.
func New(k app.Kit) *Module {
	return &Module{&service{db: k.DB, events: k.Events}}
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "identity" }

// Mount declares routes and lets in who has signed in.
func (m *Module) Mount(on app.Mount) {
	_ = on
}

type service struct {
	db     *db.DB
	events *event.Log
}
