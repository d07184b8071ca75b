package ordersapi

import "github.com/fusioncommerce/fusion/internal/platform/money"

// Payable is what there is to pay for an order.
type Payable struct {
	OrderID    string
	CustomerID string
	Total      money.Amount
	// Closed says that nothing is to be paid any more: the order failed or was cancelled.
	Closed bool
	// Settled says that nothing was left to pay at some time: what was given back since is not
	// to be paid anew.
	Settled bool
	// Ticketed says that the order has a ticket, which a guest needs to pay it; Opened that the
	// one that was shown is it.
	Ticketed, Opened bool
}
