package shipping

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

type service struct {
	db     *db.DB
	events *event.Log
	timers *timer.Timers
	log    *slog.Logger
	vault  *vault.Vault
	offers Offers
	orders Orders
	// carriers of this program, by their names.
	carriers map[string]carrier.Carrier
	patience time.Duration // with a call
	settling time.Duration
	known    *known
	now      clock.Clock
	store    store
}

func (s *service) create(ctx context.Context, tx *db.Tx, m method) (method, error) {
	if err := s.changes(ctx, tx); err != nil {
		return method{}, err
	}
	if err := s.store.hasZones(ctx, tx, m.Prices); err != nil {
		return method{}, err
	}
	m.ID, m.Version, m.CreatedAt, m.UpdatedAt = clock.NewID(), 1, tx.Now, tx.Now
	return m, s.store.insert(ctx, tx, m)
}

// update changes a method if it still is the version that the caller means.
func (s *service) update(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch, change func(*method)) (method, error) {
	if err := s.changes(ctx, tx); err != nil {
		return method{}, err
	}
	m, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return method{}, err
	}
	audit.Before(ctx, present(m))
	if err := match.Allows(m.Version); err != nil {
		return method{}, err
	}
	change(&m)
	if err := s.store.hasZones(ctx, tx, m.Prices); err != nil {
		return method{}, err
	}
	m.Version++
	m.UpdatedAt = tx.Now
	return m, s.store.save(ctx, tx, m)
}

func (s *service) remove(ctx context.Context, tx *db.Tx, id uuid.UUID, match httpx.IfMatch) error {
	if err := s.changes(ctx, tx); err != nil {
		return err
	}
	m, err := s.store.lock(ctx, tx, id)
	if err != nil {
		return err
	}
	audit.Before(ctx, present(m))
	if err := match.Allows(m.Version); err != nil {
		return err
	}
	return s.store.remove(ctx, tx, id)
}

// changes keeps what is remembered from contradicting what the transaction does.
func (s *service) changes(ctx context.Context, tx *db.Tx) error {
	id, err := identity.From(ctx)
	if err == nil {
		tx.AtEnd(s.known.change(id.Tenant))
	}
	return err
}

func (s *service) get(ctx context.Context, id uuid.UUID) (m method, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		m, err = s.store.find(ctx, tx, id)
		return err
	})
	return m, err
}

func (s *service) list(ctx context.Context) (methods []method, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		methods, err = s.store.all(ctx, tx)
		return err
	})
	return methods, err
}

// ways of the shop, from memory for a moment.
func (s *service) ways(ctx context.Context) (ways, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return ways{}, err
	}
	found, err := s.known.ways(ctx, id.Tenant, func(ctx context.Context) (w ways, err error) {
		err = s.db.Read(ctx, func(tx *db.Tx) error {
			w, err = s.store.ways(ctx, tx)
			return err
		})
		return w, err
	})
	if err != nil {
		return ways{}, fmt.Errorf("ways to send: %w", err)
	}
	return found, nil
}

func (s *service) rates(ctx context.Context, p shippingapi.Parcel) (shippingapi.Rates, error) {
	found, err := s.ways(ctx)
	if err != nil {
		return shippingapi.Rates{}, err
	}
	return ratesOf(found, p), nil
}

func (s *service) sends(ctx context.Context) (bool, error) {
	found, err := s.ways(ctx)
	return slices.ContainsFunc(found.methods, func(m method) bool { return m.Active }), err
}

// worth is what goods cost in a currency, and what they are like.
func (s *service) worth(ctx context.Context, items []itemBody, c money.Currency) (sum money.Amount, goods []shippingapi.Goods, err error) {
	skus := make([]string, len(items))
	for i, it := range items {
		skus[i] = it.SKU
	}
	offers, err := s.offers.Offers(ctx, skus)
	if err != nil {
		return sum, nil, fmt.Errorf("price the goods: %w", err)
	}
	sum.Currency = c
	var unknown, mismatched []fault.Field
	for i, it := range items {
		pointer := fmt.Sprintf("/items/%d/sku", i)
		offer, ok := offers[it.SKU]
		if !ok {
			unknown = append(unknown, fault.Field{Pointer: pointer, Code: errUnknownSKU.Code, Detail: it.SKU + " is not for sale"})
			continue
		}
		price, ok := offer.In(c)
		if !ok {
			mismatched = append(mismatched, fault.Field{Pointer: pointer, Code: errCurrencyMismatch.Code, Detail: fmt.Sprintf("%s has no price in %s", it.SKU, c)})
			continue
		}
		total, err := price.Mul(it.Quantity)
		if err == nil {
			sum, err = sum.Add(total)
		}
		if err != nil {
			return sum, nil, errAmountRange.At(pointer, errAmountRange.Code, "is worth more than can be counted")
		}
		goods = append(goods, shippingapi.Goods{
			SKU: it.SKU, TaxClass: offer.TaxClass, Quantity: it.Quantity, Grams: offer.Measures.Grams, Length: offer.Measures.Length, Width: offer.Measures.Width, Height: offer.Measures.Height,
		})
	}
	switch {
	case len(unknown) > 0:
		return sum, nil, errUnknownSKU.AtFields(unknown...)
	case len(mismatched) > 0:
		return sum, nil, errCurrencyMismatch.AtFields(mismatched...)
	}
	return sum, goods, nil
}
