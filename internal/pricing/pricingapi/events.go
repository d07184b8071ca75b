package pricingapi

import "embed"

// Schemas holds the JSON Schema of each event type, <type>.v<version>.json.
//
//go:embed schemas/*.json
var Schemas embed.FS

// The kinds of rules.
const (
	RuleSettings = "settings"
	RuleTaxRate  = "tax_rate"
	RuleDiscount = "discount"
)

// RulesUpdated says that a rule that prices depend on is new, is another one or is gone. It
// does not say which: ask for it.
type RulesUpdated struct {
	RuleID  string `json:"ruleId"` // of settings, the shop's
	Kind    string `json:"kind"`
	Version int64  `json:"version"` // of the rule
	Gone    bool   `json:"gone"`
}

// EventType is the topic.
func (RulesUpdated) EventType() string { return "pricing.rules.updated" }

// EventKey is the rule: its facts are handled in order.
func (r RulesUpdated) EventKey() string { return r.RuleID }

// EventSequence is the rule's version.
func (r RulesUpdated) EventSequence() int64 { return r.Version }
