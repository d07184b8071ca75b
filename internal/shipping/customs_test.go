package shipping

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// asked is a carrier that is only asked for offers.
type asked struct {
	carrier.Carrier

	what []carrier.Item
}

func (a *asked) Rates(_ context.Context, _ carrier.Account, p carrier.Consignment) ([]carrier.Rate, error) {
	a.what = p.Items
	return nil, nil
}

var _ = Describe("customs", Label("db"), func() {
	type object = map[string]any
	var (
		s     *testkit.Shop
		d     *desk
		m     *Module
		known shelf
	)
	BeforeEach(func() {
		d = &desk{id: clock.NewID(), customer: clock.NewID().String(), left: 3}
		known = shelf{"MUG": {SKU: "MUG", Measures: catalogapi.Measures{Grams: 350}, Customs: catalogapi.Customs{HSCode: "691200", Origin: "PT"}}}
		s = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			m = New(k, known, d)
			return []app.Module{m}
		})
		r := s.Call(http.MethodPut, "/v1/shipping/settings", object{"sender": object{"name": "Casa do Café", "line1": "Rua da Rosa 45", "city": "Porto", "postalCode": "4000-001", "country": "PT"}})
		Expect(r.Status).To(Equal(200), "%s", r.Raw)
	})
	sent := func(country string) (at string) {
		GinkgoHelper()
		d.country = country
		r := s.Post("/v1/shipments", object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": 3}}, "parcel": object{"grams": 1250}})
		Expect(r.Status).To(Equal(201), "%s", r.Raw)
		return fmt.Sprint("/v1/shipments/", r.JSON()["id"])
	}

	It("are told what is in a parcel that goes to them, as PDF and for label printers", func() {
		at := sent("BR")
		zpl := s.Get(at + "/customs.zpl")
		Expect(zpl.Status).To(Equal(200), "%s", zpl.Raw)
		Expect(string(zpl.Raw)).To(And(ContainSubstring("CN 22"), ContainSubstring("Mug"), ContainSubstring("^FD1.05^"), ContainSubstring("^FD37.50 EUR^")))
		f, err := m.svc.declaration(testkit.As(s.Tenant), &byID{strings.TrimPrefix(at, "/v1/shipments/")})
		Expect(err).NotTo(HaveOccurred())
		Expect(f.Items).To(HaveExactElements(And(HaveField("HSCode", "691200"), HaveField("Origin", "PT"), HaveField("Quantity", int64(3)))))
		pdf := s.Get(at + "/customs.pdf")
		Expect(pdf.Status).To(Equal(200), "%s", pdf.Raw)
		Expect(string(pdf.Raw[:8])).To(HavePrefix("%PDF-"))
		Expect(pdf.Header.Get("Content-Disposition")).To(ContainSubstring("customs-1001-1.pdf"))
	})

	It("are told the weight that the parcel has when nobody knows that of a product", func() {
		maps.DeleteFunc(known, func(string, catalogapi.Offer) bool { return true })
		Expect(string(s.Get(sent("GB") + "/customs.zpl").Raw)).To(ContainSubstring("^FD1.25^"))
	})

	DescribeTable("see nothing of a parcel that stays", func(country string) {
		r := s.Get(sent(country) + "/customs.pdf")
		Expect(r.Status).To(Equal(409))
		Expect(r.JSON()).To(HaveKeyWithValue("code", "customs_not_asked"))
	},
		Entry("in its country", "PT"),
		Entry("in the same union", "DE"),
	)

	It("are told by the carriers, of what crosses a border, what the catalog knows", func() {
		ctx := testkit.As(s.Tenant)
		for country, want := range map[string]types.GomegaMatcher{"BR": HaveExactElements(And(HaveField("HSCode", "691200"), HaveField("Origin", "PT"), HaveField("Grams", int64(1050)))), "PT": BeEmpty()} {
			d.country = country
			p, _, err := m.svc.offered(ctx, wanted{OrderID: d.id, Size: carrier.Parcel{Grams: 1250}})
			Expect(err).NotTo(HaveOccurred())
			c := &asked{}
			_, err = m.svc.rated(ctx, c, carrier.Account{}, &p, p.consignment(clock.NewID(), account{}))
			Expect(err).NotTo(HaveOccurred())
			Expect(c.what).To(want, country)
		}
	})
})
