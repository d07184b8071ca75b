package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

type campaign struct {
	ID, ProductID, SKU, Name, Price, OriginalPrice, Currency string
	MinParticipants, MaxParticipants, ActualParticipants     int64
	Status, Reason, ShareCode                                string
	StartTime, EndTime, CreatedAt, UpdatedAt                 time.Time
}

// offer is a sound campaign for a product: for 2 to 5 people, begun and not nearly over.
func offer(product string) object {
	now := time.Now().UTC()
	return object{
		"productId": product, "minParticipants": 2, "maxParticipants": 5, "price": "9.90", "originalPrice": "12.50",
		"startTime": now.Add(-time.Hour).Format(time.RFC3339Nano), "endTime": now.Add(24 * time.Hour).Format(time.RFC3339Nano),
	}
}

// in is a time from now, as the body of a request says it.
func in(d time.Duration) string { return time.Now().UTC().Add(d).Format(time.RFC3339Nano) }

// offers starts a campaign.
func (s *shop) offers(p product, changes ...object) campaign {
	GinkgoHelper()
	body := offer(p.ID)
	for _, c := range changes {
		body = body.but(c)
	}
	r := s.post("/v1/campaigns", body)
	Expect(r).To(answer(201))
	return as[campaign](r)
}

func (s *shop) campaign(id string) campaign {
	GinkgoHelper()
	return as[campaign](s.get("/v1/campaigns/" + id))
}

func (s *shop) join(id, user string) response {
	GinkgoHelper()
	return s.post("/v1/campaigns/"+id+"/join", object{"userId": user})
}

// told is an event of a campaign's feed.
type told struct {
	ID, Name string
	Campaign campaign
}

// follow listens to a campaign until the spec is over. beats are the signs of life in
// between; both are closed when the feed ends in good order.
func (s *shop) follow(id string) (heard chan told, beats chan struct{}) {
	GinkgoHelper()
	ctx, hangUp := context.WithCancel(context.Background())
	DeferCleanup(hangUp)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/v1/campaigns/"+id+"/events", http.NoBody)
	Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+s.key)
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r) //nolint:bodyclose // below, when the feed has ended
	Expect(err).NotTo(HaveOccurred())
	Expect(resp).To(And(HaveHTTPStatus(200), HaveHTTPHeaderWithValue("Content-Type", "text/event-stream"), HaveHTTPHeaderWithValue("Cache-Control", "no-store")))
	heard, beats = make(chan told, 100), make(chan struct{}, 100)
	go func() {
		defer GinkgoRecover()
		defer func() { _ = resp.Body.Close() }()
		var e told
		lines := bufio.NewScanner(resp.Body)
		for lines.Scan() {
			switch field, value, _ := strings.Cut(lines.Text(), ":"); {
			case field == "id":
				e.ID = strings.TrimSpace(value)
			case field == "event":
				e.Name = strings.TrimSpace(value)
			case field == "data":
				Expect(published.matches([]byte(value), "paths", "/v1/campaigns/{id}/events", "get", "responses", "200", "content", "text/event-stream", "schema")).To(Succeed())
				Expect(json.Unmarshal([]byte(value), &e.Campaign)).To(Succeed())
				heard <- e
			case lines.Text() == ":":
				beats <- struct{}{}
			}
		}
		if lines.Err() == nil {
			close(heard)
			close(beats)
		}
	}()
	return heard, beats
}

// ordersOf waits for the orders of a campaign's participants to have ended.
func (s *shop) ordersOf(n int) []order {
	GinkgoHelper()
	var list []order
	Eventually(func(g Gomega) {
		list = all[order](s, "/v1/orders", url.Values{"limit": {"100"}})
		g.Expect(list).To(HaveLen(n))
		g.Expect(list).NotTo(ContainElement(HaveField("Status", "created")))
	}).Should(Succeed())
	return list
}

