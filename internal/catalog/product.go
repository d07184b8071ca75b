package catalog

import (
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/microcosm-cc/bluemonday"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	errSKUTaken     = fault.New(fault.Conflict, "sku_taken", "Another product, perhaps an archived one, has this SKU.")
	errTransition   = fault.New(fault.Conflict, "invalid_transition", "The product cannot change to this status.")
	errDraftsHidden = fault.New(fault.Forbidden, "forbidden", "Drafts need the permission products:read.")
)

type status string

const (
	draft    status = "draft"
	active   status = "active"
	archived status = "archived"
)

// moves are the changes of status that a product can make.
var moves = map[status][]status{
	draft:    {active, archived},
	active:   {draft, archived},
	archived: {active},
}

// standard is the tax class of what is not said to be taxed otherwise.
const standard = "standard"

// product is a product with its one variant.
type product struct {
	ID          uuid.UUID
	VariantID   uuid.UUID
	SKU         string
	Name        string
	Description string
	Price       money.Amount
	TaxClass    string // names the rates that it is taxed by
	Measures    catalogapi.Measures
	Customs     catalogapi.Customs
	Status      status
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// changes are the parts of a product that somebody wants otherwise; nil leaves one as it
// is. The SKU never changes: stock and past orders go by it.
type changes struct {
	Name        *string
	Description *string
	Price       *money.Amount
	TaxClass    *string
	Grams       *int64
	Sides       *sides
	Status      *status
	HSCode      *string
	Origin      *string
}

// sides of something in mm; all 0: not known.
type sides struct{ Length, Width, Height int64 }

// change applies c and reports whether anything is different now.
func (p *product) change(c changes, at time.Time) (bool, error) {
	before := *p
	if c.Status != nil && *c.Status != p.Status {
		if !slices.Contains(moves[p.Status], *c.Status) {
			return false, errTransition.Saying("A product that is %s cannot become %s.", p.Status, *c.Status)
		}
		p.Status = *c.Status
	}
	if c.Name != nil {
		p.Name = *c.Name
	}
	if c.Description != nil {
		p.Description = clean(*c.Description)
	}
	if c.Price != nil {
		p.Price = *c.Price
	}
	if c.TaxClass != nil {
		p.TaxClass = *c.TaxClass
	}
	if c.Grams != nil {
		p.Measures.Grams = *c.Grams
	}
	if c.Sides != nil {
		p.Measures.Length, p.Measures.Width, p.Measures.Height = c.Sides.Length, c.Sides.Width, c.Sides.Height
	}
	if c.HSCode != nil {
		p.Customs.HSCode = *c.HSCode
	}
	if c.Origin != nil {
		p.Customs.Origin = *c.Origin
	}
	if *p == before {
		return false, nil
	}
	p.Version++
	p.UpdatedAt = at
	return true, nil
}

// markup begins with a "<" before one of these; any other "<" is text to a browser too
// (WHATWG HTML, tag open state).
var markup = regexp.MustCompile(`<[A-Za-z/!?]`)

// clean keeps a description from carrying a script into a storefront that shows it as
// HTML. Text without markup stays as it is, letter by letter.
func clean(text string) string {
	if !markup.MatchString(text) {
		return text
	}
	return bluemonday.UGCPolicy().Sanitize(text)
}
