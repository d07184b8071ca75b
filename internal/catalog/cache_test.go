package catalog

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// listening is the cache of a process that hears of changes.
func listening() *cache {
	c := newCache()
	c.hears = true
	return c
}

func rendered(size int) httpx.Rendered {
	return httpx.Rendered{JSON: []byte(strings.Repeat("x", size)), Tag: `"1"`}
}

// pageOf is the page that the cache answers with, or nil.
func pageOf(c *cache, tenant uuid.UUID, key string) any {
	if r, ok := c.page(tenant, key); ok {
		return r
	}
	return nil
}

// held counts what a cache really holds.
func held(c *cache) (bytes, offers int) {
	for _, s := range c.shops {
		for key, r := range s.pages {
			bytes += len(key) + len(r.JSON)
		}
		offers += len(s.offers)
	}
	return bytes, offers
}

func offersNamed(format string, n int) map[string]catalogapi.Offer {
	offers := make(map[string]catalogapi.Offer, n)
	for i := range n {
		sku := fmt.Sprintf(format, i)
		offers[sku] = catalogapi.Offer{SKU: sku}
	}
	return offers
}

var _ = Describe("the cache of the catalog", func() {
	var (
		c    *cache
		shop uuid.UUID
	)

	BeforeEach(func() {
		c, shop = listening(), clock.NewID()
	})

	It("answers with what was kept, until the merchant's products change", func() {
		c.keepPage(shop, c.enter(shop), "page", rendered(3))
		c.keepOffers(shop, c.enter(shop), offersNamed("MUG-%d", 2))
		Expect(pageOf(c, shop, "page")).To(Equal(rendered(3)))
		found, missing := c.offersOf(shop, []string{"MUG-0", "GHOST", "MUG-1"})
		Expect(found).To(HaveLen(2))
		Expect(missing).To(Equal([]string{"GHOST"}))

		c.drop(shop)

		Expect(pageOf(c, shop, "page")).To(BeNil())
		found, missing = c.offersOf(shop, []string{"MUG-0"})
		Expect(found).To(BeEmpty())
		Expect(missing).To(Equal([]string{"MUG-0"}))
	})

	It("does not keep what was read before a change", func() {
		generation := c.enter(shop)
		c.drop(shop)
		c.keepPage(shop, generation, "page", rendered(3))
		c.keepOffers(shop, generation, offersNamed("MUG-%d", 1))
		bytes, offers := held(c)
		Expect([]int{bytes, offers}).To(Equal([]int{0, 0}))
	})

	It("keeps nothing while a change may come true, nor what was read meanwhile", func() {
		c.keepPage(shop, c.enter(shop), "page", rendered(3))
		first, second := c.change(shop), c.change(shop)
		Expect(pageOf(c, shop, "page")).To(BeNil())
		first()
		during := c.enter(shop)
		c.keepPage(shop, during, "page", rendered(3))
		c.keepOffers(shop, during, offersNamed("MUG-%d", 1))
		second()
		c.keepPage(shop, during, "page", rendered(3))
		bytes, offers := held(c)
		Expect([]int{bytes, offers}).To(Equal([]int{0, 0}))
		c.keepPage(shop, c.enter(shop), "page", rendered(3))
		Expect(pageOf(c, shop, "page")).To(Equal(rendered(3)))
	})

	It("forgets nothing of other merchants", func() {
		other := clock.NewID()
		c.keepPage(shop, c.enter(shop), "page", rendered(3))
		c.keepPage(other, c.enter(other), "page", rendered(5))
		c.drop(shop)
		Expect(pageOf(c, other, "page")).To(Equal(rendered(5)))
		Expect(c.tenants()).To(ConsistOf(shop, other))
	})

	It("never shows one merchant's pages to another", func() {
		c.keepPage(shop, c.enter(shop), "page", rendered(3))
		Expect(pageOf(c, clock.NewID(), "page")).To(BeNil())
	})

	It("keeps nothing in a process that does not hear of changes", func() {
		c.hears = false
		c.keepPage(shop, c.enter(shop), "page", rendered(3))
		c.keepOffers(shop, c.enter(shop), offersNamed("MUG-%d", 3))
		Expect(pageOf(c, shop, "page")).To(BeNil())
		_, missing := c.offersOf(shop, []string{"MUG-0"})
		Expect(missing).To(HaveLen(1))
	})

	It("never holds more than its bound, however many pages and shops are crawled", func() {
		const size = maxPageBytes / 10
		for i := range 45 {
			tenant := shop
			if i%3 == 0 {
				tenant = clock.NewID()
			}
			c.keepPage(tenant, c.enter(tenant), fmt.Sprint(i), rendered(size))
			bytes, _ := held(c)
			Expect(bytes).To(And(Equal(c.bytes), BeNumerically("<=", maxPageBytes)))
			Expect(pageOf(c, tenant, fmt.Sprint(i))).NotTo(BeNil(), "the newest page is always there")
		}
	})

	It("never holds more offers than its bound", func() {
		for i := range 8 {
			c.keepOffers(shop, c.enter(shop), offersNamed(fmt.Sprintf("SKU-%d-%%d", i), maxOffers/5))
			_, offers := held(c)
			Expect(offers).To(And(Equal(c.offers), BeNumerically("<=", maxOffers)))
		}
	})

	It("leaves aside what alone is beyond its bound", func() {
		c.keepPage(shop, c.enter(shop), "small", rendered(10))
		c.keepPage(shop, c.enter(shop), "huge", rendered(maxPageBytes))
		c.keepOffers(shop, c.enter(shop), offersNamed("SKU-%d", maxOffers+1))
		Expect(pageOf(c, shop, "small")).To(Equal(rendered(10)))
		Expect(pageOf(c, shop, "huge")).To(BeNil())
		Expect(c.offers).To(BeZero())
	})

	It("counts a page once, however many readers rendered it at the same moment", func() {
		generation := c.enter(shop)
		for range 8 {
			c.keepPage(shop, generation, "page", rendered(100))
		}
		Expect(c.bytes).To(Equal(104))
	})

	It("trusts neither of two readers who disagree: a change came between them that it has not heard of", func() {
		generation := c.enter(shop)
		older, newer := rendered(3), httpx.Rendered{JSON: []byte("new"), Tag: `"2"`}
		c.keepPage(shop, generation, "page", older)
		c.keepPage(shop, generation, "other", older)
		c.keepOffers(shop, generation, offersNamed("MUG-%d", 2))
		c.keepPage(shop, generation, "page", newer)
		bytes, offers := held(c)
		Expect([]int{bytes, offers, c.bytes, c.offers}).To(Equal([]int{0, 0, 0, 0}))
		c.keepPage(shop, generation, "page", older)
		Expect(pageOf(c, shop, "page")).To(BeNil(), "what was read before does not come back")
	})

	It("keeps nothing that is older than what a reader was shown whom a change has overtaken", func() {
		older, newer := rendered(3), httpx.Rendered{JSON: []byte("new"), Tag: `"2"`}
		overtaken := c.enter(shop)
		c.drop(shop) // a change of another replica is heard of
		slow := c.enter(shop)
		c.keepPage(shop, overtaken, "page", newer) // the next change has come true meanwhile
		c.keepPage(shop, slow, "page", older)
		Expect(pageOf(c, shop, "page")).To(BeNil())

		overtaken = c.enter(shop)
		c.drop(shop)
		c.keepPage(shop, c.enter(shop), "page", older)
		c.keepPage(shop, overtaken, "page", newer)
		Expect(pageOf(c, shop, "page")).To(BeNil(), "nor if the older one was kept before")

		c.keepPage(shop, c.enter(shop), "page", newer)
		Expect(pageOf(c, shop, "page")).NotTo(BeNil())
	})

	It("trusts no offers when two readers disagree on one", func() {
		generation := c.enter(shop)
		c.keepOffers(shop, generation, offersNamed("MUG-%d", 2))
		c.keepOffers(shop, generation, map[string]catalogapi.Offer{"MUG-1": {SKU: "MUG-1", Prices: []money.Amount{eur(1)}}})
		_, missing := c.offersOf(shop, []string{"MUG-0", "MUG-1"})
		Expect(missing).To(HaveLen(2))
		Expect(c.offers).To(BeZero())

		c.keepOffers(shop, c.enter(shop), offersNamed("MUG-%d", 2))
		c.keepOffers(shop, c.enter(shop), map[string]catalogapi.Offer{"MUG-1": {SKU: "MUG-1", TaxClass: "reduced"}})
		Expect(c.offers).To(BeZero(), "what is taxed otherwise is another offer")
	})

	It("agrees with a plain map after any history, and its counts with what it holds", func() {
		const products = 3
		always(func(t *rapid.T, g Gomega) {
			c := listening()
			tenants := []uuid.UUID{clock.NewID(), clock.NewID()}
			version := map[uuid.UUID]byte{}
			type read struct {
				tenant     uuid.UUID
				key        string
				generation uint64
				body       byte
			}
			var reading []read
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				tenant := rapid.SampledFrom(tenants).Draw(t, "tenant")
				switch rapid.SampledFrom([]string{"begin", "end", "change", "look"}).Draw(t, "step") {
				case "begin":
					key := fmt.Sprint(rapid.IntRange(1, products).Draw(t, "product"))
					reading = append(reading, read{tenant, key, c.enter(tenant), version[tenant]})
				case "end":
					if len(reading) > 0 {
						i := rapid.IntRange(0, len(reading)-1).Draw(t, "which")
						r := reading[i]
						reading = append(reading[:i], reading[i+1:]...)
						c.keepPage(r.tenant, r.generation, r.key, httpx.Rendered{JSON: []byte{r.body}})
						c.keepOffers(r.tenant, r.generation, map[string]catalogapi.Offer{r.key: {SKU: r.key, Name: string(rune('a' + r.body))}})
					}
				case "change":
					version[tenant]++
					c.drop(tenant)
				case "look":
					c.enter(tenant)
				}
				for _, tenant := range tenants {
					if c.shops[tenant] == nil {
						continue
					}
					for key, page := range c.shops[tenant].pages {
						g.Expect(page.JSON).To(Equal([]byte{version[tenant]}), "page %s", key)
					}
					for key, offer := range c.shops[tenant].offers {
						g.Expect(offer.Name).To(Equal(string(rune('a'+version[tenant]))), "offer %s", key)
					}
				}
				bytes, offers := held(c)
				g.Expect([]int{c.bytes, c.offers}).To(Equal([]int{bytes, offers}))
			}
		})
	})
})

var _ = Describe("the key of a page", func() {
	// Whoever adds a parameter to the list and forgets the key hears of it here.
	It("is another one for each parameter", func() {
		keys := map[string]string{listInput{}.key(): "none"}
		for _, f := range reflect.VisibleFields(reflect.TypeFor[listInput]()) {
			if f.Anonymous {
				continue
			}
			var in listInput
			switch v := reflect.ValueOf(&in).Elem().FieldByIndex(f.Index); v.Kind() {
			case reflect.String:
				v.SetString("x")
			case reflect.Int:
				v.SetInt(1)
			default:
				Fail("what does the key say of " + f.Name + "?")
			}
			Expect(keys).NotTo(HaveKey(in.key()), f.Name)
			keys[in.key()] = f.Name
		}
		Expect(keys).To(HaveLen(7))
	})
})
