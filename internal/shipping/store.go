package shipping

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/pack"
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
	SKUs         string    `db:"excluded_skus"`
	TaxClasses   string    `db:"excluded_tax_classes"`
	MaxGrams     int64     `db:"max_grams"`
	MaxLength    int64     `db:"max_length_mm"`
	MaxWidth     int64     `db:"max_width_mm"`
	MaxHeight    int64     `db:"max_height_mm"`
}

// priceRow is a price as the database writes and reads it as JSON.
type priceRow struct {
	Currency string `json:"currency"`
	Price    int64  `json:"price"`
	FreeFrom *int64 `json:"freeFrom"`
	Min      *int64 `json:"min"`
	Max      *int64 `json:"max"`

	Zone     *uuid.UUID `json:"zone"`
	MinGrams *int64     `json:"minGrams"`
	MaxGrams *int64     `json:"maxGrams"`
	MinItems *int64     `json:"minItems"`
	MaxItems *int64     `json:"maxItems"`
}

func (r row) domain() (method, error) {
	m := method{
		ID: r.ID, Name: r.Name, Description: r.Description, Destinations: separate(r.Destinations), TaxClass: r.TaxClass, Active: r.Active, Position: r.Position,
		Excluded: excluded{SKUs: separate(r.SKUs), TaxClasses: separate(r.TaxClasses)}, MaxParcel: pack.Limit{Grams: r.MaxGrams, Sides: pack.Sides{Length: r.MaxLength, Width: r.MaxWidth, Height: r.MaxHeight}},
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
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
		m.Prices = append(m.Prices, price{
			Zone: p.Zone, Amount: *in(&p.Price), FreeFrom: in(p.FreeFrom), Min: in(p.Min), Max: in(p.Max), Grams: band{p.MinGrams, p.MaxGrams}, Items: band{p.MinItems, p.MaxItems},
		})
	}
	return m, nil
}

// separate takes apart what holds no comma itself.
func separate(list string) []string {
	if list == "" {
		return []string{}
	}
	return strings.Split(list, ",")
}

// methodColumns: destinations, SKUs and tax classes hold no comma.
const methodColumns = `m.id, m.name, m.description, array_to_string(m.destinations, ',') destinations, m.tax_class, m.active, m.position, m.version, m.created_at, m.updated_at,
	array_to_string(m.excluded_skus, ',') excluded_skus, array_to_string(m.excluded_tax_classes, ',') excluded_tax_classes, m.max_grams, m.max_length_mm, m.max_width_mm, m.max_height_mm,
	(select coalesce(json_agg(json_build_object('currency', p.currency, 'price', p.price_minor, 'freeFrom', p.free_from_minor, 'min', p.min_subtotal_minor, 'max', p.max_subtotal_minor,
		'zone', p.zone_id, 'minGrams', p.min_grams, 'maxGrams', p.max_grams, 'minItems', p.min_items, 'maxItems', p.max_items) order by p.position, p.currency), '[]') from shipping.price p where p.method_id = m.id) prices`

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

