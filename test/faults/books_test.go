package faults_test

import (
	"context"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/load"
)

// sellForMoney has two carts bought and paid for, one of prices that include tax and one of
// prices that do not, each with a discount and a way to send; a part of one payment goes back,
// and a part of it is on its way.
func (s *shop) sellForMoney(ctx context.Context, sku string) {
	GinkgoHelper()
	type object = map[string]any
	ask := func(method, path string, body object) (answer struct{ ID, Status string }) {
		GinkgoHelper()
		a, err := s.customers.Ask(ctx, 0, load.Request{Method: method, Path: path, Body: body})
		Expect(err).NotTo(HaveOccurred())
		Expect(a.OK()).To(BeTrue(), "%s", a.Raw)
		Expect(a.Read(&answer)).To(Succeed())
		return answer
	}
	ask(http.MethodPost, "/v1/payments/accounts", object{"provider": "test"})
	ask(http.MethodPost, "/v1/tax/rates", object{"name": "IVA", "country": "PT", "rate": "23"})
	ask(http.MethodPost, "/v1/discounts", object{"name": "Ten off", "effect": "percent", "percent": "10", "code": "TEN", "maxUses": 9, "maxUsesPerBuyer": 9})
	ask(http.MethodPost, "/v1/discounts", object{"name": "Sent for nothing", "effect": "free_shipping", "code": "SENT"})
	way := ask(http.MethodPost, "/v1/shipping/methods", object{"name": "Parcel", "prices": []object{{"currency": "USD", "price": "4.90"}}}).ID
	var payments []string
	for _, sold := range []struct {
		included bool
		code     string
	}{{true, "TEN"}, {false, "SENT"}} {
		ask(http.MethodPatch, "/v1/pricing/settings", object{"pricesIncludeTax": sold.included, "country": "PT"})
		cart := ask(http.MethodPost, "/v1/carts", object{
			"items": []line{{sku, 3}}, "email": "ana@example.com", "shippingMethodId": way, "codes": []string{sold.code},
			"shippingAddress": object{"name": "Ana", "line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"},
		}).ID
		placed := ask(http.MethodPost, "/v1/carts/"+cart+"/place", object{}).ID
		s.settle(ctx, toEnd)
		payments = append(payments, ask(http.MethodPost, "/v1/payments", object{"orderId": placed, "provider": "test", "method": "pm_card_visa"}).ID)
	}
	ask(http.MethodPost, "/v1/payments/"+payments[0]+"/refunds", object{"amount": "1.00", "reason": "damaged"})
	s.settle(ctx, toEnd)
	Expect(s.count(`select count(*) from orders.orders where cart_id is not null and discount_minor > 0 and shipping_minor > 0 and tax_minor > 0 and captured_minor = total_minor`)).To(Equal(2))
	Expect(s.count(`select count(*) from orders.orders where refunded_minor = 100`)).To(Equal(1))
}

const (
	aSale     = `(select id from orders.orders where cart_id is not null and tax_included)`
	taxedUp   = `(select id from orders.orders where cart_id is not null and not tax_included)`
	aCharge   = `(select payment_id from orders.payment where order_id = ` + aSale + `)`
	aBooked   = `(select id from payments.ledger_transaction where kind = 'capture' and payment_id = ` + aCharge + `)`
	unchecked = `alter table orders.orders drop constraint orders_total_check, drop constraint orders_shipping_check; `
	// The ledger can be changed by who takes its guards away.
	unguarded = `alter table payments.ledger_entry disable trigger user; alter table payments.ledger_transaction disable trigger user; `
)

