package territory_test

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/territory"
)

func TestTerritory(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "territory")
}

var _ = DescribeTable("a country is", func(code string, said string) {
	fields := territory.CheckCountry("/country", code)
	if said == "" {
		Expect(fields).To(BeEmpty())
		return
	}
	Expect(fields).To(HaveExactElements(And(HaveField("Pointer", "/country"), HaveField("Code", "unknown_country"), HaveField("Detail", said))))
},
	Entry("one of ISO 3166-1", "PT", ""),
	Entry("the first of them", "AD", ""),
	Entry("the last of them", "ZW", ""),
	Entry("an ocean away", "AQ", ""),
	Entry("Kosovo", "XK", ""),
	Entry("not invented", "ZZ", "is not a country of ISO 3166-1"),
	Entry("not one that is no more", "DD", "is not a country of ISO 3166-1"),
	Entry("not an island that has another country's taxes", "IC", "is not a country of ISO 3166-1"),
	Entry("not a union", "EU", "is not a country of ISO 3166-1"),
	Entry("not the United Kingdom by the wrong name", "UK", "is not a country of ISO 3166-1; GB is"),
	Entry("not Greece by that of its taxes", "EL", "is not a country of ISO 3166-1; GR is"),
	Entry("for the schema to refuse when it is none of two capitals", "pt", ""),
	Entry("for the schema to refuse when it is half of one", "D ", ""),
	Entry("not needed", "", ""),
)

var _ = DescribeTable("a region is compared as", func(country, written, compared string, has, listed bool) {
	region := territory.Region(country, written)
	Expect(region).To(Equal(compared))
	is, known := territory.Has(country, region)
	Expect([]bool{is, known}).To(Equal([]bool{has, listed}))
},
	Entry(nil, "US", "NY", "NY", true, true),
	Entry(nil, "US", " us-ny ", "NY", true, true),
	Entry(nil, "US", "New  York", "NY", true, true),
	Entry(nil, "US", "N.Y.", "NY", true, true),
	Entry(nil, "US", "ＮＹ", "NY", true, true),
	Entry(nil, "US", "washington, d.c.", "WASHINGTON, DC", false, true),
	Entry(nil, "US", "New Yrok", "NEW YROK", false, true),
	Entry(nil, "US", "", "", false, true),
	Entry(nil, "CA", "Québec", "QC", true, true),
	Entry(nil, "CA", "CA-BC", "BC", true, true),
	Entry(nil, "AU", "new south wales", "NSW", true, true),
	Entry("of another country as it is", "AU", "NY", "NY", false, true),
	Entry(nil, "ES", "es-cn", "CN", false, false),
	Entry(nil, "PT", "Açores", "ACORES", false, false),
	Entry(nil, "CH", "St. Gallen", "ST GALLEN", false, false),
)
