package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// store is the SQL of the orders' schema.
type store struct{}

type row struct {
	ID         uuid.UUID `db:"id"`
	Number     int64     `db:"number"`
	CustomerID string    `db:"customer_id"`
	Status     string    `db:"status"`
	Reason     *string   `db:"reason"`
	Currency   string    `db:"currency"`
	Total      int64     `db:"total_minor"`
	Email      *string   `db:"email"`
	Address    []byte    `db:"shipping_address"`
	Metadata   []byte    `db:"metadata"`
	Version    int64     `db:"version"`
	CreatedAt  time.Time `db:"created_at"`
	UpdatedAt  time.Time `db:"updated_at"`

	Subtotal         *int64     `db:"subtotal_minor"`
	Discount         int64      `db:"discount_minor"`
	Shipping         int64      `db:"shipping_minor"`
	Tax              int64      `db:"tax_minor"`
	TaxIncluded      bool       `db:"tax_included"`
	ShippingMethod   *string    `db:"shipping_method_id"`
	ShippingName     *string    `db:"shipping_name"`
	ShippingDiscount int64      `db:"shipping_discount_minor"`
	ShippingTax      int64      `db:"shipping_tax_minor"`
	ShippingTotal    int64      `db:"shipping_total_minor"`
	Billing          []byte     `db:"billing_address"`
	CartID           *uuid.UUID `db:"cart_id"`
	Ticket           []byte     `db:"ticket"`

	Payment  string `db:"payment_status"`
	Captured int64  `db:"captured_minor"`
	Refunded int64  `db:"refunded_minor"`

	Fulfillment string  `db:"fulfillment_status"`
	CalledOff   int64   `db:"cancelled_minor"`
	HeldFor     *string `db:"held_for"`
	Returned    int64   `db:"returned_minor"`
	Returning   string  `db:"return_status"`
	Hold        *string `db:"hold"`
	Given       int64   `db:"given_minor"`
}

const orderColumns = `id, number, customer_id, status, reason, currency, total_minor, email, shipping_address, metadata, version, created_at, updated_at,
	subtotal_minor, discount_minor, shipping_minor, tax_minor, tax_included, shipping_method_id, shipping_name, shipping_discount_minor, shipping_tax_minor, shipping_total_minor,
	billing_address, cart_id, ticket, payment_status, captured_minor, refunded_minor, fulfillment_status, cancelled_minor, held_for, returned_minor, return_status, hold, given_minor`

func (r row) domain() (order, error) {
	currency := money.Currency(r.Currency)
	o := order{
		ID: r.ID, Number: r.Number, CustomerID: r.CustomerID, Status: status(r.Status), Reason: text(r.Reason), Currency: currency,
		Total: money.Amount{Minor: r.Total, Currency: currency}, Email: text(r.Email), Version: r.Version,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), totals: r.totals(), CartID: r.CartID, Ticket: r.Ticket,
		Payment: paymentStatus(r.Payment), Captured: money.Amount{Minor: r.Captured, Currency: currency}, Refunded: money.Amount{Minor: r.Refunded, Currency: currency},
		Fulfillment: fulfillmentStatus(r.Fulfillment), CalledOff: money.Amount{Minor: r.CalledOff, Currency: currency}, HeldFor: text(r.HeldFor), Hold: text(r.Hold),
		Returned: money.Amount{Minor: r.Returned, Currency: currency}, Returning: returnStatus(r.Returning),
		Given: money.Amount{Minor: r.Given, Currency: currency},
	}
	if err := json.Unmarshal(r.Metadata, &o.Metadata); err != nil {
		return order{}, fmt.Errorf("metadata of order %s: %w", r.ID, err)
	}
	for body, into := range map[*[]byte]**address{&r.Address: &o.Address, &r.Billing: &o.Billing} {
		if *body == nil {
			continue
		}
		if err := json.Unmarshal(*body, into); err != nil {
			return order{}, fmt.Errorf("address of order %s: %w", r.ID, err)
		}
	}
	return o, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// since is the number of orders that were placed since then, as far as it matters.
