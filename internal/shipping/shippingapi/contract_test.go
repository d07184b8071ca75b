package shippingapi_test

import (
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

func shipment(status string) shippingapi.Shipment {
	return shippingapi.Shipment{
		ShipmentID: "019cec11-3a52-7c0e-9d14-6b8f0e27a5c3", OrderID: "019cebb3-07c2-7d45-8f19-e46a0b93d5c1", Status: status, Direction: shippingapi.Outbound,
		Items:   []shippingapi.Item{{Line: 1, SKU: "TEA-SENCHA-100", Quantity: 2}},
		Carrier: "USPS", Service: "Priority", TrackingNumber: "9400111899223197428490", LabelURL: "/v1/shipments/019cec11-3a52-7c0e-9d14-6b8f0e27a5c3/label.pdf",
		TrackingURL: "https://tools.usps.com/go/TrackConfirmAction?tLabels=9400111899223197428490", Version: 1,
	}
}

var _ = eventspec.Contract("shipping", shippingapi.Schemas,
	shippingapi.ShipmentCreated{Shipment: shipment("created")},
	shippingapi.LabelCreated{Shipment: shipment("labelled")},
	shippingapi.ShipmentFailed{Shipment: shipment("failed")},
	shippingapi.ShipmentVoided{Shipment: shipment("voided")},
	shippingapi.ShipmentShipped{Shipment: shipment("in_transit")},
	shippingapi.ShipmentDelivered{Shipment: shipment("delivered")},
	shippingapi.ShipmentException{Shipment: shipment("exception")},
	shippingapi.ShipmentReturned{Shipment: shipment("returned")},
)
