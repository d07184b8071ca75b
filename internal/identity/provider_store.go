package identity

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

type providerRow struct {
	ID           uuid.UUID `db:"id"`
	Slug         string    `db:"slug"`
	Name         string    `db:"name"`
	Kind         string    `db:"kind"`
	Issuer       string    `db:"issuer"`
	ClientID     string    `db:"client_id"`
	ClientSecret []byte    `db:"client_secret"`
	Domains      string    `db:"domains"`
	Roles        string    `db:"roles"`
	AcceptTokens bool      `db:"accept_tokens"`
	Audience     string    `db:"audience"`
	Enabled      bool      `db:"enabled"`
	Version      int64     `db:"version"`
	CreatedAt    time.Time `db:"created_at"`
	UpdatedAt    time.Time `db:"updated_at"`
}

// Neither domains nor names of roles hold a comma.
const providerColumns = `id, slug, name, kind, issuer, client_id, client_secret, array_to_string(domains, ',') domains, array_to_string(roles, ',') roles, ` +
	`accept_tokens, audience, enabled, version, created_at, updated_at`

func (r providerRow) domain() provider {
	return provider{
		ID: r.ID, Slug: r.Slug, Name: r.Name, Kind: kind(r.Kind), Issuer: r.Issuer, ClientID: r.ClientID, ClientSecret: r.ClientSecret,
		Domains: listed(r.Domains), Roles: listed(r.Roles), AcceptTokens: r.AcceptTokens, Audience: r.Audience, Enabled: r.Enabled,
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func (store) insertProvider(ctx context.Context, tx *db.Tx, p provider) error {
	n, err := tx.Exec(ctx, `
		insert into identity.oidc_provider
		(id, slug, name, kind, issuer, client_id, client_secret, domains, roles, accept_tokens, audience, enabled, version, created_at, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14) on conflict (tenant_id, slug) do nothing`,
		p.ID, p.Slug, p.Name, string(p.Kind), p.Issuer, p.ClientID, p.ClientSecret, db.Array(p.Domains), db.Array(p.Roles), p.AcceptTokens, p.Audience, p.Enabled,
		p.Version, p.CreatedAt)
	if err != nil {
		return fmt.Errorf("insert provider: %w", err)
	}
	if n == 0 {
		return errSlugTaken.At("/slug", "slug_taken", "belongs to another provider")
	}
	return nil
}

func (store) saveProvider(ctx context.Context, tx *db.Tx, p provider) error {
	_, err := tx.Exec(ctx, `
		update identity.oidc_provider
		set name = $2, issuer = $3, client_id = $4, client_secret = $5, domains = $6, roles = $7, accept_tokens = $8, audience = $9, enabled = $10,
		    version = $11, updated_at = $12
		where id = $1`,
		p.ID, p.Name, p.Issuer, p.ClientID, p.ClientSecret, db.Array(p.Domains), db.Array(p.Roles), p.AcceptTokens, p.Audience, p.Enabled, p.Version, p.UpdatedAt)
	if err != nil {
		return fmt.Errorf("save provider: %w", err)
	}
	return nil
}

func (store) deleteProvider(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, `delete from identity.oidc_provider where id = $1`, id); err != nil {
		return fmt.Errorf("delete provider: %w", err)
	}
	return nil
}

func (s store) provider(ctx context.Context, tx *db.Tx, id uuid.UUID) (provider, error) {
	return s.oneProvider(ctx, tx, `where id = $1`, id)
}

// lockProvider reads one that this transaction is about to change.
func (s store) lockProvider(ctx context.Context, tx *db.Tx, id uuid.UUID) (provider, error) {
	return s.oneProvider(ctx, tx, `where id = $1 for update`, id)
}

// openProvider is one at which people can sign in now.
func (s store) openProvider(ctx context.Context, tx *db.Tx, slug string) (provider, error) {
	return s.oneProvider(ctx, tx, `where slug = $1 and enabled`, slug)
}

func (s store) oneProvider(ctx context.Context, tx *db.Tx, query string, args ...any) (provider, error) {
	list, err := s.providers(ctx, tx, query, args...)
	if err != nil {
		return provider{}, err
	}
	if len(list) == 0 {
		return provider{}, httpx.ErrNotFound
	}
	return list[0], nil
}

// acceptedProviders are those whose tokens count as credentials.
func (s store) acceptedProviders(ctx context.Context, tx *db.Tx, issuer string) ([]provider, error) {
	return s.providers(ctx, tx, `where issuer = $1 and accept_tokens and enabled order by id`, issuer)
}

func (store) providers(ctx context.Context, tx *db.Tx, query string, args ...any) ([]provider, error) {
	var rows []providerRow
	if err := tx.Select(ctx, &rows, `select `+providerColumns+` from identity.oidc_provider `+query, args...); err != nil {
		return nil, fmt.Errorf("read providers: %w", err)
	}
	list := make([]provider, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

// linked is the account of whom an issuer knows as a subject; ok is false when there is none.
func (store) linked(ctx context.Context, tx *db.Tx, issuer, subject string) (id uuid.UUID, ok bool, err error) {
	err = tx.Get(ctx, &id, `select account_id from identity.oidc_link where issuer = $1 and subject = $2`, issuer, subject)
	if db.IsNoRows(err) {
		return uuid.Nil, false, nil
	}
	if err != nil {
		return uuid.Nil, false, fmt.Errorf("find link: %w", err)
	}
	return id, true, nil
}

func (store) link(ctx context.Context, tx *db.Tx, issuer, subject string, account uuid.UUID) error {
	_, err := tx.Exec(ctx, `
		insert into identity.oidc_link (issuer, subject, account_id, created_at) values ($1, $2, $3, statement_timestamp())`, issuer, subject, account)
	if err != nil {
		return fmt.Errorf("link account: %w", err)
	}
	return nil
}

// standingOf is what the account of an issuer's subject is worth now; ok is false when it is
// nobody's, or nobody's any more.
func (store) standingOf(ctx context.Context, tx *db.Tx, issuer, subject string) (st standing, ok bool, err error) {
	err = tx.Get(ctx, &st, `
		select a.kind, coalesce(a.customer_id, '00000000-0000-0000-0000-000000000000') customer_id, array_to_string(a.roles, ',') roles, a.id account_id,
		       coalesce((select string_agg(p, ',') from identity.role r, unnest(r.permissions) p where r.name = any(a.roles)), '') granted
		from identity.oidc_link l join identity.account a on a.id = l.account_id
		where l.issuer = $1 and l.subject = $2 and a.status = 'active'`, issuer, subject)
	if db.IsNoRows(err) {
		return standing{}, false, nil
	}
	if err != nil {
		return standing{}, false, fmt.Errorf("find linked account: %w", err)
	}
	return st, true, nil
}