func (store) since(ctx context.Context, tx *db.Tx, began time.Time, atMost int64) (n int64, err error) {
	if err := tx.Get(ctx, &n, `select count(*) from (select from orders.orders where created_at >= $1 limit $2) o`, began, atMost); err != nil {
		return 0, fmt.Errorf("count orders: %w", err)
	}
	return n, nil
}

// insert writes the order, its lines and the first step of its timeline in one statement.
func (store) insert(ctx context.Context, tx *db.Tx, o order) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	metadata, err := json.Marshal(o.Metadata)
	if err != nil {
		return fmt.Errorf("encode metadata: %w", err)
	}
	var shipTo *string
	if o.Address != nil {
		body, err := json.Marshal(o.Address)
		if err != nil {
			return fmt.Errorf("encode address: %w", err)
		}
		shipTo = orNull(string(body))
	}
	args := []any{o.ID, o.Number, o.CustomerID, string(o.Status), string(o.Currency), o.Total.Minor, orNull(o.Email), shipTo, string(metadata), o.Version, o.CreatedAt, id.Actor}
	from, lines := rowsOf(o.Lines, len(args))
	_, err = tx.Exec(ctx, db.Keep+`
		with o as (
			insert into orders.orders (id, number, customer_id, status, currency, total_minor, email, shipping_address, metadata, version, created_at, updated_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)
		), t as (
			insert into orders.timeline (order_id, version, status, actor, at) values ($1, $10, $4, $12, $11)
		)
		insert into orders.line (order_id, position, product_id, sku, name, quantity, price_minor, total_minor)
		select $1, l.position, l.product_id, l.sku, l.name, l.quantity, l.price, l.total
		from `+from+` l(product_id, sku, name, quantity, price, total, position)`, append(args, lines...)...)
	if err != nil {
		return fmt.Errorf("insert order: %w", err)
	}
	return nil
}

// fewLines is up to how many lines a statement of their own is kept for.
const fewLines = 8

// rowsOf is where the statement takes the lines from, behind the parameters that it has
// already. Few lines, as nearly all orders have, are written out: PostgreSQL never keeps
// the plan of an array, because it believes to know better each time.
func rowsOf(lines []line, have int) (from string, args []any) {
	if len(lines) <= fewLines {
		rows := make([]string, len(lines))
		for i, l := range lines {
			n := have + len(args)
			rows[i] = fmt.Sprintf(`($%d::uuid, $%d::text, $%d::text, $%d::bigint, $%d::bigint, $%d::bigint, %d)`, n+1, n+2, n+3, n+4, n+5, n+6, i+1)
			args = append(args, l.ProductID, l.SKU, l.Name, l.Quantity, l.Price.Minor, l.Total.Minor)
		}
		return `(values ` + strings.Join(rows, `, `) + `)`, args
	}
	n := len(lines)
	products, skus, names := make([]string, n), make([]string, n), make([]string, n)
	quantities, prices, totals := make([]int64, n), make([]int64, n), make([]int64, n)
	for i, l := range lines {
		products[i], skus[i], names[i] = l.ProductID.String(), l.SKU, l.Name
		quantities[i], prices[i], totals[i] = l.Quantity, l.Price.Minor, l.Total.Minor
	}
	return fmt.Sprintf(`unnest($%d::uuid[], $%d::text[], $%d::text[], $%d::bigint[], $%d::bigint[], $%d::bigint[]) with ordinality`, have+1, have+2, have+3, have+4, have+5, have+6),
		[]any{db.Array(products), db.Array(skus), db.Array(names), db.Array(quantities), db.Array(prices), db.Array(totals)}
}

