package stripesim

import (
	"maps"
	"slices"
)

// Ledger is what an auditor asks a provider for. Amounts are Stripe's.
type Ledger struct {
	Charges []LedgerCharge `json:"charges"`
	Orders  []LedgerOrder  `json:"orders"`
	Sums    []LedgerSum    `json:"sums"`
}

// LedgerCharge is a payment that took or holds money.
type LedgerCharge struct {
	Account       string `json:"account"`
	PaymentIntent string `json:"paymentIntent"`
	Attempt       string `json:"attempt,omitempty"` // as metadata says, like order
	Order         string `json:"order,omitempty"`
	Status        string `json:"status"`
	Currency      string `json:"currency"`
	Held          int64  `json:"held"`
	Captured      int64  `json:"captured"`
	Refunded      int64  `json:"refunded"`
	Disputed      int64  `json:"disputed"`
	Fees          int64  `json:"fees"`
}

// LedgerOrder are the charges of one order together.
type LedgerOrder struct {
	Account  string `json:"account"`
	Order    string `json:"order"`
	Currency string `json:"currency"`
	Charges  int    `json:"charges"`
	Held     int64  `json:"held"`
	Captured int64  `json:"captured"`
	Refunded int64  `json:"refunded"`
}

// LedgerSum is an account's money in a currency. Balance is the sum of its movements: it is
// the same as captured without refunded, disputed and fees, or the simulator is wrong.
type LedgerSum struct {
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Charges  int    `json:"charges"`
	Held     int64  `json:"held"`
	Captured int64  `json:"captured"`
	Refunded int64  `json:"refunded"`
	Disputed int64  `json:"disputed"`
	Fees     int64  `json:"fees"`
	Balance  int64  `json:"balance"`
}

// Ledger of all accounts, or of one.
func (s *Simulator) Ledger(account string) Ledger {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepAppointments()
	l := Ledger{Charges: []LedgerCharge{}, Orders: []LedgerOrder{}, Sums: []LedgerSum{}}
	for _, name := range slices.Sorted(maps.Keys(s.accounts)) {
		if account == "" || account == name {
			l.add(s.accounts[name])
		}
	}
	return l
}

func (l *Ledger) add(a *account) {
	sums, orders := map[string]*LedgerSum{}, map[[2]string]*LedgerOrder{}
	for _, ch := range a.charges.all {
		entry := ch.ledger(a.name)
		if entry.Held == 0 && entry.Captured == 0 {
			continue
		}
		l.Charges = append(l.Charges, entry)
		sum := sums[ch.Currency]
		if sum == nil {
			sum = &LedgerSum{Account: a.name, Currency: ch.Currency}
			sums[ch.Currency] = sum
		}
		sum.Charges++
		sum.Held += entry.Held
		sum.Captured += entry.Captured
		sum.Refunded += entry.Refunded
		sum.Disputed += entry.Disputed
		sum.Fees += entry.Fees
		if entry.Order == "" {
			continue
		}
		id := [2]string{entry.Order, ch.Currency}
		order := orders[id]
		if order == nil {
			order = &LedgerOrder{Account: a.name, Order: entry.Order, Currency: ch.Currency}
			orders[id] = order
		}
		order.Charges++
		order.Held += entry.Held
		order.Captured += entry.Captured
		order.Refunded += entry.Refunded
	}
	for _, m := range a.movements.all {
		sums[m.Currency].Balance += m.Net
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		l.Sums = append(l.Sums, *sums[currency])
	}
	for _, id := range slices.SortedFunc(maps.Keys(orders), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		l.Orders = append(l.Orders, *orders[id])
	}
}

func (ch *charge) ledger(account string) LedgerCharge {
	entry := LedgerCharge{
		Account: account, PaymentIntent: ch.PaymentIntent, Attempt: ch.Metadata["attempt"], Order: ch.Metadata["order"], Status: ch.intent.Status, Currency: ch.Currency,
		Captured: ch.AmountCaptured,
	}
	if ch.intent.charge == ch {
		entry.Held = ch.intent.AmountCapturable
	}
	if ch.movement != nil {
		entry.Fees = ch.movement.Fee
	}
	for _, r := range ch.refunds {
		if r.Status != "failed" && !r.released {
			entry.Refunded += r.Amount
		}
	}
	if ch.dispute != nil {
		for _, m := range ch.dispute.BalanceTransactions {
			entry.Disputed -= m.Amount
			entry.Fees += m.Fee
		}
	}
	return entry
}
