package e2e_test

import (
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
)

// writable are all places that keep text of a caller: a path, a method and the body with
// the text in it.
func (s *standing) writable(text string) map[string]func() response {
	line := item{SKU: "MUG", Quantity: 1}
	order := func(changes object) func() response {
		return func() response { return s.post("/v1/orders", basket(line).but(changes)) }
	}
	product := func(changes object) func() response {
		return func() response {
			return s.post("/v1/products", mug.but(object{"sku": "P-" + uuid.NewString()[:8]}).but(changes))
		}
	}
	return map[string]func() response{
		"the name of a product":        product(object{"name": text}),
		"the description of a product": product(object{"description": "Call us: " + text + "."}),
		"a changed name":               func() response { return s.patch("/v1/products/"+s.product.ID, object{"name": text}) },
		"a changed description":        func() response { return s.patch("/v1/products/"+s.product.ID, object{"description": text}) },
		"a buyer":                      order(object{"customerId": strings.TrimSpace(text)}),
		"a value of one's own":         order(object{"metadata": object{"note": "please charge " + text + " thanks"}}),
		"the name of a value":          order(object{"metadata": object{text: "x"}}),
		"a street":                     order(object{"shippingAddress": object{"line1": text}}),
		"a telephone":                  order(object{"shippingAddress": object{"phone": text}}),
		"the reason of a cancellation": func() response { return s.post("/v1/orders/"+s.order.ID+"/cancel", object{"reason": text}) },
		"the reason of an adjustment":  func() response { return s.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": text}) },
		"a product, to be sent again": func() response {
			return s.post("/v1/products", mug.but(object{"sku": "Q-" + uuid.NewString()[:8], "name": text}), key(uuid.NewString()))
		},
		"a field that there is not":     func() response { return s.post("/v1/orders", basket(line).but(object{"cardNumber": text})) },
		"a field of that name":          func() response { return s.post("/v1/orders", basket(line).but(object{text: 1})) },
		"a price, of all things":        order(object{"items": []item{{SKU: "MUG", Quantity: 1, Price: text}}}),
		"the SKU of what is bought":     order(object{"items": []item{{SKU: text, Quantity: 1}}}),
		"a list where none is expected": order(object{"email": []string{text}}),
	}
}

var _ = Describe("a card number", func() {
	s := refusals()

	DescribeTable("is not accepted anywhere:",
		func(number string) {
			for place, send := range s.writable(number) {
				r := send()
				Expect(r).To(refuse(422, "card_data_not_accepted"), place)
				Expect(string(r.body)).NotTo(ContainSubstring(number[len(number)-6:]), "it is repeated in the answer")
			}
		},
		Entry("of Visa", "4242424242424242"),
		Entry("of Visa, in groups", "4242 4242 4242 4242"),
		Entry("of Visa, with hyphens", "4111-1111-1111-1111"),
		Entry("of Visa, of 19 digits", "4000000000000000006"),
		Entry("of Mastercard", "5555555555554444"),
		Entry("of Mastercard's second range", "2223003122003222"),
		Entry("of American Express", "378282246310005"),
		Entry("of American Express, in its groups", "3782 822463 10005"),
		Entry("of Discover", "6011111111111117"),
		Entry("of Diners Club", "30569309025904"),
		Entry("of Diners Club, of 16 digits", "3056930009020004"),
		Entry("of JCB", "3566002020360505"),
		Entry("of UnionPay", "6200000000000005"),
		Entry("with the date behind it", "4242 4242 4242 4242 12/27"),
		Entry("with the date and the code behind it", "4242424242424242 12 27 123"),
		Entry("with a number before it", "2 4242 4242 4242 4242"),
		Entry("with letters around it", "card4242424242424242exp"),
		Entry("with its name before it", "Visa:4242424242424242"),
		Entry("in full-width digits", "４２４２４２４２４２４２４２４２"),
		Entry("with blanks that do not break", "4242\u00a04242\u00a04242\u00a04242"),
		Entry("with points", "4242.4242.4242.4242"),
		Entry("with low lines", "4242_4242_4242_4242"),
		Entry("with slashes, and the date behind it", "3782/822463/10005 12/27"),
		Entry("with dashes that are longer", "4242–4242–4242–4242"),
		Entry("with what nobody sees between", "4242\u200b4242\u200b4242\u200b4242"),
	)
})

var _ = Describe("a credential", func() {
	s := refusals()

	DescribeTable("is not accepted where none belongs:",
		func(credential string) {
			for place, send := range s.writable(credential) {
				r := send()
				Expect(r).To(refuse(422, "secret_not_accepted"), place)
				Expect(string(r.body)).NotTo(ContainSubstring(credential[len(credential)-6:]), "it is repeated in the answer")
			}
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{"metadata": object{"token": credential}}))).To(refuse(422, "secret_not_accepted"))
		},
		Entry("a key of the shop", apikey.Prefix+strings.Repeat("Ab3", 14)),
		Entry("a key among words", "use "+apikey.Prefix+strings.Repeat("Ab3", 14)),
		Entry("a token from a mail", "fc_ot_"+strings.Repeat("Ab3", 14)),
		Entry("an access token", "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJlLW9mLWl0"),
	)
})

