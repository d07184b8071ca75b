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
	pages      map[string]httpx.Rendered
	offers     map[string]catalogapi.Offer
}

const (
	maxPageBytes = 16 << 20
	maxOffers    = 50_000
)

func newCache() *cache { return &cache{shops: map[uuid.UUID]*shop{}} }

// enter announces a read and returns the generation to hand to the keep that follows.
// From here on a change of the merchant's products is heard of.
func (c *cache) enter(tenant uuid.UUID) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.shops[tenant]
	if !ok {
		s = &shop{pages: map[string]httpx.Rendered{}, offers: map[string]catalogapi.Offer{}}
		c.shops[tenant] = s
	}
	return s.generation
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
		s.generation++
		c.empty(s)
	}
}

// distrust forgets everything of a merchant when two readers disagree: a change came
// between them that was not heard of yet. Whoever saw what is new must not see again
// what is old.
func (c *cache) distrust(s *shop) {
	s.generation++
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

// keepPage reports whether r may be shown: false when a change has overtaken it.
func (c *cache) keepPage(tenant uuid.UUID, generation uint64, key string, r httpx.Rendered) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shops[tenant]
	if s.generation != generation {
		return false
	}
	size := len(key) + len(r.JSON)
	kept, known := s.pages[key]
	switch {
	case known && kept.Tag != r.Tag:
		c.distrust(s)
	case known || !c.hears || size > maxPageBytes:
	default:
		if c.bytes+size > maxPageBytes {
			c.full()
		}
		c.bytes += size
		s.pages[key] = r
	}
	return true
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
	if !c.hears || s.generation != generation {
		return
	}
	if len(offers) > maxOffers {
		return
	}
	if c.offers+len(offers) > maxOffers {
		c.full()
	}
	for sku, o := range offers {
		if kept, known := s.offers[sku]; known && !slices.Equal(kept.Prices, o.Prices) {
			c.distrust(s)
			return
		}
	}
	c.offers -= len(s.offers)
	maps.Copy(s.offers, offers)
	c.offers += len(s.offers)
}
