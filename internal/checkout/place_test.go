package checkout

import (
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

var _ = Describe("placing a cart", Label("db"), func() {
	const parcel = "0199c1de-0000-7000-8000-00000000000a"
	var c counter
	BeforeEach(func() { c = opened(newStreet()) })

	It("makes an order of it, to the unit as it was quoted", func() {
		c.street.ways = []shippingapi.Option{{MethodID: parcel, Name: "Parcel", Price: eur(490)}}
		c.street.gifts["TEN"] = 1000
		g := c.begins(object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon, "shippingMethodId": parcel, "codes": []string{"TEN"}, "metadata": object{"a": "b"}})
		r := g.places(object{"total": "28.90"})
		Expect(done(r)).To(And(HaveKeyWithValue("cartId", g.id), HaveKeyWithValue("total", "28.90"), HaveKeyWithValue("status", "created")))
		p := c.street.placements()
		Expect(p).To(HaveLen(1))
		Expect(r.Header.Get("Location")).To(Equal("/v1/orders/" + p[0].OrderID))
		Expect(p[0]).To(And(
			HaveField("Number", int64(1001)), HaveField("CartID", g.id), HaveField("CustomerID", "guest-"+g.id), HaveField("Email", "ana@example.com"), HaveField("HoldID", Not(BeEmpty())),
			HaveField("Ticket", hashOf(g.token.Value)), HaveField("ShippingAddress.City", "Lisboa"), HaveField("Metadata", map[string]string{"a": "b"}),
			HaveField("Subtotal", eur(3400)), HaveField("DiscountTotal", eur(1000)), HaveField("ShippingTotal", eur(490)), HaveField("Total", eur(2890)),
			HaveField("Shipping", And(HaveField("MethodID", parcel), HaveField("Total", eur(490)))), HaveField("Discounts", HaveExactElements(HaveField("Code", "TEN"))),
			HaveField("Lines", HaveExactElements(
				And(HaveField("SKU", "MUG"), HaveField("Quantity", int64(2)), HaveField("Price", eur(1250)), HaveField("Discount", eur(1000)), HaveField("Total", eur(1500)), HaveField("Units", HaveLen(1))),
				And(HaveField("SKU", "CUP"), HaveField("Total", eur(900))),
			)),
		))
		Expect(g.read()).To(And(HaveKeyWithValue("status", "placed"), HaveKeyWithValue("orderId", p[0].OrderID), HaveKeyWithValue("total", "28.90")))
		Expect(g.read("/checkout")).To(And(HaveKeyWithValue("status", "placed"), HaveKeyWithValue("requirements", BeEmpty())))
		Expect(refused(g.does(object{"op": "addItem", "sku": "MUG"}), 409, "cart_not_open")).To(HaveKeyWithValue("orderId", p[0].OrderID))
	})

	It("happens once, whoever asks how often at the same moment, in several processes", func() {
		other := opened(c.street)
		g := c.begins(whole)
		shops := []*testkit.Shop{c.page, other.With(c.page.Key)}
		var all sync.WaitGroup
		var orders sync.Map
		for n := range 100 {
			all.Go(func() {
				defer GinkgoRecover()
				orders.Store(done(g.on(shops[n%2]).places())["id"], n)
			})
		}
		all.Wait()
		ids := 0
		orders.Range(func(any, any) bool { ids++; return true })
		Expect(ids).To(Equal(1))
		Expect(c.street.placements()).To(HaveLen(1))
	})

	It("says what is missing until nothing is", func() {
		c.street.ways = []shippingapi.Option{{MethodID: parcel, Name: "Parcel", Description: "Two days", Price: eur(490)}}
		g := c.begins(object{})
		missing := func() (fields []string) {
			for _, r := range g.read("/checkout")["requirements"].([]any) {
				fields = append(fields, r.(object)["field"].(string)+" "+r.(object)["code"].(string))
			}
			return fields
		}
		Expect(g.read("/checkout")).To(HaveKeyWithValue("status", "empty"))
		done(g.does(object{"op": "addItem", "sku": "MUG"}))
		Expect(missing()).To(ConsistOf("email required", "shippingAddress required", "shippingMethodId required"))
		Expect(refused(g.places(), 409, "checkout_incomplete")["requirements"]).To(HaveLen(3))
		done(g.does(object{"op": "setEmail", "email": "ana@example.com"}, object{"op": "setShippingAddress", "address": object{"line1": "x", "country": "AQ"}}, object{"op": "setShippingMethod", "shippingMethodId": parcel}))
		Expect(missing()).To(ConsistOf("shippingAddress incomplete", "shippingMethodId unavailable"))
		done(g.does(object{"op": "setShippingAddress", "address": object{"line1": "x", "city": "Albany", "country": "US"}}))
		Expect(missing()).To(ConsistOf("shippingAddress/region required"))
		refused(g.places(), 409, "checkout_incomplete")
		done(g.does(object{"op": "setShippingAddress", "address": object{"line1": "x", "city": "Albany", "region": "NY", "country": "US"}}))
		Expect(missing()).To(BeEmpty())
		done(g.does(object{"op": "setShippingAddress", "address": lisbon}))
		Expect(g.read("/checkout")).To(And(HaveKeyWithValue("status", "ready"), HaveKeyWithValue("requirements", BeEmpty()), HaveKey("holdExpiresAt"),
			HaveKeyWithValue("shippingOptions", HaveExactElements(And(HaveKeyWithValue("name", "Parcel"), HaveKeyWithValue("price", "4.90")))),
			HaveKeyWithValue("totals", HaveKeyWithValue("total", "17.40"))))
		Expect(g.places().Status).To(Equal(201))
	})

	It("is refused when it costs something else than the buyer saw, who is shown it then", func() {
		g := c.begins(whole)
		refusal := refused(g.places(object{"total": "1.00"}), 409, "cart_changed")
		Expect(refusal["changes"]).To(HaveExactElements(And(HaveKeyWithValue("type", "total"), HaveKeyWithValue("before", "1.00"), HaveKeyWithValue("after", "34.00"))))
		c.street.sells("MUG", eur(1300), 1000)
		Expect(changesOf(refused(g.places(), 409, "cart_changed"))).To(ConsistOf("price", "total"))
		Expect(c.street.placements()).To(BeEmpty())
		Expect(g.places().Status).To(Equal(201), "they have been shown it")
	})

	It("takes the total that the buyer names for their word, whatever has moved on the way to it", func() {
		g := c.begins(whole)
		c.street.sells("MUG", eur(1300), 1000)
		Expect(g.places(object{"total": "35.00"}).Status).To(Equal(201))
		refused(c.begins(whole).places(object{"total": "35.001"}), 422, "validation_failed")
	})

	It("is refused when something is not for sale any more, or there is too little", func() {
		g := c.begins(whole)
		c.street.withdraws("CUP")
		Expect(changesOf(refused(g.places(object{"total": "25.00"}), 409, "cart_changed"))).To(ConsistOf("gone"))
		Expect(refused(g.places(object{"total": "25.00"}), 409, "checkout_incomplete")["requirements"]).To(HaveExactElements(HaveKeyWithValue("code", "unavailable")))
		c.street.sells("SPOON", eur(300), 1)
		late := c.begins(object{"items": []object{{"sku": "SPOON"}}})
		c.begins(object{"items": []object{{"sku": "SPOON"}}, "email": "quick@example.com"})
		Expect(changesOf(refused(late.places(), 409, "cart_changed"))).To(ConsistOf("stock"))
		done(late.does(object{"op": "setEmail", "email": "ana@example.com"}, object{"op": "setShippingAddress", "address": lisbon}))
		Expect(refused(late.places(), 409, "checkout_incomplete")["requirements"]).To(HaveExactElements(HaveKeyWithValue("code", "out_of_stock")))
		Expect(c.street.placements()).To(BeEmpty())
	})

	It("holds the stock again when its time is up", func() {
		g := c.begins(whole)
		c.overslept(g)
		Expect(g.places().Status).To(Equal(201))
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 2, "CUP": 1}))
		Expect(c.street.holds).To(HaveKey(c.street.placements()[0].HoldID))
	})

	It("leaves everything as it was when a discount is used up meanwhile", func() {
		g := c.begins(object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon})
		c.street.gifts["TEN"] = 1000
		done(g.does(object{"op": "addCode", "code": "TEN"}))
		c.street.late = true
		c.overslept(g)
		Expect(changesOf(refused(g.places(), 409, "cart_changed"))).To(ConsistOf("discount", "total"))
		Expect(g.read()).To(And(HaveKeyWithValue("status", "open"), HaveKeyWithValue("total", "34.00"), HaveKeyWithValue("refusedCodes", HaveLen(1))))
		Expect(c.street.placements()).To(BeEmpty())
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 2, "CUP": 1}), "once, however often it was tried")
		Expect(g.places(object{"total": "34.00"}).Status).To(Equal(201))
	})

	It("says that a discount is used up to who loses it to others however often", func() {
		c.street.gifts["TEN"], c.street.wanted = 1000, true
		g := c.begins(object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon, "codes": []string{"TEN"}})
		refused(g.places(), 409, "discount_used_up")
		Expect(c.street.placements()).To(BeEmpty())
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 2, "CUP": 1}))
	})

	It("leaves whom it was for to the order", func() {
		g := c.begins(object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon, "billingAddress": lisbon, "metadata": object{"note": "ring twice"}})
		Expect(g.places().Status).To(Equal(201))
		Expect(g.read()).To(And(HaveKeyWithValue("status", "placed"), HaveKeyWithValue("metadata", BeEmpty()), Not(HaveKey("email")), Not(HaveKey("shippingAddress")), Not(HaveKey("billingAddress"))))
		Expect(done(g.places())).To(HaveKeyWithValue("email", "ana@example.com"), "and it is their order still")
	})

	It("is priced for who buys: by their groups, and by whether it is their first order", func() {
		who := clock.NewID().String()
		last := func() (groups []string, first bool) {
			b := c.street.baskets[len(c.street.baskets)-1]
			return b.Groups, b.FirstOrder
		}
		at := "/v1/carts/" + done(c.member(who).Post("/v1/carts", whole))["id"].(string)
		groups, first := last()
		Expect(groups).To(HaveExactElements("friends"))
		Expect(first).To(BeTrue())
		Expect(c.member(who).Post(at+"/place", nil).Status).To(Equal(201))
		done(c.member(who).Post("/v1/carts", whole))
		_, first = last()
		Expect(first).To(BeFalse())
		c.begins(whole)
		groups, _ = last()
		Expect(groups).To(BeEmpty())
	})

	DescribeTable("tells nobody before what an address has bought here that anybody can type", func(codes []string, kind func(*street) map[string]bool) {
		Expect(c.begins(whole).places().Status).To(Equal(201))
		code := strings.Join(codes, "")
		c.street.gifts[code], kind(c.street)[code] = 1000, true
		body := func(email string) object {
			return object{"items": basket, "email": email, "shippingAddress": lisbon, "codes": append([]string{"JUNK"}, codes...), "customerId": "ana"}
		}
		stranger, known := c.begins(body("new@example.com")), c.begins(body("ana@example.com"))
		for _, path := range []string{"", "/checkout"} {
			a, b := stranger.read(path), known.read(path)
			for _, name := range []string{"id", "cartId", "email", "createdAt", "updatedAt", "holdExpiresAt", "items"} {
				delete(a, name)
				delete(b, name)
			}
			Expect(b).To(Equal(a))
		}
		Expect(known.read()).To(HaveKeyWithValue("total", "24.00"))

		By("asking only about who would order")
		Expect(refused(known.places(object{"total": "1.00"}), 409, "cart_changed")).To(HaveKeyWithValue("total", "24.00"))
		done(known.does(object{"op": "setShippingAddress", "address": object{"line1": "x"}}))
		Expect(refused(known.places(object{"total": "24.00"}), 409, "checkout_incomplete")).NotTo(HaveKey("total"))
		done(known.does(object{"op": "setShippingAddress", "address": lisbon}))

		By("placing")
		refusal := refused(known.places(object{"total": "24.00"}), 409, "cart_changed")
		Expect(refusal).To(HaveKeyWithValue("total", "34.00"))
		Expect(changesOf(refusal)).To(ConsistOf("discount", "total"))
		Expect(known.read()).To(HaveKeyWithValue("total", "34.00"), "they have been told")
		Expect(stranger.places(object{"total": "24.00"}).Status).To(Equal(201))

		By("another address")
		Expect(done(known.does(object{"op": "setEmail", "email": "ben@example.com"}))).To(HaveKeyWithValue("total", "24.00"))
		done(known.does(object{"op": "setEmail", "email": "ana@example.com"}))
		Expect(changesOf(refused(known.places(), 409, "cart_changed"))).To(ConsistOf("discount", "total"))
		Expect(known.places().Status).To(Equal(201), "they have been shown it")
	},
		Entry("by a discount on first orders", nil, func(s *street) map[string]bool { return s.welcome }),
		Entry("by a code for first orders", []string{"TEN"}, func(s *street) map[string]bool { return s.welcome }),
		Entry("by a code that each buyer has once", []string{"TEN"}, func(s *street) map[string]bool { return s.once }),
	)

	It("tells who has signed in at once what is about themselves, and of an address no more than others", func() {
		c.street.gifts[""], c.street.welcome[""] = 1000, true
		who, other := clock.NewID().String(), clock.NewID().String()
		body := object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon}
		Expect(c.member(who).Post("/v1/carts/"+done(c.member(who).Post("/v1/carts", body))["id"].(string)+"/place", nil).Status).To(Equal(201))
		Expect(done(c.member(who).Post("/v1/carts", body))).To(HaveKeyWithValue("total", "34.00"))
		cart := done(c.member(other).Post("/v1/carts", body))
		Expect(cart).To(HaveKeyWithValue("total", "24.00"))
		Expect(changesOf(refused(c.member(other).Post("/v1/carts/"+cart["id"].(string)+"/place", nil), 409, "cart_changed"))).To(ConsistOf("discount", "total"))
	})

	It("can be asked of staff, for a customer, who sees the order", func() {
		who := clock.NewID().String()
		at := done(c.Post("/v1/carts", object{"items": basket, "email": "ana@example.com", "shippingAddress": lisbon, "customerId": who}))["id"].(string)
		Expect(done(c.Post("/v1/carts/"+at+"/place", nil))).To(And(HaveKeyWithValue("customerId", who), HaveKeyWithValue("email", "masked")), "by the orders, who know whom they may show it to")
		clerk := c.With(testkit.Key(c.App.DB(), c.Tenant, "carts:write"))
		Expect(done(clerk.Post("/v1/carts/"+at+"/place", nil))).To(HaveKeyWithValue("email", "masked"))
		Expect(done(c.member(who).Post("/v1/carts/"+at+"/place", nil))).To(HaveKeyWithValue("email", "ana@example.com"))
	})

	It("costs a read and one transaction", func() {
		g := c.begins(whole)
		cost := &db.Cost{}
		_, err := c.mod.svc.handlePlace(db.WithCost(testkit.As(c.Tenant, "carts:use"), cost), &placeInput{ID: g.id, Token: g.token.Value})
		Expect(err).NotTo(HaveOccurred())
		Expect(cost.RoundTrips()).To(BeEquivalentTo(6), "begin, read, commit; begin, close the cart, commit; what neighbours do comes on top")
	})
})

