package e2e_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("the program", func() {
	anybody := func() *shop { return &shop{url: installed.URL()} }

	DescribeTable("answers probes without a credential",
		func(path string) {
			r := anybody().get(path)
			Expect(r).To(answer(200))
			Expect(r.body).To(MatchJSON(`{"status":"ok"}`))
		},
		Entry("of those who only want to know that it is there", "/health"),
		Entry("of those who would restart it", "/livez"),
	)

	It("names each dependency with its state to those who send it requests", func() {
		ready := as[struct {
			Status string
			Checks map[string]string
		}](anybody().get("/readyz"))
		Expect(ready.Status).To(Equal("ok"))
		Expect(ready.Checks).To(HaveKeyWithValue("database", "ok"))
	})

	It("answers a HEAD like a GET, without the body", func() {
		r := anybody().send(http.MethodHead, "/health", nil)
		Expect(r).To(answer(200))
		Expect(r.body).To(BeEmpty())
	})

	It("says how long an answer is, also a long one and to a HEAD", func() {
		s := open()
		path := "/v1/products/" + s.sells("MUG", 1, object{"description": strings.Repeat("blue ", 1000)}).ID
		whole := s.get(path)
		Expect(whole.header.Get("Content-Length")).To(Equal(strconv.Itoa(len(whole.body))))
		Expect(s.send(http.MethodHead, path, nil).header.Get("Content-Length")).To(Equal(whole.header.Get("Content-Length")))
	})

	It("says the same about a path that nobody serves whatever the method", func() {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			Expect(anybody().send(method, "/v1/nothing", nil)).To(refuse(404, "not_found"))
			Expect(anybody().send(method, "/", nil, header{"Accept", "text/html"}).status).To(Or(Equal(302), Equal(404), Equal(405)))
		}
		for _, path := range []string{"/v1", "/v2/products", "/v1/products/x/y", "/v1//products", "/V1/products", "/products.json", "/.env", "/v1/products;x=1"} {
			Expect(anybody().get(path)).To(refuse(404, "not_found"))
		}
	})

	It("names the methods that a path has when it is asked with another", func() {
		r := open().send(http.MethodDelete, "/v1/orders", nil)
		Expect(r).To(refuse(405, "method_not_allowed"))
		Expect(strings.Split(r.header.Get("Allow"), ", ")).To(ContainElements("GET", "POST"))
		Expect(open().put("/v1/products/x", object{})).To(refuse(405, "method_not_allowed"))
		Expect(open().send("TRACE", "/v1/products", nil)).To(refuse(405, "method_not_allowed"))
		Expect(open().send("BREW", "/v1/products", nil)).To(refuse(405, "method_not_allowed"))
	})

	It("takes no method from a header", func() {
		s := open()
		p := s.sells("MUG", 1)
		Expect(s.post("/v1/products/"+p.ID, object{}, header{"X-HTTP-Method-Override", "DELETE"})).To(refuse(405, "method_not_allowed"))
		Expect(as[product](s.get("/v1/products/" + p.ID)).Status).To(Equal("active"))
	})

	Describe("its paths without the version, as the first release had them", func() {
		It("serve the same", func() {
			s := open()
			created := s.post("/products", mug)
			Expect(created).To(answer(201))
			p := as[product](created)
			s.stocks("MUG")
			Expect(s.get("/products/" + p.ID).body).To(Equal(s.get("/v1/products/" + p.ID).body))
			Expect(s.get("/inventory/MUG").body).To(Equal(s.get("/v1/inventory/MUG").body))
			Expect(s.get("/inventory/MUG/movements").body).To(Equal(s.get("/v1/inventory/MUG/movements").body))
			ordered := s.post("/orders", basket(item{SKU: "MUG", Quantity: 1}))
			Expect(ordered).To(answer(201))
			o := s.becomes(as[order](ordered).ID, "confirmed")
			Expect(s.get("/orders?status=confirmed").body).To(Equal(s.get("/v1/orders?status=confirmed").body))
			Expect(s.post("/orders/"+o.ID+"/cancel", object{"reason": "twice"})).To(answer(200))
			Expect(s.patch("/products/"+p.ID, object{"name": "Mug"})).To(answer(200))
			Expect(s.delete("/products/" + p.ID)).To(answer(204))
		})

		It("are no other paths that begin alike", func() {
			Expect(open().get("/productsX")).To(refuse(404, "not_found"))
			Expect(open().get("/events")).To(refuse(404, "not_found"))
		})
	})

	Describe("the id of a request", func() {
		It("is the one that was sent", func() {
			s := open()
			r := s.post("/v1/products", mug.but(object{"price": -1}), header{"X-Request-Id", "checkout-7f3a"})
			Expect(r.header.Get("X-Request-Id")).To(Equal("checkout-7f3a"))
			Expect(r.problem.RequestID).To(Equal("checkout-7f3a"))
		})

		DescribeTable("is a new one when what was sent could be mistaken for something else",
			func(sent string) {
				r := open().get("/v1/products", header{"X-Request-Id", sent})
				Expect(r.header.Get("X-Request-Id")).To(MatchRegexp(`^[0-9a-f-]{36}$`))
			},
			Entry("because it has blanks", "a b"),
			Entry("because it is very long", strings.Repeat("x", 129)),
			Entry("because it would break a log line", `x","level":"ERROR`),
			Entry("because it is markup", "<script>"),
			Entry("because it is not ASCII", "é"),
		)
	})

	It("answers in JSON, whatever is asked for", func() {
		Expect(open().get("/v1/products", header{"Accept", "text/html"})).To(answer(200))
		Expect(open().get("/v1/products", header{"Accept", "application/xml;q=0.9, */*;q=0.1"})).To(answer(200))
	})
})

