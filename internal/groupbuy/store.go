package groupbuy

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// store is the SQL of the campaigns' schema.
type store struct{}

type row struct {
	ID        uuid.UUID `db:"id"`
	ProductID uuid.UUID `db:"product_id"`
	SKU       string    `db:"sku"`
	Name      string    `db:"name"`
	Currency  string    `db:"currency"`
	Price     int64     `db:"price_minor"`
	Original  int64     `db:"original_price_minor"`
	Min       int64     `db:"min_participants"`
	Max       int64     `db:"max_participants"`
	Joined    int64     `db:"actual_participants"`
	Status    string    `db:"status"`
	Reason    *string   `db:"reason"`
	Start     time.Time `db:"start_time"`
	End       time.Time `db:"end_time"`
	ShareCode string    `db:"share_code"`
	Version   int64     `db:"version"`
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

const columns = `id, product_id, sku, name, currency, price_minor, original_price_minor, min_participants, max_participants, actual_participants, ` +
	`status, reason, start_time, end_time, share_code, version, created_at, updated_at`

func (r row) domain() campaign {
	currency := money.Currency(r.Currency)
	c := campaign{
		ID: r.ID, ProductID: r.ProductID, SKU: r.SKU, Name: r.Name,
		terms: terms{
			Min: r.Min, Max: r.Max, Price: money.Amount{Minor: r.Price, Currency: currency}, Original: money.Amount{Minor: r.Original, Currency: currency},
			Start: r.Start.UTC(), End: r.End.UTC(),
		},
		Joined: r.Joined, Status: status(r.Status), ShareCode: r.ShareCode, Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.Reason != nil {
		c.Reason = *r.Reason
	}
	return c
}

// now is the one clock that campaigns go by. Asked before a lock is waited for, it is the
// time at which something was asked for.
func (store) now(ctx context.Context, tx *db.Tx) (time.Time, error) {
	var at time.Time
	if err := tx.Get(ctx, &at, `select statement_timestamp()`); err != nil {
		return at, fmt.Errorf("ask for the time: %w", err)
	}
	return at.UTC(), nil
}

func (store) insert(ctx context.Context, tx *db.Tx, c campaign) error {
	_, err := tx.Exec(ctx, `
		insert into groupbuy.campaign (id, product_id, sku, name, currency, price_minor, original_price_minor, min_participants, max_participants,
		                               status, start_time, end_time, share_code, version, created_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15)`,
		c.ID, c.ProductID, c.SKU, c.Name, string(c.Price.Currency), c.Price.Minor, c.Original.Minor, c.Min, c.Max,
		string(c.Status), c.Start, c.End, c.ShareCode, c.Version, c.CreatedAt)
	if err != nil {
		return fmt.Errorf("insert campaign: %w", err)
	}
	return nil
}

func (store) find(ctx context.Context, tx *db.Tx, id uuid.UUID) (campaign, error) {
	return one(ctx, tx, `select `+columns+` from groupbuy.campaign where id = $1`, id)
}

// findAll reads campaigns; those that there are not are absent.
func (store) findAll(ctx context.Context, tx *db.Tx, ids []string) ([]campaign, error) {
	var rows []row
	if err := tx.Select(ctx, &rows, `select `+columns+` from groupbuy.campaign where id = any($1::uuid[])`, db.Array(ids)); err != nil {
		return nil, fmt.Errorf("find campaigns: %w", err)
	}
	return campaigns(rows), nil
}

func campaigns(rows []row) []campaign {
	list := make([]campaign, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list
}

// lock reads a campaign that this transaction is about to change.
func (store) lock(ctx context.Context, tx *db.Tx, id uuid.UUID) (campaign, error) {
	return one(ctx, tx, `select `+columns+` from groupbuy.campaign where id = $1 for no key update`, id)
}

func one(ctx context.Context, tx *db.Tx, query string, id uuid.UUID) (campaign, error) {
	var r row
	err := tx.Get(ctx, &r, query, id)
	if db.IsNoRows(err) {
		return campaign{}, httpx.ErrNotFound
	}
	if err != nil {
		return campaign{}, fmt.Errorf("find campaign: %w", err)
	}
	return r.domain(), nil
}

// save writes what a merchant or a timer changed.
func (store) save(ctx context.Context, tx *db.Tx, c campaign) error {
	var reason *string
	if c.Reason != "" {
		reason = &c.Reason
	}
	_, err := tx.Exec(ctx, `
		update groupbuy.campaign
		set price_minor = $2, original_price_minor = $3, min_participants = $4, max_participants = $5, status = $6, reason = $7,
		    start_time = $8, end_time = $9, version = $10, updated_at = $11
		where id = $1`,
		c.ID, c.Price.Minor, c.Original.Minor, c.Min, c.Max, string(c.Status), reason, c.Start, c.End, c.Version, c.UpdatedAt)
	if err != nil {
		return fmt.Errorf("save campaign: %w", err)
	}
	return nil
}

// join decides and does everything in one statement, on the newest version of the row and
// by the time at which it was asked for: whether there is room, whether it is the time,
// and whether this one makes the campaign successful, which counts as a step of its own.
// Whoever joins a successful campaign gets an order at once. It reports whether somebody
// joined.
func (store) join(ctx context.Context, tx *db.Tx, id uuid.UUID, who participant) (campaign, bool, error) {
	var r row
	err := tx.Get(ctx, &r, `
		with joined as (
			update groupbuy.campaign c
			set actual_participants = c.actual_participants + 1,
			    status = case when c.actual_participants + 1 >= c.min_participants then 'successful' else 'active' end,
			    version = c.version + case when c.actual_participants + 1 = c.min_participants then 2 else 1 end,
			    updated_at = statement_timestamp()
			where c.id = $1 and c.status in ('scheduled', 'active', 'successful') and c.actual_participants < c.max_participants
			  and c.start_time <= statement_timestamp() and statement_timestamp() < c.end_time
			  and not exists (select from groupbuy.participant p where p.campaign_id = $1 and p.user_id = $2)
			returning c.*
		), participant as (
			insert into groupbuy.participant (campaign_id, user_id, id, position, quantity, joined_at, ordered_at)
			select id, $2, $3, actual_participants, $4, updated_at, case when actual_participants > min_participants then updated_at end from joined
		)
		select `+columns+` from joined`, id, who.UserID, who.ID, who.Quantity)
	switch {
	case db.IsNoRows(err):
		return campaign{}, false, nil
	case db.Violates(err, "participant_pkey"): // the same user, in the same moment
		return campaign{}, false, errAlreadyJoined
	case err != nil:
		return campaign{}, false, fmt.Errorf("join campaign: %w", err)
	}
	return r.domain(), true, nil
}

// refusal is why a join was not accepted.
func (store) refusal(ctx context.Context, tx *db.Tx, id uuid.UUID, user string) error {
	var r struct {
		row
		Already bool      `db:"already"`
		Now     time.Time `db:"now"`
	}
	err := tx.Get(ctx, &r, `
		select `+columns+`, exists (select from groupbuy.participant p where p.campaign_id = $1 and p.user_id = $2) already, statement_timestamp() now
		from groupbuy.campaign where id = $1`, id, user)
	if db.IsNoRows(err) {
		return httpx.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("find out why nobody can join: %w", err)
	}
	return r.domain().refusal(r.Already, r.Now)
}

type participantRow struct {
	ID       uuid.UUID `db:"id"`
	UserID   string    `db:"user_id"`
	Position int64     `db:"position"`
	Quantity int64     `db:"quantity"`
	JoinedAt time.Time `db:"joined_at"`
}

func people(rows []participantRow) []participant {
	list := make([]participant, len(rows))
	for i, r := range rows {
		list[i] = participant{r.ID, r.UserID, r.Position, r.Quantity, r.JoinedAt.UTC()}
	}
	return list
}

// order notes that the orders of participants are asked for, of those who joined first,
// and returns whose and when.
func (store) order(ctx context.Context, tx *db.Tx, id uuid.UUID, limit int) ([]participant, time.Time, error) {
	var rows []struct {
		participantRow
		At time.Time `db:"ordered_at"`
	}
	if err := tx.Select(ctx, &rows, `
		with due as materialized ( -- once: a join may ask again for each row
			select user_id from groupbuy.participant where campaign_id = $1 and ordered_at is null order by position limit $2 for no key update
		)
		update groupbuy.participant p set ordered_at = statement_timestamp() from due
		where p.campaign_id = $1 and p.user_id = due.user_id
		returning p.id, p.user_id, p.position, p.quantity, p.joined_at, p.ordered_at`, id, limit); err != nil {
		return nil, time.Time{}, fmt.Errorf("ask for orders: %w", err)
	}
	var at time.Time
	list := make([]participantRow, len(rows))
	for i, r := range rows {
		list[i], at = r.participantRow, r.At
	}
	slices.SortFunc(list, func(a, b participantRow) int { return cmp.Compare(a.Position, b.Position) })
	return people(list), at, nil
}

func (store) participants(ctx context.Context, tx *db.Tx, id uuid.UUID, only string, after int64, limit int) ([]participant, error) {
	var rows []participantRow
	if err := tx.Select(ctx, &rows, `
		select id, user_id, position, quantity, joined_at from groupbuy.participant
		where campaign_id = $1 and position > $2 and ($4 = '' or user_id = $4) order by position limit $3`, id, after, limit, only); err != nil {
		return nil, fmt.Errorf("list participants: %w", err)
	}
	return people(rows), nil
}

// filter of a list, with where the page begins.
type filter struct {
	Status    string
	Product   *uuid.UUID
	ShareCode string
	Sort      string // a key of sorts
	After     *position
	Limit     int
}

// position is the last campaign of the page before.
type position struct {
	Sort string    `json:"s"`
	At   time.Time `json:"at"` // of the column that is sorted by
	ID   uuid.UUID `json:"id"`
}

// sorts are the orders that a list can have. The text is ours: nothing of a request ever
// becomes SQL.
var sorts = map[string]struct{ column, direction, beyond string }{
	"createdAt":  {"created_at", "", ">"},
	"-createdAt": {"created_at", " desc", "<"},
	"endTime":    {"end_time", "", ">"},
	"-endTime":   {"end_time", " desc", "<"},
}

func (f filter) position(c campaign) position {
	at := c.CreatedAt
	if strings.TrimPrefix(f.Sort, "-") == "endTime" {
		at = c.End
	}
	return position{f.Sort, at, c.ID}
}

func (store) list(ctx context.Context, tx *db.Tx, f filter) ([]campaign, error) {
	var conditions []string
	var args []any
	where := func(condition string, v any) {
		args = append(args, v)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.Status != "" {
		where(`status = $%d`, f.Status)
	}
	if f.Product != nil {
		where(`product_id = $%d`, *f.Product)
	}
	if f.ShareCode != "" {
		where(`share_code = $%d`, f.ShareCode)
	}
	sort := sorts[f.Sort]
	if f.After != nil {
		args = append(args, f.After.At, f.After.ID)
		conditions = append(conditions, fmt.Sprintf(`(`+sort.column+`, id) `+sort.beyond+` ($%d::timestamptz, $%d::uuid)`, len(args)-1, len(args)))
	}
	query := `select ` + columns + ` from groupbuy.campaign`
	if len(conditions) > 0 {
		query += ` where ` + strings.Join(conditions, ` and `)
	}
	args = append(args, f.Limit)
	query += fmt.Sprintf(` order by `+sort.column+sort.direction+`, id`+sort.direction+` limit $%d`, len(args))
	var rows []row
	if err := tx.Select(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	return campaigns(rows), nil
}
