package orders

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/money"
)

var everyStatus = []status{created, confirmed, paid, shipped, delivered, failed, cancelled, refunded}

func amount(minor int64, c money.Currency) money.Amount {
	return money.Amount{Minor: minor, Currency: c}
}

// onSale is what a SKU costs, in one currency or in several.
func onSale(sku string, prices ...money.Amount) catalogapi.Offer {
	return catalogapi.Offer{SKU: sku, ProductID: clock.NewID().String(), Name: "The " + sku, Prices: prices}
}

func assortment(offers ...catalogapi.Offer) map[string]catalogapi.Offer {
	bySKU := map[string]catalogapi.Offer{}
	for _, o := range offers {
		bySKU[o.SKU] = o
	}
	return bySKU
}

// asks are wishes in the order of the request.
func asks(wants ...want) []want {
	for i := range wants {
		wants[i].Pointer = fmt.Sprintf("/items/%d", i)
	}
	return wants
}

var _ = Describe("the status of an order", func() {
	DescribeTable("moves", func(from status, to ...status) {
		for _, next := range everyStatus {
			Expect(from.canBecome(next)).To(Equal(slices.Contains(to, next)), "%s to %s", from, next)
		}
	},
		Entry("created", created, confirmed, failed, cancelled),
		Entry("confirmed", confirmed, paid, failed, cancelled),
		Entry("paid", paid, shipped, delivered, cancelled, refunded),
		Entry("shipped", shipped, delivered, refunded),
		Entry("delivered", delivered, refunded),
		Entry("failed, which is an end", failed),
		Entry("cancelled, which is an end", cancelled),
		Entry("refunded, which is an end", refunded),
	)

	It("never comes back to where it was", func() {
		var reach func(from status, seen []status)
		reach = func(from status, seen []status) {
			for _, next := range moves[from] {
				Expect(seen).NotTo(ContainElement(next))
				reach(next, append(slices.Clone(seen), next))
			}
		}
		for _, s := range everyStatus {
			reach(s, []status{s})
		}
	})

	It("is shown to callers, each by its name", func() {
		for from, to := range moves {
			Expect(everyStatus).To(ContainElement(from))
			Expect(everyStatus).To(ContainElements(to))
		}
	})
})

var _ = Describe("cancelling an order", func() {
	now := time.Date(2026, time.March, 1, 9, 0, 0, 0, time.UTC)

	DescribeTable("calls it off", func(from status) {
		o := order{Status: from, Version: 3}
		Expect(o.cancel("changed my mind", now)).To(BeTrue())
		Expect(o).To(Equal(order{Status: cancelled, Reason: "changed my mind", Version: 4, UpdatedAt: now}))
	},
		Entry("created", created),
		Entry("confirmed", confirmed),
		Entry("paid", paid),
	)

	DescribeTable("is refused", func(from status) {
		o := order{Status: from, Version: 3}
		changed, err := o.cancel("too late", now)
		Expect(changed).To(BeFalse())
		Expect(err).To(MatchError(errNotCancellable))
		Expect(fault.From(err).Detail).To(ContainSubstring(string(from)))
		Expect(o).To(Equal(order{Status: from, Version: 3}))
	},
		Entry("shipped", shipped),
		Entry("delivered", delivered),
		Entry("failed", failed),
		Entry("refunded", refunded),
	)

	It("changes nothing the second time, not even the reason", func() {
		o := order{Status: cancelled, Reason: "first", Version: 2}
		Expect(o.cancel("second", now)).To(BeFalse())
		Expect(o).To(Equal(order{Status: cancelled, Reason: "first", Version: 2}))
	})
})

