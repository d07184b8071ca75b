package model_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

type object map[string]any

// shop is a merchant of the program, who does one order after the other.
type shop struct {
	*program
	tenant uuid.UUID
	key    string
}

func (p *program) opens() *shop {
	GinkgoHelper()
	s := &shop{program: p, tenant: testkit.NewTenant(p.database)}
	s.key = testkit.Key(p.app.DB(), s.tenant)
	Expect(s.must("PUT", "/v1/shipping/settings", object{"sender": object{"name": "Casa", "line1": "Rua da Rosa 45", "city": "Porto", "country": "PT"}}, nil)).To(Succeed())
	Expect(s.must("POST", "/v1/payments/accounts", object{"provider": "test"}, nil)).To(Succeed())
	return s
}

var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}

// ask makes a request and tells the code of the refusal, or nothing.
func (s *shop) ask(method, path string, body, into any) (code string, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	content := []byte(nil)
	if body != nil {
		if content, err = json.Marshal(body); err != nil {
			return "", err
		}
	}
	r, err := http.NewRequestWithContext(context.Background(), method, s.url+path, bytes.NewReader(content))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode < 300 {
		if into == nil {
			return "", nil
		}
		return "", json.Unmarshal(raw, into)
	}
	var problem struct{ Code string }
	if err := json.Unmarshal(raw, &problem); err != nil || problem.Code == "" || resp.StatusCode >= 500 {
		return "", fmt.Errorf("%s %s: %d %s", method, path, resp.StatusCode, raw)
	}
	return problem.Code, nil
}

func (s *shop) must(method, path string, body, into any) error {
	code, err := s.ask(method, path, body, into)
	if err == nil && code != "" {
		return fmt.Errorf("%s %s: %s", method, path, code)
	}
	return err
}

// settles waits until nothing is under way in the shop any more.
func (s *shop) settles() error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(2 * time.Millisecond) {
		var waiting, parked int
		if err := s.auditor.QueryRow(`
			select (select count(*) from platform.delivery where tenant_id = $1 and parked_at is null)
			     + (select count(*) from platform.timer where tenant_id = $1 and (due_at <= clock_timestamp() or kind in ('payments.close', 'payments.refund', 'payments.operation'))),
			       (select count(*) from platform.delivery where tenant_id = $1 and parked_at is not null)`, s.tenant).Scan(&waiting, &parked); err != nil {
			return err
		}
		switch {
		case parked > 0:
			return fmt.Errorf("%d facts cannot be handled", parked)
		case waiting == 0:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("%d things are still under way", waiting)
		}
	}
}

// journey is one order, with the names that the program has for what the model counts.
type journey struct {
	*shop
	order    uuid.UUID
	skus     []string
	currency money.Currency
	charges  map[int]string
	parcels  []string
}

// order is what is placed: lines of units that cost what they were dealt.
type order struct {
	Lines    []modelLine
	Shipping int64
	OnHand   map[string]int64
}

// drawn is an order of up to three lines, two of which may be of the same SKU, with odd shares of
// tax. Now and then there is not stock of all of it.
func drawn(rng *rand.Rand) order {
	o := order{Shipping: rng.Int64N(2) * 490, OnHand: map[string]int64{"A": 50, "B": 50}}
	for i := range 1 + rng.IntN(3) {
		l := modelLine{SKU: []string{"A", "B", "A"}[i]}
		price := 1 + rng.Int64N(2000)
		for range 1 + rng.IntN(5) {
			l.Units = append(l.Units, max(1, price-rng.Int64N(3)))
		}
		o.Lines = append(o.Lines, l)
	}
	if rng.IntN(20) == 0 {
		o.OnHand["A"] = int64(rng.IntN(3))
	}
	return o
}

// begins makes products and places an order of them.
func (s *shop) begins(o order, c money.Currency) (*journey, model, error) {
	j := &journey{shop: s, order: clock.NewID(), currency: c, charges: map[int]string{}}
	stock := map[string]level{}
	name := strings.ToUpper(uuid.NewString()[:8])
	for _, sku := range []string{"A", "B"} {
		j.skus = append(j.skus, sku+name)
		stock[sku] = level{OnHand: o.OnHand[sku]}
		if err := s.must("POST", "/v1/products", object{"sku": sku + name, "name": sku, "price": "10.00", "currency": "EUR", "inventory": o.OnHand[sku]}, nil); err != nil {
			return nil, model{}, err
		}
	}
	if err := s.settles(); err != nil {
		return nil, model{}, err
	}
	if err := j.place(o, name); err != nil {
		return nil, model{}, err
	}
	return j, placed(slices.Clone(o.Lines), o.Shipping, stock), s.settles()
}

