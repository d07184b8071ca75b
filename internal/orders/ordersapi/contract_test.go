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

func back(status string, received int64) ordersapi.Return {
	return ordersapi.Return{
		ReturnID: "019cec20-5b1e-7a34-9c07-2d4e6f8091a3", OrderID: "019cebb3-07c2-7d45-8f19-e46a0b93d5c1", CustomerID: "ana", Status: status,
		Items:    []ordersapi.ReturnedItem{{Line: 1, SKU: "TEA-SENCHA-100", Quantity: 1, Reason: "unwanted", Received: received, Restocked: received}},
		Currency: "JPY", Version: 1,
	}
}

var _ = eventspec.Contract("orders", ordersapi.Schemas,
	ordersapi.OrderCreated{Order: order("created")},
	ordersapi.OrderConfirmed{Order: order("confirmed")},
	ordersapi.OrderPaid{Order: order("paid")},
	ordersapi.OrderFailed{Order: order("failed"), Reason: "insufficient_stock"},
	ordersapi.OrderClaimed{Order: order("delivered")},
	ordersapi.OrderHeld{Order: order("paid"), HeldFor: "staff"},
	ordersapi.OrderReleased{Order: order("paid")},
	ordersapi.OrderShipped{Order: order("shipped")},
	ordersapi.OrderDelivered{Order: order("delivered")},
	ordersapi.ItemsCancelled{Order: order("paid"), Cancelled: []ordersapi.CancelledItem{{Line: 1, SKU: "TEA-SENCHA-100", Quantity: 1}}, CalledOff: []ordersapi.CalledOff{{SKU: "TEA-SENCHA-100", Quantity: 1}}, Amount: "1500", Due: "1500", Reason: "one is broken"},
	ordersapi.ParcelBack{Order: order("paid"), ShipmentID: "019cec11-3a52-7c0e-9d14-6b8f0e27a5c3", Contents: []ordersapi.UnpackedItem{{Line: 1, SKU: "TEA-SENCHA-100", Quantity: 2, Restocked: 1}}},
	ordersapi.ReturnRequested{Return: back("requested", 0)},
	ordersapi.ReturnApproved{Return: back("approved", 0)},
	ordersapi.ReturnRejected{Return: back("rejected", 0)},
	ordersapi.ReturnCancelled{Return: back("cancelled", 0)},
	ordersapi.ReturnReceived{Return: back("received", 1), Refund: "1350", Fee: "150", ShippingRefund: "0", Due: "1650"},
	ordersapi.OrderEdited{Order: order("paid"), Changed: []string{"shippingAddress"}},
	ordersapi.OrderCancelled{Order: order("cancelled"), Reason: "ordered twice"},
)
