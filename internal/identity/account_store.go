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

// store is the SQL of the module's schema.
type store struct{}

type accountRow struct {
	ID           uuid.UUID  `db:"id"`
	Kind         string     `db:"kind"`
	Email        string     `db:"email"`
	EmailKey     string     `db:"email_key"`
	Name         string     `db:"name"`
	PasswordHash string     `db:"password_hash"`
	Customer     uuid.UUID  `db:"customer_id"`
	Roles        string     `db:"roles"`
	Status       string     `db:"status"`
	VerifiedAt   *time.Time `db:"email_verified_at"`
	Epoch        int64      `db:"epoch"`
	Version      int64      `db:"version"`
	CreatedAt    time.Time  `db:"created_at"`
	UpdatedAt    time.Time  `db:"updated_at"`
	HasTOTP      bool       `db:"has_totp"`
}

// Names of roles hold no comma.
const accountColumns = `a.id, a.kind, a.email, a.email_key, a.name, coalesce(a.password_hash, '') password_hash, ` +
	`coalesce(a.customer_id, '00000000-0000-0000-0000-000000000000') customer_id, array_to_string(a.roles, ',') roles, a.status, a.email_verified_at, ` +
	`a.epoch, a.version, a.created_at, a.updated_at, ` +
	`exists (select from identity.totp t where t.account_id = a.id and t.confirmed_at is not null) has_totp`

func (r accountRow) domain() account {
	a := account{
		ID: r.ID, Kind: kind(r.Kind), Email: r.Email, EmailKey: r.EmailKey, Name: r.Name, PasswordHash: r.PasswordHash, Customer: r.Customer,
		Roles: listed(r.Roles), Status: status(r.Status), Epoch: r.Epoch, Version: r.Version,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(), HasTOTP: r.HasTOTP,
	}
	if r.VerifiedAt != nil {
		at := r.VerifiedAt.UTC()
		a.VerifiedAt = &at
	}
	return a
}

func listed(text string) []string {
	if text == "" {
		return []string{}
	}
	return strings.Split(text, ",")
}

// now is the one clock that deadlines go by.
func (store) now(ctx context.Context, tx *db.Tx) (time.Time, error) {
	var at time.Time
	if err := tx.Get(ctx, &at, `select statement_timestamp()`); err != nil {
		return at, fmt.Errorf("ask for the time: %w", err)
	}
	return at.UTC(), nil
}

// insert makes an account; made is false when another one has the address.
func (store) insert(ctx context.Context, tx *db.Tx, a account) (made bool, err error) {
	n, err := tx.Exec(ctx, `
		insert into identity.account (id, kind, email, email_key, name, password_hash, customer_id, roles, status, created_at, updated_at)
		values ($1, $2, $3, $4, $5, nullif($6, ''), nullif($7, '00000000-0000-0000-0000-000000000000'::uuid), $8, $9, $10, $10)
		on conflict (tenant_id, email_key) do nothing`,
		a.ID, string(a.Kind), a.Email, a.EmailKey, a.Name, a.PasswordHash, a.Customer, db.Array(a.Roles), string(a.Status), a.CreatedAt)
	if err != nil {
		return false, fmt.Errorf("insert account: %w", err)
	}
	return n == 1, nil
}

func (s store) account(ctx context.Context, tx *db.Tx, id uuid.UUID) (account, error) {
	return s.one(ctx, tx, `select `+accountColumns+` from identity.account a where a.id = $1`, id)
}

// lock reads an account that this transaction is about to change.
func (s store) lock(ctx context.Context, tx *db.Tx, id uuid.UUID) (account, error) {
	return s.one(ctx, tx, `select `+accountColumns+` from identity.account a where a.id = $1 for no key update`, id)
}

func (store) one(ctx context.Context, tx *db.Tx, query string, args ...any) (account, error) {
	var r accountRow
	err := tx.Get(ctx, &r, query, args...)
	if db.IsNoRows(err) {
		return account{}, httpx.ErrNotFound
	}
	if err != nil {
		return account{}, fmt.Errorf("find account: %w", err)
	}
	return r.domain(), nil
}

// byEmail finds the account of an address; ok is false when there is none.
func (store) byEmail(ctx context.Context, tx *db.Tx, key string) (a account, ok bool, err error) {
	var r accountRow
	err = tx.Get(ctx, &r, `select `+accountColumns+` from identity.account a where a.email_key = $1`, key)
	if db.IsNoRows(err) {
		return account{}, false, nil
	}
	if err != nil {
		return account{}, false, fmt.Errorf("find account: %w", err)
	}
	return r.domain(), true, nil
}

