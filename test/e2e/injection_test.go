package e2e_test

import (
	"fmt"
	"net/url"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// injections are texts with which one breaks out of SQL that was glued together.
var injections = []string{
	`'`, `"`, `''`, `\'`, "`", `;`, `--`, `/*`, `#`,
	`' or '1'='1`, `' or 1=1--`, `" or ""="`, `') or ('1'='1`, `')) or 1=1--`, `' or 'a' like 'a`, `1 or 1=1`, `1' or '1'='1' /*`, `admin'--`,
	`'; drop table catalog.product; --`, `'); delete from orders.orders; --`, `'; update catalog.price set minor = 0; --`, `'; truncate platform.event; --`,
	`'; insert into platform.api_key values (null); --`, `'; alter role fusion_app superuser; --`, `1; select pg_sleep(20)--`, `'; select pg_sleep(20); --`,
	`' || pg_sleep(20) || '`, `' and 1=(select count(*) from pg_sleep(20)) and '1'='1`, `(select 1 from pg_sleep(20))`, `1-(case when 1=1 then pg_sleep(20) end)`,
	`' union select null--`, `' union select tenant_id, hash, permissions from platform.api_key--`, `' union all select version(), null, null--`,
	`1 and (select cast(version() as int))=1`, `' and cast((select current_user) as int)=1--`, `' and 1=cast(chr(126)||version() as numeric)--`,
	`'; copy (select 1) to program 'id'; --`, `'; do $$ begin perform pg_sleep(20); end $$; --`, `$$`, `$1`, `$2::text`, `:name`, `?`, `%s`, `%'`, `_'`, `\`, `\\`, `\x27`, `E'\\x27'`, `U&'\0027'`,
	`%27`, `%2527`, `ʼ or 1=1`, `＇ or 1=1--`, `{{7*7}}`, `${7*7}`, `createdAt; select pg_sleep(20)`, `createdAt, (select pg_sleep(20))`, `case when true then name else sku end`,
	`name collate "C"`, `name desc nulls last; --`, `set_config('app.tenant_id', '00000000-0000-7000-8000-000000000001', true)`, `'; set app.all_tenants = 'on'; --`,
	`"; return true; var x="`, `{"$gt":""}`, `[$ne]=1`, `|| id`, "`id`", `$(id)`, `&& id`, `../../../../etc/passwd`, `<!--#exec cmd="id"-->`, `*)(uid=*))(|(uid=*`,
}

var _ = Describe("text that means something to a database", func() {
	s := refusals()
	limited := func(text string, most int) string { return text[:min(len(text), most)] }

	entries := []any{
		func(text string) {
			q := url.QueryEscape(text)
			none := func(r response) {
				GinkgoHelper()
				if r.status == 200 {
					Expect(as[page[object]](r).Data).To(BeEmpty())
				} else {
					Expect(r).To(refuse(422, "validation_failed")) // too long for what it would be
				}
			}
			found := s.get("/v1/products?q=" + q)
			for _, p := range as[page[product]](found).Data {
				Expect(strings.ToLower(p.Name + p.SKU + p.Description)).To(ContainSubstring(strings.ToLower(text)))
			}
			none(s.get("/v1/products?sku=" + q))
			none(s.get("/v1/orders?customerId=" + q))
			none(s.get("/v1/events?topic=" + q))
			for _, path := range []string{
				"/v1/products?status=", "/v1/products?sort=", "/v1/products?limit=", "/v1/orders?status=", "/v1/orders?sort=", "/v1/orders?createdAt[gte]=",
				"/v1/orders?createdAt[lt]=", "/v1/inventory?sort=", "/v1/inventory?lowStock=", "/v1/events?limit=",
			} {
				Expect(s.get(path+q)).To(refuse(422, "validation_failed"), path)
			}
			for _, path := range []string{"/v1/products?cursor=", "/v1/orders?cursor=", "/v1/inventory?cursor=", "/v1/inventory/MUG/movements?cursor=", "/v1/events?cursor=", "/v1/events?after="} {
				Expect(s.get(path+q)).To(refuse(422, "invalid_cursor"), path)
			}
			for _, path := range []string{"/v1/products", "/v1/orders", "/v1/inventory", "/v1/events", "/v1/products/" + s.product.ID} {
				Expect(s.get(path+"?"+q+"=1")).To(refuse(400, "unknown_parameter"), path)
			}
			id := url.PathEscape(text)
			for _, path := range []string{"/v1/products/" + id, "/v1/orders/" + id, "/v1/orders/" + id + "/timeline", "/v1/inventory/" + id, "/v1/inventory/" + id + "/movements"} {
				Expect(s.get(path)).To(refuse(404, "not_found"), path)
			}
			Expect(s.put("/v1/inventory/"+id, object{"onHand": 1})).To(refuse(404, "not_found"))
			Expect(s.post("/v1/orders/"+id+"/cancel", object{"reason": text})).To(refuse(404, "not_found"))
			Expect(s.delete("/v1/products/" + id)).To(refuse(404, "not_found"))
			Expect(s.post("/v1/orders", basket(item{SKU: limited(text, 64), Quantity: 1}))).To(refuse(422, "unknown_sku", "/items/0/sku"))
			Expect(s.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{"currency": limited(text, 3)}))).To(refuse(422, "validation_failed", "/currency"))
			Expect(s.post("/v1/products", mug.but(object{"sku": text + " "}))).To(refuse(422, "validation_failed", "/sku"))
			Expect(s.patch("/v1/products/"+s.product.ID, object{"name": "Mug"}, header{"If-Match", strings.ToValidUTF8(text, "")})).To(refuse(412, "version_conflict"))
			Expect(s.get("/v1/orders", header{"Authorization", "Bearer " + text})).To(refuse(401, "invalid_credentials"))
		},
	}
	for _, text := range injections {
		entries = append(entries, Entry(fmt.Sprintf("%.60q", text), text))
	}
	DescribeTable("means nothing in a query, an address or a header:", entries...)

	It("is kept letter by letter where text belongs", func() {
		shop := open()
		shop.sells("MUG", 1000)
		for i, text := range injections {
			p := as[product](shop.post("/v1/products", mug.but(object{"sku": fmt.Sprint("MUG-", i), "name": text})))
			Expect(p.Name).To(Equal(text))
			Expect(as[product](shop.get("/v1/products/" + p.ID)).Name).To(Equal(text))
			Expect(all[product](shop, "/v1/products", url.Values{"q": {text}})).To(ContainElement(HaveField("ID", p.ID)))

			placed := shop.post("/v1/orders", basket(item{SKU: "MUG", Quantity: 1}).but(object{
				"customerId": strings.TrimSpace(limited(text, 64)), "metadata": object{limited(text, 40): text}, "shippingAddress": object{"line1": text},
			}), key(strings.Trim(strings.Map(func(r rune) rune { return max(min(r, '~'), ' ') }, text), " ")))
			o := as[order](placed)
			Expect(o.Metadata).To(HaveValue(ContainElement(text)))
			Expect(all[order](shop, "/v1/orders", url.Values{"customerId": {o.CustomerID}})).To(ContainElement(HaveField("ID", o.ID)))
			Expect(as[order](shop.post("/v1/orders/"+o.ID+"/cancel", object{"reason": text})).Reason).To(Equal(text))
			Expect(shop.post("/v1/inventory/MUG/adjustments", object{"delta": 1, "reason": text})).To(answer(200))
			Expect(shop.movements("MUG")[0].Reason).To(Or(Equal(text), Equal("order called off"), Equal("order created")))
		}
	})
})
