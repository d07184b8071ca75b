package tenant

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

type row struct {
	ID         uuid.UUID      `db:"tenant_id"`
	Slug       string         `db:"slug"`
	Name       string         `db:"name"`
	Status     string         `db:"status"`
	Reason     string         `db:"reason"`
	Hosts      pq.StringArray `db:"hosts"`
	Settings   []byte         `db:"settings"`
	Quotas     []byte         `db:"quotas"`
	PurgeAfter *time.Time     `db:"purge_after"`
	Version    int64          `db:"version"`
	CreatedAt  time.Time      `db:"created_at"`
	UpdatedAt  time.Time      `db:"updated_at"`
}

const selectTenant = `
	select t.tenant_id, t.slug, t.name, t.status, t.reason, t.settings, t.quotas, t.purge_after, t.version, t.created_at, t.updated_at,
	       array(select h.host from platform.tenant_host h where h.tenant_id = t.tenant_id order by h.host) hosts
	from platform.tenant t`

func (r row) domain() (Tenant, error) {
	t := Tenant{
		ID: r.ID, Slug: r.Slug, Name: r.Name, Status: Status(r.Status), Reason: r.Reason, Hosts: r.Hosts,
		Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	if r.PurgeAfter != nil {
		after := r.PurgeAfter.UTC()
		t.PurgeAfter = &after
	}
	if err := decode(r.Settings, r.Quotas, &t.Settings, &t.Quotas); err != nil {
		return Tenant{}, fmt.Errorf("tenant %s: %w", r.ID, err)
	}
	return t, nil
}

func decode(settings, quotas []byte, s *Settings, q *Quotas) error {
	if err := json.Unmarshal(settings, s); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	if err := json.Unmarshal(quotas, q); err != nil {
		return fmt.Errorf("read quotas: %w", err)
	}
	return nil
}

func encode(s Settings, q Quotas) (settings, quotas string, err error) {
	one, err := json.Marshal(s)
	if err != nil {
		return "", "", fmt.Errorf("write settings: %w", err)
	}
	other, err := json.Marshal(q)
	if err != nil {
		return "", "", fmt.Errorf("write quotas: %w", err)
	}
	return string(one), string(other), nil
}

func find(ctx context.Context, tx *db.Tx, condition string, args ...any) (Tenant, error) {
	var r row
	err := tx.Get(ctx, &r, selectTenant+condition, args...)
	if db.IsNoRows(err) {
		return Tenant{}, ErrUnknown
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("read tenant: %w", err)
	}
	return r.domain()
}

func list(ctx context.Context, tx *db.Tx, after string, limit int) ([]Tenant, error) {
	var rows []row
	if err := tx.Select(ctx, &rows, selectTenant+` where t.slug > $1 order by t.slug limit $2`, after, limit); err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	tenants := make([]Tenant, len(rows))
	for i, r := range rows {
		var err error
		if tenants[i], err = r.domain(); err != nil {
			return nil, err
		}
	}
	return tenants, nil
}

func insert(ctx context.Context, tx *db.Tx, t Tenant) error {
	settings, quotas, err := encode(t.Settings, t.Quotas)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into platform.tenant (tenant_id, slug, name, status, settings, quotas, created_at, updated_at, version)
		values ($1, $2, $3, $4, $5, $6, $7, $7, $8)`,
		t.ID, t.Slug, t.Name, string(t.Status), settings, quotas, t.CreatedAt, t.Version)
	if db.Violates(err, "tenant_slug_key") {
		return ErrSlugTaken.At("/slug", "slug_taken", "is another tenant's")
	}
	if err != nil {
		return fmt.Errorf("store tenant: %w", err)
	}
	return putHosts(ctx, tx, t)
}

func save(ctx context.Context, tx *db.Tx, t Tenant) error {
	settings, quotas, err := encode(t.Settings, t.Quotas)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `
		update platform.tenant set name = $2, status = $3, reason = $4, settings = $5, quotas = $6, purge_after = $7, updated_at = $8, version = $9
		where tenant_id = $1`,
		t.ID, t.Name, string(t.Status), t.Reason, settings, quotas, t.PurgeAfter, t.UpdatedAt, t.Version); err != nil {
		return fmt.Errorf("store tenant: %w", err)
	}
	return putHosts(ctx, tx, t)
}

func putHosts(ctx context.Context, tx *db.Tx, t Tenant) error {
	hosts := append([]string{}, t.Hosts...) // a nil slice is NULL, which is unequal to nothing
	if _, err := tx.Exec(ctx, `delete from platform.tenant_host where tenant_id = $1 and host <> all($2)`, t.ID, db.Array(hosts)); err != nil {
		return fmt.Errorf("forget hosts: %w", err)
	}
	_, err := tx.Exec(ctx, `
		insert into platform.tenant_host (tenant_id, host) select $1, h from unnest($2::text[]) h
		on conflict (tenant_id, host) do nothing`, t.ID, db.Array(hosts))
	if db.Violates(err, "tenant_host_name") {
		return ErrHostTaken.At("/hosts", "host_taken", "has a name that is another tenant's")
	}
	if err != nil {
		return fmt.Errorf("store hosts: %w", err)
	}
	return nil
}
