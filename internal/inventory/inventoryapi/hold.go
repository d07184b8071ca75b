package inventoryapi

import "time"

// Wish is stock that a shopper wants to hold while checking out.
type Wish struct {
	// HoldIDs are the holds that it takes the place of, as far as they are still held: what
	// they have counts as free. A single one that has the same already is kept, and lasts longer.
	HoldIDs  []string
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
