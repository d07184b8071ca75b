package shipping

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/shipping/label"
)

// When an order that is paid gets its shipment: at once, or when somebody says so.
const (
	policyAuto   = "auto"
	policyManual = "manual"
)

// defaultGrams of an item that nobody has weighed.
const defaultGrams = 1000

// settings are how a shop sends.
type settings struct {
	Sender    *ordersapi.Address // nil: not said
	Policy    string
	Paper     label.Size
	Grams     int64 // of an item that nobody has weighed
	Version   int64 // 0: nobody has said anything
	UpdatedAt time.Time
}

func unsaid() settings {
	return settings{Policy: policyManual, Paper: label.Inch4x6, Grams: defaultGrams}
}

type settingsBody struct {
	Sender       *ordersapi.Address `json:"sender,omitempty" doc:"Where parcels come from; nothing is sent before it is said"`
	Policy       string             `json:"policy,omitempty" enum:"auto,manual" default:"manual" doc:"Whether an order that is paid gets its shipment and label by itself"`
	Paper        string             `json:"paper,omitempty" enum:"4x6,A6" default:"4x6" doc:"Of labels"`
	DefaultGrams int64              `json:"defaultGrams,omitempty" minimum:"1" maximum:"1000000" default:"1000" doc:"What an item weighs that has no weight of its own"`
}

// Check finds what the schema cannot say.
func (b *settingsBody) Check() (fields []fault.Field) {
	if b.Sender == nil {
		return nil
	}
	for _, f := range []struct{ name, text string }{{"name", b.Sender.Name}, {"line1", b.Sender.Line1}, {"city", b.Sender.City}, {"country", b.Sender.Country}} {
		if f.text == "" {
			fields = append(fields, fault.Field{Pointer: "/sender/" + f.name, Code: "required", Detail: "is required of a sender"})
		}
	}
	return append(fields, territory.CheckCountry("/sender/country", b.Sender.Country)...)
}

type settingsInput struct {
	httpx.IfMatch
	httpx.JSON[settingsBody]
}

type settingsResponse struct {
	Sender       *ordersapi.Address `json:"sender,omitempty" doc:"Where parcels come from; absent when nobody has said"`
	Policy       string             `json:"policy" enum:"auto,manual"`
	Paper        string             `json:"paper" enum:"4x6,A6"`
	DefaultGrams int64              `json:"defaultGrams"`

	version int64
}

// ETag is the version of the settings.
func (r settingsResponse) ETag() string { return httpx.VersionTag(r.version) }

func presentSettings(s settings) settingsResponse {
	return settingsResponse{Sender: s.Sender, Policy: s.Policy, Paper: string(s.Paper), DefaultGrams: s.Grams, version: s.Version}
}

func (s *service) handleSettings(ctx context.Context, _ *struct{}) (out settingsResponse, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		now, err := s.store.settings(ctx, tx, "")
		out = presentSettings(now)
		return err
	})
	return out, err
}

func (s *service) handlePutSettings(ctx context.Context, in *settingsInput) (settingsResponse, error) {
	b := in.Body
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (settingsResponse, error) {
		if err := s.changes(ctx, tx); err != nil {
			return settingsResponse{}, err
		}
		was, err := s.store.settings(ctx, tx, " for update")
		if err != nil {
			return settingsResponse{}, err
		}
		if err := in.Allows(was.Version); err != nil {
			return settingsResponse{}, err
		}
		audit.Before(ctx, presentSettings(was))
		now := settings{Sender: b.Sender, Policy: b.Policy, Paper: label.Size(b.Paper), Grams: b.DefaultGrams, Version: was.Version + 1, UpdatedAt: tx.Now}
		return presentSettings(now), s.store.putSettings(ctx, tx, now)
	})
}

// settings of the shop; how is the end of the statement.
func (store) settings(ctx context.Context, tx *db.Tx, how string) (settings, error) {
	var r struct {
		Sender    []byte    `db:"sender"`
		Policy    string    `db:"policy"`
		Paper     string    `db:"paper"`
		Grams     int64     `db:"default_grams"`
		Version   int64     `db:"version"`
		UpdatedAt time.Time `db:"updated_at"`
	}
	switch err := tx.Get(ctx, &r, `select sender, policy, paper, default_grams, version, updated_at from shipping.settings`+how); {
	case db.IsNoRows(err):
		return unsaid(), nil
	case err != nil:
		return settings{}, fmt.Errorf("read shipping settings: %w", err)
	}
	s := settings{Policy: r.Policy, Paper: label.Size(r.Paper), Grams: r.Grams, Version: r.Version, UpdatedAt: r.UpdatedAt.UTC()}
	if r.Sender != nil {
		if err := json.Unmarshal(r.Sender, &s.Sender); err != nil {
			return settings{}, fmt.Errorf("read shipping settings: %w", err)
		}
	}
	return s, nil
}

func (store) putSettings(ctx context.Context, tx *db.Tx, s settings) error {
	var sender *string
	if s.Sender != nil {
		body, err := json.Marshal(s.Sender)
		if err != nil {
			return fmt.Errorf("encode sender: %w", err)
		}
		sender = new(string(body))
	}
	if _, err := tx.Exec(ctx, `
		insert into shipping.settings (sender, policy, paper, default_grams, version, updated_at) values ($1, $2, $3, $4, $5, $6)
		on conflict (tenant_id) do update
		set sender = excluded.sender, policy = excluded.policy, paper = excluded.paper, default_grams = excluded.default_grams, version = excluded.version, updated_at = excluded.updated_at`,
		sender, s.Policy, string(s.Paper), s.Grams, s.Version, s.UpdatedAt); err != nil {
		return fmt.Errorf("save shipping settings: %w", err)
	}
	return nil
}