var _ = Describe("a campaign", func() {
	It("is what was asked for, and can be read by everybody", func() {
		s := open()
		p := s.sells("MUG", 10)
		r := s.post("/v1/campaigns", offer(p.ID))
		Expect(r).To(answer(201))
		c := as[campaign](r)
		Expect(c).To(And(HaveField("ProductID", p.ID), HaveField("SKU", "MUG"), HaveField("Name", "Blue mug"), HaveField("Price", "9.90"), HaveField("OriginalPrice", "12.50"),
			HaveField("Currency", "EUR"), HaveField("MinParticipants", int64(2)), HaveField("MaxParticipants", int64(5)), HaveField("ActualParticipants", int64(0)), HaveField("Status", "active")))
		Expect(r.header.Get("Location")).To(Equal("/v1/campaigns/" + c.ID))
		Expect(s.get("/v1/campaigns/" + c.ID).body).To(Equal(r.body))
		Expect(s.get("/v1/campaigns/" + c.ID).tag()).To(Equal(r.tag()))
		Expect(s.get("/campaigns/" + c.ID).body).To(Equal(r.body))
		Expect(as[page[campaign]](s.get("/v1/campaigns?shareCode=" + c.ShareCode)).Data).To(HaveExactElements(c))
		Expect(as[page[campaign]](s.get("/v1/campaigns?shareCode=" + strings.ToLower(c.ShareCode))).Data).To(BeEmpty())
		Expect(s.facts("group-commerce.campaign.created")).To(HaveExactElements(And(HaveField("Subject", c.ID), HaveField("Sequence", int64(1)))))
	})

	It("of the default shop is public", func() {
		s, sku := first(), "MUG-"+uuid.NewString()
		c := s.offers(s.sells(sku, 5))
		Expect(as[campaign](s.with("").get("/v1/campaigns/" + c.ID))).To(Equal(c))
		Expect(s.with("").join(c.ID, "ana")).To(refuse(401, "unauthenticated"))
		Expect(s.staffed("campaigns:read").join(c.ID, "ana")).To(refuse(403, "forbidden"))
		Expect(s.post("/v1/campaigns/"+c.ID+"/cancel", nil)).To(answer(200))
	})

	It("is scheduled before it begins, takes no joins then, and begins by itself", func() {
		s := open()
		p := s.sells("MUG", 10)
		tomorrow := s.offers(p, object{"startTime": in(23 * time.Hour)})
		Expect(tomorrow.Status).To(Equal("scheduled"))
		Expect(s.join(tomorrow.ID, "ana")).To(refuse(409, "campaign_not_active"))
		soon := s.offers(p, object{"startTime": in(time.Second)})
		Eventually(func() string { return s.campaign(soon.ID).Status }).Should(Equal("active"))
		Expect(s.join(soon.ID, "ana")).To(answer(200))
	})

	It("is in yen when its product is", func() {
		s := open()
		p := s.sells("TEA", 10, object{"price": "1500", "currency": "JPY"})
		Expect(s.offers(p, object{"price": 1200, "originalPrice": "1500"})).To(And(HaveField("Price", "1200"), HaveField("Currency", "JPY")))
	})

	It("gives everybody an order at its price when enough have joined, once each", func() {
		s := open()
		p := s.sells("MUG", 100)
		c := s.offers(p)
		shopper := s.staffed("campaigns:join")
		for i, user := range []string{"ana", "ben", "cleo"} {
			r := shopper.post("/v1/campaigns/"+c.ID+"/join", object{"userId": user, "quantity": i + 1})
			Expect(r).To(answer(200))
			joined := as[campaign](r)
			Expect(joined).To(And(HaveField("ActualParticipants", int64(i+1)), HaveField("Status", []string{"active", "successful", "successful"}[i])))
		}
		for _, o := range s.ordersOf(3) {
			Expect(o.Status).To(Equal("confirmed"))
			Expect(o.Metadata).To(Equal(map[string]string{"campaignId": c.ID}))
			Expect(o.Items).To(HaveExactElements(And(HaveField("SKU", "MUG"), HaveField("Name", "Blue mug"), HaveField("Price", "9.90"), HaveField("Quantity", map[string]int64{"ana": 1, "ben": 2, "cleo": 3}[o.CustomerID]))))
			Expect(o.Total).To(Equal(map[string]string{"ana": "9.90", "ben": "19.80", "cleo": "29.70"}[o.CustomerID]))
		}
		Expect(s.stock("MUG").Reserved).To(BeEquivalentTo(6))
		Expect(s.facts("group-commerce.campaign.joined")).To(HaveLen(3))
		Expect(s.facts("group-commerce.campaign.successful")).To(HaveExactElements(HaveField("Subject", c.ID)))
		Expect(s.facts("group-commerce.campaign.order-due")).To(HaveLen(3))
		Expect(all[object](s, "/v1/campaigns/"+c.ID+"/participants", url.Values{"limit": {"2"}})).To(HaveExactElements(
			And(HaveKeyWithValue("userId", "ana"), HaveKeyWithValue("quantity", 1.0)), HaveKeyWithValue("userId", "ben"), HaveKeyWithValue("userId", "cleo")))
	})

	It("sells no more than there is, also to a group", func() {
		s := open()
		c := s.offers(s.sells("MUG", 2), object{"minParticipants": 3})
		for _, user := range []string{"ana", "ben", "cleo"} {
			Expect(s.join(c.ID, user)).To(answer(200))
		}
		statuses := []string{}
		for _, o := range s.ordersOf(3) {
			statuses = append(statuses, o.Status)
		}
		Expect(statuses).To(ConsistOf("confirmed", "confirmed", "failed"))
	})

	It("gives nobody an order before enough have joined", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10))
		Expect(s.join(c.ID, "ana")).To(answer(200))
		s.quiet()
		Expect(all[order](s, "/v1/orders", nil)).To(BeEmpty())
	})

	It("expires when its time is over and too few have joined", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10), object{"endTime": in(1500 * time.Millisecond)})
		Expect(s.join(c.ID, "ana")).To(answer(200))
		Eventually(func() string { return s.campaign(c.ID).Status }).Should(Equal("expired"))
		Expect(s.join(c.ID, "ben")).To(refuse(409, "campaign_not_active"))
		Expect(s.facts("group-commerce.campaign.expired")).To(HaveExactElements(HaveField("Data", ContainSubstring(`"actualParticipants":1,"status":"expired"`))))
		Expect(all[order](s, "/v1/orders", nil)).To(BeEmpty())
	})

	It("stays successful when its time is over, and takes no more joins", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10), object{"endTime": in(1500 * time.Millisecond), "minParticipants": 1})
		Expect(s.join(c.ID, "ana")).To(answer(200))
		Eventually(func() string { return s.join(c.ID, "ben-"+uuid.NewString()[:8]).problem.Code }).Should(Or(Equal("campaign_not_active"), Equal("campaign_full")))
		Eventually(func() response { return s.join(c.ID, "cleo") }).Should(refuse(409, "campaign_not_active"))
		s.quiet()
		Expect(s.campaign(c.ID).Status).To(Equal("successful"))
	})

	It("can be called off, with a reason, until it is successful", func() {
		s := open()
		p := s.sells("MUG", 10)
		c := s.offers(p)
		Expect(s.join(c.ID, "ana")).To(answer(200))
		for _, reason := range []string{"the kiln broke", "again"} {
			off := s.post("/v1/campaigns/"+c.ID+"/cancel", object{"reason": reason})
			Expect(as[campaign](off)).To(And(HaveField("Status", "cancelled"), HaveField("Reason", "the kiln broke")))
		}
		Expect(s.join(c.ID, "ben")).To(refuse(409, "campaign_not_active"))
		Expect(s.facts("group-commerce.campaign.cancelled")).To(HaveExactElements(HaveField("Data", ContainSubstring(`"reason":"the kiln broke"`))))
		good := s.offers(p, object{"minParticipants": 1})
		Expect(s.join(good.ID, "ana")).To(answer(200))
		s.ordersOf(1)
		s.changingNothing(func() {
			Expect(s.post("/v1/campaigns/"+good.ID+"/cancel", nil)).To(refuse(409, "campaign_not_cancellable"))
		})
	})

	It("can be changed by who has read it last, until somebody has joined", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10))
		tag := s.get("/v1/campaigns/" + c.ID).tag()
		changed := s.patch("/v1/campaigns/"+c.ID, object{"maxParticipants": 7, "price": "8"}, header{"If-Match", tag})
		Expect(as[campaign](changed)).To(And(HaveField("MaxParticipants", int64(7)), HaveField("Price", "8.00"), HaveField("MinParticipants", int64(2))))
		Expect(changed.tag()).NotTo(Equal(tag))
		Expect(s.get("/v1/campaigns/"+c.ID, header{"If-None-Match", changed.tag()})).To(answer(304))
		Expect(s.patch("/v1/campaigns/"+c.ID, object{"maxParticipants": 8}, header{"If-Match", tag})).To(refuse(412, "version_conflict"))
		Expect(s.join(c.ID, "ana")).To(answer(200))
		s.changingNothing(func() {
			for _, change := range []object{{"minParticipants": 1}, {"maxParticipants": 9}, {"price": "1"}, {"originalPrice": "99"}, {"startTime": in(-time.Minute)}, {"endTime": in(time.Minute)}} {
				Expect(s.patch("/v1/campaigns/"+c.ID, change)).To(refuse(409, "campaign_locked"))
			}
		})
	})

	It("takes each user once and no more than it has room for", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10), object{"maxParticipants": 2})
		Expect(s.join(c.ID, "ana")).To(answer(200))
		s.changingNothing(func() { Expect(s.join(c.ID, "ana")).To(refuse(409, "already_joined")) })
		Expect(s.join(c.ID, "ben")).To(answer(200))
		s.ordersOf(2)
		s.changingNothing(func() {
			Expect(s.join(c.ID, "cleo")).To(refuse(409, "campaign_full"))
			Expect(s.join(c.ID, "ben")).To(refuse(409, "already_joined"))
			Expect(s.join(uuid.NewString(), "cleo")).To(refuse(404, "not_found"))
		})
	})

	It("answers a repeated join again, and joins once", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10))
		path, k := "/v1/campaigns/"+c.ID+"/join", key(uuid.NewString())
		once := s.post(path, object{"userId": "ana"}, k)
		Expect(once).To(answer(200))
		twice := s.post(path, object{"userId": "ana"}, k)
		Expect(twice.replayed()).To(BeTrue())
		Expect(twice.body).To(Equal(once.body))
		Expect(s.post(path, object{"userId": "ben"}, k)).To(refuse(422, "idempotency_key_reused"))
		Expect(s.campaign(c.ID).ActualParticipants).To(BeEquivalentTo(1))
	})

	It("has exactly as many as there is room for, however many try at once", func() {
		s := open()
		c := s.offers(s.sells("MUG", 100), object{"minParticipants": 10, "maxParticipants": 20})
		var accepted atomic.Int64
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				defer GinkgoRecover()
				for i := range 6 {
					r := s.join(c.ID, fmt.Sprint("user-", (worker*6+i)%40))
					if r.status == 200 {
						accepted.Add(1)
					} else {
						Expect(r.problem.Code).To(BeElementOf("campaign_full", "already_joined"))
					}
				}
			})
		}
		wg.Wait()
		Expect(accepted.Load()).To(BeEquivalentTo(20))
		Expect(s.campaign(c.ID)).To(And(HaveField("ActualParticipants", int64(20)), HaveField("Status", "successful")))
		Expect(s.ordersOf(20)).To(HaveEach(HaveField("Status", "confirmed")))
		Expect(s.facts("group-commerce.campaign.successful")).To(HaveLen(1))
	})

	It("can be followed as it fills, to the end", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10))
		heard, _ := s.follow(c.ID)
		Eventually(heard).Should(Receive(And(HaveField("Name", "snapshot"), HaveField("ID", "1"), HaveField("Campaign.ID", c.ID), HaveField("Campaign.Status", "active"), HaveField("Campaign.MinParticipants", int64(2)),
			HaveField("Campaign.MaxParticipants", int64(5)), HaveField("Campaign.ActualParticipants", int64(0)), HaveField("Campaign.EndTime", BeTemporally("==", c.EndTime)))))
		Expect(s.join(c.ID, "ana")).To(answer(200))
		Eventually(heard).Should(Receive(And(HaveField("Name", "campaign"), HaveField("Campaign.ActualParticipants", int64(1)))))
		Expect(s.join(c.ID, "ben")).To(answer(200))
		Eventually(heard).Should(Receive(And(HaveField("Campaign.Status", "successful"), HaveField("Campaign.ActualParticipants", int64(2)))))
		Expect(open().get("/v1/campaigns/" + c.ID + "/events")).To(refuse(404, "not_found"))
		s.ordersOf(2)
	})

	It("can be followed for longer than any request may take", func() {
		s := open()
		c := s.offers(s.sells("MUG", 10))
		heard, beats := s.follow(c.ID)
		Eventually(heard).Should(Receive(HaveField("Name", "snapshot")))
		Eventually(beats, "25s").Should(Receive(), "a sign of life, beyond the deadlines of requests")
		Expect(s.join(c.ID, "ana")).To(answer(200))
		Eventually(heard).Should(Receive(HaveField("Campaign.ActualParticipants", int64(1))))
	})

	It("is found by what it is, in the order that is asked for", func() {
		s := open()
		p, q := s.sells("MUG", 10), s.sells("CUP", 10)
		var ids []string
		for i := range 5 {
			ids = append(ids, s.offers(p, object{"endTime": in(time.Duration(10-i) * time.Hour)}).ID)
		}
		other := s.offers(q, object{"startTime": in(time.Hour)})
		found := func(query string) (list []string) {
			values, err := url.ParseQuery(query)
			Expect(err).NotTo(HaveOccurred())
			values.Set("limit", "2")
			for _, c := range all[campaign](s, "/v1/campaigns", values) {
				list = append(list, c.ID)
			}
			return list
		}
		Expect(found("sort=createdAt&productId=" + p.ID)).To(Equal(ids))
		Expect(found("sort=endTime&status=active")).To(Equal([]string{ids[4], ids[3], ids[2], ids[1], ids[0]}))
		Expect(found("sort=-endTime&status=active")).To(Equal(ids))
		Expect(found("")).To(HaveLen(6))
		Expect(found("")[0]).To(Equal(other.ID))
		Expect(found("status=scheduled")).To(Equal([]string{other.ID}))
		Expect(found("productId=nonsense")).To(BeEmpty())
		cursor := as[page[campaign]](s.get("/v1/campaigns?limit=1&sort=endTime")).NextCursor
		Expect(s.get("/v1/campaigns?sort=createdAt&cursor=" + cursor)).To(refuse(422, "invalid_cursor"))
		Expect(s.get("/v1/campaigns?status=failed")).To(refuse(422, "validation_failed"))
		Expect(s.get("/v1/campaigns?sort=price")).To(refuse(422, "validation_failed"))
	})
})

