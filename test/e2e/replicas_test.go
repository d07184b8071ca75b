package e2e_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// Specs that start and stop programs need programs of their own, which do everything.
var _ = func() bool {
	if ours && os.Getenv("FUSION_E2E_DEPLOYMENT") != split {
		Describe("two programs on one database", twoPrograms)
		Describe("a program", oneProgram)
	}
	return true
}()

func started(settings ...string) *program {
	GinkgoHelper()
	p := start(installed.Databases()[0], settings...)
	DeferCleanup(func() {
		Expect(p.Complaints()).To(BeEmpty())
		p.Stop()
	})
	return p
}

func twoPrograms() {
	It("tell those who follow a campaign what happens at either", func() {
		s := open()
		there := s.at(started().url)
		c := s.offers(s.sells("MUG", 10))
		heard, _ := there.follow(c.ID)
		Eventually(heard).Should(Receive(HaveField("Name", "snapshot")))
		Expect(s.join(c.ID, "ana")).To(answer(200))
		Eventually(heard).Should(Receive(HaveField("Campaign.ActualParticipants", int64(1))))
	})

	It("show a changed price within two seconds in both, and the old one never again", func() {
		s := open()
		there := s.at(started().url)
		p := s.sells("MUG", 10)
		price := func(s *shop) string { return as[product](s.get("/v1/products/" + p.ID)).Price }
		listed := func() string { return as[page[product]](there.get("/v1/products")).Data[0].Price }
		for _, changed := range []string{"13.00", "14.00", "15.00"} {
			Expect(price(there)).NotTo(Equal(changed))
			Expect(listed()).NotTo(Equal(changed))
			Expect(s.patch("/v1/products/"+p.ID, object{"price": changed})).To(answer(200))
			Expect(price(s)).To(Equal(changed))
			Eventually(func() string { return price(there) }).Should(Equal(changed))
			Eventually(listed).Should(Equal(changed))
			for range 50 {
				Expect(price(there)).To(Equal(changed))
				Expect(listed()).To(Equal(changed))
			}
			Expect(there.staffed("orders:write").places(item{SKU: "MUG", Quantity: 1, Price: changed}).Total).To(Equal(changed))
		}
	})

	It("never go back to an older price, also while it changes and is read all the time", func() {
		s := open()
		there := s.at(started().url)
		p := s.sells("MUG", 10)
		done := make(chan struct{})
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				defer GinkgoRecover()
				last := p.UpdatedAt
				for {
					seen := as[product](there.get("/v1/products/" + p.ID)).UpdatedAt
					Expect(seen).NotTo(BeTemporally("<", last), "an older version came back")
					last = seen
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		var newest product
		for i := range 40 {
			newest = as[product](s.patch("/v1/products/"+p.ID, object{"price": fmt.Sprintf("%d.00", 20+i)}))
		}
		Eventually(func() product { return as[product](there.get("/v1/products/" + p.ID)) }).Should(Equal(newest))
		close(done)
		readers.Wait()
	})

	It("sell nothing that was archived or has become a draft in the other", func() {
		s := open()
		there := s.at(started().url)
		p := s.sells("MUG", 10)
		Expect(there.places(item{SKU: "MUG", Quantity: 1}).Total).To(Equal("12.50"))
		Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
		Eventually(func() response { return there.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1})) }).Should(refuse(422, "unknown_sku"))
		Expect(as[page[product]](there.get("/v1/products")).Data).To(BeEmpty())
	})

	It("share the work and do none of it twice", func() {
		s := open()
		there := s.at(started().url)
		s.sells("MUG", 30)
		var wg sync.WaitGroup
		for _, caller := range []*shop{s, there} {
			wg.Go(func() {
				defer GinkgoRecover()
				for range 20 {
					caller.places(item{SKU: "MUG", Quantity: 1})
				}
			})
		}
		wg.Wait()
		s.quiet()
		Expect(s.stock("MUG")).To(And(HaveField("Reserved", int64(30)), HaveField("Available", int64(0))))
		Expect(s.facts("inventory.reserved")).To(HaveLen(30))
		Expect(s.facts("order.failed")).To(HaveLen(10))
		numbers := map[int64]bool{}
		for _, o := range all[order](there, "/v1/orders", nil) {
			numbers[o.Number] = true
		}
		Expect(numbers).To(HaveLen(40))
	})

	It("answer a repeated request once, whichever is asked", func() {
		s := open()
		there := s.at(started().url)
		s.sells("MUG", 30)
		key := header{"Idempotency-Key", uuid.NewString()}
		first := s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}), key)
		Expect(first).To(answer(201))
		second := there.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}), key)
		Expect(second.replayed()).To(BeTrue())
		Expect(second.body).To(Equal(first.body))
	})
}

