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
)

// store is the SQL of the shipping's schema.
type store struct{}

type row struct {
	ID           uuid.UUID `db:"id"`
	Name         string    `db:"name"`
	Description  string    `db:"description"`
	Destinations string    `db:"destinations"`
	TaxClass     string    `db:"tax_class"`
	Active       bool      `db:"active"`
	Position     int64     `db:"position"`
	Version      int64     `db:"version"`
	CreatedAt    time.Time `db:"created_at"`
	UpdatedAt    time.Time `db:"updated_at"`
	Prices       string    `db:"prices"`
}

// priceRow is a price as the database writes and reads it as JSON.
type priceRow struct {
	Currency string `json:"currency"`
	Price    int64  `json:"price"`
	FreeFrom *int64 `json:"freeFrom"`
	Min      *int64 `json:"min"`
	Max      *int64 `json:"max"`
}

func (r row) domain() (method, error) {
	m := method{
		ID: r.ID, Name: r.Name, Description: r.Description, Destinations: []string{}, TaxClass: r.TaxClass, Active: r.Active, Position: r.Position,
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.Destinations != "" {
		m.Destinations = strings.Split(r.Destinations, ",")
	}
	var prices []priceRow
	if err := json.Unmarshal([]byte(r.Prices), &prices); err != nil {
		return method{}, fmt.Errorf("prices of method %s: %w", r.ID, err)
	}
	for _, p := range prices {
		in := func(minor *int64) *money.Amount {
			if minor == nil {
				return nil
			}
			return &money.Amount{Minor: *minor, Currency: money.Currency(p.Currency)}
		}
		m.Prices = append(m.Prices, price{Amount: *in(&p.Price), FreeFrom: in(p.FreeFrom), Min: in(p.Min), Max: in(p.Max)})
	}
	return m, nil
}

// methodColumns: destinations hold no comma.
const methodColumns = `m.id, m.name, m.description, array_to_string(m.destinations, ',') destinations, m.tax_class, m.active, m.position, m.version, m.created_at, m.updated_at,
	(select coalesce(json_agg(json_build_object('currency', p.currency, 'price', p.price_minor, 'freeFrom', p.free_from_minor, 'min', p.min_subtotal_minor, 'max', p.max_subtotal_minor)
	                          order by p.currency), '[]') from shipping.price p where p.method_id = m.id) prices`

func (store) all(ctx context.Context, tx *db.Tx) ([]method, error) {
	var rows []row
	if err := tx.Select(ctx, &rows, `select `+methodColumns+` from shipping.method m order by m.position, m.id`); err != nil {
		return nil, fmt.Errorf("list methods: %w", err)
	}
	methods := make([]method, len(rows))
	for i, r := range rows {
		var err error
		if methods[i], err = r.domain(); err != nil {
			return nil, err
		}
	}
	return methods, nil
}

func (s store) find(ctx context.Context, tx *db.Tx, id uuid.UUID) (method, error) {
	return s.one(ctx, tx, `select `+methodColumns+` from shipping.method m where m.id = $1`, id)
}

// lock reads a method that this transaction is about to change.
func (s store) lock(ctx context.Context, tx *db.Tx, id uuid.UUID) (method, error) {
	return s.one(ctx, tx, `select `+methodColumns+` from shipping.method m where m.id = $1 for update of m`, id)
}

func (store) one(ctx context.Context, tx *db.Tx, query string, id uuid.UUID) (method, error) {
	var r row
	err := tx.Get(ctx, &r, query, id)
	if db.IsNoRows(err) {
		return method{}, httpx.ErrNotFound
	}
	if err != nil {
		return method{}, fmt.Errorf("find method: %w", err)
	}
	return r.domain()
}

func (m method) prices() (string, error) {
	rows := make([]priceRow, len(m.Prices))
	for i, p := range m.Prices {
		rows[i] = priceRow{Currency: string(p.Amount.Currency), Price: p.Amount.Minor, FreeFrom: minor(p.FreeFrom), Min: minor(p.Min), Max: minor(p.Max)}
	}
	body, err := json.Marshal(rows)
	if err != nil {
		return "", fmt.Errorf("encode prices: %w", err)
	}
	return string(body), nil
}

func minor(a *money.Amount) *int64 {
	if a == nil {
		return nil
	}
	return &a.Minor
}

const insertPrices = `
	insert into shipping.price (method_id, currency, price_minor, free_from_minor, min_subtotal_minor, max_subtotal_minor)
	select $1, p.currency, p.price, p."freeFrom", p.min, p.max from json_to_recordset($2::json) p(currency text, price bigint, "freeFrom" bigint, min bigint, max bigint)`

// insert writes a method with its prices, if the shop has room for it.
func (store) insert(ctx context.Context, tx *db.Tx, m method) error {
	prices, err := m.prices()
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `
		insert into shipping.method (id, name, description, destinations, tax_class, active, position, version, created_at, updated_at)
		select $1, $2, $3, $4, $5, $6, $7, $8, $9, $9 where (select count(*) from shipping.method) < $10`,
		m.ID, m.Name, m.Description, db.Array(m.Destinations), m.TaxClass, m.Active, m.Position, m.Version, m.CreatedAt, mostMethods)
	if err != nil {
		return fmt.Errorf("insert method: %w", err)
	}
	if n == 0 {
		return errManyMethods
	}
	if _, err := tx.Exec(ctx, insertPrices, m.ID, prices); err != nil {
		return fmt.Errorf("insert prices: %w", err)
	}
	return nil
}

// save writes a method that is locked.
func (store) save(ctx context.Context, tx *db.Tx, m method) error {
	prices, err := m.prices()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		update shipping.method set name = $2, description = $3, destinations = $4, tax_class = $5, active = $6, position = $7, version = $8, updated_at = $9 where id = $1`,
		m.ID, m.Name, m.Description, db.Array(m.Destinations), m.TaxClass, m.Active, m.Position, m.Version, m.UpdatedAt); err != nil {
		return fmt.Errorf("save method: %w", err)
	}
	if _, err := tx.Exec(ctx, `delete from shipping.price where method_id = $1`, m.ID); err != nil {
		return fmt.Errorf("remove prices: %w", err)
	}
	if _, err := tx.Exec(ctx, insertPrices, m.ID, prices); err != nil {
		return fmt.Errorf("save prices: %w", err)
	}
	return nil
}

// remove deletes a method that is locked.
func (store) remove(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from shipping.method where id = $1`, id); err != nil {
		return fmt.Errorf("delete method: %w", err)
	}
	return nil
}