var _ = Describe("a cart of who signs in", Label("db"), func() {
	var (
		c  counter
		me string
	)
	BeforeEach(func() { c, me = opened(newStreet()), clock.NewID().String() })

	It("becomes theirs, and its token opens it no more", func() {
		g := c.begins(whole)
		Expect(done(c.member(me).Post(g.at+"/associate", nil, g.token))).To(And(HaveKeyWithValue("customerId", me), HaveKeyWithValue("id", g.id), HaveKeyWithValue("total", "34.00")))
		Expect(g.Get(g.at, g.token).Status).To(Equal(404))
		Expect(done(c.member(me).Get("/v1/me/cart"))).To(HaveKeyWithValue("id", g.id))
		Expect(done(c.member(me).Post(g.at+"/associate", nil))).To(HaveKeyWithValue("id", g.id), "again changes nothing")
		Expect(c.member(clock.NewID().String()).Post(g.at+"/associate", nil, g.token).Status).To(Equal(404))
		Expect(c.page.Post(g.at+"/associate", nil, g.token).Status).To(Equal(404), "a page is nobody")
	})

	It("takes in what they had left in another one: quantities add up", func() {
		old := done(c.member(me).Post("/v1/carts", object{"items": []object{{"sku": "MUG", "quantity": 3}, {"sku": "CUP", "quantity": 2}}, "email": "ana@example.com", "codes": []string{"TEN"}}))["id"].(string)
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 3, "CUP": 2}))
		c.street.sells("SPOON", eur(300), 9)
		g := c.begins(object{"items": []object{{"sku": "SPOON"}, {"sku": "MUG", "quantity": 1}}})
		both := done(c.member(me).Post(g.at+"/associate", nil, g.token))
		Expect(both["items"]).To(ConsistOf(
			And(HaveKeyWithValue("sku", "SPOON"), HaveKeyWithValue("quantity", BeEquivalentTo(1))),
			And(HaveKeyWithValue("sku", "MUG"), HaveKeyWithValue("quantity", BeEquivalentTo(4))), And(HaveKeyWithValue("sku", "CUP"), HaveKeyWithValue("quantity", BeEquivalentTo(2))),
		))
		Expect(both).To(And(HaveKeyWithValue("email", "ana@example.com"), HaveKeyWithValue("codes", HaveExactElements("TEN"))))
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 4, "CUP": 2, "SPOON": 1}))
		Expect(done(c.member(me).Get("/v1/carts/" + old))).To(And(HaveKeyWithValue("status", "merged"), Not(HaveKey("email"))))
		Expect(done(c.member(me).Get("/v1/me/cart"))).To(HaveKeyWithValue("id", g.id))
	})

	DescribeTable("stays beside another one that it has no room for", func(left, own object) {
		c.street.sells("DOLL", testAmount(500, "USD"), 5)
		old := done(c.member(me).Post("/v1/carts", left))["id"].(string)
		g := c.begins(own)
		Expect(done(c.member(me).Post(g.at+"/associate", nil, g.token))).To(And(HaveKeyWithValue("customerId", me), HaveKeyWithValue("items", HaveLen(1))))
		Expect(done(c.member(me).Get("/v1/carts/" + old))).To(And(HaveKeyWithValue("status", "open"), HaveKeyWithValue("items", HaveLen(1))))
	},
		Entry("because it is in another currency", object{"items": []object{{"sku": "DOLL"}}}, object{"items": []object{{"sku": "MUG"}}}),
		Entry("because that would be more of an item than may be", object{"items": []object{{"sku": "MUG", "quantity": 60_000}}}, object{"items": []object{{"sku": "MUG", "quantity": 40_001}}}),
	)

	It("has room for five hundred different items", func() {
		lines := func(from, to int) (c cart) {
			c.Currency = "EUR"
			for n := from; n < to; n++ {
				c.Lines = append(c.Lines, line{SKU: sku(n), Quantity: 1, Price: eur(100)})
			}
			return c
		}
		Expect(lines(0, 300).hasRoomFor(lines(200, 500))).To(BeTrue())
		Expect(lines(0, 300).hasRoomFor(lines(200, 501))).To(BeFalse())
		Expect(cart{}.hasRoomFor(lines(0, 500))).To(BeTrue())
	})

	It("is not there before they have one", func() {
		Expect(c.member(me).Get("/v1/me/cart").Status).To(Equal(404))
		Expect(c.page.Get("/v1/me/cart").Status).To(Equal(404))
	})
})

