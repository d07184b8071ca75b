package shipping

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// desk stands in for the orders next door: one order of three mugs, of which each unit goes
// into one parcel.
type desk struct {
	mu       sync.Mutex
	id       uuid.UUID
	customer string
	country  string // where the order goes; empty: Portugal
	left     int64
}

var errNothing = fault.New(fault.Conflict, "nothing_to_ship", "Nothing is left.")

func (d *desk) Consign(ctx context.Context, tx *db.Tx, order, _ uuid.UUID, items []ordersapi.ConsignedItem) (ordersapi.Consignee, error) {
	if _, err := tx.Exec(ctx, `select pg_advisory_xact_lock(hashtextextended($1, 0))`, order.String()); err != nil { // the lock of the order
		return ordersapi.Consignee{}, fmt.Errorf("lock order: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	wants := d.left
	if len(items) > 0 {
		wants = items[0].Quantity
	}
	if order != d.id || wants == 0 || wants > d.left {
		return ordersapi.Consignee{}, errNothing
	}
	d.left -= wants
	kept := false
	tx.AfterCommit(func() { kept = true })
	tx.AtEnd(func() {
		if kept {
			return
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.left += wants
	})
	return d.to(wants), nil
}

func (d *desk) Consignable(_ context.Context, _ *db.Tx, order uuid.UUID, items []ordersapi.ConsignedItem) (ordersapi.Consignee, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wants := d.left
	if len(items) > 0 {
		wants = items[0].Quantity
	}
	if order != d.id || wants == 0 || wants > d.left {
		return ordersapi.Consignee{}, errNothing
	}
	return d.to(wants), nil
}

func (d *desk) to(quantity int64) ordersapi.Consignee {
	country := cmp.Or(d.country, "PT")
	return ordersapi.Consignee{
		OrderID: d.id.String(), Number: 1001, CustomerID: d.customer, Method: "Parcel", Country: country, Currency: money.EUR,
		Address: &ordersapi.Address{Name: "Ana Souza", Line1: "Rua Augusta 1", City: "Lisboa", PostalCode: "1100-048", Country: country},
		Items:   []ordersapi.ConsignedLine{{Line: 1, SKU: "MUG", Name: "Mug", Quantity: quantity, Price: money.Amount{Minor: 1250, Currency: money.EUR}}},
	}
}

// ConsignReturn has whatever was asked for come back, of the same order.
func (d *desk) ConsignReturn(_ context.Context, _ *db.Tx, _, _ uuid.UUID) (ordersapi.Consignee, error) {
	return ordersapi.Consignee{
		OrderID: d.id.String(), Number: 1001, CustomerID: d.customer, Country: "PT", Currency: money.EUR,
		Address: &ordersapi.Address{Name: "Ana Souza", Line1: "Rua Augusta 1", City: "Lisboa", PostalCode: "1100-048", Country: "PT"},
		Items:   []ordersapi.ConsignedLine{{Line: 1, SKU: "MUG", Name: "Mug", Quantity: 1, Price: money.Amount{Minor: 1250, Currency: money.EUR}}},
	}, nil
}

var _ = Describe("a shipment", Label("db"), func() {
	type object = map[string]any
	var (
		s *testkit.Shop
		d *desk
		m *Module
	)
	BeforeEach(func() {
		d = &desk{id: clock.NewID(), customer: clock.NewID().String(), left: 3}
		s = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			m = New(k, shelf{}, d)
			return []app.Module{m}
		})
	})

	done := func(r testkit.Response) object {
		GinkgoHelper()
		Expect(r.Status).To(BeNumerically("<", 300), "%s", r.Raw)
		return r.JSON()
	}
	refused := func(r testkit.Response, status int, code string) object {
		GinkgoHelper()
		Expect(r.Status).To(Equal(status), "%s", r.Raw)
		Expect(r.JSON()).To(HaveKeyWithValue("code", code))
		return r.JSON()
	}
	says := func(more object) {
		GinkgoHelper()
		body := object{"sender": object{"name": "Casa do Café", "line1": "Rua da Rosa 45", "city": "Porto", "postalCode": "4000-001", "country": "PT"}}
		maps.Copy(body, more)
		done(s.Call(http.MethodPut, "/v1/shipping/settings", body))
	}
	sends := func(n int) testkit.Response {
		GinkgoHelper()
		return s.Post("/v1/shipments", object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": n}}, "parcel": object{"grams": 1250}})
	}
	at := func(p object, what string) string { return fmt.Sprintf("/v1/shipments/%s%s", p["id"], what) }
	// told are the topics of what the shop has said, in order.
	told := func() (topics []string) {
		GinkgoHelper()
		rows, err := testkit.SQL(testkit.Shared().Super).Query(`select type || ' ' || sequence from platform.event where tenant_id = $1 and type like 'ship%' order by seq`, s.Tenant)
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

	It("cannot be made before the shop has said where parcels come from", func() {
		refused(sends(1), 409, "no_sender")
		Expect(d.left).To(Equal(int64(3)))
		Expect(told()).To(BeEmpty())
	})

	It("has a label, with a number that nobody else in the shop has, and goes to the door", func() {
		says(nil)
		first, second := done(sends(2)), done(sends(1))
		Expect(first).To(And(HaveKeyWithValue("status", "labelled"), HaveKeyWithValue("trackingNumber", "1001-1"), HaveKeyWithValue("service", "Parcel"), HaveKeyWithValue("carrier", "Casa do Café")))
		Expect(second).To(HaveKeyWithValue("trackingNumber", "1001-2"))
		refused(sends(1), 409, "nothing_to_ship")
		Expect(done(s.Post(at(first, "/ship"), nil))).To(HaveKeyWithValue("status", "shipped"))
		Expect(done(s.Post(at(first, "/deliver"), nil))).To(HaveKeyWithValue("status", "delivered"))
		Expect(done(s.Post(at(first, "/ship"), nil))).To(HaveKeyWithValue("status", "delivered"), "it never moves back")
		refused(s.Post(at(first, "/void"), nil), 409, "shipment_not_voidable")
		Expect(told()).To(Equal([]string{
			"shipment.created 1", "shipping.label.created 2", "shipment.created 1", "shipping.label.created 2", "shipment.shipped 3", "shipment.delivered 4",
		}))
	})

	It("is made once by a request that is repeated", func() {
		says(nil)
		again := testkit.Header{Name: "Idempotency-Key", Value: uuid.NewString()}
		body := object{"orderId": d.id, "items": []object{{"line": 1, "quantity": 1}}}
		first := done(s.Post("/v1/shipments", body, again))
		Expect(done(s.Post("/v1/shipments", body, again))["id"]).To(Equal(first["id"]))
		Expect(d.left).To(Equal(int64(2)))
	})

	It("is one of as many as there are units, however many are asked for at the same moment", func() {
		says(nil)
		var all sync.WaitGroup
		var mu sync.Mutex
		answers := map[int]int{}
		for range 12 {
			all.Go(func() {
				defer GinkgoRecover()
				r := sends(1)
				mu.Lock()
				defer mu.Unlock()
				answers[r.Status]++
			})
		}
		all.Wait()
		Expect(answers).To(Equal(map[int]int{201: 3, 409: 9}))
	})

	It("is given up before it has left, once", func() {
		says(nil)
		p := done(sends(1))
		Expect(done(s.Post(at(p, "/void"), nil))).To(HaveKeyWithValue("status", "voided"))
		Expect(done(s.Post(at(p, "/void"), nil))).To(HaveKeyWithValue("status", "voided"))
		refused(s.Post(at(p, "/ship"), nil), 409, "shipment_not_shippable")
		Expect(told()).To(Equal([]string{"shipment.created 1", "shipping.label.created 2", "shipment.voided 3"}))
	})

	It("has its label as a page, and for a label printer", func() {
		says(object{"paper": "A6"})
		p := done(sends(1))
		for path, begins := range map[string]string{"/label.pdf": "%PDF-", "/label.zpl": "^XA", "/label.zpl?dpi=300": "^XA"} {
			r := s.Get(at(p, path))
			Expect(r.Status).To(Equal(200), path)
			Expect(string(r.Raw)).To(HavePrefix(begins), path)
			Expect(r.Header.Get("Content-Disposition")).To(ContainSubstring("label-1001-1."))
		}
		refused(s.Get(at(p, "/label.zpl?dpi=72")), 422, "validation_failed")
	})

	It("shows where it is to who has the link, and names nobody", func() {
		says(nil)
		p := done(sends(1))
		done(s.Post(at(p, "/ship"), nil))
		r := s.Get(p["trackPath"].(string))
		seen := done(r)
		Expect(seen).To(And(HaveKeyWithValue("status", "shipped"), HaveKeyWithValue("city", "Lisboa"), HaveKeyWithValue("country", "PT")))
		Expect(string(r.Raw)).NotTo(Or(ContainSubstring("Ana"), ContainSubstring("Augusta"), ContainSubstring("1100-048"), ContainSubstring("MUG")))
		Expect(s.Get("/v1/track/" + strings.Repeat("A", 26)).Status).To(Equal(404))
	})

	It("is listed by how it stands and by its order", func() {
		says(nil)
		first := done(sends(1))
		second := done(sends(1))
		done(s.Post(at(second, "/ship"), nil))
		list := func(query string) (ids []any) {
			GinkgoHelper()
			for _, p := range done(s.Get("/v1/shipments" + query))["data"].([]any) {
				ids = append(ids, p.(object)["id"])
			}
			return ids
		}
		Expect(list("")).To(Equal([]any{second["id"], first["id"]}))
		Expect(list("?status=labelled")).To(Equal([]any{first["id"]}))
		Expect(list("?limit=1")).To(HaveLen(1))
		Expect(list("?orderId=" + clock.NewID().String())).To(BeEmpty())
	})

	Describe("of an order", func() {
		hears := func(tell func(ctx context.Context, tx *db.Tx) error) {
			GinkgoHelper()
			ctx := testkit.As(s.Tenant)
			Expect(m.svc.db.InTx(ctx, func(tx *db.Tx) error { return tell(ctx, tx) })).To(Succeed())
		}
		paid := func() {
			GinkgoHelper()
			hears(func(ctx context.Context, tx *db.Tx) error {
				return m.svc.onOrderPaid(ctx, tx, []event.Received[ordersapi.OrderPaid]{{Fact: ordersapi.OrderPaid{Order: ordersapi.Order{OrderID: d.id.String()}}}})
			})
		}

		It("that is paid waits for somebody, unless the shop has it made by itself", func() {
			says(nil)
			paid()
			Expect(told()).To(BeEmpty())
			says(object{"policy": "auto"})
			paid()
			Eventually(told).Should(Equal([]string{"shipment.created 1", "shipping.label.created 2"}))
			Expect(m.svc.send(testkit.As(s.Tenant), d.id.String(), 1)).To(BeZero(), "nothing is left, and nobody asks again")
			Expect(told()).To(HaveLen(2))
		})

		It("of a customer who is erased goes nobody knows where, and none is made any more", func() {
			says(nil)
			p := done(sends(1))
			hears(func(ctx context.Context, tx *db.Tx) error {
				return m.svc.onErased(ctx, tx, []event.Received[identityapi.CustomerErased]{{Fact: identityapi.CustomerErased{CustomerID: d.customer}}})
			})
			Expect(done(s.Get(at(p, "")))).To(And(Not(HaveKey("recipient")), HaveKeyWithValue("trackingNumber", "1001-1")))
			refused(s.Get(at(p, "/label.pdf")), 409, "shipment_has_no_label")
			refused(sends(1), 409, "customer_erased")
		})

		claimed := func(by string) {
			GinkgoHelper()
			hears(func(ctx context.Context, tx *db.Tx) error {
				return m.svc.onOrderClaimed(ctx, tx, []event.Received[ordersapi.OrderClaimed]{{Fact: ordersapi.OrderClaimed{Order: ordersapi.Order{OrderID: d.id.String(), CustomerID: by}}}})
			})
		}
		erased := func(who string) {
			GinkgoHelper()
			hears(func(ctx context.Context, tx *db.Tx) error {
				return m.svc.onErased(ctx, tx, []event.Received[identityapi.CustomerErased]{{Fact: identityapi.CustomerErased{CustomerID: who}}})
			})
		}

		DescribeTable("of a guest who is erased goes nobody knows where, whatever is heard first", func(news ...string) {
			says(nil)
			d.customer = "guest-7"
			p, who := done(sends(1)), clock.NewID().String()
			for _, n := range news {
				map[string]func(string){"claimed": claimed, "erased": erased}[n](who)
			}
			Expect(done(s.Get(at(p, "")))).NotTo(HaveKey("recipient"))
			Expect(string(s.Get(at(p, "")).Raw)).NotTo(Or(ContainSubstring("Ana"), ContainSubstring("Augusta"), ContainSubstring("Lisboa")))
		},
			Entry("that it is theirs", "claimed", "erased"),
			Entry("that they are erased", "erased", "claimed"),
			Entry("both twice", "erased", "claimed", "claimed", "erased"),
		)

		It("of a customer who is erased is in no kept answer", func() {
			says(nil)
			once := testkit.Header{Name: "Idempotency-Key", Value: "parcel-1"}
			body := object{"orderId": d.id, "items": []object{{"sku": "MUG", "quantity": 1}}, "parcel": object{"grams": 1250}}
			p := done(s.Call(http.MethodPost, "/v1/shipments", body, once))
			Expect(done(s.Call(http.MethodPost, "/v1/shipments", body, once))["id"]).To(Equal(p["id"]))
			done(s.Call(http.MethodPost, at(p, "/ship"), nil, once))
			erased(d.customer)
			var kept int
			Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select count(*) from platform.idempotency where tenant_id = $1 and (convert_from(body, 'UTF8') like '%Ana%' or convert_from(body, 'UTF8') like '%Augusta%')`, s.Tenant).Scan(&kept)).To(Succeed())
			Expect(kept).To(BeZero())
			refused(s.Call(http.MethodPost, "/v1/shipments", body, once), 409, "customer_erased")
		})

		It("of a customer who is erased says nothing that carriers wrote about the way, nor does it later", func() {
			says(nil)
			p := done(sends(1))
			sees := func(status carrier.Status, after time.Duration) {
				GinkgoHelper()
				hears(func(ctx context.Context, tx *db.Tx) error {
					was, err := m.svc.store.lockShipment(ctx, tx, uuid.MustParse(p["id"].(string)))
					if err != nil {
						return err
					}
					now := was
					now.see(carrier.Tracking{Events: []carrier.Event{{Status: status, Description: "Left with Bruno at no. 3", Place: "Lisboa", At: clock.System().Add(after)}}})
					return m.svc.keepChanged(ctx, tx, was, now)
				})
			}
			sees(carrier.InTransit, 0)
			Expect(string(s.Get(at(p, "")).Raw)).To(ContainSubstring("Bruno"))
			Expect(string(s.Get(p["trackPath"].(string)).Raw)).To(And(ContainSubstring("in_transit"), Not(ContainSubstring("Bruno"))), "anybody may see that")
			erased(d.customer)
			sees(carrier.Delivered, time.Hour)
			now := s.Get(at(p, ""))
			Expect(now.JSON()).To(And(HaveKeyWithValue("status", "delivered"), HaveKeyWithValue("events", HaveLen(2))))
			Expect(string(now.Raw)).NotTo(Or(ContainSubstring("Bruno"), ContainSubstring("Lisboa")))
		})

		It("that comes back has a label of its own, is no parcel that was sent, and is given up with its return", func() {
			says(nil)
			sent := done(sends(1))
			id := clock.NewID()
			back := done(s.Post("/v1/returns/"+id.String()+"/label", nil))
			Expect(back).To(And(HaveKeyWithValue("direction", "return"), HaveKeyWithValue("returnId", id.String()), HaveKeyWithValue("status", "labelled"), HaveKeyWithValue("trackingNumber", "1001-R1"),
				HaveKeyWithValue("sender", HaveKeyWithValue("city", "Lisboa")), HaveKeyWithValue("recipient", HaveKeyWithValue("city", "Porto"))))
			Expect(done(sends(1))).To(HaveKeyWithValue("trackingNumber", "1001-2"), "the second that is sent")
			refused(s.Post("/v1/returns/"+id.String()+"/label", nil), 409, "return_has_label")
			r := s.Get(at(back, "/label.zpl"))
			Expect(r.Status).To(Equal(200))
			hears(func(ctx context.Context, tx *db.Tx) error {
				return m.svc.onReturnCancelled(ctx, tx, []event.Received[ordersapi.ReturnCancelled]{{Fact: ordersapi.ReturnCancelled{Return: ordersapi.Return{ReturnID: id.String()}}}})
			})
			Expect(done(s.Get(at(back, "")))).To(HaveKeyWithValue("status", "voided"))
			Expect(done(s.Get(at(sent, "")))).To(HaveKeyWithValue("status", "labelled"))
			Expect(done(s.Post("/v1/returns/"+id.String()+"/label", nil))).To(HaveKeyWithValue("trackingNumber", "1001-R2"))
			hears(func(ctx context.Context, tx *db.Tx) error {
				return m.svc.onErased(ctx, tx, []event.Received[identityapi.CustomerErased]{{Fact: identityapi.CustomerErased{CustomerID: d.customer}}})
			})
			r = s.Get(at(back, ""))
			Expect(string(r.Raw)).NotTo(Or(ContainSubstring("Ana"), ContainSubstring("Augusta"), ContainSubstring("Lisboa")))
			refused(s.Get(at(back, "/label.pdf")), 409, "shipment_has_no_label")
		})

		It("that is cancelled is given up, unless it has left", func() {
			says(nil)
			gone, here := done(sends(1)), done(sends(1))
			done(s.Post(at(gone, "/ship"), nil))
			hears(func(ctx context.Context, tx *db.Tx) error {
				return m.svc.onOrderCancelled(ctx, tx, []event.Received[ordersapi.OrderCancelled]{{Fact: ordersapi.OrderCancelled{Order: ordersapi.Order{OrderID: d.id.String()}}}})
			})
			Expect(done(s.Get(at(gone, "")))).To(HaveKeyWithValue("status", "shipped"))
			Expect(done(s.Get(at(here, "")))).To(HaveKeyWithValue("status", "voided"))
		})
	})

	It("is said by hand to be on its way when no carrier says it", func() {
		now := clock.System()
		ours, theirs := shipment{Label: labelBought, Carrier: inhouseName, CreatedAt: now}, shipment{Label: labelBought, Carrier: "easypost", TakenBy: "USPS", CreatedAt: now}
		Expect(ours.moves(carrier.InTransit, now)).To(Succeed())
		Expect(theirs.moves(carrier.InTransit, now)).To(MatchError(errCarrierTells))
		Expect(theirs.status()).To(Equal(labelled))
		Expect(theirs.moves(carrier.Delivered, now.Add(trackedFor+1))).To(Succeed(), "nobody asks the carrier any more")
		Expect(theirs.status()).To(Equal(delivered))
	})

	It("stands as its label and its parcel say, whatever was first", func() {
		p := shipment{Label: labelVoided}
		p.see(carrier.Tracking{Events: []carrier.Event{{Status: carrier.InTransit, At: clock.System()}}})
		Expect(p.status()).To(Equal(shipped), "a voided label that was used all the same")
		Expect((&shipment{Label: labelRefused}).status()).To(Equal(failed))
		Expect((&shipment{Label: labelWanted}).status()).To(Equal(created))
	})
})
