package pricing

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// store is the SQL of pricing's schema. Rows of other merchants do not exist here:
// row-level security hides them.
type store struct{}

const settingsColumns = `prices_include_tax, rounding, mode, country, region, shipping_tax, version, rules, updated_at`

// settings of a shop; those that it begins with when it has said nothing.
func (store) settings(ctx context.Context, tx *db.Tx) (settings, error) {
	var s settings
	err := tx.Get(ctx, &s, `select `+settingsColumns+` from pricing.settings`)
	if db.IsNoRows(err) {
		return initial(), nil
	}
	if err != nil {
		return settings{}, fmt.Errorf("read settings: %w", err)
	}
	return s, nil
}

// change counts a change of the shop's rules and keeps other ones waiting until it is over.
func (store) change(ctx context.Context, tx *db.Tx) (settings, error) {
	var s settings
	first := initial()
	if err := tx.Get(ctx, &s, `
		insert into pricing.settings as s (prices_include_tax, rounding, mode, country, region, shipping_tax, version, rules, updated_at)
		values ($1, $2, $3, '', '', '', 0, 1, $4)
		on conflict (tenant_id) do update set rules = s.rules + 1
		returning `+settingsColumns, first.PricesIncludeTax, first.Rounding, first.Mode, tx.Now); err != nil {
		return settings{}, fmt.Errorf("lock settings: %w", err)
	}
	return s, nil
}

func (store) saveSettings(ctx context.Context, tx *db.Tx, s settings) error {
	if _, err := tx.Exec(ctx, `
		update pricing.settings
		set prices_include_tax = $1, rounding = $2, mode = $3, country = $4, region = $5, shipping_tax = $6, version = $7, updated_at = $8`,
		s.PricesIncludeTax, s.Rounding, s.Mode, s.Country, s.Region, s.ShippingTax, s.Version, s.UpdatedAt); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	return nil
}

const rateColumns = `id, name, country, region, postal_prefix, tax_class, percent, priority, compound, valid_from, valid_until, version, created_at, updated_at`

func (store) rate(ctx context.Context, tx *db.Tx, id uuid.UUID) (rate, error) {
	var r rate
	err := tx.Get(ctx, &r, `select `+rateColumns+` from pricing.tax_rate where id = $1`, id)
	if db.IsNoRows(err) {
		return rate{}, httpx.ErrNotFound
	}
	if err != nil {
		return rate{}, fmt.Errorf("find tax rate: %w", err)
	}
	return r, nil
}

func (store) rates(ctx context.Context, tx *db.Tx) (list []rate, err error) {
	if err := tx.Select(ctx, &list, `select `+rateColumns+` from pricing.tax_rate`); err != nil {
		return nil, fmt.Errorf("read tax rates: %w", err)
	}
	return list, nil
}

// ratePosition is the last rate of the page before.
type ratePosition struct {
	Country      string    `json:"c"`
	Region       string    `json:"r"`
	PostalPrefix string    `json:"p"`
	TaxClass     string    `json:"t"`
	ID           uuid.UUID `json:"id"`
}

func (store) listRates(ctx context.Context, tx *db.Tx, country, class string, after ratePosition, limit int) (list []rate, err error) {
	if err := tx.Select(ctx, &list, `
		select `+rateColumns+` from pricing.tax_rate
		where ($1 = '' or country = $1) and ($2 = '' or tax_class = $2)
		  and (country, region, postal_prefix, tax_class, id) > ($3::char(2), $4::text, $5::text, $6::text, $7::uuid)
		order by country, region, postal_prefix, tax_class, id limit $8`,
		country, class, after.Country, after.Region, after.PostalPrefix, after.TaxClass, after.ID, limit); err != nil {
		return nil, fmt.Errorf("list tax rates: %w", err)
	}
	return list, nil
}

// rateOverlaps tells whether another rate would count for the same goods at the same time.
func (store) rateOverlaps(ctx context.Context, tx *db.Tx, r rate) (overlaps bool, err error) {
	if err := tx.Get(ctx, &overlaps, `
		select exists (
			select from pricing.tax_rate
			where id <> $1 and country = $2 and region = $3 and postal_prefix = $4 and tax_class = $5 and priority = $6
			  and tstzrange(valid_from, valid_until) && tstzrange($7, $8))`,
		r.ID, r.Country, r.Region, r.PostalPrefix, r.TaxClass, r.Priority, r.ValidFrom, r.ValidUntil); err != nil {
		return false, fmt.Errorf("look for overlapping tax rates: %w", err)
	}
	return overlaps, nil
}

func (store) insertRate(ctx context.Context, tx *db.Tx, r rate) error {
	if _, err := tx.Exec(ctx, `
		insert into pricing.tax_rate (`+rateColumns+`) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)`,
		r.ID, r.Name, r.Country, r.Region, r.PostalPrefix, r.TaxClass, int64(r.Percent), r.Priority, r.Compound, r.ValidFrom, r.ValidUntil, r.Version, r.CreatedAt); err != nil {
		return fmt.Errorf("insert tax rate: %w", err)
	}
	return nil
}

func (store) saveRate(ctx context.Context, tx *db.Tx, r rate) error {
	if _, err := tx.Exec(ctx, `
		update pricing.tax_rate
		set name = $2, country = $3, region = $4, postal_prefix = $5, tax_class = $6, percent = $7, priority = $8, compound = $9,
		    valid_from = $10, valid_until = $11, version = $12, updated_at = $13
		where id = $1`,
		r.ID, r.Name, r.Country, r.Region, r.PostalPrefix, r.TaxClass, int64(r.Percent), r.Priority, r.Compound, r.ValidFrom, r.ValidUntil, r.Version, r.UpdatedAt); err != nil {
		return fmt.Errorf("save tax rate: %w", err)
	}
	return nil
}

func (store) deleteRate(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from pricing.tax_rate where id = $1`, id); err != nil {
		return fmt.Errorf("delete tax rate: %w", err)
	}
	return nil
}
