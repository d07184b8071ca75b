package e2e_test

import (
	"net/url"
	"strings"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the event log", func() {
	It("tells the story of an order from the request to its last consequence", func() {
		s := open()
		product := s.sells("MUG", 10)
		trace := "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		r := s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 2}), header{"X-Request-Id", "checkout-1"}, header{"traceparent", trace})
		o := s.becomes(as[order](r).ID, "confirmed")

		var types []string
		last := map[string]fact{}
		for _, f := range s.facts("") {
			types = append(types, f.Type)
			last[f.Type] = f
		}
		Expect(types).To(Equal([]string{"product.created", "order.created", "inventory.reserved", "order.confirmed"}))
		Expect(last["product.created"]).To(And(HaveField("Subject", product.ID), HaveField("Sequence", int64(1)), HaveField("CausationID", "")))
		created, reserved, confirmed := last["order.created"], last["inventory.reserved"], last["order.confirmed"]
		Expect(created).To(And(HaveField("Actor", HavePrefix("key:")), HaveField("CausationID", ""), HaveField("Sequence", int64(1))))
		Expect(created.Data).To(And(
			ContainSubstring(`"orderId":"`+o.ID+`"`), ContainSubstring(`"customerId":"ana"`), ContainSubstring(`"total":"25.00"`),
			ContainSubstring(`"items":[{"sku":"MUG","quantity":2,"price":"12.50"}]`),
		))
		Expect(reserved).To(And(HaveField("CausationID", created.ID), HaveField("Actor", HavePrefix("system:"))))
		Expect(reserved.Data).To(MatchJSON(`{"orderId":"` + o.ID + `","status":"reserved","sku":"MUG","quantity":2,"items":[{"sku":"MUG","quantity":2}]}`))
		Expect(confirmed).To(And(HaveField("CausationID", reserved.ID), HaveField("Sequence", int64(2))))
		for _, f := range []fact{created, reserved, confirmed} {
			Expect(f).To(And(HaveField("Subject", o.ID), HaveField("CorrelationID", "checkout-1"), HaveField("Traceparent", trace), HaveField("Version", 1)))
		}
	})

	It("carries no trace that is none", func() {
		s := open()
		for _, trace := range []string{"nonsense", "00-xyz-00f067aa0ba902b7-01", `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"`, strings.Repeat("0", 5000)} {
			Expect(s.post("/v1/products", mug.but(object{"sku": uuid.NewString()}), header{"traceparent", trace})).To(answer(201))
		}
		for _, f := range s.facts("product.created") {
			Expect(f.Traceparent).To(BeEmpty())
		}
	})

	It("is read by topic", func() {
		s := open()
		s.sells("MUG", 10)
		s.confirmed(item{SKU: "MUG", Quantity: 1})
		s.confirmed(item{SKU: "MUG", Quantity: 1})
		Expect(s.facts("order.created")).To(HaveLen(2))
		Expect(s.facts("order.confirmed")).To(HaveEach(HaveField("Type", "order.confirmed")))
		Expect(s.facts("order.delivered")).To(BeEmpty())
		Expect(s.facts("Order.Created")).To(BeEmpty())
	})

	It("is followed by the id of the last event that one has: none is missed and none comes twice", func() {
		s := open()
		s.sells("MUG", 1000)
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				defer GinkgoRecover()
				for range 10 {
					s.places(item{SKU: "MUG", Quantity: 1})
				}
			})
		}
		done := make(chan struct{})
		go func() { writers.Wait(); close(done) }()
		var seen []string
		after := ""
		follow := func() {
			for {
				facts := as[page[fact]](s.get("/v1/events?limit=7&after=" + after)).Data
				for _, f := range facts {
					seen = append(seen, f.ID)
					after = f.ID
				}
				if len(facts) < 7 {
					return
				}
			}
		}
		Eventually(func() <-chan struct{} { follow(); return done }, "30s").Should(BeClosed())
		s.quiet()
		settled()
		follow()
		var log []string
		for _, f := range s.facts("") {
			log = append(log, f.ID)
		}
		Expect(log).To(HaveLen(1 + 3*40))
		Expect(seen).To(Equal(log))
	})

	It("goes on after a cursor just as after an id, within a topic too", func() {
		s := open()
		s.sells("MUG", 10)
		for range 3 {
			s.confirmed(item{SKU: "MUG", Quantity: 1})
		}
		settled()
		first := as[page[fact]](s.get("/v1/events?topic=order.confirmed&limit=2"))
		byCursor := as[page[fact]](s.get("/v1/events?topic=order.confirmed&cursor=" + first.NextCursor))
		byAfter := as[page[fact]](s.get("/v1/events?topic=order.confirmed&after=" + first.Data[1].ID))
		byBoth := as[page[fact]](s.get("/v1/events?topic=order.confirmed&after=" + first.NextCursor))
		Expect(byCursor.Data).To(HaveLen(1))
		Expect(byAfter).To(Equal(byCursor))
		Expect(byBoth).To(Equal(byCursor))
	})

	It("refuses to go on after an event that there is not", func() {
		s := open()
		Expect(s.get("/v1/events?after=" + uuid.NewString())).To(refuse(422, "unknown_event", "?after"))
		for _, after := range []string{"x", "0", "-1", "1 or 1=1", "ffffffff-ffff-ffff-ffff-ffffffffffffff", "{" + uuid.NewString() + "}", "urn:uuid:" + uuid.NewString(), strings.ReplaceAll(uuid.NewString(), "-", "")} {
			r := s.get("/v1/events?after=" + url.QueryEscape(after))
			Expect(r).To(Or(refuse(422, "invalid_cursor"), refuse(422, "unknown_event")))
		}
	})

	It("is for staff with the permission only", func() {
		s := open()
		Expect(s.staffed("orders:read", "products:read").get("/v1/events")).To(refuse(403, "forbidden"))
		Expect(s.staffed("events:read").get("/v1/events")).To(answer(200))
	})

	It("holds nothing of what was refused", func() {
		s := open()
		s.sells("MUG", 10)
		before := len(s.facts(""))
		Expect(s.post("/v1/products", mug)).To(answer(409))
		Expect(s.post("/v1/orders", basket(item{SKU: "GHOST", Quantity: 1}))).To(answer(422))
		Expect(s.put("/v1/inventory/MUG", object{"onHand": -1})).To(answer(422))
		Expect(s.facts("")).To(HaveLen(before))
	})
})
