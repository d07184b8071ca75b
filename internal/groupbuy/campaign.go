package groupbuy

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var (
	errUnknownProduct   = fault.New(fault.Invalid, "unknown_product", "The product is not for sale.")
	errCurrencyMismatch = fault.New(fault.Invalid, "currency_mismatch", "The product has no price in this currency.")
	errLocked           = fault.New(fault.Conflict, "campaign_locked", "The campaign cannot be changed any more.")
	errNotCancellable   = fault.New(fault.Conflict, "campaign_not_cancellable", "The campaign cannot be cancelled any more.")
	errNotActive        = fault.New(fault.Conflict, "campaign_not_active", "The campaign takes no joins now.")
	errAlreadyJoined    = fault.New(fault.Conflict, "already_joined", "The user has joined this campaign already.")
	errFull             = fault.New(fault.Conflict, "campaign_full", "The campaign has all the participants that it takes.")
)

type status string

const (
	scheduled  status = "scheduled"
	active     status = "active"
	successful status = "successful"
	expired    status = "expired"
	cancelled  status = "cancelled"
)

// moves are the steps that a campaign can take. A scheduled one whose time has come is
// active in all but name, whenever somebody gets to note it. A successful one stays so:
// it only takes no more joins when it is full or over.
var moves = map[status][]status{
	scheduled: {active, successful, expired, cancelled},
	active:    {successful, expired, cancelled},
}

func (s status) canBecome(next status) bool { return slices.Contains(moves[s], next) }

// campaign offers a product at a price that enough people get together. All its times are
// the database's.
type campaign struct {
	ID        uuid.UUID
	ProductID uuid.UUID
	SKU       string
	Name      string
	terms
	Joined    int64 // participants so far
	Status    status
	Reason    string // why it was cancelled
	ShareCode string
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// terms are what those who join rely on.
type terms struct {
	Min, Max        int64
	Price, Original money.Amount
	Start, End      time.Time
}

const (
	maxParticipants = 1_000_000
	// maxQuantity of one participant.
	maxQuantity = 1000
	maxWindow   = 90 * 24 * time.Hour
)

// flaws are what is wrong with the terms at a moment.
func (t terms) flaws(now time.Time) (fields []fault.Field) {
	fields = append(fields, flawsOfSize(t.Min, t.Max)...)
	if wrong := flawsOfPrice(t.Price, t.Original); len(wrong) > 0 {
		fields = append(fields, wrong...)
	} else {
		fields = append(fields, flawsOfValue(t.Price)...)
	}
	if wrong := flawsOfWindow(t.Start, t.End); len(wrong) > 0 {
		return append(fields, wrong...)
	}
	if !t.End.After(now) {
		fields = append(fields, fault.Field{Pointer: "/endTime", Code: "minimum", Detail: "must be in the future"})
	}
	return fields
}

func flawsOfSize(least, most int64) []fault.Field {
	if least > most {
		return []fault.Field{{Pointer: "/maxParticipants", Code: "minimum", Detail: "must be at least minParticipants"}}
	}
	return nil
}

// flawsOfPrice compares two amounts of one currency. An amount that could not be read has
// none.
func flawsOfPrice(price, original money.Amount) []fault.Field {
	if price.Currency == "" || original.Currency == "" || price.Minor < original.Minor {
		return nil
	}
	return []fault.Field{{Pointer: "/price", Code: "maximum", Detail: "must be less than originalPrice"}}
}

// flawsOfValue refuses a price at which some quantity could be joined with and not ordered.
func flawsOfValue(price money.Amount) []fault.Field {
	if _, err := price.Mul(maxQuantity); err != nil {
		return []fault.Field{{Pointer: "/price", Code: "maximum", Detail: "is more than can be counted for as many units as one may join with"}}
	}
	return nil
}

func flawsOfWindow(start, end time.Time) []fault.Field {
	switch {
	case !end.After(start):
		return []fault.Field{{Pointer: "/endTime", Code: "minimum", Detail: "must be after startTime"}}
	case end.Sub(start) > maxWindow:
		return []fault.Field{{Pointer: "/endTime", Code: "maximum", Detail: "must be at most 90 days after startTime"}}
	}
	return nil
}

// revisable refuses other terms once somebody relies on them, or nobody can any more.
func (c campaign) revisable() error {
	if c.Joined > 0 {
		return errLocked.Saying("Somebody has joined the campaign: its terms stand.")
	}
	if c.Status != scheduled && c.Status != active {
		return errLocked.Saying("A campaign that is %s cannot be changed.", c.Status)
	}
	return nil
}

// revise gives a revisable campaign other terms and reports whether they are.
func (c *campaign) revise(t terms, now time.Time) (bool, error) {
	if fields := t.flaws(now); len(fields) > 0 {
		return false, httpx.ErrValidation(fields...)
	}
	if t == c.terms {
		return false, nil
	}
	c.terms, c.Status = t, active
	if now.Before(t.Start) {
		c.Status = scheduled
	}
	c.changed(now)
	return true, nil
}

// start notes that the time of a scheduled campaign has come.
func (c *campaign) start(now time.Time) bool {
	if c.Status != scheduled || now.Before(c.Start) {
		return false
	}
	c.Status = active
	c.changed(now)
	return true
}

// end closes a campaign that too few have joined in time.
func (c *campaign) end(now time.Time) bool {
	if !c.Status.canBecome(expired) || now.Before(c.End) {
		return false
	}
	c.Status = expired
	c.changed(now)
	return true
}

// cancel calls the campaign off. It reports whether that changed anything.
func (c *campaign) cancel(reason string, now time.Time) (bool, error) {
	if c.Status == cancelled {
		return false, nil
	}
	if !c.Status.canBecome(cancelled) {
		return false, errNotCancellable.Saying("A campaign that is %s cannot be cancelled.", c.Status)
	}
	c.Status, c.Reason = cancelled, reason
	c.changed(now)
	return true, nil
}

func (c *campaign) changed(now time.Time) {
	c.Version++
	c.UpdatedAt = now
}

// refusal is why a join that was not accepted was not.
func (c campaign) refusal(already bool, now time.Time) error {
	switch {
	case c.Status == expired || c.Status == cancelled:
		return errNotActive.Saying("The campaign is %s.", c.Status)
	case now.Before(c.Start):
		return errNotActive.Saying("The campaign has not begun yet.")
	case !now.Before(c.End):
		return errNotActive.Saying("The campaign is over.")
	case already:
		return errAlreadyJoined
	case c.Joined >= c.Max:
		return errFull
	}
	return errNotActive // it began between the join and the question why
}

// tipped says that the latest join made the campaign successful.
func (c campaign) tipped() bool { return c.Joined == c.Min }

// participant is one who joined.
type participant struct {
	ID       uuid.UUID
	UserID   string
	Position int64 // 1 joined first
	Quantity int64
	JoinedAt time.Time
}
