package carrier

import "github.com/fusioncommerce/fusion/internal/platform/money"

// Consignment is a parcel to be sent.
type Consignment struct {
	Reference string // ours
	From, To  Address
	Parcel    Parcel
	// Items are what customs are told; carriers look at them when the parcel crosses a border.
	Items    []Item
	Contents Contents // empty: Merchandise
	// Return is true for a parcel that its buyer sends back: From is the buyer then.
	Return bool
	// Format that its label will be bought in, for carriers that want to know before; empty: PDF.
	Format Format
}

// Abroad tells whether the parcel crosses a border.
func (c Consignment) Abroad() bool { return c.From.Country != c.To.Country }

// Address of a shop or a buyer.
type Address struct {
	Name       string
	Company    string
	Line1      string
	Line2      string
	City       string
	Region     string // ISO 3166-2 without the country, or free text
	PostalCode string
	Country    string // ISO 3166-1 alpha-2
	Phone      string
	Email      string
}

// Parcel is a box. Sides that are 0 are not known.
type Parcel struct {
	Grams                 int64
	Length, Width, Height int64 // mm
}

// Contents is what kind of things are inside, as customs ask.
type Contents string

// Kinds of contents.
const (
	Merchandise   Contents = "merchandise"
	Gift          Contents = "gift"
	Documents     Contents = "documents"
	Sample        Contents = "sample"
	ReturnedGoods Contents = "returned_goods"
)

// Item of a customs declaration.
type Item struct {
	SKU         string
	Description string
	Quantity    int64
	Grams       int64        // of all of them
	Value       money.Amount // of all of them
	HSCode      string       // of the Harmonized System, 6 digits or more; empty: not known
	Origin      string       // ISO 3166-1 alpha-2
}
