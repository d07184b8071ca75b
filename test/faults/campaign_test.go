package faults_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/test/faults/audit"
	"github.com/fusioncommerce/fusion/test/faults/load"
)

// terms of a campaign for SKU-000. It begins and ends so long after now, by the clock of
// the database; it has begun and takes an hour when nothing is said.
type terms struct {
	least, most int
	begin, end  time.Duration
}

// campaign starts one and returns its id.
func (s *shop) campaign(ctx context.Context, t terms) string {
	GinkgoHelper()
	var product string
	var now time.Time
	Expect(s.db.QueryRowContext(ctx, `select product_id::text, clock_timestamp() from catalog.variant where sku = $1`, sku(0)).Scan(&product, &now)).To(Succeed())
	if t.end == 0 {
		t.begin, t.end = -time.Hour, time.Hour
	}
	a, err := s.customers.Ask(ctx, 0, load.Request{Method: http.MethodPost, Path: "/v1/campaigns", Body: map[string]any{
		"productId": product, "minParticipants": t.least, "maxParticipants": t.most, "price": "0.50", "originalPrice": "1.00",
		"startTime": now.Add(t.begin), "endTime": now.Add(t.end),
	}})
	Expect(err).NotTo(HaveOccurred())
	Expect(a.Status).To(Equal(http.StatusCreated), "%s", a.Raw)
	var c struct{ ID string }
	Expect(a.Read(&c)).To(Succeed())
	return c.ID
}

func join(campaign, user string) load.Request {
	return load.Request{Method: http.MethodPost, Path: "/v1/campaigns/" + campaign + "/join", Body: map[string]string{"userId": user}}
}

func calledOff(campaign string) load.Request {
	return load.Request{Method: http.MethodPost, Path: "/v1/campaigns/" + campaign + "/cancel", Body: map[string]string{}}
}