// save writes a changed account. The address of a customer's record is that of their account.
func (store) save(ctx context.Context, tx *db.Tx, a account) error {
	_, err := tx.Exec(ctx, `
		with followed as (
			update identity.customer set email = $2, email_key = $3, version = version + 1, updated_at = $11 where id = $12 and email <> $2
		)
		update identity.account
		set email = $2, email_key = $3, name = $4, password_hash = nullif($5, ''), roles = $6, status = $7, email_verified_at = $8,
		    epoch = $9, version = $10, updated_at = $11
		where id = $1`,
		a.ID, a.Email, a.EmailKey, a.Name, a.PasswordHash, db.Array(a.Roles), string(a.Status), a.VerifiedAt, a.Epoch, a.Version, a.UpdatedAt, a.Customer)
	if db.Violates(err, "account_email_key") {
		return errEmailTaken
	}
	if err != nil {
		return fmt.Errorf("save account: %w", err)
	}
	return nil
}

type accountPosition struct {
	CreatedAt time.Time `json:"at"`
	ID        uuid.UUID `json:"id"`
}

func (store) staff(ctx context.Context, tx *db.Tx, after *accountPosition, limit int) ([]account, error) {
	if after == nil {
		after = &accountPosition{}
	}
	var rows []accountRow
	if err := tx.Select(ctx, &rows, `
		select `+accountColumns+` from identity.account a
		where a.kind = 'staff' and (a.created_at, a.id) > ($1, $2) order by a.created_at, a.id limit $3`, after.CreatedAt, after.ID, limit); err != nil {
		return nil, fmt.Errorf("list staff: %w", err)
	}
	list := make([]account, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

// lockOwners keeps two owners from leaving at the same moment, each in the belief that the
// other one stays.
func (store) lockOwners(ctx context.Context, tx *db.Tx) (owners []uuid.UUID, err error) {
	if err := tx.Select(ctx, &owners, `
		select id from identity.account where kind = 'staff' and status = 'active' and 'owner' = any(roles) order by id for no key update`); err != nil {
		return nil, fmt.Errorf("lock owners: %w", err)
	}
	return owners, nil
}

// oneTime is a token that was mailed to somebody.
type oneTime struct {
	Purpose string    `db:"purpose"`
	Account uuid.UUID `db:"account_id"`
	Bound   []byte    `db:"bound"`
	Email   string    `db:"email"`
}

// insertOneTime keeps the hash of a token. Those of its purpose that nobody can use any
// more are forgotten.
func (store) insertOneTime(ctx context.Context, tx *db.Tx, hash []byte, t oneTime, valid time.Duration) error {
	if _, err := tx.Exec(ctx, `delete from identity.one_time_token where account_id = $1 and purpose = $2 and (expires_at < now() or used_at is not null)`, t.Account, t.Purpose); err != nil {
		return fmt.Errorf("forget one-time tokens: %w", err)
	}
	_, err := tx.Exec(ctx, `
		insert into identity.one_time_token (hash, purpose, account_id, bound, email, expires_at)
		values ($1, $2, $3, $4, nullif($5, ''), statement_timestamp() + $6 * interval '1 second')`,
		hash, t.Purpose, t.Account, t.Bound, t.Email, int64(valid.Seconds()))
	if err != nil {
		return fmt.Errorf("insert one-time token: %w", err)
	}
	return nil
}

// dropOneTime makes all tokens of an account worth nothing that were not used yet.
func (store) dropOneTime(ctx context.Context, tx *db.Tx, account uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from identity.one_time_token where account_id = $1 and used_at is null`, account); err != nil {
		return fmt.Errorf("drop one-time tokens: %w", err)
	}
	return nil
}

// knowsOneTime tells whether there is such a token. It may be used: who repeats a request is
// answered again.
func (store) knowsOneTime(ctx context.Context, tx *db.Tx, hash []byte, purpose string) (known bool, err error) {
	err = tx.Get(ctx, &known, `
		select exists (select from identity.one_time_token where hash = $1 and purpose = $2 and expires_at > statement_timestamp())`, hash, purpose)
	if err != nil {
		return false, fmt.Errorf("look up one-time token: %w", err)
	}
	return known, nil
}

// useOneTime takes a token that is still good, for the first and only time.
func (store) useOneTime(ctx context.Context, tx *db.Tx, hash []byte, purposes ...string) (oneTime, error) {
	var t oneTime
	err := tx.Get(ctx, &t, `
		update identity.one_time_token set used_at = statement_timestamp()
		where hash = $1 and purpose = any($2) and used_at is null and expires_at > statement_timestamp()
		returning purpose, account_id, bound, coalesce(email, '') email`, hash, db.Array(purposes))
	if db.IsNoRows(err) {
		return oneTime{}, errInvalidToken
	}
	if err != nil {
		return oneTime{}, fmt.Errorf("use one-time token: %w", err)
	}
	return t, nil
}

// holderOf is the account that a one-time token was made for, in a list of none or one.
func (store) holderOf(ctx context.Context, tx *db.Tx, hash []byte) (holder []uuid.UUID, err error) {
	if err := tx.Select(ctx, &holder, `select account_id from identity.one_time_token where hash = $1`, hash); err != nil {
		return nil, fmt.Errorf("find holder of token: %w", err)
	}
	return holder, nil
}
