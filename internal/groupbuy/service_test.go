package groupbuy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
)

// shelf stands in for the catalog.
type shelf struct {
	offers map[string]catalogapi.Offer
	err    error
}

func (s *shelf) OffersByProduct(context.Context, []string) (map[string]catalogapi.Offer, error) {
	return s.offers, s.err
}

var mug, tea = clock.NewID().String(), clock.NewID().String()

func assortment() *shelf {
	return &shelf{offers: map[string]catalogapi.Offer{
		mug: {SKU: "MUG", ProductID: mug, Name: "Blue mug", Prices: []money.Amount{eur(1250), {Minor: 1400, Currency: money.USD}}},
		tea: {SKU: "TEA", ProductID: tea, Name: "Sencha", Prices: []money.Amount{{Minor: 1500, Currency: money.JPY}}},
	}}
}

// contract is what every fact must follow.
var contract = sync.OnceValue(func() *eventschema.Catalog {
	schemas, err := eventschema.Load(eventschema.Module{Name: "groupbuy", Schemas: groupbuyapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	return schemas
})

// replica is the campaigns of one process, whose timers only run when they are told to.
// Whatever it publishes must follow its schema.
func replica(offers Offers) *service {
	GinkgoHelper()
	log := event.NewLog()
	log.Check = contract().Check
	d := testkit.Open(testkit.Shared().App)
	return &service{db: d, events: log, timers: timer.New(d, testkit.Log()), offers: offers, feeds: newFeeds(d)}
}

// recorded lists the facts of a merchant, in the order of the log.
func recorded(ctx context.Context, s *service) (facts []event.Envelope) {
	GinkgoHelper()
	Expect(s.db.Read(ctx, func(tx *db.Tx) error {
		facts = nil
		return tx.Select(ctx, &facts, `
			select id, tenant_id, type, version, subject, sequence, occurred_at, correlation_id, causation_id, traceparent, actor, data
			from platform.event where tenant_id = platform.current_tenant() order by seq`)
	})).To(Succeed())
	return facts
}

// topics are the facts without what they say.
func topics(ctx context.Context, s *service) []string {
	GinkgoHelper()
	list := []string{}
	for _, f := range recorded(ctx, s) {
		list = append(list, fmt.Sprintf("%s %d", f.Type[len("group-commerce.campaign."):], f.Sequence))
	}
	return list
}

// of are the facts of one type.
func of[T event.Event](ctx context.Context, s *service) (facts []T) {
	GinkgoHelper()
	var kind T
	for _, f := range recorded(ctx, s) {
		if f.Type == kind.EventType() {
			var fact T
			Expect(json.Unmarshal(f.Data, &fact)).To(Succeed())
			facts = append(facts, fact)
		}
	}
	return facts
}

// pending are a merchant's timers.
func pending(ctx context.Context, s *service) (list []string) {
	GinkgoHelper()
	Expect(s.db.Read(ctx, func(tx *db.Tx) error {
		list = []string{}
		return tx.Select(ctx, &list, `select kind from platform.timer where tenant_id = platform.current_tenant() order by kind`)
	})).To(Succeed())
	return list
}

// whoWaits counts the transactions that wait for a lock of another one.
func whoWaits() func() (int, error) {
	GinkgoHelper()
	auditor := testkit.SQL(testkit.Shared().Super)
	return func() (n int, err error) {
		err = auditor.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
		return n, err
	}
}

// offered is the body of a sound campaign that has begun.
func offered(least, most int64) createBody {
	now := clock.System()
	return createBody{
		ProductID: mug, MinParticipants: least, MaxParticipants: most, Price: "9.90", OriginalPrice: "12.50",
		StartTime: now.Add(-time.Hour), EndTime: now.Add(time.Hour),
	}
}

func started(ctx context.Context, s *service, b createBody) createdResponse {
	GinkgoHelper()
	c, err := s.handleCreate(ctx, &createInput{httpx.JSON[createBody]{Body: b}})
	Expect(err).NotTo(HaveOccurred())
	return c
}

func joins(ctx context.Context, s *service, id, user string, quantity int64) (campaignResponse, error) {
	return s.handleJoin(ctx, &joinInput{httpx.JSON[joinBody]{Body: joinBody{UserID: user, Quantity: quantity}}, id})
}

// why is the error of a call that answers something beside it.
func why[T any](_ T, err error) error { return err }

// set changes a campaign behind its back, as only a clock can.
func set(id, assignment string) {
	GinkgoHelper()
	Expect(testkit.SQL(testkit.Shared().Super).Exec(`update groupbuy.campaign set `+assignment+` where id = $1`, id)).Error().NotTo(HaveOccurred())
}

var _ = Describe("the campaigns", Label("db"), func() {
	var (
		svc   *service
		stock *shelf
		shop  uuid.UUID
		ctx   context.Context
	)

	BeforeEach(func() {
		stock = assortment()
		svc, shop = replica(stock), testkit.NewTenant(testkit.Shared())
		ctx = testkit.As(shop)
	})

	read := func(id string) campaignResponse {
		GinkgoHelper()
		c, err := svc.handleGet(ctx, &byID{id})
		Expect(err).NotTo(HaveOccurred())
		return c
	}
	people := func(id string) (list []participant) {
		GinkgoHelper()
		list, err := svc.participants(ctx, uuid.MustParse(id), "", 0, 2000)
		Expect(err).NotTo(HaveOccurred())
		return list
	}
	// goOff runs a handler as its timer does.
	goOff := func(h timer.Handler, id string) error {
		bus := identity.With(ctx, identity.Identity{Tenant: shop, Actor: "system:timer"})
		return svc.db.InTx(bus, func(tx *db.Tx) error { return h(bus, tx, id) })
	}

	Describe("starting one", func() {
		It("stores it, sets its timer and publishes one fact", func() {
			c := started(ctx, svc, offered(2, 5))
			Expect(c).To(And(HaveField("Status", "active"), HaveField("SKU", "MUG"), HaveField("Name", "Blue mug"), HaveField("Price", "9.90"), HaveField("OriginalPrice", "12.50"),
				HaveField("Currency", "EUR"), HaveField("ActualParticipants", int64(0)), HaveField("ShareCode", MatchRegexp(`^[A-Z2-7]{12}$`))))
			Expect(c.Location()).To(Equal("/v1/campaigns/" + c.ID))
			Expect(c.ETag()).To(Equal(`"1"`))
			Expect(read(c.ID)).To(Equal(c.campaignResponse))
			Expect(topics(ctx, svc)).To(Equal([]string{"created 1"}))
			Expect(of[groupbuyapi.CampaignCreated](ctx, svc)).To(HaveExactElements(HaveField("ID", c.ID)))
			Expect(pending(ctx, svc)).To(Equal([]string{"groupbuy.end"}))
		})

		It("waits for its time", func() {
			b := offered(2, 5)
			b.StartTime = clock.System().Add(time.Minute)
			Expect(started(ctx, svc, b).Status).To(Equal("scheduled"))
			Expect(pending(ctx, svc)).To(Equal([]string{"groupbuy.end", "groupbuy.start"}))
		})

		It("is in the product's currency, or in one that it has a price in", func() {
			b := offered(2, 5)
			b.ProductID, b.Price, b.OriginalPrice = tea, "1200", "1500"
			Expect(started(ctx, svc, b)).To(And(HaveField("Currency", "JPY"), HaveField("Price", "1200")))
			b = offered(2, 5)
			b.Currency = "USD"
			Expect(started(ctx, svc, b).Currency).To(Equal("USD"))
		})

		DescribeTable("is refused and leaves nothing", func(want error, change func(*createBody)) {
			b := offered(2, 5)
			change(&b)
			_, err := svc.handleCreate(ctx, &createInput{httpx.JSON[createBody]{Body: b}})
			Expect(err).To(MatchError(want))
			Expect(topics(ctx, svc)).To(BeEmpty())
			Expect(pending(ctx, svc)).To(BeEmpty())
		},
			Entry("with a product that is not for sale", errUnknownProduct, func(b *createBody) { b.ProductID = uuid.NewString() }),
			Entry("in a currency that the product has no price in", errCurrencyMismatch, func(b *createBody) { b.Currency = "GBP" }),
			Entry("with digits that the product's currency has not", httpx.ErrValidation(), func(b *createBody) { b.ProductID, b.Price = tea, "12.50" }),
			Entry("when it is over", httpx.ErrValidation(), func(b *createBody) { b.EndTime = clock.System().Add(-time.Second) }),
			Entry("when nothing is saved", httpx.ErrValidation(), func(b *createBody) { b.Price = "12.50" }),
		)

		It("is refused when the catalog does not answer", func() {
			stock.err = errors.New("connection refused")
			b := offered(2, 5)
			Expect(why(svc.handleCreate(ctx, &createInput{httpx.JSON[createBody]{Body: b}}))).To(MatchError(stock.err))
		})
	})

	Describe("joining one", func() {
		It("counts the user and says so", func() {
			c := started(ctx, svc, offered(3, 5))
			joined, err := joins(ctx, svc, c.ID, "ana", 2)
			Expect(err).NotTo(HaveOccurred())
			Expect(joined).To(And(HaveField("ActualParticipants", int64(1)), HaveField("Status", "active")))
			Expect(joined.ETag()).To(Equal(`"2"`))
			Expect(read(c.ID)).To(Equal(joined))
			Expect(people(c.ID)).To(HaveExactElements(And(HaveField("UserID", "ana"), HaveField("Quantity", int64(2)), HaveField("Position", int64(1)),
				HaveField("JoinedAt", BeTemporally("==", joined.UpdatedAt)))))
			Expect(of[groupbuyapi.CampaignJoined](ctx, svc)).To(HaveExactElements(And(HaveField("UserID", "ana"), HaveField("Quantity", int64(2)),
				HaveField("ActualParticipants", int64(1)), HaveField("ParticipantID", people(c.ID)[0].ID.String()))))
		})

		It("is successful with as many as it takes, once, and goes on until it is full", func() {
			c := started(ctx, svc, offered(2, 4))
			for i, user := range []string{"ana", "ben", "cleo", "dan"} {
				joined, err := joins(ctx, svc, c.ID, user, 1)
				Expect(err).NotTo(HaveOccurred())
				Expect(joined).To(And(HaveField("ActualParticipants", int64(i+1)), HaveField("Status", []string{"active", "successful", "successful", "successful"}[i])))
			}
			Expect(why(joins(ctx, svc, c.ID, "eve", 1))).To(MatchError(errFull))
			Expect(topics(ctx, svc)).To(Equal([]string{"created 1", "joined 2", "joined 3", "successful 4", "joined 5", "order-due 1", "joined 6", "order-due 1"}))
			Expect(of[groupbuyapi.CampaignJoined](ctx, svc)).To(HaveExactElements(HaveField("Status", "active"), HaveField("Status", "active"), HaveField("Status", "successful"), HaveField("Status", "successful")))
			Expect(of[groupbuyapi.CampaignSuccessful](ctx, svc)).To(HaveExactElements(And(HaveField("Status", "successful"), HaveField("ActualParticipants", int64(2)))))
			Expect(pending(ctx, svc)).To(Equal([]string{"groupbuy.end", "groupbuy.order"}))
		})

		It("asks for one order of each, whether they joined before or after", func() {
			c := started(ctx, svc, offered(2, 4))
			for i, user := range []string{"ana", "ben", "cleo"} {
				Expect(why(joins(ctx, svc, c.ID, user, int64(i+1)))).NotTo(HaveOccurred())
			}
			Expect(goOff(svc.onOrder, c.ID)).To(Succeed())
			Expect(goOff(svc.onOrder, c.ID)).To(Succeed())
			due := of[groupbuyapi.OrderDue](ctx, svc)
			Expect(due).To(HaveExactElements(HaveField("UserID", "cleo"), HaveField("UserID", "ana"), HaveField("UserID", "ben")))
			Expect(due[1]).To(Equal(groupbuyapi.OrderDue{
				CampaignID: c.ID, ParticipantID: people(c.ID)[0].ID.String(), UserID: "ana", ProductID: mug, SKU: "MUG", Name: "Blue mug", Quantity: 1, Price: "9.90", Currency: "EUR",
			}))
		})

		It("asks for many orders some at a time, and for each once", func() {
			const crowd = ordersAtOnce + 30
			c := started(ctx, svc, offered(crowd, crowd))
			Expect(testkit.SQL(testkit.Shared().Super).Exec(`
				insert into groupbuy.participant (tenant_id, campaign_id, user_id, id, position, quantity, joined_at)
				select $1, $2, 'user-' || n, gen_random_uuid(), n, 1, now() from generate_series(1, $3) n`, shop, c.ID, crowd-1)).Error().NotTo(HaveOccurred())
			set(c.ID, fmt.Sprintf(`actual_participants = %d`, crowd-1))
			Expect(joins(ctx, svc, c.ID, "last", 1)).To(HaveField("Status", "successful"))

			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				svc.timers.Clear(tx, timerOrder, c.ID)
				return nil
			})).To(Succeed())
			Expect(goOff(svc.onOrder, c.ID)).To(Succeed())
			Expect(of[groupbuyapi.OrderDue](ctx, svc)).To(HaveLen(ordersAtOnce))
			Expect(pending(ctx, svc)).To(ContainElement(timerOrder), "there are more")
			Expect(svc.db.InTx(ctx, func(tx *db.Tx) error {
				svc.timers.Clear(tx, timerOrder, c.ID)
				return nil
			})).To(Succeed())
			Expect(goOff(svc.onOrder, c.ID)).To(Succeed())
			Expect(pending(ctx, svc)).NotTo(ContainElement(timerOrder))
			users := map[string]bool{}
			for _, due := range of[groupbuyapi.OrderDue](ctx, svc) {
				users[due.UserID] = true
			}
			Expect(users).To(HaveLen(crowd))
			Expect(of[groupbuyapi.OrderDue](ctx, svc)).To(HaveLen(crowd))
		})

		It("is refused for one who has joined, and changes nothing", func() {
			c := started(ctx, svc, offered(3, 5))
			Expect(why(joins(ctx, svc, c.ID, "ana", 1))).NotTo(HaveOccurred())
			before := read(c.ID)
			Expect(why(joins(ctx, svc, c.ID, "ana", 7))).To(MatchError(errAlreadyJoined))
			Expect(read(c.ID)).To(Equal(before))
			Expect(topics(ctx, svc)).To(HaveLen(2))
		})

		DescribeTable("is refused", func(happening string, want error) {
			c := started(ctx, svc, offered(1, 1))
			set(c.ID, happening)
			Expect(why(joins(ctx, svc, c.ID, "ana", 1))).To(MatchError(want))
			Expect(people(c.ID)).To(BeEmpty())
			Expect(topics(ctx, svc)).To(HaveLen(1))
		},
			Entry("before it begins", `status = 'scheduled', start_time = clock_timestamp() + interval '1 minute'`, errNotActive),
			Entry("when it is over, whether a timer noted it or not", `end_time = clock_timestamp()`, errNotActive),
			Entry("when it was successful and is over", `end_time = clock_timestamp(), status = 'successful'`, errNotActive),
			Entry("when it has expired", `status = 'expired'`, errNotActive),
			Entry("when it is cancelled", `status = 'cancelled'`, errNotActive),
			Entry("when it is full", `actual_participants = 1, status = 'successful'`, errFull),
		)

		It("does not wait for the timer that says that it has begun", func() {
			b := offered(2, 5)
			b.StartTime = clock.System().Add(time.Minute)
			c := started(ctx, svc, b)
			set(c.ID, `start_time = clock_timestamp() - interval '1 millisecond'`)
			Expect(joins(ctx, svc, c.ID, "ana", 1)).To(HaveField("Status", "active"))
			Expect(goOff(svc.onStart, c.ID)).To(Succeed())
			Expect(topics(ctx, svc)).To(Equal([]string{"created 1", "joined 2"}))
		})

		DescribeTable("goes by the clock of the database, whatever the program's says", func(skew time.Duration) {
			wrong, err := db.Open(db.Options{DSN: testkit.Shared().App, Connections: 2, Clock: func() time.Time { return clock.System().Add(skew) }})
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(wrong.Close)
			svc.db = wrong
			c := started(ctx, svc, offered(2, 5))
			Expect(c.CreatedAt).To(BeTemporally("~", clock.System(), time.Minute))
			Expect(joins(ctx, svc, c.ID, "ana", 1)).To(HaveField("UpdatedAt", BeTemporally("~", clock.System(), time.Minute)))
			set(c.ID, `start_time = clock_timestamp() + interval '5 minutes', status = 'scheduled'`)
			Expect(why(joins(ctx, svc, c.ID, "ben", 1))).To(MatchError(errNotActive))
			Expect(goOff(svc.onStart, c.ID)).To(Succeed())
			Expect(read(c.ID).Status).To(Equal("scheduled"))
			set(c.ID, `start_time = clock_timestamp() - interval '1 hour', end_time = clock_timestamp() - interval '1 millisecond'`)
			Expect(why(joins(ctx, svc, c.ID, "ben", 1))).To(MatchError(errNotActive))
			Expect(goOff(svc.onEnd, c.ID)).To(Succeed())
			Expect(read(c.ID).Status).To(Equal("expired"))
			b := offered(2, 5)
			b.EndTime = clock.System().Add(-time.Second)
			Expect(why(svc.handleCreate(ctx, &createInput{httpx.JSON[createBody]{Body: b}}))).To(MatchError(httpx.ErrValidation()))
		},
			Entry("which is fast", 10*time.Minute),
			Entry("which is slow", -10*time.Minute),
		)

		It("is by the time at which it was asked for, and is refused when the end was noted before its turn came", func() {
			c := started(ctx, svc, offered(2, 5))
			held, proceed := make(chan struct{}), make(chan struct{})
			closed := make(chan error, 1)
			go func() {
				closed <- svc.db.InTx(ctx, func(tx *db.Tx) error {
					if _, err := tx.Exec(ctx, `update groupbuy.campaign set status = 'expired' where id = $1`, c.ID); err != nil {
						return err
					}
					close(held)
					<-proceed
					return nil
				})
			}()
			Eventually(held, testkit.Patience).Should(BeClosed())
			refused := make(chan error, 1)
			go func() {
				_, err := joins(ctx, svc, c.ID, "ana", 1)
				refused <- err
			}()
			Eventually(whoWaits(), testkit.Patience, "2ms").Should(BeNumerically(">=", 1))
			close(proceed)
			Eventually(closed, testkit.Patience).Should(Receive(BeNil()))
			Eventually(refused, testkit.Patience).Should(Receive(MatchError(errNotActive)))
			Expect(people(c.ID)).To(BeEmpty())
		})

		It("is not found when it is another merchant's, or nobody's", func() {
			c := started(ctx, svc, offered(2, 5))
			other := testkit.As(testkit.NewTenant(testkit.Shared()))
			Expect(why(joins(other, svc, c.ID, "ana", 1))).To(MatchError(httpx.ErrNotFound))
			Expect(why(joins(ctx, svc, uuid.NewString(), "ana", 1))).To(MatchError(httpx.ErrNotFound))
			Expect(why(joins(ctx, svc, "x", "ana", 1))).To(MatchError(httpx.ErrNotFound))
			Expect(people(c.ID)).To(BeEmpty())
		})

		It("takes four round trips, whether it decides or not", func() {
			c := started(ctx, svc, offered(2, 5))
			for i := range 3 {
				cost := &db.Cost{}
				Expect(why(joins(db.WithCost(ctx, cost), svc, c.ID, fmt.Sprint("user-", i), 1))).NotTo(HaveOccurred())
				Expect(cost.RoundTrips()).To(Equal(int64(4)))
			}
		})

		It("commits the participant, the count and the facts together", func() {
			c := started(ctx, svc, offered(1, 5))
			Expect(why(joins(ctx, svc, c.ID, "ana", 1))).NotTo(HaveOccurred())
			var transactions int
			Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`
				select count(distinct x) from (
					select xmin::text x from groupbuy.campaign where id = $1 union all select xmin::text from groupbuy.participant where campaign_id = $1
					union all select xmin::text from platform.event where subject = $1::text and sequence > 1
					union all select xmin::text from platform.timer where subject = $1::text and kind = 'groupbuy.order'
				) t`, c.ID).Scan(&transactions)).To(Succeed())
			Expect(transactions).To(Equal(1))
		})

		It("is exact, however many try at the same moment", func() {
			c := started(ctx, svc, offered(50, 100))
			var accepted, full, already, other atomic.Int64
			attempts := make(chan int, 600)
			for i := range 600 {
				attempts <- i % 400 // some try twice
			}
			close(attempts)
			var wg sync.WaitGroup
			for range 40 {
				wg.Go(func() {
					for i := range attempts {
						_, err := joins(ctx, svc, c.ID, fmt.Sprint("user-", i), 1)
						for errors.Is(err, db.ErrUnavailable) { // there are more of us than connections
							_, err = joins(ctx, svc, c.ID, fmt.Sprint("user-", i), 1)
						}
						switch {
						case err == nil:
							accepted.Add(1)
						case errors.Is(err, errFull):
							full.Add(1)
						case errors.Is(err, errAlreadyJoined):
							already.Add(1)
						default:
							other.Add(1)
							GinkgoWriter.Println(err)
						}
					}
				})
			}
			wg.Wait()
			Expect(accepted.Load()).To(BeEquivalentTo(100))
			Expect(full.Load() + already.Load()).To(BeEquivalentTo(500))
			Expect(read(c.ID)).To(And(HaveField("ActualParticipants", int64(100)), HaveField("Status", "successful")))
			users, positions := map[string]bool{}, map[int64]bool{}
			for _, p := range people(c.ID) {
				users[p.UserID], positions[p.Position] = true, true
			}
			Expect(users).To(HaveLen(100))
			Expect(positions).To(HaveLen(100))
			Expect(of[groupbuyapi.CampaignJoined](ctx, svc)).To(HaveLen(100))
			Expect(of[groupbuyapi.CampaignSuccessful](ctx, svc)).To(HaveLen(1))
			Expect(goOff(svc.onOrder, c.ID)).To(Succeed())
			Expect(of[groupbuyapi.OrderDue](ctx, svc)).To(HaveLen(100))
		})

		It("once for one user, however often at the same moment", func() {
			c := started(ctx, svc, offered(5, 100))
			var accepted, already atomic.Int64
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					switch _, err := joins(ctx, svc, c.ID, "ana", 1); {
					case err == nil:
						accepted.Add(1)
					case errors.Is(err, errAlreadyJoined):
						already.Add(1)
					}
				})
			}
			wg.Wait()
			Expect([]int64{accepted.Load(), already.Load()}).To(Equal([]int64{1, 19}))
			Expect(read(c.ID).ActualParticipants).To(BeEquivalentTo(1))
		})

		DescribeTable("while it is closed, leaves no doubt about the outcome", func(closing func(id string) error, closed string, most int64) {
			c := started(ctx, svc, offered(most, 100))
			var accepted atomic.Int64
			var wg sync.WaitGroup
			for worker := range 10 {
				wg.Go(func() {
					for i := range 6 {
						if _, err := joins(ctx, svc, c.ID, fmt.Sprint("user-", worker, "-", i), 1); err == nil {
							accepted.Add(1)
						}
					}
				})
			}
			wg.Go(func() {
				defer GinkgoRecover()
				Eventually(func() int64 { return read(c.ID).ActualParticipants }, testkit.Patience, "1ms").Should(BeNumerically(">=", 5))
				if err := closing(c.ID); err != nil {
					Expect(err).To(MatchError(errNotCancellable))
				}
			})
			wg.Wait()
			end := read(c.ID)
			Expect(end.ActualParticipants).To(Equal(accepted.Load()))
			Expect(people(c.ID)).To(HaveLen(int(accepted.Load())))
			Expect(end.Status).To(BeElementOf(closed, "successful"))
			successes := of[groupbuyapi.CampaignSuccessful](ctx, svc)
			if end.Status == "successful" {
				Expect(successes).To(HaveLen(1))
			} else {
				Expect(successes).To(BeEmpty())
				Expect(topics(ctx, svc)).To(ContainElement(HavePrefix(closed + " ")))
			}
			versions := map[int64]bool{}
			for _, f := range recorded(ctx, svc) {
				if f.Subject == c.ID {
					Expect(versions).NotTo(HaveKey(f.Sequence), "two facts of one version")
					versions[f.Sequence] = true
				}
			}
			Expect(end.version).To(BeEquivalentTo(len(versions)))
		},
			Entry("because it is cancelled long before it is successful", func(id string) error {
				_, err := svc.handleCancel(ctx, &cancelInput{ID: id})
				return err
			}, "cancelled", int64(100)),
			Entry("because it is cancelled as it gets successful", func(id string) error {
				_, err := svc.handleCancel(ctx, &cancelInput{ID: id})
				return err
			}, "cancelled", int64(7)),
			Entry("because it is over", func(id string) error {
				set(id, `end_time = clock_timestamp()`)
				return goOff(svc.onEnd, id)
			}, "expired", int64(100)),
			Entry("because it is over as it gets successful", func(id string) error {
				set(id, `end_time = clock_timestamp()`)
				return goOff(svc.onEnd, id)
			}, "expired", int64(7)),
		)
	})

	Describe("changing one", func() {
		change := func(id string, match string, b updateBody) (campaignResponse, error) {
			return svc.handleUpdate(ctx, &updateInput{httpx.IfMatch{Match: match}, httpx.JSON[updateBody]{Body: b}, id})
		}

		It("gives it other terms, sets its timers anew and says so", func() {
			c := started(ctx, svc, offered(2, 5))
			most, price, start := int64(7), httpx.Decimal("8"), clock.System().Add(10*time.Minute)
			changed, err := change(c.ID, `"1"`, updateBody{MaxParticipants: &most, Price: &price, StartTime: &start})
			Expect(err).NotTo(HaveOccurred())
			Expect(changed).To(And(HaveField("MaxParticipants", int64(7)), HaveField("MinParticipants", int64(2)), HaveField("Price", "8.00"), HaveField("Status", "scheduled")))
			Expect(read(c.ID)).To(Equal(changed))
			Expect(topics(ctx, svc)).To(Equal([]string{"created 1", "updated 2"}))
			Expect(pending(ctx, svc)).To(Equal([]string{"groupbuy.end", "groupbuy.start"}))
			Expect(why(change(c.ID, `"1"`, updateBody{MaxParticipants: &most}))).To(MatchError(httpx.IfMatch{Match: `"1"`}.Allows(2)))
		})

		It("is refused once somebody has joined", func() {
			c := started(ctx, svc, offered(2, 5))
			Expect(why(joins(ctx, svc, c.ID, "ana", 1))).NotTo(HaveOccurred())
			most, end := int64(7), clock.System().Add(30*time.Minute)
			Expect(why(change(c.ID, "", updateBody{MaxParticipants: &most}))).To(MatchError(errLocked))
			Expect(why(change(c.ID, "", updateBody{EndTime: &end}))).To(MatchError(errLocked))
			var due time.Time
			Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select due_at from platform.timer where subject = $1`, c.ID).Scan(&due)).To(Succeed())
			Expect(due).To(BeTemporally("==", c.EndTime), "the timer is the old one")
		})

		It("is refused when it is unsound", func() {
			c := started(ctx, svc, offered(2, 5))
			least, price := int64(6), httpx.Decimal("12.50")
			Expect(fault.From(why(change(c.ID, "", updateBody{MinParticipants: &least, Price: &price}))).Fields).To(
				ConsistOf(HaveField("Pointer", "/maxParticipants"), HaveField("Pointer", "/price")))
			price = "1.234"
			Expect(fault.From(why(change(c.ID, "", updateBody{Price: &price}))).Fields).To(ConsistOf(HaveField("Code", "too_many_digits")))
			Expect(read(c.ID)).To(Equal(c.campaignResponse))
		})
	})

	Describe("cancelling one", func() {
		It("says why, once", func() {
			c := started(ctx, svc, offered(2, 5))
			for _, reason := range []string{"the kiln broke", "again"} {
				off, err := svc.handleCancel(ctx, &cancelInput{c.ID, &cancelBody{reason}})
				Expect(err).NotTo(HaveOccurred())
				Expect(off).To(And(HaveField("Status", "cancelled"), HaveField("Reason", "the kiln broke")))
			}
			Expect(of[groupbuyapi.CampaignCancelled](ctx, svc)).To(HaveExactElements(HaveField("Reason", "the kiln broke")))
			Expect(goOff(svc.onEnd, c.ID)).To(Succeed())
			Expect(read(c.ID).Status).To(Equal("cancelled"))
		})

		It("is refused when it was successful", func() {
			c := started(ctx, svc, offered(1, 5))
			Expect(why(joins(ctx, svc, c.ID, "ana", 1))).NotTo(HaveOccurred())
			Expect(why(svc.handleCancel(ctx, &cancelInput{ID: c.ID}))).To(MatchError(errNotCancellable))
		})
	})

	It("find one by its code", func() {
		a, b := started(ctx, svc, offered(1, 5)), started(ctx, svc, offered(1, 5))
		Expect(a.ShareCode).NotTo(Equal(b.ShareCode))
		list, err := svc.handleList(ctx, &listInput{ShareCode: b.ShareCode, Sort: "-createdAt", Page: httpx.Page{Limit: 20}})
		Expect(err).NotTo(HaveOccurred())
		Expect(list.Data).To(HaveExactElements(b.campaignResponse))
	})
})

var _ = Describe("the timers of campaigns", Label("db"), func() {
	// A database of their own: they run for all merchants in it.
	It("begin and end each in time, and ask for the orders of those that were successful", func() {
		d := testkit.NewDatabase()
		shop := testkit.NewTenant(d)
		ctx := testkit.As(shop)
		pool := testkit.Open(d.App)
		log := event.NewLog()
		log.Check = contract().Check
		svc := &service{db: pool, events: log, timers: timer.New(testkit.Open(d.App), testkit.Log()), offers: assortment(), feeds: newFeeds(pool)}
		svc.timers.On(timerStart, svc.onStart)
		svc.timers.On(timerEnd, svc.onEnd)
		svc.timers.On(timerOrder, svc.onOrder)
		running, stop := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- svc.timers.Run(running) }()
		DeferCleanup(func() {
			stop()
			Eventually(done, testkit.Patience).Should(Receive(BeNil()))
		})
		status := func(id string) func() string {
			return func() string {
				c, err := svc.handleGet(ctx, &byID{id})
				Expect(err).NotTo(HaveOccurred())
				return c.Status
			}
		}

		b := offered(2, 5)
		b.StartTime, b.EndTime = clock.System().Add(200*time.Millisecond), clock.System().Add(time.Hour)
		later := started(ctx, svc, b)
		b = offered(2, 5)
		b.EndTime = clock.System().Add(500 * time.Millisecond)
		short, good := started(ctx, svc, b), started(ctx, svc, b)
		for _, user := range []string{"ana", "ben"} {
			Expect(why(joins(ctx, svc, good.ID, user, 1))).NotTo(HaveOccurred())
		}
		Eventually(status(later.ID), testkit.Patience, "10ms").Should(Equal("active"))
		Eventually(status(short.ID), testkit.Patience, "10ms").Should(Equal("expired"))
		Eventually(func() []string { return pending(ctx, svc) }, testkit.Patience, "10ms").Should(Equal([]string{"groupbuy.end"}))
		Expect(status(good.ID)()).To(Equal("successful"))
		due := of[groupbuyapi.OrderDue](ctx, svc)
		Expect(due).To(HaveLen(2))
		slices.SortFunc(due, func(a, b groupbuyapi.OrderDue) int { return int(a.UserID[0]) - int(b.UserID[0]) })
		Expect(due).To(HaveExactElements(HaveField("UserID", "ana"), HaveField("UserID", "ben")))
		Expect(of[groupbuyapi.CampaignExpired](ctx, svc)).To(HaveExactElements(HaveField("ID", short.ID)))
		Expect(of[groupbuyapi.CampaignUpdated](ctx, svc)).To(HaveExactElements(And(HaveField("ID", later.ID), HaveField("Status", "active"))))
		Expect(why(joins(ctx, svc, good.ID, "late", 1))).To(MatchError(errNotActive))
	})
})
