package pricing

import (
	"context"
	"maps"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// shelf stands in for the catalog.
type shelf map[string]catalogapi.Offer

func (s shelf) Offers(context.Context, []string) (map[string]catalogapi.Offer, error) { return s, nil }

var mug, book = clock.NewID().String(), clock.NewID().String()

func assortment() shelf {
	eur := func(minor int64) []money.Amount { return []money.Amount{{Minor: minor, Currency: money.EUR}} }
	return shelf{
		"MUG":  {SKU: "MUG", ProductID: mug, Name: "Blue mug", Prices: eur(1190), TaxClass: "standard"},
		"BOOK": {SKU: "BOOK", ProductID: book, Name: "Tides", Prices: eur(2140), TaxClass: "reduced"},
		"TEA":  {SKU: "TEA", ProductID: clock.NewID().String(), Name: "Sencha", Prices: []money.Amount{{Minor: 1500, Currency: money.JPY}}, TaxClass: "standard"},
		"GOLD": {SKU: "GOLD", ProductID: clock.NewID().String(), Name: "A lot", Prices: eur(1 << 62), TaxClass: "standard"},
	}
}

type object = map[string]any

func refusal(status int, code string, pointers ...string) types.GomegaMatcher {
	matcher := And(HaveField("Status", status), WithTransform(testkit.Response.Code, Equal(code)))
	if len(pointers) == 0 {
		return matcher
	}
	return And(matcher, WithTransform(func(r testkit.Response) (list []string) {
		fields, _ := r.JSON()["errors"].([]any)
		for _, f := range fields {
			list = append(list, f.(object)["pointer"].(string))
		}
		return list
	}, ConsistOf(pointers)))
}

var _ = Describe("pricing over HTTP", Label("db"), func() {
	var shop *testkit.Shop

	BeforeEach(func() {
		shop = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module { return []app.Module{New(k, assortment())} })
	})

	made := func(path string, body any) object {
		GinkgoHelper()
		r := shop.Post(path, body)
		Expect(r.Status).To(Equal(http.StatusCreated), "%s", r.Raw)
		return r.JSON()
	}
	in := func(country, class, rate string, more ...object) object {
		body := object{"name": "MwSt.", "country": country, "taxClass": class, "rate": rate}
		for _, m := range more {
			maps.Copy(body, m)
		}
		return body
	}
	german := func() {
		GinkgoHelper()
		Expect(shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"country": "DE"}).Status).To(Equal(http.StatusOK))
		made("/v1/tax/rates", in("DE", "standard", "19"))
		made("/v1/tax/rates", in("DE", "reduced", "7"))
	}
	basket := func(more object) object {
		body := object{"currency": "EUR", "items": []object{{"sku": "MUG", "quantity": 2}, {"sku": "BOOK", "quantity": 1}}}
		maps.Copy(body, more)
		return body
	}
	quoted := func(more object) object {
		GinkgoHelper()
		r := shop.Post("/v1/pricing/quote", basket(more))
		Expect(r.Status).To(Equal(http.StatusOK), "%s", r.Raw)
		return r.JSON()
	}

	Describe("the settings", func() {
		It("are what most shops want until somebody says otherwise, and change by parts", func() {
			r := shop.Get("/v1/pricing/settings")
			Expect(r.JSON()).To(Equal(object{"pricesIncludeTax": true, "rounding": "line", "mode": "half_up", "shippingTax": "goods"}))
			Expect(r.Header.Get("ETag")).To(Equal(`"0"`))
			r = shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"country": "US", "region": "us-ny", "pricesIncludeTax": false}, testkit.Header{Name: "If-Match", Value: `"0"`})
			Expect(r.JSON()).To(And(HaveKeyWithValue("region", "NY"), HaveKeyWithValue("pricesIncludeTax", false), HaveKeyWithValue("rounding", "line"), HaveKey("updatedAt")))
			Expect(shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"rounding": "order"}, testkit.Header{Name: "If-Match", Value: `"0"`})).To(refusal(http.StatusPreconditionFailed, "version_conflict"))
			Expect(shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"shippingTax": "standard"}).JSON()).To(HaveKeyWithValue("shippingTax", "standard"))
			Expect(shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"shippingTax": "goods"}).JSON()).To(HaveKeyWithValue("shippingTax", "goods"))
			Expect(shop.Get("/v1/pricing/settings").Header.Get("ETag")).To(Equal(`"3"`))
		})
	})

	Describe("a tax rate", func() {
		It("is added, read, listed by place, replaced and removed", func() {
			first := made("/v1/tax/rates", in("DE", "standard", "19.0"))
			Expect(first).To(And(HaveKeyWithValue("rate", "19"), HaveKeyWithValue("priority", 0.0), HaveKeyWithValue("compound", false)))
			second := made("/v1/tax/rates", in("AT", "standard", "20"))
			list := shop.Get("/v1/tax/rates?limit=1").JSON()
			Expect(list["data"]).To(HaveExactElements(Equal(second)))
			Expect(shop.Get("/v1/tax/rates?limit=1&cursor=" + list["nextCursor"].(string)).JSON()["data"]).To(HaveExactElements(Equal(first)))
			path := "/v1/tax/rates/" + first["id"].(string)
			Expect(shop.Call(http.MethodPut, path, in("DE", "standard", "16"), testkit.Header{Name: "If-Match", Value: `"1"`}).JSON()).To(HaveKeyWithValue("rate", "16"))
			Expect(shop.Call(http.MethodPut, path, in("DE", "standard", "17"), testkit.Header{Name: "If-Match", Value: `"1"`})).To(refusal(http.StatusPreconditionFailed, "version_conflict"))
			Expect(shop.Get(path).Header.Get("ETag")).To(Equal(`"2"`))
			Expect(shop.Call(http.MethodDelete, path, nil).Status).To(Equal(http.StatusNoContent))
			Expect(shop.Get(path)).To(refusal(http.StatusNotFound, "not_found"))
			Expect(shop.Get("/v1/tax/rates?country=DE").JSON()).To(HaveKeyWithValue("data", BeEmpty()))
		})

		It("is refused where another would count for the same goods at the same time", func() {
			made("/v1/tax/rates", in("DE", "standard", "16", object{"validUntil": "2026-07-01T00:00:00Z"}))
			later := made("/v1/tax/rates", in("DE", "standard", "19", object{"validFrom": "2026-07-01T00:00:00Z"}))
			Expect(shop.Post("/v1/tax/rates", in("DE", "standard", "5"))).To(refusal(http.StatusConflict, "tax_rate_overlaps"))
			Expect(shop.Call(http.MethodPut, "/v1/tax/rates/"+later["id"].(string), in("DE", "standard", "19", object{"validFrom": "2026-06-30T00:00:00Z"}))).To(refusal(http.StatusConflict, "tax_rate_overlaps"))
			for _, other := range []object{{"priority": 1}, {"region": "BY"}, {"postalPrefix": "8"}, {"taxClass": "reduced"}, {"country": "AT"}} {
				made("/v1/tax/rates", in("DE", "standard", "5", other))
			}
			Expect(shop.Post("/v1/tax/rates", in("DE", "standard", "5", object{"region": "DE-by"}))).To(refusal(http.StatusConflict, "tax_rate_overlaps"), "the region is the same")
		})

		It("is refused with what makes no sense", func() {
			Expect(shop.Post("/v1/tax/rates", in("de", "Standard", "1001", object{"name": "a\nb", "validFrom": "2026-07-01T00:00:00Z", "validUntil": "2026-07-01T00:00:00Z", "priority": -1}))).To(
				refusal(http.StatusUnprocessableEntity, "validation_failed", "/country", "/taxClass", "/rate", "/name", "/validUntil", "/priority"))
		})

		It("is of a country, as the shop and a quote are", func() {
			uk := shop.Post("/v1/tax/rates", in("UK", "standard", "20"))
			Expect(uk).To(refusal(http.StatusUnprocessableEntity, "validation_failed", "/country"))
			Expect(uk.JSON()["errors"]).To(HaveExactElements(HaveKeyWithValue("detail", ContainSubstring("GB is"))))
			Expect(shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"country": "ZZ"})).To(refusal(http.StatusUnprocessableEntity, "validation_failed", "/country"))
			Expect(shop.Post("/v1/pricing/quote", basket(object{"destination": object{"country": "ZZ"}}))).To(refusal(http.StatusUnprocessableEntity, "validation_failed", "/destination/country"))
			Expect(made("/v1/tax/rates", in("US", "standard", "8", object{"region": "New York"}))).To(HaveKeyWithValue("region", "NY"))
		})
	})

	Describe("a quote", func() {
		It("is at the catalog's prices and the shop's rates, and says what each unit has", func() {
			german()
			made("/v1/discounts", object{"name": "Spring sale", "effect": "percent", "percent": "10", "code": "spring"})
			q := quoted(object{"codes": []string{" Spring"}, "shipping": object{"price": "5.95"}})
			Expect(q).To(And(
				HaveKeyWithValue("subtotal", "45.20"), HaveKeyWithValue("discountTotal", "4.52"), HaveKeyWithValue("shippingTotal", "5.95"),
				HaveKeyWithValue("total", "46.63"), HaveKeyWithValue("taxIncluded", true), HaveKeyWithValue("refused", BeEmpty()), Not(HaveKey("candidates"))))
			Expect(q["applied"]).To(HaveExactElements(And(HaveKeyWithValue("code", "SPRING"), HaveKeyWithValue("name", "Spring sale"), HaveKeyWithValue("amount", "4.52"))))
			Expect(q["lines"].([]any)[0]).To(And(
				HaveKeyWithValue("sku", "MUG"), HaveKeyWithValue("total", "21.42"), HaveKeyWithValue("tax", "3.42"),
				HaveKeyWithValue("taxes", HaveExactElements(And(HaveKeyWithValue("rate", "19"), HaveKeyWithValue("reason", "standard"), HaveKeyWithValue("amount", "3.42")))),
				HaveKeyWithValue("units", HaveExactElements(Equal(object{"count": 2.0, "discount": "1.19", "net": "9.00", "tax": "1.71"})))))
			Expect(q["shipping"]).To(HaveKeyWithValue("taxes", HaveLen(2)))
		})

		It("follows a rule from the moment on that it changes", func() {
			german()
			Expect(quoted(nil)).To(HaveKeyWithValue("taxTotal", "5.20"))
			Expect(shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"pricesIncludeTax": false}).Status).To(Equal(http.StatusOK))
			Expect(quoted(nil)).To(HaveKeyWithValue("taxTotal", "6.02"))
			d := made("/v1/discounts", object{"name": "Gift", "effect": "fixed", "amount": 5, "currency": "EUR", "automatic": true})
			Expect(quoted(nil)).To(HaveKeyWithValue("discountTotal", "5.00"))
			Expect(shop.Call(http.MethodDelete, "/v1/discounts/"+d["id"].(string), nil).Status).To(Equal(http.StatusNoContent))
			Expect(quoted(nil)).To(HaveKeyWithValue("discountTotal", "0.00"))
		})

		It("follows a moment later what another replica changes", func() {
			german()
			there := *testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module { return []app.Module{New(k, assortment())} })
			there.Key = shop.Key
			taxes := func() any { return there.Post("/v1/pricing/quote", basket(nil)).JSON()["taxTotal"] }
			Expect(taxes()).To(Equal("5.20"))
			Expect(shop.Call(http.MethodPatch, "/v1/pricing/settings", object{"pricesIncludeTax": false}).Status).To(Equal(http.StatusOK))
			Eventually(taxes, testkit.Patience).Should(Equal("6.02"))
		})

		It("says why a code does nothing, and to the shop's people why a discount does not count", func() {
			made("/v1/discounts", object{"name": "Welcome", "effect": "percent", "percent": "10", "code": "WELCOME", "minSubtotal": "57.20", "currency": "EUR"})
			made("/v1/discounts", object{"name": "VIP", "effect": "percent", "percent": "20", "automatic": true, "customerGroups": []string{"vip"}})
			gone := made("/v1/discounts", object{"name": "Old", "effect": "percent", "percent": "20", "code": "OLD"})
			Expect(shop.Call(http.MethodDelete, "/v1/discounts/"+gone["id"].(string), nil).Status).To(Equal(http.StatusNoContent))
			asked := object{"codes": []string{"welcome", "ghost", "old"}, "explain": true}
			q := quoted(asked)
			Expect(q["refused"]).To(ConsistOf(
				And(HaveKeyWithValue("code", "WELCOME"), HaveKeyWithValue("reason", "min_subtotal_not_met"), HaveKeyWithValue("detail", "Needs 12.00 EUR more.")),
				And(HaveKeyWithValue("code", "GHOST"), HaveKeyWithValue("reason", "unknown_code")),
				And(HaveKeyWithValue("code", "OLD"), HaveKeyWithValue("reason", "expired"))))
			Expect(q["candidates"]).To(HaveLen(4))
			Expect(q["candidates"]).To(ContainElement(And(HaveKeyWithValue("name", "VIP"), HaveKeyWithValue("reason", "customer_not_eligible"))))
			page := shop.With(testkit.Key(shop.App.DB(), shop.Tenant, "orders:place")).Post("/v1/pricing/quote", basket(asked))
			Expect(page.JSON()["candidates"]).To(HaveLen(3))
			Expect(string(page.Raw)).NotTo(ContainSubstring("VIP"))
		})

		It("is not asked as somebody else by who may not look at discounts", func() {
			made("/v1/discounts", object{"name": "VIP", "effect": "percent", "percent": "20", "automatic": true, "customerGroups": []string{"vip"}})
			Expect(quoted(object{"customerGroups": []string{"vip"}})).To(HaveKeyWithValue("discountTotal", "9.04"))
			page := shop.With(testkit.Key(shop.App.DB(), shop.Tenant, "orders:place"))
			Expect(page.Post("/v1/pricing/quote", basket(object{"customerGroups": []string{"vip"}}))).To(refusal(http.StatusForbidden, "forbidden"))
			Expect(page.Post("/v1/pricing/quote", basket(object{"firstOrder": true}))).To(refusal(http.StatusForbidden, "forbidden"))
			Expect(page.Post("/v1/pricing/quote", basket(nil)).Status).To(Equal(http.StatusOK))
		})

		It("is refused for what is not for sale, has no price in the currency, or is worth more than can be counted", func() {
			item := func(sku string) object { return object{"items": []object{{"sku": sku, "quantity": 4}}} }
			Expect(shop.Post("/v1/pricing/quote", basket(item("GHOST")))).To(refusal(http.StatusUnprocessableEntity, "unknown_sku", "/items/0/sku"))
			Expect(shop.Post("/v1/pricing/quote", basket(object{"items": []object{{"sku": "GHOST", "quantity": 1}, {"sku": "TEA", "quantity": 1}, {"sku": "PHANTOM", "quantity": 1}}}))).To(
				refusal(http.StatusUnprocessableEntity, "unknown_sku", "/items/0/sku", "/items/2/sku"))
			Expect(shop.Post("/v1/pricing/quote", basket(item("TEA")))).To(refusal(http.StatusUnprocessableEntity, "currency_mismatch", "/items/0/sku"))
			Expect(shop.Post("/v1/pricing/quote", basket(item("GOLD")))).To(refusal(http.StatusUnprocessableEntity, "amount_out_of_range"))
			Expect(shop.Post("/v1/pricing/quote", basket(object{"currency": "CHF", "codes": []string{"", strings.Repeat("x", 65)}, "shipping": object{"price": "-1"}}))).To(
				refusal(http.StatusUnprocessableEntity, "validation_failed", "/currency", "/codes/0", "/codes/1", "/shipping/price"))
		})
	})

	Describe("a discount", func() {
		It("is read as it was entered, listed newest first, found by its code, and replaced as a whole", func() {
			sent := object{
				"name": "Books", "effect": "buy_x_get_y", "percent": "50", "buyQuantity": 2, "getQuantity": 1, "maxRepeats": 3, "currency": "EUR", "productIds": []string{book}, "getSkus": []string{"MUG"},
				"minSubtotal": "20", "minQuantity": 2, "customerGroups": []string{"readers"}, "firstOrder": true, "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2036-01-01T00:00:00Z",
				"priority": 5, "exclusive": true, "stackGroup": "seasonal", "maxUses": 100, "maxUsesPerBuyer": 1, "maxSpend": "1000.00", "automatic": false, "status": "active", "code": "books",
			}
			d := made("/v1/discounts", sent)
			for name, value := range sent {
				switch name {
				case "code":
					Expect(d).NotTo(HaveKey("code"))
				case "minSubtotal":
					Expect(d).To(HaveKeyWithValue(name, "20.00"))
				default:
					Expect(d).To(HaveKeyWithValue(name, Or(Equal(value), BeEquivalentTo(value), ConsistOf(value))), name)
				}
			}
			Expect(d).To(And(HaveKeyWithValue("uses", 0.0), HaveKeyWithValue("spent", "0.00")))
			other := made("/v1/discounts", object{"name": "Post", "effect": "free_shipping", "code": "POST"})
			list := shop.Get("/v1/discounts?limit=1").JSON()
			Expect(list["data"]).To(HaveExactElements(Equal(other)))
			Expect(shop.Get("/v1/discounts?limit=1&cursor=" + list["nextCursor"].(string)).JSON()["data"]).To(HaveExactElements(Equal(d)))
			Expect(shop.Get("/v1/discounts?code=Books").JSON()["data"]).To(HaveExactElements(Equal(d)))

			path := "/v1/discounts/" + d["id"].(string)
			Expect(shop.Get(path).JSON()).To(Equal(d))
			r := shop.Call(http.MethodPut, path, object{"name": "Books", "effect": "percent", "percent": "5", "status": "disabled"}, testkit.Header{Name: "If-Match", Value: `"1"`})
			Expect(r.JSON()).To(And(HaveKeyWithValue("percent", "5"), HaveKeyWithValue("status", "disabled"), Not(HaveKey("maxUses")), Not(HaveKey("uses")), Not(HaveKey("productIds")), Not(HaveKey("endsAt"))))
			Expect(shop.Call(http.MethodPut, path, object{"name": "Books", "effect": "percent", "percent": "5"}, testkit.Header{Name: "If-Match", Value: `"1"`})).To(refusal(http.StatusPreconditionFailed, "version_conflict"))
			Expect(quoted(object{"codes": []string{"BOOKS"}})["refused"]).To(HaveExactElements(HaveKeyWithValue("reason", "expired")))

			Expect(shop.Call(http.MethodDelete, path, nil).Status).To(Equal(http.StatusNoContent))
			Expect(shop.Call(http.MethodPut, path, object{"name": "Books", "effect": "percent", "percent": "5"})).To(refusal(http.StatusConflict, "discount_archived"))
			Expect(shop.Post(path+"/codes", object{"count": 1})).To(refusal(http.StatusConflict, "discount_archived"))
			Expect(shop.Post("/v1/discounts", object{"name": "Again", "effect": "percent", "percent": "5", "code": "BOOKS"})).To(refusal(http.StatusConflict, "code_taken", "/code"))
		})

		DescribeTable("is refused with what makes no sense", func(body object, pointers ...string) {
			Expect(shop.Post("/v1/discounts", body)).To(refusal(http.StatusUnprocessableEntity, "validation_failed", pointers...))
		},
			Entry("percent without a percentage", object{"name": "A", "effect": "percent"}, "/percent"),
			Entry("more than all", object{"name": "A", "effect": "percent", "percent": "100.1"}, "/percent"),
			Entry("an amount without a currency", object{"name": "A", "effect": "fixed", "amount": "5"}, "/currency"),
			Entry("no amount", object{"name": "A", "effect": "fixed_price", "currency": "EUR"}, "/amount"),
			Entry("too many digits", object{"name": "A", "effect": "fixed", "currency": "EUR", "amount": "5.001", "minSubtotal": "0.001"}, "/amount", "/minSubtotal"),
			Entry("an amount beside a percentage", object{"name": "A", "effect": "percent", "percent": "5", "currency": "EUR", "amount": "5"}, "/amount"),
			Entry("nothing bought or got", object{"name": "A", "effect": "buy_x_get_y", "percent": "100"}, "/buyQuantity", "/getQuantity"),
			Entry("something bought for a percentage", object{"name": "A", "effect": "percent", "percent": "5", "buyQuantity": 1, "getQuantity": 1, "maxRepeats": 1, "getSkus": []string{"A"}, "getProductIds": []string{mug}},
				"/buyQuantity", "/getQuantity", "/maxRepeats", "/getSkus", "/getProductIds"),
			Entry("an end before its beginning", object{"name": "A", "effect": "percent", "percent": "5", "startsAt": "2026-01-02T00:00:00Z", "endsAt": "2026-01-01T00:00:00Z"}, "/endsAt"),
			Entry("a code although it applies by itself", object{"name": "A", "effect": "percent", "percent": "5", "automatic": true, "code": "ABC"}, "/code"),
			Entry("products that are none", object{"name": "A", "effect": "percent", "percent": "5", "productIds": []string{mug, "x"}}, "/productIds/1"),
			Entry("a currency that is none", object{"name": "A", "effect": "percent", "percent": "5", "currency": "CHF"}, "/currency"),
			Entry("a budget of nothing", object{"name": "A", "effect": "percent", "percent": "5", "currency": "EUR", "maxSpend": "0"}, "/maxSpend"),
		)

		It("has codes of its own, as many as are asked for, that nobody can guess", func() {
			d := made("/v1/discounts", object{"name": "Letter", "effect": "percent", "percent": "10"})
			path := "/v1/discounts/" + d["id"].(string) + "/codes"
			Expect(made(path, object{"count": 250, "prefix": "mail-"})).To(Equal(object{"made": 250.0}))
			seen := map[string]bool{}
			for cursor := ""; ; {
				page := shop.Get(path + "?limit=100" + cursor).JSON()
				for _, c := range page["data"].([]any) {
					Expect(c).To(And(HaveKeyWithValue("code", MatchRegexp(`^MAIL-[A-Z2-7]{10}$`)), HaveKeyWithValue("maxUses", 1.0), HaveKeyWithValue("uses", 0.0)))
					seen[c.(object)["code"].(string)] = true
				}
				next, more := page["nextCursor"].(string)
				if !more {
					break
				}
				cursor = "&cursor=" + next
			}
			Expect(seen).To(HaveLen(250))
			for code := range seen {
				Expect(quoted(object{"codes": []string{strings.ToLower(code)}})).To(HaveKeyWithValue("discountTotal", "4.52"))
				break
			}
			automatic := made("/v1/discounts", object{"name": "Sale", "effect": "percent", "percent": "10", "automatic": true})
			Expect(shop.Post("/v1/discounts/"+automatic["id"].(string)+"/codes", object{"count": 1})).To(refusal(http.StatusConflict, "discount_automatic"))
		})
	})

	It("shows nothing of one merchant to another", func() {
		german()
		d := made("/v1/discounts", object{"name": "Spring", "effect": "percent", "percent": "10", "code": "SPRING"})
		other := testkit.NewTenant(testkit.Shared())
		theirs := shop.With(testkit.Key(shop.App.DB(), other))
		Expect(theirs.Get("/v1/discounts/" + d["id"].(string))).To(refusal(http.StatusNotFound, "not_found"))
		Expect(theirs.Get("/v1/tax/rates").JSON()).To(HaveKeyWithValue("data", BeEmpty()))
		Expect(theirs.Get("/v1/pricing/settings").JSON()).NotTo(HaveKey("country"))
		q := theirs.Post("/v1/pricing/quote", basket(object{"codes": []string{"SPRING"}})).JSON()
		Expect(q).To(And(HaveKeyWithValue("taxTotal", "0.00"), HaveKeyWithValue("refused", HaveExactElements(HaveKeyWithValue("reason", "unknown_code")))))
	})
})
