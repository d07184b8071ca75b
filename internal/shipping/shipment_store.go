package shipping

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

type shipmentRow struct {
	ID             uuid.UUID  `db:"id"`
	OrderID        uuid.UUID  `db:"order_id"`
	OrderNumber    int64      `db:"order_number"`
	CustomerID     string     `db:"customer_id"`
	Parcel         int        `db:"parcel"`
	Direction      string     `db:"direction"`
	ReturnID       *uuid.UUID `db:"return_id"`
	Sender         []byte     `db:"sender"`
	Recipient      []byte     `db:"recipient"`
	Grams          int64      `db:"grams"`
	Length         int64      `db:"length_mm"`
	Width          int64      `db:"width_mm"`
	Height         int64      `db:"height_mm"`
	Label          string     `db:"label"`
	FailureCode    *string    `db:"failure_code"`
	FailureMessage *string    `db:"failure_message"`
	Carrier        string     `db:"carrier"`
	TakenBy        string     `db:"taken_by"`
	Service        string     `db:"service"`
	TrackingNumber *string    `db:"tracking_number"`
	TrackingURL    *string    `db:"tracking_url"`
	Tracking       []byte     `db:"tracking"`
	Token          string     `db:"token"`
	Version        int64      `db:"version"`
	CreatedAt      time.Time  `db:"created_at"`
	UpdatedAt      time.Time  `db:"updated_at"`
	Items          []byte     `db:"items"`
}

// itemRow is an item as the database writes and reads it as JSON.
type itemRow struct {
	Line     int    `json:"line"`
	SKU      string `json:"sku"`
	Name     string `json:"name"`
	Quantity int64  `json:"quantity"`
	Price    int64  `json:"price"`
	Currency string `json:"currency"`
}

const shipmentColumns = `s.id, s.order_id, s.order_number, s.customer_id, s.parcel, s.direction, s.return_id, s.sender, s.recipient, s.grams, s.length_mm, s.width_mm, s.height_mm, s.label, s.failure_code, s.failure_message,
	s.carrier, s.taken_by, s.service, s.tracking_number, s.tracking_url, s.tracking, s.token, s.version, s.created_at, s.updated_at,
	(select coalesce(json_agg(json_build_object('line', i.line, 'sku', i.sku, 'name', i.name, 'quantity', i.quantity, 'price', i.price_minor, 'currency', i.currency) order by i.line), '[]')
	 from shipping.item i where i.shipment_id = s.id) items`

