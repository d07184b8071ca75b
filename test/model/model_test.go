package model_test

import (
	"maps"
	"slices"
)

// model is the order as the documents tell of it: docs/orders.md and docs/payments.md. It knows
// nothing of how the program does it. Amounts are minor units.
type model struct {
	Status, Reason string
	City           string // that it goes to
	Lines          []modelLine
	Total          int64 // with what is paid for shipping
	CalledOff      int64
	Charges        []charge // in the order in which they were begun
	Tries          int      // to pay
	Parcels        []parcel
	Stock          map[string]level
}

// modelLine is a line with what each of its units costs, as it was dealt when the order was placed.
type modelLine struct {
	SKU                            string
	Units                          []int64
	Cancelled, Packed, Sent, There int64
}

func (l modelLine) open() int64 { return int64(len(l.Units)) - l.Cancelled }
func (l modelLine) left() int64 { return l.open() - l.Packed }

// charge is a payment: of what is held nothing was captured yet. ByHand says that what is held is
// captured by somebody.
type charge struct {
	ByHand                   bool
	Try                      int // to pay, that it was begun with last
	Held, Captured, Refunded int64
}

type parcel struct {
	Status   string // labelled, voided, shipped or delivered
	Contents []int64
}

const (
	goodCard = "a card"
	badCard  = "a card that is declined"
	holdCard = "a card that is only held"
)

type level struct{ OnHand, Reserved int64 }

func (m model) clone() model {
	m.Lines, m.Charges, m.Parcels, m.Stock = slices.Clone(m.Lines), slices.Clone(m.Charges), slices.Clone(m.Parcels), maps.Clone(m.Stock)
	return m
}

// placed is an order that was accepted; it has failed when there is not stock of all of it.
func placed(lines []modelLine, shipping int64, stock map[string]level) model {
	m := model{Status: "confirmed", City: "Lisboa", Lines: lines, Total: shipping, Stock: maps.Clone(stock)}
	wanted := map[string]int64{}
	for _, l := range lines {
		wanted[l.SKU] += l.open()
		for _, cost := range l.Units {
			m.Total += cost
		}
	}
	for sku, n := range wanted {
		if free := stock[sku].OnHand - stock[sku].Reserved; free < n {
			m.Status, m.Reason = "failed", "insufficient_stock"
			return m
		}
	}
	for sku, n := range wanted {
		m.reserve(sku, n)
	}
	m.pays()
	return m
}

func (m *model) reserve(sku string, n int64) {
	l := m.Stock[sku]
	l.Reserved += n
	m.Stock[sku] = l
}

// leave takes what an order holds off the shelf.
func (m *model) leave(sku string, n int64) {
	l := m.Stock[sku]
	l.OnHand, l.Reserved = l.OnHand-n, l.Reserved-n
	m.Stock[sku] = l
}

func (m *model) due() int64 { return m.Total - m.CalledOff }

func (m *model) sums() (held, captured, refunded int64) {
	for _, c := range m.Charges {
		held, captured, refunded = held+c.Held, captured+c.Captured, refunded+c.Refunded
	}
	return held, captured, refunded
}

func (m *model) paymentStatus() string {
	held, captured, refunded := m.sums()
	switch due := m.due(); {
	case captured == 0 && held > 0:
		return "authorized"
	case captured == 0 && due > 0:
		return "unpaid"
	case refunded > 0 && refunded >= captured:
		return "refunded"
	case refunded > 0 && captured-refunded < due:
		return "partially_refunded"
	case captured < due:
		return "partially_paid"
	case captured-refunded > due:
		return "overpaid"
	}
	return "paid"
}

func (m *model) fulfillmentStatus() string {
	var open, sent, there int64
	for _, l := range m.Lines {
		open, sent, there = open+l.open(), sent+l.Sent, there+l.There
	}
	switch {
	case sent == 0:
		return "unfulfilled"
	case there >= open:
		return "delivered"
	case there > 0:
		return "partially_delivered"
	case sent >= open:
		return "shipped"
	}
	return "partially_shipped"
}

// pays has an order be paid when nothing is left to pay, and gives back what is too much: of what
// was captured last, or else of the charge that was begun first. A payment that is tried again is
// another charge.
func (m *model) pays(last ...int) {
	if s := m.paymentStatus(); m.Status == "confirmed" && (s == "paid" || s == "overpaid") {
		m.Status = "paid"
	}
	_, captured, refunded := m.sums()
	excess := captured - refunded - m.due()
	if m.Status == "cancelled" {
		excess = captured - refunded
	}
	first := make([]int, len(m.Charges))
	for i := range m.Charges {
		first[i] = i
	}
	slices.SortFunc(first, func(a, b int) int { return m.Charges[a].Try - m.Charges[b].Try })
	last = append(last, first...)
	for _, i := range last {
		c := &m.Charges[i]
		if m.Status == "cancelled" {
			c.Held = 0
		}
		back := max(0, min(excess, c.Captured-c.Refunded))
		c.Refunded, excess = c.Refunded+back, excess-back
	}
}

// moves has an order be shipped or delivered when all of it is.
func (m *model) moves() {
	switch m.fulfillmentStatus() {
	case "delivered":
		if m.Status == "paid" || m.Status == "shipped" {
			m.Status = "delivered"
		}
	case "shipped", "partially_delivered":
		if m.Status == "paid" && !slices.ContainsFunc(m.Lines, func(l modelLine) bool { return l.Sent < l.open() }) {
			m.Status = "shipped"
		}
	}
}

func (m *model) ended() bool { return m.Status == "failed" || m.Status == "cancelled" }

// live is the charge of which money may still come.
func (m *model) live() int {
	return slices.IndexFunc(m.Charges, func(c charge) bool { return c.Held > 0 })
}

