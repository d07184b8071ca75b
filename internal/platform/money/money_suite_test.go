package money

import (
	"maps"
	"slices"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

func TestMoney(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "money")
}

var everyCurrency = slices.Sorted(maps.Keys(minorDigits))

// always checks a rule on many generated cases and reports the smallest that
// breaks it. The rule asserts with its own g: the suite's Expect would end the
// search at the first failure.
func always(rule func(t *rapid.T, g Gomega)) {
	GinkgoHelper()
	rapid.Check(GinkgoT(), func(t *rapid.T) { rule(t, NewWithT(t)) })
}

// anyAmount favours the ends of the range and the neighbourhood of zero.
func anyAmount() *rapid.Generator[Amount] {
	return rapid.Custom(func(t *rapid.T) Amount {
		return Amount{rapid.Int64().Draw(t, "minor"), rapid.SampledFrom(everyCurrency).Draw(t, "currency")}
	})
}

func usd(minor int64) Amount { return Amount{minor, USD} }
func eur(minor int64) Amount { return Amount{minor, EUR} }

func minors(parts []Amount) []int64 {
	out := make([]int64, len(parts))
	for i, p := range parts {
		out[i] = p.Minor
	}
	return out
}
