package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// form is a route with a body, as the tables below need to know it.
type form struct {
	id       string // of the operation
	required []string
	texts    []string
	integers []string
}

// forms are all routes with a body: a spec sees to it that none is missing.
var forms = []form{
	{"createProduct", []string{"/sku", "/name", "/price", "/currency"}, []string{"/sku", "/name", "/description", "/currency", "/status", "/taxClass"}, []string{"/inventory", "/weightGrams"}},
	{"updateProduct", nil, []string{"/name", "/description", "/status", "/taxClass"}, []string{"/weightGrams"}},
	{"createOrder", []string{"/items", "/items/0/sku", "/items/0/quantity"}, []string{"/customerId", "/items/0/sku", "/email", "/currency", "/shippingAddress/city", "/metadata/note", "/holdId"}, []string{"/items/0/quantity"}},
	{"cancelOrder", nil, []string{"/reason"}, nil},
	{"holdOrder", []string{"/reason"}, []string{"/reason"}, nil},
	{"releaseOrder", []string{"/reason"}, []string{"/reason"}, nil},
	{"takeParcelBack", []string{"/shipmentId"}, []string{"/shipmentId"}, []string{"/scrap/0/quantity"}},
	{"editOrder", []string{"/shippingAddress"}, []string{"/shippingAddress/city", "/shippingAddress/country", "/reason"}, nil},
	{"setStock", []string{"/onHand"}, nil, []string{"/onHand", "/lowStockThreshold"}},
	{"adjustStock", []string{"/delta", "/reason"}, []string{"/reason"}, []string{"/delta"}},
	{"createHold", []string{"/items", "/items/0/sku", "/items/0/quantity"}, []string{"/items/0/sku"}, []string{"/items/0/quantity", "/ttlSeconds"}},
	{"createShippingMethod", []string{"/name", "/prices", "/prices/0/currency", "/prices/0/price"}, []string{"/name", "/description", "/taxClass", "/prices/0/currency", "/prices/0/zoneId"}, []string{"/position", "/prices/0/minGrams", "/prices/0/maxItems", "/maxParcel/grams"}},
	{"updateShippingMethod", nil, []string{"/name", "/description", "/taxClass"}, []string{"/position", "/maxParcel/grams"}},
	{"createShippingZone", []string{"/name", "/places/0/country"}, []string{"/name", "/places/0/country"}, nil},
	{"updateShippingZone", nil, []string{"/name"}, nil},
	{"putShippingBoxes", []string{"/data", "/data/0/name", "/data/0/length", "/data/0/width", "/data/0/height"}, []string{"/data/0/name"}, []string{"/data/0/length", "/data/0/grams", "/data/0/maxGrams"}},
	{"putShippingSettings", []string{"/sender/name", "/sender/line1", "/sender/city", "/sender/country"}, []string{"/sender/name", "/sender/city", "/sender/country", "/policy", "/paper"}, []string{"/defaultGrams"}},
	{"createShipment", []string{"/orderId"}, []string{"/orderId", "/service", "/carrier"}, []string{"/parcel/grams", "/parcel/length"}},
	{"createReturn", []string{"/lines", "/lines/0/quantity", "/lines/0/reason"}, []string{"/lines/0/sku", "/lines/0/reason", "/lines/0/note"}, []string{"/lines/0/quantity"}},
	{"rejectReturn", []string{"/answer"}, []string{"/answer"}, nil},
	{"receiveReturn", []string{"/lines/0/quantity"}, []string{"/lines/0/sku"}, []string{"/lines/0/quantity"}},
	{"putReturnPolicy", []string{"/windowDays"}, []string{"/restockingFee"}, []string{"/windowDays"}},
	{"createReturnLabel", nil, []string{"/service", "/carrier"}, []string{"/parcel/grams", "/parcel/length"}},
	{"findCarrierRates", []string{"/orderId"}, []string{"/orderId"}, []string{"/parcel/grams", "/parcel/length"}},
	{"createShippingLabel", []string{"/orderId"}, []string{"/orderId"}, nil},
	{"createCarrierAccount", []string{"/provider"}, []string{"/provider", "/name", "/secretKey"}, nil},
	{"updateCarrierAccount", nil, []string{"/name", "/secretKey"}, nil},
	{"findShippingRates", []string{"/destination", "/destination/country", "/currency"}, []string{"/destination/country", "/destination/region", "/destination/postalCode", "/currency"}, nil},
	{"createCart", []string{"/items/0/sku"}, []string{"/currency", "/customerId", "/items/0/sku", "/email", "/shippingAddress/city", "/billingAddress/city", "/shippingMethodId", "/metadata/note"}, []string{"/items/0/quantity"}},
	{"updateCart", []string{"/operations", "/operations/0/op"}, []string{"/operations/0/op", "/operations/0/itemId", "/operations/0/sku", "/operations/0/email", "/operations/0/address/city", "/operations/0/shippingMethodId", "/operations/0/code", "/operations/0/metadata/note"}, []string{"/operations/0/quantity"}},
	{"addCartItem", []string{"/sku"}, []string{"/sku"}, []string{"/quantity"}},
	{"placeCart", nil, nil, nil},
	{"quoteBasket", []string{"/currency", "/items", "/items/0/sku", "/items/0/quantity"}, []string{"/currency", "/items/0/sku", "/vatId", "/destination/country"}, []string{"/items/0/quantity"}},
	{"updatePricingSettings", nil, []string{"/rounding", "/mode", "/country", "/region", "/shippingTax"}, nil},
	{"createTaxRate", []string{"/name", "/country", "/rate"}, []string{"/name", "/country", "/region", "/postalPrefix", "/taxClass", "/rate"}, []string{"/priority"}},
	{"replaceTaxRate", []string{"/name", "/country", "/rate"}, []string{"/name", "/country", "/region", "/postalPrefix", "/taxClass", "/rate"}, []string{"/priority"}},
	{"createDiscount", []string{"/name", "/effect"}, []string{"/name", "/effect", "/percent", "/currency", "/stackGroup", "/code", "/status"}, []string{"/priority", "/minQuantity", "/maxUses", "/maxUsesPerBuyer"}},
	{"replaceDiscount", []string{"/name", "/effect"}, []string{"/name", "/effect", "/percent", "/currency", "/stackGroup", "/code", "/status"}, []string{"/priority", "/minQuantity", "/maxUses", "/maxUsesPerBuyer"}},
	{"createDiscountCodes", []string{"/count"}, []string{"/prefix"}, []string{"/count", "/maxUses"}},
	{"createCampaign", []string{"/productId", "/minParticipants", "/maxParticipants", "/price", "/originalPrice", "/startTime", "/endTime"}, []string{"/productId", "/currency"}, []string{"/minParticipants", "/maxParticipants"}},
	{"updateCampaign", nil, nil, []string{"/minParticipants", "/maxParticipants"}},
	{"cancelCampaign", nil, []string{"/reason"}, nil},
	{"createCustomer", []string{"/email"}, []string{"/email", "/name", "/phone", "/locale"}, nil},
	{"updateCustomer", nil, []string{"/email", "/name", "/phone", "/locale"}, nil},
	{"createCustomerNote", []string{"/text"}, []string{"/text"}, nil},
	{"createMyAddress", []string{"/line1", "/city", "/country"}, []string{"/name", "/line1", "/city", "/region", "/postalCode", "/country", "/phone"}, nil},
	{"updateMyAddress", nil, []string{"/name", "/line1", "/city", "/region", "/postalCode", "/country", "/phone"}, nil},
	{"createPaymentAccount", []string{"/provider"}, []string{"/provider", "/name", "/secretKey"}, nil},
	{"updatePaymentAccount", nil, []string{"/name", "/secretKey"}, nil},
	{"createPayment", []string{"/orderId"}, []string{"/orderId", "/provider", "/method", "/capture", "/returnUrl"}, nil},
	{"capturePayment", nil, nil, nil},
	{"markPaymentReceived", nil, nil, nil},
	{"createRefund", []string{"/reason"}, []string{"/reason", "/note"}, nil},
	{"authenticateTestPayment", []string{"/outcome"}, []string{"/outcome"}, nil},
	{"createKey", []string{"/name", "/permissions"}, []string{"/name", "/kind"}, []string{"/requestsPerMinute"}},
	{"createRole", []string{"/name", "/permissions"}, []string{"/name", "/description"}, nil},
	{"updateRole", nil, []string{"/description"}, nil},
	{"rotateKey", nil, nil, []string{"/overlapSeconds"}},
	{"register", []string{"/email", "/password"}, []string{"/email", "/password", "/name"}, nil},
	{"login", []string{"/email", "/password"}, []string{"/email", "/password", "/code", "/recoveryCode"}, nil},
	{"refresh", []string{"/refreshToken"}, []string{"/refreshToken"}, nil},
	{"logout", nil, []string{"/refreshToken"}, nil},
	{"forgotPassword", []string{"/email"}, []string{"/email"}, nil},
	{"resetPassword", []string{"/token", "/password"}, []string{"/token", "/password"}, nil},
	{"changePassword", []string{"/currentPassword", "/password"}, []string{"/currentPassword", "/password"}, nil},
	{"verifyEmail", []string{"/token"}, []string{"/token"}, nil},
	{"requestVerification", []string{"/email"}, []string{"/email"}, nil},
	{"confirmClaim", []string{"/token"}, []string{"/token"}, nil},
	{"introspectToken", []string{"/token"}, []string{"/token"}, nil},
	{"updateMe", nil, []string{"/name", "/email", "/currentPassword"}, nil},
	{"enrolSecondFactor", []string{"/currentPassword"}, []string{"/currentPassword"}, nil},
	{"confirmSecondFactor", []string{"/code"}, []string{"/code"}, nil},
	{"removeSecondFactor", []string{"/code"}, []string{"/code"}, nil},
	{"inviteStaff", []string{"/email", "/roles"}, []string{"/email", "/name"}, nil},
	{"acceptInvitation", []string{"/token", "/password"}, []string{"/token", "/password"}, nil},
	{"updateStaff", nil, []string{"/status"}, nil},
	{"joinCampaign", nil, []string{"/userId"}, []string{"/quantity"}},
	{"exchangeSignIn", []string{"/code"}, []string{"/code"}, nil},
	{"createProvider", []string{"/slug", "/name", "/kind", "/issuer", "/clientId"}, []string{"/slug", "/name", "/kind", "/issuer", "/clientId", "/clientSecret", "/audience"}, nil},
	{"updateProvider", nil, []string{"/name", "/issuer", "/clientId", "/clientSecret", "/audience"}, nil},
	{"createTenant", []string{"/slug", "/name"}, []string{"/slug", "/name", "/settings/senderName", "/settings/colours/primary"}, []string{"/quotas/products", "/quotas/ordersPerDay", "/quotas/requestsPerMinute"}},
	{"updateTenant", nil, []string{"/name", "/settings/logoUrl"}, []string{"/quotas/products"}},
	{"suspendTenant", []string{"/reason"}, []string{"/reason"}, nil},
	{"updateSettings", nil, []string{"/name", "/logoUrl", "/storefrontUrl", "/senderName", "/replyTo", "/defaultCurrency"}, nil},
}

