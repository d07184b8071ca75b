package shipping

import (
	"fmt"
	"net/http"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var _ = Describe("the zone of an address", func() {
	named := func(name string, places ...place) zone { return zone{ID: clock.NewID(), Name: name, Places: places} }
	zones := []zone{
		named("mainland", place{Country: "PT"}, place{Country: "ES"}),
		named("again", place{Country: "PT"}),
		named("islands", place{Country: "PT", PostalCodes: []string{"9*"}}),
		named("azores", place{Country: "PT", PostalCodes: []string{"9500..9980"}}, place{Country: "PT", Regions: []string{"20"}}),
		named("corvo", place{Country: "PT", PostalCodes: []string{"9980-*"}}),
		named("house", place{Country: "PT", PostalCodes: []string{"9980-024"}}),
		named("lisbon", place{Country: "PT", PostalCodes: []string{"1000..1999"}}),
		named("west", place{Country: "US", Regions: []string{"CA", "OR"}}),
		named("valley", place{Country: "US", Regions: []string{"CA"}, PostalCodes: []string{"94*"}}),
		named("94", place{Country: "US", PostalCodes: []string{"94*"}}),
		named("elsewhere"),
		named("nowhere"),
	}
	DescribeTable("is", func(country, region, postal, name string) {
		z := zoneOf(zones, shippingapi.Parcel{Country: country, Region: region, PostalCode: postal})
		if name == "" {
			Expect(z).To(BeNil())
			return
		}
		Expect(z).To(HaveValue(HaveField("Name", name)))
	},
		Entry("that of its country", "ES", "", "28001", "mainland"),
		Entry("the one that there was first, of two that say the same", "PT", "", "", "mainland"),
		Entry("that of how its postal code begins", "PT", "", "9000-017", "islands"),
		Entry("that of a range, which says more", "PT", "", "9700-001", "islands"),
		Entry("that of its region", "PT", "PT-20", "", "azores"),
		Entry("that of a longer beginning", "PT", "", "9980-100", "corvo"),
		Entry("that of the whole code", "PT", "", " 9980 024", "house"),
		Entry("that of a range, at its end", "PT", "", "1999-999", "lisbon"),
		Entry("that of a range, at its beginning", "PT", "", "1000-001", "lisbon"),
		Entry("not that of a range beyond its end", "PT", "", "2000-001", "mainland"),
		Entry("not that of a range that the code is too short for", "PT", "", "10", "mainland"),
		Entry("that of a region by its name", "US", "Oregon", "97201", "west"),
		Entry("that of region and code together", "US", "CA", "94103", "valley"),
		Entry("that of a code before that of a region", "US", "OR", "94103", "94"),
		Entry("what is left, in a country that no zone names", "FR", "", "75001", "elsewhere"),
		Entry("what is left, in a region that no zone names", "US", "NY", "10001", "elsewhere"),
		Entry("none before it is known where it goes", "", "", "9980-024", ""),
	)

	It("is none where no zone is", func() {
		Expect(zoneOf(zones[:3], shippingapi.Parcel{Country: "FR"})).To(BeNil())
	})
})

var _ = Describe("a method with zones and bands", func() {
	eur := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }
	islands := zone{ID: clock.NewID(), Places: []place{{Country: "PT", PostalCodes: []string{"9*"}}}}
	spain := zone{ID: clock.NewID(), Places: []place{{Country: "ES"}}}
	weighs := func(from, to int64) band { return band{new(from), new(to)} }
	parcel := method{
		Name: "Parcel", Active: true, Excluded: excluded{SKUs: []string{"ANVIL"}, TaxClasses: []string{"liquor"}},
		Prices: []price{
			{Amount: eur(500), Grams: weighs(0, 1000)},
			{Amount: eur(900), Grams: weighs(1001, 5000), FreeFrom: new(eur(10_000))},
			{Zone: &islands.ID, Amount: eur(1500), Items: band{nil, new(int64(3))}},
			{Zone: &islands.ID, Amount: eur(2500), Max: new(eur(50_000))},
			{Amount: money.Amount{Minor: 12_345, Currency: "KWD"}},
			{Zone: &spain.ID, Amount: money.Amount{Minor: 1, Currency: money.JPY}},
		},
	}
	parcel.MaxParcel.Grams = 4000
	shop := ways{methods: []method{parcel}, zones: []zone{islands, spain}, grams: 700}
	goods := func(n, grams int64) []shippingapi.Goods {
		return []shippingapi.Goods{{SKU: "MUG", Quantity: n, Grams: grams}}
	}

	DescribeTable("costs, or says why it does not go:", func(p shippingapi.Parcel, costs string, why shippingapi.Reason) {
		r := ratesOf(shop, p)
		if why != "" {
			Expect(r.Options).To(BeEmpty())
			Expect(r.Unavailable).To(HaveExactElements(And(HaveField("Reason", why), HaveField("Name", "Parcel"), HaveField("Detail", Not(BeEmpty())))))
			return
		}
		Expect(r.Unavailable).To(BeEmpty())
		Expect(r.Options).To(HaveExactElements(HaveField("Price", HaveField("Decimal()", costs))))
	},
		Entry("up to a weight", shippingapi.Parcel{Country: "PT", PostalCode: "1100", Subtotal: eur(100), Goods: goods(2, 500)}, "5.00", shippingapi.Reason("")),
		Entry("above it", shippingapi.Parcel{Country: "PT", PostalCode: "1100", Subtotal: eur(100), Goods: goods(1, 1001)}, "9.00", shippingapi.Reason("")),
		Entry("by what the shop says, of what nobody has weighed", shippingapi.Parcel{Country: "PT", PostalCode: "1100", Subtotal: eur(100), Goods: goods(2, 0)}, "9.00", shippingapi.Reason("")),
		Entry("nothing from a subtotal on, in that band", shippingapi.Parcel{Country: "PT", PostalCode: "1100", Subtotal: eur(10_000), Goods: goods(1, 1001)}, "0.00", shippingapi.Reason("")),
		Entry("not above all weights", shippingapi.Parcel{Country: "PT", PostalCode: "1100", Subtotal: eur(100), Goods: goods(6, 1000)}, "", shippingapi.WeightRange),
		Entry("what the zone costs", shippingapi.Parcel{Country: "PT", PostalCode: "9000", Subtotal: eur(100), Goods: goods(1, 500)}, "15.00", shippingapi.Reason("")),
		Entry("not what another zone costs", shippingapi.Parcel{Country: "ES", Subtotal: eur(100), Goods: goods(1, 500)}, "5.00", shippingapi.Reason("")),
		Entry("the next price for more", shippingapi.Parcel{Country: "PT", PostalCode: "9000", Subtotal: eur(100), Goods: goods(4, 500)}, "25.00", shippingapi.Reason("")),
		Entry("not what is worth too much for one, and too many for the other", shippingapi.Parcel{Country: "PT", PostalCode: "9000", Subtotal: eur(50_001), Goods: goods(4, 500)}, "", shippingapi.Conditions),
		Entry("in fils, exactly", shippingapi.Parcel{Country: "KW", Subtotal: money.Amount{Currency: "KWD"}, Goods: goods(1, 1)}, "12.345", shippingapi.Reason("")),
		Entry("not without a price in the currency", shippingapi.Parcel{Country: "PT", Subtotal: money.Amount{Currency: money.USD}, Goods: goods(1, 1)}, "", shippingapi.NoPrice),
		Entry("not where the currency has no price", shippingapi.Parcel{Country: "PT", Subtotal: money.Amount{Currency: money.JPY}, Goods: goods(1, 1)}, "", shippingapi.NotThere),
		Entry("not before it is known where", shippingapi.Parcel{Subtotal: money.Amount{Currency: money.JPY}, Goods: goods(1, 1)}, "", shippingapi.NoAddress),
		Entry("not before it is known what", shippingapi.Parcel{Country: "PT", PostalCode: "1100", Subtotal: eur(100)}, "", shippingapi.NoGoods),
		Entry("not what it does not take", shippingapi.Parcel{Country: "PT", Subtotal: eur(100), Goods: []shippingapi.Goods{{SKU: "MUG", Quantity: 1}, {SKU: "ANVIL", Quantity: 1}}}, "", shippingapi.Excluded),
		Entry("not what is of a class that it does not take", shippingapi.Parcel{Country: "PT", Subtotal: eur(100), Goods: []shippingapi.Goods{{SKU: "RUM", TaxClass: "liquor", Quantity: 1}}}, "", shippingapi.Excluded),
		Entry("not what is too heavy for a parcel", shippingapi.Parcel{Country: "PT", Subtotal: eur(100), Goods: goods(1, 4001)}, "", shippingapi.TooHeavy),
	)
})

