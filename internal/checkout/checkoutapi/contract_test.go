package checkoutapi_test

import (
	"github.com/fusioncommerce/fusion/internal/checkout/checkoutapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

var _ = eventspec.Contract("checkout", checkoutapi.Schemas,
	checkoutapi.CartAbandoned{
		CartID: "019cebb3-07c2-7d45-8f19-e46a0b93d5c1", Currency: "JPY",
		Items: []checkoutapi.Item{{SKU: "TEA-SENCHA-100", Quantity: 2, Price: "1500"}}, Version: 1,
	},
)
