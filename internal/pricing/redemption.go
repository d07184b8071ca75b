package pricing

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

var errUsedUp = fault.New(fault.Conflict, "discount_used_up", "A discount has been used as often as it may be.")

// customerKey and emailKey are whom uses are counted by. The address itself is not kept.
func customerKey(id string) string { return "customer:" + id }

// emailKey is one however an address is written. What is behind a plus sign reaches the same
// person nearly everywhere.
func emailKey(email string) string {
	email = strings.ToLower(norm.NFKC.String(strings.TrimSpace(email)))
	if parsed, err := mail.ParseAddress(email); err == nil {
		email = parsed.Address
	}
	if at := strings.LastIndexByte(email, '@'); at > 0 {
		if plus := strings.IndexByte(email[:at], '+'); plus > 0 {
			email = email[:plus] + email[at:]
		}
	}
	sum := sha256.Sum256([]byte(email))
	return "email:" + hex.EncodeToString(sum[:])
}

// keysOf a buyer: under whichever of them a discount was used, it was used by them.
func keysOf(b pricingapi.Buyer) (keys []string) {
	if b.CustomerID != "" {
		keys = append(keys, customerKey(b.CustomerID))
	}
	if b.Email != "" {
		keys = append(keys, emailKey(b.Email))
	}
	return keys
}

// redeem takes what an order uses of its discounts, or refuses: then nothing of the
// transaction may come true. It is one statement, none for an order without discounts, and a
// second one only to find out what quickly has not.
func (s *service) redeem(ctx context.Context, tx *db.Tx, order uuid.UUID, q pricingapi.Quote, buyer pricingapi.Buyer) error {
	if len(q.Applied) == 0 {
		return nil
	}
	id, err := identity.From(ctx)
	if err != nil {
		return err
	}
	u := newUsage(order, q, buyer, tx)
	if r, _ := s.cache.get(id.Tenant); r != nil {
		if done, err := s.quickly(ctx, tx, u, r); err != nil || done {
			return err
		}
	}
	refused, err := s.store.useUp(ctx, tx, u)
	if err != nil || len(refused) == 0 {
		return err
	}
	a := q.Applied[slices.Index(u.ids, refused[0])]
	f := errUsedUp.Saying("%s has been used as often as it may be.", a.Name).With("discountId", a.DiscountID)
	if a.Code != "" {
		f = errUsedUp.Saying("%s has been used as often as it may be.", a.Code).With("discountId", a.DiscountID).With("discountCode", a.Code)
	}
	return f
}

// quickly redeems where the rules in memory say that there is little to look at: planning the
// statement that looks at everything takes longer than running it. Nothing has happened when
// it is not done, be it that there is not enough or that the rules are others by now.
func (s *service) quickly(ctx context.Context, tx *db.Tx, u usage, r *rules) (done bool, err error) {
	limited := -1
	for i, text := range u.ids {
		id, err := uuid.Parse(text)
		if err != nil {
			return false, fmt.Errorf("redeem: %w", err)
		}
		switch d, known := r.discounts[id]; {
		case !known, d.perBuyer != nil, u.codes[i] != "" && d.couponed, d.limited && limited >= 0:
			return false, nil
		case d.limited:
			limited = i
		}
	}
	if limited < 0 {
		return s.store.note(ctx, tx, u)
	}
	return s.store.spend(ctx, tx, u, limited)
}

// usage is what an order uses of its discounts.
type usage struct {
	order    uuid.UUID
	ids      []string
	codes    []string
	amounts  []int64
	currency string
	customer *string
	email    *string
	buyers   []string
	at       time.Time
}

func newUsage(order uuid.UUID, q pricingapi.Quote, buyer pricingapi.Buyer, tx *db.Tx) usage {
	u := usage{order: order, currency: string(q.Currency), buyers: append([]string{}, keysOf(buyer)...), at: tx.Now}
	for _, a := range q.Applied {
		u.ids, u.codes, u.amounts = append(u.ids, a.DiscountID), append(u.codes, a.Code), append(u.amounts, a.Amount.Minor)
	}
	if buyer.CustomerID != "" {
		u.customer = &buyer.CustomerID
	}
	if buyer.Email != "" {
		u.email = new(emailKey(buyer.Email))
	}
	return u
}

// sound tells whether all discounts of an order but one, $9, are what the rules in memory say:
// to be had by anybody, as often as they like. Another replica may have decided otherwise.
const sound = `
	with sound as materialized (
		select (select count(*) from pricing.discount where id = any($1::uuid[]) and status = 'active' and max_uses_per_buyer is null and not first_order) = cardinality($1::uuid[])
			and not exists (select from pricing.budget where discount_id = any($1::uuid[]) and discount_id is distinct from $9::uuid)
			and not exists (select from pricing.code where code = any($2::text[]) and max_uses is not null) yes
	)`

