package shipping

import (
	"net/http"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

var _ = Describe("a parcel that nobody has weighed", Label("db"), func() {
	type object = map[string]any
	var (
		s       *testkit.Shop
		d       *desk
		m       *Module
		catalog shelf
	)
	BeforeEach(func() {
		catalog = shelf{"MUG": {SKU: "MUG", Measures: catalogapi.Measures{Grams: 300, Length: 100, Width: 50, Height: 50}}}
		d = &desk{id: clock.NewID(), customer: clock.NewID().String(), left: 8}
		s = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			m = New(k, catalog, d)
			return []app.Module{m}
		})
		Expect(s.Call(http.MethodPut, "/v1/shipping/settings", object{
			"policy": "auto", "defaultGrams": 700, "sender": object{"name": "Casa do Café", "line1": "Rua da Rosa 45", "city": "Porto", "postalCode": "4000-001", "country": "PT"},
		}).Status).To(Equal(200))
		Expect(s.Call(http.MethodPut, "/v1/shipping/boxes", object{"data": []object{{"name": "S", "length": 110, "width": 100, "height": 100, "grams": 40}}}).Status).To(Equal(200))
	})
	// size of the parcel that is made of that many mugs.
	size := func(mugs int, parcel object) carrier.Parcel {
		GinkgoHelper()
		again := testkit.Header{Name: "Idempotency-Key", Value: uuid.NewString()}
		body := object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": mugs}}, "parcel": parcel}
		r := s.Post("/v1/shipments", body, again)
		Expect(r.Status).To(Equal(201), "%s", r.Raw)
		Expect(s.Post("/v1/shipments", body, again).JSON()).To(Equal(r.JSON()), "it is one, also when it is asked for again")
		p, err := m.svc.shipment(testkit.As(s.Tenant), &byID{r.JSON()["id"].(string)})
		Expect(err).NotTo(HaveOccurred())
		return p.Size
	}

	It("weighs what is in it, with the box that it goes into", func() {
		Expect(size(4, object{})).To(Equal(carrier.Parcel{Grams: 1240, Length: 110, Width: 100, Height: 100}))
		Expect(d.left).To(Equal(int64(4)))
	})

	It("weighs all of it together when that is too much for one box", func() {
		Expect(size(8, object{})).To(Equal(carrier.Parcel{Grams: 2480}))
	})

	It("is not made when what is in it weighs more than a parcel can, and nothing is taken for it", func() {
		catalog["MUG"] = catalogapi.Offer{SKU: "MUG", Measures: catalogapi.Measures{Grams: 300_000}}
		r := s.Post("/v1/shipments", object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": 4}}})
		Expect(r.Status).To(Equal(409), "%s", r.Raw)
		Expect(r.JSON()).To(HaveKeyWithValue("code", "parcel_too_heavy"))
		Expect(d.left).To(Equal(int64(8)))
		Expect(size(3, object{}).Grams).To(BeEquivalentTo(900_040))
	})

	It("is as large as somebody says who knows its sides only", func() {
		Expect(size(1, object{"length": 400, "width": 300, "height": 200})).To(Equal(carrier.Parcel{Grams: 340, Length: 400, Width: 300, Height: 200}))
	})

	It("weighs what the shop says of things that nobody has weighed, or that are not for sale any more", func() {
		delete(catalog, "MUG")
		Expect(size(2, object{})).To(Equal(carrier.Parcel{Grams: 1440, Length: 110, Width: 100, Height: 100}))
	})

	It("is left alone once somebody has weighed it", func() {
		Expect(size(2, object{"grams": 999})).To(Equal(carrier.Parcel{Grams: 999}))
	})

	It("is weighed as well when it is made by itself", func() {
		Expect(m.svc.send(testkit.As(s.Tenant), d.id.String(), 1)).To(BeZero())
		Expect(s.Get("/v1/shipments").JSON()["data"]).To(HaveExactElements(HaveKeyWithValue("grams", 2480.0)))
	})
})
