package payments

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// store is the SQL of the payments' schema.
type store struct{}

// lockPayable locks what is to pay for an order, and makes it when nobody has asked before.
// Everything that changes a payment holds this lock.
func (store) lockPayable(ctx context.Context, tx *db.Tx, b payable) (_ payable, fresh bool, err error) {
	var r struct {
		payableRow
		Fresh bool `db:"fresh"`
	}
	if err := tx.Get(ctx, &r, db.Keep+`
		insert into payments.payable as b (order_id, customer_id, currency, total_minor) values ($1, $2, $3, $4)
		on conflict (tenant_id, order_id) do update set order_id = excluded.order_id
		returning `+payableColumns+`, b.xmax = 0 fresh`, b.OrderID, b.CustomerID, string(b.Total.Currency), b.Total.Minor); err != nil {
		return payable{}, false, fmt.Errorf("lock payable: %w", err)
	}
	return r.domain(), r.Fresh, nil
}

// closePayables notes that orders are not to be paid any more. It locks them, in the order of
// their ids, and returns those that have payments and were to be paid until now.
func (store) closePayables(ctx context.Context, tx *db.Tx, list []payable) ([]string, error) {
	n := len(list)
	orders, customers, currencies, reasons, totals := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, b := range list {
		orders[i], customers[i], currencies[i], reasons[i], totals[i] = b.OrderID.String(), b.CustomerID, string(b.Total.Currency), b.Closed, b.Total.Minor
	}
	var begun []string
	if err := tx.Select(ctx, &begun, `
		with closed as (
			insert into payments.payable as b (order_id, customer_id, currency, total_minor, reason, closed_at)
			select n.id, n.customer, n.currency, n.total, n.reason, $6
			from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[]) n(id, customer, currency, total, reason) order by n.id
			on conflict (tenant_id, order_id) do update set reason = coalesce(b.reason, excluded.reason), closed_at = coalesce(b.closed_at, excluded.closed_at)
			returning b.order_id, b.closed_at
		)
		select c.order_id::text from closed c where c.closed_at = $6 and exists (select from payments.payment p where p.order_id = c.order_id)`,
		db.Array(orders), db.Array(customers), db.Array(currencies), db.Array(totals), db.Array(reasons), tx.Now); err != nil {
		return nil, fmt.Errorf("close payables: %w", err)
	}
	return begun, nil
}

// lowerPayables notes that orders cost less than they did: never more, in whatever order the
// news comes. It locks them, in the order of their ids, and returns those that have payments.
func (store) lowerPayables(ctx context.Context, tx *db.Tx, list []payable) ([]string, error) {
	n := len(list)
	orders, customers, currencies, totals := make([]string, n), make([]string, n), make([]string, n), make([]int64, n)
	for i, b := range list {
		orders[i], customers[i], currencies[i], totals[i] = b.OrderID.String(), b.CustomerID, string(b.Total.Currency), b.Total.Minor
	}
	var begun []string
	if err := tx.Select(ctx, &begun, `
		with lowered as (
			insert into payments.payable as b (order_id, customer_id, currency, total_minor)
			select n.id, n.customer, n.currency, n.total from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) n(id, customer, currency, total) order by n.id
			on conflict (tenant_id, order_id) do update set total_minor = least(b.total_minor, excluded.total_minor)
			returning b.order_id
		)
		select l.order_id::text from lowered l where exists (select from payments.payment p where p.order_id = l.order_id)`,
		db.Array(orders), db.Array(customers), db.Array(currencies), db.Array(totals)); err != nil {
		return nil, fmt.Errorf("lower payables: %w", err)
	}
	return begun, nil
}

// claim gives what guests paid to the customers whose orders they are now.
func (store) claim(ctx context.Context, tx *db.Tx, orders, customers []string) error {
	// In a statement of its own: the parts of one that changes two tables run in no order.
	if _, err := tx.Exec(ctx, `select from payments.payable where order_id = any($1) order by order_id for update`, db.Array(orders)); err != nil {
		return fmt.Errorf("lock payables: %w", err)
	}
	if _, err := tx.Exec(ctx, `
		with n as (select * from unnest($1::uuid[], $2::text[]) n(order_id, customer)),
		b as (update payments.payable b set customer_id = n.customer from n where b.order_id = n.order_id)
		update payments.payment p set customer_id = n.customer from n where p.order_id = n.order_id`, db.Array(orders), db.Array(customers)); err != nil {
		return fmt.Errorf("claim payments: %w", err)
	}
	return nil
}

