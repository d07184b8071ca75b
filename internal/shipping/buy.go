package shipping

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/shippingapi"
)

// Errands of shipments; their subjects are the shipments' ids.
const (
	buyLabel    = "shipping.buy-label"
	voidLabel   = "shipping.void-label"
	trackParcel = "shipping.track-parcel"
)

// Why there is no label, when no carrier has said so.
const (
	codeKeyRefused  = "key_refused"
	codeNoOffer     = "no_offer"
	codeUnavailable = "carrier_unavailable"
	codeNoAddress   = "no_address"
	codeVoidRefused = "void_rejected"
)

const (
	// callTimeout is what a carrier has for one call of an errand, which makes two.
	callTimeout = 8 * time.Second
	// unofferedFor is how long offers are asked for that do not come. Nothing is bought meanwhile.
	unofferedFor = 24 * time.Hour
	// documentTries is how often the paper of a label is asked for. Then we draw one.
	documentTries = 12
	longestPause  = 5 * time.Minute
)

// pause before an errand is run again.
func pause(attempt int) time.Duration { return min(longestPause, time.Second<<min(attempt, 10)) }

var errNotFailed = fault.New(fault.Conflict, "shipment_not_failed", "The shipment has not failed.")

// buying is a shipment with the purchase of its label.
type buying struct {
	shipment shipment
	purchase purchase
	account  account
}

func (s *service) buying(ctx context.Context, id uuid.UUID) (b buying, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if b.shipment, err = s.store.findShipment(ctx, tx, id); err != nil {
			return err
		}
		if b.purchase, err = s.store.purchase(ctx, tx, id); err != nil {
			return err
		}
		b.account, err = s.store.account(ctx, tx, b.purchase.AccountID)
		return err
	})
	return b, err
}

// buy is the errand that goes on with the purchase of a label, wherever it was left: whoever ran
// it before may have died at any point. What may have been bought is looked for, and bought anew
// only when it is certain that it was not.
func (s *service) buy(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("label to buy: %w", err)
	}
	b, err := s.buying(ctx, id)
	if err != nil {
		return 0, err
	}
	switch {
	case b.purchase.Document == documentAwaited:
		return s.fetchDocument(ctx, b, n)
	case b.shipment.Label != labelWanted && (b.shipment.Label != labelVoiding || b.purchase.Reference != ""):
		return 0, nil
	}
	c, opened, err := s.opened(ctx, b.account)
	if err != nil {
		return 0, err
	}
	if b.purchase.AskedAt == nil {
		if again, err := s.choose(ctx, &b, c, opened, n); err != nil || b.purchase.Rate == nil {
			return again, err
		}
	} else {
		l, err := s.called(ctx, func(ctx context.Context) (carrier.Label, error) {
			return c.Find(ctx, opened, b.purchase.Key.String(), *b.purchase.Rate)
		})
		switch {
		case err == nil || errors.Is(err, carrier.ErrNoDocument):
			return 0, s.bought(ctx, b, l)
		case !errors.Is(err, carrier.ErrNoLabel):
			s.log.WarnContext(ctx, "a carrier does not say whether a label was bought", "shipment", id, "err", err)
			return pause(n), nil
		case s.now().Sub(*b.purchase.AskedAt) < s.settling:
			return pause(n), nil
		case b.shipment.Label == labelVoiding:
			return 0, s.refused(ctx, b, &carrier.Declined{Code: codeUnavailable})
		}
	}
	if ok, err := s.claim(ctx, &b); err != nil || !ok {
		return pause(n), err
	}
	l, err := s.called(ctx, func(ctx context.Context) (carrier.Label, error) {
		return c.Buy(ctx, opened, b.purchase.Key.String(), *b.purchase.Rate, carrier.Format(b.account.Format))
	})
	no, declined := errors.AsType[*carrier.Declined](err)
	switch {
	case err == nil || errors.Is(err, carrier.ErrNoDocument):
		return 0, s.bought(ctx, b, l)
	case declined:
		return 0, s.refused(ctx, b, no)
	case errors.Is(err, carrier.ErrKeyRefused):
		return 0, s.refused(ctx, b, &carrier.Declined{Code: codeKeyRefused})
	}
	s.log.WarnContext(ctx, "a carrier does not say whether a label was bought", "shipment", id, "err", err)
	return pause(n), nil
}

// called asks a carrier for as long as there is patience with it.
func (s *service) called(ctx context.Context, ask func(context.Context) (carrier.Label, error)) (carrier.Label, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return ask(ctx)
}

