package catalog

import (
	"cmp"
	"context"
	"slices"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
)

type offersInput struct {
	SKUs     []string `query:"sku,explode" maxItems:"50" doc:"Repeated for each SKU"`
	Products []string `query:"productId,explode" maxItems:"50" doc:"Repeated for each product"`
}

type priceResponse struct {
	Price    string `json:"price" example:"12.50"`
	Currency string `json:"currency" example:"EUR"`
}

type offerResponse struct {
	SKU         string          `json:"sku" example:"MUG-BLUE"`
	ProductID   string          `json:"productId" format:"uuid"`
	Name        string          `json:"name" example:"Blue mug"`
	Prices      []priceResponse `json:"prices" doc:"One a currency; the first is the product's own"`
	TaxClass    string          `json:"taxClass" example:"standard"`
	WeightGrams int64           `json:"weightGrams,omitempty" doc:"Of one, as it is sent; absent when it is not known" example:"350"`
	Dimensions  *dimensions     `json:"dimensions,omitempty" doc:"Of one, as it is sent; absent when they are not known"`
	HSCode      string          `json:"hsCode,omitempty" doc:"Of the Harmonized System" example:"691200"`
	Origin      string          `json:"countryOfOrigin,omitempty" doc:"Where it was made, ISO 3166-1 alpha-2" example:"PT"`
}

type offersResponse struct {
	Data []offerResponse `json:"data" doc:"What is on sale; the others are absent"`
}

func (s *service) handleOffers(ctx context.Context, in *offersInput) (offersResponse, error) {
	offers, err := s.offers(ctx, in.SKUs)
	if err != nil {
		return offersResponse{}, err
	}
	byProduct, err := s.offersByProduct(ctx, in.Products)
	if err != nil {
		return offersResponse{}, err
	}
	for _, o := range byProduct {
		offers[o.SKU] = o
	}
	return presentOffers(offers), nil
}

func presentOffers(offers map[string]catalogapi.Offer) offersResponse {
	out := offersResponse{Data: []offerResponse{}}
	for _, o := range offers {
		r := offerResponse{
			SKU: o.SKU, ProductID: o.ProductID, Name: o.Name, Prices: []priceResponse{}, TaxClass: o.TaxClass, WeightGrams: o.Measures.Grams, Dimensions: presentSides(o.Measures),
			HSCode: o.Customs.HSCode, Origin: o.Customs.Origin,
		}
		for _, p := range o.Prices {
			r.Prices = append(r.Prices, priceResponse{p.Decimal(), string(p.Currency)})
		}
		out.Data = append(out.Data, r)
	}
	slices.SortFunc(out.Data, func(a, b offerResponse) int { return cmp.Compare(a.SKU, b.SKU) })
	return out
}
