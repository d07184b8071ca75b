package pricing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
)

type discountRow struct {
	ID          uuid.UUID  `db:"id"`
	Name        string     `db:"name"`
	Status      string     `db:"status"`
	Automatic   bool       `db:"automatic"`
	Effect      string     `db:"effect"`
	Percent     int64      `db:"percent"`
	Amount      int64      `db:"amount_minor"`
	Currency    string     `db:"currency"`
	SKUs        db.Texts   `db:"skus"`
	ProductIDs  db.Texts   `db:"product_ids"`
	GetSKUs     db.Texts   `db:"get_skus"`
	GetProducts db.Texts   `db:"get_product_ids"`
	Buy         int64      `db:"buy_quantity"`
	Get         int64      `db:"get_quantity"`
	MaxRepeats  int64      `db:"max_repeats"`
	MinSubtotal int64      `db:"min_subtotal_minor"`
	MinQuantity int64      `db:"min_quantity"`
	Groups      db.Texts   `db:"groups"`
	FirstOrder  bool       `db:"first_order"`
	StartsAt    *time.Time `db:"starts_at"`
	EndsAt      *time.Time `db:"ends_at"`
	Priority    int        `db:"priority"`
	Exclusive   bool       `db:"exclusive"`
	StackGroup  string     `db:"stack_group"`
	MaxUses     *int64     `db:"max_uses"`
	MaxSpend    *int64     `db:"max_spend_minor"`
	MaxPerBuyer *int64     `db:"max_uses_per_buyer"`
	Version     int64      `db:"version"`
	CreatedAt   time.Time  `db:"created_at"`
	UpdatedAt   time.Time  `db:"updated_at"`
	Uses        int64      `db:"uses"`
	Spent       int64      `db:"spent_minor"`
	Couponed    bool       `db:"couponed"`
}

func (r discountRow) domain() discount {
	return discount{
		ID: r.ID, Name: r.Name, Status: r.Status, Automatic: r.Automatic,
		terms: terms{
			Effect: calc.Effect(r.Effect), Percent: calc.Percent(r.Percent), Amount: r.Amount, Currency: money.Currency(r.Currency), SKUs: r.SKUs, ProductIDs: r.ProductIDs,
			GetSKUs: r.GetSKUs, GetProducts: r.GetProducts, Buy: r.Buy, Get: r.Get, MaxRepeats: r.MaxRepeats, MinSubtotal: r.MinSubtotal, MinQuantity: r.MinQuantity,
			Groups: r.Groups, FirstOrder: r.FirstOrder, StartsAt: r.StartsAt, EndsAt: r.EndsAt, Priority: r.Priority, Exclusive: r.Exclusive, StackGroup: r.StackGroup,
			MaxUses: r.MaxUses, MaxSpend: r.MaxSpend, MaxPerBuyer: r.MaxPerBuyer,
		},
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), budget: budget{r.Uses, r.Spent}, Couponed: r.Couponed,
	}
}

const (
	discountColumns = `id, name, status, automatic, effect, percent, amount_minor, currency, skus, product_ids, get_skus, get_product_ids, buy_quantity, get_quantity, max_repeats,
		min_subtotal_minor, min_quantity, groups, first_order, starts_at, ends_at, priority, exclusive, stack_group, max_uses, max_spend_minor, max_uses_per_buyer,
		version, created_at, updated_at`
	selectDiscount = `select ` + discountColumns + `, coalesce(b.uses, 0) uses, coalesce(b.spent_minor, 0) spent_minor,
		exists (select from pricing.code where discount_id = d.id and max_uses is not null) couponed
		from pricing.discount d left join lateral (select uses, spent_minor from pricing.budget where discount_id = d.id) b on true`
)

func (s store) discount(ctx context.Context, tx *db.Tx, id uuid.UUID) (discount, error) {
	list, err := s.discounts(ctx, tx, ` where d.id = $1`, id)
	if err != nil {
		return discount{}, err
	}
	if len(list) == 0 {
		return discount{}, httpx.ErrNotFound
	}
	return list[0], nil
}

// active are the discounts that a basket may have.
func (s store) active(ctx context.Context, tx *db.Tx) ([]discount, error) {
	return s.discounts(ctx, tx, ` where d.status = 'active'`)
}

// discountPosition is the last discount of the page before.
type discountPosition struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

