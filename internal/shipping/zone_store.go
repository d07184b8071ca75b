package shipping

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// zoneRow is a zone as the database writes it as JSON.
type zoneRow struct {
	ID        uuid.UUID `json:"id"`
	Name      string    `json:"name"`
	Places    []place   `json:"places"`
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// zonesJSON are all zones, the oldest first.
const zonesJSON = `select coalesce(json_agg(to_jsonb(z) order by z.created_at, z.id), '[]') from shipping.zone z`

func zonesOf(body []byte) ([]zone, error) {
	var rows []zoneRow
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, fmt.Errorf("read zones: %w", err)
	}
	zones := make([]zone, len(rows))
	for i, r := range rows {
		r.CreatedAt, r.UpdatedAt = r.CreatedAt.UTC(), r.UpdatedAt.UTC()
		zones[i] = zone(r)
	}
	return zones, nil
}

func (store) zones(ctx context.Context, tx *db.Tx) ([]zone, error) {
	var body []byte
	if err := tx.Get(ctx, &body, zonesJSON); err != nil {
		return nil, fmt.Errorf("list zones: %w", err)
	}
	return zonesOf(body)
}

// zone finds one; how is the end of the statement.
func (store) zone(ctx context.Context, tx *db.Tx, id uuid.UUID, how string) (zone, error) {
	var body []byte
	err := tx.Get(ctx, &body, `select jsonb_build_array(to_jsonb(z)) from shipping.zone z where z.id = $1`+how, id)
	if db.IsNoRows(err) {
		return zone{}, httpx.ErrNotFound
	}
	if err != nil {
		return zone{}, fmt.Errorf("find zone: %w", err)
	}
	zones, err := zonesOf(body)
	if err != nil {
		return zone{}, err
	}
	return zones[0], nil
}

// insertZone writes a zone, if the shop has room for it.
func (store) insertZone(ctx context.Context, tx *db.Tx, z zone) error {
	places, err := json.Marshal(z.Places)
	if err != nil {
		return fmt.Errorf("encode places: %w", err)
	}
	n, err := tx.Exec(ctx, `
		insert into shipping.zone (id, name, places, version, created_at, updated_at)
		select $1, $2, $3, $4, $5, $5 where (select count(*) from shipping.zone) < $6`, z.ID, z.Name, string(places), z.Version, z.CreatedAt, mostZones)
	if err != nil {
		return fmt.Errorf("insert zone: %w", err)
	}
	if n == 0 {
		return errManyZones
	}
	return nil
}

func (store) saveZone(ctx context.Context, tx *db.Tx, z zone) error {
	places, err := json.Marshal(z.Places)
	if err != nil {
		return fmt.Errorf("encode places: %w", err)
	}
	if _, err := tx.Exec(ctx, `update shipping.zone set name = $2, places = $3, version = $4, updated_at = $5 where id = $1`, z.ID, z.Name, string(places), z.Version, z.UpdatedAt); err != nil {
		return fmt.Errorf("save zone: %w", err)
	}
	return nil
}

func (store) removeZone(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	_, err := tx.Exec(ctx, `delete from shipping.zone where id = $1`, id)
	if db.Violates(err, "price_zone_fkey") {
		return errZoneInUse
	}
	if err != nil {
		return fmt.Errorf("delete zone: %w", err)
	}
	return nil
}

// hasZones refuses prices for zones that there are not.
func (store) hasZones(ctx context.Context, tx *db.Tx, prices []price) error {
	var ids []string
	for _, p := range prices {
		if p.Zone != nil {
			ids = append(ids, p.Zone.String())
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var there []uuid.UUID
	if err := tx.Select(ctx, &there, `select id from shipping.zone where id = any((select $1)::uuid[])`, db.Array(ids)); err != nil {
		return fmt.Errorf("look for zones: %w", err)
	}
	var fields []fault.Field
	for i, p := range prices {
		if p.Zone != nil && !slices.Contains(there, *p.Zone) {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/prices/%d/zoneId", i), Code: errUnknownZone.Code, Detail: "is no zone of the shop"})
		}
	}
	if len(fields) > 0 {
		return errUnknownZone.AtFields(fields...)
	}
	return nil
}
