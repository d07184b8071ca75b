package pricing

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// contract is what every fact must follow.
var contract = sync.OnceValue(func() *eventschema.Catalog {
	schemas, err := eventschema.Load(eventschema.Module{Name: "pricing", Schemas: pricingapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	return schemas
})

// replica is pricing in one process, which hears of its own changes.
func replica() *service {
	GinkgoHelper()
	log := event.NewLog()
	log.Check = contract().Check
	c := newCache()
	c.hears = true
	return &service{db: testkit.Open(testkit.Shared().App), events: log, now: clock.System, offers: assortment(), cache: c}
}

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

var _ = Describe("redeeming discounts", Label("db"), func() {
	var (
		svc  *service
		shop uuid.UUID
		ctx  context.Context
	)

	BeforeEach(func() {
		svc, shop = replica(), testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
	})

	// offered is a discount of a tenth with a code, unless the terms say otherwise.
	offered := func(code string, change func(*discount)) discount {
		GinkgoHelper()
		d := discount{Name: "Off with " + code, Status: active, terms: terms{Effect: calc.PercentOff, Percent: 10_0000, Currency: money.EUR}}
		if change != nil {
			change(&d)
		}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) (err error) {
			d, err = svc.createDiscount(ctx, tx, d, code)
			return err
		})).To(Succeed())
		return d
	}
	basket := func(minor int64, who pricingapi.Buyer, codes ...string) pricingapi.Basket {
		return pricingapi.Basket{
			Currency: money.EUR, CustomerID: who.CustomerID, Email: who.Email, Codes: codes,
			Lines: []pricingapi.Line{{ID: "1", SKU: "MUG", Quantity: 1, Price: eur(minor)}},
		}
	}
	quote := func(minor int64, who pricingapi.Buyer, codes ...string) pricingapi.Quote {
		GinkgoHelper()
		q, _, err := svc.quote(ctx, basket(minor, who, codes...), time.Now())
		Expect(err).NotTo(HaveOccurred())
		return q
	}
	redeem := func(q pricingapi.Quote, who pricingapi.Buyer) (order uuid.UUID, err error) {
		order = clock.NewID()
		return order, svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.redeem(ctx, tx, order, q, who) })
	}
	redeemed := func(q pricingapi.Quote, who pricingapi.Buyer) uuid.UUID {
		GinkgoHelper()
		order, err := redeem(q, who)
		Expect(err).NotTo(HaveOccurred())
		return order
	}
	stored := func(d discount) discount {
		GinkgoHelper()
		d, err := svc.getDiscount(ctx, d.ID)
		Expect(err).NotTo(HaveOccurred())
		return d
	}
	changed := func(by *service, d discount, change func(*discount)) {
		GinkgoHelper()
		d = stored(d)
		change(&d)
		Expect(by.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := by.replaceDiscount(ctx, tx, d.ID, httpx.IfMatch{}, d, "")
			return err
		})).To(Succeed())
	}
	codesOf := func(d discount) (codes []codeRow) {
		GinkgoHelper()
		Expect(svc.db.Read(ctx, func(tx *db.Tx) (err error) {
			codes, err = svc.store.codes(ctx, tx, d.ID, "", 9)
			return err
		})).To(Succeed())
		return codes
	}
	failed := func(orders ...uuid.UUID) {
		GinkgoHelper()
		batch := make([]event.Received[ordersapi.OrderFailed], len(orders))
		for i, o := range orders {
			batch[i].Fact.OrderID = o.String()
		}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onFailed(ctx, tx, batch) })).To(Succeed())
	}
	cancelled := func(orders ...uuid.UUID) {
		GinkgoHelper()
		batch := make([]event.Received[ordersapi.OrderCancelled], len(orders))
		for i, o := range orders {
			batch[i].Fact.OrderID = o.String()
		}
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.onCancelled(ctx, tx, batch) })).To(Succeed())
	}
	count := func(query string, args ...any) (n int) {
		GinkgoHelper()
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error { return tx.Get(ctx, &n, query, args...) })).To(Succeed())
		return n
	}
	ana := pricingapi.Buyer{Email: "ana@example.com"}
	someone := func(i int) pricingapi.Buyer { return pricingapi.Buyer{Email: fmt.Sprintf("%d@example.com", i)} }

	It("uses a budget of a hundred exactly a hundred times, however many ask at the same moment", func() {
		d := offered("HUNDRED", func(d *discount) { d.MaxUses = new(int64(100)) })
		q := quote(1000, ana, "HUNDRED")
		var let, refused atomic.Int64
		var group sync.WaitGroup
		for i := range 1000 {
			group.Go(func() {
				defer GinkgoRecover()
				_, err := redeem(q, someone(i))
				for errors.Is(err, db.ErrUnavailable) { // a thousand wait for twenty connections
					_, err = redeem(q, someone(i))
				}
				if err == nil {
					let.Add(1)
					return
				}
				Expect(err).To(MatchError(errUsedUp))
				refused.Add(1)
			})
		}
		group.Wait()
		Expect(let.Load()).To(BeEquivalentTo(100))
		Expect(refused.Load()).To(BeEquivalentTo(900))
		Expect(stored(d).budget).To(Equal(budget{Uses: 100, Spent: 10_000}))
		Expect(count(`select count(*) from pricing.redemption where discount_id = $1`, d.ID)).To(Equal(100))
	})

	It("never spends more than the money that there is, and says which discount it was", func() {
		d := offered("MONEY", func(d *discount) { d.MaxSpend = new(int64(250)) })
		q := quote(1000, ana, "MONEY")
		redeemed(q, ana)
		redeemed(q, ana)
		_, err := redeem(q, ana)
		Expect(err).To(MatchError(errUsedUp))
		Expect(fault.From(err)).To(And(HaveField("Detail", "MONEY has been used as often as it may be."), HaveField("Extra", And(HaveKeyWithValue("discountId", d.ID.String()), HaveKeyWithValue("discountCode", "MONEY")))))
		Expect(stored(d).budget).To(Equal(budget{Uses: 2, Spent: 200}))
		Expect(quote(1000, ana, "MONEY").Refused).To(ConsistOf(HaveField("Reason", "used_up")))
		Expect(quote(500, ana, "MONEY").DiscountTotal).To(Equal(eur(50)), "for less there is enough")
	})

	It("takes all that an order uses, or nothing", func() {
		scarce := offered("SCARCE", func(d *discount) { d.MaxUses = new(int64(1)) })
		plenty := offered("PLENTY", func(d *discount) { d.MaxUses = new(int64(9)) })
		q := quote(1000, ana, "SCARCE", "PLENTY")
		Expect(q.Applied).To(HaveLen(2))
		redeemed(q, ana)
		_, err := redeem(q, ana)
		Expect(fault.From(err).Extra).To(HaveKeyWithValue("discountCode", "SCARCE"))
		Expect(stored(scarce).Uses).To(BeEquivalentTo(1))
		Expect(stored(plenty).Uses).To(BeEquivalentTo(1))
	})

	// queued is several transactions that wait for a row, in this order, until the last of them
	// does. Each comes true at its first try.
	queued := func(row string, of any, waiters ...func(tx *db.Tx) error) {
		GinkgoHelper()
		auditor := testkit.SQL(testkit.Shared().Super)
		waiting := func() (n int, err error) {
			err = auditor.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
			return n, err
		}
		var group sync.WaitGroup
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(ctx, row, of); err != nil {
				return err
			}
			for i, waiter := range waiters {
				group.Go(func() {
					defer GinkgoRecover()
					tries := 0
					Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
						tries++
						return waiter(tx)
					})).To(Succeed())
					Expect(tries).To(Equal(1), "waiter %d was in a circle", i)
				})
				Eventually(waiting, testkit.Patience).Should(Equal(i + 1))
			}
			return nil
		})).To(Succeed())
		group.Wait()
	}
	redeeming := func(q pricingapi.Quote, who pricingapi.Buyer) func(tx *db.Tx) error {
		order := clock.NewID()
		return func(tx *db.Tx) error { return svc.redeem(ctx, tx, order, q, who) }
	}
	const (
		rowOfBudget = `update pricing.budget set uses = uses where discount_id = $1`
		rowOfCode   = `update pricing.code set uses = uses where code = $1`
		rowOfBuyer  = `update pricing.buyer_use set uses = uses where discount_id = $1`
	)

	It("makes nobody wait in a circle who uses the same discounts in another order", func() {
		limit := func(d *discount) { d.MaxUses = new(int64(1000)) }
		first, second := offered("FIRST", limit), offered("SECOND", limit)
		there := quote(1000, ana, "FIRST", "SECOND")
		back := there
		back.Applied = []pricingapi.Applied{there.Applied[1], there.Applied[0]}
		queued(rowOfBudget, first.ID, redeeming(there, someone(1)), redeeming(back, someone(2)))
		Expect(stored(first).Uses).To(BeEquivalentTo(2))
		Expect(stored(second).Uses).To(BeEquivalentTo(2))
	})

	// couponed is a discount with many codes that are good for nine orders each, and one of them.
	couponed := func(change func(*discount)) (discount, string) {
		GinkgoHelper()
		d := offered("", change)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.generate(ctx, tx, d.ID, 2000, "", new(int64(9))) })).To(Succeed())
		return d, codesOf(d)[0].Code
	}

	It("makes nobody wait in a circle who uses the same codes in another order", func() {
		_, one := couponed(nil)
		_, two := couponed(nil)
		there := quote(1000, ana, one, two)
		back := there
		back.Applied = []pricingapi.Applied{there.Applied[1], there.Applied[0]}
		queued(rowOfCode, one, redeeming(there, someone(1)), redeeming(back, someone(2)))
		queued(rowOfCode, two, redeeming(there, someone(1)), redeeming(back, someone(2)))
		Expect(count(`select count(*) from pricing.code where uses = 4`)).To(Equal(2))
	})

	It("makes nobody wait in a circle who gives back what another is about to use", func() {
		d, code := couponed(func(d *discount) { d.MaxUses, d.MaxPerBuyer = new(int64(9)), new(int64(9)) })
		q := quote(1000, ana, code)
		givingBack := func() func(tx *db.Tx) error {
			batch := make([]event.Received[ordersapi.OrderCancelled], 1)
			batch[0].Fact.OrderID = redeemed(q, ana).String()
			return func(tx *db.Tx) error { return svc.onCancelled(ctx, tx, batch) }
		}
		one, two, three, four := givingBack(), givingBack(), givingBack(), givingBack()
		queued(rowOfCode, code, one, redeeming(q, ana))
		queued(rowOfCode, code, redeeming(q, ana), two)
		queued(rowOfBuyer, d.ID, three, redeeming(q, ana))
		queued(rowOfBudget, d.ID, redeeming(q, ana), four)
		Expect(stored(d).budget).To(Equal(budget{Uses: 4, Spent: 400}))
		Expect(codesOf(d)[0].Uses).To(BeEquivalentTo(4))
		Expect(count(`select uses from pricing.buyer_use where discount_id = $1`, d.ID)).To(Equal(4))
	})

	It("counts each buyer's uses by customer and by address, also at the same moment", func() {
		offered("ONCE", func(d *discount) { d.MaxPerBuyer = new(int64(1)) })
		guest, member := ana, pricingapi.Buyer{CustomerID: clock.NewID().String(), Email: " Ana@Example.com "}
		q := quote(1000, guest, "ONCE")
		var let atomic.Int64
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				defer GinkgoRecover()
				if _, err := redeem(q, guest); err == nil {
					let.Add(1)
				} else {
					Expect(err).To(MatchError(errUsedUp))
				}
			})
		}
		group.Wait()
		Expect(let.Load()).To(BeEquivalentTo(1))
		_, err := redeem(q, member)
		Expect(err).To(MatchError(errUsedUp), "the address is the same")
		Expect(quote(1000, member, "ONCE").Refused).To(ConsistOf(HaveField("Reason", "already_used_by_you")))
		redeemed(q, someone(1))
		_, err = redeem(q, pricingapi.Buyer{})
		Expect(err).To(MatchError(errUsedUp), "who is nobody cannot be counted")
	})

	It("gives what is for a first order to one of two orders that are placed at the same moment, and again when it came to nothing", func() {
		d := offered("WELCOME", func(d *discount) { d.FirstOrder, d.MaxPerBuyer = true, new(int64(5)) })
		first := func(who pricingapi.Buyer) (pricingapi.Quote, pricingapi.Buyer) {
			GinkgoHelper()
			b := basket(1000, who, "WELCOME")
			b.FirstOrder = true
			q, _, err := svc.quote(ctx, b, time.Now())
			Expect(err).NotTo(HaveOccurred())
			return q, who
		}
		q, _ := first(ana)
		Expect(q.DiscountTotal).To(Equal(eur(100)))
		orders := make(chan uuid.UUID, 20)
		var group sync.WaitGroup
		for range cap(orders) {
			group.Go(func() {
				defer GinkgoRecover()
				order, err := redeem(q, ana)
				if err == nil {
					orders <- order
					return
				}
				Expect(err).To(MatchError(errUsedUp))
			})
		}
		group.Wait()
		Expect(orders).To(HaveLen(1))
		again, _ := first(ana)
		Expect(again.Refused).To(ConsistOf(HaveField("Reason", "already_used_by_you")))
		redeemed(first(someone(1)))
		failed(<-orders)
		redeemed(first(ana))
		Expect(count(`select count(*) from pricing.buyer_use where discount_id = $1 and uses = 1`, d.ID)).To(Equal(2))
	})

	It("takes a code that is good for one order once, and others of the discount as well", func() {
		d := offered("", nil)
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.generate(ctx, tx, d.ID, 2, "ONE-", new(int64(1))) })).To(Succeed())
		codes := codesOf(d)
		Expect(codes).To(HaveLen(2))
		q := quote(1000, ana, codes[0].Code)
		order := redeemed(q, ana)
		_, err := redeem(q, someone(1))
		Expect(err).To(MatchError(errUsedUp))
		Expect(quote(1000, ana, codes[0].Code).Refused).To(ConsistOf(HaveField("Reason", "used_up")))
		redeemed(quote(1000, ana, codes[1].Code), ana)
		failed(order)
		redeemed(q, someone(1))
	})

	It("refuses a discount that was archived since", func() {
		d := offered("BRIEF", nil)
		q := quote(1000, ana, "BRIEF")
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.archiveDiscount(ctx, tx, d.ID, httpx.IfMatch{}) })).To(Succeed())
		_, err := redeem(q, ana)
		Expect(err).To(MatchError(errUsedUp))
	})

	It("gives back what an order has used that is cancelled or fails, once", func() {
		d := offered("BACK", func(d *discount) {
			d.MaxUses, d.MaxSpend, d.MaxPerBuyer = new(int64(2)), new(int64(1000)), new(int64(2))
		})
		q := quote(1000, ana, "BACK")
		one, two := redeemed(q, ana), redeemed(q, ana)
		_, err := redeem(q, ana)
		Expect(err).To(MatchError(errUsedUp))
		cancelled(one, clock.NewID())
		cancelled(one)
		failed(one)
		Expect(stored(d).budget).To(Equal(budget{Uses: 1, Spent: 100}))
		Expect(count(`select uses from pricing.buyer_use where discount_id = $1`, d.ID)).To(Equal(1))
		redeemed(q, ana)
		failed(two, one)
		Expect(stored(d).budget).To(Equal(budget{Uses: 1, Spent: 100}))
	})

	It("counts what was used before there was a limit, and lets nobody set one below it", func() {
		d := offered("LATER", nil)
		q := quote(1000, ana, "LATER")
		failed(redeemed(q, ana))
		redeemed(q, ana)
		redeemed(q, ana)
		limit := func(n int64) error {
			next := d
			next.MaxUses = &n
			return svc.db.InTx(ctx, func(tx *db.Tx) error {
				_, err := svc.replaceDiscount(ctx, tx, d.ID, httpx.IfMatch{}, next, "")
				return err
			})
		}
		Expect(limit(1)).To(MatchError(errBelowUse))
		Expect(limit(3)).To(Succeed())
		Expect(stored(d).Uses).To(BeEquivalentTo(2))
		Expect(limit(1)).To(MatchError(errBelowUse))
		redeemed(q, ana)
		_, err := redeem(q, ana)
		Expect(err).To(MatchError(errUsedUp))

		other := d
		other.Currency = money.USD
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.replaceDiscount(ctx, tx, d.ID, httpx.IfMatch{}, other, "")
			return err
		})).To(MatchError(errCurrencyFixed))
	})

	It("counts what each buyer has used before there was a limit for each", func() {
		d := offered("EACH", nil)
		member := pricingapi.Buyer{CustomerID: clock.NewID().String(), Email: ana.Email}
		q := quote(1000, ana, "EACH")
		one := redeemed(q, ana)
		failed(redeemed(q, ana))
		redeemed(q, member)
		redeemed(q, someone(1))
		changed(svc, d, func(d *discount) { d.MaxPerBuyer = new(int64(2)) })
		_, err := redeem(q, ana)
		Expect(err).To(MatchError(errUsedUp))
		_, err = redeem(q, member)
		Expect(err).To(MatchError(errUsedUp), "the address is the same")
		redeemed(q, someone(1))
		failed(one)
		redeemed(q, ana)

		changed(svc, d, func(d *discount) { d.MaxPerBuyer = nil })
		redeemed(q, ana)
		changed(svc, d, func(d *discount) { d.MaxPerBuyer = new(int64(3)) })
		_, err = redeem(q, ana)
		Expect(err).To(MatchError(errUsedUp), "three were used, one of them while nobody counted")
		changed(svc, d, func(d *discount) { d.FirstOrder = true })
		_, err = redeem(q, someone(2))
		Expect(err).NotTo(HaveOccurred())
		_, err = redeem(q, someone(1))
		Expect(err).To(MatchError(errUsedUp))
	})

	It("needs one statement for all discounts of an order, one to price a basket with codes, and else none", func() {
		offered("A", func(d *discount) { d.MaxUses = new(int64(9)) })
		offered("B", func(d *discount) { d.MaxPerBuyer = new(int64(9)) })
		offered("C", nil)
		quote(1000, ana) // the rules are in memory from here on
		statements := func(fn func(ctx context.Context) error) int {
			GinkgoHelper()
			cost := &db.Cost{}
			Expect(fn(db.WithCost(ctx, cost))).To(Succeed())
			return max(0, int(cost.RoundTrips())-2) // begin and commit
		}
		var q pricingapi.Quote
		quotes := func(codes ...string) func(context.Context) error {
			return func(ctx context.Context) (err error) {
				q, _, err = svc.quote(ctx, basket(1000, ana, codes...), time.Now())
				return err
			}
		}
		redeems := func(ctx context.Context) error {
			return svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.redeem(ctx, tx, clock.NewID(), q, ana) })
		}
		Expect(statements(quotes())).To(Equal(0))
		Expect(statements(redeems)).To(Equal(0))
		for _, codes := range [][]string{{"C"}, {"A"}, {"A", "C"}, {"A", "B", "C", "GHOST"}} {
			Expect(statements(quotes(codes...))).To(Equal(1))
			Expect(q.Applied).To(HaveLen(min(3, len(codes))))
			Expect(statements(redeems)).To(Equal(1), "%v", codes)
		}
		svc.cache.drop(shop)
		Expect(statements(redeems)).To(Equal(1), "without rules in memory")

		svc.cache.drop(shop)
		offered("", func(d *discount) { d.Automatic, d.FirstOrder = true, true })
		quote(1000, ana)
		Expect(statements(quotes())).To(Equal(0), "who has ordered before has no use of it that counts")
	})

	DescribeTable("keeps to what another replica has decided a moment ago", func(uses int, change func(*discount)) {
		other := replica()
		plenty := offered("PLENTY", func(d *discount) { d.MaxUses = new(int64(9)) })
		for i, beside := range [][]string{nil, {"PLENTY"}} {
			code := fmt.Sprintf("QUIET-%d", i)
			d := offered(code, nil)
			q := quote(1000, ana, append(beside, code)...) // the rules are in memory from here on
			changed(other, d, change)
			for range uses {
				redeemed(q, ana)
			}
			_, err := redeem(q, ana)
			Expect(err).To(MatchError(errUsedUp), code)
			Expect(fault.From(err).Extra).To(HaveKeyWithValue("discountId", d.ID.String()))
		}
		Expect(stored(plenty).Uses).To(BeEquivalentTo(uses))
	},
		Entry("that it is used up", 1, func(d *discount) { d.MaxUses = new(int64(1)) }),
		Entry("that each buyer may use it once", 1, func(d *discount) { d.MaxPerBuyer = new(int64(1)) }),
		Entry("that it is for first orders", 1, func(d *discount) { d.FirstOrder = true }),
		Entry("that it is not to be had now", 0, func(d *discount) { d.Status = disabled }),
	)

	It("counts codes that another replica has made a moment ago, and no budget that there is no more", func() {
		d, other := offered("", nil), replica()
		quote(1000, ana) // the rules are in memory from here on
		Expect(other.db.InTx(ctx, func(tx *db.Tx) error { return other.generate(ctx, tx, d.ID, 1, "", new(int64(1))) })).To(Succeed())
		q := quote(1000, ana, codesOf(d)[0].Code)
		redeemed(q, ana)
		_, err := redeem(q, ana)
		Expect(err).To(MatchError(errUsedUp))

		d = offered("ENDED", func(d *discount) { d.MaxUses = new(int64(1)) })
		q = quote(1000, ana, "ENDED")
		changed(other, d, func(d *discount) { d.MaxUses = nil })
		redeemed(q, ana)
		redeemed(q, ana)
	})

	Describe("and the buyer's privacy", func() {
		It("keeps no address, shows a customer what they used, and forgets by what an address was counted", func() {
			d := offered("ONCE", func(d *discount) { d.MaxPerBuyer = new(int64(1)) })
			customer := clock.NewID().String()
			order := redeemed(quote(1000, ana, "ONCE"), pricingapi.Buyer{CustomerID: customer, Email: ana.Email})
			for _, table := range []string{"redemption", "buyer_use"} {
				Expect(count(`select count(*) from pricing.` + table + ` t where t::text ilike '%ana%'`)).To(BeZero())
			}
			m := &Module{svc}
			Expect(m.PersonalData(ctx, customer)).To(ConsistOf(And(HaveField("OrderID", order), HaveField("Code", "ONCE"), HaveField("Amount", "1.00"), HaveField("Currency", "EUR"))))
			Expect(m.PersonalData(ctx, clock.NewID().String())).To(BeEmpty())

			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				return svc.onErased(ctx, tx, []event.Received[identityapi.CustomerErased]{{Fact: identityapi.CustomerErased{CustomerID: customer}}})
			})).To(Succeed())
			Expect(count(`select count(*) from pricing.redemption where discount_id = $1 and email_key is null`, d.ID)).To(Equal(1))
			Expect(count(`select count(*) from pricing.buyer_use where discount_id = $1 and buyer like 'email:%'`, d.ID)).To(BeZero())
		})

		It("makes a customer's what they used as a guest", func() {
			offered("GUEST", nil)
			each := offered("EACH", func(d *discount) { d.MaxPerBuyer = new(int64(2)) })
			customer := clock.NewID().String()
			order := redeemed(quote(1000, ana, "GUEST"), pricingapi.Buyer{Email: strings.ToUpper(ana.Email)})
			redeemed(quote(1000, ana, "GUEST"), someone(1))
			m := &Module{svc}
			Expect(m.Claim(ctx, customer, ana.Email)).To(Succeed())
			Expect(m.PersonalData(ctx, customer)).To(ConsistOf(HaveField("OrderID", order)))

			q := quote(1000, ana, "EACH")
			redeemed(q, ana)
			failed(redeemed(q, ana))
			Expect(m.Claim(ctx, customer, ana.Email)).To(Succeed())
			elsewhere := pricingapi.Buyer{CustomerID: customer, Email: "ana@elsewhere.example"}
			redeemed(q, elsewhere)
			_, err := redeem(q, elsewhere)
			Expect(err).To(MatchError(errUsedUp), "they have used it as a guest")
			Expect(count(`select uses from pricing.buyer_use where discount_id = $1 and buyer = $2`, each.ID, customerKey(customer))).To(Equal(2))
		})
	})
})