// list is newest first.
func (s store) list(ctx context.Context, tx *db.Tx, status, code string, after *discountPosition, limit int) ([]discount, error) {
	query, args := ` where d.status = $1 and ($2 = '' or d.id = (select c.discount_id from pricing.code c where c.code = $2))`, []any{status, code}
	if after != nil {
		query += ` and (d.created_at, d.id) < ($4::timestamptz, $5::uuid)`
	}
	args = append(args, limit)
	if after != nil {
		args = append(args, after.At, after.ID)
	}
	return s.discounts(ctx, tx, query+` order by d.created_at desc, d.id desc limit $3`, args...)
}

func (store) discounts(ctx context.Context, tx *db.Tx, condition string, args ...any) ([]discount, error) {
	var rows []discountRow
	if err := tx.Select(ctx, &rows, selectDiscount+condition, args...); err != nil {
		return nil, fmt.Errorf("read discounts: %w", err)
	}
	list := make([]discount, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

func (store) insertDiscount(ctx context.Context, tx *db.Tx, d discount) error {
	if _, err := tx.Exec(ctx, `
		insert into pricing.discount (`+discountColumns+`)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $29)`,
		append(d.columns(), d.CreatedAt)...); err != nil {
		return fmt.Errorf("insert discount: %w", err)
	}
	return nil
}

// columns of a discount in their order, but for its times.
func (d discount) columns() []any {
	return []any{
		d.ID, d.Name, d.Status, d.Automatic, string(d.Effect), int64(d.Percent), d.Amount, string(d.Currency), texts(d.SKUs), texts(d.ProductIDs), texts(d.GetSKUs), texts(d.GetProducts),
		d.Buy, d.Get, d.MaxRepeats, d.MinSubtotal, d.MinQuantity, texts(d.Groups), d.FirstOrder, d.StartsAt, d.EndsAt, d.Priority, d.Exclusive, d.StackGroup,
		d.MaxUses, d.MaxSpend, d.MaxPerBuyer, d.Version,
	}
}

// texts are an array that is not NULL, as a nil slice would be.
func texts(list []string) any { return db.Array(append([]string{}, list...)) }

func (store) saveDiscount(ctx context.Context, tx *db.Tx, d discount) error {
	if _, err := tx.Exec(ctx, `
		update pricing.discount
		set name = $2, status = $3, automatic = $4, effect = $5, percent = $6, amount_minor = $7, currency = $8, skus = $9, product_ids = $10, get_skus = $11, get_product_ids = $12,
		    buy_quantity = $13, get_quantity = $14, max_repeats = $15, min_subtotal_minor = $16, min_quantity = $17, groups = $18, first_order = $19, starts_at = $20, ends_at = $21,
		    priority = $22, exclusive = $23, stack_group = $24, max_uses = $25, max_spend_minor = $26, max_uses_per_buyer = $27, version = $28, updated_at = $29
		where id = $1`, append(d.columns(), d.UpdatedAt)...); err != nil {
		return fmt.Errorf("save discount: %w", err)
	}
	return nil
}

// allot gives a discount the budget that its terms say. One that was not limited before
// counts what was used of it from its redemptions.
func (store) allot(ctx context.Context, tx *db.Tx, d discount) error {
	if !d.limited() {
		if _, err := tx.Exec(ctx, `delete from pricing.budget where discount_id = $1`, d.ID); err != nil {
			return fmt.Errorf("end budget: %w", err)
		}
		return nil
	}
	_, err := tx.Exec(ctx, `
		insert into pricing.budget as b (discount_id, max_uses, max_spend_minor, uses, spent_minor)
		select $1, $2, $3, count(*), coalesce(sum(amount_minor), 0) from pricing.redemption where discount_id = $1 and returned_at is null
		on conflict (tenant_id, discount_id) do update set max_uses = excluded.max_uses, max_spend_minor = excluded.max_spend_minor`, d.ID, d.MaxUses, d.MaxSpend)
	if db.Violates(err, "budget_uses_check") || db.Violates(err, "budget_spent_check") {
		return errBelowUse
	}
	if err != nil {
		return fmt.Errorf("allot budget: %w", err)
	}
	return nil
}

// perBuyer is how often a buyer may use a discount d, as terms say it.
const perBuyer = `case when d.first_order then 1 else d.max_uses_per_buyer end`

// recount counts what each buyer has used of a discount when it begins to be limited for each,
// and forgets it when that ends.
func (store) recount(ctx context.Context, tx *db.Tx, d discount, limited bool) error {
	if !limited {
		if _, err := tx.Exec(ctx, `delete from pricing.buyer_use where discount_id = $1`, d.ID); err != nil {
			return fmt.Errorf("end counting buyers: %w", err)
		}
		return nil
	}
	if _, err := tx.Exec(ctx, `
		insert into pricing.buyer_use (discount_id, buyer, uses)
		select $1, k, count(*) from pricing.redemption, unnest(array['customer:' || customer_id, email_key]) k
		where discount_id = $1 and returned_at is null and k is not null group by k order by k
		on conflict (tenant_id, discount_id, buyer) do update set uses = excluded.uses`, d.ID); err != nil {
		return fmt.Errorf("count buyers: %w", err)
	}
	return nil
}

// redeemed tells whether a discount was ever used.
func (store) redeemed(ctx context.Context, tx *db.Tx, id uuid.UUID) (used bool, err error) {
	if err := tx.Get(ctx, &used, `select exists (select from pricing.redemption where discount_id = $1)`, id); err != nil {
		return false, fmt.Errorf("look for uses: %w", err)
	}
	return used, nil
}

type codeRow struct {
	Code    string `db:"code"`
	MaxUses *int64 `db:"max_uses"`
	Uses    int64  `db:"uses"`
}

// addCode gives a discount a code for as many uses as it has itself, if nobody else has it.
func (store) addCode(ctx context.Context, tx *db.Tx, discount uuid.UUID, code string) error {
	n, err := tx.Exec(ctx, `
		insert into pricing.code as c (code, discount_id) values ($1, $2)
		on conflict (tenant_id, code) do update set discount_id = c.discount_id where c.discount_id = $2`, code, discount)
	if err != nil {
		return fmt.Errorf("add code: %w", err)
	}
	if n == 0 {
		return errCodeTaken.At("/code", errCodeTaken.Code, "belongs to another discount")
	}
	return nil
}

// addCodes adds those that nobody has and says how many there are.
func (store) addCodes(ctx context.Context, tx *db.Tx, discount uuid.UUID, codes []string, maxUses *int64) (int64, error) {
	n, err := tx.Exec(ctx, `
		insert into pricing.code (code, discount_id, max_uses) select c, $1, $3 from unnest($2::text[]) c
		on conflict (tenant_id, code) do nothing`, discount, db.Array(codes), maxUses)
	if err != nil {
		return 0, fmt.Errorf("add codes: %w", err)
	}
	return n, nil
}

func (store) codes(ctx context.Context, tx *db.Tx, discount uuid.UUID, after string, limit int) (list []codeRow, err error) {
	if err := tx.Select(ctx, &list, `
		select code, max_uses, uses from pricing.code where discount_id = $1 and code > $2 order by code limit $3`, discount, after, limit); err != nil {
		return nil, fmt.Errorf("list codes: %w", err)
	}
	return list, nil
}

// use is what stands about a discount, or one of its codes, for one buyer.
type use struct {
	Discount uuid.UUID `db:"id"`
	Code     *string   `db:"code"`
	CodeUsed *bool     `db:"code_used"`
	UsedUp   *bool     `db:"used_up"`
	Left     *int64    `db:"left_minor"`
	ByBuyer  *int64    `db:"by_buyer"`
}

// uses finds the discounts of codes, and what was used of them and of others, in one statement.
func (store) uses(ctx context.Context, tx *db.Tx, codes, discounts, buyers []string) (list []use, err error) {
	if err := tx.Select(ctx, &list, `
		with coupon as (
			select discount_id, code, coalesce(uses >= max_uses, false) code_used from pricing.code where code = any($1)
		), wanted as (
			select discount_id id from coupon union select unnest($2::uuid[])
		)
		select w.id, c.code, c.code_used, b.uses >= b.max_uses or b.spent_minor >= b.max_spend_minor used_up, b.max_spend_minor - b.spent_minor left_minor,
		       (select max(u.uses) from pricing.buyer_use u where u.discount_id = w.id and u.buyer = any($3)) by_buyer
		from wanted w left join coupon c on c.discount_id = w.id left join pricing.budget b on b.discount_id = w.id`,
		db.Array(codes), db.Array(discounts), db.Array(buyers)); err != nil {
		return nil, fmt.Errorf("look for uses of discounts: %w", err)
	}
	return list, nil
}