var _ = Describe("a campaign is refused", func() {
	s := refusals()

	DescribeTable("for what is said of it:",
		func(said object, pointers ...string) {
			Expect(s.post("/v1/campaigns", offer(s.product.ID).but(said))).To(refuse(422, "validation_failed", pointers...))
		},
		Entry("nobody", object{"minParticipants": 0}, "/minParticipants"),
		Entry("fewer than nobody", object{"minParticipants": -1, "maxParticipants": -2}, "/minParticipants", "/maxParticipants"),
		Entry("more than it takes", object{"minParticipants": 6}, "/maxParticipants"),
		Entry("more than there is room for anywhere", object{"maxParticipants": 1_000_001}, "/maxParticipants"),
		Entry("half a participant", object{"minParticipants": number("1.5")}, "/minParticipants"),
		Entry("a price that saves nothing", object{"price": "12.50"}, "/price"),
		Entry("a higher price", object{"price": "12.51"}, "/price"),
		Entry("a higher price, in a currency that it names", object{"price": "12.51", "currency": "EUR"}, "/price"),
		Entry("a negative price", object{"price": "-1"}, "/price"),
		Entry("a price with too many digits", object{"price": "9.999"}, "/price"),
		Entry("a price that many cannot pay", object{"price": "92233720368547758.06", "originalPrice": "92233720368547758.07"}, "/price"),
		Entry("no price", object{"price": absent}, "/price"),
		Entry("a price that is none", object{"originalPrice": "free"}, "/originalPrice"),
		Entry("a currency that there is not", object{"currency": "XXX"}, "/currency"),
		Entry("an end before its beginning", object{"endTime": in(-2 * time.Hour)}, "/endTime"),
		Entry("an end in the past", object{"endTime": in(-time.Minute)}, "/endTime"),
		Entry("an end that is far", object{"endTime": in(91 * 24 * time.Hour)}, "/endTime"),
		Entry("an end that is no time", object{"endTime": "tomorrow"}, "/endTime"),
		Entry("no beginning", object{"startTime": absent}, "/startTime"),
		Entry("a product that is none", object{"productId": ""}, "/productId"),
		Entry("everything", object{"minParticipants": 6, "price": "13", "startTime": in(time.Hour), "endTime": in(time.Minute)}, "/maxParticipants", "/price", "/endTime"),
		Entry("everything, by type", object{"minParticipants": "2", "price": true, "startTime": 1, "endTime": nil}, "/minParticipants", "/price", "/startTime", "/endTime"),
	)

	It("for a product that is not for sale", func() {
		for _, id := range []string{uuid.NewString(), "MUG"} {
			Expect(s.post("/v1/campaigns", offer(id))).To(refuse(422, "unknown_product", "/productId"))
		}
		Expect(s.post("/v1/campaigns", offer(s.product.ID).but(object{"currency": "JPY", "price": "1", "originalPrice": "2"}))).To(refuse(422, "currency_mismatch", "/currency"))
		theirs := open()
		Expect(s.post("/v1/campaigns", offer(theirs.sells("CUP", 1).ID))).To(refuse(422, "unknown_product", "/productId"))
		p := theirs.sells("JUG", 1)
		Expect(theirs.delete("/v1/products/" + p.ID)).To(answer(204))
		Expect(theirs.post("/v1/campaigns", offer(p.ID))).To(refuse(422, "unknown_product", "/productId"))
	})

	DescribeTable("for how it is changed:",
		func(said object, pointers ...string) {
			Expect(s.patch("/v1/campaigns/"+s.campaign.ID, said)).To(refuse(422, "validation_failed", pointers...))
		},
		Entry("to take fewer than it needs", object{"maxParticipants": 1}, "/maxParticipants"),
		Entry("to save nothing", object{"originalPrice": "9.90"}, "/price"),
		Entry("to be over", object{"endTime": in(-time.Minute)}, "/endTime"),
		Entry("to be over before it begins, and more", object{"startTime": in(48 * time.Hour), "minParticipants": 9}, "/endTime", "/maxParticipants"),
		Entry("to a price with too many digits", object{"price": "1.234"}, "/price"),
	)

	DescribeTable("when somebody joins",
		func(said object, pointers ...string) {
			Expect(s.post("/v1/campaigns/"+s.campaign.ID+"/join", object{"userId": "ana"}.but(said))).To(refuse(422, "validation_failed", pointers...))
		},
		Entry("who is nobody", object{"userId": ""}, "/userId"),
		Entry("who is blank", object{"userId": "  "}, "/userId"),
		Entry("with a name of two lines", object{"userId": "a\nb"}, "/userId"),
		Entry("with a name of 65 characters", object{"userId": strings.Repeat("x", 65)}, "/userId"),
		Entry("for nothing", object{"quantity": 0}, "/quantity"),
		Entry("for more than one person needs", object{"quantity": 1001}, "/quantity"),
		Entry("for a part of one", object{"quantity": number("0.5")}, "/quantity"),
	)
})
