package catalogclient_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/fusioncommerce/fusion/internal/catalog"
	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/catalog/catalogclient"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

const serviceKey = "the-deployments-of-the-specs"

// beUnavailable is what the caller answers 503 to, and when to come again.
func beUnavailable() types.GomegaMatcher {
	return And(MatchError(catalogclient.ErrUnavailable), WithTransform(fault.From, And(
		HaveField("Kind", fault.Unavailable), HaveField("Code", "dependency_unavailable"), HaveField("RetryAfter", BeNumerically(">", 0)),
	)))
}

var _ = Describe("asking a catalog that runs elsewhere", func() {
	var (
		shop   *testkit.Shop
		here   *catalog.Module // what the same process would be told
		client *catalogclient.Client
		ctx    context.Context
	)
	BeforeEach(func() {
		shop = testkit.Start(testkit.Shared(), app.Options{ServiceKey: serviceKey}, func(k app.Kit) []app.Module {
			here = catalog.New(k)
			return []app.Module{here}
		})
		client = catalogclient.New(shop.URL, serviceKey, nil)
		ctx = testkit.As(shop.Tenant)
	})

	sell := func(skus ...string) {
		GinkgoHelper()
		for _, sku := range skus {
			Expect(shop.Post("/v1/products", map[string]any{"sku": sku, "name": "The " + sku, "price": "12.50", "currency": "EUR"}).Status).To(Equal(http.StatusCreated))
		}
	}
	// told is what the client is told, which the module must have said.
	told := func(skus ...string) map[string]catalogapi.Offer {
		GinkgoHelper()
		want, err := here.Offers(ctx, skus)
		Expect(err).NotTo(HaveOccurred())
		offers, err := client.Offers(ctx, skus)
		Expect(err).NotTo(HaveOccurred())
		Expect(offers).To(Equal(want))
		return offers
	}

	It("tells what it tells its own process", func() {
		sell("MUG", "a.b_c~d:e+f-1")
		Expect(shop.Post("/v1/products", map[string]any{"sku": "TEA", "name": "Tea & <b>more</b>", "price": "1500", "currency": "JPY", "taxClass": "reduced", "weightGrams": 100, "dimensions": map[string]any{"length": 120, "width": 90, "height": 60}}).Status).To(Equal(http.StatusCreated))
		draft := map[string]any{"sku": "DRAFT", "name": "Not yet", "price": "1.00", "currency": "EUR", "status": "draft"}
		Expect(shop.Post("/v1/products", draft).Status).To(Equal(http.StatusCreated))
		_, err := testkit.SQL(testkit.Shared().Super).Exec(`
			insert into catalog.price (tenant_id, variant_id, currency, minor, is_default)
			select tenant_id, id, 'CHF', 1399, false from catalog.variant where tenant_id = $1 and sku = 'MUG'`, shop.Tenant)
		Expect(err).NotTo(HaveOccurred())

		offers := told("MUG", "TEA", "DRAFT", "a.b_c~d:e+f-1", "NO-SUCH", "MUG", "?&=#% /", "ünïcödé")
		Expect(offers).To(HaveLen(3))
		Expect(offers["MUG"]).To(And(HaveField("Name", "The MUG"), HaveField("Prices", []money.Amount{{Minor: 1250, Currency: "EUR"}, {Minor: 1399, Currency: "CHF"}})))
		Expect(offers["TEA"]).To(And(HaveField("Prices", []money.Amount{{Minor: 1500, Currency: "JPY"}}), HaveField("TaxClass", "reduced"), HaveField("Measures", catalogapi.Measures{Grams: 100, Length: 120, Width: 90, Height: 60})))
		Expect(told("MUG")).To(HaveLen(1))
		Expect(told("NO-SUCH")).To(BeEmpty())
		Expect(told()).To(BeEmpty())
	})

	It("tells about more SKUs than it is asked for at once", func() {
		var skus []string
		for n := range 120 {
			skus = append(skus, fmt.Sprintf("SKU-%d", n))
		}
		sell("SKU-0", "SKU-49", "SKU-50", "SKU-99", "SKU-100", "SKU-119")
		Expect(told(skus...)).To(HaveLen(6))
	})

	It("does not stumble over what is long when it is written in an address, nor over what is no text", func() {
		sell("MUG")
		long := []string{"MUG"}
		for n := range 60 {
			long = append(long, strings.Repeat("𝄞", 60)+fmt.Sprint(n))
		}
		Expect(told(long...)).To(HaveLen(1))
		Expect(client.Offers(ctx, []string{"MUG", "M\x00G"})).To(HaveLen(1))
	})

	It("tells about products by their ids", func() {
		sell("MUG", "TEA")
		offers := told("MUG", "TEA")
		var ids []string
		for n := range 60 {
			ids = append(ids, uuid.NewString())
			if n == 30 {
				ids = append(ids, offers["MUG"].ProductID, "no id", offers["TEA"].ProductID)
			}
		}
		want, err := here.OffersByProduct(ctx, ids)
		Expect(err).NotTo(HaveOccurred())
		Expect(want).To(HaveLen(2))
		Expect(client.OffersByProduct(ctx, ids)).To(Equal(want))
	})

	It("tells each merchant about the merchant's own", func() {
		sell("MUG")
		other := testkit.As(testkit.NewTenant(testkit.Shared()))
		Expect(client.Offers(other, []string{"MUG"})).To(BeEmpty())
		Expect(client.Offers(ctx, []string{"MUG"})).To(HaveLen(1))
	})

	It("is nothing that code without a merchant may do", func() {
		Expect(client.Offers(context.Background(), []string{"MUG"})).Error().To(MatchError(identity.ErrNone))
	})

	It("is refused with another key, or none", func() {
		for _, key := range []string{"guess", "", shop.Key, serviceKey + "x"} {
			Expect(catalogclient.New(shop.URL, key, nil).Offers(ctx, []string{"MUG"})).Error().To(beUnavailable(), key)
		}
	})
})

