package checkout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// store is the SQL of the checkout's schema.
type store struct{}

type row struct {
	ID         uuid.UUID  `db:"id"`
	Status     string     `db:"status"`
	Ticket     []byte     `db:"ticket"`
	CustomerID string     `db:"customer_id"`
	Currency   string     `db:"currency"`
	Email      *string    `db:"email"`
	ShipTo     []byte     `db:"shipping_address"`
	BillTo     []byte     `db:"billing_address"`
	MethodID   string     `db:"shipping_method_id"`
	Codes      string     `db:"codes"`
	Metadata   []byte     `db:"metadata"`
	HoldID     *uuid.UUID `db:"hold_id"`
	HoldUntil  *time.Time `db:"hold_expires_at"`
	HeldSince  *time.Time `db:"held_since"`
	Shown      []byte     `db:"shown"`
	OrderID    *uuid.UUID `db:"order_id"`
	Version    int64      `db:"version"`
	CreatedAt  time.Time  `db:"created_at"`
	UpdatedAt  time.Time  `db:"updated_at"`
	Lines      []byte     `db:"lines"`
}

// lineRow is a line as the database writes and reads it as JSON.
type lineRow struct {
	ID        uuid.UUID `json:"id"`
	Position  int64     `json:"position"`
	SKU       string    `json:"sku"`
	Quantity  int64     `json:"quantity"`
	ProductID uuid.UUID `json:"product_id"`
	Name      string    `json:"name"`
	Price     int64     `json:"price"`
	Available *int64    `json:"available"`
	Gone      bool      `json:"gone"`
}

const cartColumns = `c.id, c.status, c.ticket, c.customer_id, c.currency, c.email, c.shipping_address, c.billing_address, c.shipping_method_id, to_json(c.codes)::text codes, c.metadata,
	c.hold_id, c.hold_expires_at, c.held_since, c.shown, c.order_id, c.version, c.created_at, c.updated_at,
	(select coalesce(json_agg(json_build_object('id', l.id, 'position', l.position, 'sku', l.sku, 'quantity', l.quantity, 'product_id', l.product_id, 'name', l.name,
	                                            'price', l.price_minor, 'available', l.available, 'gone', l.gone) order by l.position), '[]')
	 from checkout.line l where l.cart_id = c.id) lines`