var _ = Describe("the OpenAPI document", func() {
	It("is of version 3.1 and refers to nothing outside of it", func() {
		var doc struct{ OpenAPI string }
		Expect(json.Unmarshal(published.raw, &doc)).To(Succeed())
		Expect(doc.OpenAPI).To(HavePrefix("3.1."))
		for _, ref := range regexp.MustCompile(`"\$ref":"([^"]*)"`).FindAllSubmatch(published.raw, -1) {
			Expect(string(ref[1])).To(HavePrefix("#/components/"))
		}
		for name := range published.Components.Schemas {
			_, err := published.schema("components", "schemas", name)
			Expect(err).NotTo(HaveOccurred())
			Expect(strings.Count(string(published.raw), `"#/components/schemas/`+name+`"`)).To(BeNumerically(">", 0), "nothing uses the schema %s", name)
		}
	})

	It("has every call of the contract", func() {
		calls := []string{}
		for _, o := range published.Operations {
			calls = append(calls, o.Method+" "+o.Path)
		}
		Expect(calls).To(ContainElements(
			"GET /health", "GET /livez", "GET /readyz",
			"POST /v1/products", "GET /v1/products", "GET /v1/products/{id}", "PATCH /v1/products/{id}", "DELETE /v1/products/{id}",
			"POST /v1/orders", "GET /v1/orders", "GET /v1/orders/{id}", "GET /v1/orders/{id}/timeline", "POST /v1/orders/{id}/cancel", "POST /v1/orders/{id}/edits", "POST /v1/orders/{id}/parcels-back",
			"GET /v1/inventory", "GET /v1/inventory/{sku}", "PUT /v1/inventory/{sku}", "POST /v1/inventory/{sku}/adjustments", "GET /v1/inventory/{sku}/movements",
			"POST /v1/campaigns", "GET /v1/campaigns", "GET /v1/campaigns/{id}", "PATCH /v1/campaigns/{id}", "POST /v1/campaigns/{id}/cancel",
			"POST /v1/campaigns/{id}/join", "GET /v1/campaigns/{id}/participants", "GET /v1/campaigns/{id}/events",
			"GET /v1/events",
		))
	})

	It("describes every call completely", func() {
		ids := map[string]bool{}
		for _, o := range published.Operations {
			Expect(ids).NotTo(HaveKey(o.ID))
			ids[o.ID] = true
			for _, name := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(o.Path, -1) {
				Expect(o.Parameters).To(ContainElement(And(HaveField("Name", name[1]), HaveField("In", "path"), HaveField("Required", true))), o.ID)
			}
			if o.Method == http.MethodPost {
				Expect(o.Parameters).To(ContainElement(HaveField("Name", "Idempotency-Key")), o.ID)
			}
			if o.Method == http.MethodPatch || o.Method == http.MethodPut {
				Expect(o.Parameters).To(ContainElement(HaveField("Name", "If-Match")), o.ID)
				Expect(o.Responses).To(HaveKey("412"), o.ID)
			}
			for status, r := range o.Responses {
				if status >= "400" {
					Expect(r.Content).To(HaveKey("application/problem+json"), "%s %s", o.ID, status)
				}
				for name, media := range r.Content {
					if name == "application/x-ndjson" || name == "text/csv" || name == "application/gzip" || name == "application/pdf" || name == "application/zpl" {
						continue // a file
					}
					fields := published.Components.Schemas[strings.TrimPrefix(media.Schema.Ref, "#/components/schemas/")].Properties
					Expect(fields).NotTo(BeEmpty(), "%s %s says nothing of its body", o.ID, status)
				}
			}
			switch {
			case o.Public():
			case o.ForAnybody():
				Expect(o.Responses).To(HaveKey("401"), o.ID)
			default:
				Expect(o.Permission()).To(MatchRegexp(`^[a-z_]+:[a-z_]+$`), o.ID)
				Expect(o.Responses).To(And(HaveKey("401"), HaveKey("403")), o.ID)
			}
		}
	})

	It("is rendered by a page that needs nothing from outside", func() {
		s := &shop{url: installed.URL()}
		html := s.get("/docs")
		Expect(html).To(answer(200))
		Expect(html.header.Get("Content-Type")).To(HavePrefix("text/html"))
		Expect(string(html.body)).To(ContainSubstring("/openapi.json"))
		page := strings.ReplaceAll(string(html.body), `xmlns='http://www.w3.org/2000/svg'`, "") // a name, not an address
		Expect(page).NotTo(MatchRegexp(`(?i)(https?:)?//[a-z0-9-]+\.[a-z]`))
		scripts := regexp.MustCompile(`(?:src|href)="(/[^"]+)"`).FindAllSubmatch(html.body, -1)
		Expect(scripts).NotTo(BeEmpty())
		for _, script := range scripts {
			asset := s.get(string(script[1]))
			Expect(asset).To(answer(200))
			Expect(len(asset.body)).To(BeNumerically(">", 1000))
		}
	})
})