var _ = Describe("a catalog elsewhere that is in trouble", func() {
	var ctx context.Context
	BeforeEach(func() { ctx = testkit.As(identity.DefaultTenant) })
	ask := func(url string) (map[string]catalogapi.Offer, error) {
		return catalogclient.New(url, serviceKey, nil).Within(5*time.Second).Offers(ctx, []string{"MUG"})
	}
	// answering counts how often it is asked.
	answering := func(h http.HandlerFunc) (url string, asked *atomic.Int32) {
		asked = &atomic.Int32{}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			h(w, r)
		}))
		DeferCleanup(server.Close)
		return server.URL, asked
	}
	cut := func(w http.ResponseWriter) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close()
		}
	}
	const mug = `{"data":[{"sku":"MUG","productId":"0198b1f0-0000-7000-8000-000000000001","name":"Mug","prices":[{"price":"12.50","currency":"EUR"}],"taxClass":"reduced"}]}`

	DescribeTable("is nobody to take prices from, and the buyer is asked to come again, when it answers", func(status int, body string) {
		url, _ := answering(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
		Expect(ask(url)).Error().To(beUnavailable())
	},
		Entry("that something went wrong", 500, `{"code":"internal_error"}`),
		Entry("that it is being replaced", 503, mug),
		Entry("that it knows no such path", 404, `{"code":"not_found"}`),
		Entry("with nothing", 200, ``),
		Entry("with a page", 200, `<html>Welcome to nginx!</html>`),
		Entry("with something else", 200, `{"status":"ok"}`),
		Entry("with null", 200, `null`),
		Entry("with a list", 200, `[]`),
		Entry("with half of it", 200, mug[:len(mug)/2]),
		Entry("with a price that is none", 200, strings.Replace(mug, "12.50", "12.505", 1)),
		Entry("with a currency that is none", 200, strings.Replace(mug, "EUR", "XX", 1)),
	)

	It("may have nothing for sale", func() {
		url, _ := answering(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"data":[]}`)) })
		Expect(ask(url)).To(BeEmpty())
	})

	It("is asked once more when the connection is cut, as when it is replaced", func() {
		var asked *atomic.Int32
		url, asked := answering(func(w http.ResponseWriter, _ *http.Request) {
			if asked.Load() == 1 {
				cut(w)
				return
			}
			_, _ = w.Write([]byte(mug))
		})
		Expect(ask(url)).To(HaveKey("MUG"))
		Expect(asked.Load()).To(BeEquivalentTo(2))
	})

	It("is not asked again and again", func() {
		url, asked := answering(func(w http.ResponseWriter, _ *http.Request) { cut(w) })
		Expect(ask(url)).Error().To(beUnavailable())
		Expect(asked.Load()).To(BeEquivalentTo(2))
	})

	It("is missed when it is down", func() {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		Expect(ask(server.URL)).Error().To(beUnavailable())
	})

	It("is not waited for by a buyer when it says nothing", func() {
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(silent.Close)
		client := catalogclient.New("http://"+silent.Addr().String(), serviceKey, nil).Within(100 * time.Millisecond)
		answer := make(chan error, 1)
		go func() {
			_, err := client.Offers(ctx, []string{"MUG"})
			answer <- err
		}()
		Eventually(answer).Should(Receive(beUnavailable()))
	})

	It("is not asked for a buyer who went away", func() {
		arrived, gone := make(chan struct{}, 2), make(chan struct{})
		url, asked := answering(func(http.ResponseWriter, *http.Request) {
			arrived <- struct{}{}
			<-gone
		})
		DeferCleanup(func() { close(gone) })
		buyer, leave := context.WithCancel(ctx)
		answer := make(chan error, 1)
		go func() {
			_, err := catalogclient.New(url, serviceKey, nil).Within(time.Hour).Offers(buyer, []string{"MUG"})
			answer <- err
		}()
		Eventually(arrived).Should(Receive())
		leave()
		Eventually(answer).Should(Receive(MatchError(context.Canceled)))
		Expect(asked.Load()).To(BeEquivalentTo(1))
	})

	It("is told by which request it is asked, for whom, and in which trace", func() {
		var header http.Header
		url, _ := answering(func(w http.ResponseWriter, r *http.Request) {
			header = r.Header
			_, _ = w.Write([]byte(mug))
		})
		const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
		ctx = event.WithOrigin(ctx, event.Origin{CorrelationID: "req-1", Traceparent: trace})
		Expect(ask(url)).To(HaveLen(1))
		Expect(header).To(And(HaveKeyWithValue("X-Request-Id", []string{"req-1"}), HaveKeyWithValue("Traceparent", []string{trace}),
			HaveKeyWithValue("Authorization", []string{"Bearer " + serviceKey + "@" + identity.DefaultTenant.String()})))
	})
})
