package checkout

import (
	"context"
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("the stock of a cart", Label("db"), func() {
	var (
		c  counter
		me string
	)
	BeforeEach(func() { c, me = opened(newStreet()), clock.NewID().String() })

	change := func(query string, args ...any) {
		GinkgoHelper()
		_, err := testkit.SQL(testkit.Shared().Super).Exec(query, args...)
		Expect(err).NotTo(HaveOccurred())
	}
	// named is the hold that a cart is stored with.
	named := func(id string) (hold string) {
		GinkgoHelper()
		Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select coalesce(hold_id::text, '') from checkout.cart where id = $1`, id).Scan(&hold)).To(Succeed())
		return hold
	}
	mugs := func(n int) object {
		return object{"items": []object{{"sku": "MUG", "quantity": n}}, "email": "ana@example.com", "shippingAddress": lisbon}
	}
	erase := func(who string) {
		GinkgoHelper()
		ctx := testkit.As(c.Tenant)
		Expect(c.mod.svc.db.InTx(ctx, func(tx *db.Tx) error { return erasure.Heed(ctx, tx, []string{who}) })).To(Succeed())
	}

	It("is not taken for an order whose total cannot be read", func() {
		c.street.sells("MUG", eur(1250), 2)
		g := c.begins(mugs(2))
		c.overslept(g)
		refused(g.places(object{"total": "25.001"}), 422, "validation_failed")
		Expect(c.street.held()).To(BeEmpty())
		Expect(g.places(object{"total": "25.00"}).Status).To(Equal(201))
	})

	It("is known to the cart after an order was refused, whoever looked at it meanwhile", func() {
		c.street.sells("MUG", eur(1250), 2)
		g := c.begins(mugs(2))
		c.overslept(g)
		ctx := testkit.As(c.Tenant, "carts:use")
		who, err := callerOf(ctx, g.token.Value)
		Expect(err).NotTo(HaveOccurred())
		seen, _, err := c.mod.svc.seen(ctx, &byToken{ID: g.id, Token: g.token.Value})
		Expect(err).NotTo(HaveOccurred())
		before, err := c.mod.svc.find(ctx, seen.ID, who)
		Expect(err).NotTo(HaveOccurred())

		refused(g.places(object{"total": "1.00"}), 409, "cart_changed")
		Expect(c.mod.svc.acknowledge(ctx, before, &seen)).To(Succeed())
		Expect(c.street.holds).To(And(HaveLen(1), HaveKey(named(g.id))))
		Expect(g.places(object{"total": "25.00"}).Status).To(Equal(201))
	})

	It("is what the stored cart has when a change does not come true", func() {
		c.street.sells("MUG", eur(1250), 3)
		g := c.begins(mugs(2))
		c.street.asks = func(w inventoryapi.Wish) {
			if w.Items[0].Quantity == 3 { // somebody else is always quicker
				change(`update checkout.cart set version = version + 1 where id = $1`, g.id)
			}
		}
		refused(g.does(object{"op": "setQuantity", "sku": "MUG", "quantity": 3}), 409, "cart_busy")
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 2}))
		Expect(c.street.holds).To(HaveKey(named(g.id)))
		Expect(g.places().Status).To(Equal(201))
		Expect(c.street.holds).To(HaveKey(c.street.placements()[0].HoldID))
	})

	It("is asked for again when the cart is placed, whatever the cart says", func() {
		c.street.sells("MUG", eur(1250), 2)
		g := c.begins(mugs(2))
		clear(c.street.holds) // by staff, say
		c.begins(mugs(2))
		Expect(changesOf(refused(g.places(), 409, "cart_changed"))).To(ConsistOf("stock"))
		Expect(c.street.placements()).To(BeEmpty())
	})

	It("is nobody's when the cart does not come into being", func() {
		erase(me)
		refused(c.member(me).Post("/v1/carts", mugs(2)), 409, "customer_erased")
		Expect(c.street.held()).To(BeEmpty())
	})

	It("is held for an hour of changes at most, then left to others for a while; whoever places it gets what there is", func() {
		g := c.begins(mugs(2))
		more := func() object {
			GinkgoHelper()
			return done(g.Post(g.at+"/items", object{"sku": "MUG"}, g.token))
		}
		change(`update checkout.cart set held_since = now() - interval '55 minutes' where id = $1`, g.id)
		at, err := time.Parse(time.RFC3339, more()["holdExpiresAt"].(string))
		Expect(err).NotTo(HaveOccurred())
		Expect(at).To(BeTemporally("~", clock.System().Add(5*time.Minute), time.Minute))

		c.overslept(g)
		change(`update checkout.cart set held_since = now() - interval '61 minutes' where id = $1`, g.id)
		more()
		Expect(c.street.held()).To(BeEmpty())
		Expect(g.read()).NotTo(HaveKey("holdExpiresAt"))

		change(`update checkout.cart set hold_expires_at = now() - interval '11 minutes' where id = $1`, g.id)
		more()
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 5}))

		c.overslept(g)
		change(`update checkout.cart set held_since = now() - interval '61 minutes' where id = $1`, g.id)
		Expect(g.places().Status).To(Equal(201))
		Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 5}))
	})

	Describe("of which another one is poured into it", func() {
		var old string
		var g guest
		begin := func(onHand int64, left, new object) {
			GinkgoHelper()
			c.street.sells("MUG", eur(1250), onHand)
			old = done(c.member(me).Post("/v1/carts", left))["id"].(string)
			g = c.begins(new)
		}
		associate := func() testkit.Response {
			GinkgoHelper()
			return c.member(me).Post(g.at+"/associate", nil, g.token)
		}

		It("is held all the time: nobody can have it in between", func() {
			begin(4, mugs(3), mugs(1))
			c.street.asks = func(inventoryapi.Wish) {
				available, err := c.street.Available(context.Background(), nil, []string{"MUG"})
				Expect(err).NotTo(HaveOccurred())
				Expect(available["MUG"]).To(BeZero())
			}
			done(associate())
			Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 4}))
			Expect(c.street.holds).To(And(HaveLen(1), HaveKey(named(g.id))))
		})

		It("stays with each of them when nothing comes of it", func() {
			begin(4, mugs(3), mugs(1))
			erase(me)
			refused(associate(), 409, "customer_erased")
			Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 4}))
			Expect(c.street.holds).To(And(HaveLen(2), HaveKey(named(old)), HaveKey(named(g.id))))
		})

		It("is not in its own way when there is too little for both", func() {
			begin(4, mugs(3), object{"items": []object{{"sku": "MUG", "quantity": 2}}})
			Expect(changesOf(done(associate()))).To(ConsistOf("stock"))
			Expect(c.street.holds).To(And(HaveLen(1), HaveKey(named(g.id))))
			Expect(done(c.member(me).Call(http.MethodPatch, g.at, object{"operations": []object{{"op": "setQuantity", "sku": "MUG", "quantity": 4}}}))).To(HaveKey("holdExpiresAt"))
			Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 4}))
		})

		It("is given up by the one that is over", func() {
			begin(4, mugs(2), object{"items": []object{{"sku": "CUP"}}, "email": "ana@example.com"})
			done(c.member(me).Call(http.MethodPatch, "/v1/carts/"+old, object{"operations": []object{{"op": "setQuantity", "sku": "MUG", "quantity": 9}}}))
			Expect(c.street.held()).To(Equal(map[string]int64{"MUG": 2, "CUP": 1}))
			done(associate())
			Expect(c.street.held()).To(Equal(map[string]int64{"CUP": 1}))
			Expect(c.street.holds).To(HaveKey(named(g.id)))
		})
	})
})
