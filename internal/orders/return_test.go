package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/paymentsapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = It("pays back unit by unit what it pays back for the whole, in every currency, with tax in the prices or on top of them, discounts and fees", func() {
	always(func(t *rapid.T, g Gomega) {
		c := rapid.SampledFrom([]money.Currency{money.JPY, money.EUR, "KWD", "CLF"}).Draw(t, "currency")
		runs, units := dealt(t, g, c)
		off := rapid.Int64Range(0, units).Draw(t, "called off")
		points := rapid.Int64Range(0, allPoints).Draw(t, "fee")
		called, err := costOf(runs, c, 0, off)
		g.Expect(err).NotTo(HaveOccurred())
		worth, fee, err := worthBack(runs, c, 0, units-off, points)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(fee.Minor).To(And(BeNumerically(">=", 0), BeNumerically("<=", worth.Minor)))
		all, err := costOf(runs, c, 0, units)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(called.Minor+worth.Minor).To(Equal(all.Minor), "what is called off and what comes back are the line")
		var sum, kept int64
		for at := int64(0); at < units-off; {
			n := rapid.Int64Range(1, units-off-at).Draw(t, "at once")
			part, share, err := worthBack(runs, c, at, n, points)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(share.Minor).To(And(BeNumerically(">=", 0), BeNumerically("<=", part.Minor)))
			sum, kept, at = sum+part.Minor, kept+share.Minor, at+n
		}
		g.Expect([]int64{sum, kept}).To(Equal([]int64{worth.Minor, fee.Minor}))
		_, _, err = worthBack(runs, c, units, 1, points)
		g.Expect(err).To(MatchError(errUnitsMissing))
	})
})

// dealt are the shares of the units of a line as checkout deals them out: a price, a discount of the
// line, and tax that is in the price or comes on top.
func dealt(t *rapid.T, g Gomega, c money.Currency) (runs []ordersapi.UnitShare, units int64) {
	units = rapid.Int64Range(1, 12).Draw(t, "units")
	price := rapid.Int64Range(0, 1_000_000).Draw(t, "price")
	whole := price * units
	discount := rapid.Int64Range(0, whole).Draw(t, "discount")
	left := whole - discount
	rate := rapid.Int64Range(0, 3000).Draw(t, "tax rate")
	net, tax := left, left*rate/allPoints
	if rapid.Bool().Draw(t, "tax is in the price") {
		tax = left * rate / (allPoints + rate)
		net = left - tax
	}
	ones := slices.Repeat([]int64{1}, int(units))
	of := func(total int64) []money.Amount {
		parts, err := amount(total, c).Split(ones...)
		g.Expect(err).NotTo(HaveOccurred())
		return parts
	}
	discounts, nets, taxes := of(discount), of(net), of(tax)
	for i := range nets {
		u := ordersapi.UnitShare{Count: 1, Discount: discounts[i], Net: nets[i], Tax: taxes[i]}
		if n := len(runs) - 1; n >= 0 && runs[n].Discount == u.Discount && runs[n].Net == u.Net && runs[n].Tax == u.Tax {
			runs[n].Count++
			continue
		}
		runs = append(runs, u)
	}
	return runs, units
}

var _ = Describe("when the time of units is up that are with the buyer", func() {
	day := func(n int) time.Time { return time.Date(2026, time.March, n, 12, 0, 0, 0, time.UTC) }
	o := order{Currency: "EUR", Lines: []line{{SKU: "MUG", Quantity: 5, Price: eur(1250)}}}
	sent := []sentUnits{{1, 2, new(day(1))}, {1, 2, new(day(10))}, {1, 1, nil}}
	policy := returnPolicy{Days: 14}

	DescribeTable("the buyer keeps them", func(p returnPolicy, now time.Time, all []rma, buyer, over int64, until *time.Time) {
		Expect(returnables(o, p, sent, all, now)).To(HaveExactElements(returnable{buyer, until, over}))
	},
		Entry("while none is", policy, day(14), nil, int64(5), int64(0), new(day(24))),
		Entry("to the second", policy, day(15), nil, int64(3), int64(2), new(day(24))),
		Entry("of which some were sent back in time", policy, day(16), []rma{{Status: rmaRequested, CreatedAt: day(14), Lines: []rmaLine{{Position: 1, Quantity: 1}}}}, int64(3), int64(1), new(day(24))),
		Entry("and what is sent back later is of the others", policy, day(16), []rma{{Status: rmaApproved, CreatedAt: day(15), Lines: []rmaLine{{Position: 1, Quantity: 2}}}}, int64(1), int64(2), nil),
		Entry("and what the shop took back all the same is of those", policy, day(16), []rma{{Status: rmaClosed, CreatedAt: day(15), Lines: []rmaLine{{Position: 1, Quantity: 4, Received: 4}}}}, int64(0), int64(1), nil),
		Entry("and what did not come, was refused or called off counts for nothing", policy, day(14), []rma{
			{Status: rmaReceived, CreatedAt: day(2), Lines: []rmaLine{{Position: 1, Quantity: 3, Received: 1}}},
			{Status: rmaRejected, CreatedAt: day(2), Lines: []rmaLine{{Position: 1, Quantity: 5}}},
			{Status: rmaCancelled, CreatedAt: day(2), Lines: []rmaLine{{Position: 1, Quantity: 5}}},
		}, int64(4), int64(0), new(day(24))),
		Entry("in shops where buyers send nothing back", returnPolicy{}, day(2), nil, int64(0), int64(5), nil),
		Entry("when they are sold for good", returnPolicy{Days: 14, FinalSale: []string{"MUG"}}, day(2), nil, int64(0), int64(5), nil),
	)
})

