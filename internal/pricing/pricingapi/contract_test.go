package pricingapi_test

import (
	"github.com/fusioncommerce/fusion/internal/platform/eventschema/eventspec"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

var _ = eventspec.Contract("pricing", pricingapi.Schemas,
	pricingapi.RulesUpdated{RuleID: "019cebb3-07c2-7d45-8f19-e46a0b93d5c1", Kind: pricingapi.RuleTaxRate, Version: 1, Gone: true},
)