var _ = Describe("the rules in memory", Label("db"), func() {
	It("are those of another replica a moment after it has changed them, and its own at once", func() {
		shop := testkit.NewTenant(testkit.Shared())
		ctx := testkit.As(shop)
		here, there := replica(), replica()
		included := func(s *service) bool {
			GinkgoHelper()
			r, err := s.rules(ctx)
			Expect(err).NotTo(HaveOccurred())
			return r.settings.PricesIncludeTax
		}
		Expect([]bool{included(here), included(there)}).To(Equal([]bool{true, true}))
		Expect(here.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := here.updateSettings(ctx, tx, httpx.IfMatch{}, func(s *settings) { s.PricesIncludeTax = false })
			Expect(included(here)).To(BeTrue(), "the change has not come true yet")
			return err
		})).To(Succeed())
		Expect(included(here)).To(BeFalse())
		Expect(included(there)).To(BeTrue(), "it has not heard of it")
		Expect(there.cache.tenants()).To(Equal([]uuid.UUID{shop}))
		there.cache.drop(shop)
		Expect(included(there)).To(BeFalse())
	})

	It("are not kept when a change came while they were read, or may come true, nor by who hears of none", func() {
		c, shop := newCache(), clock.NewID()
		c.hears = true
		kept := func() bool {
			r, _ := c.get(shop)
			return r != nil
		}
		_, generation := c.get(shop)
		c.drop(shop)
		c.keep(shop, generation, &rules{})
		Expect(kept()).To(BeFalse())

		first, second := c.change(shop), c.change(shop)
		first()
		_, generation = c.get(shop)
		c.keep(shop, generation, &rules{})
		Expect(kept()).To(BeFalse())
		second()
		c.keep(shop, generation, &rules{})
		Expect(kept()).To(BeFalse())

		_, generation = c.get(shop)
		c.keep(shop, generation, &rules{})
		Expect(kept()).To(BeTrue())
		c.drop(shop)
		c.hears = false
		_, generation = c.get(shop)
		c.keep(shop, generation, &rules{})
		Expect(kept()).To(BeFalse())
	})
})
