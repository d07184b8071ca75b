package orders

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Rows of a placement as the database reads them. Whatever their number, the statement is
// the same, so that its plan can be kept.
type (
	lineRow struct {
		Position  int    `json:"position"`
		ProductID string `json:"product_id"`
		SKU       string `json:"sku"`
		Name      string `json:"name"`
		Quantity  int64  `json:"quantity"`
		Price     int64  `json:"price"`
		Discount  int64  `json:"discount"`
		Tax       int64  `json:"tax"`
		Total     int64  `json:"total"`
	}
	taxRow struct {
		Position int    `json:"position"`
		Ordinal  int    `json:"ordinal"`
		RateID   string `json:"rate_id"`
		Name     string `json:"name"`
		Rate     string `json:"rate"`
		Reason   string `json:"reason"`
		Amount   int64  `json:"amount"`
	}
	discountRow struct {
		Position   int    `json:"position"`
		DiscountID string `json:"discount_id"`
		Code       string `json:"code"`
		Name       string `json:"name"`
		Amount     int64  `json:"amount"`
	}
	allocationRow struct {
		Position int   `json:"position"`
		First    int64 `json:"first_unit"`
		Units    int64 `json:"units"`
		Discount int64 `json:"discount"`
		Net      int64 `json:"net"`
		Tax      int64 `json:"tax"`
	}
)

// ledger is the shares of a placement, as rows.
type ledger struct {
	lines       []lineRow
	taxes       []taxRow
	discounts   []discountRow
	allocations []allocationRow
}

func ledgerOf(p ordersapi.Placement) ledger {
	l := ledger{lines: []lineRow{}, taxes: []taxRow{}, discounts: []discountRow{}, allocations: []allocationRow{}}
	byID := make(map[string]ordersapi.PlacedDiscount, len(p.Discounts))
	for _, d := range p.Discounts {
		byID[d.ID] = d
	}
	shares := func(position int, s ordersapi.Shares) {
		for i, t := range s.Taxes {
			l.taxes = append(l.taxes, taxRow{position, i + 1, t.RateID, t.Name, t.Rate, t.Reason, t.Amount.Minor})
		}
		for _, d := range s.Discounts {
			l.discounts = append(l.discounts, discountRow{position, d.DiscountID, byID[d.DiscountID].Code, byID[d.DiscountID].Name, d.Amount.Minor})
		}
		first := int64(1)
		for _, u := range s.Units {
			l.allocations = append(l.allocations, allocationRow{position, first, u.Count, u.Discount.Minor, u.Net.Minor, u.Tax.Minor})
			first += u.Count
		}
	}
	if p.Shipping != nil {
		shares(0, p.Shipping.Shares)
	}
	for i, line := range p.Lines {
		l.lines = append(l.lines, lineRow{i + 1, line.ProductID, line.SKU, line.Name, line.Quantity, line.Price.Minor, line.Discount.Minor, line.Tax.Minor, line.Total.Minor})
		shares(i+1, line.Shares)
	}
	return l
}

