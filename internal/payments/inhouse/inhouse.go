// Package inhouse has the providers that need nobody else: manual, whose money arrives by
// bank transfer or in cash, and test, which moves none.
package inhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// Names of the providers.
const (
	ManualName = "manual"
	TestName   = "test"
)

// Provider keeps its charges in the shop's database.
type Provider struct {
	db   *db.DB
	name string
}

// Manual is told by people what arrived.
func Manual(d *db.DB) *Provider { return &Provider{d, ManualName} }

// Test decides by the name of the means of payment. The names are those of Stripe's test cards.
func Test(d *db.DB) *Provider { return &Provider{d, TestName} }

// Name of the provider.
func (p *Provider) Name() string { return p.name }

// charge as it is kept.
type charge struct {
	Reference  string         `db:"reference"`
	Account    uuid.UUID      `db:"account_id"`
	Attempt    string         `db:"attempt"`
	Currency   string         `db:"currency"`
	Amount     int64          `db:"amount_minor"`
	Phase      provider.Phase `db:"phase"`
	Manual     bool           `db:"manual"`
	Capturable int64          `db:"capturable_minor"`
	Captured   int64          `db:"captured_minor"`
	Declined   *string        `db:"declined"`
	NextAction *string        `db:"next_action"`
	Refunds    []byte         `db:"refunds"`
	Keys       string         `db:"keys"`
}

// Keys are ids: none holds a comma.
const columns = `reference, account_id, attempt, currency, amount_minor, phase, manual, capturable_minor, captured_minor, declined, next_action, refunds, array_to_string(keys, ',') keys`

type refund struct {
	Reference string `json:"reference"`
	Key       string `json:"key"`
	Amount    int64  `json:"amount"`
	Reason    string `json:"reason"`
}

func (c charge) object() (provider.Object, error) {
	m := func(minor int64) money.Amount {
		return money.Amount{Minor: minor, Currency: money.Currency(c.Currency)}
	}
	o := provider.Object{
		Reference: c.Reference, Attempt: c.Attempt, Phase: c.Phase, ClientSecret: "secret_" + c.Reference, Amount: m(c.Amount), Authorized: m(c.Capturable), Captured: m(c.Captured),
	}
	if c.NextAction != nil && c.Phase == provider.NeedsAction {
		o.NextAction = *c.NextAction
	}
	if c.Declined != nil {
		o.Declined = refusals(*c.Declined)
	}
	var list []refund
	if err := json.Unmarshal(c.Refunds, &list); err != nil {
		return o, fmt.Errorf("refunds of %s: %w", c.Reference, err)
	}
	for _, r := range list {
		o.Refunds = append(o.Refunds, provider.RefundObject{Reference: r.Reference, Key: r.Key, Amount: m(r.Amount), Status: "succeeded", Reason: r.Reason})
	}
	return o, nil
}

// Charge begins one. It is the same one for the same attempt.
func (p *Provider) Charge(ctx context.Context, a provider.Account, _ string, w provider.Charge) (o provider.Object, err error) {
	err = p.db.InTx(ctx, func(tx *db.Tx) error {
		o, err = p.ChargeIn(ctx, tx, a.ID, w)
		return err
	})
	return o, err
}

// ChargeIn is Charge in the caller's transaction: nobody else has to be asked, so that nothing
// can be left in doubt.
func (p *Provider) ChargeIn(ctx context.Context, tx *db.Tx, account string, w provider.Charge) (provider.Object, error) {
	c := charge{Reference: p.name + "_" + w.Attempt, Attempt: w.Attempt, Amount: w.Amount.Minor, Currency: string(w.Amount.Currency), Manual: w.Manual}
	p.decide(&c, w.Method)
	if err := tx.Get(ctx, &c, db.Keep+`
		insert into payments.inhouse as old (reference, account_id, attempt, currency, amount_minor, phase, manual, capturable_minor, captured_minor, declined, next_action, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		on conflict (tenant_id, account_id, attempt) do update set attempt = excluded.attempt returning `+columns,
		c.Reference, account, c.Attempt, c.Currency, c.Amount, string(c.Phase), c.Manual, c.Capturable, c.Captured, c.Declined, c.NextAction, tx.Now); err != nil {
		return provider.Object{}, fmt.Errorf("insert charge: %w", err)
	}
	return c.object()
}

