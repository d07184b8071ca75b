package main

import (
	"math"
	"slices"
	"time"
)

// percentile is the smallest of the sorted samples that p percent of them do not exceed
// (nearest rank): always one that was measured, never a mean of two.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// latency of many requests.
type latency struct{ p50, p95, p99 time.Duration }

func latencyOf(samples []time.Duration) latency {
	sorted := slices.Sorted(slices.Values(samples))
	return latency{percentile(sorted, 50), percentile(sorted, 95), percentile(sorted, 99)}
}

// rate is how many a second.
func rate(n int, took time.Duration) float64 {
	if took <= 0 {
		return 0
	}
	return float64(n) / took.Seconds()
}

// ratio is 0 when there is nothing to compare with.
func ratio(is, floor float64) float64 {
	if floor <= 0 {
		return 0
	}
	return is / floor
}

func rounded(v float64, digits int) float64 {
	scale := math.Pow10(digits)
	return math.Round(v*scale) / scale
}

func milliseconds(d time.Duration) float64 { return rounded(float64(d)/float64(time.Millisecond), 3) }