var _ = Describe("pricing an order", func() {
	var offers map[string]catalogapi.Offer

	BeforeEach(func() {
		offers = assortment(
			onSale("MUG", amount(1250, money.EUR), amount(1400, money.USD)), onSale("CUP", amount(800, money.EUR)),
			onSale("TEA", amount(1500, money.JPY)), onSale("GIFT", amount(0, money.EUR)), onSale("ISLAND", amount(math.MaxInt64, money.EUR)),
		)
	})
	fields := func(err error) (list []string) {
		for _, f := range fault.From(err).Fields {
			list = append(list, f.Pointer+" "+f.Code)
		}
		return list
	}

	It("takes the catalog's prices, in the first item's own currency", func() {
		lines, err := price(asks(want{SKU: "MUG", Quantity: 2}, want{SKU: "CUP", Quantity: 3}), offers, terms{})
		Expect(err).NotTo(HaveOccurred())
		Expect(lines).To(HaveExactElements(
			And(HaveField("SKU", "MUG"), HaveField("Name", "The MUG"), HaveField("Quantity", int64(2)), HaveField("Price", amount(1250, money.EUR)),
				HaveField("Total", amount(2500, money.EUR)), HaveField("ProductID", uuid.MustParse(offers["MUG"].ProductID))),
			And(HaveField("SKU", "CUP"), HaveField("Total", amount(2400, money.EUR)))))
		Expect(total(lines)).To(Equal(amount(4900, money.EUR)))
	})

	It("takes the price in the currency that is asked for", func() {
		lines, err := price(asks(want{SKU: "MUG", Quantity: 1}), offers, terms{Currency: money.USD})
		Expect(err).NotTo(HaveOccurred())
		Expect(lines).To(ConsistOf(HaveField("Total", amount(1400, money.USD))))
	})

	It("gives away what costs nothing", func() {
		lines, err := price(asks(want{SKU: "GIFT", Quantity: 3}), offers, terms{})
		Expect(err).NotTo(HaveOccurred())
		Expect(total(lines)).To(Equal(amount(0, money.EUR)))
	})

	It("adds up lines of the same SKU, where the first one stands", func() {
		lines, err := price(asks(want{SKU: "MUG", Quantity: 2}, want{SKU: "CUP", Quantity: 1}, want{SKU: "MUG", Quantity: 3}), offers, terms{})
		Expect(err).NotTo(HaveOccurred())
		Expect(lines).To(HaveExactElements(And(HaveField("SKU", "MUG"), HaveField("Quantity", int64(5)), HaveField("Total", amount(6250, money.EUR))), HaveField("SKU", "CUP")))
	})

	It("names every SKU that is not for sale", func() {
		_, err := price(asks(want{SKU: "GHOST", Quantity: 1}, want{SKU: "MUG", Quantity: 1}, want{SKU: "mug", Quantity: 1}, want{SKU: "TEA", Quantity: 1}), offers, terms{})
		Expect(err).To(MatchError(errUnknownSKU))
		Expect(fields(err)).To(Equal([]string{"/items/0/sku unknown_sku", "/items/2/sku unknown_sku"}))
	})

	DescribeTable("takes one currency, and names what has no price in it", func(currency money.Currency, skus []string, wrong ...string) {
		var wants []want
		for _, sku := range skus {
			wants = append(wants, want{SKU: sku, Quantity: 1})
		}
		_, err := price(asks(wants...), offers, terms{Currency: currency})
		if len(wrong) == 0 {
			Expect(err).NotTo(HaveOccurred())
			return
		}
		Expect(err).To(MatchError(errCurrencyMismatch))
		Expect(fields(err)).To(Equal(wrong))
	},
		Entry("the first item's", money.Currency(""), []string{"CUP", "TEA", "MUG", "TEA"}, "/items/1/sku currency_mismatch", "/items/3/sku currency_mismatch"),
		Entry("the first item's own, not another of its prices", money.Currency(""), []string{"TEA", "MUG"}, "/items/1/sku currency_mismatch"),
		Entry("the one asked for", money.USD, []string{"MUG", "CUP"}, "/items/1/sku currency_mismatch"),
		Entry("none of them", money.GBP, []string{"MUG", "CUP"}, "/items/0/sku currency_mismatch", "/items/1/sku currency_mismatch"),
		Entry("one that all have", money.EUR, []string{"MUG", "CUP"}),
	)

	Describe("with the prices that the buyer saw", func() {
		seen := func(prices ...httpx.Decimal) []want {
			skus := []string{"MUG", "CUP", "GIFT"}
			var wants []want
			for i, p := range prices {
				wants = append(wants, want{SKU: skus[i], Quantity: 1, Price: p})
			}
			return asks(wants...)
		}

		DescribeTable("accepts those that are still right", func(prices ...httpx.Decimal) {
			lines, err := price(seen(prices...), offers, terms{})
			Expect(err).NotTo(HaveOccurred())
			Expect(lines[0].Price).To(Equal(amount(1250, money.EUR)))
		},
			Entry("exactly", httpx.Decimal("12.50"), httpx.Decimal("8.00"), httpx.Decimal("0.00")),
			Entry("shorter", httpx.Decimal("12.5"), httpx.Decimal("8"), httpx.Decimal("0")),
			Entry("of some", httpx.Decimal(""), httpx.Decimal("8.00")),
		)

		It("refuses the order when one changed, and shows all that did with both prices", func() {
			_, err := price(seen("12.49", "8", "0.01"), offers, terms{})
			Expect(err).To(MatchError(errPriceChanged))
			Expect(fields(err)).To(Equal([]string{"/items/0/price price_changed", "/items/2/price price_changed"}))
			Expect(fault.From(err).Fields[0].Detail).To(Equal("MUG costs 12.50 EUR now, not 12.49 EUR"))
			Expect(fault.From(err).Extra).To(HaveKeyWithValue("changes", []change{
				{"/items/0/price", "MUG", "12.49", "12.50", "EUR"}, {"/items/2/price", "GIFT", "0.01", "0.00", "EUR"},
			}))
		})

		It("lets them stand for who may override prices", func() {
			lines, err := price(seen("10.00", "0", ""), offers, terms{Override: true})
			Expect(err).NotTo(HaveOccurred())
			Expect(total(lines)).To(Equal(amount(1000, money.EUR)))
		})

		It("keeps lines of one SKU apart that have different prices", func() {
			lines, err := price(asks(want{SKU: "MUG", Quantity: 1, Price: "10"}, want{SKU: "MUG", Quantity: 2}, want{SKU: "MUG", Quantity: 4, Price: "10.00"}), offers, terms{Override: true})
			Expect(err).NotTo(HaveOccurred())
			Expect(lines).To(HaveExactElements(
				And(HaveField("Quantity", int64(5)), HaveField("Total", amount(5000, money.EUR))), And(HaveField("Quantity", int64(2)), HaveField("Total", amount(2500, money.EUR)))))
		})

		DescribeTable("names every one that is no price, also for who may override", func(prices []httpx.Decimal, wrong ...string) {
			for _, override := range []bool{false, true} {
				_, err := price(seen(prices...), offers, terms{Override: override})
				Expect(err).To(MatchError(httpx.ErrValidation()))
				Expect(fields(err)).To(Equal(wrong))
			}
		},
			Entry("too many digits, no number", []httpx.Decimal{"12.500", "eight"}, "/items/0/price too_many_digits", "/items/1/price type"),
			Entry("negative, beside one that changed", []httpx.Decimal{"11", "-8.00"}, "/items/1/price minimum"),
			Entry("larger than anything", []httpx.Decimal{"99999999999999999999"}, "/items/0/price maximum"),
		)

		It("reads them in the order's currency", func() {
			_, err := price(asks(want{SKU: "TEA", Quantity: 1, Price: "1500.00"}), offers, terms{})
			Expect(fields(err)).To(Equal([]string{"/items/0/price too_many_digits"}))
			Expect(price(asks(want{SKU: "TEA", Quantity: 1, Price: "1500"}), offers, terms{})).To(HaveLen(1))
		})
	})

	DescribeTable("refuses what is worth more than can be counted", func(pointer string, wants ...want) {
		lines, err := price(asks(wants...), offers, terms{})
		if err == nil {
			_, err = total(lines)
		}
		Expect(err).To(MatchError(errAmountRange))
		Expect(fields(err)).To(Equal([]string{pointer + " amount_out_of_range"}))
	},
		Entry("a line", "/items/1", want{SKU: "MUG", Quantity: 1}, want{SKU: "ISLAND", Quantity: 2}),
		Entry("lines of the same SKU together", "/items/1", want{SKU: "ISLAND", Quantity: 1}, want{SKU: "ISLAND", Quantity: 1}),
		Entry("all lines together", "/items", want{SKU: "ISLAND", Quantity: 1}, want{SKU: "GIFT", Quantity: 1}, want{SKU: "MUG", Quantity: 1}),
	)

	It("counts to the last unit", func() {
		lines, err := price(asks(want{SKU: "ISLAND", Quantity: 1}, want{SKU: "GIFT", Quantity: 100_000}), offers, terms{})
		Expect(err).NotTo(HaveOccurred())
		Expect(total(lines)).To(Equal(amount(math.MaxInt64, money.EUR)))
	})
})