// decide how a charge begins.
func (p *Provider) decide(c *charge, method string) {
	code, declined := declines[method]
	switch {
	case p.name == ManualName:
		c.Phase = provider.Processing
	case method == "":
		c.Phase = provider.NeedsMethod
	case declined:
		c.Phase, c.Declined = provider.Refused, &code
	case slices.Contains(challenged, method):
		page := "/v1/payments/test/" + c.Attempt + "/authenticate"
		c.Phase, c.NextAction = provider.NeedsAction, &page
	case strings.HasPrefix(method, "pm_card_"):
		c.approve()
	default:
		code := "no_such_payment_method"
		c.Phase, c.Declined = provider.Refused, &code
	}
}

func (c *charge) approve() {
	if c.Manual {
		c.Phase, c.Capturable = provider.Authorized, c.Amount
		return
	}
	c.Phase, c.Captured = provider.Succeeded, c.Amount
}

var (
	declines = map[string]string{
		"pm_card_chargeDeclined": "card_declined", "pm_card_visa_chargeDeclined": "card_declined", "pm_card_chargeDeclinedInsufficientFunds": "insufficient_funds",
		"pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds", "pm_card_chargeDeclinedLostCard": "lost_card", "pm_card_visa_chargeDeclinedLostCard": "lost_card",
		"pm_card_chargeDeclinedExpiredCard": "expired_card", "pm_card_chargeDeclinedIncorrectCvc": "incorrect_cvc", "pm_card_chargeDeclinedProcessingError": "processing_error",
		"pm_card_chargeDeclinedFraudulent": "fraudulent",
	}
	challenged = []string{"pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup", "pm_card_threeDSecure2Required", "pm_card_threeDSecureRequired"}
	sentences  = map[string]string{
		"card_declined": "The card was declined.", "insufficient_funds": "The card has insufficient funds.", "lost_card": "The card was declined.",
		"expired_card": "The card has expired.", "incorrect_cvc": "The card's security code is incorrect.", "processing_error": "The card could not be processed. Try again.",
		"fraudulent": "The card was declined.", "authentication_failed": "The bank could not authenticate the buyer.", "no_such_payment_method": "There is no such means of payment.",
	}
)

func refusals(code string) *provider.Declined {
	return &provider.Declined{Code: code, Message: sentences[code]}
}

// change alters a charge once for each key.
func (p *Provider) change(ctx context.Context, tx *db.Tx, reference, key string, alter func(*charge) error) (o provider.Object, err error) {
	c, err := p.one(ctx, tx, `where reference = $1 for update`, reference)
	if err != nil {
		return o, err
	}
	if slices.Contains(strings.Split(c.Keys, ","), key) {
		return c.object()
	}
	if err := alter(&c); err != nil {
		return o, err
	}
	if _, err := tx.Exec(ctx, `
		update payments.inhouse set phase = $2, capturable_minor = $3, captured_minor = $4, declined = $5, refunds = $6, keys = array_append(keys, $7), changed_at = $8 where reference = $1`,
		c.Reference, string(c.Phase), c.Capturable, c.Captured, c.Declined, string(c.Refunds), key, tx.Now); err != nil {
		return o, fmt.Errorf("save charge: %w", err)
	}
	return c.object()
}

func (p *Provider) one(ctx context.Context, tx *db.Tx, where string, args ...any) (c charge, err error) {
	var rows []charge
	if err := tx.Select(ctx, &rows, `select `+columns+` from payments.inhouse `+where, args...); err != nil {
		return c, fmt.Errorf("read charge: %w", err)
	}
	if len(rows) == 0 {
		return c, provider.ErrNoCharge
	}
	return rows[0], nil
}

func (p *Provider) alone(ctx context.Context, reference, key string, alter func(*charge) error) (o provider.Object, err error) {
	err = p.db.InTx(ctx, func(tx *db.Tx) error {
		o, err = p.change(ctx, tx, reference, key, alter)
		return err
	})
	return o, err
}

// Capture takes what is held.
func (p *Provider) Capture(ctx context.Context, _ provider.Account, key, reference string, amount money.Amount) (provider.Object, error) {
	return p.alone(ctx, reference, key, func(c *charge) error {
		if c.Phase != provider.Authorized || amount.Minor > c.Capturable {
			return &provider.Declined{Code: "not_capturable"}
		}
		c.Phase, c.Capturable, c.Captured = provider.Succeeded, 0, amount.Minor
		return nil
	})
}

