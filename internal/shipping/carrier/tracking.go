package carrier

import (
	"cmp"
	"slices"
	"time"
)

// Status is where a parcel is, whoever takes it.
type Status string

// Statuses.
const (
	Unknown            Status = "" // nobody has said
	PreTransit         Status = "pre_transit"
	InTransit          Status = "in_transit"
	OutForDelivery     Status = "out_for_delivery"
	Delivered          Status = "delivered"
	AvailableForPickup Status = "available_for_pickup"
	Exception          Status = "exception"
	Lost               Status = "lost"
	ReturnToSender     Status = "return_to_sender"
	Returned           Status = "returned"
	// Annulled is of a parcel whose label was given back before anybody has seen it.
	Annulled Status = "voided"
)

// Statuses are all of them but Unknown.
func Statuses() []Status { return append(way(), aside()...) }

// way is the parcel's, in its order: what was reached once was reached, whatever is heard
// later. Who sees a parcel of a voided label knows better; what goes back is not with the
// buyer, even if they had it.
func way() []Status {
	return []Status{PreTransit, Annulled, InTransit, OutForDelivery, Delivered, ReturnToSender, Returned}
}

// aside is where a parcel waits or is missed. It goes on from there, or it ends.
func aside() []Status { return []Status{AvailableForPickup, Exception, Lost} }

// Known tells whether it is a status of ours.
func (s Status) Known() bool { return slices.Contains(Statuses(), s) }

// reached is how far on its way a parcel is: 0 is nowhere.
func (s Status) reached() int { return slices.Index(way(), s) + 1 }

// Arrived tells whether nothing comes after it but the way back.
func (s Status) Arrived() bool { return s.reached() >= Delivered.reached() }

// Event is something that happened to a parcel.
type Event struct {
	Status      Status
	Description string
	Place       string
	At          time.Time // by the second; zero: nobody has said when
}

// Tracking is what is known of a parcel.
type Tracking struct {
	Status Status
	Events []Event // the newest last
	// EstimatedDelivery is as was said together with the newest event.
	EstimatedDelivery *time.Time
}

// Merge is what is known when both are heard. In which order, and how often, makes no
// difference; what the parcel has reached it has reached for ever.
func Merge(known, told Tracking) Tracking {
	events := slices.SortedFunc(slices.Values(append(known.told(), told.told()...)), Event.compare)
	merged := Tracking{Events: slices.Compact(events)}
	merged.Status = status(merged.Events)
	merged.EstimatedDelivery = estimate(known, told)
	return merged
}

// told are the events of what somebody said. A status that they do not come to was said
// without a time.
func (t Tracking) told() []Event {
	events := make([]Event, len(t.Events), len(t.Events)+1)
	for i, e := range t.Events {
		// Databases and other zones make no other event of it.
		e.At = e.At.UTC().Truncate(time.Second)
		events[i] = e
	}
	if t.Status != Unknown && t.Status != status(events) {
		events = append(events, Event{Status: t.Status})
	}
	return events
}

// status that events come to: how far the parcel has come, unless the last that was heard of
// it on its way is that it waits, or is missed.
func status(events []Event) Status {
	var furthest Status
	var moved time.Time
	var stopped Event
	for _, e := range events {
		switch reached := e.Status.reached(); {
		case reached > 0:
			if reached > furthest.reached() {
				furthest = e.Status
			}
			if e.At.After(moved) {
				moved = e.At
			}
		case e.Status.Known() && (stopped.Status == Unknown || e.later(stopped)):
			stopped = e
		}
	}
	if stopped.Status == Unknown || furthest.Arrived() || stopped.At.Before(moved) {
		return furthest
	}
	return stopped.Status
}

// later orders those that are aside: of the same moment the worse one counts.
func (e Event) later(than Event) bool {
	return e.At.After(than.At) || e.At.Equal(than.At) && slices.Index(aside(), e.Status) > slices.Index(aside(), than.Status)
}

func (e Event) compare(with Event) int {
	return cmp.Or(e.At.Compare(with.At), cmp.Compare(e.Status, with.Status), cmp.Compare(e.Description, with.Description), cmp.Compare(e.Place, with.Place))
}

// estimate of who heard last; of two who heard the same, the later one.
func estimate(known, told Tracking) *time.Time {
	switch last := known.last().Compare(told.last()); {
	case last > 0:
		return inUTC(known.EstimatedDelivery)
	case last < 0:
		return inUTC(told.EstimatedDelivery)
	case known.EstimatedDelivery == nil, told.EstimatedDelivery != nil && told.EstimatedDelivery.After(*known.EstimatedDelivery):
		return inUTC(told.EstimatedDelivery)
	}
	return inUTC(known.EstimatedDelivery)
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC().Truncate(time.Second))
}

// last is when the newest event was.
func (t Tracking) last() (at time.Time) {
	for _, e := range t.Events {
		if e.At.After(at) {
			at = e.At
		}
	}
	return at.UTC().Truncate(time.Second)
}
