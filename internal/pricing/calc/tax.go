package calc

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/territory"
	"github.com/fusioncommerce/fusion/internal/pricing/pricingapi"
)

// Standard is the tax class of what is not said to be taxed otherwise.
const Standard = "standard"

// Why something is taxed as it is.
const (
	taxed     = "standard"
	zeroRated = "zero_rated"
	noRate    = "no_rate"
	reverse   = "reverse_charge"
)

// Rate is a tax of a place on a class of goods, for a time.
type Rate struct {
	ID           string
	Name         string
	Country      string
	Region       string // empty: the whole country
	PostalPrefix string // empty: wherever in the region
	Class        string
	Percent      Percent
	// Priority: of rates with the same, the one for the smallest place counts; those with
	// different ones add up.
	Priority int
	// Compound rates are also taken of those that are not.
	Compound bool
	From     time.Time // zero: always was
	Until    time.Time // the first moment without it; zero: no end is known
}

type jurisdiction struct{ country, class string }

// Rates are all of a shop, ready to be looked up.
type Rates map[jurisdiction][]Rate

// NewRates makes rates ready.
func NewRates(list []Rate) Rates {
	rates := Rates{}
	for _, r := range list {
		r.Region, r.PostalPrefix = territory.Region(r.Country, r.Region), Postal(r.PostalPrefix)
		at := jurisdiction{r.Country, r.Class}
		rates[at] = append(rates[at], r)
	}
	for _, of := range rates {
		slices.SortFunc(of, func(a, b Rate) int {
			return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(b.reach(), a.reach()), b.From.Compare(a.From), strings.Compare(a.ID, b.ID))
		})
	}
	return rates
}

var postalPunctuation = strings.NewReplacer(" ", "", "-", "")

// Postal is a postal code, or its beginning, as they are compared.
func Postal(code string) string { return strings.ToUpper(postalPunctuation.Replace(code)) }

// reach is more, the smaller the place is that the rate is of.
func (r Rate) reach() int {
	reach := 2 * len(r.PostalPrefix)
	if r.Region != "" {
		reach++
	}
	return reach
}

func (r Rate) validAt(at time.Time) bool {
	return !at.Before(r.From) && (r.Until.IsZero() || at.Before(r.Until))
}

// in are the rates of a class at a place and time, one a priority.
func (rates Rates) in(to pricingapi.Destination, class string, at time.Time) (list []*Rate) {
	region, postal := territory.Region(to.Country, to.Region), Postal(to.PostalCode)
	of := rates[jurisdiction{to.Country, class}]
	for i := range of {
		r := &of[i]
		switch {
		case r.Region != "" && r.Region != region, !strings.HasPrefix(postal, r.PostalPrefix):
		case !r.validAt(at):
		case len(list) > 0 && list[len(list)-1].Priority == r.Priority: // a smaller place came before
		default:
			list = append(list, r)
		}
	}
	return list
}

// wantRegion tells whether more may be due on goods of a class than on what a destination
// says: it has no region, or one that neither the shop nor anybody knows, and there are rates
// by region in whose place none counts.
func (rates Rates) wantRegion(to pricingapi.Destination, class string, at time.Time) bool {
	region, counting := territory.Region(to.Country, to.Region), rates.in(to, class, at)
	has, listed := territory.Has(to.Country, region)
	if has {
		return false
	}
	wants := false
	for _, r := range rates[jurisdiction{to.Country, class}] {
		switch {
		case r.Region == "", !r.validAt(at):
		case r.Region == region:
			return false
		case listed, !slices.ContainsFunc(counting, func(c *Rate) bool { return c.Priority == r.Priority }):
			wants = true
		}
	}
	return wants
}

// unit is the precision of fractions: a compound rate is the product of two percentages.
const unit = int64(whole) * int64(whole)

// treatment is how goods of one class are taxed.
type treatment struct {
	class     string
	taxes     []pricingapi.Tax // without amounts
	fractions []int64          // of the net worth, in units, one a tax
	sum       int64            // of the fractions
}

func newTreatment(class string, rates []*Rate) *treatment {
	t := &treatment{class: class}
	if len(rates) == 0 {
		return t.untaxed(noRate)
	}
	var simple int64
	for _, r := range rates {
		if !r.Compound {
			simple += int64(r.Percent)
		}
	}
	for _, r := range rates {
		fraction := int64(r.Percent) * int64(whole)
		if r.Compound {
			fraction = int64(r.Percent) * (int64(whole) + simple)
		}
		reason := taxed
		if r.Percent == 0 {
			reason = zeroRated
		}
		t.taxes = append(t.taxes, pricingapi.Tax{RateID: r.ID, Name: r.Name, Rate: r.Percent.String(), Reason: reason})
		t.fractions = append(t.fractions, fraction)
		t.sum += fraction
	}
	return t
}

