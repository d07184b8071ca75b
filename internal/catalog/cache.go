package catalog

import (
	"maps"
	"slices"
	"sync"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// cache keeps rendered pages and offers of each merchant until one of the merchant's
// products changes; then all of them go. Products are read thousands of times for
// each time they change, and what is dropped together can never disagree.
//
// Nobody who saw what is new is shown what is old again, as long as the changes are
// made by this process: nothing is kept while one may come true. A change that another
// replica makes is heard of a moment later.
//
// A process that does not hear of changes, because the module is not mounted in it,
// keeps nothing.
type cache struct {
	mu     sync.RWMutex
	hears  bool
	shops  map[uuid.UUID]*shop
	bytes  int // of all pages
	offers int // of all shops
}

type shop struct {
	// generation counts the changes. What was read before one is not kept after it.
	generation uint64
	// changing counts the transactions of this process that are about to change a product.
	changing int
	pages    map[string]httpx.Rendered
	offers   map[string]catalogapi.Offer
	// shown are the tags of what readers were shown in this generation who began in an earlier
	// one: it is not kept, and nothing older may be.
	shown map[string]string
}

const (
	maxPageBytes = 16 << 20
	maxOffers    = 50_000
	maxShown     = 1_000 // of a shop
)

func newCache() *cache { return &cache{shops: map[uuid.UUID]*shop{}} }

// enter announces a read and returns the generation to hand to the keep that follows.
// From here on a change of the merchant's products is heard of.
func (c *cache) enter(tenant uuid.UUID) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shop(tenant).generation
}

func (c *cache) shop(tenant uuid.UUID) *shop {
	s, ok := c.shops[tenant]
	if !ok {
		s = &shop{pages: map[string]httpx.Rendered{}, offers: map[string]catalogapi.Offer{}, shown: map[string]string{}}
		c.shops[tenant] = s
	}
	return s
}

// change announces that the merchant's products may look different from now on, and
// returns what to call when the change has come true or has not. In between readers may
// see either, so nothing is kept.
func (c *cache) change(tenant uuid.UUID) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shop(tenant)
	s.changing++
	c.forget(s)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		s.changing--
		c.forget(s)
	}
}

// tenants whose pages may be cached.
func (c *cache) tenants() []uuid.UUID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ids := make([]uuid.UUID, 0, len(c.shops))
	for id := range c.shops {
		ids = append(ids, id)
	}
	return ids
}

// drop forgets everything of a merchant, including what is being read right now.
func (c *cache) drop(tenant uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.shops[tenant]; ok {
		c.forget(s)
	}
}

func (c *cache) forget(s *shop) {
	s.generation++
	clear(s.shown)
	c.empty(s)
}

func (c *cache) empty(s *shop) {
	for key, r := range s.pages {
		c.bytes -= len(key) + len(r.JSON)
	}
	c.offers -= len(s.offers)
	clear(s.pages)
	clear(s.offers)
}

// full makes room the simple way. It happens to crawlers, not to shoppers.
func (c *cache) full() {
	for _, s := range c.shops {
		c.empty(s)
	}
}

func (c *cache) page(tenant uuid.UUID, key string) (httpx.Rendered, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s, ok := c.shops[tenant]
	if !ok {
		return httpx.Rendered{}, false
	}
	r, ok := s.pages[key]
	return r, ok
}

// keepable tells whether what was read in a generation is still true.
func (c *cache) keepable(s *shop, generation uint64) bool {
	return c.hears && s.changing == 0 && s.generation == generation
}

// keepPage keeps r. When two readers disagree, a change came between them that was not
// heard of yet: neither is trusted.
func (c *cache) keepPage(tenant uuid.UUID, generation uint64, key string, r httpx.Rendered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shops[tenant]
	size := len(key) + len(r.JSON)
	kept, known := s.pages[key]
	shown, seen := s.shown[key]
	switch {
	case !c.hears || s.changing > 0:
	case known && kept.Tag != r.Tag, seen && shown != r.Tag, len(s.shown) == maxShown:
		c.forget(s)
	case s.generation != generation:
		s.shown[key] = r.Tag
	case known || size > maxPageBytes:
	default:
		if c.bytes+size > maxPageBytes {
			c.full()
		}
		c.bytes += size
		s.pages[key] = r
	}
}

// offersOf returns what is known of the SKUs, and the SKUs to look up.
func (c *cache) offersOf(tenant uuid.UUID, skus []string) (found map[string]catalogapi.Offer, missing []string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	found = make(map[string]catalogapi.Offer, len(skus))
	for _, sku := range skus {
		if o, ok := c.shops[tenant].offers[sku]; ok {
			found[sku] = o
		} else {
			missing = append(missing, sku)
		}
	}
	return found, missing
}

func (c *cache) keepOffers(tenant uuid.UUID, generation uint64, offers map[string]catalogapi.Offer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shops[tenant]
	if !c.keepable(s, generation) || len(offers) > maxOffers {
		return
	}
	if c.offers+len(offers) > maxOffers {
		c.full()
	}
	for sku, o := range offers {
		if kept, known := s.offers[sku]; known && (kept.TaxClass != o.TaxClass || kept.Measures != o.Measures || kept.Customs != o.Customs || !slices.Equal(kept.Prices, o.Prices)) {
			c.forget(s)
			return
		}
	}
	c.offers -= len(s.offers)
	maps.Copy(s.offers, offers)
	c.offers += len(s.offers)
}
