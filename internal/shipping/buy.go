package shipping

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/db"
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
	codeDisabled    = "account_disabled"
	codeUndecided   = shippingapi.OutcomeUnknown // somebody has to look at the carrier's whether it was sold
	codeGivenBack   = "label_given_back"
)

const (
	// callTimeout is what a carrier has for one call of an errand, which makes two.
	callTimeout = 8 * time.Second
	// unofferedFor is how long offers are asked for that do not come. Nothing is bought meanwhile.
	unofferedFor = 24 * time.Hour
	// undecidedFor is how long a carrier is asked what became of a purchase: whoever has changed
	// the account's key by then never will be told.
	undecidedFor = 24 * time.Hour
	// documentTries is how often the paper of a label is asked for. Then we draw one.
	documentTries = 12
	longestPause  = 5 * time.Minute
)

// pause before an errand is run again.
func pause(attempt int) time.Duration { return min(longestPause, time.Second<<min(attempt, 10)) }

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
	if b.purchase.AskedAt == nil && !b.account.Enabled {
		return 0, s.refused(ctx, b, &carrier.Declined{Code: codeDisabled})
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
		case !errors.Is(err, carrier.ErrNoLabel) && s.now().Sub(*b.purchase.AskedAt) > undecidedFor:
			return 0, s.refused(ctx, b, &carrier.Declined{Code: codeUndecided})
		case !errors.Is(err, carrier.ErrNoLabel):
			s.log.WarnContext(ctx, "a carrier does not say whether a label was bought", "shipment", id, "err", err)
			return pause(n), nil
		case s.now().Sub(*b.purchase.AskedAt) < s.settling:
			return pause(n), nil
		case s.now().Sub(b.purchase.CreatedAt) > undecidedFor: // it never sells it, and never says why
			return 0, s.refused(ctx, b, &carrier.Declined{Code: codeUnavailable})
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

// bought takes a label in. What was given up meanwhile is given back; what was given back
// already is no label.
func (s *service) bought(ctx context.Context, b buying, l carrier.Label) error {
	if l.Voided == carrier.Submitted || l.Voided == carrier.Voided {
		return s.refused(ctx, b, &carrier.Declined{Code: codeGivenBack})
	}
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
		s.lookAfter(tx, p)
		return nil
	})
}

// lookAfter has a label's paper fetched that did not come, and its parcel tracked.
func (s *service) lookAfter(tx *db.Tx, p purchase) {
	if p.Document == documentAwaited {
		s.timers.Set(tx, buyLabel, p.ShipmentID.String(), tx.Now.Add(pause(1)))
	}
	s.timers.Set(tx, trackParcel, p.ShipmentID.String(), tx.Now.Add(firstTrack))
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
			if no.Code == codeUndecided { // it may be sold all the same
				now.Failure = no
			}
		case labelBought, labelRefused, labelVoided:
			return nil
		}
		_, err = s.keep(ctx, tx, was, now)
		return err
	})
}
