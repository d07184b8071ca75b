package checkout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

// street stands in for the modules next door: a catalog, prices without tax, one way to
// send, a store and the orders. Everybody in a spec shares it, however many programs run.
type street struct {
	mu      sync.Mutex
	offers  map[string]catalogapi.Offer
	gifts   map[string]int64 // discounts by their codes, in minor units; "" applies by itself
	used    map[string]bool  // gifts that cannot be redeemed any more
	ways    []shippingapi.Option
	onHand  map[string]int64
	holds   map[string]inventoryapi.Wish
	asked   int // for holds
	orders  map[uuid.UUID]ordersapi.OrderView
	placed  []ordersapi.Placement
	numbers int64
	baskets []pricingapi.Basket // that were asked about
	late    bool                // what is redeemed is used up just before
	welcome map[string]bool     // gifts that are for first orders
	once    map[string]bool     // gifts that each buyer has once
	wanted  bool                // others are always quicker to redeem
	// asks sees what is wished for before anything is held.
	asks func(inventoryapi.Wish)
}

// errSpent is the refusal as the pricing words it.
var errSpent = fault.New(fault.Conflict, "discount_used_up", "It is used up.")

func newStreet() *street {
	s := &street{
		offers: map[string]catalogapi.Offer{}, gifts: map[string]int64{}, used: map[string]bool{}, welcome: map[string]bool{}, once: map[string]bool{}, onHand: map[string]int64{}, holds: map[string]inventoryapi.Wish{},
		orders: map[uuid.UUID]ordersapi.OrderView{}, numbers: 1000,
	}
	s.sells("MUG", eur(1250), 1000)
	s.sells("CUP", eur(900), 1000)
	return s
}

func (s *street) sells(sku string, price money.Amount, onHand int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := clock.NewID().String()
	if o, ok := s.offers[sku]; ok {
		id = o.ProductID
	}
	s.offers = maps.Clone(s.offers)
	s.offers[sku] = catalogapi.Offer{SKU: sku, ProductID: id, Name: "The " + sku, Prices: []money.Amount{price}}
	s.onHand[sku] = onHand
}

func (s *street) withdraws(sku string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offers = maps.Clone(s.offers)
	delete(s.offers, sku)
}

func (s *street) Offers(context.Context, []string) (map[string]catalogapi.Offer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.offers, nil
}

func (s *street) Quote(_ context.Context, b pricingapi.Basket) (pricingapi.Quote, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baskets = append(s.baskets, b)
	zero := money.Amount{Currency: b.Currency}
	q := pricingapi.Quote{Currency: b.Currency, TaxIncluded: true, Subtotal: zero, DiscountTotal: zero, ShippingTotal: zero, TaxTotal: zero, Total: zero}
	for _, l := range b.Lines {
		total, err := l.Price.Mul(l.Quantity)
		Expect(err).NotTo(HaveOccurred())
		q.Lines = append(q.Lines, pricingapi.Priced{
			ID: l.ID, Quantity: l.Quantity, Price: l.Price, Subtotal: total, Discount: zero, Net: total, Tax: zero, Total: total,
			Units: []pricingapi.UnitShare{{Count: l.Quantity, Discount: zero, Net: l.Price, Tax: zero}},
		})
		q.Subtotal.Minor += total.Minor
	}
	for code, minor := range s.gifts {
		if code != "" && !slices.ContainsFunc(b.Codes, func(c string) bool { return strings.EqualFold(c, code) }) || s.used[code] || s.welcome[code] && !b.FirstOrder || s.once[code] && s.has(b.CustomerID, b.Email) {
			continue
		}
		amount := money.Amount{Minor: minor, Currency: b.Currency}
		q.Applied = append(q.Applied, pricingapi.Applied{DiscountID: "gift-" + code, Code: code, Name: "Gift " + code, Amount: amount})
		first := &q.Lines[0]
		first.Discount.Minor += minor
		first.Net.Minor -= minor
		first.Total.Minor -= minor
		first.Discounts = append(first.Discounts, pricingapi.DiscountShare{DiscountID: "gift-" + code, Amount: amount})
		q.DiscountTotal.Minor += minor
	}
	for _, c := range b.Codes {
		if _, known := s.gifts[c]; !known || s.used[c] || s.once[c] && s.has(b.CustomerID, b.Email) {
			q.Refused = append(q.Refused, pricingapi.Refusal{Code: c, Reason: "unknown_code", Detail: "There is no such code."})
		}
	}
	q.RegionWanted = b.Destination.Country == "US" && b.Destination.Region == ""
	if b.Shipping != nil {
		q.ShippingTotal = b.Shipping.Price
		q.Shipping = &pricingapi.Priced{ID: "shipping", Quantity: 1, Price: q.ShippingTotal, Subtotal: q.ShippingTotal, Discount: zero, Net: q.ShippingTotal, Tax: zero, Total: q.ShippingTotal}
	}
	var err error
	q.Total, err = money.Amount{Minor: q.Subtotal.Minor - q.DiscountTotal.Minor, Currency: b.Currency}.Add(q.ShippingTotal)
	if err != nil {
		return pricingapi.Quote{}, fmt.Errorf("add up: %w", err)
	}
	return q, nil
}

