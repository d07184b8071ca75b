package checkout

import (
	"context"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

type object = map[string]any

// counter is a shop with a street of neighbours, and the page that guests see.
type counter struct {
	*testkit.Shop
	street *street
	mod    *Module
	page   *testkit.Shop
}

func opened(st *street, limits ...httpx.Limits) counter {
	GinkgoHelper()
	c, o := counter{street: st}, app.Options{}
	for _, l := range limits {
		o.Gateway.Limits = l
	}
	c.Shop = testkit.Start(testkit.Shared(), o, func(k app.Kit) []app.Module {
		c.mod = New(k, st, st, st, st, st, 10*time.Minute)
		c.mod.Knows(st)
		return []app.Module{c.mod, badge{}}
	})
	c.page = c.With(testkit.Key(c.App.DB(), c.Tenant, identity.Storefront()...))
	return c
}

// member is who has signed in as a customer.
func (c counter) member(id string) *testkit.Shop { return c.With(badgeOf(c.Tenant, id)) }

// guest is a cart with what opens it.
type guest struct {
	*testkit.Shop
	at, id string
	token  testkit.Header
}

func (c counter) begins(body object) guest {
	GinkgoHelper()
	r := c.page.Post("/v1/carts", body)
	Expect(r.Status).To(Equal(201), "%s", r.Raw)
	token, _ := r.JSON()["token"].(string)
	Expect(token).To(HavePrefix("fc_ct_"))
	id, _ := r.JSON()["id"].(string)
	return guest{c.page, r.Header.Get("Location"), id, testkit.Header{Name: "Cart-Token", Value: token}}
}

func (g guest) on(shop *testkit.Shop) guest { g.Shop = shop; return g }

func (g guest) read(path ...string) object {
	GinkgoHelper()
	at := g.at
	for _, p := range path {
		at += p
	}
	r := g.Get(at, g.token)
	Expect(r.Status).To(Equal(200), "%s", r.Raw)
	return r.JSON()
}

func (g guest) does(operations ...object) testkit.Response {
	GinkgoHelper()
	return g.Call(http.MethodPatch, g.at, object{"operations": operations}, g.token)
}

func (g guest) places(body ...any) testkit.Response {
	GinkgoHelper()
	if len(body) == 0 {
		return g.Post(g.at+"/place", nil, g.token)
	}
	return g.Post(g.at+"/place", body[0], g.token)
}

// overslept lets the hold of a cart run out.
func (c counter) overslept(g guest) {
	GinkgoHelper()
	_, err := testkit.SQL(testkit.Shared().Super).Exec(`update checkout.cart set hold_expires_at = now() - interval '1 minute' where id = $1`, g.id)
	Expect(err).NotTo(HaveOccurred())
	c.street.mu.Lock()
	defer c.street.mu.Unlock()
	clear(c.street.holds)
}

func done(r testkit.Response) object {
	GinkgoHelper()
	Expect(r.Status).To(Or(Equal(200), Equal(201)), "%s", r.Raw)
	return r.JSON()
}

func refused(r testkit.Response, status int, code string) object {
	GinkgoHelper()
	Expect(r.Status).To(Equal(status), "%s", r.Raw)
	Expect(r.Code()).To(Equal(code))
	return r.JSON()
}

func changesOf(o object) (types []string) {
	list, _ := o["changes"].([]any)
	for _, c := range list {
		types = append(types, c.(object)["type"].(string))
	}
	return types
}

var (
	lisbon = object{"name": "Ana", "line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"}
	basket = []object{{"sku": "MUG", "quantity": 2}, {"sku": "CUP"}}
	whole  = object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon}
)

