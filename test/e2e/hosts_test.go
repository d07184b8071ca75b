package e2e_test

import (
	"os"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// A setting binds these specs alone, so that they have a program of their own.
var _ = func() bool {
	if ours && os.Getenv("FUSION_E2E_DEPLOYMENT") != split {
		Describe("a program that is strict about hosts", strictHosts)
	}
	return true
}()

func strictHosts() {
	var (
		s, guest, keyed *shop
		id, host        string
	)
	BeforeEach(func() {
		host = "shop-" + uuid.NewString()[:8] + ".harbour.example"
		s, id = founded(object{"hosts": []string{host}})
		strict := started("FUSION_TENANTS_STRICT_HOSTS=true").url
		// What it refuses its own document says.
		usual := published
		DeferCleanup(func() { published = usual })
		published = readDocument(strict)
		keyed = s.at(strict)
		guest = keyed.with("")
	})
	under := func(name string) header { return header{"Host", name} }

	It("answers under a host of a shop as that shop, however it is written", func() {
		sku := "MUG-" + uuid.NewString()
		s.sells(sku, 5)
		for _, name := range []string{host, strings.ToUpper(host), host + ":8443", host + ".", host + ".:80"} {
			Eventually(func() response { return guest.get("/v1/products?sku="+sku, under(name)) }, "10s").Should(answer(200), name)
			Expect(as[page[product]](guest.get("/v1/products?sku="+sku, under(name))).Data).To(HaveLen(1), name)
		}
	})

	It("refuses who asks under any other, also where nobody has to say who they are", func() {
		for _, name := range []string{
			"", "127.0.0.1", "[::1]:80", "localhost", "harbour.example", "x." + host, host + ".evil.example", "evil-" + host, "evil.example", "a_b", "xn--", strings.Repeat("a", 250) + ".example",
		} {
			headers := []header{}
			if name != "" {
				headers = append(headers, under(name))
			}
			Expect(guest.get("/v1/products", headers...)).To(refuse(404, "unknown_host"), name)
			Expect(guest.post("/v1/auth/login", bodies["login"], headers...)).To(refuse(404, "unknown_host"), name)
		}
	})

	It("believes no header that a caller writes", func() {
		for _, name := range []string{"X-Forwarded-Host", "X-Host", "X-Original-Host", "Forwarded"} {
			Expect(guest.get("/v1/products", under("evil.example"), header{name, host})).To(refuse(404, "unknown_host"), name)
			Expect(guest.get("/v1/products", under("evil.example"), header{name, "host=" + host})).To(refuse(404, "unknown_host"), name)
		}
	})

	It("answers who shows a credential under any, as the credential's shop", func() {
		Eventually(func() response { return keyed.get("/v1/orders", under("evil.example")) }, "10s").Should(answer(200))
		Expect(keyed.with("fc_sk_" + strings.Repeat("A", 43)).get("/v1/products")).To(refuse(401, "invalid_credentials"))
	})

	It("answers under any what is of no shop", func() {
		for _, path := range []string{"/health", "/livez", "/readyz", "/openapi.json", "/.well-known/jwks.json"} {
			Expect(guest.get(path, under("evil.example"))).To(answer(200), path)
		}
	})

	It("hears within moments that a shop has another host", func() {
		other := "new-" + host
		Expect(guest.get("/v1/products", under(other))).To(refuse(404, "unknown_host"))
		Eventually(func() response { return guest.get("/v1/products", under(host)) }, "10s").Should(answer(200))
		Expect(first().patch("/v1/tenants/"+id, object{"hosts": []string{other}})).To(answer(200))
		Eventually(func() response { return guest.get("/v1/products", under(other)) }, "10s").Should(answer(200))
		Eventually(func() response { return guest.get("/v1/products", under(host)) }, "10s").Should(refuse(404, "unknown_host"))
	})
}
