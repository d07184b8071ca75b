package stripesim

import "strings"

// card is what a magic name stands for. Its zero value is one that pays.
type card struct {
	brand     string
	debit     bool   // a bank's: the money is on its way for a while
	challenge bool   // the bank asks its customer first (3-D Secure)
	code      string // why it is refused; empty: it is not
	decline   string // what the bank says of that
	refunds   string // "pending": they take their time; "fail": they come back
	dispute   string // the reason that its owner gives at the bank
	inquiry   bool   // only a question as yet: no money is withdrawn
	fraud     string // the early warning that its bank gives
}

// cards are Stripe's names (https://docs.stripe.com/testing), and two of the simulator's for
// a debit, for which Stripe has account numbers instead.
var cards = map[string]card{
	"pm_card_visa": {}, "pm_card_visa_debit": {}, "pm_card_mastercard": {brand: "mastercard"}, "pm_card_mastercard_debit": {brand: "mastercard"},
	"pm_card_amex": {brand: "amex"}, "pm_card_discover": {brand: "discover"}, "pm_card_diners": {brand: "diners"}, "pm_card_jcb": {brand: "jcb"}, "pm_card_unionpay": {brand: "unionpay"},

	"pm_card_chargeDeclined":                      {code: "card_declined", decline: "generic_decline"},
	"pm_card_chargeDeclinedInsufficientFunds":     {code: "card_declined", decline: "insufficient_funds"},
	"pm_card_chargeDeclinedLostCard":              {code: "card_declined", decline: "lost_card"},
	"pm_card_chargeDeclinedStolenCard":            {code: "card_declined", decline: "stolen_card"},
	"pm_card_chargeDeclinedFraudulent":            {code: "card_declined", decline: "fraudulent"},
	"pm_card_chargeDeclinedVelocityLimitExceeded": {code: "card_declined", decline: "card_velocity_exceeded"},
	"pm_card_chargeDeclinedExpiredCard":           {code: "expired_card", decline: "expired_card"},
	"pm_card_chargeDeclinedIncorrectCvc":          {code: "incorrect_cvc", decline: "incorrect_cvc"},
	"pm_card_chargeDeclinedProcessingError":       {code: "processing_error", decline: "processing_error"},
	"pm_card_chargeCustomerFail":                  {code: "card_declined", decline: "generic_decline"},
	"pm_card_radarBlock":                          {code: "card_declined", decline: "fraudulent"},

	"pm_card_authenticationRequired":                                {challenge: true},
	"pm_card_threeDSecureRequired":                                  {challenge: true},
	"pm_card_threeDSecure2Required":                                 {challenge: true},
	"pm_card_threeDSecureRequiredChargeDeclined":                    {challenge: true, code: "card_declined", decline: "generic_decline"},
	"pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": {challenge: true, code: "card_declined", decline: "insufficient_funds"},

	"pm_card_createDispute":                   {dispute: "fraudulent"},
	"pm_card_createDisputeProductNotReceived": {dispute: "product_not_received"},
	"pm_card_createDisputeInquiry":            {dispute: "fraudulent", inquiry: true},
	"pm_card_createIssuerFraudRecord":         {fraud: "made_with_stolen_card"},

	"pm_card_pendingRefund": {refunds: "pending"},
	"pm_card_refundFail":    {refunds: "fail"},

	"pm_sim_debit":       {brand: "sepa_debit", debit: true},
	"pm_sim_debitFailed": {brand: "sepa_debit", debit: true, code: "payment_intent_payment_attempt_failed", decline: "generic_decline"},
}

// cardOf knows Stripe's names with the brand in them as well: pm_card_visa_chargeDeclined.
func cardOf(name string) (card, bool) {
	if c, ok := cards[name]; ok {
		return c, true
	}
	c, ok := cards[strings.Replace(name, "pm_card_visa_", "pm_card_", 1)]
	return c, ok
}

// kind is Stripe's type of the payment method.
func (c card) kind() string {
	if c.debit {
		return c.brand
	}
	return "card"
}

// refusal is what the buyer's bank says.
func (c card) refusal() *problem {
	messages := map[string]string{
		"insufficient_funds": "Your card has insufficient funds.",
		"expired_card":       "Your card has expired.",
		"incorrect_cvc":      "Your card's security code is incorrect.",
		"processing_error":   "An error occurred while processing your card. Try again in a little bit.",
	}
	message, ok := messages[c.decline]
	if !ok {
		message = "Your card was declined."
	}
	return &problem{status: 402, Type: "card_error", Code: c.code, DeclineCode: c.decline, Message: message, DocURL: "https://stripe.com/docs/error-codes/" + strings.ReplaceAll(c.code, "_", "-")}
}

// method is a PaymentMethod as it is sent.
type method struct {
	ID       string            `json:"id"`
	Object   string            `json:"object"`
	Type     string            `json:"type"`
	Card     *methodCard       `json:"card,omitempty"`
	Created  int64             `json:"created"`
	Livemode bool              `json:"livemode"`
	Metadata map[string]string `json:"metadata"`
}

type methodCard struct {
	Brand string `json:"brand"`
	Last4 string `json:"last4"`
}

func retrieveMethod(c *call) (any, error) {
	known, ok := cardOf(c.id)
	if !ok {
		return nil, missing("PaymentMethod", c.id, "id")
	}
	m := method{ID: c.id, Object: "payment_method", Type: known.kind(), Metadata: map[string]string{}}
	if !known.debit {
		m.Card = &methodCard{known.network(), "4242"}
	}
	return m, nil
}

func (c card) network() string {
	if c.brand == "" {
		return "visa"
	}
	return c.brand
}