var _ = Describe("a cart", Label("db"), func() {
	var c counter
	BeforeEach(func() { c = opened(newStreet()) })

	It("can be begun with everything that is known, in one call", func() {
		c.street.ways = []shippingapi.Option{{MethodID: "0199c1de-0000-7000-8000-00000000000a", Name: "Parcel", Price: eur(490), FreeFrom: new(eur(5000))}}
		c.street.gifts["TEN"] = 1000
		g := c.begins(object{
			"items": basket, "email": "ana@example.com", "shippingAddress": lisbon, "billingAddress": object{"name": "Ana Ltd"}, "codes": []string{"TEN", "NONE"},
			"shippingMethodId": "0199c1de-0000-7000-8000-00000000000a", "metadata": object{"note": "ring twice"},
		})
		seen := g.read()
		Expect(seen).To(And(
			HaveKeyWithValue("status", "open"), HaveKeyWithValue("currency", "EUR"), HaveKeyWithValue("subtotal", "34.00"), HaveKeyWithValue("discountTotal", "10.00"),
			HaveKeyWithValue("shippingTotal", "4.90"), HaveKeyWithValue("total", "28.90"), HaveKeyWithValue("freeShippingRemaining", "16.00"),
			HaveKeyWithValue("changes", BeEmpty()), HaveKeyWithValue("codes", HaveExactElements("TEN", "NONE")), HaveKeyWithValue("metadata", object{"note": "ring twice"}),
			HaveKeyWithValue("discounts", HaveExactElements(And(HaveKeyWithValue("code", "TEN"), HaveKeyWithValue("amount", "10.00")))),
			HaveKeyWithValue("refusedCodes", HaveExactElements(And(HaveKeyWithValue("code", "NONE"), HaveKeyWithValue("reason", "unknown_code")))),
			HaveKeyWithValue("shipping", And(HaveKeyWithValue("name", "Parcel"), HaveKeyWithValue("price", "4.90"))),
			HaveKey("holdExpiresAt"), Not(HaveKey("token")),
		))
		Expect(seen["items"]).To(HaveExactElements(
			And(HaveKeyWithValue("sku", "MUG"), HaveKeyWithValue("quantity", BeEquivalentTo(2)), HaveKeyWithValue("subtotal", "25.00"), HaveKeyWithValue("discount", "10.00"), HaveKeyWithValue("total", "15.00")),
			And(HaveKeyWithValue("sku", "CUP"), HaveKeyWithValue("quantity", BeEquivalentTo(1)), HaveKeyWithValue("price", "9.00"), HaveKeyWithValue("status", "ok")),
		))
	})

	It("is seen by who has its token, by its customer and by staff, and does not exist for others", func() {
		g := c.begins(whole)
		Expect(g.Get(g.at).Status).To(Equal(404), "without a token")
		Expect(g.Get(g.at, testkit.Header{Name: "Cart-Token", Value: c.begins(whole).token.Value}).Status).To(Equal(404), "with another's")
		Expect(c.With("").Get(g.at, g.token).Status).To(Equal(401), "a token is no key to the shop")
		for _, path := range []string{g.at + "/checkout", g.at} {
			Expect(c.member(clock.NewID().String()).Get(path).Status).To(Equal(404))
		}
		for _, change := range []func(s *testkit.Shop) testkit.Response{
			func(s *testkit.Shop) testkit.Response { return s.Post(g.at+"/items", object{"sku": "MUG"}) },
			func(s *testkit.Shop) testkit.Response { return s.Post(g.at+"/place", nil) },
			func(s *testkit.Shop) testkit.Response { return s.Post(g.at+"/associate", nil) },
			func(s *testkit.Shop) testkit.Response {
				return s.Call(http.MethodPatch, g.at, object{"operations": []object{{"op": "addItem", "sku": "MUG"}}})
			},
		} {
			Expect(change(c.page).Status).To(Equal(404))
			Expect(change(c.member(clock.NewID().String())).Status).To(Equal(404))
			Expect(change(c.With(testkit.Key(c.App.DB(), c.Tenant, "carts:use", "carts:read"))).Status).To(Equal(404), "staff who may only look")
		}
		mine := clock.NewID().String()
		hers := done(c.member(mine).Post("/v1/carts", whole))
		Expect(hers).To(And(Not(HaveKey("token")), HaveKeyWithValue("customerId", mine)))
		Expect(c.member(mine).Get("/v1/carts/" + hers["id"].(string)).Status).To(Equal(200))
		Expect(c.page.Get("/v1/carts/" + hers["id"].(string)).Status).To(Equal(404))
		Expect(c.With(testkit.Key(c.App.DB(), testkit.NewTenant(testkit.Shared()))).Get(g.at, g.token).Status).To(Equal(404), "another merchant")

		clerk := c.With(testkit.Key(c.App.DB(), c.Tenant, "carts:use", "carts:read"))
		done(g.does(object{"op": "setMetadata", "metadata": object{"note": "ring at Ana's"}}))
		Expect(done(clerk.Get(g.at))).To(And(HaveKeyWithValue("email", "a***@e***.com"), HaveKeyWithValue("metadata", object{"note": "***"})))
		Expect(done(c.Get(g.at))).To(And(HaveKeyWithValue("email", "ana@example.com"), HaveKeyWithValue("metadata", object{"note": "ring at Ana's"})))
	})

	It("says what opens it once, also to who asks the same again", func() {
		again := testkit.Header{Name: "Idempotency-Key", Value: uuid.NewString()}
		first := c.page.Post("/v1/carts", whole, again)
		Expect(first.Status).To(Equal(201))
		Expect(refused(c.page.Post("/v1/carts", whole, again), 409, "shown_once")).To(HaveKeyWithValue("location", first.Header.Get("Location")))
		var kept int
		Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select count(*) from platform.idempotency where tenant_id = $1 and convert_from(body, 'UTF8') like '%fc_ct_%'`, c.Tenant).Scan(&kept)).To(Succeed())
		Expect(kept).To(BeZero())
	})

	It("is changed by many operations at once, all or none", func() {
		g := c.begins(object{"items": basket})
		line := g.read()["items"].([]any)[0].(object)["id"]
		Expect(done(g.does(
			object{"op": "setQuantity", "itemId": line, "quantity": 5}, object{"op": "addItem", "sku": "CUP", "quantity": 2}, object{"op": "setEmail", "email": "ana@example.com"},
			object{"op": "setShippingAddress", "address": lisbon}, object{"op": "setBillingAddress", "address": lisbon}, object{"op": "addCode", "code": "TEN"},
			object{"op": "setMetadata", "metadata": object{"a": "b"}},
		))).To(And(HaveKeyWithValue("subtotal", "89.50"), HaveKeyWithValue("email", "ana@example.com"), HaveKeyWithValue("codes", HaveExactElements("TEN"))))
		before := g.read()
		refused(g.does(object{"op": "addItem", "sku": "MUG"}, object{"op": "addItem", "sku": "GHOST"}), 422, "unknown_sku")
		refused(g.does(object{"op": "setEmail", "email": "b@example.com"}, object{"op": "removeItem", "itemId": uuid.NewString()}), 422, "unknown_item")
		refused(g.does(object{"op": "addItem"}), 422, "validation_failed")
		Expect(g.read()).To(Equal(before))
		Expect(done(g.does(object{"op": "removeItem", "sku": "MUG"}, object{"op": "addItem", "sku": "MUG"}, object{"op": "removeCode", "code": "ten"}))).To(And(HaveKeyWithValue("subtotal", "39.50"), HaveKeyWithValue("codes", BeEmpty())))
		Expect(done(g.does(object{"op": "setQuantity", "sku": "MUG", "quantity": 0}))["items"]).To(HaveLen(1))
	})

	flaws := func(r testkit.Response, code string) (list []any) {
		GinkgoHelper()
		for _, f := range refused(r, 422, code)["errors"].([]any) {
			list = append(list, f.(object)["pointer"].(string)+" "+f.(object)["code"].(string))
		}
		return list
	}

	It("hears of all that is wrong at once", func() {
		c.street.sells("DOLL", testAmount(500, "USD"), 5)
		Expect(flaws(c.page.Post("/v1/carts", object{"items": []object{{"sku": "GHOST"}, {"sku": "MUG"}, {"sku": "DOLL"}, {"sku": "PHANTOM"}}}), "unknown_sku")).To(
			ConsistOf("/items/0/sku unknown_sku", "/items/2/sku currency_mismatch", "/items/3/sku unknown_sku"))
		g := c.begins(object{"items": basket})
		Expect(flaws(g.does(object{"op": "removeItem", "sku": "GHOST"}, object{"op": "addItem", "sku": "MUG"}, object{"op": "addItem", "sku": "DOLL"}, object{"op": "addItem", "sku": "PHANTOM"},
			object{"op": "setQuantity", "itemId": uuid.NewString(), "quantity": 3}, object{"op": "addItem", "sku": "CUP", "quantity": 100_000}), "unknown_item")).To(ConsistOf(
			"/operations/0/sku unknown_item", "/operations/2/sku currency_mismatch", "/operations/3/sku unknown_sku", "/operations/4/itemId unknown_item", "/operations/5/quantity cart_full"))
		Expect(g.read()).To(HaveKeyWithValue("subtotal", "34.00"), "and nothing of it has happened")
	})

	It("is of a buyer whom the orders would take", func() {
		for _, name := range []string{" x ", "x ", " " + clock.NewID().String(), "a	b"} {
			Expect(flaws(c.page.Post("/v1/carts", object{"customerId": name}), "validation_failed")).To(ConsistOf("/customerId pattern"), "%q", name)
			Expect(flaws(c.Post("/v1/carts", object{"customerId": name}), "validation_failed")).To(ConsistOf("/customerId pattern"), "%q", name)
		}
	})

	It("goes to a country, if it is said where to", func() {
		moon := object{"line1": "Crater 1", "city": "Copernicus", "country": "ZZ"}
		Expect(flaws(c.page.Post("/v1/carts", object{"shippingAddress": moon, "billingAddress": object{"country": "UK"}}), "validation_failed")).To(
			ConsistOf("/shippingAddress/country unknown_country", "/billingAddress/country unknown_country"))
		g := c.begins(object{"billingAddress": object{"name": "Ana Ltd"}})
		Expect(flaws(g.does(object{"op": "setBillingAddress", "address": lisbon}, object{"op": "setShippingAddress", "address": moon}), "validation_failed")).To(ConsistOf("/operations/1/address/country unknown_country"))
	})

	It("takes single items, and gives them back", func() {
		g := c.begins(object{})
		Expect(g.read()).To(And(HaveKeyWithValue("items", BeEmpty()), HaveKeyWithValue("changes", BeEmpty())))
		Expect(done(g.Post(g.at+"/items", object{"sku": "MUG", "quantity": 3}, g.token))).To(HaveKeyWithValue("total", "37.50"))
		line := g.read()["items"].([]any)[0].(object)["id"].(string)
		Expect(done(g.Call(http.MethodDelete, g.at+"/items/"+line, nil, g.token))).To(HaveKeyWithValue("items", BeEmpty()))
		Expect(g.Call(http.MethodDelete, g.at+"/items/"+line, nil, g.token).Status).To(Equal(404))
	})

	It("keeps to the currency that it began with", func() {
		c.street.sells("DOLL", testAmount(500, "USD"), 5)
		g := c.begins(object{"items": basket})
		refused(g.Post(g.at+"/items", object{"sku": "DOLL"}, g.token), 422, "currency_mismatch")
		refused(c.page.Post("/v1/carts", object{"currency": "USD", "items": basket}), 422, "currency_mismatch")
		Expect(c.page.Post("/v1/carts", object{"currency": "USD", "items": []object{{"sku": "DOLL"}}}).JSON()).To(HaveKeyWithValue("total", "5.00"))
	})

	It("is changed only by who has seen it as it is, when they say so", func() {
		g := c.begins(object{"items": basket})
		seen := g.Get(g.at, g.token).Header.Get("ETag")
		match := func(tag string) testkit.Header { return testkit.Header{Name: "If-Match", Value: tag} }
		Expect(g.Get(g.at, g.token, testkit.Header{Name: "If-None-Match", Value: seen}).Status).To(Equal(304))
		c.street.sells("MUG", eur(1300), 1000)
		dearer := g.Get(g.at, g.token, testkit.Header{Name: "If-None-Match", Value: seen})
		Expect(dearer.Status).To(Equal(200), "it costs something else now")
		Expect(g.Post(g.at+"/items", object{"sku": "MUG"}, g.token, match(seen)).Status).To(Equal(200), "but nobody has changed it")
		Expect(g.Post(g.at+"/items", object{"sku": "MUG"}, g.token, match(seen)).Status).To(Equal(412))
		Expect(g.Call(http.MethodPatch, g.at, object{"operations": []object{{"op": "addItem", "sku": "MUG"}}}, g.token, match(seen)).Status).To(Equal(412))
	})

	It("loses none of the items that many add at the same moment, in several processes", func() {
		other := opened(c.street)
		g := c.begins(object{"items": []object{{"sku": "MUG"}}})
		shops := []*testkit.Shop{c.page, other.With(c.page.Key)}
		var all sync.WaitGroup
		for n := range 20 {
			all.Go(func() {
				defer GinkgoRecover()
				r := g.on(shops[n%2]).Post(g.at+"/items", object{"sku": "MUG"}, g.token)
				Expect(r.Status).To(Equal(200), "%s", r.Raw)
			})
		}
		all.Wait()
		Expect(g.read()["items"]).To(HaveExactElements(HaveKeyWithValue("quantity", BeEquivalentTo(21))))
	})

	It("tells its buyer once what has moved since they were shown it", func() {
		c.street.gifts[""] = 100
		g := c.begins(object{"items": basket})
		c.street.sells("MUG", eur(1300), 1)
		c.street.withdraws("CUP")
		delete(c.street.gifts, "")
		Expect(done(c.Get(g.at))["changes"]).To(HaveLen(5), "staff who look take nothing from the buyer")
		seen := g.read()
		Expect(seen["changes"]).To(ConsistOf(
			And(HaveKeyWithValue("type", "price"), HaveKeyWithValue("sku", "MUG"), HaveKeyWithValue("before", "12.50"), HaveKeyWithValue("after", "13.00")),
			And(HaveKeyWithValue("type", "gone"), HaveKeyWithValue("sku", "CUP")),
			And(HaveKeyWithValue("type", "stock"), HaveKeyWithValue("before", "2"), HaveKeyWithValue("after", "1")),
			And(HaveKeyWithValue("type", "discount"), HaveKeyWithValue("before", "Gift ")),
			And(HaveKeyWithValue("type", "total"), HaveKeyWithValue("before", "33.00"), HaveKeyWithValue("after", "26.00")),
		))
		Expect(seen).To(HaveKeyWithValue("total", "26.00"))
		Expect(seen["items"]).To(HaveExactElements(
			And(HaveKeyWithValue("status", "out_of_stock"), HaveKeyWithValue("available", BeEquivalentTo(1))), And(HaveKeyWithValue("status", "unavailable"), HaveKeyWithValue("total", "0.00")),
		))
		Expect(changesOf(g.read())).To(BeEmpty())
		c.street.sells("CUP", eur(900), 1000)
		c.street.sells("MUG", eur(1300), 1000)
		Expect(changesOf(done(g.Post(g.at+"/items", object{"sku": "MUG"}, g.token)))).To(ConsistOf("back", "stock"))
		Expect(changesOf(g.read())).To(BeEmpty())
	})

	It("is changed by one shopper as often as they may place, so that codes cannot be tried out", func() {
		c := opened(c.street, httpx.Limits{Checkouts: 3})
		me := c.member(clock.NewID().String())
		at := "/v1/carts/" + done(me.Post("/v1/carts", object{"items": basket}))["id"].(string)
		tries := func() int {
			return me.Call(http.MethodPatch, at, object{"operations": []object{{"op": "addCode", "code": "A1"}}}).Status
		}
		Expect([]int{tries(), tries(), tries()}).To(Equal([]int{200, 200, 429}))
		Expect(me.Get(at).Status).To(Equal(200), "to look costs nothing of it")
	})

	It("tells its buyer once what sending and all of it costs now, and is placed at that", func() {
		const parcel = "0199c1de-0000-7000-8000-00000000000a"
		c.street.ways = []shippingapi.Option{{MethodID: parcel, Name: "Parcel", Price: eur(490)}}
		g := c.begins(object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon, "shippingMethodId": parcel})
		c.street.ways[0].Price = eur(590)
		Expect(g.read()["changes"]).To(HaveExactElements(
			And(HaveKeyWithValue("type", "shipping"), HaveKeyWithValue("before", "4.90"), HaveKeyWithValue("after", "5.90")),
			And(HaveKeyWithValue("type", "total"), HaveKeyWithValue("before", "38.90"), HaveKeyWithValue("after", "39.90")),
		))
		Expect(changesOf(g.read())).To(BeEmpty())
		Expect(done(g.places())).To(HaveKeyWithValue("total", "39.90"))
	})

	It("has the same tag for who looks again, also when there is too little", func() {
		g := c.begins(object{"items": basket})
		c.street.sells("MUG", eur(1250), 1)
		g.read()
		seen := g.Get(g.at, g.token).Header.Get("ETag")
		Expect(g.Get(g.at, g.token, testkit.Header{Name: "If-None-Match", Value: seen}).Status).To(Equal(304))
	})

	It("knows a shipping method in any case of letters", func() {
		const parcel = "0199c1de-0000-7000-8000-00000000000a"
		c.street.ways = []shippingapi.Option{{MethodID: parcel, Name: "Parcel", Price: eur(490)}}
		g := c.begins(object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon, "shippingMethodId": strings.ToUpper(parcel)})
		Expect(g.read("/checkout")).To(HaveKeyWithValue("status", "ready"))
	})

	It("is looked at by staff who may do nothing else", func() {
		clerk := c.With(testkit.Key(c.App.DB(), c.Tenant, "carts:read"))
		g := c.begins(whole)
		for _, path := range []string{g.at, g.at + "/checkout"} {
			Expect(clerk.Get(path).Status).To(Equal(200))
			Expect(c.With(testkit.Key(c.App.DB(), c.Tenant, "products:read")).Get(path).Status).To(Equal(404))
		}
		Expect(clerk.Post("/v1/carts", whole).Status).To(Equal(403))
	})

	It("that is worth more than can be counted with what sending costs is refused, not broken", func() {
		const parcel = "0199c1de-0000-7000-8000-00000000000a"
		c.street.ways = []shippingapi.Option{{MethodID: parcel, Name: "Parcel", Price: eur(math.MaxInt64)}}
		g := c.begins(object{"items": basket})
		refused(g.does(object{"op": "setShippingMethod", "shippingMethodId": parcel}), 422, "amount_out_of_range")
		Expect(g.read()).To(HaveKeyWithValue("total", "34.00"))
	})

	It("is in a currency that the shop sells in, also when that has changed", func() {
		in := func(currency string) context.Context {
			return tenant.With(testkit.As(c.Tenant, "carts:use"), tenant.Terms{Settings: tenant.Settings{Currencies: []string{currency}}})
		}
		g := c.begins(whole)
		_, err := c.mod.svc.handleAdd(in("USD"), &addInput{ID: g.id, Token: g.token.Value, JSON: bodyOf(itemBody{SKU: "MUG", Quantity: 1})})
		Expect(err).NotTo(HaveOccurred(), "what is in it can be changed")
		c.street.sells("SPOON", eur(300), 9)
		_, err = c.mod.svc.handleAdd(in("USD"), &addInput{ID: g.id, Token: g.token.Value, JSON: bodyOf(itemBody{SKU: "SPOON", Quantity: 1})})
		Expect(fault.From(err).Fields).To(HaveExactElements(And(HaveField("Pointer", "/sku"), HaveField("Code", "currency_not_enabled"))))
		_, err = c.mod.svc.handlePlace(in("USD"), &placeInput{ID: g.id, Token: g.token.Value})
		Expect(err).To(MatchError(errNotReady))
		Expect(fault.From(err).Extra["requirements"]).To(HaveExactElements(requirement{"currency", "unavailable", "The shop does not sell in EUR any more: begin another cart."}))
		Expect(c.street.placements()).To(BeEmpty())

		c.street.offers["MUG"] = catalogapi.Offer{SKU: "MUG", ProductID: uuid.NewString(), Name: "The MUG", Prices: []money.Amount{eur(1250), testAmount(1400, "USD")}}
		_, err = c.mod.svc.handleCreate(in("GBP"), &createInput{bodyOf(createBody{Items: []itemBody{{SKU: "MUG", Quantity: 1}}})})
		Expect(fault.From(err).Fields).To(HaveExactElements(HaveField("Code", "currency_not_enabled")))
		Expect(c.mod.svc.handleCreate(in("USD"), &createInput{bodyOf(createBody{Items: []itemBody{{SKU: "MUG", Quantity: 1}}})})).To(HaveField("Total", "14.00"))
	})

	It("costs two statements of its own to add to, however much is in it", func() {
		for n := range 50 {
			c.street.sells(sku(n), eur(100), 1000)
		}
		items := make([]object, 50)
		for n := range items {
			items[n] = object{"sku": sku(n)}
		}
		g := c.begins(object{"items": items})
		add := func() int64 {
			cost := &db.Cost{}
			_, err := c.mod.svc.handleAdd(db.WithCost(testkit.As(c.Tenant, "carts:use"), cost), &addInput{ID: g.id, Token: g.token.Value, JSON: bodyOf(itemBody{SKU: sku(7), Quantity: 1})})
			Expect(err).NotTo(HaveOccurred())
			return cost.RoundTrips()
		}
		add() // sees to the timers of the hour
		Expect(add()).To(BeEquivalentTo(6), "two transactions of a statement each")
	})

	Describe("whose buyer checks out", func() {
		It("holds its stock from then on, and for longer with each change", func() {
			g := c.begins(object{"items": basket})
			Expect(c.street.held()).To(BeEmpty())
			until := done(g.does(object{"op": "setEmail", "email": "ana@example.com"}))["holdExpiresAt"].(string)
			at, err := time.Parse(time.RFC3339, until)
			Expect(err).NotTo(HaveOccurred())
			Expect(at).To(BeTemporally("~", clock.System().Add(10*time.Minute), time.Minute))
			Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 2, "CUP": 1}))
			done(g.Post(g.at+"/items", object{"sku": "MUG"}, g.token))
			Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 3, "CUP": 1}))
		})

		It("is never in its own way", func() {
			c.street.sells("MUG", eur(1250), 3)
			g := c.begins(object{"items": []object{{"sku": "MUG", "quantity": 3}}, "email": "ana@example.com", "shippingAddress": lisbon})
			Expect(changesOf(g.read())).To(BeEmpty())
			Expect(done(g.does(object{"op": "setQuantity", "sku": "MUG", "quantity": 2}, object{"op": "setQuantity", "sku": "MUG", "quantity": 3}))["changes"]).To(BeEmpty())
			Expect(changesOf(done(g.does(object{"op": "setQuantity", "sku": "MUG", "quantity": 4})))).To(ConsistOf("stock"))
			Expect(g.read("/checkout")).To(And(HaveKeyWithValue("status", "incomplete"), HaveKeyWithValue("requirements", HaveExactElements(HaveKeyWithValue("code", "out_of_stock")))))
			done(g.does(object{"op": "setQuantity", "sku": "MUG", "quantity": 3}))
			Expect(g.places().Status).To(Equal(201))
		})

		It("gives its stock up when it is emptied", func() {
			g := c.begins(whole)
			Expect(c.street.held()).NotTo(BeEmpty())
			Expect(done(g.does(object{"op": "removeItem", "sku": "MUG"}, object{"op": "removeItem", "sku": "CUP"}))).NotTo(HaveKey("holdExpiresAt"))
			Expect(c.street.held()).To(BeEmpty())
		})
	})
})