type payableRow struct {
	OrderID    uuid.UUID  `db:"b_order_id"`
	CustomerID string     `db:"b_customer_id"`
	Currency   string     `db:"b_currency"`
	Total      int64      `db:"b_total"`
	Reason     *string    `db:"b_reason"`
	ClosedAt   *time.Time `db:"b_closed_at"`
}

const payableColumns = `b.order_id b_order_id, b.customer_id b_customer_id, b.currency b_currency, b.total_minor b_total, b.reason b_reason, b.closed_at b_closed_at`

func (r payableRow) domain() payable {
	b := payable{OrderID: r.OrderID, CustomerID: r.CustomerID, Total: money.Amount{Minor: r.Total, Currency: money.Currency(r.Currency)}, Closed: text(r.Reason)}
	if r.ClosedAt != nil {
		b.ClosedAt = r.ClosedAt.UTC()
	}
	return b
}

type paymentRow struct {
	ID             uuid.UUID `db:"p_id"`
	OrderID        uuid.UUID `db:"p_order_id"`
	AccountID      uuid.UUID `db:"p_account_id"`
	Provider       string    `db:"p_provider"`
	CustomerID     string    `db:"p_customer_id"`
	Currency       string    `db:"p_currency"`
	Amount         int64     `db:"p_amount"`
	Manual         bool      `db:"p_manual"`
	Status         string    `db:"p_status"`
	AttemptID      uuid.UUID `db:"p_attempt_id"`
	Authorized     int64     `db:"p_authorized"`
	Captured       int64     `db:"p_captured"`
	Refunding      int64     `db:"p_refunding"`
	Refunded       int64     `db:"p_refunded"`
	Disputed       int64     `db:"p_disputed"`
	FailureCode    *string   `db:"p_failure_code"`
	FailureMessage *string   `db:"p_failure_message"`
	Warning        *string   `db:"p_warning"`
	Version        int64     `db:"p_version"`
	CreatedAt      time.Time `db:"p_created_at"`
	UpdatedAt      time.Time `db:"p_updated_at"`
}

const paymentColumns = `p.id p_id, p.order_id p_order_id, p.account_id p_account_id, p.provider p_provider, p.customer_id p_customer_id, p.currency p_currency, ` +
	`p.amount_minor p_amount, p.manual p_manual, p.status p_status, p.attempt_id p_attempt_id, p.authorized_minor p_authorized, p.captured_minor p_captured, ` +
	`p.refunding_minor p_refunding, p.refunded_minor p_refunded, p.disputed_minor p_disputed, p.failure_code p_failure_code, p.failure_message p_failure_message, ` +
	`p.warning p_warning, p.version p_version, p.created_at p_created_at, p.updated_at p_updated_at`

func (r paymentRow) domain() payment {
	m := func(minor int64) money.Amount {
		return money.Amount{Minor: minor, Currency: money.Currency(r.Currency)}
	}
	return payment{
		ID: r.ID, OrderID: r.OrderID, AccountID: r.AccountID, Provider: r.Provider, CustomerID: r.CustomerID, Amount: m(r.Amount), Manual: r.Manual, Status: r.Status,
		AttemptID: r.AttemptID, Authorized: m(r.Authorized), Captured: m(r.Captured), Refunding: m(r.Refunding), Refunded: m(r.Refunded), Disputed: m(r.Disputed),
		Failure: refusal(r.FailureCode, r.FailureMessage), Warning: text(r.Warning), Version: r.Version, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

type attemptRow struct {
	ID         uuid.UUID `db:"a_id"`
	PaymentID  uuid.UUID `db:"a_payment_id"`
	AccountID  uuid.UUID `db:"a_account_id"`
	State      string    `db:"a_state"`
	Reference  *string   `db:"a_reference"`
	Method     *string   `db:"a_method"`
	ReturnURL  *string   `db:"a_return_url"`
	Amount     int64     `db:"a_amount"`
	Capturable int64     `db:"a_capturable"`
	Captured   int64     `db:"a_captured"`
	Fee        int64     `db:"a_fee"`
	Secret     []byte    `db:"a_client_secret"`
	NextAction *string   `db:"a_next_action"`
	CreatedAt  time.Time `db:"a_created_at"`
}

const attemptColumns = `a.id a_id, a.payment_id a_payment_id, a.account_id a_account_id, a.state a_state, a.reference a_reference, a.method a_method, a.return_url a_return_url, ` +
	`a.amount_minor a_amount, a.capturable_minor a_capturable, a.captured_minor a_captured, a.fee_minor a_fee, a.client_secret a_client_secret, a.next_action a_next_action, a.created_at a_created_at`

func (r attemptRow) domain(c money.Currency) attempt {
	m := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: c} }
	return attempt{
		ID: r.ID, PaymentID: r.PaymentID, AccountID: r.AccountID, State: state(r.State), Reference: text(r.Reference), Method: text(r.Method), ReturnURL: text(r.ReturnURL),
		Amount: m(r.Amount), Capturable: m(r.Capturable), Captured: m(r.Captured), Fee: m(r.Fee), Secret: r.Secret, NextAction: text(r.NextAction), CreatedAt: r.CreatedAt.UTC(),
	}
}

