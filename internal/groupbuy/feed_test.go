package groupbuy

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// told is an event as a listener got it.
type told struct {
	Version  int64
	Name     string
	Progress progress
}

var _ = Describe("who follows a campaign", Label("db"), func() {
	var (
		d       testkit.Database
		shop    *testkit.Shop
		modules []*Module // of each replica
	)

	replicate := func() *testkit.Shop {
		GinkgoHelper()
		return testkit.Start(d, app.Options{CheckEvent: contract().Check}, func(k app.Kit) []app.Module {
			m := New(k, assortment())
			modules = append(modules, m)
			return []app.Module{m}
		})
	}

	BeforeEach(func() {
		modules = nil
		d = testkit.NewDatabase()
		shop = replicate()
	})

	begins := func(least, most int64) string {
		GinkgoHelper()
		b := offered(least, most)
		r := shop.Post("/v1/campaigns", map[string]any{
			"productId": b.ProductID, "minParticipants": least, "maxParticipants": most, "price": b.Price, "originalPrice": b.OriginalPrice, "startTime": b.StartTime, "endTime": b.EndTime,
		})
		Expect(r.Status).To(Equal(http.StatusCreated), "%s", r.Raw)
		return r.JSON()["id"].(string)
	}
	join := func(id, user string) {
		GinkgoHelper()
		r := shop.Post("/v1/campaigns/"+id+"/join", map[string]any{"userId": user})
		Expect(r.Status).To(Equal(http.StatusOK), "%s", r.Raw)
	}
	// follow listens until hangUp, and gives what is told.
	follow := func(at *testkit.Shop, id string) (heard chan told, hangUp func()) {
		GinkgoHelper()
		ctx, cancel := context.WithCancel(context.Background())
		DeferCleanup(cancel)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.URL+"/v1/campaigns/"+id+"/events", http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		r.Header.Set("Authorization", "Bearer "+shop.Key)
		resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		Expect(err).NotTo(HaveOccurred())
		Expect(resp).To(HaveHTTPStatus(http.StatusOK))
		heard = make(chan told, 1000)
		go func() {
			defer close(heard)
			defer func() { _ = resp.Body.Close() }()
			var e told
			for in := bufio.NewScanner(resp.Body); in.Scan(); {
				switch name, value, _ := strings.Cut(in.Text(), ": "); name {
				case "id":
					e.Version, _ = strconv.ParseInt(value, 10, 64)
				case "event":
					e.Name = value
				case "data":
					if json.Unmarshal([]byte(value), &e.Progress) == nil {
						heard <- e
					}
				}
			}
		}()
		return heard, cancel
	}

	It("hears how it is, then how it goes on, to the end", func() {
		id := begins(2, 5)
		heard, _ := follow(shop, id)
		var first told
		Eventually(heard, testkit.Patience).Should(Receive(&first))
		Expect(first).To(And(HaveField("Version", int64(1)), HaveField("Name", "snapshot"), HaveField("Progress.ID", id), HaveField("Progress.Status", "active"),
			HaveField("Progress.ActualParticipants", int64(0)), HaveField("Progress.MinParticipants", int64(2)), HaveField("Progress.MaxParticipants", int64(5))))
		join(id, "ana")
		Eventually(heard, testkit.Patience).Should(Receive(And(HaveField("Version", int64(2)), HaveField("Name", "campaign"), HaveField("Progress.ActualParticipants", int64(1)), HaveField("Progress.Status", "active"))))
		join(id, "ben")
		Eventually(heard, testkit.Patience).Should(Receive(And(HaveField("Version", int64(4)), HaveField("Progress.ActualParticipants", int64(2)), HaveField("Progress.Status", "successful"))))
		other := begins(2, 5)
		listener, _ := follow(shop, other)
		Eventually(listener, testkit.Patience).Should(Receive(HaveField("Name", "snapshot")))
		Expect(shop.Post("/v1/campaigns/"+other+"/cancel", nil).Status).To(Equal(http.StatusOK))
		Eventually(listener, testkit.Patience).Should(Receive(HaveField("Progress.Status", "cancelled")))
		Expect(heard).NotTo(Receive(), "another campaign")
	})

	It("hears the same from every replica", func() {
		there := replicate()
		id := begins(2, 5)
		heard, _ := follow(there, id)
		Eventually(heard, testkit.Patience).Should(Receive(HaveField("Name", "snapshot")))
		join(id, "ana")
		Eventually(heard, testkit.Patience).Should(Receive(HaveField("Progress.ActualParticipants", int64(1))))
		join(id, "ben")
		Eventually(heard, testkit.Patience).Should(Receive(HaveField("Progress.Status", "successful")))
	})

	It("hears less often than people join, never of the past, and in the end of all", func() {
		const people = 120
		id := begins(50, people)
		heard, _ := follow(shop, id)
		var wg sync.WaitGroup
		for worker := range 12 {
			wg.Go(func() {
				defer GinkgoRecover()
				for i := range people / 12 {
					join(id, fmt.Sprint("user-", worker, "-", i))
				}
			})
		}
		wg.Wait()
		var all []told
		Eventually(func() int64 {
			for {
				select {
				case e := <-heard:
					all = append(all, e)
				default:
					if len(all) == 0 {
						return 0
					}
					return all[len(all)-1].Progress.ActualParticipants
				}
			}
		}, testkit.Patience, "10ms").Should(BeEquivalentTo(people))
		Expect(len(all)).To(BeNumerically("<", people))
		for i := 1; i < len(all); i++ {
			Expect(all[i].Version).To(BeNumerically(">", all[i-1].Version))
			Expect(all[i].Progress.ActualParticipants).To(BeNumerically(">=", all[i-1].Progress.ActualParticipants))
			Expect(all[i].Name).To(Equal("campaign"))
		}
	})

	It("costs nothing any more when everybody has gone", func() {
		id := begins(2, 5)
		svc := modules[0].svc
		_, leaveOne := follow(shop, id)
		heard, leaveTwo := follow(shop, id)
		Expect(svc.feeds.tenants()).To(Equal([]uuid.UUID{shop.Tenant}))
		leaveOne()
		join(id, "ana")
		Eventually(heard, testkit.Patience).Should(Receive(HaveField("Progress.ActualParticipants", int64(1))))
		leaveTwo()
		Eventually(svc.feeds.tenants, testkit.Patience).Should(BeEmpty())
	})

	It("is told when there is no such campaign, and is nobody's audience then", func() {
		r := shop.Get("/v1/campaigns/01a202ac-402d-7613-9fe6-fe75b8e3a3b7/events")
		Expect(r.Status).To(Equal(http.StatusNotFound))
		Expect(r.Code()).To(Equal("not_found"))
		other := testkit.NewTenant(d)
		Expect(shop.With(testkit.Key(shop.App.DB(), other)).Get("/v1/campaigns/" + begins(2, 5) + "/events").Status).To(Equal(http.StatusNotFound))
		Expect(modules[0].svc.feeds.tenants()).To(BeEmpty())
	})

	It("never misses what happens between looking and listening", func() {
		f := newFeeds(testkit.Open(d.App))
		ctx := identity.With(context.Background(), identity.Identity{Tenant: shop.Tenant, Actor: "key:spec"})
		c := campaign{terms: week(), Version: 5, Joined: 3}
		l, leave := f.follow(ctx, shop.Tenant, c.ID)
		defer leave()
		newer := c
		newer.Version, newer.Joined = 6, 4
		f.begin(l, newer) // somebody was faster
		f.begin(l, c)
		Expect(l.events).To(Receive(And(HaveField("Name", "snapshot"), HaveField("ID", "6"), HaveField("Data.ActualParticipants", int64(4)))))
		Expect(l.events).NotTo(Receive())
	})
})