// choose asks for offers and takes one. Without any the purchase has no rate afterwards.
func (s *service) choose(ctx context.Context, b *buying, c carrier.Carrier, opened carrier.Account, n int) (time.Duration, error) {
	if b.purchase.Rate != nil {
		return 0, nil
	}
	if b.shipment.Recipient == nil {
		return 0, s.refused(ctx, *b, &carrier.Declined{Code: codeNoAddress})
	}
	offers, err := s.rated(ctx, c, opened, &b.shipment, b.shipment.consignment(b.purchase.Key, b.account))
	no, declined := errors.AsType[*carrier.Declined](err)
	switch {
	case declined:
		return 0, s.refused(ctx, *b, no)
	case errors.Is(err, carrier.ErrKeyRefused):
		return 0, s.refused(ctx, *b, &carrier.Declined{Code: codeKeyRefused})
	case err != nil && s.now().Sub(b.purchase.CreatedAt) > unofferedFor:
		return 0, s.refused(ctx, *b, &carrier.Declined{Code: codeUnavailable})
	case err != nil:
		s.log.WarnContext(ctx, "a carrier makes no offers", "shipment", b.shipment.ID, "err", err)
		return pause(n), nil
	}
	currency := money.Currency("")
	if len(b.shipment.Items) > 0 {
		currency = b.shipment.Items[0].Price.Currency
	}
	best, ok := cheapest(offers, b.purchase.Service, b.purchase.Strict, currency)
	if !ok {
		return 0, s.refused(ctx, *b, &carrier.Declined{Code: codeNoOffer})
	}
	b.purchase.Rate = &best
	return 0, nil
}