// find reads an order; only one of a customer when one is named. To others it is as if it
// did not exist.
func (s store) find(ctx context.Context, tx *db.Tx, id uuid.UUID, only string) (order, error) {
	return s.one(ctx, tx, `select `+orderColumns+` from orders.orders where id = $1 and ($2 = '' or customer_id = $2)`, id, only)
}

// lock reads an order that this transaction is about to change.
func (s store) lock(ctx context.Context, tx *db.Tx, id uuid.UUID, only string) (order, error) {
	return s.one(ctx, tx, `select `+orderColumns+` from orders.orders where id = $1 and ($2 = '' or customer_id = $2) for update`, id, only)
}

func (s store) one(ctx context.Context, tx *db.Tx, query string, args ...any) (order, error) {
	var rows []row
	if err := tx.Select(ctx, &rows, query, args...); err != nil {
		return order{}, fmt.Errorf("find order: %w", err)
	}
	list, err := s.withLines(ctx, tx, rows)
	if err != nil {
		return order{}, err
	}
	if len(list) == 0 {
		return order{}, httpx.ErrNotFound
	}
	return list[0], nil
}

// withLines reads the lines of all orders in one statement.
func (s store) withLines(ctx context.Context, tx *db.Tx, rows []row) ([]order, error) {
	if len(rows) == 0 {
		return []order{}, nil
	}
	ids, list, at := make([]string, len(rows)), make([]order, len(rows)), make(map[uuid.UUID]int, len(rows))
	for i, r := range rows {
		var err error
		if list[i], err = r.domain(); err != nil {
			return nil, err
		}
		ids[i], at[r.ID] = r.ID.String(), i
	}
	var lines []struct {
		OrderID   uuid.UUID `db:"order_id"`
		ProductID uuid.UUID `db:"product_id"`
		SKU       string    `db:"sku"`
		Name      string    `db:"name"`
		Quantity  int64     `db:"quantity"`
		Price     int64     `db:"price_minor"`
		Discount  int64     `db:"discount_minor"`
		Tax       int64     `db:"tax_minor"`
		Total     int64     `db:"total_minor"`
		Cancelled int64     `db:"cancelled"`
		Consigned int64     `db:"consigned"`
		Shipped   int64     `db:"shipped"`
		Delivered int64     `db:"delivered"`
		Returned  int64     `db:"returned"`
		TakenBack int64     `db:"taken_back"`
	}
	if err := tx.Select(ctx, &lines, db.Keep+`
		select order_id, product_id, sku, name, quantity, price_minor, discount_minor, tax_minor, total_minor, cancelled, consigned, shipped, delivered, returned, taken_back
		from orders.line where order_id = any((select $1)::uuid[]) order by order_id, position`, db.Array(ids)); err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	for _, l := range lines {
		o := &list[at[l.OrderID]]
		o.Lines = append(o.Lines, line{
			ProductID: l.ProductID, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity,
			Price: amountIn(o.Currency, l.Price), Discount: amountIn(o.Currency, l.Discount), Tax: amountIn(o.Currency, l.Tax), Total: amountIn(o.Currency, l.Total),
			progress: progress{l.Cancelled, l.Consigned, l.Shipped, l.Delivered, l.Returned, l.TakenBack},
		})
	}
	return list, s.withShares(ctx, tx, list, at)
}

// save writes a changed status with its step of the timeline.
func (store) save(ctx context.Context, tx *db.Tx, o order, actor string) error {
	_, err := tx.Exec(ctx, `
		with o as (
			update orders.orders set status = $2, reason = $3, held_for = null, hold = null, version = $4, updated_at = $5 where id = $1
		)
		insert into orders.timeline (order_id, version, status, reason, actor, at) values ($1, $4, $2, $3, $6, $5)`,
		o.ID, string(o.Status), orNull(o.Reason), o.Version, o.UpdatedAt, actor)
	if err != nil {
		return fmt.Errorf("save order: %w", err)
	}
	return nil
}

