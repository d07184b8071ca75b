package stripesim

import (
	"strings"
	"time"
)

// The states of a PaymentIntent: https://docs.stripe.com/payments/paymentintents/lifecycle
const (
	needsMethod  = "requires_payment_method"
	needsConfirm = "requires_confirmation"
	needsAction  = "requires_action"
	processing   = "processing"
	needsCapture = "requires_capture"
	canceled     = "canceled"
	succeeded    = "succeeded"
)

// intent is a PaymentIntent.
type intent struct {
	ID                 string            `json:"id"`
	Object             string            `json:"object"`
	Amount             int64             `json:"amount"`
	AmountCapturable   int64             `json:"amount_capturable"`
	AmountReceived     int64             `json:"amount_received"`
	CanceledAt         *int64            `json:"canceled_at"`
	CancellationReason *string           `json:"cancellation_reason"`
	CaptureMethod      string            `json:"capture_method"`
	ClientSecret       string            `json:"client_secret"`
	ConfirmationMethod string            `json:"confirmation_method"`
	Created            int64             `json:"created"`
	Currency           string            `json:"currency"`
	Description        *string           `json:"description"`
	LastPaymentError   *problem          `json:"last_payment_error"`
	LatestCharge       any               `json:"latest_charge"`
	Livemode           bool              `json:"livemode"`
	Metadata           map[string]string `json:"metadata"`
	NextAction         *nextAction       `json:"next_action"`
	PaymentMethod      *string           `json:"payment_method"`
	PaymentMethodTypes []string          `json:"payment_method_types"`
	ReceiptEmail       *string           `json:"receipt_email"`
	Status             string            `json:"status"`

	charge    *charge // the latest
	returnURL string
	madeAt    time.Time
	noReturn  bool // it takes no means of payment that sends the buyer elsewhere
}

// nextAction is where the buyer has to go.
type nextAction struct {
	Type          string         `json:"type"`
	RedirectToURL *redirection   `json:"redirect_to_url,omitempty"`
	UseStripeSDK  *stripeJSEvent `json:"use_stripe_sdk,omitempty"`
}

type redirection struct {
	URL       string `json:"url"`
	ReturnURL string `json:"return_url"`
}

type stripeJSEvent struct {
	Type     string `json:"type"`
	StripeJS string `json:"stripe_js"`
}

func (i *intent) name() string { return i.ID }
func (i *intent) made() int64  { return i.Created }

func (i *intent) view(e expand) any {
	v := *i
	if i.charge != nil {
		v.LatestCharge = i.charge.ID
		if within, whole := e.of("latest_charge"); whole {
			v.LatestCharge = i.charge.view(within)
		}
	}
	return v
}

func createIntent(c *call) (any, error) {
	amount, given, err := c.number("amount")
	switch {
	case err != nil:
		return nil, err
	case !given:
		return nil, invalid("parameter_missing", "amount", "Missing required param: amount.")
	case c.text("currency") == "":
		return nil, invalid("parameter_missing", "currency", "Missing required param: currency.")
	}
	currency := strings.ToLower(c.text("currency"))
	if err := checkCurrency(currency); err != nil {
		return nil, err
	}
	if err := checkAmount(amount, currency, "amount", true); err != nil {
		return nil, err
	}
	i := &intent{
		ID: c.sim.dice.id("pi"), Object: "payment_intent", Amount: amount, Currency: currency, Created: seconds(c.sim.now()), madeAt: c.sim.now(),
		CaptureMethod: "automatic", ConfirmationMethod: "automatic", Metadata: c.group("metadata"), Status: needsMethod,
		Description: optional(c.text("description")), ReceiptEmail: optional(c.text("receipt_email")), PaymentMethodTypes: c.many("payment_method_types"),
		noReturn: len(c.many("payment_method_types")) > 0 || c.text("automatic_payment_methods[allow_redirects]") == "never",
	}
	i.ClientSecret = i.ID + "_secret_" + strings.TrimPrefix(c.sim.dice.id("secret"), "secret_")
	if len(i.PaymentMethodTypes) == 0 {
		i.PaymentMethodTypes = []string{"card"}
	}
	switch how := c.text("capture_method"); how {
	case "":
	case "automatic", "automatic_async", "manual":
		i.CaptureMethod = how
	default:
		return nil, invalid("", "capture_method", "Invalid capture_method: must be one of automatic, automatic_async, or manual")
	}
	if err := i.choose(c); err != nil {
		return nil, err
	}
	if c.flag("confirm") {
		if err := i.canConfirm(c); err != nil {
			return nil, err
		}
	}
	c.acct.intents.add(i)
	c.emit("payment_intent.created", i)
	if c.flag("confirm") {
		if err := c.confirm(i); err != nil {
			return nil, err
		}
	}
	return i.view(c.expand()), nil
}

// choose takes the payment method of a call.
func (i *intent) choose(c *call) error {
	name := c.text("payment_method")
	if name == "" {
		return nil
	}
	if _, ok := cardOf(name); !ok {
		return missing("PaymentMethod", name, "payment_method")
	}
	i.PaymentMethod = &name
	if i.Status == needsMethod {
		i.Status = needsConfirm
	}
	return nil
}

func (i *intent) canConfirm(c *call) error {
	switch i.Status {
	case needsMethod, needsConfirm, needsAction:
	default:
		return wrongState("payment_intent_unexpected_state", "You cannot confirm this PaymentIntent because it has a status of "+i.Status+".")
	}
	if i.PaymentMethod == nil {
		return invalid("parameter_missing", "payment_method", "You cannot confirm this PaymentIntent because it's missing a payment method.")
	}
	if i.returnURL == "" && c.text("return_url") == "" && !i.noReturn {
		return invalid("", "return_url", "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "+
			"Because some of these payment methods might redirect your customer off of your page, you must provide a `return_url`. "+
			"If you don't want to accept redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` and `automatic_payment_methods[allow_redirects]` to `never`.")
	}
	return nil
}

