package main

import (
	"math/rand/v2"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("what the samples say", func() {
	// 1 ms, 2 ms, … n ms, in no order.
	upTo := func(n int) []time.Duration {
		samples := make([]time.Duration, n)
		for i, at := range rand.Perm(n) {
			samples[at] = time.Duration(i+1) * time.Millisecond
		}
		return samples
	}

	DescribeTable("is the sample that so many do not exceed", func(samples []time.Duration, p50, p95, p99 int) {
		const ms = time.Millisecond
		Expect(latencyOf(samples)).To(Equal(latency{time.Duration(p50) * ms, time.Duration(p95) * ms, time.Duration(p99) * ms}))
	},
		Entry("of none", nil, 0, 0, 0),
		Entry("of one", upTo(1), 1, 1, 1),
		Entry("of two", upTo(2), 1, 2, 2),
		Entry("of twenty", upTo(20), 10, 19, 20),
		Entry("of a hundred", upTo(100), 50, 95, 99),
		Entry("of a thousand", upTo(1000), 500, 950, 990),
		Entry("of a thousand and one", upTo(1001), 501, 951, 991),
	)

	It("leaves the samples in the order they came in", func() {
		samples := []time.Duration{3, 1, 2}
		latencyOf(samples)
		Expect(samples).To(Equal([]time.Duration{3, 1, 2}))
	})

	It("compares with the floor, unless there is none", func() {
		Expect(ratio(600, 1000)).To(Equal(0.6))
		Expect(ratio(600, 0)).To(BeZero())
		Expect(rate(500, 250*time.Millisecond)).To(Equal(2000.0))
		Expect(rate(500, 0)).To(BeZero())
	})
})
