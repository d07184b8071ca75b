package label

import (
	"cmp"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/fusioncommerce/fusion/internal/platform/sheet"
)

// Address is where a parcel goes, or comes from.
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
}

func (a Address) each(pointer string, check func(field, text string)) {
	for _, f := range [][2]string{
		{"name", a.Name},
		{"company", a.Company},
		{"line1", a.Line1},
		{"line2", a.Line2},
		{"city", a.City},
		{"region", a.Region},
		{"postalCode", a.PostalCode},
		{"country", a.Country},
		{"phone", a.Phone},
	} {
		check(pointer+"/"+f[0], f[1])
	}
}

var (
	// codeLast are countries that write the postal code after the town.
	codeLast = set("AU CA CN GB HK IE IN JP KR MY NG NZ SG TH TW US ZA")
	// codeApart are those of them that give it a line of its own.
	codeApart = set("GB IE")
	// withRegion are countries that write the region. In others it is a code that no courier reads.
	withRegion = set("AE AU BR CA CN ES HK IE IN IT JP KR MX MY NG TH TW US")
)

func set(codes string) map[string]bool {
	s := map[string]bool{}
	for code := range strings.FieldsSeq(codes) {
		s[code] = true
	}
	return s
}

// lines are the address as it is written where it goes. The country is left out of an address
// in the country that is left.
func (a Address) lines(within string) (lines []sheet.Line) {
	add := func(text string, bold bool) {
		if text = sheet.Clean(text); text != "" {
			lines = append(lines, sheet.Line{Text: text, Bold: bold})
		}
	}
	add(a.Name, true)
	add(a.Company, a.Name == "")
	add(a.Line1, false)
	add(a.Line2, false)
	region := ""
	if withRegion[a.Country] {
		region = a.Region
	}
	switch {
	case codeApart[a.Country]:
		add(a.City, true)
		add(region, false)
		add(a.PostalCode, true)
	case codeLast[a.Country]:
		add(a.City+" "+region+" "+a.PostalCode, true)
	default:
		add(a.PostalCode+" "+a.City+" "+region, true)
	}
	if a.Country != within {
		add(strings.ToUpper(country(a.Country)), true)
	}
	if phone := sheet.Clean(a.Phone); phone != "" {
		add("Tel. "+phone, false)
	}
	return lines
}

// country is its English name: that and French are what all post offices read.
func country(code string) string {
	r, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	return cmp.Or(display.English.Regions().Name(r), code)
}