func (s *service) rated(ctx context.Context, c carrier.Carrier, opened carrier.Account, of *shipment, p carrier.Consignment) ([]carrier.Rate, error) {
	if p.Abroad() {
		var err error
		if p.Items, err = of.contents(); err == nil {
			err = s.declare(ctx, p.Items)
		}
		if err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return c.Rates(ctx, opened, p)
}

// cheapest offer of a service. Where no offer is of it, it is the cheapest of all, unless no other
// service will do. Prices in different currencies do not compare: those in the order's come first.
func cheapest(offers []carrier.Rate, service string, strict bool, currency money.Currency) (best carrier.Rate, ok bool) {
	named := slices.DeleteFunc(slices.Clone(offers), func(r carrier.Rate) bool { return !strings.EqualFold(r.Service, service) })
	if len(named) > 0 || strict {
		offers = named
	}
	if len(offers) == 0 {
		return best, false
	}
	foreign := func(r carrier.Rate) int {
		if r.Price.Currency == currency {
			return 0
		}
		return 1
	}
	return slices.MinFunc(offers, func(a, b carrier.Rate) int {
		return cmp.Or(cmp.Compare(foreign(a), foreign(b)), cmp.Compare(a.Price.Currency, b.Price.Currency), cmp.Compare(a.Price.Minor, b.Price.Minor))
	}), true
}

// consignment is a shipment as carriers are told of it.
func (s *shipment) consignment(key uuid.UUID, a account) carrier.Consignment {
	p := carrier.Consignment{
		Reference: key.String(), From: carrierAddress(s.Sender), To: carrierAddress(*s.Recipient), Parcel: s.Size, Return: s.Direction == shippingapi.Return, Format: carrier.Format(a.Format),
	}
	if p.Return {
		p.Contents = carrier.ReturnedGoods
	}
	return p
}

func carrierAddress(a ordersapi.Address) carrier.Address {
	return carrier.Address{Name: a.Name, Line1: a.Line1, Line2: a.Line2, City: a.City, Region: a.Region, PostalCode: a.PostalCode, Country: a.Country, Phone: a.Phone}
}

// claim notes that a label is about to be bought: whoever comes later looks for it before they
// buy. It is not ok when somebody else has done so, or when the label is not wanted any more.
func (s *service) claim(ctx context.Context, b *buying) (ok bool, err error) {
	err = s.db.InTx(ctx, func(tx *db.Tx) error {
		ok = false
		now, err := s.store.lockShipment(ctx, tx, b.shipment.ID)
		if err != nil {
			return err
		}
		p, err := s.store.purchase(ctx, tx, now.ID)
		if err != nil || now.Label != labelWanted || p.Key != b.purchase.Key || p.Reference != "" || !same(p.AskedAt, b.purchase.AskedAt) {
			return err
		}
		p.Rate, p.AskedAt, ok = b.purchase.Rate, new(s.now()), true
		return s.store.savePurchase(ctx, tx, p)
	})
	return ok, err
}

func same(a, b *time.Time) bool { return (a == nil) == (b == nil) && (a == nil || a.Equal(*b)) }

// bought takes a label in. What was given up meanwhile is given back.
func (s *service) bought(ctx context.Context, b buying, l carrier.Label) error {
	return s.db.InTx(ctx, func(tx *db.Tx) error {
		was, err := s.store.lockShipment(ctx, tx, b.shipment.ID)
		if err != nil {
			return err
		}
		p, err := s.store.purchase(ctx, tx, was.ID)
		if err != nil || p.Key != b.purchase.Key || p.Reference != "" {
			return err
		}
		p.Reference, p.Cost, p.Document = l.Reference, l.Cost, documentAwaited
		if l.Format != "" && len(l.Document) > 0 {
			p.Document = documentKept
			if was.Recipient != nil { // else they were erased meanwhile
				if err := s.store.insertDocument(ctx, tx, was.ID, l); err != nil {
					return err
				}
			}
		}
		if err := s.store.savePurchase(ctx, tx, p); err != nil {
			return err
		}
		now := was
		now.TakenBy, now.Service, now.TrackingNumber, now.TrackingURL, now.Failure = l.Carrier, l.Service, l.TrackingNumber, l.TrackingURL, nil
		if now.Label == labelWanted {
			now.Label = labelBought
		}
		if _, err := s.keep(ctx, tx, was, now); err != nil {
			return err
		}
		if now.Label == labelVoiding {
			s.timers.Set(tx, voidLabel, was.ID.String(), tx.Now)
			return nil
		}
		if p.Document == documentAwaited {
			s.timers.Set(tx, buyLabel, was.ID.String(), tx.Now.Add(pause(1)))
		}
		s.timers.Set(tx, trackParcel, was.ID.String(), tx.Now.Add(firstTrack))
		return nil
	})
}

// refused ends a try that has come to nothing.
func (s *service) refused(ctx context.Context, b buying, no *carrier.Declined) error {
	return s.db.InTx(ctx, func(tx *db.Tx) error {
		was, err := s.store.lockShipment(ctx, tx, b.shipment.ID)
		if err != nil {
			return err
		}
		p, err := s.store.purchase(ctx, tx, was.ID)
		if err != nil || p.Key != b.purchase.Key || p.Reference != "" {
			return err
		}
		now := was
		switch was.Label {
		case labelWanted:
			now.Label, now.Failure = labelRefused, no
			if was.Recipient == nil { // what carriers say may quote an address
				now.Failure = &carrier.Declined{Code: no.Code}
			}
		case labelVoiding:
			now.Label = labelVoided
		case labelBought, labelRefused, labelVoided:
			return nil
		}
		_, err = s.keep(ctx, tx, was, now)
		return err
	})
}

// fetchDocument asks for the paper of a label that is bought.
func (s *service) fetchDocument(ctx context.Context, b buying, n int) (time.Duration, error) {
	c, opened, err := s.opened(ctx, b.account)
	if err != nil {
		return 0, err
	}
	l, err := s.called(ctx, func(ctx context.Context) (carrier.Label, error) {
		return c.Find(ctx, opened, b.purchase.Key.String(), *b.purchase.Rate)
	})
	state := documentKept
	if err != nil || l.Format == "" || len(l.Document) == 0 {
		if n < documentTries {
			return pause(n), nil
		}
		state = documentNone
	}
	return 0, s.db.InTx(ctx, func(tx *db.Tx) error {
		now, err := s.store.lockShipment(ctx, tx, b.shipment.ID)
		if err != nil {
			return err
		}
		p, err := s.store.purchase(ctx, tx, now.ID)
		if err != nil || p.Document != documentAwaited {
			return err
		}
		p.Document = state
		if state == documentKept && now.Recipient != nil {
			if err := s.store.insertDocument(ctx, tx, now.ID, l); err != nil {
				return err
			}
		}
		return s.store.savePurchase(ctx, tx, p)
	})
}

// retry tries once more to get a label for a shipment that has failed. What was in it is taken
// anew, and it goes where the order goes now.
func (s *service) retry(ctx context.Context, tx *db.Tx, id uuid.UUID) (shipment, error) {
	seen, err := s.store.findShipment(ctx, tx, id)
	if err != nil {
		return shipment{}, err
	}
	if seen.Direction == shippingapi.Return {
		return shipment{}, errNotFailed.Saying("A return gets another label: POST /v1/returns/%s/label.", seen.ReturnID)
	}
	if seen.Label != labelRefused {
		return shipment{}, errNotFailed.With("shipmentStatus", string(seen.status()))
	}
	items := make([]ordersapi.ConsignedItem, len(seen.Items))
	for i, it := range seen.Items {
		items[i] = ordersapi.ConsignedItem{Line: it.Line, Quantity: it.Quantity}
	}
	to, err := s.orders.Consign(ctx, tx, seen.OrderID, seen.ID, items) // the order's lock comes first
	if err != nil {
		return shipment{}, err
	}
	was, err := s.store.lockShipment(ctx, tx, id)
	if err != nil {
		return shipment{}, err
	}
	if was.Label != labelRefused {
		return shipment{}, errNotFailed.With("shipmentStatus", string(was.status()))
	}
	if to.Address == nil || to.Address.Line1 == "" || to.Country == "" {
		return shipment{}, errNoAddress
	}
	p, err := s.store.purchase(ctx, tx, id)
	if err != nil {
		return shipment{}, err
	}
	a, err := s.store.account(ctx, tx, p.AccountID)
	if err != nil {
		return shipment{}, err
	}
	if !a.Enabled {
		return shipment{}, errNoAccount
	}
	p.Key, p.Rate, p.CreatedAt = clock.NewID(), nil, s.now()
	if err := s.store.insertPurchase(ctx, tx, p); err != nil {
		return shipment{}, err
	}
	now := was
	now.Label, now.Failure, now.Recipient = labelWanted, nil, to.Address
	if err := s.store.readdress(ctx, tx, now); err != nil {
		return shipment{}, err
	}
	if now, err = s.keep(ctx, tx, was, now); err != nil {
		return shipment{}, err
	}
	s.timers.Set(tx, buyLabel, id.String(), tx.Now)
	return now, nil
}

// giveBack is the errand that gives a label back to its carrier.
func (s *service) giveBack(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("label to give back: %w", err)
	}
	b, err := s.buying(ctx, id)
	if err != nil || b.shipment.Label != labelVoiding || b.purchase.Reference == "" {
		return 0, err
	}
	c, opened, err := s.opened(ctx, b.account)
	if err != nil {
		return 0, err
	}
	asking, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	state, err := c.Void(asking, opened, b.purchase.Reference)
	if _, declined := errors.AsType[*carrier.Declined](err); declined {
		state, err = carrier.Rejected, nil
	}
	if err != nil || state == carrier.Submitted || state == "" {
		if err != nil {
			s.log.WarnContext(ctx, "a carrier does not say whether it takes a label back", "shipment", id, "err", err)
		}
		return pause(n), nil
	}
	return 0, s.db.InTx(ctx, func(tx *db.Tx) error {
		was, err := s.store.lockShipment(ctx, tx, id)
		if err != nil {
			return err
		}
		now := was
		now.decide(state)
		return s.keepChanged(ctx, tx, was, now)
	})
}