// mostTries is how often an order can be tried to be paid.
const mostTries = 20

// pay answers with the code of the refusal, or nothing.
func (m *model) pay(how string) string {
	_, captured, refunded := m.sums()
	due := m.due() - captured
	if m.Status == "confirmed" { // what went back is to be paid anew
		due += refunded
	}
	switch {
	case m.ended():
		return "order_not_payable"
	case m.live() >= 0:
		return ""
	case due <= 0:
		return "order_paid"
	case m.Tries >= mostTries:
		return "too_many_attempts"
	}
	m.Tries++
	// One that came to nothing is tried again.
	at := slices.IndexFunc(m.Charges, func(c charge) bool { return c.Captured == 0 && c.ByHand == (how == holdCard) })
	if at < 0 {
		m.Charges = append(m.Charges, charge{ByHand: how == holdCard})
		at = len(m.Charges) - 1
	}
	m.Charges[at].Try = m.Tries
	switch how {
	case holdCard:
		m.Charges[at].Held = due
	case goodCard:
		m.Charges[at].Captured = due
	}
	m.pays()
	return ""
}

// capture takes what is held, or a part of it: the rest is free then.
func (m *model) capture(at int, amount int64) string {
	c := &m.Charges[at]
	switch {
	case m.ended():
		return "order_not_payable"
	case c.Held == 0:
		return "payment_not_capturable"
	case amount > c.Held:
		return "amount_too_large"
	}
	c.Held, c.Captured = 0, amount
	m.pays(at)
	return ""
}

func (m *model) letGo(at int) string {
	if m.Charges[at].Captured > 0 {
		return "payment_not_cancellable"
	}
	m.Charges[at].Held = 0
	return ""
}

func (m *model) refund(at int, amount int64) string {
	c := &m.Charges[at]
	switch left := c.Captured - c.Refunded; {
	case left == 0:
		return "nothing_to_refund"
	case amount > left:
		return "amount_too_large"
	}
	c.Refunded += amount
	m.pays()
	return ""
}

func (m *model) cancel(reason string) string {
	switch {
	case m.Status == "cancelled":
		return ""
	case m.Status != "confirmed" && m.Status != "paid":
		return "order_not_cancellable"
	}
	for _, l := range m.Lines {
		if l.Sent > 0 {
			return "order_not_cancellable"
		}
	}
	m.Status, m.Reason = "cancelled", reason
	for _, l := range m.Lines {
		m.reserve(l.SKU, -l.open())
	}
	for i := range m.Parcels {
		m.Parcels[i].Status = "voided"
	}
	m.count()
	m.pays()
	return ""
}

func (m *model) cancelItems(line int, n int64, reason string) string {
	if m.ended() {
		return "order_not_cancellable"
	}
	l := &m.Lines[line]
	if n > l.left() {
		return "order_not_cancellable"
	}
	var open int64
	for _, other := range m.Lines {
		open += other.open()
	}
	if open == n {
		return m.cancel(reason)
	}
	for _, cost := range l.Units[l.Cancelled : l.Cancelled+n] {
		m.CalledOff += cost
	}
	l.Cancelled += n
	m.reserve(l.SKU, -n)
	m.moves()
	m.pays()
	return ""
}

// redirect has an order go elsewhere, as long as nothing of it is in a parcel.
func (m *model) redirect(city string) string {
	for _, l := range m.Lines {
		if l.Packed > 0 {
			return "order_not_editable"
		}
	}
	if m.ended() {
		return "order_not_editable"
	}
	m.City = city
	return ""
}

// pack makes a parcel of n units of a line, or of all that are left.
func (m *model) pack(line int, n int64, all bool) string {
	if m.Status != "paid" && m.Status != "shipped" && m.Status != "delivered" {
		return "order_not_shippable"
	}
	p := parcel{Status: "labelled", Contents: make([]int64, len(m.Lines))}
	var packed int64
	for i := range m.Lines {
		if all {
			p.Contents[i] = m.Lines[i].left()
		} else if i == line {
			p.Contents[i] = n
		}
		if p.Contents[i] > m.Lines[i].left() {
			return "nothing_to_ship"
		}
		packed += p.Contents[i]
	}
	if packed == 0 {
		return "nothing_to_ship"
	}
	m.Parcels = append(m.Parcels, p)
	m.count()
	return ""
}

// count derives what the lines count from the parcels.
func (m *model) count() {
	for i := range m.Lines {
		l := &m.Lines[i]
		l.Packed, l.Sent, l.There = 0, 0, 0
		for _, p := range m.Parcels {
			switch n := p.Contents[i]; p.Status {
			case "labelled":
				l.Packed += n
			case "shipped":
				l.Packed, l.Sent = l.Packed+n, l.Sent+n
			case "delivered":
				l.Packed, l.Sent, l.There = l.Packed+n, l.Sent+n, l.There+n
			}
		}
	}
	m.moves()
}

func (m *model) void(at int) string {
	switch p := &m.Parcels[at]; p.Status {
	case "shipped", "delivered":
		return "shipment_not_voidable"
	default:
		p.Status = "voided"
	}
	m.count()
	return ""
}

func (m *model) send(at int, to string) string {
	p := &m.Parcels[at]
	switch {
	case p.Status == "voided":
		return "shipment_not_shippable"
	case p.Status == "labelled":
		for i, n := range p.Contents {
			m.leave(m.Lines[i].SKU, n)
		}
		p.Status = to
	case p.Status != "delivered":
		p.Status = to
	}
	m.count()
	return ""
}

// later is what a day does: an order that nobody pays is called off.
func (m *model) later() {
	if m.Status == "confirmed" && m.paymentStatus() == "unpaid" && m.live() < 0 {
		m.cancel("unpaid")
	}
}
