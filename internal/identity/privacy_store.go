package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// heldAccount is what is held of somebody who can sign in, as they get to see it.
type heldAccount struct {
	ID         uuid.UUID  `db:"id" json:"id" format:"uuid"`
	Email      string     `db:"email" json:"email" personal:"true"`
	Name       string     `db:"name" json:"name" personal:"true"`
	Status     string     `db:"status" json:"status"`
	VerifiedAt *time.Time `db:"email_verified_at" json:"emailVerifiedAt,omitempty"`
	CreatedAt  time.Time  `db:"created_at" json:"createdAt"`
}

type heldSession struct {
	ID         uuid.UUID  `db:"id" json:"id" format:"uuid"`
	IP         string     `db:"ip" json:"ip" personal:"true"`
	UserAgent  string     `db:"user_agent" json:"userAgent" personal:"true"`
	CreatedAt  time.Time  `db:"created_at" json:"createdAt"`
	LastSeenAt time.Time  `db:"last_seen_at" json:"lastSeenAt"`
	EndedAt    *time.Time `db:"ended_at" json:"endedAt,omitempty"`
}

// heldLink is whom an identity provider says that somebody is.
type heldLink struct {
	Issuer    string    `db:"issuer" json:"issuer"`
	Subject   string    `db:"subject" json:"subject" personal:"true"`
	CreatedAt time.Time `db:"created_at" json:"createdAt"`
}

// accountOf a customer; nil when there is none.
func (profileStore) accountOf(ctx context.Context, tx *db.Tx, customer uuid.UUID) (*heldAccount, error) {
	var a heldAccount
	err := tx.Get(ctx, &a, `select id, email, name, status, email_verified_at, created_at from identity.account where customer_id = $1`, customer)
	if db.IsNoRows(err) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("find the customer's account: %w", err)
	}
	return &a, nil
}

func (profileStore) sessionsOf(ctx context.Context, tx *db.Tx, account uuid.UUID) (list []heldSession, err error) {
	if err := tx.Select(ctx, &list, `
		select id, ip, user_agent, created_at, last_seen_at, ended_at from identity.session where account_id = $1 order by created_at, id`, account); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	return list, nil
}

func (profileStore) linksOf(ctx context.Context, tx *db.Tx, account uuid.UUID) (list []heldLink, err error) {
	if err := tx.Select(ctx, &list, `
		select issuer, subject, created_at from identity.oidc_link where account_id = $1 order by created_at, issuer, subject`, account); err != nil {
		return nil, fmt.Errorf("list links to identity providers: %w", err)
	}
	return list, nil
}

// erase removes a customer with all that belongs to them, the account included.
func (s profileStore) erase(ctx context.Context, tx *db.Tx, customer, account uuid.UUID) error {
	if err := s.eraseAccount(ctx, tx, account); err != nil {
		return err
	}
	n, err := tx.Exec(ctx, `delete from identity.customer where id = $1`, customer)
	if err != nil {
		return fmt.Errorf("erase customer: %w", err)
	}
	if n == 0 {
		return httpx.ErrNotFound
	}
	return nil
}

// eraseAccount removes an account with all that belongs to it, if there is one.
func (profileStore) eraseAccount(ctx context.Context, tx *db.Tx, account uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from identity.refresh_token t using identity.session s where s.id = t.session_id and s.account_id = $1`, account); err != nil {
		return fmt.Errorf("erase refresh tokens: %w", err)
	}
	for _, table := range []string{"session", "device", "one_time_token", "totp", "recovery_code", "oidc_link"} {
		if _, err := tx.Exec(ctx, `delete from identity.`+table+` where account_id = $1`, account); err != nil {
			return fmt.Errorf("erase %s: %w", table, err)
		}
	}
	if _, err := tx.Exec(ctx, `delete from identity.account where id = $1`, account); err != nil {
		return fmt.Errorf("erase account: %w", err)
	}
	return nil
}
