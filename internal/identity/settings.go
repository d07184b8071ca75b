package identity

import (
	"context"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// settings of a shop; without a row they are those of a new one.
type settings struct {
	StaffSecondFactor bool  `db:"staff_second_factor"`
	Version           int64 `db:"version"`
}

type settingsResponse struct {
	SecondFactorForStaff bool `json:"secondFactorForStaff" doc:"Staff without a second factor can sign in, and can do nothing but set one"`

	version int64
}

// ETag is the version of the settings.
func (r settingsResponse) ETag() string { return httpx.VersionTag(r.version) }

func (s *service) handleSettings(ctx context.Context, _ *struct{}) (r settingsResponse, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		current, err := s.store.settings(ctx, tx)
		r = settingsResponse{current.StaffSecondFactor, current.Version}
		return err
	})
	return r, err
}

type updateSettingsBody struct {
	SecondFactorForStaff *bool `json:"secondFactorForStaff,omitempty"`
}

type updateSettingsInput struct {
	httpx.IfMatch
	httpx.JSON[updateSettingsBody]
}

func (s *service) handleUpdateSettings(ctx context.Context, in *updateSettingsInput) (settingsResponse, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (settingsResponse, error) {
		c, err := s.store.lockSettings(ctx, tx)
		if err != nil {
			return settingsResponse{}, err
		}
		if err := in.Allows(c.Version); err != nil {
			return settingsResponse{}, err
		}
		audit.Before(ctx, settingsResponse{c.StaffSecondFactor, c.Version})
		if want := in.Body.SecondFactorForStaff; want != nil && *want != c.StaffSecondFactor {
			c.StaffSecondFactor = *want
			c.Version++
			err = s.store.saveSettings(ctx, tx, c)
		}
		return settingsResponse{c.StaffSecondFactor, c.Version}, err
	})
}

func (store) settings(ctx context.Context, tx *db.Tx) (settings, error) {
	c := settings{Version: 1}
	if err := tx.Get(ctx, &c, `select staff_second_factor, version from identity.settings`); err != nil && !db.IsNoRows(err) {
		return c, fmt.Errorf("read settings: %w", err)
	}
	return c, nil
}

// lockSettings makes the row that is to be changed, if there is none.
func (store) lockSettings(ctx context.Context, tx *db.Tx) (c settings, err error) {
	err = tx.Get(ctx, &c, `
		insert into identity.settings as s (staff_second_factor, version, updated_at) values (false, 1, now())
		on conflict (tenant_id) do update set version = s.version
		returning staff_second_factor, version`)
	if err != nil {
		return c, fmt.Errorf("lock settings: %w", err)
	}
	return c, nil
}

func (store) saveSettings(ctx context.Context, tx *db.Tx, c settings) error {
	if _, err := tx.Exec(ctx, `update identity.settings set staff_second_factor = $1, version = $2, updated_at = now()`, c.StaffSecondFactor, c.Version); err != nil {
		return fmt.Errorf("save settings: %w", err)
	}
	return nil
}
