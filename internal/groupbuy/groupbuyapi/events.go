// Package groupbuyapi is the published language of group buying: the only part of it that
// other modules may import. Fields are only ever added.
package groupbuyapi

import (
	"embed"
	"time"
)

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// Campaign is the campaign as the facts below show it.
type Campaign struct {
	ID                 string    `json:"id"`
	ProductID          string    `json:"productId"`
	SKU                string    `json:"sku"`
	Name               string    `json:"name"`
	Price              string    `json:"price"`         // decimal, what those who join pay for one unit
	OriginalPrice      string    `json:"originalPrice"` // decimal
	Currency           string    `json:"currency"`
	MinParticipants    int64     `json:"minParticipants"`
	MaxParticipants    int64     `json:"maxParticipants"`
	ActualParticipants int64     `json:"actualParticipants"`
	Status             string    `json:"status"`
	StartTime          time.Time `json:"startTime"`
	EndTime            time.Time `json:"endTime"`
	ShareCode          string    `json:"shareCode"`
	Version            int64     `json:"version"`
	CreatedAt          time.Time `json:"createdAt"`
	UpdatedAt          time.Time `json:"updatedAt"`
}

// EventKey is the campaign: its facts are handled in order.
func (c Campaign) EventKey() string { return c.ID }

// EventSequence is the campaign's version.
func (c Campaign) EventSequence() int64 { return c.Version }

// CampaignCreated says that a campaign exists.
type CampaignCreated struct{ Campaign }

// EventType is the topic.
func (CampaignCreated) EventType() string { return "group-commerce.campaign.created" }

// CampaignUpdated says that a campaign has other terms, or has begun; it shows the
// campaign as it is now.
type CampaignUpdated struct{ Campaign }

// EventType is the topic.
func (CampaignUpdated) EventType() string { return "group-commerce.campaign.updated" }

// CampaignJoined says that somebody joined.
type CampaignJoined struct {
	Campaign
	ParticipantID string `json:"participantId"`
	UserID        string `json:"userId"`
	Quantity      int64  `json:"quantity"`
}

// EventType is the topic.
func (CampaignJoined) EventType() string { return "group-commerce.campaign.joined" }

// CampaignSuccessful says that enough have joined: everybody who has, and everybody who
// still does, gets an order at the campaign's price.
type CampaignSuccessful struct{ Campaign }

// EventType is the topic.
func (CampaignSuccessful) EventType() string { return "group-commerce.campaign.successful" }

// CampaignExpired says that too few had joined when the time was over: nobody gets an order.
type CampaignExpired struct{ Campaign }

// EventType is the topic.
func (CampaignExpired) EventType() string { return "group-commerce.campaign.expired" }

// CampaignCancelled says that a campaign was called off: nobody gets an order.
type CampaignCancelled struct {
	Campaign
	Reason string `json:"reason"`
}

// EventType is the topic.
func (CampaignCancelled) EventType() string { return "group-commerce.campaign.cancelled" }

// OrderDue says that a participant of a successful campaign is to get an order. It is
// said once of each.
type OrderDue struct {
	CampaignID    string `json:"campaignId"`
	ParticipantID string `json:"participantId"`
	UserID        string `json:"userId"`
	ProductID     string `json:"productId"`
	SKU           string `json:"sku"`
	Name          string `json:"name"`
	Quantity      int64  `json:"quantity"`
	Price         string `json:"price"` // of one unit, decimal
	Currency      string `json:"currency"`
}

// EventType is the topic.
func (OrderDue) EventType() string { return "group-commerce.campaign.order-due" }

// EventKey is the participant: orders of one campaign need not wait for each other.
func (o OrderDue) EventKey() string { return o.ParticipantID }

// EventSequence counts what happened to the participant's order.
func (OrderDue) EventSequence() int64 { return 1 }