var _ = Describe("a shop's zones and boxes", Label("db"), func() {
	type object = map[string]any
	var s *testkit.Shop
	var m *Module
	BeforeEach(func() {
		s = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			m = New(k, shelf{
				"MUG":  {SKU: "MUG", Prices: []money.Amount{{Minor: 1250, Currency: money.EUR}}, Measures: catalogapi.Measures{Grams: 300, Length: 100, Width: 50, Height: 50}},
				"CARD": {SKU: "CARD", Prices: []money.Amount{{Minor: 100, Currency: money.EUR}}},
			}, nil)
			return []app.Module{m}
		})
	})
	done := func(r testkit.Response) object {
		GinkgoHelper()
		Expect(r.Status).To(BeNumerically("<", 300), "%s", r.Raw)
		return r.JSON()
	}
	zoned := func(name string, places ...object) string {
		GinkgoHelper()
		return done(s.Post("/v1/shipping/zones", object{"name": name, "places": places}))["id"].(string)
	}
	rates := func(postal string, items ...object) object {
		GinkgoHelper()
		return done(s.Post("/v1/shipping/rates", object{"destination": object{"country": "PT", "postalCode": postal}, "currency": "EUR", "items": items}))
	}
	mugs := func(n int) object { return object{"sku": "MUG", "quantity": n} }

	It("are kept as the merchant says, changed, and removed unless a method has prices for them", func() {
		made := s.Post("/v1/shipping/zones", object{"name": "Islands", "places": []object{{"country": "PT", "regions": []string{"PT-20", "Madeira"}, "postalCodes": []string{"9*"}}}})
		at := made.Header.Get("Location")
		Expect(done(made)).To(And(HaveKeyWithValue("name", "Islands"),
			HaveKeyWithValue("places", HaveExactElements(object{"country": "PT", "regions": []any{"20", "MADEIRA"}, "postalCodes": []any{"9*"}}))))
		Expect(s.Get(at).JSON()).To(Equal(made.JSON()))
		Expect(s.Get("/v1/shipping/zones").JSON()["data"]).To(HaveExactElements(made.JSON()))
		Expect(s.Call(http.MethodPatch, at, object{"name": "Isles"}, testkit.Header{Name: "If-Match", Value: `"9"`}).Status).To(Equal(412))
		Expect(done(s.Call(http.MethodPatch, at, object{"name": "Isles"}))).To(And(HaveKeyWithValue("name", "Isles"), HaveKeyWithValue("places", HaveLen(1))))

		way := s.Post("/v1/shipping/methods", object{
			"name": "Boat", "prices": []object{{"currency": "EUR", "price": "9", "zoneId": made.JSON()["id"], "maxGrams": 2000, "minItems": 1, "maxItems": 9}},
			"excludedSkus": []string{"ANVIL"}, "excludedTaxClasses": []string{"liquor"}, "maxParcel": object{"grams": 5000, "length": 900, "width": 600, "height": 500},
		})
		Expect(done(way)).To(And(HaveKeyWithValue("excludedSkus", []any{"ANVIL"}), HaveKeyWithValue("excludedTaxClasses", []any{"liquor"}),
			HaveKeyWithValue("maxParcel", object{"grams": 5000.0, "length": 900.0, "width": 600.0, "height": 500.0}),
			HaveKeyWithValue("prices", HaveExactElements(object{"currency": "EUR", "price": "9.00", "zoneId": made.JSON()["id"], "maxGrams": 2000.0, "minItems": 1.0, "maxItems": 9.0}))))
		Expect(s.Get(way.Header.Get("Location")).JSON()).To(Equal(way.JSON()))
		Expect(s.Call(http.MethodDelete, at, nil).Code()).To(Equal("zone_in_use"))
		Expect(done(s.Call(http.MethodPatch, way.Header.Get("Location"), object{"excludedSkus": []string{}, "maxParcel": object{}, "prices": []object{{"currency": "EUR", "price": "9"}}}))).
			To(And(HaveKeyWithValue("excludedSkus", BeEmpty()), Not(HaveKey("maxParcel"))))
		Expect(s.Call(http.MethodDelete, at, nil).Status).To(Equal(204))
		Expect(s.Get(at).Status).To(Equal(404))
		Expect(s.Call(http.MethodDelete, at, nil).Status).To(Equal(404))
	})

	It("tell at once what sending costs, how it is packed, and what does not go", func() {
		islands := zoned("Islands", object{"country": "PT", "postalCodes": []string{"9*"}})
		parcel := done(s.Post("/v1/shipping/methods", object{"name": "Parcel", "prices": []object{
			{"currency": "EUR", "price": "5", "maxGrams": 2000}, {"currency": "EUR", "price": "8"}, {"currency": "EUR", "price": "19.50", "zoneId": islands},
		}}))
		letter := done(s.Post("/v1/shipping/methods", object{"name": "Letter", "position": 1, "maxParcel": object{"grams": 500}, "prices": []object{{"currency": "EUR", "price": "2"}}}))
		Expect(rates("1100-048", mugs(5))["data"]).To(ContainElement(And(HaveKeyWithValue("price", "5.00"),
			HaveKeyWithValue("parcels", []any{object{"count": 1.0, "grams": 1500.0, "items": []any{object{"sku": "MUG", "quantity": 5.0}}}}))), "without boxes it goes as it is")
		Expect(rates("1100-048", mugs(5))["data"]).To(ContainElement(And(HaveKeyWithValue("name", "Letter"), HaveKeyWithValue("parcels", []any{
			object{"count": 5.0, "grams": 300.0, "items": []any{object{"sku": "MUG", "quantity": 1.0}}},
		}))), "as many as it takes")

		boxes := []object{{"name": "S", "length": 100, "width": 100, "height": 100, "grams": 250, "maxGrams": 2000}, {"name": "L", "length": 200, "width": 200, "height": 200, "grams": 300}}
		said := done(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": boxes}))
		there := s.Get("/v1/shipping/boxes")
		Expect(there.JSON()).To(Equal(said))
		Expect(said["data"]).To(HaveLen(2))
		stale, fresh := testkit.Header{Name: "If-Match", Value: `"9"`}, testkit.Header{Name: "If-Match", Value: there.Header.Get("ETag")}
		Expect(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": boxes[:1]}, stale).Status).To(Equal(412))
		Expect(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": boxes[:1]}, fresh).Status).To(Equal(200))
		Expect(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": boxes}, fresh).Status).To(Equal(412), "they are others by now")
		done(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": boxes}))
		found := rates("1100-048", mugs(6), object{"sku": "CARD", "quantity": 1})
		Expect(found["data"]).To(HaveExactElements(object{"methodId": parcel["id"], "name": "Parcel", "description": "", "price": "8.00", "currency": "EUR", "parcels": []any{
			object{"count": 1.0, "box": "L", "grams": 3100.0, "length": 200.0, "width": 200.0, "height": 200.0, "items": []any{object{"sku": "MUG", "quantity": 6.0}, object{"sku": "CARD", "quantity": 1.0}}},
		}}), "what nobody has weighed weighs a kilogram")
		Expect(found["unavailable"]).To(HaveExactElements(And(HaveKeyWithValue("methodId", letter["id"]), HaveKeyWithValue("name", "Letter"), HaveKeyWithValue("reason", "parcel_too_heavy"), HaveKey("detail"))))
		done(s.Call(http.MethodPut, "/v1/shipping/settings", object{"defaultGrams": 10}))
		Expect(rates("1100-048", mugs(5), object{"sku": "CARD", "quantity": 1})["data"]).To(ContainElement(HaveKeyWithValue("price", "5.00")), "and less when the shop says so")
		Expect(rates("9000-017", mugs(6))["data"]).To(ContainElement(HaveKeyWithValue("price", "19.50")))

		done(s.Call(http.MethodPatch, "/v1/shipping/zones/"+islands, object{"places": []object{{"country": "PT", "postalCodes": []string{"1000..1999"}}}}))
		Expect(rates("1100-048", mugs(6))["data"]).To(ContainElement(HaveKeyWithValue("price", "19.50")))
		Expect(rates("9000-017", mugs(6))["data"]).To(ContainElement(HaveKeyWithValue("price", "8.00")))
		Expect(done(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": []object{}}))["data"]).To(BeEmpty())
		Expect(rates("9000-017", mugs(6))["data"]).To(ContainElement(HaveKeyWithValue("price", "5.00")))
		Expect(done(s.Post("/v1/shipping/rates", object{"destination": object{"country": "PT"}, "currency": "EUR", "subtotal": "10"}))["data"]).To(HaveEach(HaveKeyWithValue("parcels", BeEmpty())))
	})

	It("are asked for in one statement, however much has been said, and in none for a moment after", func() {
		islands := zoned("Islands", object{"country": "PT", "postalCodes": []string{"9*"}})
		for n := range 3 {
			done(s.Post("/v1/shipping/methods", object{"name": fmt.Sprint("Way ", n), "prices": []object{{"currency": "EUR", "price": "1", "zoneId": islands}, {"currency": "EUR", "price": "2"}}}))
		}
		cost := new(db.Cost)
		ctx := db.WithCost(testkit.As(s.Tenant), cost)
		for range 3 {
			Expect(m.Rates(ctx, shippingapi.Parcel{Country: "PT", Subtotal: money.Amount{Currency: money.EUR}})).To(HaveField("Options", HaveLen(3)))
		}
		alone := new(db.Cost)
		Expect(m.svc.list(db.WithCost(testkit.As(s.Tenant), alone))).To(HaveLen(3))
		Expect(cost.RoundTrips()).To(Equal(alone.RoundTrips()))
	})

	It("are those of one merchant's page, when two are saved at the same moment", func() {
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				defer GinkgoRecover()
				boxes := []object{{"name": fmt.Sprint("A", n), "length": 1, "width": 1, "height": 1}, {"name": fmt.Sprint("B", n), "length": 2, "width": 2, "height": 2}}
				done(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": boxes}))
			})
		}
		all.Wait()
		kept := s.Get("/v1/shipping/boxes").JSON()["data"].([]any)
		Expect(kept).To(HaveLen(2))
		Expect(kept[0].(object)["name"].(string)[1:]).To(Equal(kept[1].(object)["name"].(string)[1:]))
	})

	It("are nobody else's", func() {
		islands := zoned("Islands", object{"country": "PT"})
		done(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": []object{{"name": "S", "length": 1, "width": 1, "height": 1}}}))
		theirs := s.With(testkit.Key(s.App.DB(), testkit.NewTenant(testkit.Shared())))
		Expect(theirs.Get("/v1/shipping/zones/" + islands).Status).To(Equal(404))
		Expect(theirs.Get("/v1/shipping/zones").JSON()["data"]).To(BeEmpty())
		Expect(theirs.Get("/v1/shipping/boxes").JSON()["data"]).To(BeEmpty())
		Expect(theirs.Post("/v1/shipping/methods", object{"name": "Boat", "prices": []object{{"currency": "EUR", "price": "9", "zoneId": islands}}}).Code()).To(Equal("unknown_zone"))
		Expect(done(theirs.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": []object{}}))["data"]).To(BeEmpty())
		Expect(s.Get("/v1/shipping/boxes").JSON()["data"]).To(HaveLen(1))
	})

	DescribeTable("are refused with the places that are wrong:", func(method, path string, body object, pointers ...string) {
		r := s.Call(method, path, body)
		Expect(r.Status).To(Equal(422), "%s", r.Raw)
		var found []string
		for _, e := range r.JSON()["errors"].([]any) {
			found = append(found, e.(object)["pointer"].(string))
		}
		Expect(found).To(ConsistOf(pointers))
	},
		Entry("a zone", http.MethodPost, "/v1/shipping/zones", object{"name": " ", "places": []object{
			{"country": "ZZ"}, {"country": "US", "regions": []string{"CA", "Bavaria"}}, {"country": "PT", "postalCodes": []string{"", "1000", "2000..1000", "100..2000", "*", "9*", "1..9"}},
		}}, "/name", "/places/0/country", "/places/1/regions/1", "/places/2/postalCodes/0", "/places/2/postalCodes/2", "/places/2/postalCodes/3", "/places/2/postalCodes/4"),
		Entry("boxes", http.MethodPut, "/v1/shipping/boxes", object{"data": []object{
			{"name": "S", "length": 1, "width": 1, "height": 1}, {"name": "S", "length": 1, "width": 1, "height": 1, "grams": 100, "maxGrams": 100},
		}}, "/data/1/name", "/data/1/maxGrams"),
		Entry("a method", http.MethodPost, "/v1/shipping/methods", object{
			"name": "Boat", "excludedSkus": []string{"MUG", "no SKU"}, "excludedTaxClasses": []string{"Liquor"}, "maxParcel": object{"length": 1},
			"prices": []object{{"currency": "EUR", "price": 1, "minGrams": 2, "maxGrams": 1, "minItems": 3, "maxItems": 2}, {"currency": "EUR", "price": 1, "minGrams": 5}, {"currency": "EUR", "price": 1, "minGrams": 6, "maxItems": 7}, {"currency": "EUR", "price": 1}},
		}, "/excludedSkus/1", "/excludedTaxClasses/0", "/maxParcel/width", "/maxParcel/height", "/prices/0/maxGrams", "/prices/0/maxItems", "/prices/2/currency"),
		Entry("a price for a zone that there is not", http.MethodPost, "/v1/shipping/methods", object{
			"name": "Boat", "prices": []object{{"currency": "EUR", "price": 1}, {"currency": "EUR", "price": 1, "zoneId": "0199c1de-0000-7000-8000-00000000000a"}},
		}, "/prices/1/zoneId"),
	)

	It("have room for a hundred zones and no more", func() {
		Expect(testkit.SQL(testkit.Shared().Super).Exec(`
			insert into shipping.zone (tenant_id, id, name, places, version, created_at, updated_at)
			select $1, gen_random_uuid(), 'z', '[]', 1, now(), now() from generate_series(1, 100)`, s.Tenant)).Error().NotTo(HaveOccurred())
		Expect(s.Post("/v1/shipping/zones", object{"name": "One more"}).Code()).To(Equal("too_many_zones"))
	})
})
