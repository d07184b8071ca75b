package catalogapi_test

import (
	"time"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

func product(status string) catalogapi.Product {
	return catalogapi.Product{
		ProductID: "019cebab-8995-7b1c-a3e0-5d9f41c27b68", SKU: "TEA-SENCHA-100", Name: "Sencha, 100 g",
		Price: "1500", Currency: "JPY", Status: status, Version: 1,
		CreatedAt: time.Date(2026, time.April, 1, 8, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, time.April, 1, 8, 0, 0, 123456000, time.UTC),
	}
}

var _ = eventspec.Contract("catalog", catalogapi.Schemas,
	catalogapi.ProductCreated{Product: product("draft"), Inventory: 0},
	catalogapi.ProductUpdated{Product: product("active")},
	catalogapi.ProductArchived{Product: product("archived")},
)