var _ = DescribeTable("a restocking fee is percent with two digits at most",
	func(text string, points int64) {
		Expect(pointsIn(text)).To(Equal(points))
	},
	Entry(nil, "", int64(0)), Entry(nil, "0", int64(0)), Entry(nil, "7", int64(700)), Entry(nil, "7.5", int64(750)), Entry(nil, "12.34", int64(1234)), Entry(nil, "100.00", int64(10000)),
)

// sends asks to send n mugs of an order back.
func sends(ctx context.Context, svc *service, o order, n int64, only string) (r rma, err error) {
	err = svc.db.InTx(ctx, func(tx *db.Tx) error {
		r, err = svc.requestReturn(ctx, tx, o.ID, only, []sentBack{{SKU: "MUG", Quantity: n, Reason: "unwanted", Note: "not my colour"}}, false)
		return err
	})
	return r, err
}

// stepped takes a return a step further.
func stepped(ctx context.Context, svc *service, r rma, to rmaStatus) (after rma, err error) {
	err = svc.db.InTx(ctx, func(tx *db.Tx) error {
		after, err = svc.changeReturn(ctx, tx, r.ID, "", httpx.IfMatch{}, func(_ *order, r *rma) (bool, error) { return r.move(to, tx.Now) })
		return err
	})
	return after, err
}

// comes notes what came of a return.
func comes(ctx context.Context, svc *service, r rma, came []arrived, shipping bool) (after rma, err error) {
	err = svc.db.InTx(ctx, func(tx *db.Tx) error {
		after, err = svc.receiveReturn(ctx, tx, r.ID, httpx.IfMatch{}, came, shipping)
		return err
	})
	return after, err
}

// arrives is a parcel of n mugs that the buyer has.
func arrives(ctx context.Context, svc *service, o order, n int64) {
	GinkgoHelper()
	parcel := clock.NewID()
	Expect(packed(ctx, svc, o, parcel, n)).Error().NotTo(HaveOccurred())
	tells(ctx, svc, o, parcel, parcelDelivered, 3)
}

// paysBack lets payments say that so much of an order was refunded.
func paysBack(ctx context.Context, svc *service, o order, back string) {
	GinkgoHelper()
	var payment uuid.UUID
	Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Get(ctx, &payment, `select payment_id from orders.payment where order_id = $1`, o.ID)
	})).To(Succeed())
	total := reread(ctx, svc, o).Captured.Decimal()
	batch := []event.Received[paymentsapi.PaymentRefunded]{{ID: clock.NewID(), Fact: paymentsapi.PaymentRefunded{Payment: paymentsapi.Payment{
		PaymentID: payment.String(), OrderID: o.ID.String(), Provider: "test", Amount: total, Currency: "EUR", Status: "succeeded",
		Authorized: total, Captured: total, Refunded: back, Disputed: "0.00", Version: 3,
	}}}}
	hear := heed(svc, func(e paymentsapi.PaymentRefunded) paymentsapi.Payment { return e.Payment })
	Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return hear(ctx, tx, batch) })).To(Succeed())
}

