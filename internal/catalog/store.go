package catalog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// store is the SQL of the catalog's schema. Rows of other merchants do not exist here:
// row-level security hides them.
type store struct{}

type row struct {
	ID          uuid.UUID `db:"id"`
	VariantID   uuid.UUID `db:"variant_id"`
	SKU         string    `db:"sku"`
	Name        string    `db:"name"`
	Description string    `db:"description"`
	Minor       int64     `db:"minor"`
	Currency    string    `db:"currency"`
	TaxClass    string    `db:"tax_class"`
	measuresRow
	customsRow
	Status    string    `db:"status"`
	Version   int64     `db:"version"`
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

type measuresRow struct {
	Grams  int64 `db:"weight_grams"`
	Length int64 `db:"length_mm"`
	Width  int64 `db:"width_mm"`
	Height int64 `db:"height_mm"`
}

type customsRow struct {
	HSCode string `db:"hs_code"`
	Origin string `db:"origin"`
}

func (r row) domain() product {
	return product{
		ID: r.ID, VariantID: r.VariantID, SKU: r.SKU, Name: r.Name, Description: r.Description,
		Price:    money.Amount{Minor: r.Minor, Currency: money.Currency(r.Currency)},
		TaxClass: r.TaxClass, Measures: catalogapi.Measures(r.measuresRow), Customs: catalogapi.Customs(r.customsRow), Status: status(r.Status), Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

const selectProduct = `
	select p.id, v.id variant_id, v.sku, p.name, p.description, c.minor, c.currency, p.tax_class, v.weight_grams, v.length_mm, v.width_mm, v.height_mm, v.hs_code, v.origin, p.status, p.version, p.created_at, p.updated_at
	from catalog.product p
	join catalog.variant v on v.tenant_id = p.tenant_id and v.product_id = p.id and v.position = 0
	join catalog.price c on c.tenant_id = v.tenant_id and c.variant_id = v.id and c.is_default`

// insert writes product, variant and price in one statement.
func (store) insert(ctx context.Context, tx *db.Tx, p product) error {
	_, err := tx.Exec(ctx, `
		with p as (
			insert into catalog.product (id, name, description, tax_class, status, version, created_at, updated_at) values ($1, $2, $3, $11, $4, $5, $6, $6)
		), v as (
			insert into catalog.variant (id, product_id, position, sku, weight_grams, length_mm, width_mm, height_mm, hs_code, origin) values ($7, $1, 0, $8, $12, $13, $14, $15, $16, $17)
		)
		insert into catalog.price (variant_id, currency, minor, is_default) values ($7, $9, $10, true)`,
		p.ID, p.Name, p.Description, string(p.Status), p.Version, p.CreatedAt, p.VariantID, p.SKU, string(p.Price.Currency), p.Price.Minor, p.TaxClass,
		p.Measures.Grams, p.Measures.Length, p.Measures.Width, p.Measures.Height, p.Customs.HSCode, p.Customs.Origin)
	if db.Violates(err, "variant_sku_key") {
		return errSKUTaken.At("/sku", "sku_taken", "belongs to another product")
	}
	if err != nil {
		return fmt.Errorf("insert product: %w", err)
	}
	return nil
}

func (store) find(ctx context.Context, tx *db.Tx, id uuid.UUID) (product, error) {
	return one(ctx, tx, selectProduct+` where p.id = $1`, id)
}

// lock reads a product that this transaction is about to change. Variant and price are locked
// with it: of a row that is only joined, whoever had to wait would read the version from
// before the wait, and write it back.
func (store) lock(ctx context.Context, tx *db.Tx, id uuid.UUID) (product, error) {
	return one(ctx, tx, selectProduct+` where p.id = $1 for update of p, v, c`, id)
}

func one(ctx context.Context, tx *db.Tx, query string, id uuid.UUID) (product, error) {
	var r row
	err := tx.Get(ctx, &r, query, id)
	if db.IsNoRows(err) {
		return product{}, httpx.ErrNotFound
	}
	if err != nil {
		return product{}, fmt.Errorf("find product: %w", err)
	}
	return r.domain(), nil
}

// save writes a changed product in one statement. A new currency replaces the price in the old one.
func (store) save(ctx context.Context, tx *db.Tx, p product) error {
	_, err := tx.Exec(ctx, `
		with p as (
			update catalog.product set name = $2, description = $3, tax_class = $10, status = $4, version = $5, updated_at = $6 where id = $1
		), v as (
			update catalog.variant set weight_grams = $11, length_mm = $12, width_mm = $13, height_mm = $14, hs_code = $15, origin = $16
			where id = $7 and (weight_grams, length_mm, width_mm, height_mm, hs_code, origin) <> ($11, $12, $13, $14, $15, $16)
		)
		update catalog.price set currency = $8, minor = $9 where variant_id = $7 and is_default and (currency, minor) <> ($8, $9)`,
		p.ID, p.Name, p.Description, string(p.Status), p.Version, p.UpdatedAt, p.VariantID, string(p.Price.Currency), p.Price.Minor, p.TaxClass,
		p.Measures.Grams, p.Measures.Length, p.Measures.Width, p.Measures.Height, p.Customs.HSCode, p.Customs.Origin)
	if err != nil {
		return fmt.Errorf("save product: %w", err)
	}
	return nil
}

// filter of a list, with where the page begins.
type filter struct {
	Status status
	SKU    string
	Query  string
	Sort   string // a key of orders
	After  *position
	Limit  int
}

// position is the last product of the page before.
type position struct {
	Sort  string    `json:"s"`
	Value string    `json:"v"` // of the column that is sorted by
	ID    uuid.UUID `json:"id"`
}

// readable says whether the value can be one of the column.
func (p position) readable() bool {
	if strings.TrimPrefix(p.Sort, "-") != "createdAt" {
		return true
	}
	_, err := time.Parse(time.RFC3339Nano, p.Value)
	return err == nil
}

// orders are the orders a list can have. The text is ours: nothing of a request ever
// becomes SQL.
var orders = map[string]struct{ column, cast, direction, beyond string }{
	"createdAt":  {"p.created_at", "::timestamptz", "", ">"},
	"-createdAt": {"p.created_at", "::timestamptz", " desc", "<"},
	"name":       {"p.name", "::text", "", ">"},
	"-name":      {"p.name", "::text", " desc", "<"},
	"sku":        {"v.sku", "::text", "", ">"},
	"-sku":       {"v.sku", "::text", " desc", "<"},
}

func (f filter) position(p product) position {
	value := p.CreatedAt.Format(time.RFC3339Nano)
	switch strings.TrimPrefix(f.Sort, "-") {
	case "name":
		value = p.Name
	case "sku":
		value = p.SKU
	}
	return position{f.Sort, value, p.ID}
}

// count is the number of products that are not archived, as far as it matters.
func (store) count(ctx context.Context, tx *db.Tx, atMost int64) (n int64, err error) {
	if err := tx.Get(ctx, &n, `select count(*) from (select from catalog.product where status in ('draft', 'active') limit $1) p`, atMost); err != nil {
		return 0, fmt.Errorf("count products: %w", err)
	}
	return n, nil
}

func (store) list(ctx context.Context, tx *db.Tx, f filter) ([]product, error) {
	order := orders[f.Sort]
	query, args := selectProduct+` where p.status = $1`, []any{string(f.Status)}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if f.SKU != "" {
		query += ` and v.sku = ` + arg(f.SKU)
	}
	if f.Query != "" {
		like := arg("%" + likeEscaper.Replace(f.Query) + "%")
		query += ` and (p.name ilike ` + like + ` or v.sku ilike ` + like + ` or p.description ilike ` + like + `)`
	}
	if f.After != nil {
		query += ` and (` + order.column + `, p.id) ` + order.beyond + ` (` + arg(f.After.Value) + order.cast + `, ` + arg(f.After.ID) + `::uuid)`
	}
	query += ` order by ` + order.column + order.direction + `, p.id` + order.direction + ` limit ` + arg(f.Limit)
	var rows []row
	if err := tx.Select(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("list products: %w", err)
	}
	products := make([]product, len(rows))
	for i, r := range rows {
		products[i] = r.domain()
	}
	return products, nil
}

var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// offers reads what SKUs cost. Those that are not for sale are absent.
func (store) offers(ctx context.Context, tx *db.Tx, skus []string) (map[string]catalogapi.Offer, error) {
	return offers(ctx, tx, `v.sku = any((select $1)::text[])`, skus, func(o catalogapi.Offer) string { return o.SKU })
}

// offersByProduct reads what products cost. Those that are not for sale are absent.
func (store) offersByProduct(ctx context.Context, tx *db.Tx, ids []string) (map[string]catalogapi.Offer, error) {
	return offers(ctx, tx, `v.product_id = any((select $1)::uuid[]) and v.position = 0`, ids, func(o catalogapi.Offer) string { return o.ProductID })
}

func offers(ctx context.Context, tx *db.Tx, condition string, wanted []string, key func(catalogapi.Offer) string) (map[string]catalogapi.Offer, error) {
	var rows []struct {
		SKU       string    `db:"sku"`
		ProductID uuid.UUID `db:"product_id"`
		Name      string    `db:"name"`
		TaxClass  string    `db:"tax_class"`
		measuresRow
		customsRow
		Currency string `db:"currency"`
		Minor    int64  `db:"minor"`
	}
	if err := tx.Select(ctx, &rows, db.Keep+`
		select v.sku, v.product_id, p.name, p.tax_class, v.weight_grams, v.length_mm, v.width_mm, v.height_mm, v.hs_code, v.origin, c.currency, c.minor
		from catalog.variant v
		join catalog.product p on p.tenant_id = v.tenant_id and p.id = v.product_id
		join catalog.price c on c.tenant_id = v.tenant_id and c.variant_id = v.id
		where `+condition+` and p.status = 'active'
		order by v.sku, c.is_default desc, c.currency`, db.Array(wanted)); err != nil {
		return nil, fmt.Errorf("read offers: %w", err)
	}
	offers := make(map[string]catalogapi.Offer, len(rows))
	for _, r := range rows {
		o := catalogapi.Offer{SKU: r.SKU, ProductID: r.ProductID.String(), Name: r.Name, TaxClass: r.TaxClass, Measures: catalogapi.Measures(r.measuresRow), Customs: catalogapi.Customs(r.customsRow)}
		o.Prices = offers[key(o)].Prices
		o.Prices = append(o.Prices, money.Amount{Minor: r.Minor, Currency: money.Currency(r.Currency)})
		offers[key(o)] = o
	}
	return offers, nil
}