// advance moves those of the orders that are in from, and returns them as they are then.
// Rows are locked in the order of their ids.
func (s store) advance(ctx context.Context, tx *db.Tx, ids []string, from, to status, reason string) ([]order, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	var rows []row
	if err := tx.Select(ctx, &rows, db.Keep+`
		with mine as (
			select id from orders.orders where id = any((select $1)::uuid[]) and status = (select $2) order by id for update
		), moved as (
			update orders.orders o set status = $3, reason = $4, version = o.version + 1, updated_at = $5
			from mine where o.id = mine.id returning o.*
		), steps as (
			insert into orders.timeline (order_id, version, status, reason, actor, at)
			select id, version, status, reason, $6, updated_at from moved
		)
		select `+orderColumns+` from moved order by id`,
		db.Array(ids), string(from), string(to), orNull(reason), tx.Now, id.Actor); err != nil {
		return nil, fmt.Errorf("advance orders: %w", err)
	}
	return s.withLines(ctx, tx, rows)
}

// filter of a list, with where the page begins.
type filter struct {
	Status      string
	Payment     string
	HeldFor     string
	CustomerID  string
	Number      int64      // 0: any
	From, Until *time.Time // creation: from, inclusive; until, exclusive
	Sort        string
	After       *position
	Limit       int
}

// position is the last order of the page before.
type position struct {
	Sort string    `json:"s"`
	At   time.Time `json:"at"`
	ID   uuid.UUID `json:"id"`
}

