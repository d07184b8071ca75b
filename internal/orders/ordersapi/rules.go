package ordersapi

import (
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Rules are what becomes of orders by themselves.
type Rules struct {
	// UnpaidFor is how long an order that was a cart may be unpaid before it is cancelled; 0: for
	// ever.
	UnpaidFor time.Duration
	// OverdueAfter is how long an order that is paid may wait to be packed before it says that it
	// does; 0: for ever.
	OverdueAfter time.Duration
	// RefundUnshippable calls off what cannot be sent, instead of leaving it to somebody.
	RefundUnshippable bool
	// HoldAbove has orders that cost more wait until somebody has looked at them.
	HoldAbove []money.Amount
}