var _ = Describe("what comes back of an order", Label("db"), func() {
	var (
		svc *service
		ctx context.Context
	)
	BeforeEach(func() {
		svc, ctx = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.As(testkit.NewTenant(testkit.Shared()))
	})
	said := func(p returnPolicy) {
		GinkgoHelper()
		p.Version = 1
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { p.UpdatedAt = tx.Now; return svc.store.putPolicy(ctx, tx, p) })).To(Succeed())
	}

	It("is asked for, agreed to and received, and then it is paid back less the fee", func() {
		said(returnPolicy{Days: 30, Points: 1000})
		o := settled(ctx, svc, 3)
		arrives(ctx, svc, o, 3)
		r, err := sends(ctx, svc, o, 2, "c-1")
		Expect(err).NotTo(HaveOccurred())
		Expect(reread(ctx, svc, o)).To(HaveField("Returning", returnAsked))
		Expect(stepped(ctx, svc, r, rmaApproved)).To(HaveField("Version", int64(2)))
		Expect(reread(ctx, svc, o)).To(HaveField("Returning", returnUnderWay))
		r, err = comes(ctx, svc, r, []arrived{{SKU: "MUG", Quantity: 1, Restock: true}, {Line: 1, Quantity: 1}}, false)
		Expect(err).NotTo(HaveOccurred())
		Expect(r).To(And(HaveField("Status", rmaReceived), HaveField("Refund", eur(2250)), HaveField("Fee", eur(250)), HaveField("Lines", HaveExactElements(And(HaveField("Received", int64(2)), HaveField("Restocked", int64(1)))))))
		after := reread(ctx, svc, o)
		Expect(after).To(And(HaveField("Status", delivered), HaveField("Payment", overpaid), HaveField("Returning", partiallyReturned), HaveField("Returned", eur(2250)), HaveField("Lines", HaveExactElements(HaveField("TakenBack", int64(2))))))
		Expect(owed(ctx, &Module{svc}, o.ID)).To(HaveField("Total", eur(1500)))
		paysBack(ctx, svc, o, "22.50")
		Expect(reread(ctx, svc, o)).To(HaveField("Payment", fullyPaid))
		var closed rma
		Expect(svc.db.Read(ctx, func(tx *db.Tx) (err error) { closed, err = svc.store.findReturn(ctx, tx, r.ID, ""); return err })).To(Succeed())
		Expect(closed.Status).To(Equal(rmaClosed))

		facts := recorded(ctx, svc)
		var told []string
		for _, f := range facts {
			if strings.HasPrefix(f.Type, "return.") {
				told = append(told, fmt.Sprintf("%s %d", f.Type, f.Sequence))
				Expect(string(f.Data)).NotTo(ContainSubstring("colour"), "facts are for ever")
			}
		}
		Expect(told).To(HaveExactElements("return.requested 1", "return.approved 2", "return.received 3"))
		Expect(facts[len(facts)-1].Data).To(And(ContainSubstring(`"refund":"22.50"`), ContainSubstring(`"fee":"2.50"`), ContainSubstring(`"due":"15.00"`), ContainSubstring(`"restocked":1`)))
		steps, err := svc.handleTimeline(ctx, &byID{ID: o.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		var states []string
		for _, st := range steps.Data {
			if st.ReturnID == r.ID.String() {
				states = append(states, st.ReturnStatus)
			}
		}
		Expect(states).To(Equal([]string{"requested", "approved", "received", "closed"}))
	})

	It("is what is with the buyer and comes back in no other return", func() {
		o := settled(ctx, svc, 3)
		_, err := sends(ctx, svc, o, 1, "")
		Expect(code(err)).To(Equal("not_returnable"), "nothing has left")
		arrives(ctx, svc, o, 2)
		_, err = sends(ctx, svc, o, 3, "")
		Expect(code(err)).To(Equal("not_returnable"))
		r, err := sends(ctx, svc, o, 2, "")
		Expect(err).NotTo(HaveOccurred())
		_, err = sends(ctx, svc, o, 1, "")
		Expect(code(err)).To(Equal("not_returnable"))
		Expect(stepped(ctx, svc, r, rmaCancelled)).To(HaveField("Status", rmaCancelled))
		Expect(reread(ctx, svc, o)).To(HaveField("Returning", noReturn))
		Expect(sends(ctx, svc, o, 2, "")).To(HaveField("Status", rmaRequested))
		_, err = sends(ctx, svc, o, 1, "c-2")
		Expect(code(err)).To(Equal("not_found"), "it is somebody else's")
	})

	It("is paid back in full after something was given back for nothing, up to what was paid", func() {
		o := settled(ctx, svc, 2)
		arrives(ctx, svc, o, 2)
		paysBack(ctx, svc, o, "5.00") // for a scratch
		back := func() rma {
			GinkgoHelper()
			r, err := sends(ctx, svc, o, 1, "")
			Expect(err).NotTo(HaveOccurred())
			Expect(stepped(ctx, svc, r, rmaApproved)).Error().NotTo(HaveOccurred())
			r, err = comes(ctx, svc, r, nil, false)
			Expect(err).NotTo(HaveOccurred())
			return r
		}
		due := func() string {
			GinkgoHelper()
			facts := recorded(ctx, svc)
			var f struct{ Due string }
			Expect(json.Unmarshal(facts[len(facts)-1].Data, &f)).To(Succeed())
			return f.Due
		}
		can, err := svc.handleReturnable(ctx, &byID{ID: o.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(can.Refundable).To(Equal("20.00"))
		first := back()
		Expect(presentReturn(first)).To(And(HaveField("Status", "received"), HaveField("Asked", "12.50"), HaveField("Refund", "12.50"), HaveField("ShortBecause", "")))
		Expect(due()).To(Equal("7.50"), "what payments may keep")
		can, err = svc.handleReturnable(ctx, &byID{ID: o.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(can.Refundable).To(Equal("7.50"), "before it is heard that the first was paid back")
		second := back()
		Expect(presentReturn(second)).To(And(HaveField("Asked", "12.50"), HaveField("Refund", "7.50"), HaveField("ShortBecause", "refunded_before")))
		Expect(due()).To(Equal("0.00"))
		Expect(presentReturn(second)).To(HaveField("Status", "received"))
	})

	It("is no more than was bought, also when a parcel that was given up was used all the same", func() {
		o := settled(ctx, svc, 2)
		up := clock.NewID()
		Expect(packed(ctx, svc, o, up, 1)).Error().NotTo(HaveOccurred())
		tells(ctx, svc, o, up, parcelVoided, 2)
		arrives(ctx, svc, o, 2)
		tells(ctx, svc, o, up, parcelDelivered, 3)
		can, err := svc.handleReturnable(ctx, &byID{ID: o.ID.String()})
		Expect(err).NotTo(HaveOccurred())
		Expect(can.Lines).To(HaveExactElements(And(HaveField("Quantity", int64(2)), HaveField("Value", "25.00"))))
		_, err = sends(ctx, svc, o, 3, "")
		Expect(code(err)).To(Equal("not_returnable"))
		r, err := sends(ctx, svc, o, 2, "")
		Expect(err).NotTo(HaveOccurred())
		Expect(stepped(ctx, svc, r, rmaApproved)).Error().NotTo(HaveOccurred())
		Expect(comes(ctx, svc, r, nil, false)).To(HaveField("Refund", eur(2500)))
		_, err = sends(ctx, svc, o, 1, "")
		Expect(code(err)).To(Equal("not_returnable"))
	})

	It("comes back once, however many ask for it at the same moment", func() {
		o := settled(ctx, svc, 5)
		arrives(ctx, svc, o, 5)
		var asked sync.WaitGroup
		var won atomic.Int64
		for range 20 {
			asked.Go(func() {
				defer GinkgoRecover()
				if _, err := sends(ctx, svc, o, 1, "c-1"); err == nil {
					won.Add(1)
				} else {
					Expect(code(err)).To(Equal("not_returnable"))
				}
			})
		}
		asked.Wait()
		Expect(won.Load()).To(Equal(int64(5)))
	})

	It("is taken back by the shop when its time is up, and not by the buyer", func() {
		said(returnPolicy{Days: 0})
		o := settled(ctx, svc, 1)
		arrives(ctx, svc, o, 1)
		asks := func(only string, override bool) error {
			return svc.db.InTx(ctx, func(tx *db.Tx) error {
				_, err := svc.requestReturn(ctx, tx, o.ID, only, []sentBack{{Line: 1, Quantity: 1, Reason: "defective"}}, override)
				return err
			})
		}
		for _, err := range []error{asks("c-1", false), asks("c-1", true), asks("", false)} {
			Expect(code(err)).To(Equal("not_returnable"))
			refusal, _ := errors.AsType[*fault.Error](err)
			Expect(refusal).To(HaveField("Fields", HaveExactElements(And(HaveField("Pointer", "/lines/0"), HaveField("Code", "window_over")))))
		}
		Expect(asks("", true)).To(Succeed())
	})

	It("is received once, after it was agreed to, and no more than was asked for", func() {
		o := settled(ctx, svc, 2)
		arrives(ctx, svc, o, 2)
		r, err := sends(ctx, svc, o, 1, "")
		Expect(err).NotTo(HaveOccurred())
		_, err = comes(ctx, svc, r, nil, false)
		Expect(code(err)).To(Equal("return_not_possible"))
		Expect(stepped(ctx, svc, r, rmaApproved)).Error().NotTo(HaveOccurred())
		_, err = comes(ctx, svc, r, []arrived{{SKU: "MUG", Quantity: 2}}, false)
		Expect(code(err)).To(Equal("not_returnable"))
		_, err = comes(ctx, svc, r, nil, true)
		Expect(code(err)).To(Equal("nothing_to_refund"), "its shipping cost nothing")
		Expect(comes(ctx, svc, r, nil, false)).To(HaveField("Refund", eur(1250)))
		Expect(comes(ctx, svc, r, nil, false)).To(HaveField("Refund", eur(1250)), "receiving what was received changes nothing")
		Expect(reread(ctx, svc, o)).To(And(HaveField("Returned", eur(1250)), HaveField("Lines", HaveExactElements(HaveField("TakenBack", int64(1))))))
		_, err = stepped(ctx, svc, r, rmaCancelled)
		Expect(code(err)).To(Equal("return_not_possible"))
	})

	It("is paid back with exact shares and shipping, and with what was called off it is the whole order", func() {
		p := quoted()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := (&Module{svc}).Place(ctx, tx, p, true)
			return err
		})).To(Succeed())
		o := order{ID: uuid.MustParse(p.OrderID)}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			if _, err := svc.store.advance(ctx, tx, []string{p.OrderID}, created, confirmed, ""); err != nil {
				return err
			}
			_, err := svc.store.advance(ctx, tx, []string{p.OrderID}, confirmed, paid, "")
			return err
		})).To(Succeed())
		Expect(partlyOff(ctx, svc, o, 1)).To(HaveField("CalledOff", eur(1217)))
		arrives(ctx, svc, o, 2)
		for i, want := range []int64{1216, 1217 + 490} {
			r, err := sends(ctx, svc, o, 1, "")
			Expect(err).NotTo(HaveOccurred())
			Expect(stepped(ctx, svc, r, rmaApproved)).Error().NotTo(HaveOccurred())
			Expect(comes(ctx, svc, r, nil, i == 1)).To(HaveField("Refund", eur(want)))
		}
		after := reread(ctx, svc, o)
		Expect(after).To(And(HaveField("Returning", fullyReturned), HaveField("Returned", eur(1216+1217+490))))
		Expect(after.due().IsZero()).To(BeTrue())
	})

	It("says nothing of a buyer who was erased", func() {
		buyer := clock.NewID().String()
		o := settled(ctx, svc, 2)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(ctx, `update orders.orders set customer_id = $2 where id = $1`, o.ID, buyer)
			return err
		})).To(Succeed())
		arrives(ctx, svc, o, 2)
		r, err := sends(ctx, svc, o, 1, "")
		Expect(err).NotTo(HaveOccurred())
		list, err := (&Module{svc}).PersonalData(ctx, buyer)
		Expect(err).NotTo(HaveOccurred())
		Expect(list).To(HaveExactElements(HaveField("Returns", HaveExactElements(HaveField("ID", r.ID.String())))))
		gone := []event.Received[identityapi.CustomerErased]{{ID: clock.NewID(), Fact: identityapi.CustomerErased{CustomerID: buyer}}}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onErased(ctx, tx, gone) })).To(Succeed())
		var after rma
		Expect(svc.db.Read(ctx, func(tx *db.Tx) (err error) { after, err = svc.store.findReturn(ctx, tx, r.ID, ""); return err })).To(Succeed())
		Expect(after.Lines).To(HaveExactElements(And(HaveField("Note", ""), HaveField("Reason", "unwanted"), HaveField("Quantity", int64(1)))))
		_, err = sends(ctx, svc, o, 1, "")
		Expect(code(err)).To(Equal("customer_erased"), "nor does the shop write more of them")
		_, err = svc.moveReturn(ctx, &changeReturnInput{ID: r.ID.String()}, "", rmaRejected, "Ana has worn it")
		Expect(code(err)).To(Equal("customer_erased"))
		Expect(svc.moveReturn(ctx, &changeReturnInput{ID: r.ID.String()}, "", rmaApproved, "")).To(HaveField("Status", "approved"))
	})

	It("is nobody else's", func() {
		o := settled(ctx, svc, 1)
		arrives(ctx, svc, o, 1)
		r, err := sends(ctx, svc, o, 1, "")
		Expect(err).NotTo(HaveOccurred())
		other := testkit.As(testkit.NewTenant(testkit.Shared()))
		_, err = sends(other, svc, o, 1, "")
		Expect(code(err)).To(Equal("not_found"))
		_, err = stepped(other, svc, r, rmaApproved)
		Expect(code(err)).To(Equal("not_found"))
	})
})
