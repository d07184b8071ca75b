package pricing

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/pricing/calc"
)

var (
	errCodeTaken     = fault.New(fault.Conflict, "code_taken", "Another discount, perhaps an archived one, has this code.")
	errArchived      = fault.New(fault.Conflict, "discount_archived", "The discount was archived: it stays as it was.")
	errAutomatic     = fault.New(fault.Conflict, "discount_automatic", "The discount applies by itself and has no codes.")
	errBelowUse      = fault.New(fault.Conflict, "budget_below_use", "More than that was used of the discount already.")
	errCurrencyFixed = fault.New(fault.Conflict, "currency_fixed", "The discount was used in its currency, which stays.")
)

const (
	active   = "active"
	disabled = "disabled"
	archived = "archived"
)

// discount is a rule that may take something off, as the shop has entered it.
type discount struct {
	ID        uuid.UUID
	Name      string
	Status    string
	Automatic bool
	terms
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
	budget
	Couponed bool // some of its codes are for so many uses
}

// terms of a discount: what it does, for whom, when, beside which others, how often.
type terms struct {
	Effect      calc.Effect
	Percent     calc.Percent
	Amount      int64          // minor units
	Currency    money.Currency // empty: any
	SKUs        []string
	ProductIDs  []string
	GetSKUs     []string
	GetProducts []string
	Buy, Get    int64
	MaxRepeats  int64
	MinSubtotal int64
	MinQuantity int64
	Groups      []string
	FirstOrder  bool
	StartsAt    *time.Time
	EndsAt      *time.Time
	Priority    int
	Exclusive   bool
	StackGroup  string
	MaxUses     *int64
	MaxSpend    *int64 // minor units
	MaxPerBuyer *int64
}

// budget is what was used of a discount that is limited.
type budget struct {
	Uses  int64
	Spent int64 // minor units
}

func (t terms) limited() bool { return t.MaxUses != nil || t.MaxSpend != nil }

// perBuyer is how often a buyer may use it; nil: as often as they like. What is for a first
// order is used once, also by who places two at the same moment.
func (t terms) perBuyer() *int64 {
	if t.FirstOrder {
		return new(int64(1))
	}
	return t.MaxPerBuyer
}

// counted tells whether a basket's price depends on what was used before.
func (t terms) counted() bool { return t.limited() || t.perBuyer() != nil }

func (d discount) calc() *calc.Discount {
	return &calc.Discount{
		ID: d.ID.String(), Name: d.Name, Automatic: d.Automatic, Effect: d.Effect, Percent: d.Percent, Amount: d.Amount, Currency: d.Currency,
		Items: calc.Select(d.SKUs, d.ProductIDs), Buy: d.Buy, Get: d.Get, Gets: calc.Select(d.GetSKUs, d.GetProducts), Repeats: d.MaxRepeats,
		MinSubtotal: d.MinSubtotal, MinQuantity: d.MinQuantity, Groups: d.Groups, FirstOrder: d.FirstOrder, From: moment(d.StartsAt), Until: moment(d.EndsAt),
		Priority: d.Priority, Exclusive: d.Exclusive, Stack: d.StackGroup,
	}
}

// flaws are what makes no sense together in terms, as far as no amount is concerned.
func (t terms) flaws() (fields []fault.Field) {
	wrong := func(pointer, code, detail string) {
		fields = append(fields, fault.Field{Pointer: pointer, Code: code, Detail: detail})
	}
	bundled := t.Effect == calc.BuyXGetY
	for _, f := range []struct {
		pointer string
		there   bool
		wanted  bool
		always  bool // wherever it is wanted
	}{
		{"/percent", t.Percent > 0, t.Effect == calc.PercentOff || bundled, true},
		{"/buyQuantity", t.Buy > 0, bundled, true},
		{"/getQuantity", t.Get > 0, bundled, true},
		{"/maxRepeats", t.MaxRepeats > 0, bundled, false},
		{"/getSkus", len(t.GetSKUs) > 0, bundled, false},
		{"/getProductIds", len(t.GetProducts) > 0, bundled, false},
	} {
		switch {
		case f.there && !f.wanted:
			wrong(f.pointer, "not_with_effect", "has no meaning for this effect")
		case !f.there && f.always && f.wanted:
			wrong(f.pointer, "required", "is required for this effect")
		}
	}
	for i, id := range slices.Concat(t.ProductIDs, t.GetProducts) {
		if _, err := uuid.Parse(id); err != nil || len(id) != 36 {
			pointer := "/productIds/" + itoa(i)
			if i >= len(t.ProductIDs) {
				pointer = "/getProductIds/" + itoa(i-len(t.ProductIDs))
			}
			wrong(pointer, "format", "must be the id of a product")
		}
	}
	return fields
}
