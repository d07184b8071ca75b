package checkout

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

type service struct {
	db       *db.DB
	events   *event.Log
	timers   *timer.Timers
	now      clock.Clock
	offers   Offers
	prices   Prices
	shipping Shipping
	stock    Stock
	orders   Orders
	// customers is nil when they are elsewhere.
	customers Customers
	turns     *turns
	sweeps    *sweeps
	holdFor   time.Duration
	store     store
}

// caller is who asks for a cart.
type caller struct {
	reach
	actor string
}

// callerOf tells what somebody gets to see, with the token that they show if any. Staff
// look at carts with carts:read, and change them with carts:write.
func callerOf(ctx context.Context, token string, staff ...string) (caller, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return caller{}, err
	}
	who := caller{reach{customer: id.Customer}, id.Actor}
	who.all = slices.ContainsFunc(staff, id.Can)
	if token != "" {
		who.ticket = hashOf(token)
	}
	return who, nil
}

// owns tells whether a cart is the caller's own.
func (w caller) owns(c cart) bool {
	return w.customer != "" && w.customer == c.CustomerID || len(w.ticket) > 0 && slices.Equal(w.ticket, c.Ticket)
}

func (s *service) find(ctx context.Context, id uuid.UUID, who caller) (c cart, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		c, err = s.store.find(ctx, tx, id, who.reach)
		return err
	})
	return c, err
}

// show is a cart as it would be bought now. What the buyer is shown to have changed, they
// have been shown.
func (s *service) show(ctx context.Context, c cart, who caller) (assessment, error) {
	if c.Status != open {
		return stored(c), nil
	}
	offers, err := s.priced(ctx, c.skus())
	if err != nil {
		return assessment{}, err
	}
	a, err := s.assess(ctx, c, offers)
	if err != nil {
		return a, err
	}
	if now := s.now(); c.HoldID == "" || c.HoldExpiresAt.Before(now) {
		a.HoldID, a.HoldExpiresAt = "", nil
		if err := s.db.Read(ctx, func(tx *db.Tx) error { return s.look(ctx, tx, &a) }); err != nil {
			return a, err
		}
	}
	a.compareTotal()
	if len(a.Changes) == 0 || !who.owns(c) {
		return a, nil
	}
	return a, s.acknowledge(ctx, c, &a)
}

// acknowledge notes what the buyer has been shown, and nothing else: looking takes no turn.
// That somebody else has changed the cart meanwhile is no trouble: they have been shown more.
func (s *service) acknowledge(ctx context.Context, c cart, a *assessment) error {
	if err := s.db.InTx(ctx, func(tx *db.Tx) error {
		return s.store.acknowledge(ctx, tx, c, a.acknowledged())
	}); err != nil {
		return fmt.Errorf("note what was shown: %w", err)
	}
	return nil
}

// priced are the offers of some SKUs.
func (s *service) priced(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error) {
	if len(skus) == 0 {
		return map[string]catalogapi.Offer{}, nil
	}
	offers, err := s.offers.Offers(ctx, skus)
	if err != nil {
		return nil, fmt.Errorf("price a cart: %w", err)
	}
	return offers, nil
}

// look asks whether there is enough of everything, without holding it.
func (s *service) look(ctx context.Context, tx *db.Tx, a *assessment) error {
	w := a.wish(0)
	if len(w.Items) == 0 {
		return nil
	}
	skus := make([]string, len(w.Items))
	for i, it := range w.Items {
		skus[i] = it.SKU
	}
	available, err := s.stock.Available(ctx, tx, skus)
	if err != nil {
		return fmt.Errorf("ask for the stock of a cart: %w", err)
	}
	var short []inventoryapi.Short
	for _, it := range w.Items {
		if n := available[it.SKU]; n < it.Quantity {
			short = append(short, inventoryapi.Short{SKU: it.SKU, Quantity: it.Quantity, Available: n})
		}
	}
	a.short(short)
	return nil
}

// create makes a cart of what is asked for, in one go. begin writes it.
func (s *service) create(ctx context.Context, c cart, items []itemBody) (assessment, error) {
	skus := make([]string, len(items))
	for i, it := range items {
		skus[i] = it.SKU
	}
	offers, err := s.priced(ctx, skus)
	if err != nil {
		return assessment{}, err
	}
	c.ID, c.Status, c.Version = clock.NewID(), open, 1
	var wrong fault.All
	for i, it := range items {
		if err := wrong.Note(c.add(ctx, offers, it.SKU, it.Quantity, fmt.Sprintf("/items/%d", i))); err != nil {
			return assessment{}, err
		}
	}
	if err := wrong.Err(); err != nil {
		return assessment{}, err
	}
	return s.assess(ctx, c, offers)
}

