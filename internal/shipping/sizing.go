package shipping

import (
	"context"
	"errors"
	"fmt"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/pack"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// maxGrams is what a parcel weighs at most; so the API says too.
const maxGrams = 1_000_000

var errTooHeavy = fault.New(fault.Conflict, "parcel_too_heavy", "What is in the parcel weighs more than a parcel can: make several.")

// unmeasured undoes the transaction of a parcel that nobody has weighed, so that the catalog
// can be asked, outside of it, what the things in it are like.
type unmeasured struct{ skus []string }

func (unmeasured) Error() string { return "what is in the parcel is to be measured" }

// measured makes a parcel, if need be after it has asked what the things in it are like.
func measured[T any](ctx context.Context, s *service, w wanted, do func(wanted) (T, error)) (T, error) {
	out, err := do(w)
	unknown := new(unmeasured)
	if !errors.As(err, unknown) {
		return out, err
	}
	offers, err := s.offers.Offers(ctx, unknown.skus)
	if err != nil {
		return out, fmt.Errorf("measure what is sent: %w", err)
	}
	w.Measures = make(map[string]catalogapi.Measures, len(offers))
	for sku, o := range offers {
		w.Measures[sku] = o.Measures
	}
	return do(w)
}

// sized is the size of a parcel. One that nobody has weighed weighs what is in it, with the
// box that it goes into; of what goes into several boxes there is only the weight.
func (s *service) sized(ctx context.Context, tx *db.Tx, w wanted, items []packed, how settings) (carrier.Parcel, error) {
	if w.Size.Grams > 0 {
		return w.Size, nil
	}
	if w.Measures == nil {
		var u unmeasured
		for _, i := range items {
			u.skus = append(u.skus, i.SKU)
		}
		return w.Size, u
	}
	boxes, err := s.store.boxes(ctx, tx)
	if err != nil {
		return w.Size, err
	}
	var goods []shippingapi.Goods
	for _, i := range items {
		m := w.Measures[i.SKU]
		goods = append(goods, shippingapi.Goods{SKU: i.SKU, Quantity: i.Quantity, Grams: m.Grams, Length: m.Length, Width: m.Width, Height: m.Height})
	}
	parcels := pack.Pack(ways{grams: how.Grams}.packable(goods), boxes, pack.Limit{})
	size := w.Size
	for _, p := range parcels {
		size.Grams += p.Grams * p.Count
	}
	if size.Grams > maxGrams {
		return w.Size, errTooHeavy.Saying("What is in the parcel weighs %d g, and a parcel at most %d g: make several.", size.Grams, maxGrams)
	}
	if len(parcels) == 1 && parcels[0].Count == 1 && size.Length == 0 && size.Width == 0 && size.Height == 0 {
		size.Length, size.Width, size.Height = parcels[0].Length, parcels[0].Width, parcels[0].Height
	}
	return size, nil
}
