package e2e_test

import (
	"context"
	"fmt"
	"math/rand"
	"net/http"
	"strings"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// lasting are the headers that do not belong to one exchange alone.
func lasting(r response) http.Header {
	h := r.header.Clone()
	for _, name := range []string{"Date", "X-Request-Id", "Idempotency-Replayed"} {
		h.Del(name)
	}
	return h
}

func key(text string) header { return header{"Idempotency-Key", text} }

var _ = Describe("a request with an Idempotency-Key", func() {
	It("takes effect once, however often and by however many clients it is sent", func() {
		const clients, each, keys = 40, 15, 20
		s := open()
		s.sells("MUG", 1000)
		type outcome struct {
			body   string
			header http.Header
		}
		var mu sync.Mutex
		outcomes, first := map[string][]outcome{}, map[string]int{}
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				defer GinkgoRecover()
				dice := rand.New(rand.NewSource(GinkgoRandomSeed() + int64(client)))
				for range each {
					name := fmt.Sprint("key-", dice.Intn(keys))
					body := basket(item{SKU: "MUG", Quantity: 1}).but(object{"metadata": object{"of": name}})
					var r response
					for r = s.post("/v1/orders", body, key(name)); r.status == http.StatusConflict; r = s.post("/v1/orders", body, key(name)) {
						Expect(r).To(refuse(409, "idempotency_in_flight"))
					}
					Expect(r).To(answer(201))
					mu.Lock()
					outcomes[name] = append(outcomes[name], outcome{string(r.body), lasting(r)})
					if !r.replayed() {
						first[name]++
					}
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		Expect(outcomes).To(HaveLen(keys))
		for name, list := range outcomes {
			Expect(list).To(HaveEach(list[0]), name)
			Expect(first).To(HaveKeyWithValue(name, 1))
		}
		s.quiet()
		Expect(all[order](s, "/v1/orders", nil)).To(HaveLen(keys))
		Expect(s.facts("order.created")).To(HaveLen(keys))
		Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(keys))
	})

	It("is answered again with the same, and says so", func() {
		s := open()
		s.sells("MUG", 10)
		o := s.confirmed(item{SKU: "MUG", Quantity: 1})
		for _, request := range []struct {
			path string
			body object
		}{
			{"/v1/products", mug.but(object{"sku": "CUP"})},
			{"/v1/orders", basket(item{SKU: "MUG", Quantity: 1})},
			{"/v1/orders/" + o.ID + "/cancel", object{"reason": "once"}},
			{"/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": "found"}},
		} {
			first := s.post(request.path, request.body, key("k"))
			Expect(first.status).To(BeNumerically("<", 300))
			Expect(first.replayed()).To(BeFalse())
			s.changingNothing(func() {
				again := s.post(request.path, request.body, key("k"))
				Expect(again.replayed()).To(BeTrue())
				Expect(again.status).To(Equal(first.status))
				Expect(again.body).To(Equal(first.body))
				Expect(lasting(again)).To(Equal(lasting(first)))
			})
		}
	})

	It("is answered as it was then, whatever has happened since", func() {
		s := open()
		p := s.sells("MUG", 10)
		first := s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1, Price: "12.50"}), key("k"))
		Expect(s.post("/v1/orders/"+as[order](first).ID+"/cancel", nil)).To(answer(200))
		Expect(s.patch("/v1/products/"+p.ID, object{"price": 99})).To(answer(200))
		Expect(s.delete("/v1/products/" + p.ID)).To(answer(204))
		again := s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1, Price: "12.50"}), key("k"))
		Expect(again.replayed()).To(BeTrue())
		Expect(again.body).To(Equal(first.body))
	})

	It("is answered to nobody who does not show the ticket that was shown before", func() {
		s := open()
		s.sells("MUG", 10)
		s.takes("test")
		guest := s.page()
		c := guest.begins(object{"items": []item{{SKU: "MUG", Quantity: 1}}, "email": "ana@example.com", "shippingAddress": toLisbon})
		other := guest.begins(object{"items": []item{{SKU: "MUG", Quantity: 1}}})
		place := "/v1/carts/" + c.ID + "/place"
		first := guest.post(place, nil, key("k"), c.token())
		Expect(first).To(answer(201))
		again := guest.post(place, nil, key("k"), c.token())
		Expect(again.replayed()).To(BeTrue())
		Expect(again.body).To(Equal(first.body))
		Expect(guest.post(place, nil, key("k"))).To(refuse(404, "not_found"))
		Expect(guest.post(place, nil, key("k"), other.token())).To(refuse(404, "not_found"))

		type waiting struct{ ClientSecret string }
		due := object{"orderId": as[order](first).ID}
		paid := guest.post("/v1/payments", due, key("p"), c.token())
		Expect(paid).To(answer(201))
		secret := as[waiting](paid).ClientSecret
		Expect(secret).NotTo(BeEmpty())
		Expect(guest.post("/v1/payments", due, key("p"))).To(refuse(404, "not_found"))
		Expect(s.with("").post("/v1/payments", due, key("p"), header{"Cart-Token", "garbage"})).To(refuse(404, "not_found"))
		again = guest.post("/v1/payments", due, key("p"), c.token())
		Expect(again.replayed()).To(BeTrue())
		Expect(again.body).To(Equal(paid.body), "also what was not kept")
		for _, database := range auditors {
			var kept int
			Expect(database.QueryRow(`select count(*) from platform.idempotency i where tenant_id = $1 and position($2::bytea in body) > 0`, s.tenant, []byte(secret)).Scan(&kept)).To(Succeed())
			Expect(kept).To(BeZero())
		}
	})

	It("is the same request when only blanks and the order of fields differ", func() {
		s := open()
		s.sells("MUG", 10)
		first := s.post("/v1/orders", `{"customerId":"ana","items":[{"sku":"MUG","quantity":1}]}`, key("k"))
		Expect(first).To(answer(201))
		again := s.post("/v1/orders", "{ \"items\" : [ {\"quantity\":1,\n\"sku\":\"MUG\"} ],\t\"customerId\":\"\\u0061na\" }\n", key("k"))
		Expect(again.replayed()).To(BeTrue())
		Expect(again.body).To(Equal(first.body))
		Expect(s.post("/orders", basket(item{SKU: "MUG", Quantity: 1}), key("k")).replayed()).To(BeTrue())
	})

	It("is refused when the same key comes with another body", func() {
		s := open()
		s.sells("MUG", 10)
		Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}), key("k"))).To(answer(201))
		s.changingNothing(func() {
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 2}), key("k"))).To(refuse(422, "idempotency_key_reused"))
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{"email": "a@example.com"}), key("k"))).To(refuse(422, "idempotency_key_reused"))
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}), key("k"))).To(answer(201))
		})
	})

	It("is another request under another path, of another caller or of another merchant", func() {
		s, neighbour := open(), open()
		body := basket(item{SKU: "MUG", Quantity: 1})
		s.sells("MUG", 10)
		neighbour.sells("MUG", 10)
		first := s.post("/v1/orders", body, key("k"))
		for _, other := range []response{
			s.staffed("orders:write").post("/v1/orders", body, key("k")),
			neighbour.post("/v1/orders", body, key("k")),
			s.post("/v1/orders", body, key("K")),
		} {
			Expect(other).To(answer(201))
			Expect(other.replayed()).To(BeFalse())
			Expect(as[order](other).ID).NotTo(Equal(as[order](first).ID))
		}
		Expect(s.post("/v1/products", mug.but(object{"sku": "CUP"}), key("k"))).To(answer(201))
		for range 2 {
			o := s.confirmed(item{SKU: "MUG", Quantity: 1})
			cancelled := s.post("/v1/orders/"+o.ID+"/cancel", object{"reason": "k"}, key("k"))
			Expect(as[order](cancelled).ID).To(Equal(o.ID))
			Expect(cancelled.replayed()).To(BeFalse())
		}
		s.sells("BOWL", 1)
		Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": "x"}, key("k")).replayed()).To(BeFalse())
		Expect(s.post("/v1/inventory/BOWL/adjustments", object{"delta": 1, "reason": "x"}, key("k")).replayed()).To(BeFalse())
	})

	It("is told to wait while the first one is still running", Serial, func() {
		s := open()
		s.sells("MUG", 10)
		body := basket(item{SKU: "MUG", Quantity: 1})
		ctx, cancel := context.WithCancel(context.Background())
		DeferCleanup(cancel)
		obstacle, err := auditors[0].BeginTx(ctx, nil)
		Expect(err).NotTo(HaveOccurred())
		_, err = obstacle.Exec(`lock table orders.orders in share row exclusive mode`)
		Expect(err).NotTo(HaveOccurred())

		first := make(chan response, 1)
		go func() {
			defer GinkgoRecover()
			first <- s.post("/v1/orders", body, key("k"))
		}()
		Eventually(func() (waiting int) {
			ask(&waiting, `select count(*) from pg_locks where relation = 'orders.orders'::regclass and not granted`)
			return waiting
		}).Should(Equal(1))
		for range 3 {
			second := s.post("/v1/orders", body, key("k"))
			Expect(second).To(refuse(409, "idempotency_in_flight"))
			Expect(second.header.Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
		}
		Expect(obstacle.Rollback()).To(Succeed())

		var done response
		Eventually(first).Should(Receive(&done))
		Expect(done).To(answer(201))
		again := s.post("/v1/orders", body, key("k"))
		Expect(again.replayed()).To(BeTrue())
		Expect(again.body).To(Equal(done.body))
		Expect(s.facts("order.created")).To(HaveLen(1))
	})

	It("sent by several at once is answered with the one effect, or told to wait, and nothing else", func() {
		s := open()
		for round := range 12 {
			body := mug.but(object{"sku": fmt.Sprint("MUG-", round)})
			var wg sync.WaitGroup
			for range 6 {
				wg.Go(func() {
					defer GinkgoRecover()
					r := s.post("/v1/products", body, key(fmt.Sprint(round)))
					Expect(r).To(Or(answer(201), refuse(409, "idempotency_in_flight")))
				})
			}
			wg.Wait()
		}
		Expect(s.facts("product.created")).To(HaveLen(12))
	})

	It("is not remembered when it was refused: it may be put right and sent again", func() {
		s := open()
		s.changingNothing(func() {
			Expect(s.post("/v1/products", mug.but(object{"price": "free"}), key("p"))).To(refuse(422, "validation_failed"))
			Expect(s.post("/v1/products", "{", key("p"))).To(refuse(400, "malformed_json"))
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}), key("o"))).To(refuse(422, "unknown_sku"))
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": "x"}, key("a"))).To(refuse(404, "not_found"))
		})
		Expect(s.post("/v1/products", mug, key("p"))).To(answer(201))
		s.stocks("MUG")
		Expect(s.post("/v1/products", mug, key("q"))).To(refuse(409, "sku_taken"))
		Expect(s.post("/v1/products", mug.but(object{"sku": "CUP"}), key("q"))).To(answer(201))
		Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}), key("o"))).To(answer(201))
		Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": "x"}, key("a"))).To(answer(200))
	})

	It("may have a key of 1 to 255 printable characters", func() {
		s := open()
		for i, name := range []string{"k", strings.Repeat("k", 255), `!"#$%&'()*+,-./:;<=>?@[\]^_{|}~ x`, uuid.NewString()} {
			body := mug.but(object{"sku": fmt.Sprint("MUG-", i)})
			Expect(s.post("/v1/products", body, key(name))).To(answer(201))
			Expect(s.post("/v1/products", body, key(name)).replayed()).To(BeTrue())
		}
	})

	DescribeTable("is refused with a key that is none",
		func(name string) {
			s := open()
			s.changingNothing(func() {
				for _, o := range published.Operations {
					if o.Method != http.MethodPost {
						continue
					}
					answered := answerTo(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\nIdempotency-Key:%s\r\n\r\n{}",
						o.to(uuid.NewString(), "MUG"), s.key, name))
					Expect(answered).To(HavePrefix("HTTP/1.1 400 "))
				}
			})
		},
		Entry("because it is empty", ""),
		Entry("because it is blank", "   "),
		Entry("because it is too long", strings.Repeat("k", 256)),
		Entry("because it holds a tab", "a\tb"),
		Entry("because it holds a NUL", "a\x00b"),
		Entry("because it holds an escape", "a\x1b[31mb"),
		Entry("because it holds a delete", "a\x7fb"),
		Entry("because it is not ASCII", "schlüssel"),
		Entry("because it is not UTF-8", "a\xffb"),
		Entry("because there are two", " a\r\nIdempotency-Key: b"),
	)

	It("changes nothing where it means nothing", func() {
		s := open()
		p := s.sells("MUG", 1)
		for range 2 {
			r := s.get("/v1/products/"+p.ID, key("k"))
			Expect(r).To(answer(200))
			Expect(r.replayed()).To(BeFalse())
		}
		Expect(as[stock](s.put("/v1/inventory/MUG", object{"onHand": 5}, key("k"))).OnHand).To(BeEquivalentTo(5))
		Expect(as[stock](s.put("/v1/inventory/MUG", object{"onHand": 6}, key("k"))).OnHand).To(BeEquivalentTo(6))
	})

	It("without one is a new request each time", func() {
		s := open()
		s.sells("MUG", 10)
		Expect(s.places(item{SKU: "MUG", Quantity: 1}).ID).NotTo(Equal(s.places(item{SKU: "MUG", Quantity: 1}).ID))
		Expect(s.facts("order.created")).To(HaveLen(2))
	})
})
