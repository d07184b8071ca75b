package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/fusioncommerce/fusion/test/faults/lab"
)

// What a shop on two cores, with PostgreSQL beside it, is to do.
const (
	checkouts = 250 // a second
	additions = 500
	// offered is a busy hour of such a shop.
	offered = 50
)

func checkout(ctx context.Context, b *bench) error {
	return b.buying(ctx, "checkout", floor{name: floorGoal, perSecond: checkouts}, b.closed)
}

func checkoutSteady(ctx context.Context, b *bench) error {
	return b.buying(ctx, "checkout_steady", floor{name: floorCheckouts, perSecond: offered}, b.steady)
}

// load has clients do an errand again and again.
type load func(ctx context.Context, addr string, do errand) outcome

// closed is as fast as it goes.
func (b *bench) closed(ctx context.Context, addr string, do errand) outcome {
	return closedErrands(ctx, addr, b.clients, b.duration(), do)
}

// steady is as many as a busy hour has.
func (b *bench) steady(ctx context.Context, addr string, do errand) outcome {
	return openErrands(ctx, addr, b.clients, offered, b.duration(), do)
}

// buying measures buyers who begin a cart with all that they have to say, place it and pay,
// each with an account of nobody's: three requests. It ends when the payment has succeeded;
// that the order becomes paid is waited for, and an order that does not is an error.
func (b *bench) buying(ctx context.Context, name string, against floor, of load) error {
	return b.withShop(ctx, name, func(l *lab.Lab, db *sql.DB) error {
		c := &connection{addr: address(l)}
		defer c.close()
		if _, err := c.done(ctx, post("/v1/payments/accounts", `{"provider":"test","name":"Bench"}`), nil); err != nil {
			return fmt.Errorf("make an account of the test provider: %w", err)
		}
		var parcel struct{ ID string }
		if _, err := c.done(ctx, post("/v1/shipping/methods", `{"name":"Parcel","prices":[{"currency":"EUR","price":"4.90"}]}`), &parcel); err != nil {
			return fmt.Errorf("make a way to send: %w", err)
		}
		buy := func(ctx context.Context, c *connection, dice *rand.Rand) (answer, error) {
			return b.buy(ctx, c, dice, parcel.ID)
		}
		warm := closedErrands(ctx, address(l), b.clients, warmUp, buy)
		// What autovacuum does within a minute of a shop's first orders: its tables were empty.
		// Every plan is made anew after it.
		if _, err := db.ExecContext(ctx, `analyze`); err != nil {
			return err
		}
		again := closedErrands(ctx, address(l), b.clients, warmUp, buy)
		o, err := metered(l, func() (outcome, error) {
			o := of(ctx, address(l), buy)
			return o, b.paid(ctx, db, &o, len(warm.samples)+len(again.samples)+len(o.samples))
		})
		if err != nil {
			return err
		}
		return b.report.write(b.measured(name, o, o.perSecond(), latencyOf(o.samples), against))
	}, "FUSION_PAYMENTS_TEST_PROVIDER=true")
}

var errUnpaid = errors.New("the payment has not succeeded")

// buy is one checkout, of a unit each of two products.
func (b *bench) buy(ctx context.Context, c *connection, dice *rand.Rand, method string) (answer, error) {
	first := dice.IntN(len(b.catalog))
	second := (first + 1 + dice.IntN(len(b.catalog)-1)) % len(b.catalog)
	var cart struct{ ID, Token, Total string }
	if a, err := c.done(ctx, post("/v1/carts", fmt.Sprintf(
		`{"items":[{"sku":%q,"quantity":1},{"sku":%q,"quantity":1}],"email":"buyer-%d@example.com","shippingMethodId":%q,"shippingAddress":{"name":"Ana","line1":"Rua Augusta 1","city":"Lisboa","postalCode":"1100-048","country":"PT"}}`,
		b.catalog[first].sku, b.catalog[second].sku, dice.IntN(customers), method)), &cart); err != nil {
		return a, err
	}
	var order struct{ ID string }
	if a, err := c.done(ctx, withTicket(post("/v1/carts/"+cart.ID+"/place", fmt.Sprintf(`{"total":%q}`, cart.Total)), cart.Token), &order); err != nil {
		return a, err
	}
	var payment struct{ Status string }
	a, err := c.done(ctx, withTicket(post("/v1/payments", fmt.Sprintf(`{"orderId":%q,"provider":"test","method":"pm_card_visa"}`, order.ID)), cart.Token), &payment)
	if err == nil && payment.Status != "succeeded" {
		err = fmt.Errorf("%w: it is %s", errUnpaid, payment.Status)
	}
	return a, err
}

