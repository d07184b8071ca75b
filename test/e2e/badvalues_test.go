package e2e_test

import (
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("a product is refused", func() {
	s := refusals()

	DescribeTable("for what is said of it, when it is created and where it can be changed:",
		func(said object, pointers ...string) {
			Expect(s.post("/v1/products", mug.but(object{"sku": "NEW"}).but(said))).To(Or(refuse(422, "validation_failed", pointers...), refuse(422, "invalid_text", pointers...)))
			for _, fixed := range []string{"sku", "inventory"} {
				if _, ok := said[fixed]; ok {
					return
				}
			}
			if said["status"] == nil {
				Expect(s.patch("/v1/products/"+s.product.ID, object{"currency": "EUR", "price": 1}.but(said))).To(Or(refuse(422, "validation_failed", pointers...), refuse(422, "invalid_text", pointers...)))
			}
		},
		Entry("a negative price", object{"price": "-1"}, "/price"),
		Entry("a negative price, as a number", object{"price": -1}, "/price"),
		Entry("a price of a little less than nothing", object{"price": number("-0.01")}, "/price"),
		Entry("a price with more digits than its currency", object{"price": "29.999"}, "/price"),
		Entry("a price with more digits than its currency, as a number", object{"price": number("29.999")}, "/price"),
		Entry("a price with digits in a currency that has none", object{"price": "1500.00", "currency": "JPY"}, "/price"),
		Entry("a price with digits in a currency that has none, as a number", object{"price": number("15.5"), "currency": "JPY"}, "/price"),
		Entry("a price beyond what can be counted", object{"price": "92233720368547758.08"}, "/price"),
		Entry("a price beyond what can be counted, as a number", object{"price": number("92233720368547758.08")}, "/price"),
		Entry("a price of 20 digits", object{"price": "99999999999999999999"}, "/price"),
		Entry("a price of 20 digits, as a number", object{"price": number("99999999999999999999")}, "/price"),
		Entry("a price beyond all numbers", object{"price": number("1e400")}, "/price"),
		Entry("a price with an exponent", object{"price": number("1e3")}, "/price"),
		Entry("a price with an exponent, as text", object{"price": "1e3"}, "/price"),
		Entry("a price with a comma", object{"price": "29,99"}, "/price"),
		Entry("a price with a separator", object{"price": "1,500"}, "/price"),
		Entry("a price with blanks", object{"price": " 1"}, "/price"),
		Entry("a price with a line feed", object{"price": "1\n"}, "/price"),
		Entry("a price with a plus", object{"price": "+1"}, "/price"),
		Entry("a price without digits before its point", object{"price": ".5"}, "/price"),
		Entry("a price without digits behind its point", object{"price": "5."}, "/price"),
		Entry("a price in hexadecimal", object{"price": "0x10"}, "/price"),
		Entry("a price in other digits", object{"price": "١٥"}, "/price"),
		Entry("a price that is a symbol", object{"price": "$5"}, "/price"),
		Entry("a price that is no number", object{"price": "NaN"}, "/price"),
		Entry("a price without an end", object{"price": "Infinity"}, "/price"),
		Entry("a price of no text", object{"price": ""}, "/price"),
		Entry("a price that is a truth", object{"price": true}, "/price"),
		Entry("a price that is a list", object{"price": []int{1}}, "/price"),
		Entry("a price that is an object", object{"price": object{"minor": 1}}, "/price"),
		Entry("a price that is null", object{"price": nil}, "/price"),
		Entry("a currency in small letters", object{"currency": "usd"}, "/currency"),
		Entry("a currency that there is not", object{"currency": "XXX"}, "/currency"),
		Entry("a currency that is a metal", object{"currency": "XAU"}, "/currency"),
		Entry("a currency that shops cannot sell in yet", object{"currency": "KWD"}, "/currency"),
		Entry("a currency of four letters", object{"currency": "EURO"}, "/currency"),
		Entry("a currency of two letters", object{"currency": "EU"}, "/currency"),
		Entry("a currency with blanks", object{"currency": "EU "}, "/currency"),
		Entry("a currency that is a symbol", object{"currency": "€"}, "/currency"),
		Entry("a currency that is a number", object{"currency": 978}, "/currency"),
		Entry("no currency", object{"currency": ""}, "/currency"),
		Entry("both a price and a currency that are none", object{"price": "-5", "currency": "XXX"}, "/price", "/currency"),
		Entry("no SKU", object{"sku": ""}, "/sku"),
		Entry("a SKU of 65 characters", object{"sku": strings.Repeat("x", 65)}, "/sku"),
		Entry("a SKU of 64 characters too many", object{"sku": strings.Repeat("x", 10_000)}, "/sku"),
		Entry("a SKU with blanks", object{"sku": "BLUE MUG"}, "/sku"),
		Entry("a SKU with blanks around it", object{"sku": " MUG"}, "/sku"),
		Entry("a SKU with a line feed at its end", object{"sku": "CUP\n"}, "/sku"),
		Entry("a SKU with a tab", object{"sku": "BLUE\tMUG"}, "/sku"),
		Entry("a SKU with letters that are not ASCII", object{"sku": "TÄSSCHEN"}, "/sku"),
		Entry("a SKU that looks like another", object{"sku": "МUG"}, "/sku"), // a Cyrillic em
		Entry("a SKU that shows as nothing", object{"sku": "\u200b"}, "/sku"),
		Entry("a SKU that leads elsewhere", object{"sku": "../MUG"}, "/sku"),
		Entry("a SKU with a slash", object{"sku": "A/B"}, "/sku"),
		Entry("a SKU with a percent", object{"sku": "A%2FB"}, "/sku"),
		Entry("a SKU that begins with a hyphen", object{"sku": "-rf"}, "/sku"),
		Entry("a SKU that is a formula", object{"sku": "=1+1"}, "/sku"),
		Entry("no name", object{"name": ""}, "/name"),
		Entry("a name of blanks", object{"name": "   "}, "/name"),
		Entry("a name of blanks that do not break", object{"name": "\u00a0\u2003"}, "/name"),
		Entry("a name that shows as nothing", object{"name": "\u200b\u200d\ufeff"}, "/name"),
		Entry("a name of 201 letters", object{"name": strings.Repeat("ü", 201)}, "/name"),
		Entry("a name of two lines", object{"name": "Blue\nmug"}, "/name"),
		Entry("a name of two lines, otherwise", object{"name": "Blue\u2028mug"}, "/name"),
		Entry("a name with a bell", object{"name": "Blue\u0007mug"}, "/name"),
		Entry("a name with an escape of a terminal", object{"name": "Blue\u001b[31mmug"}, "/name"),
		Entry("a name with a control character of the second row", object{"name": "Blue\u0085mug"}, "/name"),
		Entry("a description of 10,001 letters", object{"description": strings.Repeat("ü", 10_001)}, "/description"),
		Entry("less than none on hand", object{"inventory": -1}, "/inventory"),
		Entry("more on hand than can be counted", object{"inventory": 1_000_000_001}, "/inventory"),
		Entry("a status that there is not", object{"status": "gone"}, "/status"),
		Entry("a status to begin with that only comes later", object{"status": "archived"}, "/status"),
		Entry("no status", object{"status": ""}, "/status"),
	)

	It("when its SKU is taken, in any way of asking", func() {
		for range 3 {
			Expect(s.post("/v1/products", mug)).To(refuse(409, "sku_taken", "/sku"))
		}
	})

	It("when it is asked to become what it cannot", func() {
		Expect(s.patch("/v1/products/"+s.product.ID, object{"status": "sold"})).To(refuse(422, "validation_failed", "/status"))
	})

	It("when a price in its own currency has the wrong digits", func() {
		Expect(s.patch("/v1/products/"+s.product.ID, object{"price": "1.234"})).To(refuse(422, "validation_failed", "/price"))
		Expect(s.patch("/v1/products/"+s.product.ID, object{"price": "-1"})).To(refuse(422, "validation_failed", "/price"))
		Expect(s.patch("/v1/products/"+s.product.ID, object{"price": "92233720368547758.08"})).To(refuse(422, "validation_failed", "/price"))
	})
})

var _ = Describe("an order is refused", func() {
	s := refusals()
	line := item{SKU: "MUG", Quantity: 1}
	lines := func(n int) []item {
		list := make([]item, n)
		for i := range list {
			list[i] = line
		}
		return list
	}
	metadata := func(n int) object {
		o := object{}
		for i := range n {
			o[fmt.Sprint("k", i)] = "v"
		}
		return o
	}

	DescribeTable("for what is said of it:",
		func(said object, pointers ...string) {
			Expect(s.post("/v1/orders", basket(line).but(said))).To(refuse(422, "validation_failed", pointers...))
		},
		Entry("nothing to buy", object{"items": []item{}}, "/items"),
		Entry("501 lines", object{"items": lines(501)}, "/items"),
		Entry("items that are no list", object{"items": line}, "/items"),
		Entry("items that are text", object{"items": "MUG"}, "/items"),
		Entry("an item that is null", object{"items": []any{nil}}, "/items/0"),
		Entry("an item that is text", object{"items": []any{"MUG"}}, "/items/0"),
		Entry("none of something", object{"items": []item{{SKU: "MUG", Quantity: 0}}}, "/items/0/quantity"),
		Entry("less than none of something", object{"items": []item{{SKU: "MUG", Quantity: -1}}}, "/items/0/quantity"),
		Entry("a billion of something", object{"items": []item{{SKU: "MUG", Quantity: 1_000_000_000}}}, "/items/0/quantity"),
		Entry("one and a half of something", object{"items": []item{{SKU: "MUG", Quantity: number("1.5")}}}, "/items/0/quantity"),
		Entry("as much as text says", object{"items": []item{{SKU: "MUG", Quantity: "1"}}}, "/items/0/quantity"),
		Entry("no SKU", object{"items": []item{{SKU: "", Quantity: 1}}}, "/items/0/sku"),
		Entry("a SKU that cannot be one", object{"items": []item{{SKU: strings.Repeat("x", 65), Quantity: 1}}}, "/items/0/sku"),
		Entry("a price that is none", object{"items": []item{{SKU: "MUG", Quantity: 1, Price: "free"}}}, "/items/0/price"),
		Entry("a negative price", object{"items": []item{{SKU: "MUG", Quantity: 1, Price: "-12.50"}}}, "/items/0/price"),
		Entry("a price with too many digits", object{"items": []item{{SKU: "MUG", Quantity: 1, Price: number("12.505")}}}, "/items/0/price"),
		Entry("a price with an exponent", object{"items": []item{{SKU: "MUG", Quantity: 1, Price: number("1e1")}}}, "/items/0/price"),
		Entry("a price beyond what can be counted", object{"items": []item{{SKU: "MUG", Quantity: 1, Price: "92233720368547758.08"}}}, "/items/0/price"),
		Entry("prices that are none in two lines", object{"items": []item{{SKU: "MUG", Quantity: 1, Price: ""}, line, {SKU: "MUG", Quantity: 1, Price: true}}}, "/items/0/price", "/items/2/price"),
		Entry("nobody who buys", object{"customerId": ""}, "/customerId"),
		Entry("a buyer of blanks", object{"customerId": "  "}, "/customerId"),
		Entry("a buyer with blanks around", object{"customerId": "ana "}, "/customerId"),
		Entry("a buyer of two lines", object{"customerId": "a\nb"}, "/customerId"),
		Entry("a buyer of 65 characters", object{"customerId": strings.Repeat("x", 65)}, "/customerId"),
		Entry("a currency in small letters", object{"currency": "eur"}, "/currency"),
		Entry("a currency that there is not", object{"currency": "XXX"}, "/currency"),
		Entry("a currency of four letters", object{"currency": "EURO"}, "/currency"),
		Entry("an address of mail that is none", object{"email": "ana"}, "/email"),
		Entry("an address of mail with a header in it", object{"email": "ana@example.com\r\nBcc: all@example.com"}, "/email"),
		Entry("an address of mail with two @", object{"email": "a@b@example.com"}, "/email"),
		Entry("an address of mail of 300 characters", object{"email": strings.Repeat("x", 290) + "@example.com"}, "/email"),
		Entry("a country in words", object{"shippingAddress": object{"country": "Portugal"}}, "/shippingAddress/country"),
		Entry("a country in small letters", object{"shippingAddress": object{"country": "pt"}}, "/shippingAddress/country"),
		Entry("a street that is too long", object{"shippingAddress": object{"line1": strings.Repeat("x", 201)}}, "/shippingAddress/line1"),
		Entry("an address that is text", object{"shippingAddress": "Rua 1"}, "/shippingAddress"),
		Entry("51 values of one's own", object{"metadata": metadata(51)}, "/metadata"),
		Entry("a value of one's own of 501 characters", object{"metadata": object{"k": strings.Repeat("ü", 501)}}, "/metadata/k"),
		Entry("a value of one's own under 41 characters", object{"metadata": object{strings.Repeat("k", 41): "v"}}, "/metadata/"+strings.Repeat("k", 41)),
		Entry("a value of one's own that is a number", object{"metadata": object{"k": 1}}, "/metadata/k"),
		Entry("a value of one's own that is an object", object{"metadata": object{"k": object{"$gt": ""}}}, "/metadata/k"),
		Entry("values of one's own that are a list", object{"metadata": []string{"v"}}, "/metadata"),
	)

	It("for everything that is not for sale in it, which it names", func() {
		Expect(s.post("/v1/orders", basket(item{SKU: "GHOST", Quantity: 1}, line, item{SKU: "mug", Quantity: 1}, item{SKU: "MUG ", Quantity: 1}))).To(
			refuse(422, "unknown_sku", "/items/0/sku", "/items/2/sku", "/items/3/sku"))
	})

	It("when it is worth more than can be counted, at a price of its own", func() {
		Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 2, Price: "92233720368547758.07"}))).To(refuse(422, "amount_out_of_range", "/items/0"))
		Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1, Price: "92233720368547758.07"}, item{SKU: "MUG", Quantity: 1, Price: "0.01"}))).To(refuse(422, "amount_out_of_range", "/items"))
	})

	It("to be cancelled in part is refused when nothing says which part", func() {
		Expect(s.post("/v1/orders/"+s.order.ID+"/cancel", `{"items":[{"sku":"MUG"}]}`)).To(refuse(422, "validation_failed", "/items/0/quantity"))
		Expect(s.post("/v1/orders/"+s.order.ID+"/cancel", `{"items":[{"sku":"MUG","quantity":0}]}`)).To(refuse(422, "validation_failed", "/items/0/quantity"))
		Expect(s.post("/v1/orders/"+s.order.ID+"/cancel", `{"items":[{"quantity":1}]}`)).To(refuse(422, "validation_failed", "/items/0"))
		Expect(s.post("/v1/orders/"+s.order.ID+"/cancel", `{"items":[{"sku":"SPOON","quantity":1}]}`)).To(refuse(409, "order_not_cancellable", "/items/0"))
	})

	DescribeTable("to be cancelled for a reason that is none:",
		func(reason any) {
			Expect(s.post("/v1/orders/"+s.order.ID+"/cancel", object{"reason": reason})).To(refuse(422, "validation_failed", "/reason"))
		},
		Entry("a number", 1), Entry("null", nil), Entry("a list", []string{"x"}), Entry("501 letters", strings.Repeat("ü", 501)),
	)

	It("to be told what only the program decides", func() {
		for _, path := range []string{"/v1/orders/" + s.order.ID} {
			Expect(s.patch(path, object{"status": "paid"})).To(refuse(405, "method_not_allowed"))
			Expect(s.put(path, object{"status": "paid"})).To(refuse(405, "method_not_allowed"))
			Expect(s.delete(path)).To(refuse(405, "method_not_allowed"))
		}
	})
})

