package tenantapi_test

import (
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
)

func tenant(status string) tenantapi.Tenant {
	products, orders, requests := int64(1000), int64(500), int64(600)
	return tenantapi.Tenant{
		TenantID: "019d1a02-77c0-7d4e-9b1f-3c5a8e60d214", Slug: "harbour", Name: "Harbour & Pine", Status: status, Hosts: []string{"shop.harbour.example"},
		Settings: tenantapi.Settings{
			LogoURL: "https://cdn.harbour.example/logo.png", StorefrontURL: "https://shop.harbour.example", SenderName: "Harbour & Pine", ReplyTo: "hello@harbour.example",
			Colours:    tenantapi.Colours{Primary: "#114b5f", Accent: "#f45b69", Background: "#ffffff", Text: "#0b132b"},
			Currencies: []string{"EUR", "USD"}, DefaultCurrency: "EUR", SecondFactorForStaff: true,
		},
		Quotas:  tenantapi.Quotas{Products: &products, OrdersPerDay: &orders, RequestsPerMinute: &requests},
		Version: 1, CreatedAt: time.Date(2026, time.April, 1, 8, 0, 0, 0, time.UTC), UpdatedAt: time.Date(2026, time.April, 1, 8, 0, 0, 123456000, time.UTC),
	}
}

func givenUp() tenantapi.Tenant {
	t, after := tenant("deleting"), time.Date(2026, time.May, 1, 8, 0, 0, 0, time.UTC)
	t.PurgeAfter = &after
	return t
}

var _ = eventspec.Contract("platform", tenantapi.Schemas,
	tenantapi.TenantCreated{Tenant: tenant("active")},
	tenantapi.TenantUpdated{Tenant: tenant("active")},
	tenantapi.TenantSuspended{Tenant: tenant("suspended"), Reason: "unpaid"},
	tenantapi.TenantResumed{Tenant: tenant("active")},
	tenantapi.TenantDeleted{Tenant: givenUp()},
)