func (r shipmentRow) domain() (shipment, error) {
	s := shipment{
		ID: r.ID, OrderID: r.OrderID, OrderNumber: r.OrderNumber, CustomerID: r.CustomerID, Parcel: r.Parcel, Direction: r.Direction, ReturnID: r.ReturnID,
		Size:  carrier.Parcel{Grams: r.Grams, Length: r.Length, Width: r.Width, Height: r.Height},
		Label: labelState(r.Label), Carrier: r.Carrier, TakenBy: r.TakenBy, Service: r.Service, TrackingNumber: text(r.TrackingNumber), TrackingURL: text(r.TrackingURL),
		Token: r.Token, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.FailureCode != nil {
		s.Failure = &carrier.Declined{Code: *r.FailureCode, Message: text(r.FailureMessage)}
	}
	var items []itemRow
	for _, part := range []struct {
		body []byte
		into any
	}{{r.Sender, &s.Sender}, {r.Recipient, &s.Recipient}, {r.Tracking, &s.Tracking}, {r.Items, &items}} {
		if part.body == nil {
			continue
		}
		if err := json.Unmarshal(part.body, part.into); err != nil {
			return shipment{}, fmt.Errorf("read shipment %s: %w", r.ID, err)
		}
	}
	for _, i := range items {
		s.Items = append(s.Items, packed{i.Line, i.SKU, i.Name, i.Quantity, money.Amount{Minor: i.Price, Currency: money.Currency(i.Currency)}})
	}
	return s, nil
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

// parcels is how many an order has in a direction.
func (store) parcels(ctx context.Context, tx *db.Tx, order uuid.UUID, direction string) (n int, err error) {
	if err := tx.Get(ctx, &n, `select coalesce(max(parcel), 0) from shipping.shipment where order_id = $1 and direction = $2`, order, direction); err != nil {
		return 0, fmt.Errorf("count parcels: %w", err)
	}
	return n, nil
}

// insertShipment writes a new one, with what is in it.
func (store) insertShipment(ctx context.Context, tx *db.Tx, s shipment) error {
	sender, recipient, tracking, err := s.bodies()
	if err != nil {
		return err
	}
	rows := make([]itemRow, len(s.Items))
	for n, i := range s.Items {
		rows[n] = itemRow{i.Line, i.SKU, i.Name, i.Quantity, i.Price.Minor, string(i.Price.Currency)}
	}
	items, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("encode shipment: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		with s as (
			insert into shipping.shipment (id, order_id, order_number, parcel, direction, status, sender, recipient, grams, length_mm, width_mm, height_mm, label, carrier, taken_by, service,
				tracking_number, tracking_url, tracking, token, version, created_at, updated_at, customer_id, return_id)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $22, $24, $25)
		)
		insert into shipping.item (shipment_id, line, sku, name, quantity, price_minor, currency)
		select $1, i.line, i.sku, i.name, i.quantity, i.price, i.currency from json_to_recordset($23::json) i(line smallint, sku text, name text, quantity bigint, price bigint, currency text)`,
		s.ID, s.OrderID, s.OrderNumber, s.Parcel, s.Direction, string(s.status()), sender, recipient, s.Size.Grams, s.Size.Length, s.Size.Width, s.Size.Height, string(s.Label), s.Carrier, s.TakenBy, s.Service,
		orNull(s.TrackingNumber), orNull(s.TrackingURL), tracking, s.Token, s.Version, s.CreatedAt, string(items), s.CustomerID, s.ReturnID); err != nil {
		return fmt.Errorf("insert shipment: %w", err)
	}
	return nil
}

func (s *shipment) bodies() (sender string, recipient *string, tracking string, err error) {
	var bodies [3][]byte
	for i, v := range []any{s.Sender, s.Recipient, s.Tracking} {
		if bodies[i], err = json.Marshal(v); err != nil {
			return "", nil, "", fmt.Errorf("encode shipment: %w", err)
		}
	}
	if s.Recipient != nil {
		recipient = new(string(bodies[1]))
	}
	return string(bodies[0]), recipient, string(bodies[2]), nil
}

// saveShipment writes what can change of one. What is in it stays.
func (store) saveShipment(ctx context.Context, tx *db.Tx, s shipment) error {
	_, _, tracking, err := s.bodies()
	if err != nil {
		return err
	}
	var code, message *string
	if s.Failure != nil {
		code, message = &s.Failure.Code, orNull(s.Failure.Message)
	}
	if _, err := tx.Exec(ctx, `
		update shipping.shipment
		set status = $2, label = $3, failure_code = $4, failure_message = $5, taken_by = $6, service = $7, tracking_number = $8, tracking_url = $9, tracking = $10, version = $11, updated_at = $12
		where id = $1`,
		s.ID, string(s.status()), string(s.Label), code, message, s.TakenBy, s.Service, orNull(s.TrackingNumber), orNull(s.TrackingURL), tracking, s.Version, s.UpdatedAt); err != nil {
		return fmt.Errorf("save shipment: %w", err)
	}
	return nil
}

// readdress writes where a shipment goes that is tried once more.
func (store) readdress(ctx context.Context, tx *db.Tx, s shipment) error {
	_, recipient, _, err := s.bodies()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `update shipping.shipment set recipient = $2 where id = $1`, s.ID, recipient); err != nil {
		return fmt.Errorf("readdress shipment: %w", err)
	}
	return nil
}

func (s store) findShipment(ctx context.Context, tx *db.Tx, id uuid.UUID) (shipment, error) {
	return s.oneShipment(ctx, tx, `where s.id = $1`, id)
}

// lockShipment reads one that this transaction is about to change.
func (s store) lockShipment(ctx context.Context, tx *db.Tx, id uuid.UUID) (shipment, error) {
	return s.oneShipment(ctx, tx, `where s.id = $1 for update of s`, id)
}

// trackedBy is the one that a token opens.
func (s store) trackedBy(ctx context.Context, tx *db.Tx, token string) (shipment, error) {
	return s.oneShipment(ctx, tx, `where s.token = $1`, token)
}

func (s store) oneShipment(ctx context.Context, tx *db.Tx, where string, args ...any) (shipment, error) {
	list, err := s.shipments(ctx, tx, where, args...)
	if err != nil {
		return shipment{}, err
	}
	if len(list) == 0 {
		return shipment{}, httpx.ErrNotFound
	}
	return list[0], nil
}

func (store) shipments(ctx context.Context, tx *db.Tx, where string, args ...any) ([]shipment, error) {
	var rows []shipmentRow
	if err := tx.Select(ctx, &rows, `select `+shipmentColumns+` from shipping.shipment s `+where, args...); err != nil {
		return nil, fmt.Errorf("read shipments: %w", err)
	}
	list := make([]shipment, len(rows))
	for i, r := range rows {
		var err error
		if list[i], err = r.domain(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// lockUnsent locks the parcels of orders that have not left, in the order of their ids.
func (s store) lockUnsent(ctx context.Context, tx *db.Tx, orders []string) ([]shipment, error) {
	return s.shipments(ctx, tx, `where s.order_id = any($1::uuid[]) and s.direction = 'outbound' and s.status in ('created', 'labelled', 'failed') order by s.id for update of s`, db.Array(orders))
}

// shipmentFilter of a list, with where the page begins.
type shipmentFilter struct {
	Status  string
	OrderID *uuid.UUID
	After   *shipmentPosition
	Limit   int
}

// shipmentPosition is the last of the page before.
type shipmentPosition struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

func (s store) listShipments(ctx context.Context, tx *db.Tx, f shipmentFilter) ([]shipment, error) {
	conditions, args := []string{"true"}, []any{}
	where := func(condition string, v ...any) {
		places := make([]any, len(v))
		for i := range v {
			places[i] = len(args) + i + 1
		}
		args = append(args, v...)
		conditions = append(conditions, fmt.Sprintf(condition, places...))
	}
	if f.Status != "" {
		where(`s.status = $%d`, f.Status)
	}
	if f.OrderID != nil {
		where(`s.order_id = $%d`, *f.OrderID)
	}
	if f.After != nil {
		where(`(s.created_at, s.id) < ($%d::timestamptz, $%d::uuid)`, f.After.At, f.After.ID)
	}
	args = append(args, f.Limit)
	return s.shipments(ctx, tx, `where `+strings.Join(conditions, ` and `)+fmt.Sprintf(` order by s.created_at desc, s.id desc limit $%d`, len(args)), args...)
}