var _ = Describe("a change of stock is refused", func() {
	s := refusals()

	DescribeTable("when it is counted as",
		func(said object, pointers ...string) {
			Expect(s.put("/v1/inventory/MUG", object{"onHand": 10}.but(said))).To(refuse(422, "validation_failed", pointers...))
		},
		Entry("less than none", object{"onHand": -1}, "/onHand"),
		Entry("more than can be counted", object{"onHand": 1_000_000_001}, "/onHand"),
		Entry("nobody knows what", object{"onHand": nil}, "/onHand"),
		Entry("a part of one", object{"onHand": number("0.5")}, "/onHand"),
		Entry("low below nothing", object{"lowStockThreshold": -1}, "/lowStockThreshold"),
		Entry("low at more than can be counted", object{"lowStockThreshold": number("1e9")}, "/lowStockThreshold"),
	)

	DescribeTable("when it is adjusted",
		func(said object, pointers ...string) {
			Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": "found"}.but(said))).To(refuse(422, "validation_failed", pointers...))
		},
		Entry("by nothing", object{"delta": 0}, "/delta"),
		Entry("by minus nothing", object{"delta": number("-0")}, "/delta"),
		Entry("by more than can be counted", object{"delta": 1_000_000_001}, "/delta"),
		Entry("by less than can be counted", object{"delta": -1_000_000_001}, "/delta"),
		Entry("to more than can be counted", object{"delta": 999_999_999}, "/delta"),
		Entry("without a reason", object{"reason": absent}, "/reason"),
		Entry("for no reason", object{"reason": ""}, "/reason"),
		Entry("for a reason of blanks", object{"reason": "  "}, "/reason"),
		Entry("for a reason of 201 letters", object{"reason": strings.Repeat("ü", 201)}, "/reason"),
		Entry("for a reason that is a number", object{"reason": 7}, "/reason"),
	)

	It("in words that say its bounds in digits", func() {
		r := s.put("/v1/inventory/MUG", object{"onHand": 1_000_000_001})
		Expect(r).To(refuse(422, "validation_failed", "/onHand"))
		Expect(r.problem.Errors).To(HaveExactElements(HaveField("Detail", "must be at most 1000000000")))
	})

	It("when it leaves less than orders have reserved", func() {
		Expect(s.put("/v1/inventory/MUG", object{"onHand": 1})).To(refuse(409, "below_reserved"))
		Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": -9, "reason": "stolen"})).To(refuse(409, "below_reserved"))
		Expect(s.post("/v1/inventory/MUG/adjustments", object{"delta": -1_000_000_000, "reason": "stolen"})).To(refuse(409, "below_reserved"))
	})

	It("of what nobody has", func() {
		Expect(s.put("/v1/inventory/GHOST", object{"onHand": 1})).To(refuse(404, "not_found"))
		Expect(s.post("/v1/inventory/GHOST/adjustments", object{"delta": 1, "reason": "found"})).To(refuse(404, "not_found"))
		Expect(s.post("/v1/inventory", object{"sku": "NEW", "onHand": 1})).To(refuse(405, "method_not_allowed"))
	})

	It("meant for another version of it", func() {
		Expect(s.put("/v1/inventory/MUG", object{"onHand": 11}, header{"If-Match", `"0"`})).To(refuse(412, "version_conflict"))
	})
})