type chargeRow struct {
	payableRow
	paymentRow
	attemptRow
}

const chargeColumns = payableColumns + `, ` + paymentColumns + `, ` + attemptColumns

const chargeTables = ` from payments.payable b join payments.payment p on p.order_id = b.order_id join payments.attempt a on a.payment_id = p.id`

// Rows named by their whole keys, each: as long as PostgreSQL knows nothing of the tables it
// takes any other index for as good, and reads all payments of a shop.
const (
	ofAttempt = ` where a.id = $1 and p.id = (select payment_id from payments.attempt where id = $1)
		and b.order_id = (select order_id from payments.payment where id = (select payment_id from payments.attempt where id = $1))`
	ofPayment = ` where p.id = $1 and a.id = (select attempt_id from payments.payment where id = $1) and b.order_id = (select order_id from payments.payment where id = $1)`
)

func (r chargeRow) domain() charge {
	p := r.paymentRow.domain()
	return charge{r.payableRow.domain(), p, r.attemptRow.domain(p.Amount.Currency)}
}

// lockCharge reads an attempt and locks all that it has to do with.
func (s store) lockCharge(ctx context.Context, tx *db.Tx, attempt uuid.UUID) (charge, error) {
	return s.charge(ctx, tx, ofAttempt+` for update`, attempt)
}

// lockPayment reads a payment with its latest attempt. Which attempt that is can be told once
// the lock is there.
func (s store) lockPayment(ctx context.Context, tx *db.Tx, id uuid.UUID) (charge, error) {
	var orders []uuid.UUID
	if err := tx.Select(ctx, &orders, `
		select b.order_id from payments.payable b join payments.payment p on p.order_id = b.order_id where p.id = $1 for update of b`, id); err != nil {
		return charge{}, fmt.Errorf("lock payment: %w", err)
	}
	if len(orders) == 0 {
		return charge{}, httpx.ErrNotFound
	}
	return s.findPayment(ctx, tx, id, "")
}

// findPayment reads a payment with its latest attempt; only one of a customer when one is named.
func (s store) findPayment(ctx context.Context, tx *db.Tx, id uuid.UUID, only string) (charge, error) {
	return s.charge(ctx, tx, ofPayment+` and ($2 = '' or p.customer_id = $2)`, id, only)
}

func (s store) findAttempt(ctx context.Context, tx *db.Tx, id uuid.UUID) (charge, error) {
	return s.charge(ctx, tx, ofAttempt, id)
}

func (s store) charge(ctx context.Context, tx *db.Tx, where string, args ...any) (charge, error) {
	list, err := s.charges(ctx, tx, db.Keep, where, args...)
	if err != nil {
		return charge{}, err
	}
	if len(list) == 0 {
		return charge{}, httpx.ErrNotFound
	}
	return list[0], nil
}

func (store) charges(ctx context.Context, tx *db.Tx, how, where string, args ...any) ([]charge, error) {
	var rows []chargeRow
	if err := tx.Select(ctx, &rows, how+`select `+chargeColumns+chargeTables+where, args...); err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	list := make([]charge, len(rows))
	for i, r := range rows {
		list[i] = r.domain()
	}
	return list, nil
}