// people who joined.
func (s *shop) people(ctx context.Context, campaign string) map[string]bool {
	GinkgoHelper()
	rows, err := s.db.QueryContext(ctx, `select user_id from groupbuy.participant where campaign_id = $1`, campaign)
	Expect(err).NotTo(HaveOccurred())
	defer func() { Expect(rows.Close()).To(Succeed()) }()
	users := map[string]bool{}
	for rows.Next() {
		var user string
		Expect(rows.Scan(&user)).To(Succeed())
		users[user] = true
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return users
}

// T-11: P11.
var _ = Describe("a campaign", func() {
	It("takes exactly as many as it has room for, each once, and gives each an order", func(ctx SpecContext) {
		const clients = 40
		joins, users, most := sized(600, 6000), sized(400, 4000), sized(100, 1000)
		s := openShop(ctx, clients)
		s.stock(ctx, 1, int64(most))
		id := s.campaign(ctx, terms{least: most / 2, most: most})
		sampler := audit.Every(ctx, sized(100*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })

		began := time.Now()
		c := s.openCrowd(ctx, clients, joins)
		DeferCleanup(c.close)
		for n := range joins {
			c.ask(join(id, fmt.Sprintf("user-%05d", n%users)))
		}
		outcome := map[string]int{}
		for _, a := range c.hear(ctx, joins) {
			if a.OK() {
				outcome["joined"]++
			} else {
				outcome[a.Code()]++
			}
		}
		took := time.Since(began)
		settled := s.settle(ctx, toEnd)
		samples := sampler.Stop()

		deadlocks, err := audit.Deadlocks(ctx, s.db)
		Expect(err).NotTo(HaveOccurred())
		t := &table{title: "T-11 campaign"}
		t.row("joins / users / clients / room", fmt.Sprintf("%d / %d / %d / %d", joins, users, clients, most))
		t.row("joined / full / already joined", fmt.Sprintf("%d / %d / %d", outcome["joined"], outcome["campaign_full"], outcome["already_joined"]))
		t.row("deadlocks", deadlocks)
		t.row(samplesRow, sampled(samples))
		t.row("violations", len(samples.Violations))
		t.row("answers a second", int(float64(joins)/took.Seconds()))
		t.row("last order ended after the last answer", settled)
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, samples)
		Expect(outcome).To(HaveKeyWithValue("joined", most))
		Expect(outcome["joined"] + outcome["campaign_full"] + outcome["already_joined"]).To(Equal(joins))
		Expect(s.people(ctx, id)).To(HaveLen(most))
		Expect(s.count(`select count(*) from platform.event where type = 'group-commerce.campaign.successful'`)).To(Equal(1))
		Expect(s.count(`select count(*) from orders.orders where status = 'confirmed'`)).To(Equal(most))
		Expect(s.count(`select on_hand - reserved from inventory.stock`)).To(BeZero())
		Expect(deadlocks).To(BeZero())
	}, SpecTimeout(sized(2*time.Minute, 5*time.Minute)))

	// Joins knock without a pause from before the beginning until after the end.
	DescribeTable("takes nobody before it begins or when it is over, to the microsecond,", func(ctx SpecContext, least, most int, end string) {
		const clients = 12
		s := openShop(ctx, clients)
		s.stock(ctx, 1, 10_000)
		id := s.campaign(ctx, terms{least: least, most: most, begin: time.Second, end: sized(2500*time.Millisecond, 10*time.Second)})
		sampler := audit.Every(ctx, 100*time.Millisecond, s.db)
		DeferCleanup(func() { sampler.Stop() })
		var (
			mu       sync.Mutex
			joined   = map[string]bool{}
			refused  = map[string]int{}
			everyone sync.WaitGroup
		)
		for client := range clients {
			everyone.Go(func() {
				defer GinkgoRecover()
				over := false
				for n := 0; !over && ctx.Err() == nil; n++ {
					user := fmt.Sprintf("user-%02d-%05d", client, n)
					a, err := s.customers.Ask(ctx, client, join(id, user))
					Expect(err).NotTo(HaveOccurred())
					mu.Lock()
					if a.OK() {
						joined[user] = true
					} else {
						refused[a.Code()]++
					}
					over = a.Code() == "campaign_not_active" && len(joined) > 0
					mu.Unlock()
				}
			})
		}
		everyone.Wait()
		s.settle(ctx, toEnd)
		s.mustBeSound(ctx, sampler.Stop())
		Expect(s.people(ctx, id)).To(Equal(joined))
		Expect(joined).NotTo(BeEmpty())
		Expect(refused["campaign_not_active"]).To(BeNumerically(">", clients), "before and after")
		Expect(s.count(`select count(*) from groupbuy.campaign where status = $1`, end)).To(Equal(1))
		Expect(s.count(`select count(*) from platform.timer`)).To(BeZero())
	},
		Entry("and ends without success when too few came", 900_000, 1_000_000, "expired", SpecTimeout(2*time.Minute)),
		Entry("and stays successful when enough came", 20, 1_000_000, "successful", SpecTimeout(2*time.Minute)),
	)

	It("loses nobody and takes nobody twice when the program is killed, also while it closes", func(ctx SpecContext) {
		const clients = 16
		joins, kills := sized(400, 6000), sized(3, 20)
		s := openShop(ctx, clients)
		s.stock(ctx, 1, 100_000)
		// One is filled, one gets successful on the way, and one is over in the middle of it.
		ids := []string{
			s.campaign(ctx, terms{least: 20, most: 40}), s.campaign(ctx, terms{least: joins / 6, most: 1_000_000}),
			s.campaign(ctx, terms{least: 1_000_000, most: 1_000_000, begin: -time.Hour, end: sized(1500*time.Millisecond, 10*time.Second)}),
		}
		sampler := audit.Every(ctx, sized(100*time.Millisecond, 500*time.Millisecond), s.db)
		DeferCleanup(func() { sampler.Stop() })

		c := s.openCrowd(ctx, clients, joins)
		DeferCleanup(c.close)
		broken := make(chan struct{})
		go func() {
			defer GinkgoRecover()
			defer close(broken)
			for range kills {
				pass(ctx, between(s.rng, 200*time.Millisecond, 700*time.Millisecond))
				s.history.Note("kill -9")
				Expect(s.Kill()).To(Succeed())
				Expect(s.Start(ctx)).To(Succeed())
			}
		}()
		asked := make([]load.Request, joins)
		for n := range joins {
			asked[n] = join(ids[n%len(ids)], fmt.Sprintf("user-%05d", n/len(ids)))
			asked[n].Key = fmt.Sprintf("join-%05d", n)
			c.ask(asked[n])
		}
		joined := map[string]map[string]bool{}
		for _, id := range ids {
			joined[id] = map[string]bool{}
		}
		campaignOf := map[string]int{}
		for n := range joins {
			campaignOf[asked[n].Key] = n
		}
		for _, a := range c.hear(ctx, joins) {
			n := campaignOf[a.Request.Key]
			if a.OK() {
				joined[ids[n%len(ids)]][fmt.Sprintf("user-%05d", n/len(ids))] = true
			} else {
				Expect(a.Code()).To(BeElementOf("campaign_full", "campaign_not_active"))
			}
		}
		Eventually(ctx, broken).WithTimeout(toEnd).Should(BeClosed())
		Eventually(func() int { return s.count(`select count(*) from groupbuy.campaign where status = 'expired'`) }).
			WithContext(ctx).WithTimeout(toEnd).WithPolling(20 * time.Millisecond).Should(Equal(1))
		s.settle(ctx, toEnd)
		samples := sampler.Stop()

		t := &table{title: "T-11 campaigns and kill -9"}
		t.row("joins / clients", fmt.Sprintf("%d / %d", joins, clients))
		t.row("kills", s.Faults().Kills)
		t.row("joined, of 3 campaigns", fmt.Sprintf("%d, %d, %d", len(joined[ids[0]]), len(joined[ids[1]]), len(joined[ids[2]])))
		t.row("unknown outcomes, asked again", s.history.Unknown())
		t.row("answers given again", s.history.Replays())
		t.row(samplesRow, sampled(samples))
		t.row("violations", len(samples.Violations))
		t.row("seed", GinkgoRandomSeed())
		t.report()

		s.mustBeSound(ctx, samples)
		for _, id := range ids {
			Expect(s.people(ctx, id)).To(Equal(joined[id]))
		}
		Expect(joined[ids[0]]).To(HaveLen(40))
		Expect(s.count(`select count(*) from groupbuy.campaign where status = 'successful'`)).To(Equal(2))
		Expect(s.count(`select count(*) from orders.orders`)).To(Equal(len(joined[ids[0]]) + len(joined[ids[1]])))
	}, SpecTimeout(sized(2*time.Minute, 10*time.Minute)))
})