func confirmIntent(c *call) (any, error) {
	i, err := c.intent()
	if err != nil {
		return nil, err
	}
	if i.Status == processing || i.Status == needsCapture || i.Status == canceled || i.Status == succeeded {
		return nil, i.canConfirm(c)
	}
	if err := i.choose(c); err != nil {
		return nil, err
	}
	if err := i.canConfirm(c); err != nil {
		return nil, err
	}
	if err := c.confirm(i); err != nil {
		return nil, err
	}
	return i.view(c.expand()), nil
}

// confirm asks the bank; it may ask its customer.
func (c *call) confirm(i *intent) error {
	if url := c.text("return_url"); url != "" {
		i.returnURL = url
	}
	known, _ := cardOf(*i.PaymentMethod)
	i.LastPaymentError, i.NextAction = nil, nil
	if !known.challenge {
		return c.take(i, known)
	}
	page := c.base + "/_sim/3ds/" + i.ID
	i.Status, i.NextAction = needsAction, &nextAction{Type: "redirect_to_url", RedirectToURL: &redirection{page, i.returnURL}}
	if i.returnURL == "" {
		i.NextAction = &nextAction{Type: "use_stripe_sdk", UseStripeSDK: &stripeJSEvent{"three_d_secure_redirect", page}}
	}
	c.emit("payment_intent.requires_action", i)
	return nil
}

// answerChallenge is what the buyer did at the bank's page.
func (c *call) answerChallenge(i *intent, passed bool) error {
	if i.Status != needsAction {
		return wrongState("payment_intent_unexpected_state", "This PaymentIntent asks for no authentication: it has a status of "+i.Status+".")
	}
	i.NextAction = nil
	if passed {
		known, _ := cardOf(*i.PaymentMethod)
		_ = c.take(i, known) // that the bank declines after all is in the intent, and in its events
		return nil
	}
	i.refuse(&problem{
		Type: "invalid_request_error", Code: "payment_intent_authentication_failure",
		Message: "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
	})
	c.emit("payment_intent.payment_failed", i)
	return nil
}

// refuse lets the buyer try another means of payment.
func (i *intent) refuse(why *problem) {
	i.Status, i.PaymentMethod, i.LastPaymentError = needsMethod, nil, why
}

func captureIntent(c *call) (any, error) {
	i, err := c.intent()
	if err != nil {
		return nil, err
	}
	amount, given, err := c.number("amount_to_capture")
	if err != nil {
		return nil, err
	}
	if i.Status != needsCapture {
		return nil, wrongState("payment_intent_unexpected_state", "This PaymentIntent could not be captured because it has a status of "+i.Status+". "+
			"Only a PaymentIntent with one of the following statuses may be captured: requires_capture.")
	}
	if !given {
		amount = i.AmountCapturable
	}
	if amount > i.AmountCapturable {
		return nil, wrongState("amount_too_large", "The amount you are trying to capture is greater than the amount that can be captured.")
	}
	if err := checkAmount(amount, i.Currency, "amount_to_capture", false); err != nil {
		return nil, err
	}
	c.capture(i, amount)
	return i.view(c.expand()), nil
}

func cancelIntent(c *call) (any, error) {
	i, err := c.intent()
	if err != nil {
		return nil, err
	}
	switch i.Status {
	case needsMethod, needsConfirm, needsAction, needsCapture:
	default:
		return nil, wrongState("payment_intent_unexpected_state", "You cannot cancel this PaymentIntent because it has a status of "+i.Status+". "+
			"Only a PaymentIntent with one of the following statuses may be canceled: requires_payment_method, requires_capture, requires_reauthorization, requires_confirmation, requires_action, processing.")
	}
	c.cancel(i, c.text("cancellation_reason"))
	return i.view(c.expand()), nil
}

// cancel ends an intent; what was held is the buyer's again.
func (c *call) cancel(i *intent, reason string) {
	at := seconds(c.sim.now())
	held := i.Status == needsCapture
	i.Status, i.AmountCapturable, i.NextAction = canceled, 0, nil
	i.CanceledAt, i.CancellationReason = &at, optional(reason)
	if held {
		c.release(i.charge, i.charge.Amount)
		c.emit("charge.refunded", i.charge)
	}
	c.emit("payment_intent.canceled", i)
}

// expire is the end of an authorisation that nobody captured.
func (c *call) expire(i *intent) {
	if i.Status != needsCapture {
		return
	}
	c.emit("charge.expired", i.charge)
	c.cancel(i, "automatic")
}

func retrieveIntent(c *call) (any, error) {
	i, err := c.intent()
	if err != nil {
		return nil, err
	}
	return i.view(c.expand()), nil
}

// intent that a call names. Who shows a publishable key shows the intent's secret as well.
func (c *call) intent() (*intent, error) {
	i, err := c.acct.intents.find("payment_intent", c.id, "intent")
	if err != nil {
		return nil, err
	}
	if c.publishable && c.text("client_secret") != i.ClientSecret {
		return nil, invalid("", "client_secret", "The client_secret provided does not match the client_secret associated with the PaymentIntent.")
	}
	return i, nil
}

func listIntents(c *call) (any, error) {
	return list(c, &c.acct.intents, "payment_intent", func(*intent) bool { return true })
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
