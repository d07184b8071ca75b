package catalog

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("asking what SKUs cost over HTTP", func() {
	const serviceKey = "the-deployments-of-the-specs"
	var shop *testkit.Shop

	BeforeEach(func() {
		shop = testkit.Start(testkit.Shared(), app.Options{ServiceKey: serviceKey, BootstrapKey: "open sesame"}, func(k app.Kit) []app.Module { return []app.Module{New(k)} })
		Expect(shop.Post("/v1/products", map[string]any{"sku": "MUG", "name": "Blue mug", "price": "12.50", "currency": "EUR"}).Status).To(Equal(http.StatusCreated))
	})

	service := func(tenant uuid.UUID) *testkit.Shop { return shop.With(identity.ServiceCredential(serviceKey, tenant)) }

	It("tells the shop's other deployments, for the merchant on whose behalf they ask", func() {
		r := service(shop.Tenant).Get("/v1/offers?sku=MUG&sku=NO-SUCH")
		Expect(r.Status).To(Equal(http.StatusOK))
		Expect(r.JSON()["data"]).To(HaveExactElements(And(HaveKeyWithValue("sku", "MUG"), HaveKeyWithValue("name", "Blue mug"), HaveKey("productId"),
			HaveKeyWithValue("prices", HaveExactElements(And(HaveKeyWithValue("price", "12.50"), HaveKeyWithValue("currency", "EUR")))))))
		other := testkit.NewTenant(testkit.Shared())
		Expect(service(other).Get("/v1/offers?sku=MUG").JSON()).To(HaveKeyWithValue("data", BeEmpty()))
		Expect(service(uuid.New()).Get("/v1/offers?sku=MUG").JSON()).To(HaveKeyWithValue("data", BeEmpty()), "a merchant that is none")
	})

	It("says how each is taxed, from the moment on that it is taxed otherwise", func() {
		class := func(sku string) any {
			GinkgoHelper()
			r := service(shop.Tenant).Get("/v1/offers?sku=" + sku)
			Expect(r.JSON()["data"]).To(HaveLen(1))
			return r.JSON()["data"].([]any)[0].(map[string]any)["taxClass"]
		}
		book := shop.Post("/v1/products", map[string]any{"sku": "BOOK", "name": "Tides", "price": "20.00", "currency": "EUR", "taxClass": "reduced"})
		Expect(book.JSON()).To(HaveKeyWithValue("taxClass", "reduced"))
		Expect(class("MUG")).To(Equal("standard"))
		Expect(class("BOOK")).To(Equal("reduced"))
		Expect(shop.Call(http.MethodPatch, "/v1/products/"+book.JSON()["id"].(string), map[string]any{"taxClass": "books"}).JSON()).To(HaveKeyWithValue("taxClass", "books"))
		Expect(class("BOOK")).To(Equal("books"))
	})

	It("says what customs ask of each, from the moment on that somebody has said it otherwise", func() {
		told := func(body map[string]any) []any {
			GinkgoHelper()
			r := service(shop.Tenant).Get("/v1/offers?sku=BOWL")
			Expect(r.JSON()["data"]).To(HaveLen(1))
			offer := r.JSON()["data"].([]any)[0].(map[string]any)
			return []any{offer["hsCode"], offer["countryOfOrigin"], body["hsCode"], body["countryOfOrigin"]}
		}
		bowl := shop.Post("/v1/products", map[string]any{"sku": "BOWL", "name": "Bowl", "price": "20.00", "currency": "EUR", "hsCode": "691200", "countryOfOrigin": "PT"})
		Expect(told(bowl.JSON())).To(Equal([]any{"691200", "PT", "691200", "PT"}))
		at := "/v1/products/" + bowl.JSON()["id"].(string)
		Expect(told(shop.Call(http.MethodPatch, at, map[string]any{"countryOfOrigin": "CN"}).JSON())).To(Equal([]any{"691200", "CN", "691200", "CN"}))
		Expect(told(shop.Call(http.MethodPatch, at, map[string]any{"hsCode": "", "countryOfOrigin": ""}).JSON())).To(Equal([]any{nil, nil, nil, nil}), "not known any more")
		for field, wrong := range map[string]string{"hsCode": "6912", "countryOfOrigin": "UK"} {
			r := shop.Call(http.MethodPatch, at, map[string]any{field: wrong})
			Expect(r).To(refusal(http.StatusUnprocessableEntity, "validation_failed"))
			Expect(r.JSON()["errors"]).To(ConsistOf(HaveKeyWithValue("pointer", "/"+field)))
		}
	})

	It("says what each weighs and how large it is, from the moment on that somebody has measured it anew", func() {
		measured := func(body map[string]any) []any {
			GinkgoHelper()
			r := service(shop.Tenant).Get("/v1/offers?sku=VASE")
			Expect(r.JSON()["data"]).To(HaveLen(1))
			offer := r.JSON()["data"].([]any)[0].(map[string]any)
			return []any{offer["weightGrams"], offer["dimensions"], body["weightGrams"], body["dimensions"]}
		}
		sides := func(l, w, h float64) map[string]any { return map[string]any{"length": l, "width": w, "height": h} }
		vase := shop.Post("/v1/products", map[string]any{"sku": "VASE", "name": "Vase", "price": "20.00", "currency": "EUR", "weightGrams": 350, "dimensions": sides(120, 90, 100)})
		Expect(measured(vase.JSON())).To(Equal([]any{350.0, sides(120, 90, 100), 350.0, sides(120, 90, 100)}))
		at := "/v1/products/" + vase.JSON()["id"].(string)
		Expect(measured(shop.Call(http.MethodPatch, at, map[string]any{"weightGrams": 400}).JSON())).To(Equal([]any{400.0, sides(120, 90, 100), 400.0, sides(120, 90, 100)}))
		Expect(measured(shop.Call(http.MethodPatch, at, map[string]any{"weightGrams": 0, "dimensions": sides(0, 0, 0)}).JSON())).To(Equal([]any{nil, nil, nil, nil}), "not known any more")
		half := shop.Call(http.MethodPatch, at, map[string]any{"dimensions": sides(120, 0, 0)})
		Expect(half).To(refusal(http.StatusUnprocessableEntity, "validation_failed"))
		Expect(half.JSON()["errors"]).To(ConsistOf(HaveKeyWithValue("pointer", "/dimensions/width"), HaveKeyWithValue("pointer", "/dimensions/height")))
	})

	It("lets them do nothing else", func() {
		s := service(shop.Tenant)
		Expect(s.Post("/v1/products", map[string]any{"sku": "TEA", "name": "Tea", "price": "1.00", "currency": "EUR"})).To(refusal(http.StatusForbidden, "forbidden"))
		Expect(s.Get("/v1/products?status=draft")).To(refusal(http.StatusForbidden, "forbidden"))
		Expect(s.Get("/v1/events")).To(refusal(http.StatusForbidden, "forbidden"))
		Expect(s.Get("/v1/products").Status).To(Equal(http.StatusOK), "what everybody may")
	})

	It("needs a permission, which keys may have and owners do", func() {
		const path = "/v1/offers?sku=MUG"
		Expect(shop.With("").Get(path)).To(refusal(http.StatusUnauthorized, "unauthenticated"))
		Expect(shop.With(testkit.Key(shop.App.DB(), shop.Tenant, "products:read", "products:write")).Get(path)).To(refusal(http.StatusForbidden, "forbidden"))
		Expect(shop.With(testkit.Key(shop.App.DB(), shop.Tenant, "offers:read")).Get(path).JSON()).To(HaveKeyWithValue("data", HaveLen(1)))
		Expect(shop.Get(path).JSON()).To(HaveKeyWithValue("data", HaveLen(1)))
		Expect(shop.With("open sesame").Get(path).JSON()).To(HaveKeyWithValue("data", BeEmpty()), "of the default merchant")
		for _, wrong := range []string{serviceKey, serviceKey + "@", "guess@" + shop.Tenant.String(), serviceKey + "@{" + shop.Tenant.String() + "}"} {
			Expect(shop.With(wrong).Get(path)).To(refusal(http.StatusUnauthorized, "invalid_credentials"), wrong)
		}
	})

	It("answers for up to 50 at once", func() {
		skus := func(n int) string {
			q := url.Values{}
			for i := range n {
				q.Add("sku", "SKU-"+strconv.Itoa(i))
			}
			return "/v1/offers?" + q.Encode()
		}
		Expect(shop.Get(skus(50)).Status).To(Equal(http.StatusOK))
		Expect(shop.Get(skus(51)).Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(shop.Get(skus(0)).JSON()).To(HaveKeyWithValue("data", BeEmpty()))
	})
})

func refusal(status int, code string) types.GomegaMatcher {
	return And(HaveField("Status", status), WithTransform(testkit.Response.Code, Equal(code)))
}
