package identity

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// profileStore is the SQL of customers and what belongs to them.
type profileStore struct{}

type profileRow struct {
	ID          uuid.UUID  `db:"id"`
	Registered  bool       `db:"registered"`
	Email       string     `db:"email"`
	EmailKey    string     `db:"email_key"`
	Name        string     `db:"name"`
	Phone       string     `db:"phone"`
	Locale      string     `db:"locale"`
	Groups      string     `db:"groups"`
	Marketing   bool       `db:"marketing"`
	MarketingAt *time.Time `db:"marketing_at"`
	Notes       int64      `db:"notes"`
	Version     int64      `db:"version"`
	CreatedAt   time.Time  `db:"created_at"`
	UpdatedAt   time.Time  `db:"updated_at"`
}

// between is a character that no name of a group holds.
const between = "\n"

const profileColumns = `c.id, c.registered, c.email, c.email_key, c.name, c.phone, c.locale, c.marketing, c.marketing_at, c.version, c.created_at, c.updated_at,
	(select coalesce(string_agg(g.name, E'\n' order by g.name), '') from identity.customer_group g where g.tenant_id = c.tenant_id and g.customer_id = c.id) groups,
	(select count(*) from identity.customer_note n where n.tenant_id = c.tenant_id and n.customer_id = c.id) notes`