func (s store) list(ctx context.Context, tx *db.Tx, f filter) ([]order, error) {
	var conditions []string
	var args []any
	where := func(condition string, v any) {
		args = append(args, v)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.Status != "" {
		where(`status = $%d`, f.Status)
	}
	if f.Payment != "" {
		where(`payment_status = $%d`, f.Payment)
	}
	if f.HeldFor != "" {
		where(`(held_for is not null or hold is not null) and coalesce(hold, held_for) = $%d`, f.HeldFor)
	}
	if f.CustomerID != "" {
		where(`customer_id = $%d`, f.CustomerID)
	}
	if f.Number != 0 {
		where(`number = $%d`, f.Number)
	}
	if f.From != nil {
		where(`created_at >= $%d`, *f.From)
	}
	if f.Until != nil {
		where(`created_at < $%d`, *f.Until)
	}
	beyond, direction := `>`, ``
	if strings.HasPrefix(f.Sort, "-") {
		beyond, direction = `<`, ` desc`
	}
	if f.After != nil {
		args = append(args, f.After.At, f.After.ID)
		conditions = append(conditions, fmt.Sprintf(`(created_at, id) %s ($%d::timestamptz, $%d::uuid)`, beyond, len(args)-1, len(args)))
	}
	query := `select ` + orderColumns + ` from orders.orders`
	if len(conditions) > 0 {
		query += ` where ` + strings.Join(conditions, ` and `)
	}
	args = append(args, f.Limit)
	query += fmt.Sprintf(` order by created_at%s, id%s limit $%d`, direction, direction, len(args))
	var rows []row
	if err := tx.Select(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return s.withLines(ctx, tx, rows)
}

// step is one entry of an order's timeline.
type step struct {
	Status  string  `db:"status"`
	Payment *string `db:"payment_status"`
	// Fulfillment and the two after it are of steps that a shipment made.
	Fulfillment *string    `db:"fulfillment_status"`
	Shipment    *uuid.UUID `db:"shipment_id"`
	Told        *string    `db:"shipment_status"`
	Cancelled   []byte     `db:"cancelled"` // of steps that called off a part
	Return      *uuid.UUID `db:"return_id"` // of steps that a return made, and so is the one after it
	Comes       *string    `db:"return_status"`
	Hold        *string    `db:"hold"`   // of steps that held it back, or let it go
	Edited      []byte     `db:"edited"` // of steps that changed what was agreed
	Reason      *string    `db:"reason"`
	Actor       string     `db:"actor"`
	At          time.Time  `db:"at"`
}

func (store) timeline(ctx context.Context, tx *db.Tx, id uuid.UUID) ([]step, error) {
	steps := []step{}
	if err := tx.Select(ctx, &steps, `select status, payment_status, fulfillment_status, shipment_id, shipment_status, cancelled, return_id, return_status, hold, edited, reason, actor, at from orders.timeline where order_id = $1 order by version`, id); err != nil {
		return nil, fmt.Errorf("read timeline: %w", err)
	}
	return slices.Clip(steps), nil
}

// claim notes for which participations orders are placed and returns those orders. One
// that another transaction is placing is waited for; one that was placed is left out.
func (store) claim(ctx context.Context, tx *db.Tx, wanted []participation) ([]uuid.UUID, error) {
	campaigns, participants, orders := make([]string, len(wanted)), make([]string, len(wanted)), make([]string, len(wanted))
	for i, p := range wanted {
		campaigns[i], participants[i], orders[i] = p.Campaign.String(), p.Participant.String(), p.Order.String()
	}
	var claimed []uuid.UUID
	if err := tx.Select(ctx, &claimed, `
		insert into orders.participation (campaign_id, participant_id, order_id)
		select p.campaign, p.participant, p.id from unnest($1::uuid[], $2::uuid[], $3::uuid[]) p(campaign, participant, id)
		order by p.campaign, p.participant
		on conflict do nothing returning order_id`, db.Array(campaigns), db.Array(participants), db.Array(orders)); err != nil {
		return nil, fmt.Errorf("claim participations: %w", err)
	}
	slices.SortFunc(claimed, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }) // in the order of the events
	return claimed, nil
}

// insertSingles writes orders of one line each with the first steps of their timelines,
// all in one statement.
func (store) insertSingles(ctx context.Context, tx *db.Tx, orders []order) error {
	actor, err := identity.From(ctx)
	if err != nil {
		return err
	}
	n := len(orders)
	ids, customers, currencies, metadata := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	products, skus, names := make([]string, n), make([]string, n), make([]string, n)
	numbers, quantities, prices, totals := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	for i, o := range orders {
		body, err := json.Marshal(o.Metadata)
		if err != nil {
			return fmt.Errorf("encode metadata: %w", err)
		}
		l := o.Lines[0]
		ids[i], numbers[i], customers[i], currencies[i], metadata[i] = o.ID.String(), o.Number, o.CustomerID, string(o.Currency), string(body)
		products[i], skus[i], names[i], quantities[i], prices[i], totals[i] = l.ProductID.String(), l.SKU, l.Name, l.Quantity, l.Price.Minor, l.Total.Minor
	}
	_, err = tx.Exec(ctx, `
		with news as materialized (
			select * from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])
			              n(id, number, customer, currency, metadata, product, sku, name, quantity, price, total)
		), o as (
			insert into orders.orders (id, number, customer_id, status, currency, total_minor, metadata, version, created_at, updated_at)
			select id, number, customer, $12, currency, total, metadata::jsonb, 1, $13::timestamptz, $13::timestamptz from news
		), t as (
			insert into orders.timeline (order_id, version, status, actor, at) select id, 1, $12, $14, $13::timestamptz from news
		)
		insert into orders.line (order_id, position, product_id, sku, name, quantity, price_minor, total_minor)
		select id, 1, product, sku, name, quantity, price, total from news`,
		db.Array(ids), db.Array(numbers), db.Array(customers), db.Array(currencies), db.Array(metadata),
		db.Array(products), db.Array(skus), db.Array(names), db.Array(quantities), db.Array(prices), db.Array(totals),
		string(created), tx.Now, actor.Actor)
	if err != nil {
		return fmt.Errorf("insert orders: %w", err)
	}
	return nil
}
