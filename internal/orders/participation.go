package orders

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// onOrderDue places the orders of those who took part in a successful campaign, at the
// price that it promised: one each, whatever is delivered twice, and in four statements
// however many there are. An order that cannot be is no reason to keep others waiting: its
// event is parked in the end, for a person to look at. Campaigns at such prices are refused.
func (s *service) onOrderDue(ctx context.Context, tx *db.Tx, batch []event.Received[groupbuyapi.OrderDue]) error {
	due := make(map[uuid.UUID]event.Received[groupbuyapi.OrderDue], len(batch))
	claims := make([]participation, len(batch))
	for i, r := range batch {
		p, err := participationOf(r.Fact)
		if err != nil {
			return err
		}
		claims[i], due[p.Order] = p, r
	}
	claimed, err := s.store.claim(ctx, tx, claims)
	if err != nil || len(claimed) == 0 {
		return err
	}
	number, err := takeNumbers(ctx, tx, int64(len(claimed)))
	if err != nil {
		return err
	}
	orders := make([]order, len(claimed))
	facts := make([]event.Event, len(claimed))
	for i, id := range claimed {
		o, err := promised(due[id].Fact)
		if err != nil {
			return err
		}
		o.ID, o.Number, o.CreatedAt, o.UpdatedAt = id, number+int64(i), tx.Now, tx.Now
		orders[i], facts[i] = o, event.Because(due[id], ordersapi.OrderCreated{Order: fact(o)})
	}
	if err := s.store.insertSingles(ctx, tx, orders); err != nil {
		return err
	}
	return s.events.Publish(ctx, tx, facts...)
}

// participation in a campaign, with the order that is placed for it.
type participation struct{ Campaign, Participant, Order uuid.UUID }

func participationOf(due groupbuyapi.OrderDue) (participation, error) {
	campaign, err := uuid.Parse(due.CampaignID)
	if err != nil {
		return participation{}, fmt.Errorf("campaign of an order: %w", err)
	}
	participant, err := uuid.Parse(due.ParticipantID)
	if err != nil {
		return participation{}, fmt.Errorf("participant of a campaign: %w", err)
	}
	return participation{campaign, participant, clock.NewID()}, nil
}

// promised is the order that a campaign promises a participant.
func promised(due groupbuyapi.OrderDue) (order, error) {
	product, err := uuid.Parse(due.ProductID)
	if err != nil {
		return order{}, fmt.Errorf("product of a campaign: %w", err)
	}
	price, err := money.Parse(due.Price, money.Currency(due.Currency))
	if err != nil {
		return order{}, fmt.Errorf("price of a campaign: %w", err)
	}
	l := line{ProductID: product, SKU: due.SKU, Name: due.Name, Quantity: due.Quantity, Price: price, Discount: nothing(price), Tax: nothing(price)}
	if l.Total, err = price.Mul(due.Quantity); err != nil {
		return order{}, fmt.Errorf("%w: %w", errAmountRange, err)
	}
	return order{
		CustomerID: due.UserID, Status: created, Currency: price.Currency, Total: l.Total, totals: plain(l.Total), Lines: []line{l},
		Metadata: map[string]string{"campaignId": due.CampaignID}, Version: 1,
	}, nil
}