// moneyForgeries are lies about what orders cost and what was paid for them.
var moneyForgeries = []forgery{
	{
		lie:  "a discount that no line has",
		sql:  unchecked + `update orders.orders set discount_minor = discount_minor + 1 where id = ` + aSale,
		seen: "an order costs what its lines cost", alone: true,
	},
	{
		lie:  "a discount that is not taken off",
		sql:  unchecked + `update orders.orders set subtotal_minor = subtotal_minor - discount_minor where id = ` + aSale,
		seen: "an order costs what its lines cost", alone: true,
	},
	{
		lie:  "a tax that no line has",
		sql:  unchecked + `update orders.orders set tax_minor = tax_minor + 1 where id = ` + aSale,
		seen: "an order costs what its lines cost", alone: true,
	},
	{
		lie:  "a tax that is added to prices that include it",
		sql:  unchecked + `update orders.orders set tax_included = false where id = ` + aSale,
		seen: "an order costs what its lines cost", alone: true,
	},
	{
		lie:  "a tax that is not added",
		sql:  unchecked + `update orders.orders set tax_included = true where id = ` + taxedUp,
		seen: "an order costs what its lines cost", alone: true,
	},
	{
		lie:  "a parcel that nobody pays for",
		sql:  unchecked + `update orders.orders set shipping_minor = 0 where id = ` + aSale,
		seen: "an order costs what its lines cost", alone: true,
	},
	{
		lie:  "a line that costs more than it does",
		sql:  `alter table orders.line drop constraint line_total_check; update orders.line set total_minor = total_minor + 1 where order_id = ` + aSale,
		seen: "an order costs what its lines cost",
	},
	{
		lie:  "a tax that was paid to nobody",
		sql:  `delete from orders.tax_line where position = 1 and order_id = ` + aSale,
		seen: "the shares of a line are what it has", alone: true,
	},
	{
		lie:  "a discount of which nobody knows which it was",
		sql:  `delete from orders.discount_line where order_id = ` + aSale,
		seen: "the shares of a line are what it has",
	},
	{
		lie:  "a parcel without its shares",
		sql:  `delete from orders.allocation where position = 0 and order_id = ` + taxedUp,
		seen: "the shares of a line are what it has", alone: true,
	},
	{
		lie:  "a unit that was forgotten",
		sql:  `update orders.allocation set first_unit = first_unit + 10 where position = 1 and order_id = ` + aSale,
		seen: "the shares of a line are what it has", alone: true,
	},
	{
		lie:  "a unit that is worth a cent more",
		sql:  `update orders.allocation set net_minor = net_minor + 1 where position = 1 and order_id = ` + aSale,
		seen: "the shares of a line are what it has", alone: true,
	},
	{
		lie:  "a budget that forgets who has used it",
		sql:  `update pricing.budget set uses = 0`,
		seen: "a budget is what orders have used of it", alone: true,
	},
	{
		lie:  "a limit without a budget",
		sql:  `delete from pricing.budget`,
		seen: "a budget is what orders have used of it", alone: true,
	},
	{
		lie:  "a code that was used more often than it says",
		sql:  `update pricing.code set max_uses = 9 where code = 'TEN'`,
		seen: "a code is used by as many orders as it says", alone: true,
	},
	{
		lie:  "a buyer who may use it once more",
		sql:  `update pricing.buyer_use set uses = 0`,
		seen: "a buyer has used a discount as often as is counted", alone: true,
	},
	{
		lie:  "a discount that is dearer than the order shows",
		sql:  `update pricing.redemption set amount_minor = amount_minor + 1 where code = 'SENT'`,
		seen: "an order uses the discounts that it shows", alone: true,
	},
	{
		lie:  "a discount that was given back by an order that keeps it",
		sql:  `update pricing.redemption set returned_at = redeemed_at where code = 'SENT'`,
		seen: "an order uses the discounts that it shows", alone: true,
	},
	{
		lie:  "an order that failed and keeps its discount",
		sql:  `update orders.orders set status = 'failed' where id = ` + taxedUp,
		seen: "what came to nothing has used no discount",
	},
	{
		lie:  "an order of a cart that was never placed",
		sql:  `update checkout.cart set status = 'open', order_id = null where order_id = ` + aSale,
		seen: "a cart is placed as one order", alone: true,
	},
	{
		lie:  "a cart whose order is not its own",
		sql:  `update checkout.cart set order_id = ` + aSale,
		seen: "a cart is placed as one order", alone: true,
	},
	{
		lie:  "money from nowhere",
		sql:  unguarded + `update payments.ledger_entry set amount_minor = amount_minor + 1 where account = 'clearing' and transaction_id = ` + aBooked,
		seen: "the ledger adds up to nothing", alone: true,
	},
	{
		lie: "a booking of nothing",
		sql: `insert into payments.ledger_transaction (tenant_id, id, kind, source, payment_id, order_id, account_id, booked_at)
			select tenant_id, gen_random_uuid(), kind, 'again', payment_id, order_id, account_id, booked_at from payments.ledger_transaction where id = ` + aBooked,
		seen: "the ledger adds up to nothing", alone: true,
	},
	{
		lie: "money that was taken and not booked",
		sql: unguarded + `create temporary table gone on commit drop as select ` + aBooked + ` id;
			delete from payments.ledger_entry where transaction_id in (select id from gone); delete from payments.ledger_transaction where id in (select id from gone)`,
		seen: "a payment is what its ledger says",
	},
	{
		lie:  "money in another currency",
		sql:  unguarded + `update payments.ledger_entry set currency = 'EUR' where transaction_id = ` + aBooked,
		seen: "a payment is what its ledger says", alone: true,
	},
	{
		lie:  "money that is booked for another order",
		sql:  unguarded + `update payments.ledger_transaction set order_id = ` + taxedUp + ` where id = ` + aBooked,
		seen: "a payment is what its ledger says",
	},
	{
		lie:  "a charge that took more than the payment knows",
		sql:  `update payments.attempt set captured_minor = captured_minor + 1 where payment_id = ` + aCharge,
		seen: "a payment is what its charges and refunds are", alone: true,
	},
	{
		lie:  "a refund that returned less",
		sql:  `update payments.refund set amount_minor = amount_minor - 1`,
		seen: "a payment is what its charges and refunds are", alone: true,
	},
	{
		lie:  "more returned than was paid",
		sql:  `update payments.payment set refunding_minor = captured_minor`,
		seen: "nobody is paid back more than they paid",
	},
	{
		lie:  "an order that was paid a cent more than it heard of",
		sql:  `update orders.orders set captured_minor = captured_minor + 1 where id = ` + taxedUp,
		seen: "an order stands as its payments told",
	},
	{
		lie:  "an order that says that nobody has paid it",
		sql:  `update orders.orders set payment_status = 'unpaid' where id = ` + taxedUp,
		seen: "an order stands as its payments told", alone: true,
	},
	{
		lie: "a payment that told its order something else",
		sql: `update orders.payment set refunded_minor = captured_minor where order_id = ` + taxedUp + `;
			update orders.orders set refunded_minor = captured_minor, payment_status = 'refunded' where id = ` + taxedUp,
		seen: "an order knows what the ledger says of its payments",
	},
	{
		lie: "an order that never heard of its money",
		sql: `update orders.orders set captured_minor = 0, payment_status = 'unpaid' where id = ` + taxedUp + `;
			delete from orders.payment where order_id = ` + taxedUp,
		seen: "every order has heard of its money", alone: true,
	},
}
