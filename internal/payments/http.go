package payments

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	errNotManual  = fault.New(fault.Conflict, "payment_not_manual", "Only of manual payments does somebody say that the money has arrived.")
	errNotWaiting = fault.New(fault.Conflict, "payment_not_waiting", "The payment does not wait for the buyer's bank.")
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

type payBody struct {
	OrderID   uuid.UUID `json:"orderId" format:"uuid"`
	Provider  string    `json:"provider,omitempty" maxLength:"40" doc:"The shop's preferred one when it is absent" example:"stripe"`
	Method    string    `json:"method,omitempty" maxLength:"200" doc:"A means of payment, by the provider's name for it; never a card number. Absent: the buyer's page gives one" example:"pm_card_visa"`
	Capture   string    `json:"capture,omitempty" enum:"automatic,manual" doc:"manual only holds the money, until it is captured. For who holds payments:write; the account says it when it is absent"`
	ReturnURL string    `json:"returnUrl,omitempty" maxLength:"2048" doc:"Where a bank sends the buyer back to" example:"https://shop.example.com/checkout/done"`
}

// Check finds what the schema cannot say.
func (b *payBody) Check() []fault.Field {
	if b.ReturnURL == "" {
		return nil
	}
	if u, err := url.Parse(b.ReturnURL); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return []fault.Field{{Pointer: "/returnUrl", Code: "url", Detail: "must be an absolute address that begins with https:// or http://"}}
	}
	return nil
}

// CheckFor leaves it to the shop when money is captured: what is only held keeps stock until
// somebody sees to it.
func (b *payBody) CheckFor(ctx context.Context) []fault.Field {
	if b.Capture == "" || identity.Can(ctx, permissionWrite) {
		return nil
	}
	return []fault.Field{{Pointer: "/capture", Code: "staff_only", Detail: "is the shop's to say: leave it out"}}
}

type payInput struct {
	httpx.JSON[payBody]
	Ticket string `header:"Cart-Token" maxLength:"200" doc:"The token of the cart that the order was: a guest pays with it"`
}

func (s *service) handlePay(ctx context.Context, in *payInput) (begunResponse, error) {
	b := in.Body
	attempt, o, failure, err := s.pay(ctx, wish{Order: b.OrderID, Ticket: in.Ticket, Provider: b.Provider, Method: b.Method, Capture: b.Capture, ReturnURL: b.ReturnURL})
	if err != nil {
		return begunResponse{}, err
	}
	if failure != nil && declined(failure) == nil {
		s.log.WarnContext(ctx, "the provider did not say what became of a charge", "attempt", attempt, "err", failure)
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (begunResponse, error) {
		c, err := s.conclude(ctx, tx, attempt, o, failure)
		if err != nil {
			return begunResponse{}, err
		}
		r, err := s.presentToBuyer(ctx, c)
		return begunResponse{r}, err
	})
}

// payableBy is what there is to pay for an order, for who may pay it. Customers pay their own.
// A guest shows the order's ticket; an order that has none was placed by a page that anybody
// can open, and is paid by who knows its id. Of customers, whose ids are UUIDs, a page knows
// nothing.
func (s *service) payableBy(ctx context.Context, tx *db.Tx, order uuid.UUID, ticket string) (ordersapi.Payable, error) {
	who, err := identity.From(ctx)
	if err != nil {
		return ordersapi.Payable{}, err
	}
	due, ok, err := s.orders.Payable(ctx, tx, order, ticket)
	if err != nil {
		return due, fmt.Errorf("ask what there is to pay: %w", err)
	}
	guests := who.Customer == "" && who.Can(permissionPay) && !due.Ticketed && uuid.Validate(due.CustomerID) != nil
	if ok && (who.Can(permissionWrite) || due.Opened || who.Customer != "" && who.Customer == due.CustomerID || guests) {
		return due, nil
	}
	return ordersapi.Payable{}, httpx.ErrNotFound
}

type byID struct {
	ID string `path:"id"`
}