// decide takes in what the carrier says to a label that is given back.
func (s *shipment) decide(state carrier.VoidState) {
	switch {
	case state == carrier.Voided && (s.Label == labelVoiding || s.Label == labelBought):
		s.Label = labelVoided
	case state == carrier.Rejected && s.Label == labelVoiding:
		s.Label, s.Failure = labelBought, &carrier.Declined{Code: codeVoidRefused}
	}
}

// keepChanged keeps a shipment of which something may have changed.
func (s *service) keepChanged(ctx context.Context, tx *db.Tx, was, now shipment) error {
	if was.Label == now.Label && was.Tracking.Status == now.Tracking.Status && len(was.Tracking.Events) == len(now.Tracking.Events) && same(was.Tracking.EstimatedDelivery, now.Tracking.EstimatedDelivery) {
		return nil
	}
	_, err := s.keep(ctx, tx, was, now)
	return err
}

const (
	firstTrack   = time.Hour
	longestTrack = 12 * time.Hour
	// trackedFor is how long a parcel is looked after that does not arrive.
	trackedFor = 60 * 24 * time.Hour
)

// track is the errand that asks where a parcel is, for shops whose carriers do not tell them.
func (s *service) track(ctx context.Context, subject string, n int) (time.Duration, error) {
	id, err := uuid.Parse(subject)
	if err != nil {
		return 0, fmt.Errorf("parcel to track: %w", err)
	}
	b, err := s.buying(ctx, id)
	if err != nil {
		return 0, err
	}
	if b.shipment.status() == voided || b.shipment.Tracking.Status.Arrived() || s.now().Sub(b.shipment.CreatedAt) > trackedFor {
		return 0, nil
	}
	again := min(longestTrack, firstTrack<<min(n, 8))
	c, opened, err := s.opened(ctx, b.account)
	if err != nil {
		return 0, err
	}
	asking, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	told, err := c.Track(asking, opened, b.shipment.TakenBy, b.shipment.TrackingNumber)
	if err != nil {
		if !errors.Is(err, carrier.ErrNoTracking) {
			s.log.WarnContext(ctx, "a carrier does not say where a parcel is", "shipment", id, "err", err)
		}
		return again, nil
	}
	return again, s.db.InTx(ctx, func(tx *db.Tx) error {
		was, err := s.store.lockShipment(ctx, tx, id)
		if err != nil {
			return err
		}
		now := was
		now.see(told)
		return s.keepChanged(ctx, tx, was, now)
	})
}
