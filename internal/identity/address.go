package identity

import (
	"regexp"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

var errTooManyAddresses = fault.New(fault.Conflict, "too_many_addresses", "A customer has 50 addresses at most. Remove one first.")

const mostAddresses = 50

// destination is where a customer has things sent or billed.
type destination struct {
	ID              uuid.UUID `db:"id"`
	Name            string    `db:"name"`
	Line1           string    `db:"line1"`
	Line2           string    `db:"line2"`
	City            string    `db:"city"`
	Region          string    `db:"region"`
	PostalCode      string    `db:"postal_code"`
	Country         string    `db:"country"`
	Phone           string    `db:"phone"`
	DefaultShipping bool      `db:"default_shipping"`
	DefaultBilling  bool      `db:"default_billing"`
	Version         int64     `db:"version"`
	CreatedAt       time.Time `db:"created_at"`
	UpdatedAt       time.Time `db:"updated_at"`
}

// postalForms are those of countries whose codes have one form. Elsewhere anything goes,
// also nothing.
var postalForms = map[string]string{
	"AT AU BE BG CH DK HU LU NO NZ": `\d{4}`,
	"DE EE ES FI FR HR IT MX TR UA": `\d{5}`,
	"US":                            `\d{5}(-\d{4})?`,
	"CA":                            `[A-Z]\d[A-Z] ?\d[A-Z]\d`,
	"GB":                            `[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}`,
	"NL":                            `\d{4} ?[A-Z]{2}`,
	"PT":                            `\d{4}-\d{3}`,
	"PL":                            `\d{2}-\d{3}`,
	"CZ GR SE SK":                   `\d{3} ?\d{2}`,
	"JP":                            `\d{3}-?\d{4}`,
	"BR":                            `\d{5}-?\d{3}`,
	"CN IN":                         `\d{6}`,
}

var postalCodes = func() map[string]*regexp.Regexp {
	byCountry := map[string]*regexp.Regexp{}
	for countries, form := range postalForms {
		for country := range strings.FieldsSeq(countries) {
			byCountry[country] = regexp.MustCompile(`^(?i:` + form + `)$`)
		}
	}
	return byCountry
}()

// withRegions are countries in which nothing arrives without one.
const withRegions = "AU BR CA US"

// flaws of an address, as a carrier would find them.
func (a destination) flaws() (fields []fault.Field) {
	say := func(pointer, code, detail string) {
		fields = append(fields, fault.Field{Pointer: pointer, Code: code, Detail: detail})
	}
	for _, f := range []struct{ pointer, text string }{
		{"/name", a.Name}, {"/line1", a.Line1}, {"/line2", a.Line2}, {"/city", a.City}, {"/region", a.Region}, {"/postalCode", a.PostalCode}, {"/phone", a.Phone},
	} {
		fields = append(fields, httpx.Line(f.pointer, f.text)...)
	}
	if a.Country == "" { // which the schema has refused
		return fields
	}
	if unknown := territory.CheckCountry("/country", a.Country); len(unknown) > 0 {
		return append(fields, unknown...)
	}
	if form, ok := postalCodes[a.Country]; ok {
		switch code := strings.TrimSpace(a.PostalCode); {
		case code == "":
			say("/postalCode", "required", "is required in "+a.Country)
		case !form.MatchString(code):
			say("/postalCode", "pattern", "is not a postal code of "+a.Country)
		}
	}
	if strings.Contains(withRegions, a.Country) && strings.TrimSpace(a.Region) == "" {
		say("/region", "required", "is required in "+a.Country)
	}
	return fields
}