func (s *street) Redeem(_ context.Context, _ *db.Tx, _ uuid.UUID, q pricingapi.Quote, _ pricingapi.Buyer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range q.Applied {
		s.used[a.Code] = s.used[a.Code] || s.late
		if s.used[a.Code] || s.wanted {
			return errSpent
		}
	}
	return nil
}

func (s *street) Rates(_ context.Context, p shippingapi.Parcel) (shippingapi.Rates, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := shippingapi.Rates{Ships: len(s.ways) > 0}
	if p.Country == "AQ" {
		return r, nil
	}
	for _, o := range s.ways {
		if o.FreeFrom != nil && p.Subtotal.Minor >= o.FreeFrom.Minor {
			o.Price.Minor = 0
		}
		r.Options = append(r.Options, o)
	}
	return r, nil
}

// free is what can be sold, with what some holds have counted in.
func (s *street) free(sku string, but ...string) int64 {
	n := s.onHand[sku]
	for id, w := range s.holds {
		for _, it := range w.Items {
			if it.SKU == sku && !slices.Contains(but, id) {
				n -= it.Quantity
			}
		}
	}
	return n
}

func (s *street) Hold(_ context.Context, tx *db.Tx, w inventoryapi.Wish) (held inventoryapi.Held, _ error) {
	if s.asks != nil {
		s.asks(w)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	for _, it := range w.Items {
		if n := s.free(it.SKU, w.HoldIDs...); n < it.Quantity {
			held.Short = append(held.Short, inventoryapi.Short{SKU: it.SKU, Quantity: it.Quantity, Available: n})
		}
	}
	if len(held.Short) > 0 {
		return held, nil
	}
	held.HoldID, held.ExpiresAt = clock.NewID().String(), clock.System().Add(w.Lasts)
	for _, id := range w.HoldIDs {
		if old, ok := s.holds[id]; ok && len(w.HoldIDs) == 1 && slices.Equal(old.Items, w.Items) && old.Customer == w.Customer {
			held.HoldID = id
		}
	}
	s.swap(tx, held.HoldID, w, w.HoldIDs...)
	return held, nil
}

// swap holds something in place of other holds, for as long as the transaction may come true.
func (s *street) swap(tx *db.Tx, id string, w inventoryapi.Wish, former ...string) {
	before, kept := map[string]inventoryapi.Wish{}, false
	for _, old := range former {
		if was, ok := s.holds[old]; ok {
			before[old] = was
			delete(s.holds, old)
		}
	}
	if id != "" {
		s.holds[id] = w
	}
	tx.AfterCommit(func() { kept = true })
	tx.AtEnd(func() {
		if kept {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.holds, id)
		maps.Copy(s.holds, before)
	})
}

func (s *street) Release(_ context.Context, tx *db.Tx, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swap(tx, "", inventoryapi.Wish{}, id)
	return nil
}

func (s *street) Available(_ context.Context, _ *db.Tx, skus []string) (map[string]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	available := map[string]int64{}
	for _, sku := range skus {
		available[sku] = s.free(sku)
	}
	return available, nil
}

// held is what is held of everything, in all.
func (s *street) held() map[string]int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := map[string]int64{}
	for _, w := range s.holds {
		for _, it := range w.Items {
			sum[it.SKU] += it.Quantity
		}
	}
	return sum
}

func (s *street) Admit(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers++
	return s.numbers, nil
}

func (s *street) HasOrdered(_ context.Context, customer, email string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has(customer, email), nil
}

func (s *street) has(customer, email string) bool {
	return slices.ContainsFunc(s.placed, func(p ordersapi.Placement) bool { return p.CustomerID == customer || email != "" && p.Email == email })
}

// Groups of everybody are the friends'.
func (s *street) Groups(context.Context, string) ([]string, error) { return []string{"friends"}, nil }

func (s *street) Place(_ context.Context, tx *db.Tx, p ordersapi.Placement, own bool) (ordersapi.OrderView, error) {
	v := ordersapi.OrderView{ID: p.OrderID, Number: p.Number, CustomerID: p.CustomerID, Status: "created", CartID: p.CartID, Total: p.Total.Decimal(), Email: p.Email, CreatedAt: tx.Now, UpdatedAt: tx.Now}
	tx.AfterCommit(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.placed = append(s.placed, p)
		s.orders[uuid.MustParse(p.OrderID)] = v
	})
	return hidden(v, own), nil
}

func (s *street) Order(_ context.Context, id uuid.UUID, own bool) (ordersapi.OrderView, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return hidden(s.orders[id], own), nil
}

func hidden(v ordersapi.OrderView, own bool) ordersapi.OrderView {
	if !own {
		v.Email = "masked"
	}
	return v
}

func (s *street) placements() []ordersapi.Placement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.placed)
}

var (
	_ Offers   = &street{}
	_ Prices   = &street{}
	_ Shipping = &street{}
	_ Stock    = &street{}
	_ Orders   = &street{}
)
