package shipping

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/carriersim"
	"github.com/fusioncommerce/fusion/internal/shipping/easypost"
	"github.com/fusioncommerce/fusion/internal/shipping/shippo"
)

// keys of the simulator's accounts.
var keys = map[string]string{easypost.Name: "EZTKanna", shippo.Name: "shippo_test_anna"}

var _ = Describe("a label that is bought from a carrier", Label("db"), func() {
	type object = map[string]any
	const secret = "whsec_spec"
	var (
		s   *testkit.Shop
		d   *desk
		m   *Module
		sim *carriersim.Simulator
		// ahead is how far the program's clock is before ours.
		ahead atomic.Int64
	)
	BeforeEach(func() {
		ahead.Store(0)
		ctx, end := context.WithCancel(context.Background())
		sim = carriersim.New(ctx, carriersim.Options{Seed: uint64(GinkgoRandomSeed()), Secret: secret, Settling: time.Second})
		server := httptest.NewServer(sim)
		DeferCleanup(func() {
			end()
			server.CloseClientConnections()
			server.Close()
			sim.Close()
		})
		guard := outbound.New(outbound.Options{Inside: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		d = &desk{id: clock.NewID(), customer: clock.NewID().String(), left: 3}
		s = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			m = New(k, shelf{}, d, easypost.New(server.URL, guard), shippo.New(server.URL, guard))
			m.svc.patience, m.svc.settling = 2*time.Second, 3*time.Second
			m.svc.now = func() time.Time { return clock.System().Add(time.Duration(ahead.Load())) }
			return []app.Module{m}
		})
	})

	done := func(r testkit.Response) object {
		GinkgoHelper()
		Expect(r.Status).To(BeNumerically("<", 300), "%s", r.Raw)
		return r.JSON()
	}
	hires := func(provider string, preferred bool) object {
		GinkgoHelper()
		done(s.Call(http.MethodPut, "/v1/shipping/settings", object{"sender": object{"name": "Casa do Café", "line1": "Rua da Rosa 45", "city": "Porto", "postalCode": "4000-001", "country": "PT"}}))
		return done(s.Post("/v1/shipping/carriers", object{"provider": provider, "secretKey": keys[provider], "webhookSecrets": []string{secret}, "preferred": preferred}))
	}
	box := object{"grams": 1250, "length": 300, "width": 200, "height": 100}
	sends := func(more object) object {
		GinkgoHelper()
		body := object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": 1}}, "parcel": box}
		maps.Copy(body, more)
		return done(s.Post("/v1/shipments", body))
	}
	read := func(p object) object {
		GinkgoHelper()
		return done(s.Get(fmt.Sprintf("/v1/shipments/%s", p["id"])))
	}
	becomes := func(p object, status string) object {
		GinkgoHelper()
		var now object
		Eventually(func() object { now = read(p); return now }, testkit.Patience).Should(HaveKeyWithValue("status", status))
		return now
	}
	told := func(p object) (topics []string) {
		GinkgoHelper()
		rows, err := testkit.SQL(testkit.Shared().Super).Query(`select type from platform.event where tenant_id = $1 and type like 'ship%' and data ->> 'shipmentId' = $2 order by seq`, s.Tenant, p["id"])
		Expect(err).NotTo(HaveOccurred())
		defer func() { Expect(rows.Close()).To(Succeed()) }()
		for rows.Next() {
			var topic string
			Expect(rows.Scan(&topic)).To(Succeed())
			topics = append(topics, topic)
		}
		Expect(rows.Err()).NotTo(HaveOccurred())
		return topics
	}

	for _, provider := range []string{easypost.Name, shippo.Name} {
		It("is the cheapest one of the preferred account, with the carrier's document: "+provider, func() {
			a := hires(provider, true)
			Expect(a).To(And(HaveKeyWithValue("hasSecretKey", true), Not(HaveKey("secretKey"))))
			p := sends(nil)
			Expect(p).To(HaveKeyWithValue("status", "created"))
			now := becomes(p, "labelled")
			Expect(sim.Labels()).To(HaveLen(1))
			Expect(now).To(HaveKeyWithValue("trackingNumber", sim.Labels()[0].TrackingNumber))
			pdf := s.Get(fmt.Sprintf("/v1/shipments/%s/label.pdf", p["id"]))
			Expect(pdf.Status).To(Equal(200), "%s", pdf.Raw)
			Expect(string(pdf.Raw)).To(HavePrefix("%PDF-"))
			Expect(s.Get(fmt.Sprintf("/v1/shipments/%s/label.zpl", p["id"])).JSON()).To(HaveKeyWithValue("code", "label_of_other_format"))
			Expect(told(p)).To(Equal([]string{"shipment.created", "shipping.label.created"}))
			Expect(s.Call(http.MethodDelete, fmt.Sprintf("/v1/shipping/carriers/%s", a["id"]), nil).JSON()).To(HaveKeyWithValue("code", "carrier_account_in_use"))
		})

		It("is given back when the carrier agrees, and stays when it does not: "+provider, func() {
			hires(provider, true)
			p := becomes(sends(nil), "labelled")
			done(s.Post(fmt.Sprintf("/v1/shipments/%s/void", p["id"]), nil))
			Eventually(func() carrier.VoidState { return sim.Labels()[0].Void }, testkit.Patience).Should(Equal(carrier.Submitted))
			Expect(sim.Decide(p["trackingNumber"].(string), carrier.Rejected)).To(Succeed())
			Eventually(func() object { return read(p) }, testkit.Patience).Should(And(HaveKeyWithValue("status", "labelled"), HaveKeyWithValue("failureCode", "void_rejected")))
			second := becomes(sends(nil), "labelled")
			done(s.Post(fmt.Sprintf("/v1/shipments/%s/void", second["id"]), nil))
			becomes(second, "voided")
		})
	}

	for _, provider := range []string{easypost.Name, shippo.Name} {
		It("brings back what a buyer returns, from the buyer to the shop: "+provider, func() {
			a := hires(provider, false)
			at := "/v1/returns/" + clock.NewID().String() + "/label"
			Expect(s.Post(at, object{"parcel": box, "carrier": "dhl"}).JSON()).To(HaveKeyWithValue("code", "carrier_not_configured"))
			p := done(s.Post(at, object{"parcel": box, "carrier": provider}))
			Expect(p).To(And(HaveKeyWithValue("status", "created"), HaveKeyWithValue("direction", "return")))
			Expect(s.Post(at, object{"parcel": box, "carrier": provider}).JSON()).To(HaveKeyWithValue("code", "return_has_label"))
			p = becomes(p, "labelled")
			Expect(sim.Labels()).To(HaveLen(1))
			Expect(p).To(And(HaveKeyWithValue("trackingNumber", sim.Labels()[0].TrackingNumber), HaveKeyWithValue("sender", HaveKeyWithValue("city", "Lisboa")), HaveKeyWithValue("recipient", HaveKeyWithValue("city", "Porto"))))
			pdf := s.Get(fmt.Sprintf("/v1/shipments/%s/label.pdf", p["id"]))
			Expect(pdf.Status).To(Equal(200), "%s", pdf.Raw)
			Expect(string(pdf.Raw)).To(HavePrefix("%PDF-"))
			n := carrier.Notice{ID: "evt_1", Type: "tracker.updated", TrackingNumber: p["trackingNumber"].(string), Tracking: &carrier.Tracking{Events: []carrier.Event{{Status: carrier.Delivered, At: clock.System()}}}}
			Expect(m.svc.receive(testkit.As(s.Tenant), uuid.MustParse(a["id"].(string)), n)).To(Succeed())
			becomes(p, "delivered")
			Expect(told(p)).To(Equal([]string{"shipment.created", "shipping.label.created", "shipment.delivered"}))
		})
	}

	It("of a return that cannot be had is asked for anew, and takes nothing of the order again", func() {
		hires(shippo.Name, false)
		at := "/v1/returns/" + clock.NewID().String() + "/label"
		p := becomes(done(s.Post(at, object{"carrier": shippo.Name})), "failed") // Shippo wants to know the sides
		left := d.left
		r := s.Post(fmt.Sprintf("/v1/shipments/%s/retry", p["id"]), nil)
		Expect(r.Status).To(Equal(http.StatusConflict))
		Expect(r.JSON()).To(And(HaveKeyWithValue("code", "shipment_not_failed"), HaveKeyWithValue("detail", ContainSubstring(at))))
		Expect(d.left).To(Equal(left))
		becomes(done(s.Post(at, object{"parcel": box, "carrier": shippo.Name})), "labelled")
	})

	It("is one of those that were offered, and no other; who refuses hides nobody's offers", func() {
		hires(easypost.Name, false)
		hires(shippo.Name, false)
		sim.Break(carriersim.Fault{Kind: carriersim.Offline, Call: "POST /shipments"})
		r := done(s.Post("/v1/shipments/rates", object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": 2}}, "parcel": box}))
		Expect(r["silent"]).To(HaveExactElements(And(HaveKeyWithValue("provider", "shippo"), HaveKeyWithValue("code", "carrier_unavailable"))))
		offers := r["data"].([]any)
		Expect(len(offers)).To(BeNumerically(">", 1))
		last := offers[len(offers)-1].(object)
		p := becomes(done(s.Post("/v1/shipments", object{"orderId": d.id, "rate": last["rate"]})), "labelled")
		Expect(p).To(And(HaveKeyWithValue("service", last["service"]), HaveKeyWithValue("carrier", last["carrier"])))
		Expect(p["items"]).To(HaveExactElements(HaveKeyWithValue("quantity", 2.0)))
		Expect(s.Post("/v1/shipments", object{"orderId": clock.NewID(), "rate": last["rate"]}).JSON()).To(HaveKeyWithValue("code", "unknown_rate"))
	})

	Describe("of an offer", func() {
		var rates []any
		asks := func() {
			GinkgoHelper()
			rates, _ = done(s.Post("/v1/shipments/rates", object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": 1}}, "parcel": box}))["data"].([]any)
			Expect(len(rates)).To(BeNumerically(">", 1))
		}
		takes := func(n int) testkit.Response {
			return s.Post("/v1/shipments", object{"orderId": d.id, "rate": rates[n].(object)["rate"]})
		}
		for _, provider := range []string{easypost.Name, shippo.Name} {
			It("is for one shipment, also of another rate, and also when it was given back: "+provider, func() {
				hires(provider, false)
				asks()
				p := becomes(done(takes(0)), "labelled")
				for n := range 2 {
					Expect(takes(n).JSON()).To(And(HaveKeyWithValue("code", "rate_taken"), HaveKeyWithValue("status", 409.0)))
				}
				done(s.Post(fmt.Sprintf("/v1/shipments/%s/void", p["id"]), nil))
				becomes(p, "voided")
				Expect(takes(0).JSON()).To(HaveKeyWithValue("code", "rate_taken"))
				Expect(sim.Labels()).To(HaveLen(1))
			})
		}

		It("is for one shipment, whoever asks at the same moment", func() {
			hires(easypost.Name, false)
			asks()
			var all sync.WaitGroup
			var bought atomic.Int64
			for n := range 8 {
				all.Go(func() {
					if takes(n%2).Status == http.StatusCreated {
						bought.Add(1)
					}
				})
			}
			all.Wait()
			Expect(bought.Load()).To(BeEquivalentTo(1))
		})

		It("is for the addresses that it was offered for", func() {
			hires(easypost.Name, false)
			asks()
			d.mu.Lock()
			d.country = "ES"
			d.mu.Unlock()
			Expect(takes(0).JSON()).To(HaveKeyWithValue("code", "rate_outdated"))
			asks()
			becomes(done(takes(0)), "labelled")
		})

		It("can be bought for an hour", func() {
			hires(easypost.Name, false)
			asks()
			ahead.Store(int64(offersLast))
			Expect(takes(0).JSON()).To(HaveKeyWithValue("code", "rate_outdated"))
		})
	})

	It("is told of by nobody once its account is removed", func() {
		ctx := testkit.As(s.Tenant)
		Expect(m.svc.receive(ctx, clock.NewID(), carrier.Notice{ID: "evt_1", Type: "tracker.updated", TrackingNumber: "1", Tracking: &carrier.Tracking{Status: carrier.InTransit}})).To(MatchError(httpx.ErrNotFound))
	})

	It("is not bought with an account that was turned off meanwhile", func() {
		a := hires(easypost.Name, true)
		sim.Break(carriersim.Fault{Kind: carriersim.Offline, Call: "POST /v2/shipments"})
		p := sends(nil)
		Eventually(func() int { return sim.Faults()[0].Met }, testkit.Patience).Should(BeNumerically(">", 0))
		done(s.Call(http.MethodPatch, fmt.Sprintf("/v1/shipping/carriers/%s", a["id"]), object{"enabled": false}))
		sim.Mend()
		Expect(becomes(p, "failed")).To(HaveKeyWithValue("failureCode", "account_disabled"))
		Expect(sim.Labels()).To(BeEmpty())
	})

	It("is somebody's to look for when its carrier does not say for a day whether it is sold", func() {
		a := hires(easypost.Name, true)
		sim.Break(carriersim.Fault{Kind: carriersim.Drop, Call: "POST /v2/shipments/{id}/buy", Times: 1})
		p := sends(nil)
		Eventually(func() int { return len(sim.Labels()) }, testkit.Patience).Should(Equal(1))
		done(s.Call(http.MethodPatch, fmt.Sprintf("/v1/shipping/carriers/%s", a["id"]), object{"secretKey": "EZTKnobody"}))
		buys := func() {
			GinkgoHelper()
			_, err := m.svc.buy(testkit.As(s.Tenant), p["id"].(string), 1)
			Expect(err).NotTo(HaveOccurred())
		}
		buys()
		Expect(read(p)).To(HaveKeyWithValue("status", "created"))
		ahead.Store(int64(undecidedFor + time.Minute))
		buys()
		Expect(becomes(p, "failed")).To(HaveKeyWithValue("failureCode", "outcome_unknown"))
	})

	It("that is given up while nobody knows whether it is sold says so in the end", func() {
		a := hires(easypost.Name, true)
		sim.Break(carriersim.Fault{Kind: carriersim.Drop, Call: "POST /v2/shipments/{id}/buy", Times: 1})
		p := sends(nil)
		Eventually(func() int { return len(sim.Labels()) }, testkit.Patience).Should(Equal(1))
		done(s.Call(http.MethodPatch, fmt.Sprintf("/v1/shipping/carriers/%s", a["id"]), object{"secretKey": "EZTKnobody"}))
		done(s.Post(fmt.Sprintf("/v1/shipments/%s/void", p["id"]), nil))
		ahead.Store(int64(undecidedFor + time.Minute))
		Expect(m.svc.buy(testkit.As(s.Tenant), p["id"].(string), 1)).To(BeZero())
		Expect(read(p)).To(And(HaveKeyWithValue("status", "voided"), HaveKeyWithValue("failureCode", "outcome_unknown")))
	})

	It("is not asked for for ever of a carrier that never sells it", func() {
		hires(shippo.Name, true)
		m.svc.settling = 0
		sim.Break(carriersim.Fault{Kind: carriersim.Offline, Call: "POST /transactions"})
		p := sends(nil)
		Eventually(func() int { return sim.Faults()[0].Met }, testkit.Patience).Should(BeNumerically(">", 0))
		ahead.Store(int64(undecidedFor + time.Minute))
		Eventually(func() object {
			_, err := m.svc.buy(testkit.As(s.Tenant), p["id"].(string), 1)
			Expect(err).NotTo(HaveOccurred())
			return read(p)
		}, testkit.Patience).Should(And(HaveKeyWithValue("status", "failed"), HaveKeyWithValue("failureCode", "carrier_unavailable")))
	})

	It("is kept when its carrier does not say for a month whether it takes it back", func() {
		a := hires(easypost.Name, true)
		p := becomes(sends(nil), "labelled")
		done(s.Call(http.MethodPatch, fmt.Sprintf("/v1/shipping/carriers/%s", a["id"]), object{"secretKey": "EZTKnobody"}))
		done(s.Post(fmt.Sprintf("/v1/shipments/%s/void", p["id"]), nil))
		gives := func(n int) time.Duration {
			GinkgoHelper()
			again, err := m.svc.giveBack(testkit.As(s.Tenant), p["id"].(string), n)
			Expect(err).NotTo(HaveOccurred())
			return again
		}
		waited := time.Duration(0)
		for n := 1; n < voidTries; n++ {
			waited += pauseOfVoid(n)
		}
		Expect(waited).To(BeNumerically("~", 30*24*time.Hour, 24*time.Hour))
		Expect(gives(voidTries - 1)).To(Equal(6 * time.Hour))
		Expect(gives(voidTries)).To(BeZero())
		Expect(read(p)).To(And(HaveKeyWithValue("status", "labelled"), HaveKeyWithValue("failureCode", "void_rejected")))
	})

	It("is looked after when its carrier does not take it back that turned up late", func() {
		hires(shippo.Name, true)
		sim.Break(carriersim.Fault{Kind: carriersim.Drop, Call: "POST /transactions", Times: 1})
		p := sends(nil)
		Eventually(func() int { return len(sim.Labels()) }, testkit.Patience).Should(Equal(1))
		sim.Break(carriersim.Fault{Kind: carriersim.Refuse, Call: "POST /refunds"})
		done(s.Post(fmt.Sprintf("/v1/shipments/%s/void", p["id"]), nil))
		Eventually(func() object { return read(p) }, testkit.Patience).Should(And(HaveKeyWithValue("status", "labelled"), HaveKeyWithValue("failureCode", "void_rejected")))
		var tracked int
		Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select count(*) from platform.timer where tenant_id = $1 and kind = $2 and subject = $3`, s.Tenant, trackParcel, p["id"]).Scan(&tracked)).To(Succeed())
		Expect(tracked).To(Equal(1))
	})

	It("that cannot be had is tried again when somebody says so", func() {
		hires(easypost.Name, true)
		p := becomes(sends(object{"service": "Teleport"}), "failed")
		Expect(p).To(HaveKeyWithValue("failureCode", "no_offer"))
		sim.Break(carriersim.Fault{Kind: carriersim.Refuse, Call: "POST /v2/shipments/{id}/buy", Times: 1})
		second := becomes(sends(nil), "failed")
		d.mu.Lock()
		d.left++ // what failed has given back what was in it
		d.mu.Unlock()
		done(s.Post(fmt.Sprintf("/v1/shipments/%s/retry", second["id"]), nil))
		becomes(second, "labelled")
		Expect(told(second)).To(Equal([]string{"shipment.created", "shipment.failed", "shipment.created", "shipping.label.created"}))
		Expect(s.Post(fmt.Sprintf("/v1/shipments/%s/retry", second["id"]), nil).JSON()).To(HaveKeyWithValue("code", "shipment_not_failed"))
		Expect(sim.Labels()).To(HaveLen(1))
	})

	It("is the answer of the first release's route", func() {
		hires(easypost.Name, true)
		out := done(s.Post("/shipping/labels", object{"orderId": d.id}))
		Expect(out).To(And(HaveKeyWithValue("orderId", d.id.String()), HaveKeyWithValue("trackingNumber", sim.Labels()[0].TrackingNumber), HaveKeyWithValue("carrier", sim.Labels()[0].Carrier), HaveKey("labelUrl")))
	})

	It("is given back when it was given up while nobody knew whether it is bought", func() {
		hires(shippo.Name, true)
		sim.Break(carriersim.Fault{Kind: carriersim.Drop, Call: "POST /transactions", Times: 1})
		p := sends(nil)
		Eventually(func() int { return len(sim.Labels()) }, testkit.Patience).Should(Equal(1))
		done(s.Post(fmt.Sprintf("/v1/shipments/%s/void", p["id"]), nil))
		becomes(p, "voided")
		Expect(sim.Labels()).To(HaveExactElements(HaveField("Void", carrier.Voided)))
	})

	It("goes its way as webhooks say, once each, and none that is not signed", func() {
		a := hires(easypost.Name, true)
		p := becomes(sends(nil), "labelled")
		n := carrier.Notice{ID: "evt_1", Type: "tracker.updated", TrackingNumber: p["trackingNumber"].(string), Tracking: &carrier.Tracking{Events: []carrier.Event{{Status: carrier.Delivered, At: clock.System()}}}}
		early := carrier.Notice{ID: "evt_0", Type: "tracker.updated", TrackingNumber: p["trackingNumber"].(string), Tracking: &carrier.Tracking{Events: []carrier.Event{{Status: carrier.InTransit, At: clock.System().Add(-time.Hour)}}}}
		id := uuid.MustParse(a["id"].(string))
		for range 3 {
			Expect(m.svc.receive(testkit.As(s.Tenant), id, n)).To(Succeed())
		}
		becomes(p, "delivered")
		Expect(m.svc.receive(testkit.As(s.Tenant), id, early)).To(Succeed())
		Eventually(func() any { return read(p)["events"] }, testkit.Patience).Should(HaveLen(2))
		Expect(read(p)).To(HaveKeyWithValue("status", "delivered"))
		Expect(told(p)).To(Equal([]string{"shipment.created", "shipping.label.created", "shipment.delivered"}))
		Expect(s.Post(a["webhookPath"].(string), object{"id": "evt_2"}).JSON()).To(HaveKeyWithValue("code", "invalid_signature"))
	})

	It("is one for each of 500 shipments, whatever goes wrong on the way", func() {
		const many = 500
		d.left = many
		hires(easypost.Name, true)
		hires(shippo.Name, false)
		m.svc.patience = 400 * time.Millisecond
		for _, call := range []string{"POST /v2/shipments/{id}/buy", "POST /transactions", "POST /v2/shipments", "POST /shipments", "GET /transactions", "GET /v2/shipments/{id}"} {
			for _, kind := range []string{carriersim.Drop, carriersim.Fail, carriersim.Garbage, carriersim.Reset, carriersim.Busy} {
				sim.Break(carriersim.Fault{Kind: kind, Call: call, PerMille: 60})
			}
			sim.Break(carriersim.Fault{Kind: carriersim.Hang, Call: call, PerMille: 30})
			sim.Break(carriersim.Fault{Kind: carriersim.Slow, Call: call, PerMille: 30, Lasting: time.Second})
		}
		var all sync.WaitGroup
		work := make(chan int)
		for range 8 {
			all.Go(func() {
				defer GinkgoRecover()
				for n := range work {
					p := sends(object{"carrier": []string{easypost.Name, shippo.Name}[n%2]})
					// As if the lease of the errand did not hold: nobody buys beside another one.
					if n%5 == 0 {
						_, err := m.svc.buy(testkit.As(s.Tenant), p["id"].(string), 1)
						Expect(err).NotTo(HaveOccurred())
					}
				}
			})
		}
		for n := range many {
			work <- n
		}
		close(work)
		all.Wait()
		super := testkit.SQL(testkit.Shared().Super)
		count := func(where string) (n int) {
			GinkgoHelper()
			// Errands come sooner, also those that are in somebody's hands.
			_, err := super.Exec(`update platform.timer set due_at = now() where tenant_id = $1 and kind = $2`, s.Tenant, buyLabel)
			Expect(err).NotTo(HaveOccurred())
			Expect(super.QueryRow(`select count(*) from shipping.shipment where tenant_id = $1 and `+where, s.Tenant).Scan(&n)).To(Succeed())
			return n
		}
		Eventually(func() int { return count(`label = 'bought'`) }, 4*time.Minute, 2*time.Second).Should(Equal(many))
		Expect(sim.Labels()).To(HaveLen(many), "no label is bought twice")
		met := []string{}
		for _, f := range sim.Faults() {
			if f.Met > 0 {
				met = append(met, f.Kind)
			}
		}
		Expect(strings.Join(met, " ")).To(And(ContainSubstring("hang"), ContainSubstring("drop"), ContainSubstring("fail"), ContainSubstring("garbage"), ContainSubstring("reset"), ContainSubstring("busy"), ContainSubstring("slow")))
		var numbers int
		Expect(super.QueryRow(`select count(distinct tracking_number) from shipping.shipment where tenant_id = $1`, s.Tenant).Scan(&numbers)).To(Succeed())
		Expect(numbers).To(Equal(many))
	})
})
