package pricing

import (
	"sync"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/pricing/calc"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// rules are all that prices of a shop depend on, ready to compute with.
type rules struct {
	settings  settings
	rates     calc.Rates
	automatic []*calc.Discount
	discounts map[uuid.UUID]rule
	counted   []*calc.Discount // automatic ones whose price depends on what was used before
}

// countedFor are those of counted that the basket may have.
func (r *rules) countedFor(b pricingapi.Basket) []string {
	ids := []string{}
	for _, d := range r.counted {
		if b.FirstOrder || !d.FirstOrder {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// rule is a discount that a basket may have.
type rule struct {
	*calc.Discount
	perBuyer *int64
	limited  bool // it has a budget
	couponed bool // some of its codes are for so many uses
}

// cache keeps the rules of each merchant until one of them changes: they are read for every
// basket and hardly ever change.
//
// Nobody who saw what is new computes with what is old again, as long as the changes are made
// by this process: nothing is kept while one may come true. A change that another replica
// makes is heard of a moment later. A process that does not hear of changes keeps nothing.
type cache struct {
	mu    sync.RWMutex
	hears bool
	shops map[uuid.UUID]*shop
}

type shop struct {
	// generation counts the changes. What was read before one is not kept after it.
	generation uint64
	// changing counts the transactions of this process that are about to change a rule.
	changing int
	rules    *rules
}

func newCache() *cache { return &cache{shops: map[uuid.UUID]*shop{}} }

func (c *cache) shop(tenant uuid.UUID) *shop {
	s, ok := c.shops[tenant]
	if !ok {
		s = &shop{}
		c.shops[tenant] = s
	}
	return s
}

// get returns what is kept, or announces a read: then generation is to be handed to keep.
func (c *cache) get(tenant uuid.UUID) (r *rules, generation uint64) {
	c.mu.RLock()
	if s, ok := c.shops[tenant]; ok && s.rules != nil {
		defer c.mu.RUnlock()
		return s.rules, s.generation
	}
	c.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shop(tenant)
	return s.rules, s.generation
}

func (c *cache) keep(tenant uuid.UUID, generation uint64, r *rules) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.shops[tenant]; c.hears && s.changing == 0 && s.generation == generation {
		s.rules = r
	}
}

// change announces that the merchant's rules may be others from now on, and returns what to
// call when the change has come true or has not.
func (c *cache) change(tenant uuid.UUID) (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.shop(tenant)
	s.changing++
	s.forget()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		s.changing--
		s.forget()
	}
}

func (s *shop) forget() {
	s.generation++
	s.rules = nil
}

// tenants whose rules may be kept.
func (c *cache) tenants() []uuid.UUID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ids := make([]uuid.UUID, 0, len(c.shops))
	for id := range c.shops {
		ids = append(ids, id)
	}
	return ids
}

// drop forgets the rules of a merchant, including what is being read right now.
func (c *cache) drop(tenant uuid.UUID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, ok := c.shops[tenant]; ok {
		s.forget()
	}
}
