package model_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/cmd/fusion/invariant"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

// op is one thing that is done to an order. Which line, how many and how much follow from its
// numbers and from how the order stands, so that a sequence makes sense without some of it too.
type op struct {
	Kind    string
	A, B, C uint32
}

// kinds are what is done, as often as it is named.
var kinds = strings.Fields(`
	pay pay pay decline hold hold capture capture release
	cancel cancel cancelItems cancelItems cancelItems cancelItems
	pack pack pack pack pack void ship ship ship deliver deliver
	redirect refund refund later redeliver redeliver restart together together together`)

const length = 30

func sequence(rng *rand.Rand) []op {
	list := make([]op, length)
	for i := range list {
		list[i] = op{kinds[rng.IntN(len(kinds))], rng.Uint32(), rng.Uint32(), rng.Uint32()}
	}
	// A program that starts takes long, beside all the rest.
	for i := range list {
		if list[i].Kind == "restart" && list[i].A%4 > 0 {
			list[i].Kind = "pay"
		}
	}
	return list
}

// action is an op on an order as it stands: what the model says of it, and what the program does.
// An action that there is nothing for has no said.
type action struct {
	text string
	said func(*model) string
	ask  func() (code, made string, err error)
	kept func(m *model, made string) error // of what was made
}

func upTo(n uint32, most int64) int64 { return 1 + int64(n)%max(1, most) }

// on resolves an op.
func (o op) on(j *journey, m model) (a action) {
	post := func(path string, body any) func() (string, string, error) {
		return func() (string, string, error) {
			var made struct{ ID string }
			code, err := j.ask("POST", path, body, &made)
			return code, made.ID, err
		}
	}
	at, order := 0, "/v1/orders/"+j.order.String()
	line := int(o.A) % len(m.Lines)
	n := upTo(o.B, m.Lines[line].left()+1)
	switch o.Kind {
	case "pay", "decline", "hold":
		how, body := goodCard, object{"orderId": j.order, "method": "pm_card_visa"}
		if o.Kind == "decline" {
			how, body["method"] = badCard, "pm_card_chargeDeclined"
		}
		if o.Kind == "hold" {
			how, body["capture"] = holdCard, "manual"
		}
		return action{how, func(m *model) string { return m.pay(how) }, post("/v1/payments", body), func(m *model, made string) error {
			for i := range m.Charges {
				if j.charges[i] == made {
					return nil
				}
			}
			if len(j.charges) == len(m.Charges) {
				return fmt.Errorf("payment %s is another one than those before", made)
			}
			j.charges[len(j.charges)] = made
			return nil
		}}
	case "capture", "release", "refund":
		if len(m.Charges) == 0 {
			return a
		}
		if at = m.live(); at < 0 || o.Kind == "refund" || o.C%8 == 0 {
			at = int(o.A) % len(m.Charges)
		}
		c, path := m.Charges[at], "/v1/payments/"+j.charges[at]
		switch o.Kind {
		case "capture":
			amount := upTo(o.B, c.Held+1)
			if o.C%2 == 0 {
				amount = max(1, c.Held)
			}
			return action{fmt.Sprintf("capture %d of payment %d", amount, at), func(m *model) string { return m.capture(at, amount) }, post(path+"/capture", object{"amount": j.amount(amount)}), nil}
		case "release":
			return action{fmt.Sprintf("cancel payment %d", at), func(m *model) string { return m.letGo(at) }, post(path+"/cancel", nil), nil}
		}
		amount := upTo(o.B, (c.Captured-c.Refunded)/3+1)
		if o.C%16 == 0 {
			amount = c.Captured - c.Refunded + 1
		}
		return action{fmt.Sprintf("refund %d of payment %d", amount, at), func(m *model) string { return m.refund(at, amount) }, post(path+"/refunds", object{"amount": j.amount(amount), "reason": "damaged"}), nil}
	case "cancel":
		packed := slices.ContainsFunc(m.Lines, func(l modelLine) bool { return l.Packed > 0 })
		if o.B%4 > 0 && !packed { // few orders are, or else few get far
			return a
		}
		return action{"cancel", func(m *model) string { return m.cancel("spec") }, post(order+"/cancel", object{"reason": "spec"}), nil}
	case "cancelItems":
		return action{
			fmt.Sprintf("cancel %d of line %d", n, line+1), func(m *model) string { return m.cancelItems(line, n, "spec") },
			post(order+"/cancel", object{"reason": "spec", "items": []object{{"line": line + 1, "quantity": n}}}), nil,
		}
	case "pack":
		body := object{"orderId": j.order}
		all := o.C%4 == 0
		if !all {
			body["items"] = []object{{"line": line + 1, "quantity": n}}
		}
		return action{fmt.Sprintf("pack %d of line %d, all: %t", n, line+1, all), func(m *model) string { return m.pack(line, n, all) }, post("/v1/shipments", body), func(_ *model, made string) error {
			j.parcels = append(j.parcels, made)
			return nil
		}}
	case "void", "ship", "deliver":
		if len(m.Parcels) == 0 {
			return a
		}
		at = int(o.A) % len(m.Parcels)
		said := func(m *model) string { return m.void(at) }
		if to := map[string]string{"ship": "shipped", "deliver": "delivered"}[o.Kind]; to != "" {
			said = func(m *model) string { return m.send(at, to) }
		}
		return action{fmt.Sprintf("%s parcel %d", o.Kind, at), said, post("/v1/shipments/"+j.parcels[at]+"/"+o.Kind, nil), nil}
	case "redirect":
		city := []string{"Lisboa", "Faro", "Braga"}[o.A%3]
		return action{"send it to " + city, func(m *model) string { return m.redirect(city) }, post(order+"/edits", object{"shippingAddress": object{"name": "Ana", "line1": "Rua Augusta 1", "city": city, "country": "PT"}}), nil}
	case "later":
		return action{"a day passes", func(m *model) string { m.later(); return "" }, j.later, nil}
	case "redeliver":
		return action{"a fact comes again", func(*model) string { return "" }, func() (string, string, error) { return "", "", j.redeliver(o.A, o.B%2 == 0) }, nil}
	case "restart":
		return action{"the program starts anew", func(*model) string { return "" }, func() (string, string, error) {
			j.restart()
			return "", "", nil
		}, nil}
	}
	return a
}