var _ = Describe("a credential where it belongs", func() {
	It("is looked at by who knows it", func() {
		s, token := open(), "fc_ot_"+strings.Repeat("Ab3", 14)
		visitor := s.with("")
		Expect(visitor.post("/v1/auth/email/verify", object{"token": token}).problem.Code).NotTo(Equal("secret_not_accepted"))
		Expect(visitor.post("/v1/auth/refresh", object{"refreshToken": token}).problem.Code).NotTo(Equal("secret_not_accepted"))
		Expect(visitor.post("/v1/auth/register", object{"email": uuid.NewString() + "@example.com", "password": token})).To(answer(202))
		Expect(s.post("/v1/auth/providers", bodies["createProvider"].(object).but(object{"clientSecret": token}))).To(answer(201))
		Expect(s.post("/v1/me/totp", object{"currentPassword": token}).problem.Code).NotTo(Equal("secret_not_accepted"))
	})
})

var _ = Describe("a number that is none of a card", func() {
	DescribeTable("is kept:",
		func(text string) {
			s := open()
			p := s.sells("MUG", 10, object{"name": text, "description": text})
			Expect(p.Name).To(Equal(text))
			o := as[order](s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{
				"customerId": text, "shippingAddress": object{"phone": text}, "metadata": object{"ean": text},
			})))
			Expect(o.CustomerID).To(Equal(text))
			Expect(o.Metadata).To(HaveKeyWithValue("ean", text))
		},
		Entry("of an article (EAN-13)", "4006381333931"),
		Entry("of a book (ISBN-13)", "978-3-16-148410-0"),
		Entry("of an article that begins like a card", "4242424242426"),
		Entry("of a pallet (GTIN-14)", "10614141000415"),
		Entry("of a telephone", "+351 912 345 678"),
		Entry("of a telephone, without blanks", "00351912345678"),
		Entry("of a telephone with an extension", "+49 30 12345678-90"),
		Entry("of a random id", "9f1b2c3d-4e5f-4a6b-8c7d-0e1f2a3b4c5d"),
		Entry("of an id whose digits could be a card's", "42424242-4242-4242-abcd-000000000000"),
		Entry("of an id whose last digits could be a card's", "0199c1de-0000-7000-4242-424242424242"),
		Entry("of 16 digits with the wrong check", "4242424242424243"),
		Entry("of 16 digits that no scheme issues", "1234567812345670"),
		Entry("of two days", "30/01/2026 24/07/2026"),
		Entry("of a moment", "30.01.2026 10.15.34"),
		Entry("of amounts", "4242.42 / 4242.42 / 4242.42"),
		Entry("of versions", "4.2.4.2.4.2.4.2.4.2.4.2.4.2.4.2"),
		Entry("of an account (IBAN)", "DE89 3704 0044 0532 0130 00"),
		Entry("of an account, otherwise", "GB29NWBK60161331926819"),
		Entry("of nothing but zeros", "0000000000000000"),
		Entry("of very many digits", strings.Repeat("4242", 10)),
	)

	It("may be a SKU", func() {
		s := open()
		for _, sku := range []string{"4006381333931", "9783161484100", uuid.NewString()} {
			s.sells(sku, 1)
			Expect(s.confirmed(item{SKU: sku, Quantity: 1}).Items[0].SKU).To(Equal(sku))
		}
	})
})
