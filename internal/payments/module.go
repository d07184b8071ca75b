// Package payments moves money: it asks providers to charge, capture and refund, believes
// nothing but what they say happened, and keeps the ledger of it.
//
// Only Module, New and the interface that it needs are exported. Other modules see
// paymentsapi, providers the package provider.
package payments

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/inhouse"
	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// Orders is what payments needs to know of orders.
type Orders interface {
	// Payable is what there is to pay for an order; ok is false when there is no such order.
	// ticket is what a guest shows, empty for nothing.
	Payable(ctx context.Context, tx *db.Tx, order uuid.UUID, ticket string) (p ordersapi.Payable, ok bool, err error)
}

// Module is the payments.
type Module struct {
	svc    *service
	manual *inhouse.Provider
	test   *inhouse.Provider // nil: there is none
}

const (
	manualName = inhouse.ManualName
	testName   = inhouse.TestName
)

// New makes the payments. The manual provider is always there.
func New(k app.Kit, orders Orders, providers ...provider.Provider) *Module {
	m := &Module{manual: inhouse.Manual(k.DB)}
	m.svc = &service{
		db: k.DB, events: k.Events, timers: k.Timers, vault: k.Vault, now: k.Clock, log: k.Log, orders: orders, patience: callTimeout,
		providers: map[string]provider.Provider{manualName: m.manual},
	}
	for _, p := range providers {
		m.svc.providers[p.Name()] = p
		if own, ok := p.(*inhouse.Provider); ok {
			m.test = own
		}
	}
	return m
}

// Name of the module, its schema and its migrations.
func (*Module) Name() string { return "payments" }

const (
	permissionRead      = "payments:read"
	permissionWrite     = "payments:write"
	permissionPay       = "payments:pay"
	permissionRefund    = "orders:refund"
	permissionConfigure = "payments:configure"
)

// ticketHeader carries what a guest shows.
const ticketHeader = "Cart-Token"

// Mount declares routes, reactions and errands.
func (m *Module) Mount(on app.Mount) {
	m.mountPayments(on.API.Group("Payments"))
	m.mountAccounts(on.API.Group("Payments"))

	event.OnBatch(on.Bus, "payments.close-failed-order", m.svc.onOrderFailed)
	event.OnBatch(on.Bus, "payments.close-cancelled-order", m.svc.onOrderCancelled)
	event.OnBatch(on.Bus, "payments.lower-cancelled-items", m.svc.onItemsCancelled)
	event.OnBatch(on.Bus, "payments.lower-returned-goods", m.svc.onReturnReceived)
	event.OnBatch(on.Bus, "payments.claim-order", m.svc.onOrderClaimed)

	m.svc.timers.On(timerClose, m.svc.letGo)
	m.svc.timers.OnPatientErrand(timerAttempt, m.svc.lookAfterAttempt)
	m.svc.timers.OnErrand(timerOperation, m.svc.lookAfterOperation)
	m.svc.timers.OnErrand(timerRefund, m.svc.lookAfterRefund)
	m.svc.timers.OnErrand(timerNotice, m.svc.lookAfterNotice)
	m.svc.timers.OnPatientErrand(timerReconcile, m.svc.reconcile)

	on.Jobs.Add(m.svc.tallying())
	on.Jobs.Add(m.svc.sweeping())

	m.svc.vault.Keep(
		vault.Sealed{Table: "payments.account", Column: "secret_key", Purpose: sealedKey},
		vault.Sealed{Table: "payments.account", Column: "webhook_secrets", Purpose: sealedWebhook},
		vault.Sealed{Table: "payments.attempt", Column: "client_secret", Purpose: sealedClient},
	)
}

