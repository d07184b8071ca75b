package catalog

import (
	"cmp"
	"context"
	"fmt"
	"maps"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

type service struct {
	db     *db.DB
	events *event.Log
	store  store
	cache  *cache
}

// create stores a product and says how much of it there is to begin with.
func (s *service) create(ctx context.Context, tx *db.Tx, p product, inventory int64) (product, error) {
	p.VariantID, p.Version, p.CreatedAt, p.UpdatedAt = clock.NewID(), 1, tx.Now, tx.Now
	p.Description = clean(p.Description)
	p.TaxClass = cmp.Or(p.TaxClass, standard)
	if err := s.hasRoom(ctx, tx); err != nil {
		return product{}, err
	}
	if err := s.store.insert(ctx, tx, p); err != nil {
		return product{}, err
	}
	return p, s.publish(ctx, tx, catalogapi.ProductCreated{Product: fact(p), Inventory: inventory})
}

// hasRoom refuses a product beyond the shop's quota. Those that are made at the same moment
// do not see each other: a shop may exceed its quota by as many as that.
func (s *service) hasRoom(ctx context.Context, tx *db.Tx) error {
	quota := tenant.Of(ctx).Quotas.Products
	if quota == nil {
		return nil
	}
	n, err := s.store.count(ctx, tx, *quota)
	if err != nil || n < *quota {
		return err
	}
	return tenant.ErrQuota.Saying("The shop has the %d products that it may have; archived ones do not count.", *quota).With("quota", "products")
}

// update changes a product if it still is the version that the caller means. What
// the caller wants may depend on what the product is.
func (s *service) update(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, want func(product) (changes, error)) (product, error) {
	p, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return product{}, err
	}
	audit.Before(ctx, present(p))
	if err := match.Allows(p.Version); err != nil {
		return product{}, err
	}
	c, err := want(p)
	if err != nil {
		return product{}, err
	}
	before := p.Status
	changed, err := p.change(c, tx.Now)
	if err != nil || !changed {
		return p, err
	}
	if before == archived && p.Status != archived {
		if err := s.hasRoom(ctx, tx); err != nil {
			return product{}, err
		}
	}
	if err := s.store.save(ctx, tx, p); err != nil {
		return product{}, err
	}
	if p.Status == archived && before != archived {
		return p, s.publish(ctx, tx, catalogapi.ProductArchived{Product: fact(p)})
	}
	return p, s.publish(ctx, tx, catalogapi.ProductUpdated{Product: fact(p)})
}

// publish records the fact. From here until the transaction is over, nothing is cached
// that the fact may contradict.
func (s *service) publish(ctx context.Context, tx *db.Tx, e event.Event) error {
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	tx.AtEnd(s.cache.change(id.Tenant))
	return s.events.Publish(ctx, tx, e)
}

func (s *service) get(ctx context.Context, id uuid.UUID) (p product, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		p, err = s.store.find(ctx, tx, id)
		return err
	})
	return p, err
}

func (s *service) list(ctx context.Context, f filter) (products []product, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		products, err = s.store.list(ctx, tx, f)
		return err
	})
	return products, err
}

func (s *service) offers(ctx context.Context, skus []string) (map[string]catalogapi.Offer, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	generation := s.cache.enter(id.Tenant)
	found, missing := s.cache.offersOf(id.Tenant, skus)
	if len(missing) == 0 {
		return found, nil
	}
	var fresh map[string]catalogapi.Offer
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		fresh, err = s.store.offers(ctx, tx, missing)
		return err
	}); err != nil {
		return nil, fmt.Errorf("offers: %w", err)
	}
	s.cache.keepOffers(id.Tenant, generation, fresh)
	maps.Copy(found, fresh)
	return found, nil
}

// offersByProduct are the offers of products by their ids. What is no id names nothing.
func (s *service) offersByProduct(ctx context.Context, ids []string) (offers map[string]catalogapi.Offer, err error) {
	var products []string
	for _, text := range ids {
		if id, err := httpx.ID(text); err == nil {
			products = append(products, id.String())
		}
	}
	if len(products) == 0 {
		return map[string]catalogapi.Offer{}, nil
	}
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		offers, err = s.store.offersByProduct(ctx, tx, products)
		return err
	}); err != nil {
		return nil, fmt.Errorf("offers of products: %w", err)
	}
	return offers, nil
}

func fact(p product) catalogapi.Product {
	return catalogapi.Product{
		ProductID: p.ID.String(), SKU: p.SKU, Name: p.Name, Description: p.Description, Price: p.Price.Decimal(), Currency: string(p.Price.Currency),
		Status: string(p.Status), Version: p.Version, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
}