var _ = Describe("a cart that is left alone", Label("db"), func() {
	var c counter
	BeforeEach(func() { c = opened(newStreet()) })

	leave := func(id string, days int) {
		GinkgoHelper()
		_, err := testkit.SQL(testkit.Shared().Super).Exec(`update checkout.cart set updated_at = now() - $2 * interval '1 day' where id = $1`, id, days)
		Expect(err).NotTo(HaveOccurred())
	}
	sweep := func() {
		GinkgoHelper()
		ctx := testkit.As(c.Tenant)
		Expect(c.mod.svc.db.InTx(ctx, func(tx *db.Tx) error { return c.mod.svc.onSweep(ctx, tx, "now") })).To(Succeed())
	}
	said := func() []any {
		GinkgoHelper()
		list, _ := c.Get("/v1/events?topic=cart.abandoned").JSON()["data"].([]any)
		return list
	}

	It("is said to be, once, until somebody comes back to it", func() {
		g := c.begins(whole)
		empty := c.begins(object{"email": "ben@example.com"})
		leave(g.id, 2)
		leave(empty.id, 2)
		sweep()
		sweep()
		Expect(said()).To(HaveExactElements(HaveKeyWithValue("data", And(HaveKeyWithValue("cartId", g.id), HaveKeyWithValue("reachable", true), HaveKeyWithValue("items", HaveLen(2)), Not(HaveKey("customerId"))))))
		done(g.Post(g.at+"/items", object{"sku": "MUG"}, g.token))
		leave(g.id, 2)
		sweep()
		Expect(said()).To(HaveLen(2))
	})

	It("is not come back to by who only looks", func() {
		g := c.begins(whole)
		leave(g.id, 2)
		sweep()
		c.street.sells("MUG", eur(1300), 1000)
		Expect(changesOf(g.read())).To(ConsistOf("price", "total"))
		sweep()
		Expect(said()).To(HaveLen(1))
	})

	It("is looked at once, also when nothing is in it", func() {
		g := c.begins(object{"email": "ben@example.com"})
		leave(g.id, 2)
		sweep()
		var marked bool
		Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select abandoned_at is not null from checkout.cart where id = $1`, g.id).Scan(&marked)).To(Succeed())
		Expect(marked).To(BeTrue())
		Expect(said()).To(BeEmpty())
	})

	It("ends after thirty days, and nobody knows any more whose it was", func() {
		g := c.begins(whole)
		leave(g.id, 31)
		sweep()
		Expect(g.Get(g.at, g.token).Status).To(Equal(404))
		Expect(done(c.Get(g.at))).To(And(HaveKeyWithValue("status", "expired"), Not(HaveKey("email")), Not(HaveKey("shippingAddress"))))
		Expect(done(c.Get(g.at + "/checkout"))).To(HaveKeyWithValue("status", "expired"))
		leave(g.id, 61)
		sweep()
		Expect(c.Get(g.at).Status).To(Equal(404))
	})

	It("is looked after by timers that are there once an hour, not once a cart", func() {
		for range 3 {
			c.begins(whole)
		}
		var due []time.Time
		rows, err := testkit.SQL(testkit.Shared().Super).Query(`select due_at from platform.timer where tenant_id = $1 and kind = $2 order by due_at`, c.Tenant, sweepCarts)
		Expect(err).NotTo(HaveOccurred())
		defer rows.Close()
		for rows.Next() {
			var at time.Time
			Expect(rows.Scan(&at)).To(Succeed())
			due = append(due, at)
		}
		Expect(len(due)).To(Or(Equal(3), Equal(6)), "six when an hour has just begun")
		Expect(due[0]).To(BeTemporally(">", clock.System().Add(abandonedAfter-time.Second)))
		ends, forgets := due[len(due)/3], due[len(due)/3*2]
		Expect(forgets).To(BeTemporally(">", ends.Add(forgottenAfter)), "what ends is stamped a moment after its timer")
	})

	It("keeps nothing of a customer who is erased", func() {
		me := clock.NewID().String()
		at := done(c.member(me).Post("/v1/carts", whole))["id"].(string)
		data, err := c.mod.PersonalData(testkit.As(c.Tenant), me)
		Expect(err).NotTo(HaveOccurred())
		Expect(data).To(HaveExactElements(And(HaveField("ID", at), HaveField("Email", "ana@example.com"))))
		again := testkit.Header{Name: "Idempotency-Key", Value: clock.NewID().String()}
		done(c.member(me).Post("/v1/carts/"+at+"/items", object{"sku": "MUG"}, again))
		guest := c.begins(whole)
		Expect(c.mod.Claim(testkit.As(c.Tenant), me, "ana@example.com")).To(Succeed())
		ctx := testkit.As(c.Tenant)
		Expect(c.mod.svc.db.InTx(ctx, func(tx *db.Tx) error { return c.mod.svc.onErased(ctx, tx, erased(me)) })).To(Succeed())
		for _, id := range []string{at, guest.id} {
			Expect(done(c.Get("/v1/carts/" + id))).To(And(HaveKeyWithValue("status", "expired"), Not(HaveKey("email")), Not(HaveKey("shippingAddress"))))
		}
		var kept int
		Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select count(*) from platform.idempotency where tenant_id = $1`, c.Tenant).Scan(&kept)).To(Succeed())
		Expect(kept).To(BeZero(), "answers that name them")
		refused(c.member(me).Post("/v1/carts", whole), 409, "customer_erased")
	})
})
