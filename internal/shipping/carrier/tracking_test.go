package carrier_test

import (
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

var morning = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

// at is an event so many hours after the label was made.
func at(hours int, s carrier.Status) carrier.Event {
	return carrier.Event{Status: s, Description: "scanned", Place: "Porto", At: morning.Add(time.Duration(hours) * time.Hour)}
}

func heard(events ...carrier.Event) (t carrier.Tracking) {
	for _, e := range events {
		t = carrier.Merge(t, carrier.Tracking{Status: e.Status, Events: []carrier.Event{e}})
	}
	return t
}

// permutations calls with every order of so many things.
func permutations(n int, each func([]int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var rest func(int)
	rest = func(k int) {
		if k == n {
			each(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			rest(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	rest(0)
}

var _ = Describe("where a parcel is", func() {
	DescribeTable("is the same in whatever order its events are heard, and however often", func(ends carrier.Status, events ...carrier.Event) {
		whole := heard(events...)
		Expect(whole.Status).To(Equal(ends))
		Expect(whole.Events).To(HaveLen(len(events)))
		permutations(len(events), func(order []int) {
			once, told := carrier.Tracking{}, carrier.Tracking{}
			for n, i := range order {
				tells := carrier.Tracking{Status: events[i].Status, Events: events[i : i+1]}
				once = carrier.Merge(once, tells)
				told = carrier.Merge(carrier.Merge(told, tells), carrier.Merge(tells, heard(events[order[n/2]])))
			}
			// gomega's messages would cost more than the merging: there are thousands.
			if !equal(once, whole) || !equal(told, whole) {
				Fail("another end of another order")
			}
		})
	},
		Entry("of a parcel that goes its way", carrier.Delivered,
			at(0, carrier.PreTransit), at(5, carrier.InTransit), at(9, carrier.InTransit), at(20, carrier.InTransit), at(28, carrier.InTransit), at(30, carrier.OutForDelivery), at(33, carrier.Delivered)),
		Entry("of one that nobody opened for, and that came the next day", carrier.Delivered,
			at(0, carrier.PreTransit), at(5, carrier.InTransit), at(30, carrier.OutForDelivery), at(33, carrier.Exception), at(54, carrier.OutForDelivery), at(58, carrier.Delivered)),
		Entry("of one that waits to be fetched", carrier.AvailableForPickup, at(0, carrier.PreTransit), at(5, carrier.InTransit), at(30, carrier.OutForDelivery), at(33, carrier.AvailableForPickup)),
		Entry("of one that something happened to on its last mile", carrier.Exception, at(0, carrier.PreTransit), at(5, carrier.InTransit), at(30, carrier.OutForDelivery), at(33, carrier.Exception)),
		Entry("of one that was lost and found", carrier.OutForDelivery, at(0, carrier.PreTransit), at(5, carrier.InTransit), at(80, carrier.Lost), at(200, carrier.InTransit), at(203, carrier.OutForDelivery)),
		Entry("of one that is lost", carrier.Lost, at(0, carrier.PreTransit), at(5, carrier.InTransit), at(80, carrier.Exception), at(200, carrier.Lost)),
		Entry("of one that goes back, and is delivered to who sent it", carrier.Returned,
			at(0, carrier.PreTransit), at(5, carrier.InTransit), at(33, carrier.Exception), at(40, carrier.ReturnToSender), at(50, carrier.InTransit), at(70, carrier.Delivered), at(71, carrier.Returned)),
		Entry("of one whose label was given back", carrier.Annulled, at(0, carrier.PreTransit), at(5, carrier.Annulled)),
		Entry("of one whose label was given back too late", carrier.InTransit, at(0, carrier.PreTransit), at(5, carrier.InTransit), at(6, carrier.Annulled)),
		Entry("of one of which nobody says when", carrier.Delivered, carrier.Event{Status: carrier.PreTransit}, carrier.Event{Status: carrier.InTransit}, carrier.Event{Status: carrier.Delivered}, carrier.Event{Status: carrier.Exception}),
		Entry("of one of which two things are said of one moment", carrier.Lost, at(5, carrier.InTransit), at(9, carrier.Exception), at(9, carrier.Lost), at(9, carrier.OutForDelivery)),
	)

	It("is joined: in any order, in any groups, and twice as once", func() {
		rapid.Check(GinkgoT(), func(t *rapid.T) {
			a, b, c := drawn(t), drawn(t), drawn(t)
			Expect(carrier.Merge(a, b)).To(Equal(carrier.Merge(b, a)))
			Expect(carrier.Merge(carrier.Merge(a, b), c)).To(Equal(carrier.Merge(a, carrier.Merge(b, c))))
			Expect(carrier.Merge(carrier.Merge(a, b), b)).To(Equal(carrier.Merge(a, b)))
		})
	})

	It("never moves back, whatever is heard", func() {
		rank := func(s carrier.Status) int {
			return slices.Index([]carrier.Status{carrier.PreTransit, carrier.Annulled, carrier.InTransit, carrier.OutForDelivery, carrier.Delivered, carrier.ReturnToSender, carrier.Returned}, s)
		}
		rapid.Check(GinkgoT(), func(t *rapid.T) {
			known, told := carrier.Merge(carrier.Tracking{}, drawn(t)), drawn(t)
			furthest := -1
			for _, e := range known.Events {
				furthest = max(furthest, rank(e.Status))
			}
			after := carrier.Merge(known, told)
			if r := rank(after.Status); r >= 0 {
				Expect(r).To(BeNumerically(">=", furthest), "%s is not before what was reached", after.Status)
			} else if furthest >= rank(carrier.Delivered) {
				Expect(after.Status).To(BeElementOf(carrier.Delivered, carrier.ReturnToSender, carrier.Returned))
			}
			if known.Status != carrier.Unknown {
				Expect(after.Status).NotTo(Equal(carrier.Unknown))
			}
		})
	})

	It("is known from a status alone, when that is all that was kept", func() {
		for _, s := range carrier.Statuses() {
			Expect(carrier.Merge(carrier.Tracking{Status: s}, carrier.Tracking{}).Status).To(Equal(s))
		}
		late := carrier.Merge(carrier.Tracking{Status: carrier.Delivered}, heard(at(30, carrier.OutForDelivery), at(33, carrier.Exception)))
		Expect(late.Status).To(Equal(carrier.Delivered))
	})

	It("is not told twice because a database keeps other times", func() {
		lisbon, err := time.LoadLocation("Europe/Lisbon")
		Expect(err).NotTo(HaveOccurred())
		e := at(5, carrier.InTransit)
		e.At = e.At.Add(123456789)
		kept := e
		kept.At = e.At.Truncate(time.Microsecond).In(lisbon)
		Expect(heard(e, kept).Events).To(HaveLen(1))
	})

	It("is expected when who heard last expects it", func() {
		tomorrow, later := morning.Add(24*time.Hour), morning.Add(48*time.Hour)
		old := carrier.Tracking{Events: []carrier.Event{at(5, carrier.InTransit)}, EstimatedDelivery: &tomorrow}
		fresh := carrier.Tracking{Events: []carrier.Event{at(6, carrier.InTransit)}, EstimatedDelivery: &later}
		Expect(carrier.Merge(fresh, old).EstimatedDelivery).To(HaveValue(Equal(later)))
		Expect(carrier.Merge(old, fresh).EstimatedDelivery).To(HaveValue(Equal(later)))
		fresh.EstimatedDelivery = nil
		Expect(carrier.Merge(old, fresh).EstimatedDelivery).To(BeNil(), "they no longer say")
	})
})

func equal(a, b carrier.Tracking) bool {
	return a.Status == b.Status && slices.Equal(a.Events, b.Events)
}

// drawn is what somebody says of a parcel, of few moments so that they coincide.
func drawn(t *rapid.T) carrier.Tracking {
	said := carrier.Tracking{Status: rapid.SampledFrom(append(carrier.Statuses(), carrier.Unknown)).Draw(t, "status")}
	for range rapid.IntRange(0, 6).Draw(t, "events") {
		e := carrier.Event{Status: rapid.SampledFrom(append(carrier.Statuses(), carrier.Unknown)).Draw(t, "event"), Place: rapid.SampledFrom([]string{"", "Porto"}).Draw(t, "place")}
		if hours := rapid.IntRange(-1, 4).Draw(t, "hours"); hours >= 0 {
			e.At = morning.Add(time.Duration(hours) * time.Hour)
		}
		said.Events = append(said.Events, e)
	}
	if days := rapid.IntRange(-1, 2).Draw(t, "estimate"); days >= 0 {
		estimate := morning.Add(time.Duration(days) * 24 * time.Hour)
		said.EstimatedDelivery = &estimate
	}
	return said
}
