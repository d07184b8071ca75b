package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

type rmaRow struct {
	ID        uuid.UUID `db:"id"`
	OrderID   uuid.UUID `db:"order_id"`
	Number    int64     `db:"number"`
	Customer  string    `db:"customer_id"`
	Currency  string    `db:"currency"`
	Status    string    `db:"status"`
	FeePoints int64     `db:"fee_points"`
	Answer    *string   `db:"answer"`
	Asked     int64     `db:"refund_minor"`
	Refund    int64     `db:"paid_minor"`
	Fee       int64     `db:"fee_minor"`
	Shipping  int64     `db:"shipping_minor"`
	Version   int64     `db:"version"`
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
	Shipment  []byte    `db:"shipment"`
	Lines     []byte    `db:"lines"`
}

// rmaLineRow is a line of a return as the database writes and reads it as JSON.
type rmaLineRow struct {
	Position  int     `json:"position"`
	SKU       string  `json:"sku,omitempty"`
	Name      string  `json:"name,omitempty"`
	Quantity  int64   `json:"quantity"`
	Reason    string  `json:"reason"`
	Note      *string `json:"note"`
	Received  int64   `json:"received"`
	Restocked int64   `json:"restocked"`
	Refund    int64   `json:"refund_minor"`
	Fee       int64   `json:"fee_minor"`
}

const selectReturns = `
	select r.id, r.order_id, o.number, o.customer_id, o.currency, r.status, r.fee_points, r.answer, r.refund_minor, coalesce(r.paid_minor, r.refund_minor) paid_minor, r.fee_minor, r.shipping_minor, r.version, r.created_at, r.updated_at,
	(select json_build_object('id', r.shipment_id, 'direction', 'return', 'status', coalesce(s.status, 'created'), 'carrier', coalesce(s.carrier, ''), 'trackingNumber', coalesce(s.tracking_number, ''),
		'units', (select sum(l.quantity) from orders.return_line l where l.return_id = r.id))
	 from (select) one left join orders.shipment s on s.order_id = r.order_id and s.shipment_id = r.shipment_id where r.shipment_id is not null) shipment,
	(select json_agg(json_build_object('position', l.position, 'sku', i.sku, 'name', i.name, 'quantity', l.quantity, 'reason', l.reason, 'note', l.note, 'received', l.received, 'restocked', l.restocked,
		'refund_minor', l.refund_minor, 'fee_minor', l.fee_minor) order by l.position)
	 from orders.return_line l join orders.line i on i.order_id = r.order_id and i.position = l.position where l.return_id = r.id) lines
	from orders.return r join orders.orders o on o.id = r.order_id `