// later lets a day pass for the order, and has what is due then be done.
func (j *journey) later() (string, string, error) {
	for _, q := range []string{
		`update orders.orders set created_at = created_at - interval '1 day' where tenant_id = $1 and id = $2`,
		`update orders.payment set updated_at = updated_at - interval '1 day' where tenant_id = $1 and order_id = $2`,
		`insert into platform.timer (tenant_id, kind, subject, due_at) values ($1, 'orders.sweep-unpaid', $2::uuid::text, clock_timestamp())`,
	} {
		if _, err := j.auditor.Exec(q, j.tenant, j.order); err != nil {
			return "", "", err
		}
	}
	return "", "", nil
}

// redeliver hands a fact to one of those who heard it already. Those whose reaction is a function
// of the latest fact also forget that they did.
func (j *journey) redeliver(which uint32, forget bool) error {
	tx, err := j.auditor.Begin()
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	const heard = `from platform.event e join (select consumer, topic, count(*) parts from platform.subscription group by consumer, topic) s on s.topic = e.type
		where e.tenant_id = $1 and e.correlation_id is not null`
	var n int64
	if err := tx.QueryRow(`select count(*) `+heard, j.tenant).Scan(&n); err != nil || n == 0 {
		return err
	}
	const one = `with one as (select e.tenant_id, e.id, e.seq, e.recorded_at, e.subject, s.consumer, s.parts ` + heard + ` order by e.seq desc, s.consumer offset $2 limit 1) `
	at := int64(which) % min(n, 40) // of the latest
	if forget {
		if _, err := tx.Exec(one+`delete from platform.inbox i using one where i.tenant_id = one.tenant_id and i.consumer = one.consumer and i.event_id = one.id and one.consumer like 'orders.heed-%'`, j.tenant, at); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(one+`
		insert into platform.delivery (tenant_id, consumer, part, seq, recorded_at, subject)
		select tenant_id, consumer, (hashtext(subject) & 2147483647) % parts, seq, recorded_at, subject from one on conflict do nothing`, j.tenant, at); err != nil {
		return err
	}
	return tx.Commit()
}

// does an action and holds the program to the model.
func (j *journey) does(m model, a action) (model, error) {
	next := m.clone()
	want := a.said(&next)
	got, made, err := a.ask()
	if err != nil {
		return m, err
	}
	if got != want {
		return m, fmt.Errorf("the program answers %q, and the model %q", got, want)
	}
	if got == "" && a.kept != nil {
		if err := a.kept(&next, made); err != nil {
			return m, err
		}
	}
	_, err = j.agrees(next)
	return next, err
}

// doesBoth at the same moment: it must be as if one had come after the other.
func (j *journey) doesBoth(m model, both [2]action) (model, error) {
	type answer struct {
		code, made string
		err        error
	}
	var got [2]answer
	var wg sync.WaitGroup
	for i, a := range both {
		wg.Go(func() { got[i].code, got[i].made, got[i].err = a.ask() })
	}
	wg.Wait()
	var candidates []model
	var turns [][2]int
	for _, turn := range [][2]int{{0, 1}, {1, 0}} {
		next, fits := m.clone(), true
		for _, i := range turn {
			if got[i].err != nil {
				return m, got[i].err
			}
			fits = both[i].said(&next) == got[i].code && fits
		}
		if fits {
			candidates, turns = append(candidates, next), append(turns, turn)
		}
	}
	if len(candidates) == 0 {
		return m, fmt.Errorf("the program answers %q and %q, which is neither one after the other", got[0].code, got[1].code)
	}
	right, err := j.agrees(candidates...)
	if err != nil {
		return m, err
	}
	for _, i := range turns[right] {
		if got[i].code == "" && both[i].kept != nil {
			if err := both[i].kept(&candidates[right], got[i].made); err != nil {
				return m, err
			}
		}
	}
	return candidates[right], nil
}

// atOnce are what is done to an order by two at the same moment: what each of them decides, it
// decides under the lock of the order, or of the payment.
var atOnce = [][2]string{{"cancelItems", "cancelItems"}, {"cancelItems", "pack"}, {"pack", "pack"}, {"cancel", "pack"}, {"cancel", "cancelItems"}, {"refund", "refund"}, {"ship", "void"}, {"deliver", "ship"}}

// runs a sequence on an order of its own, and tells where the program and the model part.
func (s *shop) runs(o order, list []op) (trail []string, err error) {
	j, m, err := s.begins(o, money.EUR)
	if err != nil {
		return nil, err
	}
	trail = []string{fmt.Sprintf("place %+v", o)}
	if _, err := j.agrees(m); err != nil {
		return trail, err
	}
	for _, op := range list {
		if op.Kind == "together" {
			pair := atOnce[op.C%uint32(len(atOnce))]
			first, other := op, op
			first.Kind, other.Kind, other.A, other.B = pair[0], pair[1], op.B, op.A
			if pair[0] == "refund" || pair[0] == "ship" || pair[0] == "deliver" {
				other.A = op.A // of the same
			}
			both := [2]action{first.on(j, m), other.on(j, m)}
			if both[0].said == nil || both[1].said == nil {
				continue
			}
			trail = append(trail, both[0].text+" and "+both[1].text)
			if m, err = j.doesBoth(m, both); err != nil {
				return trail, err
			}
			continue
		}
		a := op.on(j, m)
		if a.said == nil {
			continue
		}
		trail = append(trail, a.text)
		if m, err = j.does(m, a); err != nil {
			return trail, err
		}
	}
	return trail, nil
}

// shrunk leaves out of a sequence that fails what it fails without.
func (s *shop) shrunk(o order, list []op, steps int) ([]string, error) {
	list = slices.Clone(list[:min(steps, len(list))])
	trail, err := s.runs(o, list)
	for i := len(list) - 1; i >= 0 && err != nil; i-- {
		without := slices.Delete(slices.Clone(list), i, i+1)
		if shorter, still := s.runs(o, without); still != nil {
			list, trail, err = without, shorter, still
		}
	}
	return trail, err
}

// full is the size of a night, not of a build.
var full = os.Getenv("FUSION_FAULTS") == "full"

var _ = Describe("an order", Label("db"), func() {
	It("is what the model says, whatever is done to it", func() {
		p := opened()
		n, workers := 45, 6
		if full {
			n = 2000
		}
		seeds := make(chan uint64, n)
		for i := range n {
			seeds <- uint64(GinkgoRandomSeed())<<20 + uint64(i)
		}
		if one, err := strconv.ParseUint(os.Getenv("FUSION_MODEL_SEED"), 10, 64); err == nil {
			seeds = make(chan uint64, 1)
			seeds <- one
		}
		close(seeds)
		var wg sync.WaitGroup
		var failed sync.Once
		var report string
		var stopped sync.Map
		for range workers {
			s := p.opens()
			wg.Go(func() {
				defer GinkgoRecover()
				for seed := range seeds {
					if _, stop := stopped.Load(true); stop {
						return
					}
					rng := rand.New(rand.NewPCG(seed, 0))
					o, list := drawn(rng), sequence(rng)
					trail, err := s.runs(o, list)
					if err == nil {
						continue
					}
					failed.Do(func() {
						stopped.Store(true, true)
						report = fmt.Sprintf("FUSION_MODEL_SEED=%d\n%s\n%v", seed, strings.Join(trail, "\n"), err)
						if shorter, still := s.shrunk(o, list, len(list)); still != nil {
							report += fmt.Sprintf("\n\nshorter:\n%s\n%v", strings.Join(shorter, "\n"), still)
						}
					})
					return
				}
			})
		}
		wg.Wait()
		Expect(report).To(BeEmpty())
		AddReportEntry("sequences", fmt.Sprintf("%d, of %d steps each; --seed=%d repeats them", n, length, GinkgoRandomSeed()))
		Expect(invariant.Check(p.context(), p.auditor, invariant.Always())).To(BeEmpty())
	})
})