var _ = Describe("the total of any order", func() {
	// cart draws an assortment in one of the currencies and an order of it.
	cart := func(t *rapid.T) (map[string]catalogapi.Offer, []want, money.Currency) {
		c := rapid.SampledFrom(money.Enabled()).Draw(t, "currency")
		var offers []catalogapi.Offer
		skus := []string{"A", "B", "C", "D", "E"}
		for _, sku := range skus {
			offers = append(offers, onSale(sku, amount(rapid.Int64Range(0, 10_000_000).Draw(t, "price of "+sku), c)))
		}
		wants := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) want {
			w := want{SKU: rapid.SampledFrom(skus).Draw(t, "sku"), Quantity: rapid.Int64Range(1, 100_000).Draw(t, "quantity")}
			if rapid.Bool().Draw(t, "negotiated") {
				w.Price = httpx.Decimal(amount(rapid.Int64Range(0, 1000).Draw(t, "price"), c).Decimal())
			}
			return w
		}), 1, 12).Draw(t, "wants")
		return assortment(offers...), asks(wants...), c
	}
	// exact computes without limits and without our code.
	exact := func(offers map[string]catalogapi.Offer, wants []want) *big.Int {
		sum := new(big.Int)
		for _, w := range wants {
			minor := offers[w.SKU].Prices[0].Minor
			if w.Price != "" {
				digits, ok := new(big.Int).SetString(strings.ReplaceAll(string(w.Price), ".", ""), 10)
				if !ok {
					panic(w.Price)
				}
				minor = digits.Int64()
			}
			sum.Add(sum, new(big.Int).Mul(big.NewInt(minor), big.NewInt(w.Quantity)))
		}
		return sum
	}

	It("is exactly the sum of its lines, and of price times quantity", func() {
		always(func(t *rapid.T, g Gomega) {
			offers, wants, c := cart(t)
			lines, err := price(wants, offers, terms{Override: true})
			g.Expect(err).NotTo(HaveOccurred())
			sum, err := total(lines)
			g.Expect(err).NotTo(HaveOccurred())

			added := money.Amount{Currency: c}
			for _, l := range lines {
				g.Expect(l.Price.Mul(l.Quantity)).To(Equal(l.Total))
				added, err = added.Add(l.Total)
				g.Expect(err).NotTo(HaveOccurred())
			}
			g.Expect(sum).To(Equal(added))
			g.Expect(big.NewInt(sum.Minor)).To(Equal(exact(offers, wants)))
			g.Expect(money.Parse(sum.Decimal(), c)).To(Equal(sum), "on the wire too")
		})
	})

	It("does not change when a line is split in two", func() {
		always(func(t *rapid.T, g Gomega) {
			offers, wants, _ := cart(t)
			whole, err := price(wants, offers, terms{Override: true})
			g.Expect(err).NotTo(HaveOccurred())
			at := rapid.IntRange(0, len(wants)-1).Draw(t, "line")
			part := rapid.Int64Range(0, wants[at].Quantity-1).Draw(t, "part")
			if part == 0 {
				return // nothing to split off
			}
			rest := wants[at]
			rest.Quantity -= part
			split := slices.Clone(wants)
			split[at].Quantity = part
			split = asks(slices.Insert(split, rapid.IntRange(0, len(split)).Draw(t, "where"), rest)...)

			pieces, err := price(split, offers, terms{Override: true})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(total(pieces)).To(Equal(must(total(whole))))
			g.Expect(pieces).To(ConsistOf(whole), "it is the same order")
		})
	})

	It("does not depend on the order of the lines", func() {
		always(func(t *rapid.T, g Gomega) {
			offers, wants, _ := cart(t)
			one, err := price(wants, offers, terms{Override: true})
			g.Expect(err).NotTo(HaveOccurred())
			other, err := price(asks(rapid.Permutation(wants).Draw(t, "permutation")...), offers, terms{Override: true})
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(total(other)).To(Equal(must(total(one))))
		})
	})
})