func (r row) domain() (cart, error) {
	c := cart{
		ID: r.ID, Status: status(r.Status), Ticket: r.Ticket, CustomerID: r.CustomerID, Currency: money.Currency(r.Currency), MethodID: r.MethodID,
		OrderID: r.OrderID, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.Email != nil {
		c.Email = *r.Email
	}
	if r.HoldID != nil && r.HoldUntil != nil {
		until := r.HoldUntil.UTC()
		c.HoldID, c.HoldExpiresAt, c.HeldSince = r.HoldID.String(), &until, r.HeldSince
	}
	var lines []lineRow
	for _, part := range []struct {
		body []byte
		into any
	}{{r.ShipTo, &c.ShippingAddress}, {r.BillTo, &c.BillingAddress}, {[]byte(r.Codes), &c.Codes}, {r.Metadata, &c.Metadata}, {r.Shown, &c.Shown}, {r.Lines, &lines}} {
		if part.body == nil {
			continue
		}
		if err := json.Unmarshal(part.body, part.into); err != nil {
			return cart{}, fmt.Errorf("read cart %s: %w", r.ID, err)
		}
	}
	for _, l := range lines {
		c.Lines = append(c.Lines, line{
			ID: l.ID, Position: l.Position, SKU: l.SKU, Quantity: l.Quantity, ProductID: l.ProductID, Name: l.Name,
			Price: money.Amount{Minor: l.Price, Currency: c.Currency}, Available: l.Available, Gone: l.Gone,
		})
	}
	return c, nil
}

// reach is which carts somebody gets to see: any, or those that are theirs.
type reach struct {
	all      bool
	customer string // whose, when not all; empty: nobody's
	ticket   []byte // of a guest
}

// find reads a cart with its lines, in one statement: they belong to its version.
func (s store) find(ctx context.Context, tx *db.Tx, id uuid.UUID, within reach) (cart, error) {
	list, err := s.carts(ctx, tx, `where c.id = $1 and ($2 or c.customer_id <> '' and c.customer_id = $3 or c.ticket = $4)`, id, within.all, within.customer, within.ticket)
	if err != nil {
		return cart{}, err
	}
	if len(list) == 0 {
		return cart{}, httpx.ErrNotFound
	}
	return list[0], nil
}

// latest is the open cart that a customer has touched last, other than one; ok is false when
// there is none.
func (s store) latest(ctx context.Context, tx *db.Tx, customer string, other uuid.UUID) (c cart, ok bool, err error) {
	list, err := s.carts(ctx, tx, `where c.customer_id = $1 and c.customer_id <> '' and c.status = 'open' and c.id <> $2 order by c.updated_at desc, c.id limit 1`, customer, other)
	if err != nil || len(list) == 0 {
		return cart{}, false, err
	}
	return list[0], true, nil
}

func (store) carts(ctx context.Context, tx *db.Tx, query string, args ...any) ([]cart, error) {
	var rows []row
	if err := tx.Select(ctx, &rows, db.Keep+`select `+cartColumns+` from checkout.cart c `+query, args...); err != nil {
		return nil, fmt.Errorf("read carts: %w", err)
	}
	list := make([]cart, len(rows))
	for i, r := range rows {
		var err error
		if list[i], err = r.domain(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// written is a cart as its statements take it.
func (c cart) written() ([]any, error) {
	var bodies [4]*string
	for i, v := range []any{c.ShippingAddress, c.BillingAddress, c.Metadata, c.Shown} {
		if a, ok := v.(*address); ok && a == nil {
			continue
		}
		body, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("encode cart: %w", err)
		}
		text := string(body)
		bodies[i] = &text
	}
	return []any{
		c.ID, string(c.Status), c.Ticket, c.CustomerID, string(c.Currency), orNull(c.Email), bodies[0], bodies[1], c.MethodID, db.Array(c.Codes), bodies[2],
		orNull(c.HoldID), c.HoldExpiresAt, c.HeldSince, bodies[3], c.UpdatedAt,
	}, nil
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func writtenLines(lines []line) (string, error) {
	rows := make([]lineRow, len(lines))
	for i, l := range lines {
		rows[i] = lineRow{l.ID, l.Position, l.SKU, l.Quantity, l.ProductID, l.Name, l.Price.Minor, l.Available, l.Gone}
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("encode lines: %w", err)
	}
	return string(body), nil
}

const lineRecord = `l(id uuid, position bigint, sku text, quantity bigint, product_id uuid, name text, price bigint, available bigint, gone boolean)`

// insert writes a new cart with its lines.
func (store) insert(ctx context.Context, tx *db.Tx, c cart) error {
	args, err := c.written()
	if err != nil {
		return err
	}
	lines, err := writtenLines(c.Lines)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, db.Keep+`
		with c as (
			insert into checkout.cart (id, status, ticket, customer_id, currency, email, shipping_address, billing_address, shipping_method_id, codes, metadata,
				hold_id, hold_expires_at, held_since, shown, version, created_at, updated_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 1, $16, $16)
		)
		insert into checkout.line (cart_id, id, position, sku, quantity, product_id, name, price_minor, available, gone)
		select $1, l.id, l.position, l.sku, l.quantity, l.product_id, l.name, l.price, l.available, l.gone from json_to_recordset($17::json) `+lineRecord,
		append(args, lines)...); err != nil {
		return fmt.Errorf("insert cart: %w", err)
	}
	return nil
}

// save writes what has changed of a cart, if it still is the version before. Of its lines
// only those are written that are others than they were, in the same statement.
func (store) save(ctx context.Context, tx *db.Tx, before, c cart) (ok bool, err error) {
	args, err := c.written()
	if err != nil {
		return false, err
	}
	removed := []string{}
	for _, o := range before.Lines {
		if !slices.ContainsFunc(c.Lines, func(l line) bool { return l.ID == o.ID }) {
			removed = append(removed, o.ID.String())
		}
	}
	lines, err := writtenLines(c.othersThan(before))
	if err != nil {
		return false, err
	}
	var n int
	if err := tx.Get(ctx, &n, db.Keep+`
		with c as (
			update checkout.cart set status = $2, ticket = $3, customer_id = $4, currency = $5, email = $6, shipping_address = $7, billing_address = $8, shipping_method_id = $9, codes = $10,
				metadata = $11, hold_id = $12, hold_expires_at = $13, held_since = $14, shown = $15, updated_at = $16, version = $17, abandoned_at = null
			where id = $1 and version = $18 and status = 'open' returning id
		), removed as (
			delete from checkout.line l using c where l.cart_id = $1 and l.id = any($19::uuid[])
		), put as (
			insert into checkout.line (cart_id, id, position, sku, quantity, product_id, name, price_minor, available, gone)
			select c.id, l.id, l.position, l.sku, l.quantity, l.product_id, l.name, l.price, l.available, l.gone from c, json_to_recordset($20::json) `+lineRecord+`
			on conflict (tenant_id, cart_id, id) do update
			set quantity = excluded.quantity, name = excluded.name, price_minor = excluded.price_minor, available = excluded.available, gone = excluded.gone
		)
		select count(*) from c`, append(args, c.Version, before.Version, db.Array(removed), lines)...); err != nil {
		return false, fmt.Errorf("save cart: %w", err)
	}
	return n == 1, nil
}

// othersThan are the lines that were not as they are.
func (c cart) othersThan(before cart) (changed []line) {
	for _, l := range c.Lines {
		if !slices.ContainsFunc(before.Lines, func(o line) bool { return o.equal(l) }) {
			changed = append(changed, l)
		}
	}
	return changed
}

func (l line) equal(o line) bool {
	enough := l.Available == nil && o.Available == nil || l.Available != nil && o.Available != nil && *l.Available == *o.Available
	l.Available, o.Available = nil, nil
	return enough && l == o
}

// acknowledge writes what the buyer was shown, if the cart still is the version before. It
// stays that version.
func (store) acknowledge(ctx context.Context, tx *db.Tx, before, c cart) error {
	lines, err := writtenLines(c.othersThan(before))
	if err != nil {
		return err
	}
	body, err := json.Marshal(c.Shown)
	if err != nil {
		return fmt.Errorf("encode cart: %w", err)
	}
	if _, err := tx.Exec(ctx, db.Keep+`
		with c as (
			update checkout.cart set shown = $3 where id = $1 and version = $2 and status = 'open' returning id
		)
		update checkout.line o set name = l.name, price_minor = l.price, available = l.available, gone = l.gone
		from c, json_to_recordset($4::json) `+lineRecord+` where o.cart_id = c.id and o.id = l.id`, c.ID, before.Version, string(body), lines); err != nil {
		return fmt.Errorf("save what was shown: %w", err)
	}
	return nil
}

// place closes a cart that has become an order, if it still is the version that was agreed.
// Whom it was for stands in the order from now on.
func (store) place(ctx context.Context, tx *db.Tx, c cart, order uuid.UUID) (ok bool, err error) {
	n, err := tx.Exec(ctx, db.Keep+`
		update checkout.cart set status = 'placed', order_id = $3, hold_id = $5, hold_expires_at = $6, email = null, shipping_address = null, billing_address = null, metadata = '{}',
			version = version + 1, updated_at = $4
		where id = $1 and version = $2 and status = 'open'`,
		c.ID, c.Version, order, tx.Now, orNull(c.HoldID), c.HoldExpiresAt)
	if err != nil {
		return false, fmt.Errorf("close cart: %w", err)
	}
	return n == 1, nil
}

// merge closes a cart that was poured into another one.
func (store) merge(ctx context.Context, tx *db.Tx, from cart) (ok bool, err error) {
	n, err := tx.Exec(ctx, `
		update checkout.cart set status = 'merged', email = null, shipping_address = null, billing_address = null, metadata = '{}', ticket = null,
			version = version + 1, updated_at = $3
		where id = $1 and version = $2 and status = 'open'`, from.ID, from.Version, tx.Now)
	if err != nil {
		return false, fmt.Errorf("merge cart: %w", err)
	}
	return n == 1, nil
}