// ofOrder are the payments of an order, the oldest first, with the latest attempt of each.
func (s store) ofOrder(ctx context.Context, tx *db.Tx, order uuid.UUID) ([]charge, error) {
	return s.charges(ctx, tx, db.Keep, ` where p.order_id = $1 and a.id = p.attempt_id order by p.created_at, p.id`, order)
}

// chargesOf are all attempts of a payment, the oldest first.
func (s store) chargesOf(ctx context.Context, tx *db.Tx, payment uuid.UUID) ([]charge, error) {
	return s.charges(ctx, tx, db.Keep, ` where p.id = $1 order by a.created_at, a.id`, payment)
}

// lockOrder reads all attempts of all payments of an order, the oldest first, and locks them.
func (s store) lockOrder(ctx context.Context, tx *db.Tx, order uuid.UUID) ([]charge, error) {
	if _, err := tx.Exec(ctx, `select from payments.payable where order_id = $1 for update`, order); err != nil {
		return nil, fmt.Errorf("lock payable: %w", err)
	}
	return s.charges(ctx, tx, db.Keep, ` where b.order_id = $1 order by a.created_at, a.id`, order)
}

// attemptOf is the attempt that a charge at a provider is of; uuid.Nil when it is nobody's.
func (store) attemptOf(ctx context.Context, tx *db.Tx, account uuid.UUID, attempt, reference string) (uuid.UUID, error) {
	named := uuid.Nil
	if id, err := uuid.Parse(attempt); err == nil {
		named = id
	}
	var ids []uuid.UUID
	if err := tx.Select(ctx, &ids, `select id from payments.attempt where account_id = $1 and (id = $2 or reference = $3) order by id = $2 desc limit 1`, account, named, reference); err != nil {
		return uuid.Nil, fmt.Errorf("find attempt: %w", err)
	}
	if len(ids) == 0 {
		return uuid.Nil, nil
	}
	return ids[0], nil
}

// versionOf is that of the payment that a charge at a provider is of; 0 when it is nobody's.
func (store) versionOf(ctx context.Context, tx *db.Tx, account uuid.UUID, reference string) (int64, error) {
	var versions []int64
	if err := tx.Select(ctx, &versions, `
		select p.version from payments.attempt a join payments.payment p on p.id = a.payment_id where a.account_id = $1 and a.reference = $2`, account, reference); err != nil {
		return 0, fmt.Errorf("read the version of a payment: %w", err)
	}
	if len(versions) == 0 {
		return 0, nil
	}
	return versions[0], nil
}

// begin writes a new payment with its first attempt.
func (store) begin(ctx context.Context, tx *db.Tx, c charge) error {
	p, a := c.payment, c.attempt
	_, err := tx.Exec(ctx, db.Keep+`
		with p as (
			insert into payments.payment (id, order_id, account_id, provider, customer_id, currency, amount_minor, manual, status, attempt_id, version, created_at, updated_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
		)
		insert into payments.attempt (id, payment_id, account_id, state, method, return_url, amount_minor, created_at, updated_at)
		values ($10, $1, $3, $13, $14, $15, $16, $12, $12)`,
		p.ID, p.OrderID, p.AccountID, p.Provider, p.CustomerID, string(p.Amount.Currency), p.Amount.Minor, p.Manual, p.Status, a.ID, p.Version, p.CreatedAt,
		string(a.State), orNull(a.Method), orNull(a.ReturnURL), a.Amount.Minor)
	if db.Violates(err, "payment_tenant_id_account_id_fkey") { // somebody has removed the account in this moment
		return errNoAccount
	}
	if err != nil {
		return fmt.Errorf("insert payment: %w", err)
	}
	return nil
}

// mostAttempts of an order: whoever has tried that many cards is not looking for their own.
const mostAttempts = 20

// mayTry refuses an attempt too many.
func (store) mayTry(ctx context.Context, tx *db.Tx, order uuid.UUID) error {
	var n int
	if err := tx.Get(ctx, &n, `select count(*) from payments.attempt a join payments.payment p on p.id = a.payment_id where p.order_id = $1`, order); err != nil {
		return fmt.Errorf("count attempts: %w", err)
	}
	if n >= mostAttempts {
		return errTooMany
	}
	return nil
}