const noteUse = `
	insert into pricing.redemption (order_id, discount_id, code, amount_minor, currency, customer_id, email_key, redeemed_at)
	select $4, w.id, w.code, w.amount, $5, $6, $7, $8 from unnest($1::uuid[], $2::text[], $3::bigint[]) w(id, code, amount) where `

// note uses discounts of which none is limited.
func (store) note(ctx context.Context, tx *db.Tx, u usage) (bool, error) {
	n, err := tx.Exec(ctx, sound+noteUse+`(select yes from sound)`,
		db.Array(u.ids), db.Array(u.codes), db.Array(u.amounts), u.order, u.currency, u.customer, u.email, u.at, nil)
	if err != nil {
		return false, fmt.Errorf("note uses of discounts: %w", err)
	}
	return n == int64(len(u.ids)), nil
}

// spend uses discounts of which one is limited. Whoever else uses that one waits until the
// transaction is over.
func (store) spend(ctx context.Context, tx *db.Tx, u usage, limited int) (bool, error) {
	n, err := tx.Exec(ctx, sound+`, spent as (
			update pricing.budget set uses = uses + 1, spent_minor = spent_minor + $10
			where discount_id = $9 and coalesce(uses < max_uses, true) and coalesce(spent_minor + $10 <= max_spend_minor, true) and (select yes from sound)
			returning discount_id
		)`+noteUse+`exists (select from spent)`,
		db.Array(u.ids), db.Array(u.codes), db.Array(u.amounts), u.order, u.currency, u.customer, u.email, u.at, u.ids[limited], u.amounts[limited])
	if err != nil {
		return false, fmt.Errorf("spend a budget: %w", err)
	}
	return n == int64(len(u.ids)), nil
}

// useUp uses discounts whatever their limits are, and returns those of which there is not
// enough left. Whoever is the first to use one waits for nobody, and whoever is not waits for
// the others in the order of giveBack. PostgreSQL begins such a statement where it likes, and
// goes no further than it needs to: each step counts the one before it, which ends that first.
func (store) useUp(ctx context.Context, tx *db.Tx, u usage) (refused []string, err error) {
	if err := tx.Select(ctx, &refused, `
		with want as materialized (
			select w.id, w.code, w.amount, d.status = 'active' open, `+perBuyer+` per_buyer
			from unnest($1::uuid[], $2::text[], $3::bigint[]) w(id, code, amount) join pricing.discount d on d.id = w.id
		), held as materialized (
			select b.discount_id id, coalesce(b.uses < b.max_uses, true) and coalesce(b.spent_minor + w.amount <= b.max_spend_minor, true) ok
			from pricing.budget b join want w on w.id = b.discount_id order by b.discount_id for no key update of b
		), coupon as materialized (
			select c.code, c.discount_id id, c.uses < c.max_uses ok
			from pricing.code c join want w on c.code = w.code and c.discount_id = w.id
			where c.max_uses is not null and (select count(*) from held) >= 0 order by c.code for no key update of c
		), used as (
			insert into pricing.buyer_use as u (discount_id, buyer, uses)
			select w.id, k, 1 from want w, unnest($4::text[]) k
			where w.per_buyer is not null and (select count(*) from coupon) >= 0 order by w.id, k
			on conflict (tenant_id, discount_id, buyer) do update set uses = u.uses + 1
			where u.uses < (select w.per_buyer from want w where w.id = u.discount_id)
			returning u.discount_id id
		), spent as (
			update pricing.budget b set uses = b.uses + 1, spent_minor = b.spent_minor + w.amount
			from want w join held h on h.id = w.id where b.discount_id = w.id and h.ok
		), couponed as (
			update pricing.code c set uses = c.uses + 1 from coupon k where c.code = k.code and k.ok
		), redeemed as (
			insert into pricing.redemption (order_id, discount_id, code, amount_minor, currency, customer_id, email_key, redeemed_at)
			select $5, w.id, w.code, w.amount, $6, $7, $8, $9 from want w
		)
		select x.id::text from unnest($1::uuid[]) x(id) left join want w on w.id = x.id
		where w.id is null or not w.open
		   or exists (select from held h where h.id = w.id and not h.ok)
		   or w.code <> '' and not exists (select from coupon c where c.id = w.id and c.ok)
		      and not exists (select from pricing.code c where c.code = w.code and c.discount_id = w.id and c.max_uses is null)
		   or w.per_buyer is not null and (select count(*) from used u where u.id = w.id) < greatest(1, cardinality($4::text[]))`,
		db.Array(u.ids), db.Array(u.codes), db.Array(u.amounts), db.Array(u.buyers), u.order, u.currency, u.customer, u.email, u.at); err != nil {
		return nil, fmt.Errorf("redeem discounts: %w", err)
	}
	return refused, nil
}