// insertPlacement writes an order with its lines, their shares and the first step of its
// timeline in one statement.
func (store) insertPlacement(ctx context.Context, tx *db.Tx, o order, p ordersapi.Placement) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	l := ledgerOf(p)
	var bodies [7]*string
	for i, v := range []any{o.Metadata, o.Address, o.Billing, l.lines, l.taxes, l.discounts, l.allocations} {
		if a, ok := v.(*address); ok && a == nil {
			continue
		}
		body, err := json.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode order: %w", err)
		}
		bodies[i] = orNull(string(body))
	}
	ship := shipment{Discount: nothing(o.Total), Tax: nothing(o.Total), Total: nothing(o.Total)}
	if o.Shipping != nil {
		ship = *o.Shipping
	}
	args := []any{o.ID, o.Number, o.CustomerID, string(o.Status), string(o.Currency), orNull(o.Email), bodies[1], bodies[2], bodies[0], o.CreatedAt, id.Actor, o.CartID, o.Ticket, o.TaxIncluded, orNull(ship.MethodID), orNull(ship.Name)}
	args = append(args, minorOf(o.Subtotal, o.Discount, o.ShippingTotal, o.Tax, o.Total, ship.Discount, ship.Tax, ship.Total)...)
	args = append(args, bodies[3], bodies[4], bodies[5], bodies[6])
	_, err = tx.Exec(ctx, db.Keep+`
		with o as (
			insert into orders.orders (id, number, customer_id, status, currency, email, shipping_address, billing_address, metadata, version, created_at, updated_at, cart_id, ticket,
				tax_included, shipping_method_id, shipping_name, subtotal_minor, discount_minor, shipping_minor, tax_minor, total_minor, shipping_discount_minor, shipping_tax_minor, shipping_total_minor)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10, $10, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)
		), t as (
			insert into orders.timeline (order_id, version, status, actor, at) values ($1, 1, $4, $11, $10)
		), tax as (
			insert into orders.tax_line (order_id, position, ordinal, rate_id, name, rate, reason, amount_minor)
			select $1, position, ordinal, rate_id, name, rate, reason, amount
			from json_to_recordset($26::json) x(position smallint, ordinal smallint, rate_id text, name text, rate text, reason text, amount bigint)
		), discount as (
			insert into orders.discount_line (order_id, position, discount_id, code, name, amount_minor)
			select $1, position, discount_id, code, name, amount from json_to_recordset($27::json) x(position smallint, discount_id text, code text, name text, amount bigint)
		), allocation as (
			insert into orders.allocation (order_id, position, first_unit, units, discount_minor, net_minor, tax_minor)
			select $1, position, first_unit, units, discount, net, tax
			from json_to_recordset($28::json) x(position smallint, first_unit bigint, units bigint, discount bigint, net bigint, tax bigint)
		)
		insert into orders.line (order_id, position, product_id, sku, name, quantity, price_minor, discount_minor, tax_minor, total_minor)
		select $1, position, product_id, sku, name, quantity, price, discount, tax, total
		from json_to_recordset($25::json) x(position smallint, product_id uuid, sku text, name text, quantity bigint, price bigint, discount bigint, tax bigint, total bigint)`, args...)
	if err != nil {
		return fmt.Errorf("insert order: %w", err)
	}
	return nil
}

// hasOrdered looks at one order at most.
func (store) hasOrdered(ctx context.Context, tx *db.Tx, customer, email string) (has bool, err error) {
	if err := tx.Get(ctx, &has, `
		select exists (select from orders.orders where customer_id = $1 and status not in ('failed', 'cancelled'))
		    or $2 <> '' and exists (select from orders.orders where email is not null and lower(email) = lower($2) and status not in ('failed', 'cancelled'))`, customer, email); err != nil {
		return false, fmt.Errorf("look for earlier orders: %w", err)
	}
	return has, nil
}

// findWithin reads an order that somebody may read. To others it is as if it did not exist.
func (s store) findWithin(ctx context.Context, tx *db.Tx, id uuid.UUID, within reach) (order, error) {
	return s.one(ctx, tx, `select `+orderColumns+` from orders.orders where id = $1 and ($2 or customer_id = $3 or ticket = $4)`, id, within.all, within.customer, within.ticket)
}

// withShares reads the discounts and taxes of orders that were carts, in one statement.
func (store) withShares(ctx context.Context, tx *db.Tx, list []order, at map[uuid.UUID]int) error {
	var ids []string
	for _, o := range list {
		if o.CartID != nil {
			ids = append(ids, o.ID.String())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var rows []struct {
		OrderID uuid.UUID `db:"order_id"`
		Tax     bool      `db:"tax"`
		ID      string    `db:"id"`
		Name    string    `db:"name"`
		Said    string    `db:"said"` // the code of a discount, the percent of a tax
		Reason  string    `db:"reason"`
		Amount  int64     `db:"amount"`
	}
	if err := tx.Select(ctx, &rows, db.Keep+`
		select order_id, true tax, rate_id id, name, rate said, reason, sum(amount_minor)::bigint amount
		from orders.tax_line where order_id = any((select $1)::uuid[]) group by order_id, rate_id, name, rate, reason
		union all
		select order_id, false, discount_id, name, code, '', sum(amount_minor)::bigint
		from orders.discount_line where order_id = any((select $1)::uuid[]) group by order_id, discount_id, name, code
		order by order_id, tax, amount desc, id`, db.Array(ids)); err != nil {
		return fmt.Errorf("read shares: %w", err)
	}
	for _, r := range rows {
		o := &list[at[r.OrderID]]
		amount := money.Amount{Minor: r.Amount, Currency: o.Currency}
		if r.Tax {
			o.Taxes = append(o.Taxes, ordersapi.TaxShare{RateID: r.ID, Name: r.Name, Rate: r.Said, Reason: r.Reason, Amount: amount})
		} else {
			o.Discounts = append(o.Discounts, ordersapi.PlacedDiscount{ID: r.ID, Code: r.Said, Name: r.Name, Amount: amount})
		}
	}
	return nil
}
