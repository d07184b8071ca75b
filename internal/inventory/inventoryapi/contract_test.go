package inventoryapi_test

import (
	"github.com/fusioncommerce/fusion/internal/inventory/inventoryapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

const (
	order = "019cebb3-07c2-7d45-8f19-e46a0b93d5c1"
	sku   = "TEA-SENCHA-100"
)

var (
	held  = []inventoryapi.Item{{SKU: sku, Quantity: 2}}
	short = []inventoryapi.Short{{SKU: sku, Quantity: 2, Available: 0}}
	level = inventoryapi.Level{SKU: sku, Location: "main", OnHand: 2, Reserved: 2, Available: 0, Version: 1}
)

var _ = eventspec.Contract("inventory", inventoryapi.Schemas,
	inventoryapi.Reserved{OrderID: order, Status: "reserved", SKU: sku, Quantity: 2, Items: held},
	inventoryapi.Insufficient{OrderID: order, Status: "insufficient", SKU: sku, Quantity: 2, Items: short},
	inventoryapi.Released{OrderID: order, Status: "released", Items: held},
	inventoryapi.Reduced{OrderID: order, Status: "reduced", Items: held},
	inventoryapi.Adjusted{Level: level, Delta: -1, Reason: "count"},
	inventoryapi.LowStock{Level: level, Threshold: 0},
)