func (r rmaRow) domain() (rma, error) {
	in := func(minor int64) money.Amount { return amountIn(money.Currency(r.Currency), minor) }
	back := rma{
		ID: r.ID, OrderID: r.OrderID, Number: r.Number, Customer: r.Customer, Status: rmaStatus(r.Status), FeePoints: r.FeePoints, Answer: text(r.Answer),
		Asked: in(r.Asked), Refund: in(r.Refund), Fee: in(r.Fee), Shipping: in(r.Shipping), Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.Shipment != nil {
		back.Shipment = &ordersapi.ShipmentView{}
		if err := json.Unmarshal(r.Shipment, back.Shipment); err != nil {
			return rma{}, fmt.Errorf("shipment of return %s: %w", r.ID, err)
		}
	}
	var lines []rmaLineRow
	if err := json.Unmarshal(r.Lines, &lines); err != nil {
		return rma{}, fmt.Errorf("lines of return %s: %w", r.ID, err)
	}
	for _, l := range lines {
		back.Lines = append(back.Lines, rmaLine{
			Position: l.Position, SKU: l.SKU, Name: l.Name, Quantity: l.Quantity, Reason: l.Reason, Note: text(l.Note), Received: l.Received, Restocked: l.Restocked, Refund: in(l.Refund), Fee: in(l.Fee),
		})
	}
	return back, nil
}

func (store) returns(ctx context.Context, tx *db.Tx, where string, args ...any) ([]rma, error) {
	var rows []rmaRow
	if err := tx.Select(ctx, &rows, selectReturns+where, args...); err != nil {
		return nil, fmt.Errorf("read returns: %w", err)
	}
	list := make([]rma, len(rows))
	for i, r := range rows {
		var err error
		if list[i], err = r.domain(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// returnsOf are all returns of an order, in the order in which they were asked for.
func (s store) returnsOf(ctx context.Context, tx *db.Tx, order uuid.UUID) ([]rma, error) {
	return s.returns(ctx, tx, `where r.order_id = $1 order by r.created_at, r.id`, order)
}

// findReturn reads one; only one of a customer when one is named.
func (s store) findReturn(ctx context.Context, tx *db.Tx, id uuid.UUID, only string) (rma, error) {
	list, err := s.returns(ctx, tx, `where r.id = $1 and ($2 = '' or o.customer_id = $2)`, id, only)
	if err != nil {
		return rma{}, err
	}
	if len(list) == 0 {
		return rma{}, httpx.ErrNotFound
	}
	return list[0], nil
}

func (store) orderOfReturn(ctx context.Context, tx *db.Tx, id uuid.UUID) (order uuid.UUID, err error) {
	switch err := tx.Get(ctx, &order, `select order_id from orders.return where id = $1`, id); {
	case db.IsNoRows(err):
		return order, httpx.ErrNotFound
	case err != nil:
		return order, fmt.Errorf("find return: %w", err)
	}
	return order, nil
}

// returnFilter of a list, with where the page begins.
type returnFilter struct {
	Status  string
	OrderID *uuid.UUID
	Only    string // whose; empty: everybody's
	After   *returnPosition
	Limit   int
}

// returnPosition is the last of the page before.
type returnPosition struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

func (s store) listReturns(ctx context.Context, tx *db.Tx, f returnFilter) ([]rma, error) {
	conditions, args := []string{"true"}, []any{}
	where := func(condition string, v any) {
		args = append(args, v)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.Status != "" {
		where(`r.status = $%d`, f.Status)
	}
	if f.OrderID != nil {
		where(`r.order_id = $%d`, *f.OrderID)
	}
	if f.Only != "" {
		where(`o.customer_id = $%d`, f.Only)
	}
	if f.After != nil {
		args = append(args, f.After.At, f.After.ID)
		conditions = append(conditions, fmt.Sprintf(`(r.created_at, r.id) < ($%d::timestamptz, $%d::uuid)`, len(args)-1, len(args)))
	}
	args = append(args, f.Limit)
	return s.returns(ctx, tx, `where `+strings.Join(conditions, ` and `)+fmt.Sprintf(` order by r.created_at desc, r.id desc limit $%d`, len(args)), args...)
}

// sentUnits are the units of an order that are with its buyer, or on their way there.
func (store) sentUnits(ctx context.Context, tx *db.Tx, order uuid.UUID) ([]sentUnits, error) {
	var rows []struct {
		Position  int        `db:"position"`
		Quantity  int64      `db:"quantity"`
		Delivered *time.Time `db:"delivered"`
	}
	if err := tx.Select(ctx, &rows, `
		select l.position, l.quantity, case when s.status = 'delivered' then s.updated_at end delivered
		from orders.shipment s join orders.shipment_line l using (order_id, shipment_id)
		where s.order_id = $1 and s.direction = 'outbound' and s.back_at is null and s.status in ('shipped', 'exception', 'delivered') order by l.position, s.shipment_id`, order); err != nil {
		return nil, fmt.Errorf("read what was sent: %w", err)
	}
	list := make([]sentUnits, len(rows))
	for i, r := range rows {
		list[i] = sentUnits(r)
	}
	return list, nil
}

func rmaLines(r rma) (string, error) {
	rows := make([]rmaLineRow, len(r.Lines))
	for i, l := range r.Lines {
		rows[i] = rmaLineRow{Position: l.Position, Quantity: l.Quantity, Reason: l.Reason, Note: orNull(l.Note), Received: l.Received, Restocked: l.Restocked, Refund: l.Refund.Minor, Fee: l.Fee.Minor}
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("encode return: %w", err)
	}
	return string(body), nil
}

func (store) insertReturn(ctx context.Context, tx *db.Tx, r rma) error {
	lines, err := rmaLines(r)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		with r as (
			insert into orders.return (id, order_id, status, fee_points, version, created_at, updated_at) values ($1, $2, $3, $4, $5, $6, $6)
		)
		insert into orders.return_line (return_id, position, quantity, reason, note)
		select $1, l.position, l.quantity, l.reason, l.note from json_to_recordset($7::json) l(position smallint, quantity bigint, reason text, note text)`,
		r.ID, r.OrderID, string(r.Status), r.FeePoints, r.Version, r.CreatedAt, lines); err != nil {
		return fmt.Errorf("insert return: %w", err)
	}
	return nil
}

// saveReturn writes what can change of one.
func (store) saveReturn(ctx context.Context, tx *db.Tx, r rma) error {
	lines, err := rmaLines(r)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		with r as (
			update orders.return set status = $2, answer = $3, refund_minor = $4, fee_minor = $5, shipping_minor = $6, version = $7, updated_at = $8, paid_minor = $10 where id = $1
		)
		update orders.return_line l set received = n.received, restocked = n.restocked, refund_minor = n.refund_minor, fee_minor = n.fee_minor
		from json_to_recordset($9::json) n(position smallint, received bigint, restocked bigint, refund_minor bigint, fee_minor bigint)
		where l.return_id = $1 and l.position = n.position and (l.received, l.restocked, l.refund_minor, l.fee_minor) is distinct from (n.received, n.restocked, n.refund_minor, n.fee_minor)`,
		r.ID, string(r.Status), orNull(r.Answer), r.Asked.Minor, r.Fee.Minor, r.Shipping.Minor, r.Version, r.UpdatedAt, lines, r.Refund.Minor); err != nil {
		return fmt.Errorf("save return: %w", err)
	}
	return nil
}

// saveReturning writes what comes back of an order, with the step that a return made.
func (store) saveReturning(ctx context.Context, tx *db.Tx, o order, r rma, actor string) error {
	if _, err := tx.Exec(ctx, `
		with o as (
			update orders.orders set return_status = $2, version = $3, updated_at = $4 where id = $1
		)
		insert into orders.timeline (order_id, version, status, reason, return_id, return_status, actor, at) values ($1, $3, $5, $6, $7, $8, $9, $4)`,
		o.ID, string(o.Returning), o.Version, o.UpdatedAt, string(o.Status), orNull(r.Answer), r.ID, string(r.Status), actor); err != nil {
		return fmt.Errorf("save what comes back: %w", err)
	}
	return nil
}

// takeBack counts the units that came, and what of the order's total is not to be paid for them.
func (store) takeBack(ctx context.Context, tx *db.Tx, o order, r rma) error {
	lines, err := rmaLines(r)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		with o as (
			update orders.orders set returned_minor = $2, given_minor = $4 where id = $1
		)
		update orders.line l set taken_back = l.taken_back + n.received
		from json_to_recordset($3::json) n(position smallint, received bigint) where l.order_id = $1 and l.position = n.position and n.received > 0`,
		o.ID, o.Returned.Minor, lines, o.Given.Minor); err != nil {
		return fmt.Errorf("take goods back: %w", err)
	}
	return nil
}

// bringReturn notes which shipment brings a return.
func (store) bringReturn(ctx context.Context, tx *db.Tx, id, shipment uuid.UUID) error {
	if _, err := tx.Exec(ctx, `update orders.return set shipment_id = $2, version = version + 1, updated_at = $3 where id = $1`, id, shipment, tx.Now); err != nil {
		return fmt.Errorf("note the shipment of a return: %w", err)
	}
	return nil
}

// closeReturns closes the returns of orders that are here and for which nothing is left to give
// back. The orders are locked.
func (store) closeReturns(ctx context.Context, tx *db.Tx, orders []string) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, db.Keep+`
		with closed as (
			update orders.return r set status = 'closed', version = r.version + 1, updated_at = $2 from orders.orders o
			where o.id = any((select $1)::uuid[]) and r.order_id = o.id and r.status = 'received'
			and o.captured_minor - o.refunded_minor <= greatest(0, o.total_minor - o.cancelled_minor - o.returned_minor - o.given_minor)
			returning r.id, r.order_id
		), steps as (
			select id, order_id, row_number() over (partition by order_id order by id) n from closed
		), o as (
			update orders.orders o set version = o.version + c.n, updated_at = $2
			from (select order_id, max(n) n from steps group by order_id) c where o.id = c.order_id returning o.id, o.version - c.n was, o.status
		)
		insert into orders.timeline (order_id, version, status, return_id, return_status, actor, at)
		select o.id, o.was + s.n, o.status, s.id, 'closed', $3, $2 from steps s join o on o.id = s.order_id`, db.Array(orders), tx.Now, id.Actor); err != nil {
		return fmt.Errorf("close returns: %w", err)
	}
	return nil
}
