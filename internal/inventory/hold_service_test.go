package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// claiming is the news that an order was created whose buyer holds stock.
func claiming(order, hold uuid.UUID, items ...item) event.Received[ordersapi.OrderCreated] {
	news := placed(order, items...)
	news.Fact.HoldID = hold.String()
	return news
}

// holds keeps stock for a shopper. What lasts less than nothing is due at once.
func holds(ctx context.Context, s *service, lasts time.Duration, items ...item) hold {
	GinkgoHelper()
	var h hold
	Expect(s.db.InTx(ctx, func(tx *db.Tx) (err error) {
		h, err = s.hold(ctx, tx, items, lasts)
		return err
	})).To(Succeed())
	return h
}

const overdue = -time.Second

var _ = Describe("a hold", Label("db"), func() {
	var (
		svc  *service
		shop uuid.UUID
		ctx  context.Context
	)

	BeforeEach(func() {
		svc, shop = replica(), testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
	})
	AfterEach(func() { addsUp(shop) })

	level := func(sku string) string {
		GinkgoHelper()
		l, err := svc.get(ctx, sku)
		Expect(err).NotTo(HaveOccurred())
		return fmt.Sprintf("%d of %d", l.Reserved, l.OnHand)
	}
	statusOf := func(h hold) string {
		GinkgoHelper()
		found, err := svc.findHold(ctx, h.ID)
		Expect(err).NotTo(HaveOccurred())
		return string(found.Status)
	}
	reservationOf := func(order uuid.UUID) (status string) {
		GinkgoHelper()
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &status, `select coalesce((select status from inventory.reservation where order_id = $1), 'unknown')`, order)
		})).To(Succeed())
		return status
	}
	// ends are how a hold ended by the ledger, over all of its lines.
	ends := func(h hold) (kinds []string) {
		GinkgoHelper()
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
			kinds = nil
			return tx.Select(ctx, &kinds, `select distinct kind from inventory.movement where hold_id = $1 and kind <> 'held' order by kind`, h.ID)
		})).To(Succeed())
		return kinds
	}
	alarmOf := func(h hold) string { return alarmName(alarmAt(h.ExpiresAt)) }
	timersOf := func(h hold) (n int) {
		GinkgoHelper()
		Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
			return tx.Get(ctx, &n, `select count(*) from platform.timer where tenant_id = platform.current_tenant() and kind = $1 and subject = $2`, expireHold, alarmOf(h))
		})).To(Succeed())
		return n
	}
	// goesOff does what a timer does: it is forgotten first.
	goesOff := func(h hold) {
		GinkgoHelper()
		Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
			svc.timers.Clear(tx, expireHold, alarmOf(h))
			return svc.onHoldDue(ctx, tx, alarmOf(h))
		})).To(Succeed())
	}
	// givesUp releases a hold unless an order has it, and repeats what a busy machine has
	// refused for now: that a lock was not to be had in time.
	givesUp := func(s *service, h hold) {
		GinkgoHelper()
		var err error
		Eventually(func() bool {
			err = s.released(ctx, h.ID)
			return errors.Is(err, db.ErrUnavailable)
		}, testkit.Patience).Should(BeFalse())
		if err != nil {
			Expect(err).To(MatchError(errHoldClaimed))
		}
	}
	attempt := func(items ...item) error {
		return svc.db.InTx(ctx, func(tx *db.Tx) error {
			_, err := svc.hold(ctx, tx, items, time.Minute)
			return err
		})
	}
	cost := func(act func(ctx context.Context, tx *db.Tx) error) int64 {
		GinkgoHelper()
		c := &db.Cost{}
		inner := db.WithCost(ctx, c)
		Expect(svc.db.InTx(inner, func(tx *db.Tx) error { return act(inner, tx) })).To(Succeed())
		return c.RoundTrips() - 2
	}

	Describe("that a shopper asks for", func() {
		It("takes what it holds from what is available, for its time by the database's clock", func() {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 10})
			now := func() (at time.Time) {
				GinkgoHelper()
				Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select clock_timestamp()`).Scan(&at)).To(Succeed())
				return at
			}
			began := now()
			h := holds(ctx, svc, 10*time.Minute, item{"MUG", 3}, item{"CUP", 1})
			Expect(h.CreatedAt).To(And(BeTemporally(">=", began), BeTemporally("<=", now())))
			Expect(h.ExpiresAt).To(Equal(h.CreatedAt.Add(10 * time.Minute)))
			Expect([]string{level("MUG"), level("CUP"), statusOf(h)}).To(Equal([]string{"3 of 10", "1 of 10", "held"}))
			Expect(svc.findHold(ctx, h.ID)).To(Equal(h))
			Expect(svc.get(ctx, "MUG")).To(HaveField("Version", int64(2)))
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 1)).To(HaveExactElements(And(HaveField("Kind", "held"), HaveField("ReservedDelta", int64(3)),
				HaveField("OnHandDelta", int64(0)), HaveField("HoldID", HaveValue(Equal(h.ID))), HaveField("OrderID", BeNil()), HaveField("Actor", "key:spec"))))
			Expect(timersOf(h)).To(Equal(1))
			Expect(topics(ctx, svc)).To(BeEmpty())
		})

		It("adds up lines of the same SKU", func() {
			stocked(ctx, svc, item{"MUG", 4})
			Expect(attempt(item{"MUG", 3}, item{"MUG", 2})).To(MatchError(errOutOfStock))
			Expect(holds(ctx, svc, time.Minute, item{"MUG", 3}, item{"MUG", 1}).Items).To(Equal([]item{{"MUG", 4}}))
			Expect(level("MUG")).To(Equal("4 of 4"))
		})

		It("holds all of it or nothing", func() {
			stocked(ctx, svc, item{"MUG", 2}, item{"CUP", 10}, item{"JUG", 0})
			Expect(attempt(item{"CUP", 1}, item{"MUG", 3}, item{"JUG", 1})).To(And(MatchError(errOutOfStock), WithTransform(fault.From, HaveField("Fields", HaveExactElements(
				HaveField("Pointer", "/items/1"), HaveField("Pointer", "/items/2"))))))
			Expect([]string{level("MUG"), level("CUP")}).To(Equal([]string{"0 of 2", "0 of 10"}))
			Expect(svc.movements(ctx, "CUP", uuid.Nil, 10)).To(HaveLen(1))
		})

		It("is refused when it names what there has never been, however much there is of the rest", func() {
			stocked(ctx, svc, item{"MUG", 1})
			Expect(attempt(item{"MUG", 9}, item{"NEW", 1})).To(And(MatchError(errUnknownSKU), WithTransform(fault.From, HaveField("Fields", HaveExactElements(HaveField("Pointer", "/items/1/sku"))))))
			Expect(level("MUG")).To(Equal("0 of 1"))
		})

		It("keeps others from the last units: shoppers, orders and counts", func() {
			stocked(ctx, svc, item{"MUG", 3})
			holds(ctx, svc, time.Minute, item{"MUG", 2})
			Expect(attempt(item{"MUG", 2})).To(MatchError(errOutOfStock))
			order := clock.NewID()
			heard(ctx, svc, placed(order, item{"MUG", 2}))
			Expect(reservationOf(order)).To(Equal("refused"))
			_, err := svc.counted(ctx, "MUG", anyVersion, 1, nil)
			Expect(err).To(MatchError(errBelowReserved))
			Expect(level("MUG")).To(Equal("2 of 3"))
		})

		It("tells of low stock, with the version that is stored", func() {
			stocked(ctx, svc, item{"MUG", 10})
			holds(ctx, svc, time.Minute, item{"MUG", 5})
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.low_stock 2"}))
			Expect(told[inventoryapi.LowStock](recorded(ctx, svc)[0]).Level).To(Equal(inventoryapi.Level{
				SKU: "MUG", Location: "default", OnHand: 10, Reserved: 5, Available: 5, Version: 2,
			}))
			Expect(svc.get(ctx, "MUG")).To(HaveField("Version", int64(2)))
		})

		It("leaves nothing behind when it comes to nothing, not even a timer", func() {
			stocked(ctx, svc, item{"MUG", 10})
			var h hold
			gone := errors.New("the answer could not be kept")
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) (err error) {
				h, err = svc.hold(ctx, tx, []item{{"MUG", 1}}, time.Minute)
				return errors.Join(err, gone)
			})).To(MatchError(gone))
			Expect([]any{level("MUG"), timersOf(h)}).To(Equal([]any{"0 of 10", 0}))
			Expect(svc.findHold(ctx, h.ID)).Error().To(MatchError(httpx.ErrNotFound))
		})

		It("costs three round trips, and two when a timer is set for its second, of 50 SKUs as of one", func() {
			var many []item
			for n := range 50 {
				many = append(many, item{fmt.Sprintf("SKU-%02d", n), 100})
			}
			stocked(ctx, svc, many...)
			for _, n := range []int{1, 50} {
				wanted := make([]item, n)
				for i := range wanted {
					wanted[i] = item{many[i].SKU, 1}
				}
				var h hold
				trips := cost(func(ctx context.Context, tx *db.Tx) (err error) {
					h, err = svc.hold(ctx, tx, wanted, time.Duration(n)*time.Hour)
					return err
				})
				Expect(trips).To(BeEquivalentTo(3), "%d SKUs", n)
				// Another one of the same second, however long that takes to hit.
				Eventually(func() int64 {
					return cost(func(ctx context.Context, tx *db.Tx) (err error) {
						_, err = svc.hold(ctx, tx, wanted, time.Until(h.ExpiresAt))
						return err
					})
				}, testkit.Patience).Should(BeEquivalentTo(2), "%d SKUs", n)
			}
		})
	})

	Describe("that is released", func() {
		It("gives its stock back, once", func() {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 10})
			h := holds(ctx, svc, time.Minute, item{"MUG", 3}, item{"CUP", 1})
			for range 2 {
				Expect(svc.released(ctx, h.ID)).To(Succeed())
				Expect([]string{level("MUG"), level("CUP"), statusOf(h)}).To(Equal([]string{"0 of 10", "0 of 10", "released"}))
			}
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 1)).To(HaveExactElements(And(
				HaveField("Kind", "released"), HaveField("ReservedDelta", int64(-3)), HaveField("HoldID", HaveValue(Equal(h.ID))))))
			goesOff(h)
			Expect([]any{statusOf(h), ends(h)}).To(Equal([]any{"released", []string{"released"}}))
		})

		It("stays claimed when an order has claimed it", func() {
			stocked(ctx, svc, item{"MUG", 10})
			h := holds(ctx, svc, time.Minute, item{"MUG", 3})
			heard(ctx, svc, claiming(clock.NewID(), h.ID, item{"MUG", 3}))
			Expect(svc.released(ctx, h.ID)).To(MatchError(errHoldClaimed))
			Expect([]string{level("MUG"), statusOf(h)}).To(Equal([]string{"3 of 10", "claimed"}))
		})

		It("is nobody's business but the merchant's", func() {
			stocked(ctx, svc, item{"MUG", 10})
			h := holds(ctx, svc, time.Minute, item{"MUG", 3})
			other := testkit.As(testkit.NewTenant(testkit.Shared()))
			Expect(svc.released(other, h.ID)).To(MatchError(httpx.ErrNotFound))
			Expect(svc.findHold(other, h.ID)).Error().To(MatchError(httpx.ErrNotFound))
			Expect(statusOf(h)).To(Equal("held"))
		})
	})

	Describe("that an order claims", func() {
		It("becomes what is reserved for the order, though there is no other stock", func() {
			stocked(ctx, svc, item{"MUG", 3})
			h, order := holds(ctx, svc, time.Minute, item{"MUG", 3}), clock.NewID()
			before, err := svc.get(ctx, "MUG")
			Expect(err).NotTo(HaveOccurred())
			heard(ctx, svc, claiming(order, h.ID, item{"MUG", 1}, item{"MUG", 2}))
			Expect([]string{level("MUG"), statusOf(h), reservationOf(order)}).To(Equal([]string{"3 of 3", "claimed", "held"}))
			Expect(svc.findHold(ctx, h.ID)).To(HaveField("OrderID", HaveValue(Equal(order))))
			Expect(topics(ctx, svc)).To(Equal([]string{"inventory.reserved 1"}))
			Expect(svc.get(ctx, "MUG")).To(Equal(before), "what is reserved has not changed")
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 2)).To(ConsistOf(
				And(HaveField("Kind", "claimed"), HaveField("ReservedDelta", int64(-3)), HaveField("HoldID", HaveValue(Equal(h.ID)))),
				And(HaveField("Kind", "reserved"), HaveField("ReservedDelta", int64(3)), HaveField("OrderID", HaveValue(Equal(order))))))
			calledOff(ctx, svc, order)
			Expect([]string{level("MUG"), statusOf(h)}).To(Equal([]string{"0 of 3", "claimed"}))
		})

		It("is made up from what is available when the order wants more, and gives back what it does not want", func() {
			stocked(ctx, svc, item{"MUG", 5}, item{"CUP", 5}, item{"JUG", 5}, item{"POT", 5})
			h, order := holds(ctx, svc, time.Minute, item{"MUG", 2}, item{"CUP", 4}, item{"JUG", 1}), clock.NewID()
			heard(ctx, svc, claiming(order, h.ID, item{"MUG", 5}, item{"CUP", 1}, item{"POT", 1}))
			Expect([]string{level("MUG"), level("CUP"), level("JUG"), level("POT"), statusOf(h), reservationOf(order)}).
				To(Equal([]string{"5 of 5", "1 of 5", "0 of 5", "1 of 5", "claimed", "held"}))
		})

		It("stays with the shopper when the order cannot have all it wants", func() {
			stocked(ctx, svc, item{"MUG", 5}, item{"CUP", 5})
			h, order := holds(ctx, svc, time.Minute, item{"MUG", 2}), clock.NewID()
			heard(ctx, svc, claiming(order, h.ID, item{"CUP", 1}, item{"MUG", 6}))
			Expect([]string{level("MUG"), level("CUP"), statusOf(h), reservationOf(order)}).To(Equal([]string{"2 of 5", "0 of 5", "held", "refused"}))
			Expect(told[inventoryapi.Insufficient](recorded(ctx, svc)[0]).Items).To(Equal([]inventoryapi.Short{{SKU: "MUG", Quantity: 6, Available: 5}}))
			heard(ctx, svc, claiming(clock.NewID(), h.ID, item{"MUG", 5}))
			Expect([]string{level("MUG"), statusOf(h)}).To(Equal([]string{"5 of 5", "claimed"}))
		})

		It("serves one order only, the first", func() {
			stocked(ctx, svc, item{"MUG", 3})
			h, first, second, third := holds(ctx, svc, time.Minute, item{"MUG", 2}), clock.NewID(), clock.NewID(), clock.NewID()
			heard(ctx, svc, claiming(first, h.ID, item{"MUG", 2}), claiming(second, h.ID, item{"MUG", 2}), claiming(third, h.ID, item{"MUG", 1}))
			Expect([]string{reservationOf(first), reservationOf(second), reservationOf(third)}).To(Equal([]string{"held", "refused", "held"}))
			Expect(svc.findHold(ctx, h.ID)).To(HaveField("OrderID", HaveValue(Equal(first))))
			Expect(level("MUG")).To(Equal("3 of 3"))
		})

		It("may be past its time, as long as nobody has taken its stock back", func() {
			stocked(ctx, svc, item{"MUG", 2})
			h, order := holds(ctx, svc, overdue, item{"MUG", 2}), clock.NewID()
			heard(ctx, svc, claiming(order, h.ID, item{"MUG", 2}))
			goesOff(h)
			Expect([]any{level("MUG"), statusOf(h), reservationOf(order), ends(h)}).To(Equal([]any{"2 of 2", "claimed", "held", []string{"claimed"}}))
		})

		DescribeTable("counts for nothing", func(before func(h hold) uuid.UUID) {
			stocked(ctx, svc, item{"MUG", 3})
			h := holds(ctx, svc, overdue, item{"MUG", 2})
			named := before(h)
			status, was := statusOf(h), level("MUG")
			fits, not := clock.NewID(), clock.NewID()
			heard(ctx, svc, claiming(not, named, item{"MUG", 4}), claiming(fits, named, item{"MUG", 1}))
			Expect([]string{reservationOf(not), reservationOf(fits)}).To(Equal([]string{"refused", "held"}))
			Expect(statusOf(h)).To(Equal(status))
			Expect(level("MUG")).To(Equal(fmt.Sprintf("%d of 3", 1+int(was[0]-'0'))))
		},
			Entry("when it is released", func(h hold) uuid.UUID { Expect(svc.released(ctx, h.ID)).To(Succeed()); return h.ID }),
			Entry("when it is expired", func(h hold) uuid.UUID { goesOff(h); return h.ID }),
			Entry("when nobody has ever heard of it", func(hold) uuid.UUID { return clock.NewID() }),
			Entry("when it is another merchant's", func(hold) uuid.UUID {
				other := testkit.As(testkit.NewTenant(testkit.Shared()))
				stocked(other, svc, item{"MUG", 5})
				h := holds(other, svc, time.Minute, item{"MUG", 4})
				DeferCleanup(func() { Expect(svc.findHold(other, h.ID)).To(HaveField("Status", holdHeld)) })
				return h.ID
			}),
		)

		It("costs one round trip more than no hold, for 200 as for one", func() {
			stocked(ctx, svc, item{"MUG", 1000}, item{"CUP", 1000})
			batch := func(n int) []event.Received[ordersapi.OrderCreated] {
				list := make([]event.Received[ordersapi.OrderCreated], n)
				for i := range list {
					h := holds(ctx, svc, time.Minute, item{"MUG", 1}, item{"CUP", 2})
					list[i] = claiming(clock.NewID(), h.ID, item{"MUG", 1}, item{"CUP", 1})
				}
				return list
			}
			plain := []event.Received[ordersapi.OrderCreated]{placed(clock.NewID(), item{"MUG", 1})}
			one, many := batch(1), batch(200)
			Expect(cost(func(ctx context.Context, tx *db.Tx) error { return svc.onOrderCreated(ctx, tx, plain) })).To(BeEquivalentTo(4))
			Expect(cost(func(ctx context.Context, tx *db.Tx) error { return svc.onOrderCreated(ctx, tx, one) })).To(BeEquivalentTo(5))
			Expect(cost(func(ctx context.Context, tx *db.Tx) error { return svc.onOrderCreated(ctx, tx, many) })).To(BeEquivalentTo(5))
			Expect([]string{level("MUG"), level("CUP")}).To(Equal([]string{"202 of 1000", "201 of 1000"}))
		})

		It("is not claimed by an order that was called off before", func() {
			stocked(ctx, svc, item{"MUG", 3})
			h, order := holds(ctx, svc, time.Minute, item{"MUG", 2}), clock.NewID()
			calledOff(ctx, svc, order)
			heard(ctx, svc, claiming(order, h.ID, item{"MUG", 2}))
			Expect(statusOf(h)).To(Equal("held"))
		})
	})

	Describe("whose time is up", func() {
		It("gives its stock back, once", func() {
			stocked(ctx, svc, item{"MUG", 10}, item{"CUP", 10})
			h := holds(ctx, svc, overdue, item{"MUG", 3}, item{"CUP", 1})
			for range 2 {
				goesOff(h)
				Expect([]string{level("MUG"), level("CUP"), statusOf(h)}).To(Equal([]string{"0 of 10", "0 of 10", "expired"}))
			}
			Expect(svc.movements(ctx, "MUG", uuid.Nil, 1)).To(HaveExactElements(And(
				HaveField("Kind", "expired"), HaveField("ReservedDelta", int64(-3)), HaveField("HoldID", HaveValue(Equal(h.ID))))))
			Expect(ends(h)).To(Equal([]string{"expired"}))
		})

		It("keeps its stock until then, and its timer", func() {
			stocked(ctx, svc, item{"MUG", 10})
			h := holds(ctx, svc, time.Hour, item{"MUG", 3})
			goesOff(holds(ctx, svc, overdue, item{"MUG", 1}))
			Expect([]any{level("MUG"), statusOf(h), timersOf(h)}).To(Equal([]any{"3 of 10", "held", 1}))
		})

		Describe("has a timer for its second", func() {
			noTimers := func() {
				GinkgoHelper()
				Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
					_, err := tx.Exec(ctx, `delete from platform.timer where kind = $1`, expireHold)
					return err
				})).To(Succeed())
			}
			second := time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)
			expiring := func(at time.Time, lasts time.Duration) {
				GinkgoHelper()
				Expect(svc.db.InTx(ctx, func(tx *db.Tx) error { return svc.expireAt(ctx, tx, at, lasts) })).To(Succeed())
			}
			timers := func() (list []string) {
				GinkgoHelper()
				Expect(svc.db.Read(ctx, func(tx *db.Tx) error {
					return tx.Select(ctx, &list, `select to_char(due_at at time zone 'UTC', 'HH24:MI:SS.MS') from platform.timer where tenant_id = platform.current_tenant() and kind = $1 order by due_at`, expireHold)
				})).To(Succeed())
				return list
			}

			It("that goes off at its end, and that others share", func() {
				for _, ms := range []time.Duration{0, 1, 500, 999} {
					expiring(second.Add(ms*time.Millisecond), time.Hour)
				}
				expiring(second.Add(time.Second), time.Hour)
				Expect(timers()).To(Equal([]string{"03:04:06.000", "03:04:07.000"}))
				noTimers()
				expiring(second, time.Hour)
				Expect(timers()).To(BeEmpty(), "it was known to be set")
			})

			It("of its own when it may end before its transaction does", func() {
				expiring(second, time.Hour)
				noTimers()
				expiring(second, time.Minute-time.Millisecond)
				Expect(timers()).To(Equal([]string{"03:04:06.000"}))
			})

			It("of its own when that of another one came to nothing", func() {
				gone := errors.New("gone")
				Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
					return errors.Join(svc.expireAt(ctx, tx, second, time.Hour), gone)
				})).To(MatchError(gone))
				expiring(second, time.Hour)
				Expect(timers()).To(Equal([]string{"03:04:06.000"}))
			})

			It("of its own when that of another merchant is set", func() {
				others := testkit.As(testkit.NewTenant(testkit.Shared()))
				Expect(svc.db.InTx(others, func(tx *db.Tx) error { return svc.expireAt(others, tx, second, time.Hour) })).To(Succeed())
				expiring(second, time.Hour)
				Expect(timers()).To(Equal([]string{"03:04:06.000"}))
			})

			It("also when it lasts for longer than it did", func() {
				stocked(ctx, svc, item{"MUG", 10})
				m := &Module{svc}
				var h inventoryapi.Held
				wish := inventoryapi.Wish{Items: []inventoryapi.Item{{SKU: "MUG", Quantity: 1}}, Lasts: time.Hour}
				ask := func() {
					GinkgoHelper()
					Expect(svc.db.InTx(ctx, func(tx *db.Tx) (err error) {
						h, err = m.Hold(ctx, tx, wish)
						return err
					})).To(Succeed())
				}
				ask()
				wish.HoldIDs, wish.Lasts = []string{h.HoldID}, 2*time.Hour
				before := h.ExpiresAt
				ask()
				Expect(h.ExpiresAt).To(BeTemporally(">", before))
				Expect(timers()).To(HaveLen(2))
			})

			It("and forgets those that have gone off", func() {
				l := alarms{}
				for n := range int64(3 * leastPruned) {
					l.note(alarm{shop, n}, n-10)
				}
				Expect(len(l.set)).To(BeNumerically("<", 2*leastPruned))
				Expect(l.has(alarm{shop, 3*leastPruned - 1})).To(BeTrue())
			})
		})

		It("takes others along, in as many round trips as one, and the timers of those cost two", func() {
			stocked(ctx, svc, item{"MUG", 1000}, item{"CUP", 1000})
			early := holds(ctx, svc, time.Hour, item{"MUG", 7})
			h := holds(ctx, svc, overdue, item{"MUG", 1})
			expiry := func(h hold) int64 {
				return cost(func(ctx context.Context, tx *db.Tx) error { return svc.onHoldDue(ctx, tx, alarmOf(h)) })
			}
			one := expiry(h)
			var list []hold
			for n := range 100 {
				list = append(list, holds(ctx, svc, overdue, item{"MUG", 1}, item{[]string{"CUP", "MUG"}[n%2], 1}))
			}
			Expect(expiry(list[99])).To(And(Equal(one), BeEquivalentTo(4)))
			Expect([]string{level("MUG"), level("CUP")}).To(Equal([]string{"7 of 1000", "0 of 1000"}))
			for _, h := range list {
				Expect(statusOf(h)).To(Equal("expired"))
			}
			Expect(statusOf(early)).To(Equal("held"))
			for _, h := range list[:20] {
				Expect(expiry(h)).To(BeEquivalentTo(2))
			}
		})

		It("is expired by its timer, whichever replica has it", func() {
			stocked(ctx, svc, item{"MUG", 1000}, item{"CUP", 1000})
			for _, s := range []*service{svc, replica()} {
				s.timers.On(expireHold, s.onHoldDue)
				running, stop := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- s.timers.Run(running) }()
				DeferCleanup(func() {
					stop()
					Eventually(done, testkit.Patience).Should(Receive(BeNil()))
				})
			}
			var list []hold
			for n := range 300 { // more than one sweep
				list = append(list, holds(ctx, svc, time.Duration(n%3)*100*time.Millisecond, item{"MUG", 1}, item{"CUP", 2}))
			}
			late := holds(ctx, svc, time.Hour, item{"MUG", 1})
			Eventually(func() []string { return []string{level("MUG"), level("CUP")} }, testkit.Patience).Should(Equal([]string{"1 of 1000", "0 of 1000"}))
			for _, h := range list {
				Expect([]any{statusOf(h), ends(h)}).To(Equal([]any{"expired", []string{"expired"}}))
				Eventually(func() int { return timersOf(h) }, testkit.Patience).Should(BeZero())
			}
			Expect([]any{statusOf(late), timersOf(late)}).To(Equal([]any{"held", 1}))
		})
	})

	Describe("whose time is up at the moment of an order", func() {
		// during does something while a transaction has done its work and is not committed.
		during := func(work func(tx *db.Tx) error, something func()) {
			GinkgoHelper()
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				if err := work(tx); err != nil {
					return err
				}
				something()
				return nil
			})).To(Succeed())
		}
		order := func(id uuid.UUID, h hold) func(tx *db.Tx) error {
			return func(tx *db.Tx) error {
				return svc.onOrderCreated(ctx, tx, []event.Received[ordersapi.OrderCreated]{claiming(id, h.ID, item{"MUG", 1})})
			}
		}

		It("is left to the order that is claiming it, and looked at again", func() {
			stocked(ctx, svc, item{"MUG", 1})
			h, id := holds(ctx, svc, overdue, item{"MUG", 1}), clock.NewID()
			during(order(id, h), func() { goesOff(h) })
			Expect([]any{statusOf(h), timersOf(h), reservationOf(id)}).To(Equal([]any{"claimed", 1, "held"}))
			goesOff(h)
			Expect([]any{level("MUG"), statusOf(h), ends(h)}).To(Equal([]any{"1 of 1", "claimed", []string{"claimed"}}))
		})

		It("is not lost when that order comes to nothing", func() {
			stocked(ctx, svc, item{"MUG", 1})
			h := holds(ctx, svc, overdue, item{"MUG", 1})
			broken := errors.New("the delivery could not be taken")
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				if err := order(clock.NewID(), h)(tx); err != nil {
					return err
				}
				goesOff(h)
				return broken
			})).To(MatchError(broken))
			Expect([]any{statusOf(h), timersOf(h)}).To(Equal([]any{"held", 1}))
			goesOff(h)
			Expect([]string{level("MUG"), statusOf(h)}).To(Equal([]string{"0 of 1", "expired"}))
		})

		It("is expired before the order, which takes its stock from what is available", func() {
			stocked(ctx, svc, item{"MUG", 1})
			h, id := holds(ctx, svc, overdue, item{"MUG", 1}), clock.NewID()
			done := make(chan error, 1)
			during(func(tx *db.Tx) error { return svc.onHoldDue(ctx, tx, alarmOf(h)) }, func() {
				go func() {
					done <- svc.db.InTx(ctx, func(tx *db.Tx) error {
						if err := unhurried(ctx, tx); err != nil {
							return err
						}
						return order(id, h)(tx)
					})
				}()
				Eventually(whoWaits(), testkit.Patience, "2ms").Should(Equal(1))
			})
			Eventually(done, testkit.Patience).Should(Receive(BeNil()))
			Expect([]any{level("MUG"), statusOf(h), reservationOf(id), ends(h)}).To(Equal([]any{"1 of 1", "expired", "held", []string{"expired"}}))
		})
	})

	It("ends once, in one way, whoever claims it, releases it and lets it expire at the same moment", func() {
		const rounds, carts = 12, 12
		skus := []string{"A", "B", "C", "D"}
		for _, sku := range skus {
			stocked(ctx, svc, item{sku, 2 * rounds * carts})
		}
		replicas := []*service{svc, replica()}
		counts := map[string]int{}
		var began, meant atomic.Int64
		for round := range rounds {
			dice := rand.New(rand.NewSource(GinkgoRandomSeed()*rounds + int64(round)))
			list := make([]hold, carts)
			for n := range list {
				a, b := dice.Intn(len(skus)), dice.Intn(len(skus))
				list[n] = holds(ctx, svc, overdue, item{skus[a], 1}, item{skus[b], 1})
			}
			orders := map[uuid.UUID]uuid.UUID{}
			var start sync.WaitGroup
			start.Add(1)
			var all sync.WaitGroup
			act := func(s *service, do func(ctx context.Context, s *service, tx *db.Tx) error) {
				meant.Add(1)
				all.Go(func() {
					defer GinkgoRecover()
					start.Wait()
					Expect(s.db.InTx(ctx, func(tx *db.Tx) error {
						began.Add(1)
						if err := unhurried(ctx, tx); err != nil {
							return err
						}
						return do(ctx, s, tx)
					})).To(Succeed())
				})
			}
			for worker := range 2 {
				var batch []event.Received[ordersapi.OrderCreated]
				for _, n := range dice.Perm(carts) {
					if n%2 != worker {
						continue
					}
					id := clock.NewID()
					orders[list[n].ID] = id
					batch = append(batch, claiming(id, list[n].ID, list[n].Items...))
				}
				act(replicas[worker], func(ctx context.Context, s *service, tx *db.Tx) error { return s.onOrderCreated(ctx, tx, batch) })
				some := dice.Perm(carts)[:3]
				act(replicas[worker], func(ctx context.Context, s *service, tx *db.Tx) error {
					for _, n := range some {
						if err := s.onHoldDue(ctx, tx, list[n].ID.String()); err != nil {
							return err
						}
					}
					return nil
				})
			}
			for _, n := range dice.Perm(carts)[:4] {
				all.Go(func() {
					defer GinkgoRecover()
					start.Wait()
					givesUp(svc, list[n])
				})
			}
			start.Done()
			all.Wait()
			for _, h := range list {
				status := statusOf(h)
				counts[status]++
				if status != "held" {
					Expect(ends(h)).To(Equal([]string{status}))
				} else {
					Expect(ends(h)).To(BeEmpty())
				}
				Expect(reservationOf(orders[h.ID])).To(Equal("held"), "there is enough of everything")
			}
			addsUp(shop)
		}
		Expect(counts["held"]).To(BeZero(), "every hold was wanted by an order")
		// Who comes first is chance, and may be the same one in every round.
		Expect(counts["claimed"] + counts["expired"] + counts["released"]).To(Equal(rounds * carts))
		AddReportEntry("ends of holds", ReportEntryVisibilityFailureOrVerbose, fmt.Sprint(counts))
		Expect(began.Load()).To(Equal(meant.Load()), "transactions that began again after a deadlock")
	})

	It("never sells the last units twice, whoever holds, buys and gives up", func() {
		const workers, rounds, units = 8, 12, 20
		stocked(ctx, svc, item{"MUG", units}, item{"CUP", units})
		replicas := []*service{svc, replica()}
		var all sync.WaitGroup
		for worker := range workers {
			s, dice := replicas[worker%2], rand.New(rand.NewSource(GinkgoRandomSeed()*workers+int64(worker)))
			all.Go(func() {
				defer GinkgoRecover()
				for range rounds {
					wanted := []item{{"MUG", 1 + dice.Int63n(2)}, {"CUP", 1}}
					if dice.Intn(2) == 0 {
						wanted[0], wanted[1] = wanted[1], wanted[0]
					}
					var h hold
					err := s.db.InTx(ctx, func(tx *db.Tx) (err error) {
						if err := unhurried(ctx, tx); err != nil {
							return err
						}
						h, err = s.hold(ctx, tx, wanted, time.Duration(dice.Intn(3)-1)*time.Second)
						return err
					})
					if err != nil {
						Expect(err).To(MatchError(errOutOfStock))
						continue
					}
					Expect(s.db.InTx(ctx, func(tx *db.Tx) error {
						if err := unhurried(ctx, tx); err != nil {
							return err
						}
						switch dice.Intn(4) {
						case 0:
							return s.onOrderCreated(ctx, tx, []event.Received[ordersapi.OrderCreated]{claiming(uuid.New(), h.ID, wanted[0])})
						default:
							return s.onHoldDue(ctx, tx, h.ID.String())
						}
					})).To(Succeed())
					if dice.Intn(2) == 0 {
						givesUp(s, h)
					}
				}
			})
		}
		all.Wait()
	})

	Describe("over HTTP", func() {
		It("is made, read and released; it can be claimed only once it is known", func() {
			modules := func(k app.Kit) []app.Module { return []app.Module{New(k)} }
			s := testkit.Start(testkit.Shared(), app.Options{CheckEvent: contract().Check}, modules)
			owner := testkit.As(s.Tenant)
			stocked(owner, svc, item{"MUG", 3})
			key := testkit.Header{Name: "Idempotency-Key", Value: "a shopper"}
			body := map[string]any{"items": []map[string]any{{"sku": "MUG", "quantity": 1}, {"sku": "MUG", "quantity": 1}}}
			made := s.Post("/v1/inventory/holds", body, key)
			Expect(made.Status).To(Equal(http.StatusCreated), "%s", made.Raw)
			var h struct {
				ID, Status           string
				Items                []map[string]any
				ExpiresAt, CreatedAt time.Time
			}
			Expect(json.Unmarshal(made.Raw, &h)).To(Succeed())
			Expect(h.Status).To(Equal("held"))
			Expect(h.Items).To(HaveExactElements(Equal(map[string]any{"sku": "MUG", "quantity": 2.0})))
			Expect(h.ExpiresAt).To(Equal(h.CreatedAt.Add(10 * time.Minute)))
			Expect(made.Header.Get("Location")).To(Equal("/v1/inventory/holds/" + h.ID))
			again := s.Post("/v1/inventory/holds", body, key)
			Expect(again.Raw).To(Equal(made.Raw))
			Expect(again.Header.Get("Idempotency-Replayed")).To(Equal("true"))

			read := s.Get("/v1/inventory/holds/" + h.ID)
			Expect(read.Raw).To(MatchJSON(made.Raw))
			Expect(s.Get("/v1/inventory/MUG").JSON()).To(And(HaveKeyWithValue("reserved", 2.0), HaveKeyWithValue("available", 1.0)))
			short := s.Post("/v1/inventory/holds", body)
			Expect([]any{short.Status, short.Code()}).To(Equal([]any{409, "out_of_stock"}))
			Expect(string(short.Raw)).To(And(ContainSubstring(`"pointer":"/items/0"`), ContainSubstring(`"pointer":"/items/1"`), ContainSubstring(`"available":1`)))
			for range 2 {
				gone := s.Call(http.MethodDelete, "/v1/inventory/holds/"+h.ID, nil)
				Expect([]any{gone.Status, string(gone.Raw)}).To(Equal([]any{204, ""}))
			}
			released := s.Get("/v1/inventory/holds/" + h.ID)
			Expect(released.JSON()).To(HaveKeyWithValue("status", "released"))
			Expect(released.Header.Get("ETag")).NotTo(Equal(read.Header.Get("ETag")))
			Expect(string(s.Get("/v1/inventory/MUG/movements").Raw)).To(ContainSubstring(`"holdId":"` + h.ID))

			for _, bad := range []string{
				`{}`, `{"items":[]}`, `{"items":[{"sku":"MUG","quantity":0}]}`, `{"items":[{"sku":"","quantity":1}]}`,
				`{"items":[{"sku":"MUG","quantity":1}],"ttlSeconds":0}`, `{"items":[{"sku":"MUG","quantity":1}],"ttlSeconds":86401}`,
				`{"items":[{"sku":"MUG","quantity":100001}]}`, `{"items":[` + strings.Repeat(`{"sku":"MUG","quantity":1},`, 500) + `{"sku":"MUG","quantity":1}]}`,
			} {
				r := s.Post("/v1/inventory/holds", bad)
				Expect([]any{r.Status, r.Code()}).To(Equal([]any{422, "validation_failed"}), bad)
			}
			unknown := s.Post("/v1/inventory/holds", `{"items":[{"sku":"NEW","quantity":1}]}`)
			Expect([]any{unknown.Status, unknown.Code()}).To(Equal([]any{422, "unknown_sku"}))
			for _, id := range []string{uuid.NewString(), "x"} {
				Expect(s.Get("/v1/inventory/holds/" + id).Status).To(Equal(404))
				Expect(s.Call(http.MethodDelete, "/v1/inventory/holds/"+id, nil).Status).To(Equal(404))
			}
			reader := s.With(testkit.Key(s.App.DB(), s.Tenant, "inventory:read", "orders:write"))
			Expect(reader.Post("/v1/inventory/holds", body).Status).To(Equal(403))
			Expect(reader.Get("/v1/inventory/holds/" + h.ID).Status).To(Equal(403))
			addsUp(s.Tenant)
		})
	})
})