// withTicket shows what opens a guest's cart, and the order that it became.
func withTicket(r request, token string) request {
	return bytes.Replace(r, []byte("Host: bench\r\n"), []byte("Host: bench\r\nCart-Token: "+token+"\r\n"), 1)
}

// paid waits for the orders. One that was paid for and does not know it is an error.
func (b *bench) paid(ctx context.Context, db *sql.DB, o *outcome, accepted int) error {
	const paid = `select count(*) from orders.orders where status = 'paid'`
	if await(ctx, db, accepted, paid) == nil {
		return nil
	}
	var n int
	if err := db.QueryRowContext(ctx, paid).Scan(&n); err != nil {
		return err
	}
	o.errors += max(accepted-n, n-accepted)
	b.say("  %d orders were paid for and %d know it", accepted, n)
	return nil
}

// linesOfCart is how much is in the carts that something is added to.
const linesOfCart = 50

func addItem(ctx context.Context, b *bench) error {
	return b.adding(ctx, "add_item", floor{name: floorGoal, perSecond: additions}, b.closed)
}

func addItemSteady(ctx context.Context, b *bench) error {
	return b.adding(ctx, "add_item_steady", floor{name: floorAdditions, perSecond: offered}, b.steady)
}

// adding measures how fast something is put into a cart that is full of other things, each
// client into its own.
func (b *bench) adding(ctx context.Context, name string, against floor, of load) error {
	return b.withShop(ctx, name, func(l *lab.Lab, _ *sql.DB) error {
		carts := make(chan filled, b.clients)
		c := &connection{addr: address(l)}
		defer c.close()
		for n := range b.clients {
			cart, err := b.fullCart(ctx, c, n)
			if err != nil {
				return err
			}
			carts <- cart
		}
		add := func(ctx context.Context, c *connection, dice *rand.Rand) (answer, error) {
			cart := <-carts
			defer func() { carts <- cart }()
			return c.ask(ctx, withTicket(post("/v1/carts/"+cart.ID+"/items", fmt.Sprintf(`{"sku":%q,"quantity":1}`, b.catalog[dice.IntN(linesOfCart)].sku)), cart.Token))
		}
		closedErrands(ctx, address(l), b.clients, warmUp, add)
		o, err := metered(l, func() (outcome, error) { return of(ctx, address(l), add), nil })
		if err != nil {
			return err
		}
		return b.report.write(b.measured(name, o, o.perSecond(), latencyOf(o.samples), against))
	})
}

// filled is a cart of a guest.
type filled struct{ ID, Token string }

func (b *bench) fullCart(ctx context.Context, c *connection, n int) (cart filled, err error) {
	type item struct {
		SKU      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	items := make([]item, linesOfCart)
	for i := range items {
		items[i] = item{b.catalog[i%len(b.catalog)].sku, n%9 + 1}
	}
	body, err := json.Marshal(map[string]any{"items": items})
	if err != nil {
		return cart, err
	}
	if _, err := c.done(ctx, post("/v1/carts", string(body)), &cart); err != nil {
		return cart, fmt.Errorf("fill a cart: %w", err)
	}
	return cart, nil
}
