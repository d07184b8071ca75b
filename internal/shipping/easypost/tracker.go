package easypost

import (
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// tracker is the part of EasyPost's that we read.
type tracker struct {
	ID              string     `json:"id"`
	TrackingCode    string     `json:"tracking_code"`
	Carrier         string     `json:"carrier"`
	Status          string     `json:"status"`
	StatusDetail    string     `json:"status_detail"`
	ShipmentID      string     `json:"shipment_id"`
	EstDeliveryDate *time.Time `json:"est_delivery_date"`
	PublicURL       string     `json:"public_url"`
	UpdatedAt       time.Time  `json:"updated_at"`
	TrackingDetails []detail   `json:"tracking_details"`
}

type detail struct {
	Message          string    `json:"message"`
	Status           string    `json:"status"`
	StatusDetail     string    `json:"status_detail"`
	Datetime         time.Time `json:"datetime"`
	TrackingLocation place     `json:"tracking_location"`
}

type place struct {
	City    string `json:"city"`
	State   string `json:"state"`
	Country string `json:"country"`
}

func (p place) String() string {
	var parts []string
	for _, part := range []string{p.City, p.State, p.Country} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// tracking of a tracker. That it stands where none of its details leads is a detail as well.
func (t tracker) tracking() carrier.Tracking {
	said := carrier.Tracking{EstimatedDelivery: t.EstDeliveryDate}
	stands := status(t.Status, t.StatusDetail)
	listed := stands == carrier.Unknown
	for _, d := range t.TrackingDetails {
		s := status(d.Status, d.StatusDetail)
		listed = listed || s == stands
		said.Events = append(said.Events, carrier.Event{Status: s, Description: d.Message, Place: d.TrackingLocation.String(), At: d.Datetime})
	}
	if !listed {
		said.Events = append(said.Events, carrier.Event{Status: stands, At: t.UpdatedAt})
	}
	return carrier.Merge(carrier.Tracking{}, said)
}

// status in our words: https://docs.easypost.com/docs/trackers
func status(word, detail string) carrier.Status {
	switch word {
	case "pre_transit":
		return carrier.PreTransit
	case "in_transit":
		return carrier.InTransit
	case "out_for_delivery":
		return carrier.OutForDelivery
	case "delivered":
		return carrier.Delivered
	case "available_for_pickup":
		return carrier.AvailableForPickup
	case "return_to_sender":
		return carrier.ReturnToSender
	case "cancelled":
		return carrier.Annulled
	case "failure":
		if detail == "lost" || detail == "destroyed" {
			return carrier.Lost
		}
		return carrier.Exception
	}
	return carrier.Unknown
}
