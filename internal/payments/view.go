package payments

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

type nextAction struct {
	Type string `json:"type" enum:"redirect"`
	URL  string `json:"url" doc:"Where the buyer has to go; of the test provider, a route of this API"`
}

type failure struct {
	Code    string `json:"code" doc:"The provider's" example:"insufficient_funds"`
	Message string `json:"message,omitempty" doc:"For the buyer"`
}

type paymentResponse struct {
	ID           string      `json:"id" format:"uuid"`
	OrderID      string      `json:"orderId" format:"uuid"`
	Provider     string      `json:"provider" example:"stripe"`
	Amount       string      `json:"amount" doc:"What was asked for" example:"25.00"`
	Currency     string      `json:"currency" example:"EUR"`
	Status       string      `json:"status" enum:"requires_payment_method,requires_action,processing,authorized,succeeded,failed,cancelled"`
	Capture      string      `json:"capture" enum:"automatic,manual"`
	ClientSecret string      `json:"clientSecret,omitempty" secret:"true" doc:"For the provider's script in the buyer's page, while there is something to do for it"`
	NextAction   *nextAction `json:"nextAction,omitempty"`
	Authorized   string      `json:"authorized" doc:"What was ever held or taken" example:"25.00"`
	Capturable   string      `json:"capturable" doc:"What is held and can be captured" example:"0.00"`
	Captured     string      `json:"captured" example:"25.00"`
	Refunding    string      `json:"refunding" doc:"On its way back to the buyer" example:"0.00"`
	Refunded     string      `json:"refunded" example:"0.00"`
	Disputed     string      `json:"disputed" doc:"By the buyer at their bank, and not won" example:"0.00"`
	Failure      *failure    `json:"failure,omitempty" doc:"Why the latest attempt came to nothing"`
	Warning      string      `json:"warning,omitempty" doc:"The bank suspects fraud: its word for it"`
	CreatedAt    time.Time   `json:"createdAt"`
	UpdatedAt    time.Time   `json:"updatedAt"`

	version int64
}

// ETag is the payment's version.
func (r paymentResponse) ETag() string { return httpx.VersionTag(r.version) }

// begunResponse also says where the payment is.
type begunResponse struct{ paymentResponse }

// Location of the payment.
func (r begunResponse) Location() string { return "/v1/payments/" + r.ID }

// Withhold what the buyer's page needs, for as long as it does, from what is kept of an answer.
func (r begunResponse) Withhold() any {
	r.ClientSecret = ""
	return r
}

// refill shows the buyer's page what it needs once more, if it still does.
func (s *service) refill(ctx context.Context, kept []byte) ([]byte, error) {
	var r begunResponse
	if err := json.Unmarshal(kept, &r); err != nil {
		return nil, fmt.Errorf("read a kept answer: %w", err)
	}
	id, err := uuid.Parse(r.ID)
	if err != nil {
		return nil, fmt.Errorf("payment of a kept answer: %w", err)
	}
	var c charge
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		c, err = s.store.findPayment(ctx, tx, id, "")
		return err
	}); err != nil {
		return nil, err
	}
	now, err := s.presentToBuyer(ctx, c)
	if err != nil {
		return nil, err
	}
	r.ClientSecret = now.ClientSecret
	return httpx.Marshal(r)
}

func present(c charge) paymentResponse {
	p := c.payment
	r := paymentResponse{
		ID: p.ID.String(), OrderID: p.OrderID.String(), Provider: p.Provider, Amount: p.Amount.Decimal(), Currency: string(p.Amount.Currency), Status: p.Status, Capture: "automatic",
		Authorized: p.Authorized.Decimal(), Capturable: c.attempt.Capturable.Decimal(), Captured: p.Captured.Decimal(), Refunding: p.Refunding.Decimal(), Refunded: p.Refunded.Decimal(),
		Disputed: p.Disputed.Decimal(), Failure: failureOf(p.Failure), Warning: p.Warning, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt, version: p.Version,
	}
	if p.Manual {
		r.Capture = "manual"
	}
	if c.attempt.NextAction != "" && c.attempt.State == state(provider.NeedsAction) {
		r.NextAction = &nextAction{"redirect", c.attempt.NextAction}
	}
	return r
}

// suspicions are codes with which banks say that a card is not its holder's: who tries stolen
// ones learns from them which are not reported yet.
var suspicions = []string{"fraudulent", "lost_card", "stolen_card", "pickup_card", "restricted_card", "security_violation", "merchant_blacklist"}

// shownTo hides from everybody but those who read payments what a bank suspects.
func shownTo(ctx context.Context, r paymentResponse) paymentResponse {
	if identity.Can(ctx, permissionRead) {
		return r
	}
	r.Warning = ""
	if r.Failure != nil && slices.Contains(suspicions, r.Failure.Code) {
		r.Failure = &failure{"card_declined", "The card was declined."}
	}
	return r
}

func failureOf(no *provider.Declined) *failure {
	if no == nil {
		return nil
	}
	return &failure{no.Code, no.Message}
}

// presentToBuyer also shows what the buyer's page needs.
func (s *service) presentToBuyer(ctx context.Context, c charge) (paymentResponse, error) {
	r := shownTo(ctx, present(c))
	if c.attempt.Secret == nil || c.attempt.State.over() {
		return r, nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return r, err
	}
	secret, err := s.vault.Open(id.Tenant, sealedClient, c.attempt.Secret)
	r.ClientSecret = string(secret)
	return r, err
}
