package shipping

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var _ = Describe("a way to send", func() {
	eur := func(minor int64) *money.Amount { return &money.Amount{Minor: minor, Currency: money.EUR} }
	parcel := method{
		Name: "Parcel", Active: true, Destinations: []string{"PT", "US-CA"},
		Prices: []price{{Amount: *eur(490), FreeFrom: eur(5000), Min: eur(500), Max: eur(100_000)}, {Amount: money.Amount{Minor: 800, Currency: money.JPY}}},
	}

	DescribeTable("costs, or is not offered:", func(p shippingapi.Parcel, costs string) {
		r := ratesOf(ways{methods: []method{parcel}}, p)
		Expect(r.Ships).To(BeTrue())
		if costs == "" {
			Expect(r.Options).To(BeEmpty())
			return
		}
		Expect(r.Options).To(HaveExactElements(HaveField("Price", HaveField("Decimal()", costs))))
	},
		Entry("its price", shippingapi.Parcel{Country: "PT", Subtotal: *eur(4999)}, "4.90"),
		Entry("nothing from a subtotal on", shippingapi.Parcel{Country: "PT", Subtotal: *eur(5000)}, "0.00"),
		Entry("from the least subtotal on", shippingapi.Parcel{Country: "PT", Subtotal: *eur(500)}, "4.90"),
		Entry("not below it", shippingapi.Parcel{Country: "PT", Subtotal: *eur(499)}, ""),
		Entry("up to the greatest", shippingapi.Parcel{Country: "PT", Subtotal: *eur(100_000)}, "0.00"),
		Entry("not above it", shippingapi.Parcel{Country: "PT", Subtotal: *eur(100_001)}, ""),
		Entry("another price in another currency", shippingapi.Parcel{Country: "PT", Subtotal: money.Amount{Minor: 1, Currency: money.JPY}}, "800"),
		Entry("nothing where it has no price", shippingapi.Parcel{Country: "PT", Subtotal: money.Amount{Minor: 1, Currency: money.USD}}, ""),
		Entry("not where it does not go", shippingapi.Parcel{Country: "ES", Subtotal: *eur(900)}, ""),
		Entry("not before it is known where to", shippingapi.Parcel{Subtotal: *eur(900)}, ""),
		Entry("in a region that it goes to", shippingapi.Parcel{Country: "US", Region: "ca", Subtotal: *eur(900)}, "4.90"),
		Entry("in a region with its country before it", shippingapi.Parcel{Country: "US", Region: "US-CA", Subtotal: *eur(900)}, "4.90"),
		Entry("in a region by its name", shippingapi.Parcel{Country: "US", Region: "California", Subtotal: *eur(900)}, "4.90"),
		Entry("not in another region", shippingapi.Parcel{Country: "US", Region: "NY", Subtotal: *eur(900)}, ""),
		Entry("not in a country that is called as a region is", shippingapi.Parcel{Country: "CA", Region: "US", Subtotal: *eur(900)}, ""),
	)

	It("goes everywhere when it says nothing of where", func() {
		m := parcel
		m.Destinations = nil
		Expect(ratesOf(ways{methods: []method{m}}, shippingapi.Parcel{Subtotal: *eur(900)}).Options).To(HaveLen(1))
	})

	It("is not offered when it is switched off: a shop without another one ships elsewhere", func() {
		m := parcel
		m.Active = false
		Expect(ratesOf(ways{methods: []method{m}}, shippingapi.Parcel{Country: "PT", Subtotal: *eur(900)})).To(Equal(shippingapi.Rates{}))
	})
})