type getInput struct {
	ID     string `path:"id"`
	Ticket string `header:"Cart-Token" maxLength:"200" doc:"The token of the cart that the order was: a guest reads the payment with it"`
}

func (s *service) handleGet(ctx context.Context, in *getInput) (paymentResponse, error) {
	who, err := identity.From(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	id, err := httpx.ID(in.ID)
	if err != nil {
		return paymentResponse{}, err
	}
	var c charge
	if err := s.db.Read(ctx, func(tx *db.Tx) error {
		if c, err = s.store.findPayment(ctx, tx, id, ""); err != nil || who.Can(permissionRead) || who.Customer != "" && who.Customer == c.payment.CustomerID {
			return err
		}
		if in.Ticket == "" {
			return httpx.ErrNotFound
		}
		if due, _, err := s.orders.Payable(ctx, tx, c.payment.OrderID, in.Ticket); err != nil || !due.Opened {
			return cmp.Or(err, error(httpx.ErrNotFound))
		}
		return nil
	}); err != nil {
		return paymentResponse{}, err
	}
	if who.Can(permissionRead) {
		return present(c), nil
	}
	return s.presentToBuyer(ctx, c)
}

type listInput struct {
	httpx.Page
	OrderID    string    `query:"orderId" format:"uuid" doc:"Only of this order"`
	CustomerID string    `query:"customerId" personal:"false" maxLength:"64"`
	Status     string    `query:"status" enum:"requires_payment_method,requires_action,processing,authorized,succeeded,failed,cancelled"`
	Provider   string    `query:"provider" personal:"false" maxLength:"40"`
	From       time.Time `query:"createdAt[gte]" doc:"Begun at this time or later"`
	Until      time.Time `query:"createdAt[lt]" doc:"Begun before this time"`
}

func (s *service) handleList(ctx context.Context, in *listInput) (httpx.List[paymentResponse], error) {
	out := httpx.List[paymentResponse]{Data: []paymentResponse{}}
	f := filter{Status: in.Status, CustomerID: in.CustomerID, Provider: in.Provider, Limit: in.Limit + 1}
	if only := identity.OnlyOf(ctx, permissionRead); only != "" {
		if f.CustomerID != "" && f.CustomerID != only {
			return out, nil
		}
		f.CustomerID = only
	}
	if in.OrderID != "" {
		id, err := uuid.Parse(in.OrderID)
		if err != nil {
			return out, httpx.ErrValidation(fault.Field{Pointer: "?orderId", Code: "format", Detail: "must be a UUID"})
		}
		f.OrderID = &id
	}
	if !in.From.IsZero() {
		f.From = &in.From
	}
	if !in.Until.IsZero() {
		f.Until = &in.Until
	}
	if in.Cursor != "" {
		f.After = &position{}
		if err := httpx.ReadCursor(in.Cursor, f.After); err != nil {
			return out, err
		}
	}
	var list []charge
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = s.store.list(ctx, tx, f)
		return err
	}); err != nil {
		return out, err
	}
	if len(list) > in.Limit {
		list = list[:in.Limit]
		last := list[in.Limit-1].payment
		var err error
		if out.NextCursor, err = httpx.Cursor(position{last.CreatedAt, last.ID}); err != nil {
			return out, err
		}
	}
	for _, c := range list {
		out.Data = append(out.Data, shownTo(ctx, present(c)))
	}
	return out, nil
}

type amountBody struct {
	Amount httpx.Decimal `json:"amount,omitempty" doc:"All that there is when it is absent"`
}

type amountInput struct {
	ID   string `path:"id"`
	Body *amountBody
}

func (in *amountInput) amount() httpx.Decimal {
	if in.Body == nil {
		return ""
	}
	return in.Body.Amount
}

// amountOr is a sent amount, or all that there is.
func amountOr(sent httpx.Decimal, all money.Amount) (money.Amount, error) {
	if sent == "" {
		return all, nil
	}
	m, fields := sent.Amount(string(all.Currency), "/amount", "/amount")
	if len(fields) == 0 && m.IsZero() {
		fields = []fault.Field{{Pointer: "/amount", Code: "minimum", Detail: "must be more than nothing"}}
	}
	if len(fields) > 0 {
		return m, httpx.ErrValidation(fields...)
	}
	return m, nil
}

