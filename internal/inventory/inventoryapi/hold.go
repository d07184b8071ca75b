package inventoryapi

import "time"

// Wish is stock that a shopper wants to hold while checking out.
type Wish struct {
	// HoldID is the hold that it takes the place of, if that is still held: what it has counts
	// as free. Empty: none.
	HoldID   string
	Customer string // whose it is; empty: a guest's
	Items    []Item
	Lasts    time.Duration
}

// Held is the stock that a shopper holds.
type Held struct {
	HoldID    string // empty when something is short: then nothing has changed
	ExpiresAt time.Time
	Short     []Short // what there is not enough of
}
