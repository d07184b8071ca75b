package shipping

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var (
	errManyZones   = fault.New(fault.Conflict, "too_many_zones", "A shop has 100 shipping zones at most. Remove one first.")
	errZoneInUse   = fault.New(fault.Conflict, "zone_in_use", "Shipping methods have prices for the zone. Change those first.")
	errUnknownZone = fault.New(fault.Invalid, "unknown_zone", "A price is for a zone that the shop does not have.")
)

const mostZones = 100

// zone is a set of places that cost the same to send to.
type zone struct {
	ID        uuid.UUID
	Name      string
	Places    []place // none: everywhere that no other zone is
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// place is a country, or a part of one.
type place struct {
	Country     string   `json:"country"`
	Regions     []string `json:"regions,omitempty"`     // as territory.Region has them; none: all
	PostalCodes []string `json:"postalCodes,omitempty"` // "1100-048", "90*", "1000..1999"; none: all
}

// How much a place says about an address. More characters of a postal code say more, any of
// them more than a region does.
const (
	saysNothing = -1
	saysCountry = 1
	saysRegion  = 1
	saysPostal  = 2
	wholeCode   = 100 // characters, which no postal code has
)

// says is how closely the place describes an address, or saysNothing.
func (p place) says(country, region, postal string) int {
	if p.Country != country {
		return saysNothing
	}
	closeness := saysCountry
	if len(p.Regions) > 0 {
		if !slices.Contains(p.Regions, region) {
			return saysNothing
		}
		closeness += saysRegion
	}
	if len(p.PostalCodes) == 0 {
		return closeness
	}
	most := saysNothing
	for _, code := range p.PostalCodes {
		if n := codesOf(code).fixed(postal); n >= 0 {
			most = max(most, closeness+saysPostal*(n+1))
		}
	}
	return most
}

// codes are postal codes: one, those that begin in some way, or those from one to another.
type codes struct {
	from, to string // from alone when they are the same
	prefix   bool
}

func codesOf(text string) codes {
	from, to, ranged := strings.Cut(text, "..")
	if ranged {
		return codes{from: postal(from), to: postal(to)}
	}
	from, prefix := strings.CutSuffix(text, "*")
	return codes{from: postal(from), prefix: prefix}
}

// valid tells whether there can be such codes.
func (c codes) valid() bool {
	if c.from == "" || c.to == "" {
		return c.from != ""
	}
	return len(c.from) == len(c.to) && c.from <= c.to
}

// fixed is how many characters of a code are told by them; -1: it is none of them. Of a range
// those are counted that all of it has in common.
func (c codes) fixed(code string) int {
	switch {
	case c.to != "":
		if len(code) < len(c.from) || code[:len(c.from)] < c.from || code[:len(c.to)] > c.to {
			return -1
		}
		n := 0
		for n < len(c.from) && c.from[n] == c.to[n] {
			n++
		}
		return n
	case c.prefix:
		if strings.HasPrefix(code, c.from) {
			return len(c.from)
		}
		return -1
	case code == c.from:
		return wholeCode
	}
	return -1
}

// postal is a postal code as they are compared: without spaces and hyphens, in capitals.
func postal(text string) string {
	return strings.NewReplacer(" ", "", "-", "").Replace(strings.ToUpper(text))
}

// zoneOf is the zone that an address is in: the one that describes it most closely, and of
// those the one that there was first. A place that is not known yet is in none.
func zoneOf(zones []zone, p shippingapi.Parcel) *zone {
	if p.Country == "" {
		return nil
	}
	region, code := territory.Region(p.Country, p.Region), postal(p.PostalCode)
	var found *zone
	closest := saysNothing
	for i := range zones {
		says := saysNothing
		if len(zones[i].Places) == 0 {
			says = 0
		}
		for _, place := range zones[i].Places {
			says = max(says, place.says(p.Country, region, code))
		}
		if says > closest {
			found, closest = &zones[i], says
		}
	}
	return found
}
