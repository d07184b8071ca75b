package catalog

import (
	"cmp"
	"context"
	"slices"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
)

// offersBody may name as many SKUs as an order has lines.
type offersBody struct {
	SKUs []string `json:"skus" minItems:"1" maxItems:"500"`
}

type offersInput struct{ httpx.JSON[offersBody] }

type priceResponse struct {
	Price    string `json:"price" example:"12.50"`
	Currency string `json:"currency" example:"EUR"`
}

type offerResponse struct {
	SKU       string          `json:"sku" example:"MUG-BLUE"`
	ProductID string          `json:"productId" format:"uuid"`
	Name      string          `json:"name" example:"Blue mug"`
	Prices    []priceResponse `json:"prices" doc:"One a currency; the first is the product's own"`
}

type offersResponse struct {
	Data []offerResponse `json:"data" doc:"What is on sale; the others are absent"`
}

func (s *service) handleOffers(ctx context.Context, in *offersInput) (offersResponse, error) {
	offers, err := s.offers(ctx, in.Body.SKUs)
	if err != nil {
		return offersResponse{}, err
	}
	return presentOffers(offers), nil
}

func presentOffers(offers map[string]catalogapi.Offer) offersResponse {
	out := offersResponse{Data: []offerResponse{}}
	for _, o := range offers {
		r := offerResponse{SKU: o.SKU, ProductID: o.ProductID, Name: o.Name, Prices: []priceResponse{}}
		for _, p := range o.Prices {
			r.Prices = append(r.Prices, priceResponse{p.Decimal(), string(p.Currency)})
		}
		out.Data = append(out.Data, r)
	}
	slices.SortFunc(out.Data, func(a, b offerResponse) int { return cmp.Compare(a.SKU, b.SKU) })
	return out
}
