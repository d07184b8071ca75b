package catalog

import (
	"maps"
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
	mu    sync.RWMutex
	hears bool
	shops map[uuid.UUID]*shop
}

type shop struct {
	// generation counts the changes. What was read before one is not kept after it.
	generation uint64
	pages      map[string]httpx.Rendered
	bytes      int
	offers     map[string]catalogapi.Offer
}

const (
	maxPageBytes = 8 << 20 // of one merchant
	maxOffers    = 20_000  // of one merchant
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
		clear(s.pages)
		clear(s.offers)
		s.bytes = 0
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

func (c *cache) keepPage(tenant uuid.UUID, generation uint64, key string, r httpx.Rendered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shops[tenant]
	if !c.hears || s.generation != generation {
		return
	}
	if s.bytes += len(key) + len(r.JSON); s.bytes > maxPageBytes {
		clear(s.pages)
		s.bytes = len(key) + len(r.JSON)
	}
	s.pages[key] = r
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
	if len(s.offers)+len(offers) > maxOffers {
		clear(s.offers)
	}
	maps.Copy(s.offers, offers)
}
