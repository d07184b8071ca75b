package shipping

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

type placeBody struct {
	Country     string   `json:"country" pattern:"^[A-Z]{2}$" doc:"ISO 3166-1 alpha-2" example:"PT"`
	Regions     []string `json:"regions,omitempty" maxItems:"100" doc:"ISO 3166-2 without the country, or names; none: all of it" example:"[\"20\"]"`
	PostalCodes []string `json:"postalCodes,omitempty" maxItems:"500" doc:"One, those that begin in some way (90*), or those from one to another, by as many characters as are named (1000..1999); none: all" example:"[\"90*\",\"1000..1999\"]"`
}

// maxPart of a place: names of regions are no longer, and postal codes are not either.
const maxPart = 100

func checkPlaces(list []placeBody) (fields []fault.Field) {
	say := func(code, detail, pointer string, args ...any) {
		fields = append(fields, fault.Field{Pointer: fmt.Sprintf(pointer, args...), Code: code, Detail: detail})
	}
	for i, p := range list {
		fields = append(fields, territory.CheckCountry(fmt.Sprintf("/places/%d/country", i), p.Country)...)
		for j, r := range p.Regions {
			region := territory.Region(p.Country, r)
			if has, listed := territory.Has(p.Country, region); region == "" || len(r) > maxPart || listed && !has {
				say("unknown_region", "is no region of the country", "/places/%d/regions/%d", i, j)
			}
		}
		for j, c := range p.PostalCodes {
			if len(c) > maxPart || !codesOf(c).valid() {
				say("pattern", "must be a postal code, what some begin with, as 90*, or a range of equally long ones, as 1000..1999", "/places/%d/postalCodes/%d", i, j)
			}
		}
	}
	return fields
}

func readPlaces(list []placeBody) []place {
	places := make([]place, len(list))
	for i, b := range list {
		places[i] = place{Country: b.Country, PostalCodes: slices.Clone(b.PostalCodes)}
		for _, r := range b.Regions {
			places[i].Regions = append(places[i].Regions, territory.Region(b.Country, r))
		}
	}
	return places
}

type createZoneBody struct {
	Name   string      `json:"name" minLength:"1" maxLength:"100" example:"Islands"`
	Places []placeBody `json:"places,omitempty" maxItems:"300" doc:"None: everywhere that no other zone is"`
}

// Check finds what the schema cannot say.
func (b *createZoneBody) Check() []fault.Field {
	return append(checkPlaces(b.Places), httpx.Line("/name", b.Name)...)
}

type createZoneInput struct{ httpx.JSON[createZoneBody] }

type placeResponse struct {
	Country     string   `json:"country" example:"PT"`
	Regions     []string `json:"regions"`
	PostalCodes []string `json:"postalCodes"`
}

type zoneResponse struct {
	ID        string          `json:"id" format:"uuid"`
	Name      string          `json:"name" example:"Islands"`
	Places    []placeResponse `json:"places"`
	CreatedAt time.Time       `json:"createdAt"`
	UpdatedAt time.Time       `json:"updatedAt"`

	version int64
}

// ETag is the zone's version.
func (r zoneResponse) ETag() string { return httpx.VersionTag(r.version) }

// createdZoneResponse also says where the zone is.
type createdZoneResponse struct{ zoneResponse }

// Location of the zone.
func (r createdZoneResponse) Location() string { return "/v1/shipping/zones/" + r.ID }

func presentZone(z zone) zoneResponse {
	r := zoneResponse{ID: z.ID.String(), Name: z.Name, Places: []placeResponse{}, CreatedAt: z.CreatedAt, UpdatedAt: z.UpdatedAt, version: z.Version}
	for _, p := range z.Places {
		r.Places = append(r.Places, placeResponse{p.Country, append([]string{}, p.Regions...), append([]string{}, p.PostalCodes...)})
	}
	return r
}

func (s *service) handleCreateZone(ctx context.Context, in *createZoneInput) (createdZoneResponse, error) {
	b := in.Body
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (createdZoneResponse, error) {
		if err := s.changes(ctx, tx); err != nil {
			return createdZoneResponse{}, err
		}
		z := zone{ID: clock.NewID(), Name: b.Name, Places: readPlaces(b.Places), Version: 1, CreatedAt: tx.Now, UpdatedAt: tx.Now}
		return createdZoneResponse{presentZone(z)}, s.store.insertZone(ctx, tx, z)
	})
}

func (s *service) handleZones(ctx context.Context, _ *struct{}) (httpx.List[zoneResponse], error) {
	out := httpx.List[zoneResponse]{Data: []zoneResponse{}}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		zones, err := s.store.zones(ctx, tx)
		for _, z := range zones {
			out.Data = append(out.Data, presentZone(z))
		}
		return err
	})
	return out, err
}

func (s *service) handleZone(ctx context.Context, in *byID) (out zoneResponse, err error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return out, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		z, err := s.store.zone(ctx, tx, id, "")
		out = presentZone(z)
		return err
	})
	return out, err
}

type updateZoneBody struct {
	Name   *string      `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Places *[]placeBody `json:"places,omitempty" maxItems:"300"`
}

// Check finds what the schema cannot say.
func (b *updateZoneBody) Check() (fields []fault.Field) {
	if b.Places != nil {
		fields = checkPlaces(*b.Places)
	}
	if b.Name != nil {
		fields = append(fields, httpx.Line("/name", *b.Name)...)
	}
	return fields
}

type updateZoneInput struct {
	httpx.IfMatch
	httpx.JSON[updateZoneBody]
	ID string `path:"id"`
}

func (s *service) handleUpdateZone(ctx context.Context, in *updateZoneInput) (zoneResponse, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (zoneResponse, error) {
		z, err := s.lockZone(ctx, tx, in.ID, in.IfMatch)
		if err != nil {
			return zoneResponse{}, err
		}
		set(&z.Name, in.Body.Name)
		if in.Body.Places != nil {
			z.Places = readPlaces(*in.Body.Places)
		}
		z.Version++
		z.UpdatedAt = tx.Now
		return presentZone(z), s.store.saveZone(ctx, tx, z)
	})
}

func (s *service) handleDeleteZone(ctx context.Context, in *deleteInput) (httpx.None, error) {
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (httpx.None, error) {
		z, err := s.lockZone(ctx, tx, in.ID, in.IfMatch)
		if err != nil {
			return httpx.None{}, err
		}
		return httpx.None{}, s.store.removeZone(ctx, tx, z.ID)
	})
}

// lockZone reads a zone that this transaction is about to change, if it still is the version
// that the caller means.
func (s *service) lockZone(ctx context.Context, tx *db.Tx, text string, match httpx.IfMatch) (zone, error) {
	id, err := httpx.ID(text)
	if err != nil {
		return zone{}, err
	}
	if err := s.changes(ctx, tx); err != nil {
		return zone{}, err
	}
	z, err := s.store.zone(ctx, tx, id, " for update")
	if err != nil {
		return zone{}, err
	}
	audit.Before(ctx, presentZone(z))
	return z, match.Allows(z.Version)
}
