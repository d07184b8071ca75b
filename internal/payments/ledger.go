package payments

import (
	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Accounts of the ledger. docs/payments.md says what their balances mean.
const (
	clearing = "clearing" // what a provider holds for the shop
	fees     = "fees"     // what providers took for their work
	sales    = "sales"    // what buyers paid for
	refunds  = "refunds"  // what is on its way back to buyers
	disputes = "disputes" // what banks took back
)

// posting is one transaction of the ledger: an amount that goes to one account's debit and
// to another's credit. Kind and source are what it is booked for, once.
type posting struct {
	ID      uuid.UUID
	Kind    string
	Source  string
	Payment uuid.UUID
	Order   uuid.UUID
	Account uuid.UUID
	Amount  money.Amount
	Debit   string
	Credit  string
}

func (c *charge) posts(kind, source string, amount money.Amount, debit, credit string) posting {
	return posting{clock.NewID(), kind, source, c.payment.ID, c.payment.OrderID, c.attempt.AccountID, amount, debit, credit}
}