func oneProgram() {
	It("remembers after a restart what it has answered", func() {
		s := open()
		s.sells("MUG", 10)
		key := header{"Idempotency-Key", "the first try"}
		body := basket(item{SKU: "MUG", Quantity: 1})
		p := start(installed.Databases()[0])
		before := s.at(p.url).post("/v1/orders", body, key)
		Expect(before).To(answer(201))
		p.Stop()

		after := s.at(started().url).post("/v1/orders", body, key)
		Expect(after.replayed()).To(BeTrue())
		Expect(after.status).To(Equal(before.status))
		Expect(after.body).To(Equal(before.body))
		Expect(lasting(after)).To(Equal(lasting(before)))
		Expect(s.facts("order.created")).To(HaveLen(1))
	})

	It("finishes after a restart what was left to do", func() {
		d := testkit.NewDatabase()
		p := start(d)
		s := &shop{p.url, testkit.NewTenant(d), ""}
		s.key = testkit.Key(testkit.Open(d.App), s.tenant)
		Expect(s.post("/v1/products", mug)).To(answer(201))
		var ids []string
		for range 5 {
			ids = append(ids, s.places(item{SKU: "MUG", Quantity: 1}).ID)
		}
		p.Stop()
		p = start(d)
		DeferCleanup(p.Stop)
		for _, id := range ids {
			s.at(p.url).becomes(id, "confirmed")
		}
	})

	It("lets those go who follow a campaign when it stops, and stops", func() {
		d := testkit.NewDatabase()
		p := start(d)
		s := &shop{p.url, testkit.NewTenant(d), ""}
		s.key = testkit.Key(testkit.Open(d.App), s.tenant)
		c := s.offers(s.sells("MUG", 10))
		var feeds []chan told
		for range 3 {
			heard, _ := s.follow(c.ID)
			Eventually(heard).Should(Receive(HaveField("Name", "snapshot")))
			feeds = append(feeds, heard)
		}
		p.Stop()
		for _, heard := range feeds {
			Eventually(heard).Should(BeClosed())
		}
		Expect(p.Complaints()).To(BeEmpty())
	})

	It("tells those who measure it how it is, where customers do not come", func() {
		ops := freeAddress()
		p := started("FUSION_OPS_ADDR=" + ops)
		s := open().at(p.url)
		s.sells("MUG", 1)
		Expect(s.get("/metrics")).To(refuse(404, "not_found"))
		resp, err := http.Get("http://" + ops + "/metrics")
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = resp.Body.Close() }()
		Expect(resp).To(HaveHTTPStatus(200))
		Expect(resp).To(HaveHTTPBody(And(ContainSubstring("/v1/products"), Not(ContainSubstring(s.tenant.String())))))
	})

	It("logs no key, no customer and no body", func() {
		p := started()
		s := open().at(p.url)
		s.sells("MUG", 10)
		secret := "canary-" + uuid.NewString()
		Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{
			"customerId": secret, "email": secret + "@example.com", "metadata": object{"note": secret}, "shippingAddress": object{"line1": secret},
		}))).To(answer(201))
		Expect(s.post("/v1/orders", `{"customerId":"`+secret+`"`)).To(answer(400))
		Expect(s.get("/v1/orders?customerId=" + secret)).To(answer(200))
		Expect(s.get("/v1/products/" + secret)).To(refuse(404, "not_found"))
		Expect(s.with(secret).get("/v1/orders")).To(refuse(401, "invalid_credentials"))
		Expect(p.Log()).To(And(ContainSubstring("/v1/orders"), Not(ContainSubstring(secret)), Not(ContainSubstring(s.key)), Not(ContainSubstring(strings.TrimPrefix(bootstrapKey, "fc_sk_")))))
	})
}