// ways reads all that a shop has said about sending in one statement, for whoever waits for
// it: what is not of one method comes with the first.
func (store) ways(ctx context.Context, tx *db.Tx) (w ways, err error) {
	var rows []struct {
		row
		Zones string `db:"zones"`
		Boxes string `db:"boxes"`
		Grams int64  `db:"grams"`
	}
	if err := tx.Select(ctx, &rows, `
		with w as (select row_number() over (order by position, id) n, * from shipping.method)
		select `+methodColumns+`,
			case when m.n = 1 then (`+zonesJSON+`) else '[]' end zones, case when m.n = 1 then (`+boxesJSON+`) else '[]' end boxes,
			coalesce((select s.default_grams from shipping.settings s), 0) grams
		from w m order by m.n`); err != nil {
		return w, fmt.Errorf("read the ways to send: %w", err)
	}
	w.grams, w.methods = defaultGrams, make([]method, len(rows))
	for i, r := range rows {
		if w.methods[i], err = r.domain(); err != nil {
			return w, err
		}
		w.grams = cmp.Or(r.Grams, w.grams)
		if i > 0 {
			continue
		}
		if w.zones, err = zonesOf([]byte(r.Zones)); err != nil {
			return w, err
		}
		if w.boxes, err = boxesOf([]byte(r.Boxes)); err != nil {
			return w, err
		}
	}
	return w, nil
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
		rows[i] = priceRow{
			Currency: string(p.Amount.Currency), Price: p.Amount.Minor, FreeFrom: minor(p.FreeFrom), Min: minor(p.Min), Max: minor(p.Max),
			Zone: p.Zone, MinGrams: p.Grams.Min, MaxGrams: p.Grams.Max, MinItems: p.Items.Min, MaxItems: p.Items.Max,
		}
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

func insertPrices(ctx context.Context, tx *db.Tx, method uuid.UUID, prices string) error {
	_, err := tx.Exec(ctx, `
	insert into shipping.price (method_id, position, currency, price_minor, free_from_minor, min_subtotal_minor, max_subtotal_minor, zone_id, min_grams, max_grams, min_items, max_items)
	select $1, p.position, p.currency, p.price, p."freeFrom", p.min, p.max, p.zone, p."minGrams", p."maxGrams", p."minItems", p."maxItems"
	from rows from (json_to_recordset($2::json) as (currency text, price bigint, "freeFrom" bigint, min bigint, max bigint, zone uuid, "minGrams" bigint, "maxGrams" bigint, "minItems" bigint, "maxItems" bigint))
		with ordinality p(currency, price, "freeFrom", min, max, zone, "minGrams", "maxGrams", "minItems", "maxItems", position)`, method, prices)
	if db.Violates(err, "price_zone_fkey") {
		return errUnknownZone // it was removed a moment ago
	}
	if err != nil {
		return fmt.Errorf("insert prices: %w", err)
	}
	return nil
}

// insert writes a method with its prices, if the shop has room for it.
func (store) insert(ctx context.Context, tx *db.Tx, m method) error {
	prices, err := m.prices()
	if err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `
		insert into shipping.method (id, name, description, destinations, tax_class, active, position, version, created_at, updated_at,
			excluded_skus, excluded_tax_classes, max_grams, max_length_mm, max_width_mm, max_height_mm)
		select $1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $11, $12, $13, $14, $15, $16 where (select count(*) from shipping.method) < $10`,
		m.ID, m.Name, m.Description, db.Array(m.Destinations), m.TaxClass, m.Active, m.Position, m.Version, m.CreatedAt, mostMethods,
		db.Array(m.Excluded.SKUs), db.Array(m.Excluded.TaxClasses), m.MaxParcel.Grams, m.MaxParcel.Length, m.MaxParcel.Width, m.MaxParcel.Height)
	if err != nil {
		return fmt.Errorf("insert method: %w", err)
	}
	if n == 0 {
		return errManyMethods
	}
	return insertPrices(ctx, tx, m.ID, prices)
}

// save writes a method that is locked.
func (store) save(ctx context.Context, tx *db.Tx, m method) error {
	prices, err := m.prices()
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		update shipping.method set name = $2, description = $3, destinations = $4, tax_class = $5, active = $6, position = $7, version = $8, updated_at = $9,
			excluded_skus = $10, excluded_tax_classes = $11, max_grams = $12, max_length_mm = $13, max_width_mm = $14, max_height_mm = $15 where id = $1`,
		m.ID, m.Name, m.Description, db.Array(m.Destinations), m.TaxClass, m.Active, m.Position, m.Version, m.UpdatedAt,
		db.Array(m.Excluded.SKUs), db.Array(m.Excluded.TaxClasses), m.MaxParcel.Grams, m.MaxParcel.Length, m.MaxParcel.Width, m.MaxParcel.Height); err != nil {
		return fmt.Errorf("save method: %w", err)
	}
	if _, err := tx.Exec(ctx, `delete from shipping.price where method_id = $1`, m.ID); err != nil {
		return fmt.Errorf("remove prices: %w", err)
	}
	return insertPrices(ctx, tx, m.ID, prices)
}

// remove deletes a method that is locked.
func (store) remove(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from shipping.method where id = $1`, id); err != nil {
		return fmt.Errorf("delete method: %w", err)
	}
	return nil
}