func (r profileRow) domain() profile {
	p := profile{
		ID: r.ID, Registered: r.Registered, Email: r.Email, EmailKey: r.EmailKey, Name: r.Name, Phone: r.Phone, Locale: r.Locale, Groups: []string{},
		Marketing: r.Marketing, Notes: r.Notes, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.MarketingAt != nil {
		at := r.MarketingAt.UTC()
		p.MarketingAt = &at
	}
	if r.Groups != "" {
		p.Groups = strings.Split(r.Groups, between)
	}
	return p
}

func (s profileStore) insert(ctx context.Context, tx *db.Tx, p profile) error {
	_, err := tx.Exec(ctx, `
		insert into identity.customer (id, registered, email, email_key, name, phone, locale, marketing, marketing_at, version, created_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)`,
		p.ID, p.Registered, p.Email, p.EmailKey, p.Name, p.Phone, p.Locale, p.Marketing, p.MarketingAt, p.Version, p.CreatedAt)
	if db.Violates(err, "customer_email_key") {
		return errCustomerEmail.At("/email", "email_taken", "belongs to another customer")
	}
	if err != nil {
		return fmt.Errorf("insert customer: %w", err)
	}
	return s.saveGroups(ctx, tx, p)
}

func (s profileStore) save(ctx context.Context, tx *db.Tx, p profile) error {
	_, err := tx.Exec(ctx, `
		update identity.customer
		set email = $2, email_key = $3, name = $4, phone = $5, locale = $6, marketing = $7, marketing_at = $8, version = $9, updated_at = $10
		where id = $1`, p.ID, p.Email, p.EmailKey, p.Name, p.Phone, p.Locale, p.Marketing, p.MarketingAt, p.Version, p.UpdatedAt)
	if db.Violates(err, "customer_email_key") {
		return errCustomerEmail.At("/email", "email_taken", "belongs to another customer")
	}
	if err != nil {
		return fmt.Errorf("save customer: %w", err)
	}
	return s.saveGroups(ctx, tx, p)
}

func (profileStore) saveGroups(ctx context.Context, tx *db.Tx, p profile) error {
	if _, err := tx.Exec(ctx, `delete from identity.customer_group where customer_id = $1 and name <> all($2)`, p.ID, db.Array(p.Groups)); err != nil {
		return fmt.Errorf("leave customer groups: %w", err)
	}
	if _, err := tx.Exec(ctx, `insert into identity.customer_group (name, customer_id) select unnest($2::text[]), $1 on conflict do nothing`, p.ID, db.Array(p.Groups)); err != nil {
		return fmt.Errorf("join customer groups: %w", err)
	}
	return nil
}

// groupsOf are those that a customer belongs to.
func (profileStore) groupsOf(ctx context.Context, tx *db.Tx, customer uuid.UUID) ([]string, error) {
	var names []string
	if err := tx.Select(ctx, &names, `select name from identity.customer_group where customer_id = $1 order by name`, customer); err != nil {
		return nil, fmt.Errorf("read customer groups: %w", err)
	}
	return names, nil
}

func (s profileStore) find(ctx context.Context, tx *db.Tx, id uuid.UUID) (profile, error) {
	return s.one(ctx, tx, `select `+profileColumns+` from identity.customer c where c.id = $1`, id)
}

// lock reads a customer that this transaction is about to change.
func (s profileStore) lock(ctx context.Context, tx *db.Tx, id uuid.UUID) (profile, error) {
	return s.one(ctx, tx, `select `+profileColumns+` from identity.customer c where c.id = $1 for update of c`, id)
}

func (profileStore) one(ctx context.Context, tx *db.Tx, query string, id uuid.UUID) (profile, error) {
	var r profileRow
	err := tx.Get(ctx, &r, query, id)
	if db.IsNoRows(err) {
		return profile{}, httpx.ErrNotFound
	}
	if err != nil {
		return profile{}, fmt.Errorf("find customer: %w", err)
	}
	return r.domain(), nil
}

// profileFilter of a list, with where the page begins.
type profileFilter struct {
	Query string // a name or an address begins with it
	Email string
	Group string
	After *profilePosition
	Limit int
}

// profilePosition is the last one of the page before.
type profilePosition struct {
	CreatedAt time.Time `json:"at"`
	ID        uuid.UUID `json:"id"`
}

func (profileStore) list(ctx context.Context, tx *db.Tx, f profileFilter) ([]profile, error) {
	query, args := `select `+profileColumns+` from identity.customer c where true`, []any{}
	arg := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	if f.Query != "" {
		begins := arg(likeEscaper.Replace(strings.ToLower(strings.TrimSpace(f.Query))) + "%")
		query += ` and (lower(c.name) like ` + begins + ` or c.email_key like ` + begins + `)`
	}
	if f.Email != "" {
		query += ` and c.email_key = ` + arg(keyOf(f.Email))
	}
	if f.Group != "" {
		query += ` and exists (select from identity.customer_group g where g.tenant_id = c.tenant_id and g.customer_id = c.id and g.name = ` + arg(f.Group) + `)`
	}
	if f.After != nil {
		query += ` and (c.created_at, c.id) < (` + arg(f.After.CreatedAt) + `, ` + arg(f.After.ID) + `)`
	}
	query += ` order by c.created_at desc, c.id desc limit ` + arg(f.Limit)
	var rows []profileRow
	if err := tx.Select(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("list customers: %w", err)
	}
	list := make([]profile, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

// likeEscaper takes the meaning from what LIKE reads as a pattern.
var likeEscaper = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

type group struct {
	Name      string `db:"name"`
	Customers int64  `db:"customers"`
}

func (profileStore) groups(ctx context.Context, tx *db.Tx) (list []group, err error) {
	if err := tx.Select(ctx, &list, `select name, count(*) customers from identity.customer_group group by name order by name limit 1000`); err != nil {
		return nil, fmt.Errorf("list customer groups: %w", err)
	}
	return list, nil
}

func (profileStore) insertNote(ctx context.Context, tx *db.Tx, customer uuid.UUID, n note) error {
	if _, err := tx.Exec(ctx, `insert into identity.customer_note (id, customer_id, text, author, created_at) values ($1, $2, $3, $4, $5)`,
		n.ID, customer, n.Text, n.Author, n.CreatedAt); err != nil {
		return fmt.Errorf("insert note: %w", err)
	}
	return nil
}

func (profileStore) notes(ctx context.Context, tx *db.Tx, customer uuid.UUID, after *profilePosition, limit int) (list []note, err error) {
	query, args := `select id, text, author, created_at from identity.customer_note where customer_id = $1`, []any{customer, limit}
	if after != nil {
		query, args = query+` and (created_at, id) < ($3, $4)`, append(args, after.CreatedAt, after.ID)
	}
	if err := tx.Select(ctx, &list, query+` order by created_at desc, id desc limit $2`, args...); err != nil {
		return nil, fmt.Errorf("list notes: %w", err)
	}
	return list, nil
}

const addressColumns = `id, name, line1, line2, city, region, postal_code, country, phone, default_shipping, default_billing, version, created_at, updated_at`

func (profileStore) addresses(ctx context.Context, tx *db.Tx, customer uuid.UUID) (list []destination, err error) {
	if err := tx.Select(ctx, &list, `select `+addressColumns+` from identity.address where customer_id = $1 order by created_at, id`, customer); err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return list, nil
}

// lockAddress reads an address of a customer that this transaction is about to change.
func (profileStore) lockAddress(ctx context.Context, tx *db.Tx, customer, id uuid.UUID) (a destination, err error) {
	err = tx.Get(ctx, &a, `select `+addressColumns+` from identity.address where customer_id = $1 and id = $2 for update`, customer, id)
	if db.IsNoRows(err) {
		return a, httpx.ErrNotFound
	}
	if err != nil {
		return a, fmt.Errorf("find address: %w", err)
	}
	return a, nil
}

// saveAddress writes a new address or a changed one. A new default takes the place of the
// earlier one; the customer is locked, so that two at the same moment do not clash.
func (profileStore) saveAddress(ctx context.Context, tx *db.Tx, customer uuid.UUID, a destination) error {
	if a.DefaultShipping || a.DefaultBilling {
		if _, err := tx.Exec(ctx, `
			update identity.address set default_shipping = default_shipping and not $3, default_billing = default_billing and not $4, version = version + 1, updated_at = $5
			where customer_id = $1 and id <> $2 and (default_shipping and $3 or default_billing and $4)`,
			customer, a.ID, a.DefaultShipping, a.DefaultBilling, a.UpdatedAt); err != nil {
			return fmt.Errorf("change the default address: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, `
		insert into identity.address (id, customer_id, name, line1, line2, city, region, postal_code, country, phone, default_shipping, default_billing, version, created_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		on conflict (tenant_id, id) do update set name = excluded.name, line1 = excluded.line1, line2 = excluded.line2, city = excluded.city, region = excluded.region,
			postal_code = excluded.postal_code, country = excluded.country, phone = excluded.phone, default_shipping = excluded.default_shipping,
			default_billing = excluded.default_billing, version = excluded.version, updated_at = excluded.updated_at`,
		a.ID, customer, a.Name, a.Line1, a.Line2, a.City, a.Region, a.PostalCode, a.Country, a.Phone, a.DefaultShipping, a.DefaultBilling, a.Version, a.CreatedAt, a.UpdatedAt); err != nil {
		return fmt.Errorf("save address: %w", err)
	}
	return nil
}

func (profileStore) deleteAddress(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from identity.address where id = $1`, id); err != nil {
		return fmt.Errorf("delete address: %w", err)
	}
	return nil
}
