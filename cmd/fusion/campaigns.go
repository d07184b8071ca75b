package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

//go:embed demo/campaigns.json
var demoCampaignFile []byte

// demoCampaign is one for a product of the demo catalog, whose price is the original one.
type demoCampaign struct {
	SKU             string `json:"sku"`
	Price           string `json:"price"`
	MinParticipants int    `json:"minParticipants"`
	MaxParticipants int    `json:"maxParticipants"`
	BeginsIn        string `json:"beginsIn"` // from when it is made; negative: it has begun
	Lasts           string `json:"lasts"`
}

// campaignBody is the body of a request to make one.
type campaignBody struct {
	ProductID       string    `json:"productId"`
	MinParticipants int       `json:"minParticipants"`
	MaxParticipants int       `json:"maxParticipants"`
	Price           string    `json:"price"`
	OriginalPrice   string    `json:"originalPrice"`
	StartTime       time.Time `json:"startTime"`
	EndTime         time.Time `json:"endTime"`
}

// seedCampaigns makes those whose product is there and has had none, and tells how many
// that were.
func (c client) seedCampaigns(ctx context.Context, now time.Time) (created int, err error) {
	var list []demoCampaign
	if err := json.Unmarshal(demoCampaignFile, &list); err != nil {
		return 0, fmt.Errorf("read the demo campaigns: %w", err)
	}
	for _, d := range list {
		made, err := c.seedCampaign(ctx, d, now)
		if err != nil {
			return created, fmt.Errorf("campaign for %s: %w", d.SKU, err)
		}
		if made {
			created++
		}
	}
	return created, nil
}

func (c client) seedCampaign(ctx context.Context, d demoCampaign, now time.Time) (made bool, err error) {
	beginsIn, err := time.ParseDuration(d.BeginsIn)
	if err != nil {
		return false, err
	}
	lasts, err := time.ParseDuration(d.Lasts)
	if err != nil {
		return false, err
	}
	var products struct {
		Data []struct{ ID, Price string }
	}
	if _, _, err := c.do(ctx, http.MethodGet, "/v1/products?"+url.Values{"sku": {d.SKU}}.Encode(), nil, "", &products); err != nil || len(products.Data) == 0 {
		return false, err
	}
	p := products.Data[0]
	var past struct{ Data []struct{ ID string } }
	if _, _, err := c.do(ctx, http.MethodGet, "/v1/campaigns?"+url.Values{"productId": {p.ID}, "limit": {"1"}}.Encode(), nil, "", &past); err != nil || len(past.Data) > 0 {
		return false, err
	}
	start := now.Add(beginsIn).Truncate(time.Minute)
	body, err := json.Marshal(campaignBody{p.ID, d.MinParticipants, d.MaxParticipants, d.Price, p.Price, start, start.Add(lasts)})
	if err != nil {
		return false, err
	}
	var answer struct{ Detail string }
	status, _, err := c.do(ctx, http.MethodPost, "/v1/campaigns", body, "seed-campaign-"+p.ID, &answer)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("%d %s", status, answer.Detail)
	}
	return err == nil, err
}
