package calc

import (
	"regexp"
	"strings"
)

// vatNumbers are the shapes of VAT identification numbers, by the country that the number
// begins with (VIES, "What is the format of a VAT number?"). Greece writes EL.
var vatNumbers = map[string]*regexp.Regexp{
	"AT": regexp.MustCompile(`^U\d{8}$`), "BE": regexp.MustCompile(`^[01]\d{9}$`), "BG": regexp.MustCompile(`^\d{9,10}$`), "CY": regexp.MustCompile(`^\d{8}[A-Z]$`),
	"CZ": regexp.MustCompile(`^\d{8,10}$`), "DE": regexp.MustCompile(`^\d{9}$`), "DK": regexp.MustCompile(`^\d{8}$`), "EE": regexp.MustCompile(`^\d{9}$`),
	"EL": regexp.MustCompile(`^\d{9}$`), "ES": regexp.MustCompile(`^[A-Z0-9]\d{7}[A-Z0-9]$`), "FI": regexp.MustCompile(`^\d{8}$`), "FR": regexp.MustCompile(`^[A-HJ-NP-Z0-9]{2}\d{9}$`),
	"HR": regexp.MustCompile(`^\d{11}$`), "HU": regexp.MustCompile(`^\d{8}$`), "IE": regexp.MustCompile(`^(\d[A-Z0-9+*]\d{5}[A-Z]|\d{7}[A-Z]{1,2})$`), "IT": regexp.MustCompile(`^\d{11}$`),
	"LT": regexp.MustCompile(`^(\d{9}|\d{12})$`), "LU": regexp.MustCompile(`^\d{8}$`), "LV": regexp.MustCompile(`^\d{11}$`), "MT": regexp.MustCompile(`^\d{8}$`),
	"NL": regexp.MustCompile(`^[A-Z0-9+*]{10}\d{2}$`), "PL": regexp.MustCompile(`^\d{10}$`), "PT": regexp.MustCompile(`^\d{9}$`), "RO": regexp.MustCompile(`^\d{2,10}$`),
	"SE": regexp.MustCompile(`^\d{12}$`), "SI": regexp.MustCompile(`^\d{8}$`), "SK": regexp.MustCompile(`^\d{10}$`),
}

const greece = "GR"

// inEU tells whether a country collects the Union's VAT.
func inEU(country string) bool {
	if country == greece {
		country = "EL"
	}
	return vatNumbers[country] != nil
}

var vatPunctuation = strings.NewReplacer(" ", "", ".", "", "-", "")

// VATCountry is the country of a VAT identification number that has the shape of one.
// Whether it was given to anybody only the country knows.
func VATCountry(number string) (country string, ok bool) {
	number = strings.ToUpper(vatPunctuation.Replace(number))
	if len(number) < 4 {
		return "", false
	}
	shape := vatNumbers[number[:2]]
	if shape == nil || !shape.MatchString(number[2:]) {
		return "", false
	}
	if number[:2] == "EL" {
		return greece, true
	}
	return number[:2], true
}

// reverseCharge tells whether the buyer accounts for the tax: a business of another country
// of the Union, to whom the goods go abroad (Council Directive 2006/112/EC, article 138).
func reverseCharge(shop, destination, number string) bool {
	country, ok := VATCountry(number)
	return ok && country != shop && inEU(shop) && inEU(destination) && destination != shop
}