// begin writes a new cart, and holds its stock.
func (s *service) begin(ctx context.Context, tx *db.Tx, a *assessment) error {
	if err := allowed(ctx, tx, a.cart); err != nil {
		return err
	}
	if err := s.hold(ctx, tx, cart{}, a); err != nil {
		return err
	}
	a.CreatedAt, a.UpdatedAt = tx.Now, tx.Now
	if err := s.store.insert(ctx, tx, a.acknowledged()); err != nil {
		return err
	}
	return s.sweeps.see(ctx, tx, s.timers)
}

// edit is what is to become of a cart. It may run again, on another version.
type edit func(c *cart, offers offersOf) error

// offersOf are what SKUs cost now.
type offersOf = map[string]catalogapi.Offer

// change changes a cart that is open, and answers with it as it would be bought then. It
// asks everybody else first, and begins anew when the cart has changed meanwhile: nothing
// that others do is lost.
func (s *service) change(ctx context.Context, id uuid.UUID, who caller, match httpx.IfMatch, skus []string, do edit) (cartResponse, error) {
	return again(ctx, s.turns, id, func() (cartResponse, error) {
		return s.changeOnce(ctx, id, who, match, skus, do)
	})
}

func (s *service) changeOnce(ctx context.Context, id uuid.UUID, who caller, match httpx.IfMatch, skus []string, do edit) (out cartResponse, err error) {
	before, err := s.find(ctx, id, who)
	if err != nil {
		return out, err
	}
	if before.Status != open {
		return out, before.closed()
	}
	if err := before.allows(match); err != nil {
		return out, err
	}
	offers, err := s.priced(ctx, append(before.skus(), skus...))
	if err != nil {
		return out, err
	}
	c := before.clone()
	if err := do(&c, offers); err != nil {
		return out, err
	}
	c.keepNames(before)
	a, err := s.assess(ctx, c, offers)
	if err != nil {
		return out, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (cartResponse, error) {
		a := a.copied()
		if err := s.hold(ctx, tx, before, &a); err != nil {
			return out, err
		}
		return s.keep(ctx, tx, before, a, who)
	})
}

// keep writes a changed cart, in the transaction of the change.
func (s *service) keep(ctx context.Context, tx *db.Tx, before cart, a assessment, who caller) (cartResponse, error) {
	if err := s.write(ctx, tx, before, &a); err != nil {
		return cartResponse{}, err
	}
	if err := s.recorded(ctx, tx, before, a, who); err != nil {
		return cartResponse{}, err
	}
	return shownTo(ctx, present(a), who.owns(before)), nil
}

// write makes a changed cart the next version of what it was before.
func (s *service) write(ctx context.Context, tx *db.Tx, before cart, a *assessment) error {
	after := a.acknowledged()
	after.Version, after.UpdatedAt = before.Version+1, tx.Now
	ok, err := s.store.save(ctx, tx, before, after)
	if err != nil {
		return err
	}
	if !ok {
		return errMoved
	}
	a.Version, a.UpdatedAt = after.Version, after.UpdatedAt
	return s.sweeps.see(ctx, tx, s.timers)
}

// recorded notes that somebody changes a cart that is not theirs. What buyers do with their
// own is nobody's business.
func (s *service) recorded(ctx context.Context, tx *db.Tx, before cart, a assessment, who caller) error {
	if who.owns(before) {
		return nil
	}
	return audit.Record(ctx, tx, audit.Entry{Action: "changeCart", Entity: "cart", EntityID: a.ID.String(), After: present(a)})
}

// keepNames has a line that was taken out and put in again be the one that it was.
func (c *cart) keepNames(before cart) {
	for i := range c.Lines {
		for _, o := range before.Lines {
			if o.SKU == c.Lines[i].SKU {
				c.Lines[i].ID = o.ID
			}
		}
	}
}

// closed is why a cart that is not open cannot be changed.
func (c cart) closed() error {
	f := errNotOpen.Saying("The cart is %s.", c.Status).With("cartStatus", string(c.Status))
	if c.OrderID != nil {
		f = f.With("orderId", c.OrderID.String())
	}
	return f
}