func (j *journey) place(o order, name string) error {
	j.mu.RLock()
	defer j.mu.RUnlock()
	ctx := testkit.As(j.tenant)
	number, err := j.orders.Admit(ctx)
	if err != nil {
		return err
	}
	in := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: j.currency} }
	p := ordersapi.Placement{
		OrderID: j.order.String(), Number: number, CartID: clock.NewID().String(), CustomerID: "guest-1", Currency: j.currency,
		ShippingAddress: &ordersapi.Address{Name: "Ana", Line1: "Rua Augusta 1", City: "Lisboa", Country: "PT"},
		ShippingTotal:   in(o.Shipping), DiscountTotal: in(0), TaxTotal: in(0), Subtotal: in(0), Total: in(o.Shipping),
	}
	for _, l := range o.Lines {
		line := ordersapi.PlacedLine{ProductID: clock.NewID().String(), SKU: l.SKU + name, Name: l.SKU, Quantity: int64(len(l.Units)), Price: in(slices.Min(l.Units))}
		line.Discount, line.Net, line.Tax, line.Total = in(0), in(0), in(0), in(0)
		for _, cost := range l.Units {
			u := ordersapi.UnitShare{Count: 1, Discount: in(0), Tax: in(cost - line.Price.Minor), Net: line.Price}
			line.Units = append(line.Units, u)
			line.Net.Minor += u.Net.Minor
			line.Tax.Minor += u.Tax.Minor
			line.Total.Minor += cost
		}
		line.Taxes = []ordersapi.TaxShare{{RateID: "vat", Name: "VAT", Rate: "25", Reason: "standard", Amount: line.Tax}}
		p.Lines = append(p.Lines, line)
		p.Subtotal.Minor += line.Price.Minor * line.Quantity
		p.TaxTotal.Minor += line.Tax.Minor
		p.Total.Minor += line.Total.Minor
	}
	if o.Shipping > 0 {
		p.Shipping = &ordersapi.PlacedShipping{MethodID: clock.NewID().String(), Name: "Parcel", Shares: ordersapi.Shares{Discount: in(0), Net: in(o.Shipping), Tax: in(0), Total: in(o.Shipping), Units: []ordersapi.UnitShare{{Count: 1, Discount: in(0), Net: in(o.Shipping), Tax: in(0)}}}}
	}
	return j.app.DB().InTx(ctx, func(tx *db.Tx) error {
		_, err := j.orders.Place(ctx, tx, p, true)
		return err
	})
}

// picture is all that is compared.
type picture struct {
	Status, Reason, City, Payment, Fulfillment string
	CalledOff, Captured, Refunded              int64
	Lines                                      []string
	Charges                                    []string
	Stock                                      map[string]level
}

func lineOf(cancelled, packed, sent, there int64) string {
	return fmt.Sprintf("cancelled %d, packed %d, sent %d, there %d", cancelled, packed, sent, there)
}

func chargeOf(captured, refunded int64) string { return fmt.Sprintf("%d-%d", captured, refunded) }

func (m *model) picture() picture {
	_, captured, refunded := m.sums()
	p := picture{Status: m.Status, Reason: m.Reason, City: m.City, Payment: m.paymentStatus(), Fulfillment: m.fulfillmentStatus(), CalledOff: m.CalledOff, Captured: captured, Refunded: refunded, Stock: m.Stock}
	for _, l := range m.Lines {
		p.Lines = append(p.Lines, lineOf(l.Cancelled, l.Packed, l.Sent, l.There))
	}
	for _, c := range m.Charges {
		p.Charges = append(p.Charges, chargeOf(c.Captured, c.Refunded))
	}
	return p
}

// observed is what the program says of the order.
func (j *journey) observed() (p picture, err error) {
	var v ordersapi.OrderView
	if err := j.must("GET", "/v1/orders/"+j.order.String(), nil, &v); err != nil {
		return p, err
	}
	p = picture{Status: v.Status, Reason: v.Reason, City: v.ShippingAddress.City, Payment: v.PaymentStatus, Fulfillment: v.FulfillmentStatus, Stock: map[string]level{}}
	for text, into := range map[string]*int64{v.CancelledTotal + " off": &p.CalledOff, v.Captured + " captured": &p.Captured, v.Refunded + " refunded": &p.Refunded} {
		a, err := money.Parse(strings.Fields(text)[0], j.currency)
		if err != nil {
			return p, err
		}
		*into = a.Minor
	}
	for _, l := range v.Items {
		p.Lines = append(p.Lines, lineOf(l.Cancelled, l.Consigned, l.Shipped, l.Delivered))
	}
	for i := range len(j.charges) {
		var captured, refunded int64
		if err := j.auditor.QueryRow(`select captured_minor, refunded_minor from payments.payment where tenant_id = $1 and id = $2`, j.tenant, j.charges[i]).Scan(&captured, &refunded); err != nil {
			return p, err
		}
		p.Charges = append(p.Charges, chargeOf(captured, refunded))
	}
	rows, err := j.auditor.Query(`select sku, on_hand, reserved from inventory.stock where tenant_id = $1 and sku = any($2)`, j.tenant, pq.Array(j.skus))
	if err != nil {
		return p, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var sku string
		var l level
		if err := rows.Scan(&sku, &l.OnHand, &l.Reserved); err != nil {
			return p, err
		}
		p.Stock[sku[:1]] = l
	}
	return p, rows.Err()
}

// agrees waits until nothing is under way and compares. It tells which of the models is right.
func (j *journey) agrees(candidates ...model) (int, error) {
	if err := j.settles(); err != nil {
		return 0, err
	}
	got, err := j.observed()
	if err != nil {
		return 0, err
	}
	var wanted []string
	for i := range candidates {
		want := candidates[i].picture()
		if reflect.DeepEqual(got, want) {
			return i, nil
		}
		wanted = append(wanted, fmt.Sprintf("%+v", want))
	}
	return 0, fmt.Errorf("the program says\n  %+v\nand the model\n  %s", got, strings.Join(wanted, "\nor\n  "))
}

// amount as requests write it.
func (j *journey) amount(minor int64) string {
	return money.Amount{Minor: minor, Currency: j.currency}.Decimal()
}
