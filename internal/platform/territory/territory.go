// Package territory tells countries and their regions apart, however people write them.
package territory

import (
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// countries of ISO 3166-1, without those that are no more: who could live in one would pay
// taxes nowhere. Kosovo has a code of its own making that carriers go by.
const countries = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR " +
	"CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU " +
	"ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ " +
	"MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI " +
	"SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XK"

// unions are customs territories of several countries.
var unions = map[string]string{
	"EU": "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MC MT NL PL PT RO SE SI SK",
	"GB": "GB GG IM JE",
	"CH": "CH LI",
}

// Customs is the customs territory of a country: between two of the same one customs look at
// nothing. It is the country itself, or what it forms one with.
func Customs(country string) string {
	for name, members := range unions {
		if len(country) == 2 && strings.Contains(members, country) {
			return name
		}
	}
	return country
}

// mistaken codes are used for countries that have others.
var mistaken = map[string]string{"UK": "GB", "EL": "GR"}

// CheckCountry refuses two capitals that are no country. What is not two capitals, or not
// there, is left to the schema.
func CheckCountry(pointer, code string) []fault.Field {
	if len(code) != 2 || strings.ContainsFunc(code, func(r rune) bool { return r < 'A' || r > 'Z' }) || strings.Contains(countries, code) {
		return nil
	}
	detail := "is not a country of ISO 3166-1"
	if meant, ok := mistaken[code]; ok {
		detail += "; " + meant + " is"
	}
	return []fault.Field{{Pointer: pointer, Code: "unknown_country", Detail: detail}}
}

// subdivisions are the codes (ISO 3166-2) of regions by their names, of countries whose taxes
// depend on them. The armed forces of the United States have addresses of their own.
var subdivisions = map[string]map[string]string{
	"AU": {
		"AUSTRALIAN CAPITAL TERRITORY": "ACT", "NEW SOUTH WALES": "NSW", "NORTHERN TERRITORY": "NT", "QUEENSLAND": "QLD", "SOUTH AUSTRALIA": "SA",
		"TASMANIA": "TAS", "VICTORIA": "VIC", "WESTERN AUSTRALIA": "WA",
	},
	"CA": {
		"ALBERTA": "AB", "BRITISH COLUMBIA": "BC", "MANITOBA": "MB", "NEW BRUNSWICK": "NB", "NEWFOUNDLAND AND LABRADOR": "NL", "NOVA SCOTIA": "NS",
		"NORTHWEST TERRITORIES": "NT", "NUNAVUT": "NU", "ONTARIO": "ON", "PRINCE EDWARD ISLAND": "PE", "QUEBEC": "QC", "SASKATCHEWAN": "SK", "YUKON": "YT",
	},
	"US": {
		"ALABAMA": "AL", "ALASKA": "AK", "ARIZONA": "AZ", "ARKANSAS": "AR", "CALIFORNIA": "CA", "COLORADO": "CO", "CONNECTICUT": "CT", "DELAWARE": "DE",
		"DISTRICT OF COLUMBIA": "DC", "FLORIDA": "FL", "GEORGIA": "GA", "HAWAII": "HI", "IDAHO": "ID", "ILLINOIS": "IL", "INDIANA": "IN", "IOWA": "IA",
		"KANSAS": "KS", "KENTUCKY": "KY", "LOUISIANA": "LA", "MAINE": "ME", "MARYLAND": "MD", "MASSACHUSETTS": "MA", "MICHIGAN": "MI", "MINNESOTA": "MN",
		"MISSISSIPPI": "MS", "MISSOURI": "MO", "MONTANA": "MT", "NEBRASKA": "NE", "NEVADA": "NV", "NEW HAMPSHIRE": "NH", "NEW JERSEY": "NJ",
		"NEW MEXICO": "NM", "NEW YORK": "NY", "NORTH CAROLINA": "NC", "NORTH DAKOTA": "ND", "OHIO": "OH", "OKLAHOMA": "OK", "OREGON": "OR",
		"PENNSYLVANIA": "PA", "RHODE ISLAND": "RI", "SOUTH CAROLINA": "SC", "SOUTH DAKOTA": "SD", "TENNESSEE": "TN", "TEXAS": "TX", "UTAH": "UT",
		"VERMONT": "VT", "VIRGINIA": "VA", "WASHINGTON": "WA", "WEST VIRGINIA": "WV", "WISCONSIN": "WI", "WYOMING": "WY", "AMERICAN SAMOA": "AS",
		"GUAM": "GU", "NORTHERN MARIANA ISLANDS": "MP", "PUERTO RICO": "PR", "UNITED STATES MINOR OUTLYING ISLANDS": "UM", "VIRGIN ISLANDS": "VI",
		"ARMED FORCES AMERICAS": "AA", "ARMED FORCES EUROPE": "AE", "ARMED FORCES PACIFIC": "AP",
	},
}

// Region is a region as regions are compared: "NY", "us-ny", "N.Y." and "New York" are one.
// Where the names are not known, it is what was written, in capitals.
func Region(country, text string) string {
	plain := strings.Map(func(r rune) rune {
		if r == '.' || unicode.Is(unicode.Mn, r) {
			return -1
		}
		return unicode.ToUpper(r)
	}, norm.NFKD.String(text))
	plain = strings.Join(strings.Fields(plain), " ")
	if bare, ok := strings.CutPrefix(plain, country+"-"); ok {
		plain = strings.TrimSpace(bare)
	}
	if code, ok := subdivisions[country][plain]; ok {
		return code
	}
	return plain
}

// Has tells whether a country has a region, as Region has it. listed is false when nobody
// can tell.
func Has(country, region string) (has, listed bool) {
	names, listed := subdivisions[country]
	for _, code := range names {
		has = has || code == region
	}
	return has, listed
}