var _ = Describe("what an order may say", func() {
	check := func(b placeBody) []string {
		list := []string{}
		for _, f := range b.Check() {
			list = append(list, f.Pointer+" "+f.Code)
		}
		return list
	}

	DescribeTable("is checked, all of it at once", func(b placeBody, wrong ...string) {
		Expect(check(b)).To(HaveExactElements(wrong))
	},
		Entry("nothing is wrong", placeBody{CustomerID: "c-1", Currency: "JPY", Metadata: map[string]string{"channel": "app", strings.Repeat("é", 40): strings.Repeat("茶", 500)}}),
		Entry("no currency is fine", placeBody{CustomerID: "c-1"}),
		Entry("a currency that nobody has", placeBody{CustomerID: "c-1", Currency: "XXX"}, "/currency unknown_currency"),
		Entry("one that is not sold in yet", placeBody{CustomerID: "c-1", Currency: "KWD"}, "/currency unknown_currency"),
		Entry("a lower-case one", placeBody{CustomerID: "c-1", Currency: "eur"}, "/currency unknown_currency"),
		Entry("a customer with blanks around", placeBody{CustomerID: " c-1"}, "/customerId pattern"),
		Entry("a country that there is not", placeBody{ShippingAddress: &address{Country: "UK"}}, "/shippingAddress/country unknown_country"),
		Entry("a customer on two lines", placeBody{CustomerID: "c\n1"}, "/customerId pattern"),
		Entry("metadata, by JSON pointers, in an order that stays",
			placeBody{CustomerID: "c-1 ", Currency: "EURO", Metadata: map[string]string{"": "x", "b": strings.Repeat("x", 501), "a/b~c" + strings.Repeat("x", 40): "x"}},
			"/currency unknown_currency", "/customerId pattern", "/metadata/ max_length", "/metadata/a~1b~0c"+strings.Repeat("x", 40)+" max_length", "/metadata/b max_length"),
	)
})

func must(a money.Amount, err error) money.Amount {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return a
}
