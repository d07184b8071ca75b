package pricing

import (
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
)

var errRateOverlaps = fault.New(fault.Conflict, "tax_rate_overlaps", "Another rate of the same place, class and priority is valid at the same time: which of them counts could not be told.")

// rate is a tax of a place on a class of goods.
type rate struct {
	ID           uuid.UUID    `db:"id"`
	Name         string       `db:"name"`
	Country      string       `db:"country"`
	Region       string       `db:"region"`
	PostalPrefix string       `db:"postal_prefix"`
	TaxClass     string       `db:"tax_class"`
	Percent      calc.Percent `db:"percent"`
	Priority     int          `db:"priority"`
	Compound     bool         `db:"compound"`
	ValidFrom    *time.Time   `db:"valid_from"`
	ValidUntil   *time.Time   `db:"valid_until"`
	Version      int64        `db:"version"`
	CreatedAt    time.Time    `db:"created_at"`
	UpdatedAt    time.Time    `db:"updated_at"`
}

func (r rate) calc() calc.Rate {
	return calc.Rate{
		ID: r.ID.String(), Name: r.Name, Country: r.Country, Region: r.Region, PostalPrefix: r.PostalPrefix, Class: r.TaxClass, Percent: r.Percent,
		Priority: r.Priority, Compound: r.Compound, From: moment(r.ValidFrom), Until: moment(r.ValidUntil),
	}
}

// moment is a time that may be absent, as calc has it.
func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// kept is a time as the database keeps it.
func kept(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC().Truncate(time.Microsecond))
}

// flawsOfWindow is what is wrong with a time that something is valid in.
func flawsOfWindow(from, until *time.Time, pointer string) []fault.Field {
	if from == nil || until == nil || kept(from).Before(*kept(until)) {
		return nil
	}
	return []fault.Field{{Pointer: pointer, Code: "window", Detail: "must be later than the beginning"}}
}
