package groupbuy

import (
	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// factsOfJoin are what a join made true of the campaign that it led to. The join that
// makes it successful is a step of its own.
func factsOfJoin(c campaign, who participant) []event.Event {
	at := c
	if c.tipped() {
		at.Status, at.Version = active, c.Version-1
	}
	facts := []event.Event{groupbuyapi.CampaignJoined{Campaign: fact(at), ParticipantID: who.ID.String(), UserID: who.UserID, Quantity: who.Quantity}}
	switch {
	case c.tipped():
		facts = append(facts, groupbuyapi.CampaignSuccessful{Campaign: fact(c)})
	case c.Status == successful:
		facts = append(facts, orderDue(c, who))
	}
	return facts
}

func orderDue(c campaign, p participant) groupbuyapi.OrderDue {
	return groupbuyapi.OrderDue{
		CampaignID: c.ID.String(), ParticipantID: p.ID.String(), UserID: p.UserID, ProductID: c.ProductID.String(), SKU: c.SKU, Name: c.Name,
		Quantity: p.Quantity, Price: c.Price.Decimal(), Currency: string(c.Price.Currency),
	}
}

func fact(c campaign) groupbuyapi.Campaign {
	return groupbuyapi.Campaign{
		ID: c.ID.String(), ProductID: c.ProductID.String(), SKU: c.SKU, Name: c.Name,
		Price: c.Price.Decimal(), OriginalPrice: c.Original.Decimal(), Currency: string(c.Price.Currency),
		MinParticipants: c.Min, MaxParticipants: c.Max, ActualParticipants: c.Joined, Status: string(c.Status),
		StartTime: c.Start, EndTime: c.End, ShareCode: c.ShareCode, Version: c.Version, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
}
