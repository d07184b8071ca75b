package groupbuyapi_test

import (
	"time"

	"github.com/fusioncommerce/fusion/internal/groupbuy/groupbuyapi"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
)

func campaign(status string) groupbuyapi.Campaign {
	return groupbuyapi.Campaign{
		ID: "019cec04-5f1e-7a86-b6d1-27c0f9a4be53", ProductID: "019cebab-8995-7b1c-a3e0-5d9f41c27b68", SKU: "TEA-SENCHA-100", Name: "Sencha, 100 g",
		Price: "1200", OriginalPrice: "1500", Currency: "JPY", MinParticipants: 2, MaxParticipants: 3, ActualParticipants: 0, Status: status,
		StartTime: time.Date(2026, time.April, 1, 8, 0, 0, 0, time.UTC), EndTime: time.Date(2026, time.April, 2, 8, 0, 0, 0, time.UTC),
		ShareCode: "K7XQ2MPA5TRD", Version: 1,
		CreatedAt: time.Date(2026, time.April, 1, 8, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, time.April, 1, 8, 0, 0, 123456000, time.UTC),
	}
}

var _ = eventspec.Contract("groupbuy", groupbuyapi.Schemas,
	groupbuyapi.CampaignCreated{Campaign: campaign("scheduled")},
	groupbuyapi.CampaignUpdated{Campaign: campaign("active")},
	groupbuyapi.CampaignJoined{Campaign: campaign("active"), ParticipantID: "019cec07-9d40-7c31-8a5e-b04f6d2c1e97", UserID: "ana", Quantity: 1},
	groupbuyapi.CampaignSuccessful{Campaign: campaign("successful")},
	groupbuyapi.CampaignExpired{Campaign: campaign("expired")},
	groupbuyapi.CampaignCancelled{Campaign: campaign("cancelled"), Reason: ""},
	groupbuyapi.OrderDue{
		CampaignID: "019cec04-5f1e-7a86-b6d1-27c0f9a4be53", ParticipantID: "019cec07-9d40-7c31-8a5e-b04f6d2c1e97", UserID: "ana",
		ProductID: "019cebab-8995-7b1c-a3e0-5d9f41c27b68", SKU: "TEA-SENCHA-100", Name: "Sencha, 100 g", Quantity: 1, Price: "1200", Currency: "JPY",
	},
)