func (t *treatment) untaxed(reason string) *treatment {
	t.taxes, t.fractions, t.sum = []pricingapi.Tax{{Rate: "0", Reason: reason}}, []int64{0}, 0
	return t
}

// of is the tax on what is worth so much, with or without it.
func (t *treatment) of(worth int64, included bool, m Mode) (int64, error) {
	if included {
		return m.share(worth, t.sum, unit+t.sum)
	}
	return m.share(worth, t.sum, unit)
}

// regime is how everything in a basket is taxed.
type regime struct {
	rates    Rates
	to       pricingapi.Destination
	at       time.Time
	reverse  bool
	included bool
	mode     Mode
	perOrder bool
	known    []*treatment
}

func (g *regime) treatment(class string) *treatment {
	class = cmp.Or(class, Standard)
	for _, t := range g.known {
		if t.class == class {
			return t
		}
	}
	var t *treatment
	if g.reverse {
		t = (&treatment{class: class}).untaxed(reverse)
	} else {
		t = newTreatment(class, g.rates.in(g.to, class, g.at))
	}
	g.known = append(g.known, t)
	return t
}

// wantsRegion tells whether the destination says too little to know what is due.
func (g *regime) wantsRegion() bool {
	return !g.reverse && slices.ContainsFunc(g.known, func(t *treatment) bool { return g.rates.wantRegion(g.to, t.class, g.at) })
}

// part of a line, or of shipping, that is taxed in one way.
type part struct {
	of     *item
	by     *treatment
	worth  int64
	tax    int64
	shares []int64 // of the tax, one a tax of the treatment
}

// tax settles what each part owes: each by itself, or all that are taxed alike together.
func (g *regime) tax(parts []part) error {
	if !g.perOrder {
		for i := range parts {
			p := &parts[i]
			var err error
			if p.tax, err = p.by.of(p.worth, g.included, g.mode); err != nil {
				return err
			}
			if p.shares, err = split(p.tax, p.by.fractions); err != nil {
				return err
			}
		}
		return nil
	}
	for _, t := range g.known {
		if err := g.together(t, parts); err != nil {
			return err
		}
	}
	return nil
}

// together rounds the tax of one treatment once, and gives each part its share. Within the
// parts the rates take theirs of what has come together so far: each rate's sum is right as
// well, to the minor unit, however small the parts are.
func (g *regime) together(t *treatment, parts []part) error {
	var worths []int64
	var total int64
	for _, p := range parts {
		if p.by == t {
			worths = append(worths, p.worth)
			total += p.worth
		}
	}
	tax, err := t.of(total, g.included, g.mode)
	if err != nil {
		return err
	}
	taxes, err := split(tax, worths)
	if err != nil {
		return err
	}
	before := make([]int64, len(t.fractions))
	next, sum := 0, int64(0)
	for i := range parts {
		p := &parts[i]
		if p.by != t {
			continue
		}
		p.tax = taxes[next]
		next++
		sum += p.tax
		so, err := t.staircase(sum)
		if err != nil {
			return err
		}
		p.shares = make([]int64, len(so))
		for k := range so {
			p.shares[k], before[k] = so[k]-before[k], so[k]
		}
	}
	return nil
}

// staircase divides a tax among the rates so that no rate's part ever falls when the tax
// grows, which the largest remainder does not promise of three or more.
func (t *treatment) staircase(tax int64) ([]int64, error) {
	parts := make([]int64, len(t.fractions))
	left, of := tax, t.sum
	for k, fraction := range t.fractions {
		if of == 0 {
			break
		}
		var err error
		if parts[k], err = HalfUp.share(left, fraction, of); err != nil {
			return nil, err
		}
		left, of = left-parts[k], of-fraction
	}
	return parts, nil
}

// split is money's largest remainder; nothing is split into nothings, whatever the weights.
func split(n int64, weights []int64) ([]int64, error) {
	parts := make([]int64, len(weights))
	if n == 0 {
		return parts, nil
	}
	if len(weights) == 1 {
		parts[0] = n
		return parts, nil
	}
	amounts, err := money.Amount{Minor: n}.Split(weights...)
	if err != nil {
		return nil, err
	}
	for i, a := range amounts {
		parts[i] = a.Minor
	}
	return parts, nil
}
