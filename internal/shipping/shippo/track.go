package shippo

import (
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// track is the part of Shippo's that we read.
type track struct {
	Carrier         string     `json:"carrier"`
	TrackingNumber  string     `json:"tracking_number"`
	Transaction     string     `json:"transaction"`
	ETA             *time.Time `json:"eta"`
	TrackingStatus  *scan      `json:"tracking_status"`
	TrackingHistory []scan     `json:"tracking_history"`
}

type scan struct {
	Status        string    `json:"status"`
	StatusDetails string    `json:"status_details"`
	StatusDate    time.Time `json:"status_date"`
	Substatus     *struct {
		Code           string `json:"code"`
		ActionRequired bool   `json:"action_required"`
	} `json:"substatus"`
	Location struct {
		City    string `json:"city"`
		State   string `json:"state"`
		Country string `json:"country"`
	} `json:"location"`
}

// tracking of a parcel: its history, and where it stands, which is mostly the last of it.
func (t track) tracking() carrier.Tracking {
	said := carrier.Tracking{EstimatedDelivery: t.ETA}
	for _, s := range t.TrackingHistory {
		said.Events = append(said.Events, s.event())
	}
	if t.TrackingStatus != nil && t.TrackingStatus.status() != carrier.Unknown {
		said.Events = append(said.Events, t.TrackingStatus.event())
	}
	return carrier.Merge(carrier.Tracking{}, said)
}

func (s scan) event() carrier.Event {
	var place []string
	for _, part := range []string{s.Location.City, s.Location.State, s.Location.Country} {
		if part != "" {
			place = append(place, part)
		}
	}
	return carrier.Event{Status: s.status(), Description: s.StatusDetails, Place: strings.Join(place, ", "), At: s.StatusDate}
}

// status in our words: https://docs.goshippo.com/docs/tracking/tracking
func (s scan) status() carrier.Status {
	code, action := "", false
	if s.Substatus != nil {
		code, action = s.Substatus.Code, s.Substatus.ActionRequired
	}
	switch s.Status {
	case "PRE_TRANSIT":
		return carrier.PreTransit
	case "TRANSIT":
		return onItsWay(code, action)
	case "DELIVERED":
		return carrier.Delivered
	case "RETURNED":
		return carrier.ReturnToSender
	case "FAILURE":
		if code == "package_lost" || code == "package_disposed" {
			return carrier.Lost
		}
		return carrier.Exception
	}
	return carrier.Unknown
}

func onItsWay(code string, action bool) carrier.Status {
	switch code {
	case "out_for_delivery":
		return carrier.OutForDelivery
	case "pickup_available":
		return carrier.AvailableForPickup
	case "address_issue", "contact_carrier", "delivery_attempted", "location_inaccessible", "notice_left", "package_damaged", "package_held":
		return carrier.Exception
	}
	if action {
		return carrier.Exception
	}
	return carrier.InTransit
}
