package orders

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// defaultWindow is how many days buyers have in shops that have said nothing.
const defaultWindow = 30

// returnPolicy is what a shop takes back.
type returnPolicy struct {
	Days      int64 // from delivery; 0: buyers send nothing back by themselves
	Points    int64 // hundredths of a percent that the shop keeps
	FinalSale []string
	Version   int64 // 0: nobody has said anything
	UpdatedAt time.Time
}

func (p returnPolicy) window() time.Duration { return time.Duration(p.Days) * 24 * time.Hour }

type policyBody struct {
	WindowDays    int64    `json:"windowDays" minimum:"0" maximum:"3650" doc:"For how long after they were delivered buyers can send units back; 0: they cannot by themselves" example:"30"`
	RestockingFee string   `json:"restockingFee,omitempty" pattern:"^(100(\\.0{1,2})?|[0-9]{1,2}(\\.[0-9]{1,2})?)$" default:"0" doc:"Percent of what the goods cost that the shop keeps" example:"10"`
	FinalSale     []string `json:"finalSale,omitempty" maxItems:"1000" doc:"SKUs that buyers cannot send back by themselves"`
}

// Check finds what the schema cannot say.
func (b *policyBody) Check() (fields []fault.Field) {
	for i, sku := range b.FinalSale {
		if sku == "" || len(sku) > 64 {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("/finalSale/%d", i), Code: "max_length", Detail: "must be a SKU of 1 to 64 characters"})
		}
	}
	return fields
}

type policyInput struct {
	httpx.IfMatch
	httpx.JSON[policyBody]
}

type policyResponse struct {
	WindowDays    int64    `json:"windowDays"`
	RestockingFee string   `json:"restockingFee" example:"10.00"`
	FinalSale     []string `json:"finalSale"`

	version int64
}

// ETag is the version of the policy.
func (r policyResponse) ETag() string { return httpx.VersionTag(r.version) }

func presentPolicy(p returnPolicy) policyResponse {
	r := policyResponse{WindowDays: p.Days, RestockingFee: percent(p.Points), FinalSale: p.FinalSale, version: p.Version}
	if r.FinalSale == nil {
		r.FinalSale = []string{}
	}
	return r
}

func (s *service) handlePolicy(ctx context.Context, _ *struct{}) (out policyResponse, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err := s.store.policy(ctx, tx, "")
		out = presentPolicy(p)
		return err
	})
	return out, err
}

func (s *service) handlePutPolicy(ctx context.Context, in *policyInput) (policyResponse, error) {
	points, err := pointsIn(in.Body.RestockingFee)
	if err != nil {
		return policyResponse{}, err
	}
	skus := slices.Compact(slices.Sorted(slices.Values(in.Body.FinalSale)))
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (policyResponse, error) {
		was, err := s.store.policy(ctx, tx, " for update")
		if err != nil {
			return policyResponse{}, err
		}
		if err := in.Allows(was.Version); err != nil {
			return policyResponse{}, err
		}
		audit.Before(ctx, presentPolicy(was))
		now := returnPolicy{Days: in.Body.WindowDays, Points: points, FinalSale: skus, Version: was.Version + 1, UpdatedAt: tx.Now}
		return presentPolicy(now), s.store.putPolicy(ctx, tx, now)
	})
}

// pointsIn reads percent as hundredths of one.
func pointsIn(percent string) (int64, error) {
	whole, part, _ := strings.Cut(cmp.Or(percent, "0"), ".")
	points, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	if err != nil || points > allPoints {
		return 0, httpx.ErrValidation(fault.Field{Pointer: "/restockingFee", Code: "pattern", Detail: "must be percent, with two digits after the point at most"})
	}
	return points, nil
}

// policy of the shop; how is the end of the statement.
func (store) policy(ctx context.Context, tx *db.Tx, how string) (returnPolicy, error) {
	var r struct {
		Days      int64     `db:"window_days"`
		Points    int64     `db:"fee_points"`
		FinalSale db.Texts  `db:"final_sale"`
		Version   int64     `db:"version"`
		UpdatedAt time.Time `db:"updated_at"`
	}
	switch err := tx.Get(ctx, &r, `select window_days, fee_points, final_sale, version, updated_at from orders.return_policy`+how); {
	case db.IsNoRows(err):
		return returnPolicy{Days: defaultWindow}, nil
	case err != nil:
		return returnPolicy{}, fmt.Errorf("read return policy: %w", err)
	}
	return returnPolicy{r.Days, r.Points, r.FinalSale, r.Version, r.UpdatedAt.UTC()}, nil
}

func (store) putPolicy(ctx context.Context, tx *db.Tx, p returnPolicy) error {
	if _, err := tx.Exec(ctx, `
		insert into orders.return_policy (window_days, fee_points, final_sale, version, updated_at) values ($1, $2, $3, $4, $5)
		on conflict (tenant_id) do update
		set window_days = excluded.window_days, fee_points = excluded.fee_points, final_sale = excluded.final_sale, version = excluded.version, updated_at = excluded.updated_at`,
		p.Days, p.Points, db.Array(append([]string{}, p.FinalSale...)), p.Version, p.UpdatedAt); err != nil {
		return fmt.Errorf("save return policy: %w", err)
	}
	return nil
}
