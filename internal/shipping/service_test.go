package shipping

import (
	"context"
	"maps"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// shelf stands in for the catalog.
type shelf map[string]catalogapi.Offer

func (s shelf) Offers(context.Context, []string) (map[string]catalogapi.Offer, error) { return s, nil }

var _ = Describe("a shop's shipping", Label("db"), func() {
	type object = map[string]any
	var (
		s *testkit.Shop
		m *Module
	)
	BeforeEach(func() {
		s = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			m = New(k, shelf{"MUG": {SKU: "MUG", Prices: []money.Amount{{Minor: 1250, Currency: money.EUR}}}}, nil)
			return []app.Module{m}
		})
	})
	parcel := object{"name": "Parcel", "destinations": []string{"PT"}, "position": 2, "prices": []object{{"currency": "EUR", "price": "4.90", "freeFrom": "50", "minSubtotal": 5, "maxSubtotal": "900.00"}}}
	offered := func(body object) testkit.Response {
		GinkgoHelper()
		r := s.Post("/v1/shipping/methods", body)
		Expect(r.Status).To(Equal(201), "%s", r.Raw)
		return r
	}
	rates := func(shop *testkit.Shop, body object) []any {
		GinkgoHelper()
		r := shop.Post("/v1/shipping/rates", body)
		Expect(r.Status).To(Equal(200), "%s", r.Raw)
		list, _ := r.JSON()["data"].([]any)
		return list
	}
	toPortugal := object{"destination": object{"country": "PT"}, "currency": "EUR", "items": []object{{"sku": "MUG", "quantity": 2}}}

	It("is kept as the merchant says, changed, and removed", func() {
		made := offered(parcel)
		at := made.Header.Get("Location")
		Expect(made.JSON()).To(And(HaveKeyWithValue("active", true), HaveKeyWithValue("prices", HaveExactElements(object{
			"currency": "EUR", "price": "4.90", "freeFrom": "50.00", "minSubtotal": "5.00", "maxSubtotal": "900.00",
		}))))
		Expect(s.Get(at).JSON()).To(Equal(made.JSON()))
		stale := testkit.Header{Name: "If-Match", Value: `"9"`}
		Expect(s.Call(http.MethodPatch, at, object{"name": "Letter"}, stale).Status).To(Equal(412))
		Expect(s.Call(http.MethodPatch, at, object{"taxClass": "reduced rate"}).Status).To(Equal(422))
		Expect(s.Call(http.MethodPatch, at, object{"taxClass": ""}).Status).To(Equal(200), "as the goods again")
		changed := s.Call(http.MethodPatch, at, object{"name": "Letter", "prices": []object{{"currency": "USD", "price": "3"}}, "destinations": []string{}})
		Expect(changed.JSON()).To(And(HaveKeyWithValue("name", "Letter"), HaveKeyWithValue("destinations", BeEmpty()), HaveKeyWithValue("prices", HaveExactElements(object{"currency": "USD", "price": "3.00"}))))
		Expect(s.Call(http.MethodDelete, at, nil, stale).Status).To(Equal(412))
		Expect(s.Call(http.MethodDelete, at, nil).Status).To(Equal(204))
		Expect(s.Get(at).Status).To(Equal(404))
	})

	It("is shown in the merchant's order, to staff whole and to buyers as far as it concerns them", func() {
		offered(parcel)
		offered(object{"name": "Pickup", "prices": []object{{"currency": "EUR", "price": "0"}}})
		offered(object{"name": "Pigeon", "active": false, "prices": []object{{"currency": "EUR", "price": "0"}}})
		Expect(s.Get("/v1/shipping/methods").JSON()["data"]).To(HaveLen(3))
		Expect(rates(s, toPortugal)).To(HaveExactElements(
			And(HaveKeyWithValue("name", "Pickup"), HaveKeyWithValue("price", "0.00")),
			And(HaveKeyWithValue("name", "Parcel"), HaveKeyWithValue("price", "4.90"), HaveKeyWithValue("freeFrom", "50.00")),
		))
		Expect(rates(s, object{"destination": object{"country": "ES"}, "currency": "EUR", "subtotal": "25"})).To(HaveLen(1))
	})

	It("is asked anew as soon as the merchant has changed it", func() {
		at := offered(parcel).Header.Get("Location")
		Expect(rates(s, toPortugal)).To(HaveExactElements(HaveKeyWithValue("price", "4.90")))
		Expect(s.Call(http.MethodPatch, at, object{"prices": []object{{"currency": "EUR", "price": "7"}}}).Status).To(Equal(200))
		Expect(rates(s, toPortugal)).To(HaveExactElements(HaveKeyWithValue("price", "7.00")))
		Expect(s.Call(http.MethodDelete, at, nil).Status).To(Equal(204))
		Expect(rates(s, toPortugal)).To(BeEmpty())
	})

	It("is nobody else's", func() {
		at := offered(parcel).Header.Get("Location")
		other := testkit.NewTenant(testkit.Shared())
		theirs := s.With(testkit.Key(s.App.DB(), other))
		Expect(theirs.Get(at).Status).To(Equal(404))
		Expect(theirs.Call(http.MethodPatch, at, object{"name": "Mine"}).Status).To(Equal(404))
		Expect(rates(theirs, toPortugal)).To(BeEmpty())
		found, err := m.Rates(testkit.As(other), shippingapi.Parcel{Country: "PT", Subtotal: money.Amount{Minor: 900, Currency: money.EUR}})
		Expect(err).NotTo(HaveOccurred())
		Expect(found.Ships).To(BeFalse())
	})

	DescribeTable("is refused with the places that are wrong:", func(change object, pointers ...string) {
		body := maps.Clone(parcel)
		maps.Copy(body, change)
		r := s.Post("/v1/shipping/methods", body)
		Expect(r.Status).To(Equal(422), "%s", r.Raw)
		var found []string
		for _, e := range r.JSON()["errors"].([]any) {
			found = append(found, e.(object)["pointer"].(string))
		}
		Expect(found).To(ConsistOf(pointers))
	},
		Entry("a price below nothing", object{"prices": []object{{"currency": "EUR", "price": "-1"}}}, "/prices/0/price"),
		Entry("two prices in a currency", object{"prices": []object{{"currency": "EUR", "price": "1"}, {"currency": "EUR", "price": "2"}}}, "/prices/1/currency"),
		Entry("no subtotal left", object{"prices": []object{{"currency": "EUR", "price": "1", "minSubtotal": "2", "maxSubtotal": "1"}}}, "/prices/0/maxSubtotal"),
		Entry("a place that is none", object{"destinations": []string{"PT", "Portugal"}}, "/destinations/1"),
		Entry("countries that there are not", object{"destinations": []string{"PT", "ZZ", "UK-ENG", "GB"}}, "/destinations/1", "/destinations/2"),
		Entry("a tax class in capitals, which no rate has", object{"taxClass": "Standard"}, "/taxClass"),
		Entry("a blank name", object{"name": " "}, "/name"),
	)

	DescribeTable("refuses to say what it costs to send", func(body object, code, pointer string) {
		r := s.Post("/v1/shipping/rates", body)
		Expect(r.Status).To(Equal(422), "%s", r.Raw)
		Expect(r.Code()).To(Equal(code))
		Expect(r.JSON()["errors"]).To(ContainElement(HaveKeyWithValue("pointer", pointer)))
	},
		Entry("what is not for sale", object{"destination": object{"country": "PT"}, "currency": "EUR", "items": []object{{"sku": "GHOST", "quantity": 1}}}, "unknown_sku", "/items/0/sku"),
		Entry("what has no price in the currency", object{"destination": object{"country": "PT"}, "currency": "USD", "items": []object{{"sku": "MUG", "quantity": 1}}}, "currency_mismatch", "/items/0/sku"),
		Entry("a country that there is not", object{"destination": object{"country": "ZZ"}, "currency": "EUR", "subtotal": "1"}, "validation_failed", "/destination/country"),
		Entry("goods and a subtotal", object{"destination": object{"country": "PT"}, "currency": "EUR", "subtotal": "1", "items": []object{{"sku": "MUG", "quantity": 1}}}, "validation_failed", "/subtotal"),
	)

	It("has room for a hundred ways and no more", func() {
		Expect(testkit.SQL(testkit.Shared().Super).Exec(`
			insert into shipping.method (tenant_id, id, name, description, destinations, tax_class, active, position, created_at, updated_at)
			select $1, gen_random_uuid(), 'm', '', '{}', '', true, 0, now(), now() from generate_series(1, 100)`, s.Tenant)).Error().NotTo(HaveOccurred())
		Expect(s.Post("/v1/shipping/methods", parcel).Code()).To(Equal("too_many_methods"))
	})
})
