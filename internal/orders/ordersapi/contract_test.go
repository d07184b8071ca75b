package ordersapi_test

import (
	"time"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

func order(status string) ordersapi.Order {
	return ordersapi.Order{
		OrderID: "019cebb3-07c2-7d45-8f19-e46a0b93d5c1", Number: 1, CustomerID: "ana", Status: status,
		Items: []ordersapi.Item{{SKU: "TEA-SENCHA-100", Quantity: 2, Price: "1500"}},
		Total: "3000", Currency: "JPY", Version: 1, CreatedAt: time.Date(2026, time.April, 1, 8, 0, 0, 0, time.UTC),
	}
}

var _ = eventspec.Contract("orders", ordersapi.Schemas,
	ordersapi.OrderCreated{Order: order("created")},
	ordersapi.OrderConfirmed{Order: order("confirmed")},
	ordersapi.OrderPaid{Order: order("paid")},
	ordersapi.OrderFailed{Order: order("failed"), Reason: "insufficient_stock"},
	ordersapi.OrderClaimed{Order: order("delivered")},
	ordersapi.OrderShipped{Order: order("shipped")},
	ordersapi.OrderDelivered{Order: order("delivered")},
	ordersapi.ItemsCancelled{Order: order("paid"), Cancelled: []ordersapi.CancelledItem{{Line: 1, SKU: "TEA-SENCHA-100", Quantity: 1}}, Amount: "1500", Due: "1500", Reason: "one is broken"},
	ordersapi.OrderEdited{Order: order("paid"), Changed: []string{"shippingAddress"}},
	ordersapi.OrderCancelled{Order: order("cancelled"), Reason: "ordered twice"},
)