// valid is a body that the route accepts, as text.
func (f form) valid() string {
	GinkgoHelper()
	raw, err := json.Marshal(bodies[f.id])
	Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

// with is the valid body with raw text at a JSON pointer.
func (f form) with(pointer, raw string) string {
	GinkgoHelper()
	var tree any
	Expect(json.Unmarshal([]byte(f.valid()), &tree)).To(Succeed())
	const here = "@@@"
	put(tree, strings.Split(pointer, "/")[1:], here)
	body, err := json.Marshal(tree)
	Expect(err).NotTo(HaveOccurred())
	return strings.Replace(string(body), `"`+here+`"`, raw, 1)
}

func put(tree any, path []string, value any) {
	switch node := tree.(type) {
	case map[string]any:
		if len(path) == 1 {
			node[path[0]] = value
			return
		}
		if node[path[0]] == nil {
			node[path[0]] = map[string]any{}
		}
		put(node[path[0]], path[1:], value)
	case []any:
		i, err := strconv.Atoi(path[0])
		Expect(err).NotTo(HaveOccurred())
		put(node[i], path[1:], value)
	}
}

// submit sends a body to a route, and where that makes a difference also as a request
// that could be repeated.
func (s *standing) submit(f form, body string) []response {
	GinkgoHelper()
	op := published.named(f.id)
	path := op.to(s.idFor(op), "MUG")
	caller := s.callerOf(op)
	answers := []response{caller.send(op.Method, path, body)}
	if op.Method == http.MethodPost {
		answers = append(answers, caller.send(op.Method, path, body, key(uuid.NewString())))
	}
	return answers
}

// callerOf is who is told what is wrong with a request.
func (s *standing) callerOf(op *operation) *shop {
	if op.Operator {
		return first()
	}
	return s.shop
}

func (s *standing) idFor(op *operation) string {
	if strings.Contains(op.Path, "orders") {
		return s.order.ID
	}
	if strings.Contains(op.Path, "campaigns") {
		return s.campaign.ID
	}
	return s.product.ID
}

func nested(open, middle, close string, depth int) string {
	return strings.Repeat(open, depth) + middle + strings.Repeat(close, depth)
}

var _ = Describe("a body", func() {
	s := refusals()

	It("is taken by no route that these specs do not know", func() {
		var known, documented []string
		for _, f := range forms {
			known = append(known, f.id)
		}
		for _, o := range published.Operations {
			if o.RequestBody == nil {
				continue
			}
			if _, raw := o.RequestBody.Content["application/octet-stream"]; !raw { // whose signature decides
				documented = append(documented, o.ID)
			}
		}
		Expect(known).To(ConsistOf(documented))
	})

	DescribeTable("that cannot be read is refused by every route:",
		func(spoil func(valid string) string) {
			for _, f := range forms {
				body := spoil(f.valid())
				if body == "" && (strings.HasPrefix(f.id, "cancel") || slices.Contains([]string{"logout", "placeCart", "capturePayment", "markPaymentReceived", "createReturnLabel"}, f.id)) {
					continue // that may be done without a word
				}
				Expect(s.submit(f, body)).To(HaveEach(refuse(400, "malformed_json")))
			}
		},
		Entry("nothing", func(string) string { return "" }),
		Entry("blanks", func(string) string { return " \n\t " }),
		Entry("the beginning of an object", func(v string) string { return v[:len(v)-1] }),
		Entry("an open brace", func(string) string { return "{" }),
		Entry("a closed brace", func(string) string { return "}" }),
		Entry("a word", func(string) string { return "{bad" }),
		Entry("another object behind it", func(v string) string { return v + v }),
		Entry("another value behind it", func(v string) string { return v + " 1" }),
		Entry("rubbish behind it", func(v string) string { return v + "]" }),
		Entry("a comma too many", func(v string) string { return v[:len(v)-1] + ",}" }),
		Entry("a comment", func(v string) string { return "/* hi */" + v }),
		Entry("a byte order mark", func(v string) string { return "\xef\xbb\xbf" + v }),
		Entry("single quotes", func(v string) string { return strings.ReplaceAll(v, `"`, `'`) }),
		Entry("names without quotes", func(string) string { return `{reason: "x"}` }),
		Entry("NaN", func(string) string { return `{"reason":NaN}` }),
		Entry("Infinity", func(string) string { return `{"delta":-Infinity}` }),
		Entry("a number with a leading zero", func(string) string { return `{"delta":01}` }),
		Entry("a number with a plus", func(string) string { return `{"delta":+1}` }),
		Entry("a number without a digit before its point", func(string) string { return `{"delta":.5}` }),
		Entry("a number in hexadecimal", func(string) string { return `{"delta":0x10}` }),
		Entry("a text with a line feed in it", func(string) string { return "{\"reason\":\"a\nb\"}" }),
		Entry("a text with a NUL in it", func(string) string { return "{\"reason\":\"a\x00b\"}" }),
		Entry("a text with an escape that there is not", func(string) string { return `{"reason":"\x41"}` }),
		Entry("a text with half an escape", func(string) string { return `{"reason":"\u00"}` }),
		Entry("a text without an end", func(string) string { return `{"reason":"abc` }),
		Entry("a field twice", func(v string) string { return v[:len(v)-1] + "," + v[1:] }),
		Entry("a field twice, the second time in capitals", func(v string) string { return v[:len(v)-1] + "," + strings.ToUpper(v[1:]) }),
		Entry("a field twice, once escaped", func(string) string { return `{"reason":"a","\u0072eason":"b"}` }),
		Entry("an unknown field with a field twice", func(v string) string { return `{"x":{"a":1,"a":2},` + v[1:] }),
		Entry("lists in lists, 65 deep", func(string) string { return nested("[", "", "]", 65) }),
		Entry("objects in objects, 65 deep", func(string) string { return nested(`{"a":`, "{}", "}", 64) }),
		Entry("lists in a field, 65 deep in all", func(v string) string { return `{"x":` + nested("[", "", "]", 64) + "," + v[1:] }),
		Entry("lists in lists, 100,000 deep", func(string) string { return nested("[", "", "]", 100_000) }),
		Entry("lists in lists without an end", func(string) string { return strings.Repeat("[", 200_000) }),
		Entry("UTF-16", func(v string) string { return "{\x00\"\x00a\x00\"\x00:\x001\x00}\x00" }),
		Entry("XML", func(string) string {
			return `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>`
		}),
		Entry("a form", func(string) string { return "sku=MUG&name=Mug" }),
	)

	It("may be 64 levels deep: then what is wrong with it is something else", func() {
		for _, f := range forms {
			Expect(s.submit(f, nested("[", "", "]", 64))).To(HaveEach(answer(422)))
		}
	})

	DescribeTable("that is no object is refused by every route:",
		func(body string) {
			for _, f := range forms {
				Expect(s.submit(f, body)).To(HaveEach(answer(422)))
			}
		},
		Entry("a list", `[]`), Entry("a list of an object", `[{}]`), Entry("a text", `"x"`), Entry("a number", `1`), Entry("a truth", `true`), Entry("null", `null`),
	)

	DescribeTable("with text that nothing can store is refused by every route, wherever it stands:",
		func(text string) {
			for _, f := range forms {
				for _, pointer := range f.texts {
					Expect(s.submit(f, f.with(pointer, text))).To(HaveEach(refuse(422, "invalid_text")), pointer)
				}
				Expect(s.submit(f, `{`+text+`:1,`+f.valid()[1:])).To(HaveEach(refuse(422, "invalid_text")), "as a name")
			}
		},
		Entry("a NUL", `"a\u0000b"`),
		Entry("the first half of a pair", `"a\ud83d"`),
		Entry("the second half of a pair", `"\ude00b"`),
		Entry("a pair the wrong way round", `"\ude00\ud83d"`),
		Entry("two first halves", `"\ud83d\ud83d"`),
		Entry("half a pair beside a whole one", `"\ud83d\ude00\ud83d"`),
		Entry("bytes that are not UTF-8", "\"a\xffb\""),
		Entry("UTF-8 that was cut off", "\"a\xe2\x82\""),
		Entry("UTF-8 that is longer than it must be", "\"\xc0\xaf\""),
		Entry("half a pair in UTF-8", "\"\xed\xa0\x80\""),
	)

	It("with a field that the route does not know is refused by every route, which names it", func() {
		for _, f := range forms {
			Expect(s.submit(f, f.with("/colour", `"blue"`))).To(HaveEach(refuse(422, "unknown_field", "/colour")))
			Expect(s.submit(f, f.with("/$schema", `"x"`))).To(HaveEach(refuse(422, "unknown_field", "/$schema")))
			Expect(s.submit(f, f.with("/__proto__", `{"admin":true}`))).To(HaveEach(refuse(422, "unknown_field", "/__proto__")))
		}
		Expect(s.submit(forms[2], forms[2].with("/items/0/colour", `"blue"`))).To(HaveEach(refuse(422, "unknown_field", "/items/0/colour")))
		Expect(s.submit(forms[2], forms[2].with("/shippingAddress/planet", `"earth"`))).To(HaveEach(refuse(422, "unknown_field", "/shippingAddress/planet")))
	})

	It("with a field that only staff or the program itself decide is refused by every route", func() {
		for _, f := range forms {
			own := published.fields(published.named(f.id))
			for _, name := range []string{
				"id", "tenantId", "tenant_id", "status", "total", "version", "createdAt", "updatedAt", "number", "currency", "price", "reserved", "available", "onHand",
				"customerId", "actor", "role", "permissions", "isAdmin", "is_admin", "paid", "refunded", "vendorId", "ownerId", "sequence",
			} {
				if !strings.Contains(" "+strings.Join(own, " ")+" ", " "+name+" ") {
					Expect(s.submit(f, f.with("/"+name, `"1"`))).To(HaveEach(refuse(422, "unknown_field", "/"+name)))
				}
			}
		}
	})

	It("with its fields in another case is refused: nothing is guessed", func() {
		for _, f := range forms {
			for _, r := range s.submit(f, strings.NewReplacer(`"sku"`, `"SKU"`, `"name"`, `"Name"`, `"customerId"`, `"customerid"`, `"reason"`, `"REASON"`, `"onHand"`, `"onhand"`, `"delta"`, `"Delta"`,
				`"productId"`, `"productID"`, `"maxParticipants"`, `"MaxParticipants"`, `"userId"`, `"UserId"`, `"overlapSeconds"`, `"overlapseconds"`, `"description"`, `"Description"`,
				`"email"`, `"Email"`, `"token"`, `"TOKEN"`, `"password"`, `"Password"`, `"currentPassword"`, `"CurrentPassword"`, `"refreshToken"`, `"refreshtoken"`, `"code"`, `"Code"`, `"roles"`, `"Roles"`, `"senderName"`, `"SenderName"`, `"text"`, `"Text"`, `"line1"`, `"Line1"`, `"city"`, `"City"`, `"currency"`, `"Currency"`, `"op"`, `"Op"`, `"total"`, `"Total"`,
				`"rounding"`, `"Rounding"`, `"count"`, `"Count"`, `"provider"`, `"Provider"`, `"orderId"`, `"orderid"`, `"amount"`, `"Amount"`, `"outcome"`, `"Outcome"`, `"answer"`, `"Answer"`, `"windowDays"`, `"windowdays"`, `"grams"`, `"Grams"`, `"quantity"`, `"Quantity"`).Replace(f.valid())) {
				Expect(r).To(answer(422))
				Expect(r.problem.Errors).To(ContainElement(HaveField("Code", "unknown_field")))
			}
		}
	})

	It("without what it needs, or with null in its place, is refused by every route", func() {
		for _, f := range forms {
			for _, pointer := range f.required {
				for _, r := range s.submit(f, f.with(pointer, "null")) {
					Expect(r).To(refuse(422, "validation_failed", pointer))
					Expect(r.problem.Errors[0].Code).To(Equal("required"))
				}
			}
			var top []string
			for _, pointer := range f.required {
				if strings.Count(pointer, "/") == 1 {
					top = append(top, pointer)
				}
			}
			if len(top) > 0 {
				Expect(s.submit(f, "{}")).To(HaveEach(refuse(422, "validation_failed", top...)))
			}
		}
		Expect(s.submit(forms[2], `{"customerId":"ana","items":[{}]}`)).To(HaveEach(refuse(422, "validation_failed", "/items/0/sku", "/items/0/quantity")))
	})

	DescribeTable("with something else where text belongs is refused by every route, which names the place:",
		func(value string) {
			for _, f := range forms {
				for _, pointer := range f.texts {
					Expect(s.submit(f, f.with(pointer, value))).To(HaveEach(refuse(422, "validation_failed", pointer)))
				}
			}
		},
		Entry("a number", "1"), Entry("a number beyond all numbers", "1e400"), Entry("a truth", "true"), Entry("a list", "[]"), Entry("a list of text", `["MUG"]`),
		Entry("an object", "{}"), Entry("an operator of a document database", `{"$ne":""}`), Entry("null", "null"),
	)

	DescribeTable("with something else where a whole number belongs is refused by every route, which names the place:",
		func(value string) {
			for _, f := range forms {
				for _, pointer := range f.integers {
					Expect(s.submit(f, f.with(pointer, value))).To(HaveEach(refuse(422, "validation_failed", pointer)))
				}
			}
		},
		Entry("a number as text", `"1"`), Entry("a fraction", "1.5"), Entry("a whole number with a point", "1.0"), Entry("a number with an exponent", "1e3"),
		Entry("a number with an exponent that makes it whole", "10e-1"), Entry("a number beyond all numbers", "1e400"), Entry("a number beside nothing", "1e-400"),
		Entry("the largest of 64 bits and one", "9223372036854775808"), Entry("the smallest of 64 bits less one", "-9223372036854775809"),
		Entry("the largest of 64 bits", "9223372036854775807"), Entry("the smallest of 64 bits", "-9223372036854775808"),
		Entry("a number of a thousand digits", strings.Repeat("9", 1000)), Entry("a truth", "true"), Entry("a list", "[]"), Entry("a list of a number", "[1]"),
		Entry("an object", "{}"), Entry("text", `"many"`), Entry("no text", `""`), Entry("null", "null"),
	)

	It("that is wrong in very many places is refused without naming them all", func() {
		s := open()
		r := s.post("/v1/orders", object{"customerId": "ana", "items": slices.Repeat([]object{{}}, 5000)})
		Expect(r).To(refuse(422, "validation_failed"))
		Expect(len(r.body)).To(BeNumerically("<", 200<<10))
		Expect(s.send(http.MethodPost, "/v1/orders", `{"customerId":"ana","items":[`+strings.Repeat("{},", 60_000)+`{}]}`)).To(refuse(400, "malformed_json"))
	})

	Describe("that is too large", func() {
		huge := func(f form) string { return f.with("/colour", `"`+strings.Repeat("x", 300<<10)+`"`) }

		It("is refused by every route when it says how large it is", func() {
			for _, f := range forms {
				Expect(s.submit(f, huge(f))).To(HaveEach(refuse(413, "body_too_large")))
			}
		})

		It("is refused by every route when it does not say it", func() {
			for _, f := range forms {
				op := published.named(f.id)
				path := op.to(s.idFor(op), "MUG")
				Expect(s.callerOf(op).send(op.Method, path, unmeasured(huge(f)))).To(refuse(413, "body_too_large"))
				if op.Method == http.MethodPost {
					Expect(s.callerOf(op).send(op.Method, path, unmeasured(huge(f)), key(uuid.NewString()))).To(refuse(413, "body_too_large"))
				}
			}
		})

		It("is refused before it was sent when it says that it will be enormous", func() {
			answered := answerTo(fmt.Sprintf("POST /v1/products HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n", s.key))
			Expect(answered).To(HavePrefix("HTTP/1.1 413 "))
		})

		It("by one byte is refused, and what just fits is read", func() {
			for _, f := range forms {
				fitting := f.with("/colour", `"blue"`)
				fitting += strings.Repeat(" ", 256<<10-len(fitting))
				Expect(s.submit(f, fitting)).To(HaveEach(refuse(422, "unknown_field", "/colour")))
				Expect(s.submit(f, fitting+" ")).To(HaveEach(refuse(413, "body_too_large")))
			}
		})
	})

	DescribeTable("that does not say it is JSON is refused by every route:",
		func(media string) {
			for _, f := range forms {
				op := published.named(f.id)
				path := op.to(s.idFor(op), "MUG")
				for _, body := range []any{f.valid(), unmeasured(f.valid())} {
					Expect(s.callerOf(op).send(op.Method, path, body, header{"Content-Type", media})).To(refuse(415, "unsupported_media_type"))
				}
				if op.Method == http.MethodPost {
					Expect(s.callerOf(op).send(op.Method, path, f.valid(), header{"Content-Type", media}, key(uuid.NewString()))).To(refuse(415, "unsupported_media_type"))
				}
			}
		},
		Entry("nothing", ""), Entry("text", "text/plain"), Entry("a form", "application/x-www-form-urlencoded"), Entry("a form with files", "multipart/form-data; boundary=x"),
		Entry("XML", "application/xml"), Entry("lines of JSON", "application/jsonl"), Entry("something that begins alike", "application/json5"),
		Entry("a patch that we do not speak", "application/json-patch+json"), Entry("rubbish", "application"), Entry("anything", "*/*"), Entry("two", "text/plain, application/json"),
	)

	It("may say it in any case and with a character set", func() {
		for _, media := range []string{"application/json; charset=utf-8", "Application/JSON", "application/json;charset=UTF-8"} {
			Expect(s.send(http.MethodPost, "/v1/products", "{", header{"Content-Type", media})).To(refuse(400, "malformed_json"))
		}
	})

	It("that ends before it should is refused", func() {
		for _, keyed := range []string{"", "Idempotency-Key: k\r\n"} {
			answered := answerTo(fmt.Sprintf("POST /v1/products HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer %s\r\nConnection: close\r\nContent-Type: application/json\r\n%sTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sku\r\nzz\r\n", s.key, keyed))
			Expect(answered).To(Or(HavePrefix("HTTP/1.1 400 "), BeEmpty()))
		}
	})

	It("names all that is wrong with it at once", func() {
		Expect(s.post("/v1/products", `{"sku":"a b","name":"","price":"-1","currency":"XXX","inventory":-1,"status":"gone","colour":"blue"}`)).To(
			refuse(422, "validation_failed", "/sku", "/name", "/price", "/currency", "/inventory", "/status", "/colour"))
		Expect(s.patch("/v1/products/"+s.product.ID, `{"name":" ","price":"x","currency":"usd","status":"gone","sku":"X"}`)).To(
			refuse(422, "validation_failed", "/name", "/price", "/currency", "/status", "/sku"))
		Expect(s.post("/v1/orders", `{"customerId":" ana","currency":"EURO","email":"ana","total":"1","metadata":{"a":1},"shippingAddress":{"country":"Portugal","planet":"earth"},`+
			`"items":[{"sku":"","quantity":0,"price":"free"},{"sku":"MUG","quantity":"1"},{"quantity":100001}]}`)).To(
			refuse(422, "validation_failed", "/customerId", "/currency", "/email", "/total", "/metadata/a", "/shippingAddress/country", "/shippingAddress/planet",
				"/items/0/sku", "/items/0/quantity", "/items/0/price", "/items/1/quantity", "/items/2/sku", "/items/2/quantity"))
		Expect(s.put("/v1/inventory/MUG", `{"onHand":-1,"lowStockThreshold":-1,"reserved":0}`)).To(refuse(422, "validation_failed", "/onHand", "/lowStockThreshold", "/reserved"))
		Expect(s.post("/v1/inventory/MUG/adjustments", `{"delta":0,"reason":"","sku":"X"}`)).To(refuse(422, "validation_failed", "/delta", "/reason", "/sku"))
	})

	It("names a field by a pointer that leads to it, whatever the field is called", func() {
		for name, pointer := range map[string]string{"a/b": "/metadata/a~1b", "a~b": "/metadata/a~0b", "a.b": "/metadata/a.b", "a[0]": "/metadata/a[0]", "": "/metadata/"} {
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{"metadata": object{name: strings.Repeat("x", 501)}}))).To(refuse(422, "validation_failed", pointer))
		}
		for name, pointer := range map[string]string{"a/b": "/a~1b", "a~b": "/a~0b", "a.b": "/a.b", "a[0]": "/a[0]"} {
			Expect(s.post("/v1/products", mug.but(object{name: 1}))).To(refuse(422, "unknown_field", pointer))
		}
	})
})

// unmeasured is a body whose length is not announced.
func unmeasured(body string) io.Reader { return io.MultiReader(bytes.NewReader([]byte(body))) }