// tryAgain writes a further attempt of a payment.
func (store) tryAgain(ctx context.Context, tx *db.Tx, c charge) error {
	p, a := c.payment, c.attempt
	if _, err := tx.Exec(ctx, `
		with p as (
			update payments.payment set attempt_id = $1, amount_minor = $2, status = $3, failure_code = null, failure_message = null, version = $4, updated_at = $5 where id = $6
		)
		insert into payments.attempt (id, payment_id, account_id, state, method, return_url, amount_minor, created_at, updated_at)
		values ($1, $6, $7, $8, $9, $10, $2, $5, $5)`,
		a.ID, a.Amount.Minor, p.Status, p.Version, p.UpdatedAt, p.ID, a.AccountID, string(a.State), orNull(a.Method), orNull(a.ReturnURL)); err != nil {
		return fmt.Errorf("insert attempt: %w", err)
	}
	return nil
}

// save writes what became of a charge.
func (store) save(ctx context.Context, tx *db.Tx, c charge) error {
	p, a := c.payment, c.attempt
	code, message := words(p.Failure)
	if _, err := tx.Exec(ctx, db.Keep+`
		with a as (
			update payments.attempt set state = $2, reference = $3, capturable_minor = $4, captured_minor = $5, fee_minor = $6, client_secret = $7, next_action = $8, return_url = $9, updated_at = $20
			where id = $1
		)
		update payments.payment
		set status = $11, authorized_minor = $12, captured_minor = $13, refunding_minor = $14, refunded_minor = $15, disputed_minor = $16,
		    failure_code = $17, failure_message = $18, version = $19, updated_at = $20, warning = $21
		where id = $10`,
		a.ID, string(a.State), orNull(a.Reference), a.Capturable.Minor, a.Captured.Minor, a.Fee.Minor, a.Secret, orNull(a.NextAction), orNull(a.ReturnURL),
		p.ID, p.Status, p.Authorized.Minor, p.Captured.Minor, p.Refunding.Minor, p.Refunded.Minor, p.Disputed.Minor, code, message, p.Version, tx.Now, orNull(p.Warning)); err != nil {
		return fmt.Errorf("save payment: %w", err)
	}
	return nil
}

// filter of a list, with where the page begins.
type filter struct {
	Status, CustomerID, Provider string
	OrderID                      *uuid.UUID
	From, Until                  *time.Time
	After                        *position
	Limit                        int
}

// position is the last of the page before.
type position struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

func (s store) list(ctx context.Context, tx *db.Tx, f filter) ([]charge, error) {
	conditions, args := []string{`a.id = p.attempt_id`}, []any{}
	where := func(condition string, v any) {
		args = append(args, v)
		conditions = append(conditions, fmt.Sprintf(condition, len(args)))
	}
	if f.Status != "" {
		where(`p.status = $%d`, f.Status)
	}
	if f.CustomerID != "" {
		where(`p.customer_id = $%d`, f.CustomerID)
	}
	if f.Provider != "" {
		where(`p.provider = $%d`, f.Provider)
	}
	if f.OrderID != nil {
		where(`p.order_id = $%d`, *f.OrderID)
	}
	if f.From != nil {
		where(`p.created_at >= $%d`, *f.From)
	}
	if f.Until != nil {
		where(`p.created_at < $%d`, *f.Until)
	}
	if f.After != nil {
		args = append(args, f.After.At, f.After.ID)
		conditions = append(conditions, fmt.Sprintf(`(p.created_at, p.id) < ($%d::timestamptz, $%d::uuid)`, len(args)-1, len(args)))
	}
	args = append(args, f.Limit)
	return s.charges(ctx, tx, "", ` where `+strings.Join(conditions, ` and `)+fmt.Sprintf(` order by p.created_at desc, p.id desc limit $%d`, len(args)), args...)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func refusal(code, message *string) *provider.Declined {
	if code == nil {
		return nil
	}
	return &provider.Declined{Code: *code, Message: text(message)}
}

func words(no *provider.Declined) (code, message *string) {
	if no == nil {
		return nil, nil
	}
	return &no.Code, orNull(no.Message)
}
