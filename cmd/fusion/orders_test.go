package main

import (
	"net/http"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var _ = Describe("fusion orders show", func() {
	It("tells how an order was paid, and how a part of it was called off and paid back", func() {
		d := testkit.NewDatabase()
		cfg := config.Config{Payments: config.Payments{TestProvider: true}}
		shop := testkit.Start(d, app.Options{}, func(k app.Kit) []app.Module { return acquainted(modules(k, nil, cfg)) })
		type object = map[string]any
		done := func(path string, body any) object {
			GinkgoHelper()
			r := shop.Post(path, body, testkit.Header{Name: "Idempotency-Key", Value: uuid.NewString()})
			Expect(r.Status).To(BeNumerically("<", http.StatusMultipleChoices), "%s", r.Raw)
			return r.JSON()
		}
		becomes := func(id string, want object) {
			GinkgoHelper()
			Eventually(func() object { return shop.Get("/v1/orders/" + id).JSON() }).Should(SatisfyAll(
				HaveKeyWithValue("status", want["status"]), HaveKeyWithValue("paymentStatus", want["paymentStatus"]), HaveKeyWithValue("refunded", want["refunded"])))
		}
		done("/v1/payments/accounts", object{"provider": "test", "name": "Till"})
		done("/v1/products", object{"sku": "MUG", "name": "Mug", "price": "12.50", "currency": "EUR", "inventory": 100})
		o := done("/v1/orders", object{"customerId": "ana", "items": []object{{"sku": "MUG", "quantity": 3}}})
		id := o["id"].(string)
		becomes(id, object{"status": "confirmed", "paymentStatus": "unpaid", "refunded": "0.00"})
		done("/v1/payments", object{"orderId": id, "method": "pm_card_visa"})
		becomes(id, object{"status": "paid", "paymentStatus": "paid", "refunded": "0.00"})
		done("/v1/orders/"+id+"/cancel", object{"reason": "one is broken", "items": []object{{"sku": "MUG", "quantity": 1}}})
		becomes(id, object{"status": "paid", "paymentStatus": "paid", "refunded": "12.50"})
		Eventually(func() any { return shop.Get("/v1/inventory/MUG").JSON()["reserved"] }).Should(BeEquivalentTo(2))

		slug := "t" + shop.Tenant.String()
		said := fusion(onDatabase(d), "orders", "show", "1001", "--tenant", slug)
		Expect(said.code).To(BeZero(), said.err)
		Expect(said.out).To(And(
			MatchRegexp(`status +paid\n`), MatchRegexp(`comes back +none\n`), MatchRegexp(`money +paid; 37\.50 of 37\.50 EUR paid, 12\.50 cancelled, 0\.00 returned, 12\.50 refunded\n`), MatchRegexp(`MUG +3 +1 +0 +0 +0 +0 +37\.50 +Mug\n`),
			ContainSubstring("No shipments."), MatchRegexp(`paid +1 of MUG cancelled, one is broken +key:`), MatchRegexp(`paid +money: paid +system:`),
		))
		Expect(parsed[ordersapi.Journey](fusion(onDatabase(d), "orders", "show", "1001", "--json", "--tenant", slug)).Order.CancelledTotal).To(Equal("12.50"))
		Expect(fusion(onDatabase(d), "orders", "show", "7").err).To(ContainSubstring("there is no order 7"))
		Expect(fusion(onDatabase(d), "orders", "show", "mine").code).To(Equal(exitUsage))
	})
})
