package carriersim

import (
	"slices"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// shipment is what rates were asked for.
type shipment struct {
	id        string
	acct      *account
	reference string
	from, to  place
	grams     int64
	format    carrier.Format
	rates     []*rate
	madeAt    time.Time
	buying    bool   // somebody is at it
	label     *label // EasyPost's first and only; Shippo's latest
}

type place struct {
	Name, Street, City, State, Zip, Country string
}

// rate is an offer.
type rate struct {
	id       string
	shipment *shipment
	service  service
	cents    int64
}

// service of a carrier, in the words of both APIs.
type service struct {
	carrier, name, title string
	base, per500g        int64 // cents of a dollar
	days                 int
	abroad               bool
}

// services there are. Their prices are nobody's.
var services = []service{
	{"USPS", "GroundAdvantage", "Ground Advantage", 512, 85, 5, false},
	{"USPS", "Priority", "Priority Mail", 790, 140, 2, false},
	{"UPS", "Ground", "Ground", 895, 120, 4, false},
	{"USPS", "FirstClassPackageInternationalService", "First-Class Package International", 1450, 480, 12, true},
	{"UPS", "Expedited", "Worldwide Expedited", 3890, 690, 5, true},
}

// Names of streets that stand for a behaviour, as cards do elsewhere.
const (
	nowhere = "nowhere" // nobody goes there: there are no rates
	refused = "refused" // there are rates, and no label can be bought
)

// quote makes the offers for a shipment.
func (s *Simulator) quote(p *shipment) {
	p.acct.shipments[p.id] = p
	if strings.Contains(strings.ToLower(p.to.Street), nowhere) {
		return
	}
	for _, offered := range services {
		if offered.abroad != (p.from.Country != p.to.Country) {
			continue
		}
		r := &rate{id: s.dice.id("rate"), shipment: p, service: offered, cents: offered.base + offered.per500g*((p.grams+499)/500)}
		p.rates = append(p.rates, r)
		p.acct.rates[r.id] = r
	}
}

// label is one that was bought.
type label struct {
	id        string // Shippo's transaction
	trackerID string
	number    string // of the parcel
	rate      *rate
	key       string // metadata
	format    carrier.Format
	boughtAt  time.Time
	updatedAt time.Time
	status    carrier.Status
	events    []carrier.Event
	void      carrier.VoidState
	voidID    string
	voidDue   time.Time
	base      string // where its paper is
}

// sell makes a label of a rate; ok is false when the carrier wants none of it.
func (s *Simulator) sell(r *rate, key string, format carrier.Format, base string) (l *label, ok bool) {
	r.shipment.buying = false
	if strings.Contains(strings.ToLower(r.shipment.to.Street), refused) {
		return nil, false
	}
	number := "1Z" + strings.ToUpper(s.dice.id("number")[:16])
	if r.service.carrier == "USPS" {
		number = "94" + s.dice.digits("number", 20)
	}
	now := s.now()
	l = &label{
		id: s.dice.id("label"), trackerID: s.dice.id("tracker"), number: number, rate: r, key: key, format: format, boughtAt: now, updatedAt: now, status: carrier.PreTransit, base: base,
		events: []carrier.Event{{Status: carrier.PreTransit, Description: "Shipping label created", Place: r.shipment.from.City, At: now}},
	}
	s.labels = append(s.labels, l)
	r.shipment.label = l
	s.tell(l, created)
	return l, true
}

// giveBack begins a void; ok is false when there was one already.
func (s *Simulator) giveBack(l *label) (ok bool) {
	s.settle()
	if l.void != "" {
		return false
	}
	l.voidID, l.void, l.voidDue = s.dice.id("refund"), carrier.Submitted, s.now().Add(s.opt.Settling)
	return true
}

// settle ends the voids whose time has come: what nobody has seen is paid back. Everybody who
// looks at a label does it first.
func (s *Simulator) settle() {
	for _, l := range s.labels {
		if l.void == carrier.Submitted && !l.voidDue.After(s.now()) {
			s.decide(l, l.status == carrier.PreTransit)
		}
	}
}

func (s *Simulator) decide(l *label, agreed bool) {
	l.void = carrier.Rejected
	if agreed {
		l.void = carrier.Voided
		if l.status == carrier.PreTransit {
			l.status = carrier.Annulled
		}
	}
	l.updatedAt = s.now()
	s.tell(l, refunded)
}

// Track moves a parcel. The event counts from when it is said to be; a zero time is now.
func (s *Simulator) Track(number string, e carrier.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	at := slices.IndexFunc(s.labels, func(l *label) bool { return l.number == number })
	switch {
	case at < 0:
		return &problem{status: 404, code: "NOT_FOUND", message: "No label has this tracking number."}
	case !e.Status.Known():
		return &problem{status: 400, code: "BAD_REQUEST", message: "The status is one of these: " + joined(carrier.Statuses())}
	}
	if e.At.IsZero() {
		e.At = s.now()
	}
	l := s.labels[at]
	l.status, l.updatedAt = e.Status, s.now()
	l.events = append(l.events, e)
	s.tell(l, moved)
	return nil
}

func joined(statuses []carrier.Status) string {
	var words []string
	for _, s := range statuses {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}

// estimate is when the parcel should arrive.
func (l *label) estimate() time.Time {
	return l.boughtAt.Add(time.Duration(l.rate.service.days) * 24 * time.Hour)
}