func (m *Module) mountPayments(api *httpx.API) {
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments", ID: "createPayment", Summary: "Pay an order", Permission: permissionPay, Ticket: ticketHeader, Limit: httpx.LimitCheckout, Status: http.StatusCreated, Refill: m.svc.refill,
		Description: "Begins a payment of what is left to pay, or goes on with the one that there is: an order is never charged twice, however often this is asked. With a `method` the money is taken at once; without, the buyer's page gives one to the provider, with the `clientSecret`. " +
			"The answer is 201 also when the provider declines: `status` is `failed` and `failure` says why; ask again with another method. `requires_action` means that the buyer has to go to `nextAction`. " +
			"Customers pay their own orders. A guest sends the token of the cart that the order was as `Cart-Token`; an order that was none is paid by whoever knows its id and may pay, as a storefront's page.",
		Refusals: []*fault.Error{httpx.ErrNotFound, errNotPayable, errPaid, errInProgress, errTooMany, errNoAccount, errNoProvider, errRefused},
	}, m.svc.handlePay)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/payments", ID: "listPayments", Summary: "List payments", Permission: permissionRead, Own: true,
		Description: "Newest first.",
	}, m.svc.handleList)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/payments/{id}", ID: "getPayment", Summary: "Read a payment", Permission: permissionRead, Own: true, Ticket: ticketHeader,
		Description: "A guest sends the token of the cart that the order was as `Cart-Token`.",
	}, m.svc.handleGet)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/{id}/capture", ID: "capturePayment", Summary: "Take money that is held", Permission: permissionWrite,
		Description: "All of it, or an amount; what the provider does not keep holding for a further capture is free then.", Refusals: []*fault.Error{errNotPayable, errNotCapturable, errAmountTooLarge, errInProgress, errRefused, errNoProvider},
	}, m.svc.handleCapture)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/{id}/cancel", ID: "cancelPayment", Summary: "Cancel a payment", Permission: permissionWrite,
		Description: "Nothing will be taken, and what is held is free. Cancelling a cancelled payment changes nothing.", Refusals: []*fault.Error{errNotCancellable, errInProgress, errRefused, errNoProvider},
	}, m.svc.handleCancel)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/{id}/mark-received", ID: "markPaymentReceived", Summary: "Note that money has arrived", Permission: permissionWrite,
		Description: "Of payments by bank transfer or cash on delivery (`manual`): all of it, or the amount that came, whatever became of the order: what is more than it costs goes back as a refund.", Refusals: []*fault.Error{errNotManual, errNotPayable, errInProgress},
	}, m.handleReceived)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/{id}/refunds", ID: "createRefund", Summary: "Refund a payment", Permission: permissionRefund, Status: http.StatusCreated,
		Description: "What is left of it, or an amount. The answer is 201 also when the provider refuses: `status` is `failed`, `failure` says why, and the amount can be refunded again. A refund that the provider has not answered is `requested`, and is asked for until it has.",
		Refusals:    []*fault.Error{errNothingToRefund, errAmountTooLarge, errNoProvider, errOtherRefund},
	}, m.svc.handleRefund)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/payments/{id}/refunds", ID: "listRefunds", Summary: "List the refunds of a payment", Permission: permissionRead, Own: true,
	}, m.svc.handleRefunds)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/test/{id}/authenticate", ID: "authenticateTestPayment", Summary: "Answer for the buyer's bank", Permission: permissionPay, Ticket: ticketHeader, Limit: httpx.LimitCheckout,
		Description: "Of payments by the `test` provider that wait for it, as a bank's page would.", Refusals: []*fault.Error{errNotWaiting, errRefused},
	}, m.handleAuthenticate)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/webhook", ID: "receiveWebhook", Summary: "Hear from the preferred provider", Permission: httpx.Public, Limit: httpx.LimitSigned, Unrecorded: true,
		Description: "Of the shop whose host is asked.", Refusals: []*fault.Error{errSignature, httpx.ErrNotFound},
	}, m.svc.handlePreferredWebhook)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/webhook/{id}", ID: "receiveAccountWebhook", Summary: "Hear from a provider", Permission: httpx.Public, Limit: httpx.LimitSigned, Unrecorded: true,
		Description: "`id` is the payment account's. A message is kept before it is answered, counts once, and says only which charge to look at.", Refusals: []*fault.Error{errSignature},
	}, m.svc.handleWebhook)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/payments/reconciliation", ID: "reconcilePayments", Summary: "Find what does not add up", Permission: permissionRead,
		Description: "Charges at a provider that are nobody's here, amounts that differ, what nobody has answered for a while, and the balances of the ledger.",
	}, m.svc.handleReconciliation)
}

func (m *Module) mountAccounts(api *httpx.API) {
	const configure = permissionConfigure
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPost, Path: "/v1/payments/accounts", ID: "createPaymentAccount", Summary: "Add an account at a provider", Permission: configure, Status: http.StatusCreated,
		Description: "Its secrets are sealed, and nobody can read them back. Have the provider send its webhooks to `webhookPath`.", Refusals: []*fault.Error{errNoProvider},
	}, m.svc.handleCreateAccount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/payments/accounts", ID: "listPaymentAccounts", Summary: "List the accounts at providers", Permission: configure,
	}, m.svc.handleAccounts)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodGet, Path: "/v1/payments/accounts/{id}", ID: "getPaymentAccount", Summary: "Read an account at a provider", Permission: configure,
	}, m.svc.handleAccount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodPatch, Path: "/v1/payments/accounts/{id}", ID: "updatePaymentAccount", Summary: "Change an account at a provider", Permission: configure,
		Description: "Send the new webhook secret before the old one while they change: both count.",
	}, m.svc.handleUpdateAccount)
	httpx.Handle(api, httpx.Route{
		Method: http.MethodDelete, Path: "/v1/payments/accounts/{id}", ID: "deletePaymentAccount", Summary: "Remove an account at a provider", Permission: configure, Status: http.StatusNoContent,
		Refusals: []*fault.Error{errAccountInUse},
	}, m.svc.handleDeleteAccount)
}
