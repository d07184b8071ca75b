package identityapi_test

import (
	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

const account, customer, session = "019cec04-5f1e-7a86-b6d1-27c0f9a4be53", "019cec07-9d40-7c31-8a5e-b04f6d2c1e97", "019cebab-8995-7b1c-a3e0-5d9f41c27b68"

var _ = eventspec.Contract("identity", identityapi.Schemas,
	identityapi.CustomerErased{CustomerID: customer},
	identityapi.CustomerRegistered{CustomerID: customer, AccountID: account},
	identityapi.AccountInvited{AccountID: account, Roles: []string{"manager"}, Version: 1},
	identityapi.AccountUpdated{AccountID: account, Roles: []string{"manager", "support"}, Status: "active", Version: 2},
	identityapi.AccountLocked{AccountID: account, Version: 2},
	identityapi.SessionReused{SessionID: session, AccountID: account},
)