// Cancel lets go of what is held, or of what is waited for.
func (p *Provider) Cancel(ctx context.Context, _ provider.Account, key, reference string) (provider.Object, error) {
	return p.alone(ctx, reference, key, func(c *charge) error {
		switch c.Phase {
		case provider.Cancelled, provider.Refused:
		case provider.Succeeded:
			return &provider.Declined{Code: "already_captured"}
		default:
			c.Phase, c.Capturable = provider.Cancelled, 0
		}
		return nil
	})
}

// Refund gives back. By bank transfer or in cash, that is for people to do.
func (p *Provider) Refund(ctx context.Context, _ provider.Account, key, reference string, amount money.Amount, reason string) (provider.Object, error) {
	return p.alone(ctx, reference, key, func(c *charge) error {
		var list []refund
		if err := json.Unmarshal(c.Refunds, &list); err != nil {
			return fmt.Errorf("refunds of %s: %w", reference, err)
		}
		left := c.Captured
		for _, r := range list {
			left -= r.Amount
		}
		if amount.Minor > left {
			return &provider.Declined{Code: "amount_too_large"}
		}
		list = append(list, refund{Reference: "re_" + clock.NewID().String(), Key: key, Amount: amount.Minor, Reason: reason})
		var err error
		c.Refunds, err = json.Marshal(list)
		return err
	})
}

// Fetch is how a charge stands.
func (p *Provider) Fetch(ctx context.Context, _ provider.Account, reference string) (provider.Object, error) {
	return p.find(ctx, `where reference = $1`, reference)
}

// Find looks a charge up by its attempt.
func (p *Provider) Find(ctx context.Context, a provider.Account, attempt string, _ provider.Span) (provider.Object, error) {
	return p.find(ctx, `where account_id = $1 and attempt = $2`, a.ID, attempt)
}

func (p *Provider) find(ctx context.Context, where string, args ...any) (o provider.Object, err error) {
	err = p.db.Read(ctx, func(tx *db.Tx) error {
		c, err := p.one(ctx, tx, where, args...)
		if err != nil {
			return err
		}
		o, err = c.object()
		return err
	})
	return o, err
}

// Changed are the charges whose latest change was in a time.
func (p *Provider) Changed(ctx context.Context, a provider.Account, in provider.Span, each func(reference string, o provider.Object, err error) error) error {
	var rows []charge
	if err := p.db.Read(ctx, func(tx *db.Tx) error {
		return tx.Select(ctx, &rows, `select `+columns+` from payments.inhouse where account_id = $1 and changed_at >= $2 and changed_at < $3 order by changed_at`, a.ID, in.From, in.Until)
	}); err != nil {
		return fmt.Errorf("list charges: %w", err)
	}
	for _, c := range rows {
		o, err := c.object()
		if err := each(c.Reference, o, err); err != nil {
			return err
		}
	}
	return nil
}

// Notice refuses: nobody sends any.
func (*Provider) Notice(provider.Account, http.Header, []byte, time.Time) (provider.Notice, error) {
	return provider.Notice{}, provider.ErrSignature
}

// Received notes in the caller's transaction that money has arrived. It has, whether anybody
// waits for it or not.
func (p *Provider) Received(ctx context.Context, tx *db.Tx, reference, key string, amount money.Amount) (provider.Object, error) {
	return p.change(ctx, tx, reference, key, func(c *charge) error {
		all, err := money.Amount{Minor: c.Captured, Currency: amount.Currency}.Add(amount)
		if err != nil {
			return err
		}
		if c.Captured = all.Minor; c.Captured >= c.Amount && c.Phase == provider.Processing {
			c.Phase = provider.Succeeded
		}
		return nil
	})
}

// Authenticate answers, in the caller's transaction, for the buyer's bank.
func (p *Provider) Authenticate(ctx context.Context, tx *db.Tx, reference, key string, yes bool) (provider.Object, error) {
	return p.change(ctx, tx, reference, key, func(c *charge) error {
		if c.Phase != provider.NeedsAction {
			return &provider.Declined{Code: "not_waiting"}
		}
		if yes {
			c.approve()
			return nil
		}
		code := "authentication_failed"
		c.Phase, c.Declined = provider.Refused, &code
		return nil
	})
}