func (s *service) handleCapture(ctx context.Context, in *amountInput) (paymentResponse, error) {
	return s.handleOperation(ctx, in.ID, opCapture, in.amount())
}

func (s *service) handleCancel(ctx context.Context, in *byID) (paymentResponse, error) {
	return s.handleOperation(ctx, in.ID, opCancel, "")
}

// handleOperation has a payment captured or cancelled.
func (s *service) handleOperation(ctx context.Context, path, kind string, sent httpx.Decimal) (paymentResponse, error) {
	id, err := httpx.ID(path)
	if err != nil {
		return paymentResponse{}, err
	}
	once, err := httpx.Once(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	var before charge
	op, o, err := s.operate(ctx, func(tx *db.Tx) (op operation, c charge, a account, err error) {
		if c, err = s.store.lockPayment(ctx, tx, id); err != nil {
			return op, c, a, err
		}
		before = c
		if a, err = s.store.account(ctx, tx, c.attempt.AccountID); err != nil {
			return op, c, a, err
		}
		op, err = s.decide(ctx, tx, &c, once, kind, sent)
		return op, c, a, err
	})
	if err != nil {
		return paymentResponse{}, err
	}
	return httpx.Command(ctx, s.db, func(tx *db.Tx) (paymentResponse, error) {
		audit.Before(ctx, present(before))
		if op.ID == uuid.Nil {
			c, err := s.store.findPayment(ctx, tx, id, "")
			return shownTo(ctx, present(c)), err
		}
		c, err := s.concludeOperation(ctx, tx, op, o, nil)
		return shownTo(ctx, present(c)), err
	})
}

// decide what is to be asked of the provider; nothing when that has been done.
func (s *service) decide(ctx context.Context, tx *db.Tx, c *charge, once uuid.UUID, kind string, sent httpx.Decimal) (operation, error) {
	if done, err := s.store.operationDone(ctx, tx, once); err != nil || done {
		return operation{}, err
	}
	amount := money.Amount{Currency: c.payment.Amount.Currency}
	if kind == opCancel {
		switch {
		case c.payment.Captured.Minor > 0 && c.attempt.State.over() && c.attempt.State != state(provider.Cancelled):
			return operation{}, errNotCancellable
		case c.attempt.State.over():
			return operation{}, nil
		case c.attempt.Reference == "":
			return operation{}, errInProgress
		}
	} else {
		wanted, err := amountOr(sent, c.attempt.Capturable)
		if err != nil {
			return operation{}, err
		}
		if amount, err = c.capture(wanted); err != nil {
			return operation{}, err
		}
	}
	return s.want(ctx, tx, c, once, kind, amount, tx.Now.Add(firstLook))
}

func (m *Module) handleReceived(ctx context.Context, in *amountInput) (paymentResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return paymentResponse{}, err
	}
	once, err := httpx.Once(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	return httpx.Command(ctx, m.svc.db, func(tx *db.Tx) (paymentResponse, error) {
		c, err := m.svc.store.lockPayment(ctx, tx, id)
		switch {
		case err != nil:
			return paymentResponse{}, err
		case c.payment.Provider != manualName:
			return paymentResponse{}, errNotManual
		case c.attempt.Reference == "" && c.attempt.State.over():
			return paymentResponse{}, errNotPayable // it was called off before anybody was asked to pay
		case c.attempt.Reference == "":
			return paymentResponse{}, errInProgress
		}
		audit.Before(ctx, present(c))
		left, err := c.payment.Amount.Sub(c.payment.Captured)
		if err != nil {
			return paymentResponse{}, err
		}
		if left.Minor <= 0 && in.amount() == "" {
			return paymentResponse{}, httpx.ErrValidation(fault.Field{Pointer: "/amount", Code: "required", Detail: "must say how much came, of a payment that expects no more"})
		}
		amount, err := amountOr(in.amount(), left)
		if err != nil {
			return paymentResponse{}, err
		}
		o, err := m.manual.Received(ctx, tx, c.attempt.Reference, once.String(), amount)
		switch {
		case declined(err) != nil: // the buyer pays otherwise since
			return paymentResponse{}, errNotManual
		case err != nil:
			return paymentResponse{}, err
		}
		c, err = m.svc.conclude(ctx, tx, c.attempt.ID, o, nil)
		return shownTo(ctx, present(c)), err
	})
}

type authenticateBody struct {
	Outcome string `json:"outcome" enum:"succeeded,failed"`
}

type authenticateInput struct {
	httpx.JSON[authenticateBody]
	ID     string `path:"id" doc:"As it stands in nextAction"`
	Ticket string `header:"Cart-Token" maxLength:"200" doc:"The token of the cart that the order was"`
}

func (m *Module) handleAuthenticate(ctx context.Context, in *authenticateInput) (paymentResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil || m.test == nil {
		return paymentResponse{}, httpx.ErrNotFound
	}
	once, err := httpx.Once(ctx)
	if err != nil {
		return paymentResponse{}, err
	}
	return httpx.Command(ctx, m.svc.db, func(tx *db.Tx) (paymentResponse, error) {
		c, err := m.svc.store.lockCharge(ctx, tx, id)
		if err == nil {
			_, err = m.svc.payableBy(ctx, tx, c.payment.OrderID, in.Ticket)
		}
		switch {
		case err != nil:
			return paymentResponse{}, err
		case c.payment.Provider != testName:
			return paymentResponse{}, httpx.ErrNotFound
		case c.attempt.State != state(provider.NeedsAction):
			return paymentResponse{}, errNotWaiting
		}
		audit.About(ctx, "payment", c.payment.ID.String())
		o, err := m.test.Authenticate(ctx, tx, c.attempt.Reference, once.String(), in.Body.Outcome == succeeded)
		if no := declined(err); no != nil {
			return paymentResponse{}, refusedWith(no)
		}
		if err != nil {
			return paymentResponse{}, err
		}
		c, err = m.svc.conclude(ctx, tx, id, o, nil)
		return shownTo(ctx, present(c)), err
	})
}

type webhookInput struct {
	httpx.Raw
	ID   string `path:"id"`
	Shop string `query:"shop" format:"uuid" doc:"The tenant, where the host does not say"`
}

type webhookResponse struct {
	Received bool `json:"received"`
}

func (s *service) handleWebhook(ctx context.Context, in *webhookInput) (webhookResponse, error) {
	id, err := httpx.ID(in.ID)
	if err != nil {
		return webhookResponse{}, err
	}
	if in.Shop != "" {
		shop, err := httpx.ID(in.Shop)
		if err != nil {
			return webhookResponse{}, err
		}
		if ctx, err = httpx.Enter(ctx, shop); err != nil {
			return webhookResponse{}, err
		}
	}
	return s.hearWebhook(ctx, &in.Raw, func(tx *db.Tx) (account, error) { return s.store.account(ctx, tx, id) })
}

type preferredWebhookInput struct{ httpx.Raw }

func (s *service) handlePreferredWebhook(ctx context.Context, in *preferredWebhookInput) (webhookResponse, error) {
	return s.hearWebhook(ctx, &in.Raw, func(tx *db.Tx) (account, error) { return s.store.oneAccount(ctx, tx, `where preferred`) })
}

func (s *service) hearWebhook(ctx context.Context, in *httpx.Raw, find func(tx *db.Tx) (account, error)) (webhookResponse, error) {
	var a account
	if err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = find(tx)
		return err
	}); err != nil {
		return webhookResponse{}, err
	}
	p, opened, err := s.opened(ctx, a)
	if err != nil {
		return webhookResponse{}, err
	}
	n, err := p.Notice(opened, in.Header(), in.RawBody, s.now())
	if err != nil {
		s.log.WarnContext(ctx, "a webhook was refused", "account", a.ID, "err", err)
		return webhookResponse{}, errSignature
	}
	return webhookResponse{Received: true}, s.receive(ctx, a, n)
}
