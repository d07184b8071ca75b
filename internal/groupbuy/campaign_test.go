package groupbuy

import (
	"math"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var noon = time.Date(2026, time.March, 14, 12, 0, 0, 0, time.UTC)

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

// week is a sound offer that began an hour before noon.
func week() terms {
	return terms{Min: 2, Max: 5, Price: eur(990), Original: eur(1250), Start: noon.Add(-time.Hour), End: noon.Add(7 * 24 * time.Hour)}
}

var _ = Describe("the terms of a campaign", func() {
	DescribeTable("are refused", func(change func(*terms), flaws ...fault.Field) {
		t := week()
		change(&t)
		var found []fault.Field
		for _, f := range t.flaws(noon) {
			found = append(found, fault.Field{Pointer: f.Pointer, Code: f.Code})
		}
		Expect(found).To(Equal(flaws))
	},
		Entry("when it takes fewer than it needs", func(t *terms) { t.Min = 6 }, fault.Field{Pointer: "/maxParticipants", Code: "minimum"}),
		Entry("when nothing is saved", func(t *terms) { t.Price = t.Original }, fault.Field{Pointer: "/price", Code: "maximum"}),
		Entry("when it costs more", func(t *terms) { t.Price = eur(1251) }, fault.Field{Pointer: "/price", Code: "maximum"}),
		Entry("when many units could not be counted", func(t *terms) { t.Price, t.Original = eur(math.MaxInt64/maxQuantity+1), eur(math.MaxInt64) }, fault.Field{Pointer: "/price", Code: "maximum"}),
		Entry("when it ends before it begins", func(t *terms) { t.Start = t.End.Add(time.Second) }, fault.Field{Pointer: "/endTime", Code: "minimum"}),
		Entry("when it ends as it begins", func(t *terms) { t.Start = t.End }, fault.Field{Pointer: "/endTime", Code: "minimum"}),
		Entry("when it takes longer than 90 days", func(t *terms) { t.Start = noon; t.End = noon.Add(90*24*time.Hour + time.Microsecond) }, fault.Field{Pointer: "/endTime", Code: "maximum"}),
		Entry("when it is over already", func(t *terms) { t.End = noon }, fault.Field{Pointer: "/endTime", Code: "minimum"}),
		Entry("for everything at once", func(t *terms) { t.Min, t.Price, t.End = 6, eur(2000), noon.Add(-time.Minute) },
			fault.Field{Pointer: "/maxParticipants", Code: "minimum"}, fault.Field{Pointer: "/price", Code: "maximum"}, fault.Field{Pointer: "/endTime", Code: "minimum"}),
	)

	DescribeTable("are accepted", func(change func(*terms)) {
		t := week()
		change(&t)
		Expect(t.flaws(noon)).To(BeEmpty())
	},
		Entry("as they are", func(*terms) {}),
		Entry("when it takes as many as it needs", func(t *terms) { t.Max = t.Min }),
		Entry("when it is free", func(t *terms) { t.Price = eur(0) }),
		Entry("when it takes 90 days", func(t *terms) { t.Start = noon; t.End = noon.Add(90 * 24 * time.Hour) }),
		Entry("when it is nearly over", func(t *terms) { t.End = noon.Add(time.Microsecond) }),
		Entry("at the highest price that can be counted", func(t *terms) { t.Price, t.Original = eur(math.MaxInt64/maxQuantity), eur(math.MaxInt64) }),
	)
})

var _ = Describe("a campaign", func() {
	all := []status{scheduled, active, successful, expired, cancelled}
	running := func(s status) campaign { return campaign{terms: week(), Status: s, Version: 3} }

	DescribeTable("moves", func(from status, to ...status) {
		for _, next := range all {
			if from.canBecome(next) {
				Expect(to).To(ContainElement(next))
			} else {
				Expect(to).NotTo(ContainElement(next))
			}
		}
	},
		Entry(nil, scheduled, active, successful, expired, cancelled),
		Entry(nil, active, successful, expired, cancelled),
		Entry("a successful one nowhere", successful),
		Entry("an expired one nowhere", expired),
		Entry("a cancelled one nowhere", cancelled),
	)

	It("begins when its time has come, and once", func() {
		c := running(scheduled)
		c.Start = noon
		Expect(c.start(noon.Add(-time.Microsecond))).To(BeFalse())
		Expect(c.start(noon)).To(BeTrue())
		Expect(c).To(And(HaveField("Status", active), HaveField("Version", int64(4)), HaveField("UpdatedAt", noon)))
		Expect(c.start(noon)).To(BeFalse())
		for _, s := range []status{successful, expired, cancelled} {
			c := running(s)
			Expect(c.start(noon)).To(BeFalse())
		}
	})

	It("expires when its time is over, unless it was successful", func() {
		for _, s := range []status{scheduled, active} {
			c := running(s)
			Expect(c.end(c.End.Add(-time.Microsecond))).To(BeFalse())
			Expect(c.end(c.End)).To(BeTrue())
			Expect(c).To(And(HaveField("Status", expired), HaveField("Version", int64(4))))
		}
		for _, s := range []status{successful, expired, cancelled} {
			c := running(s)
			Expect(c.end(c.End)).To(BeFalse())
			Expect(c.Status).To(Equal(s))
		}
	})

	It("is called off with a reason, once, and not when it has come true or is over", func() {
		for _, s := range []status{scheduled, active} {
			c := running(s)
			Expect(c.cancel("kiln broke", noon)).To(BeTrue())
			Expect(c).To(And(HaveField("Status", cancelled), HaveField("Reason", "kiln broke"), HaveField("Version", int64(4))))
			Expect(c.cancel("again", noon)).To(BeFalse())
			Expect(c.Reason).To(Equal("kiln broke"))
		}
		for _, s := range []status{successful, expired} {
			c := running(s)
			Expect(c.cancel("", noon)).Error().To(MatchError(errNotCancellable))
		}
	})

	Describe("with other terms", func() {
		It("has them, and begins when they say", func() {
			c := running(active)
			t := week()
			t.Start, t.Max = noon.Add(time.Hour), 7
			Expect(c.revise(t, noon)).To(BeTrue())
			Expect(c).To(And(HaveField("Status", scheduled), HaveField("Max", int64(7)), HaveField("Version", int64(4))))
			Expect(c.revise(week(), noon)).To(BeTrue())
			Expect(c.Status).To(Equal(active))
		})

		It("is the same when they are the same", func() {
			c := running(active)
			Expect(c.revise(week(), noon)).To(BeFalse())
			Expect(c.Version).To(BeEquivalentTo(3))
		})

		It("does not get those that are unsound", func() {
			c := running(active)
			t := week()
			t.Min = 6
			Expect(c.revise(t, noon)).Error().To(MatchError(httpx.ErrValidation()))
			Expect(c.terms).To(Equal(week()))
		})

		It("does not get any once somebody has joined, or nobody can", func() {
			c := running(active)
			Expect(c.revisable()).To(Succeed())
			c.Joined = 1
			Expect(c.revisable()).To(MatchError(errLocked))
			for _, s := range []status{successful, expired, cancelled} {
				Expect(running(s).revisable()).To(MatchError(errLocked))
			}
		})
	})

	DescribeTable("takes no join", func(change func(*campaign), already bool, now time.Time, why error) {
		c := running(active)
		change(&c)
		Expect(c.refusal(already, now)).To(MatchError(why))
	},
		Entry("before it begins", func(c *campaign) { c.Status = scheduled }, false, week().Start.Add(-1), errNotActive),
		Entry("as it ends", func(*campaign) {}, false, week().End, errNotActive),
		Entry("when it is over, even of who has joined", func(*campaign) {}, true, week().End, errNotActive),
		Entry("when it was successful and is over", func(c *campaign) { c.Status = successful }, false, week().End, errNotActive),
		Entry("when it is cancelled", func(c *campaign) { c.Status = cancelled }, true, noon, errNotActive),
		Entry("when it has expired", func(c *campaign) { c.Status = expired }, false, noon, errNotActive),
		Entry("of one who has joined", func(*campaign) {}, true, noon, errAlreadyJoined),
		Entry("of one who has joined, when it is full", func(c *campaign) { c.Joined = 5 }, true, noon, errAlreadyJoined),
		Entry("when it is full", func(c *campaign) { c.Joined, c.Status = 5, successful }, false, noon, errFull),
	)
})
