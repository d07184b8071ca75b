package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// deployed is a `fusion serve` in this process.
type deployed struct {
	addr string
	code chan int
	stop context.CancelFunc
}

func deploy(addr string, environ []string, args ...string) *deployed {
	GinkgoHelper()
	return serving(addr, append(environ, sealedBy), args...)
}

func serving(addr string, environ []string, args ...string) *deployed {
	GinkgoHelper()
	ctx, stop := context.WithCancel(context.Background())
	d := &deployed{addr: addr, code: make(chan int, 1), stop: stop}
	environ = append(environ, "FUSION_ADDR="+addr, "FUSION_OPS_ADDR=")
	p := &program{version: "1.2.3", stdout: gbytes.NewBuffer(), stderr: GinkgoWriter, environ: environ}
	go func() { d.code <- p.run(ctx, append([]string{"fusion", "serve"}, args...)) }()
	DeferCleanup(d.end)
	Eventually(func() int { return fusion(environ, "health").code }).Should(BeZero())
	return d
}

// end is what a supervisor does. It may come twice.
func (d *deployed) end() {
	GinkgoHelper()
	if d.stop == nil {
		return
	}
	d.stop()
	d.stop = nil
	Eventually(d.code, 2*testkit.Patience).Should(Receive(BeZero()))
}

func (d *deployed) post(path, body string) (*http.Response, map[string]any) {
	GinkgoHelper()
	r, err := http.NewRequest(http.MethodPost, "http://"+d.addr+path, bytes.NewBufferString(body))
	Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+ownerOfTheSpecs)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	var answer map[string]any
	Expect(json.NewDecoder(resp.Body).Decode(&answer)).To(Succeed())
	return resp, answer
}

const ownerOfTheSpecs = "an-owner-key-of-the-specs-that-nobody-guesses"

var _ = Describe("orders without a catalog of their own", func() {
	It("are placed at the prices of another deployment, and wait politely while it is away", func() {
		const shared = "FUSION_SERVICE_KEY=the-deployments-of-the-specs"
		const owner = "FUSION_BOOTSTRAP_KEY=" + ownerOfTheSpecs
		there, here := testkit.NewDatabase(), testkit.NewDatabase()
		super := testkit.SQL(here.Super)
		_, err := super.Exec(`drop schema catalog cascade; drop table migrations.catalog`)
		Expect(err).NotTo(HaveOccurred())
		address := unusedAddress()
		startCatalog := func() *deployed {
			GinkgoHelper()
			return deploy(address, append(onDatabase(there)[:2], owner, shared), "--modules", "catalog")
		}

		By("starting before the catalog")
		orders := deploy(unusedAddress(), append(onDatabase(here)[:2], owner, shared, "FUSION_CATALOG_URL=http://"+address), "--modules", "orders,inventory")
		var schemas int
		Expect(super.QueryRow(`select count(*) from pg_namespace where nspname = 'catalog'`).Scan(&schemas)).To(Succeed())
		Expect(schemas).To(BeZero(), "nobody here needs it")
		const order = `{"customerId":"c-1","items":[{"sku":"MUG","quantity":2}]}`
		refused := func() {
			GinkgoHelper()
			resp, problem := orders.post("/v1/orders", order)
			Expect(resp).To(HaveHTTPStatus(http.StatusServiceUnavailable))
			Expect(resp).To(HaveHTTPHeaderWithValue("Content-Type", "application/problem+json"))
			Expect(resp.Header.Get("Retry-After")).To(MatchRegexp(`^[1-9]\d*$`))
			Expect(problem).To(And(HaveKeyWithValue("code", "dependency_unavailable"), HaveKeyWithValue("status", 503.0),
				HaveKeyWithValue("detail", "The catalog cannot be asked for prices right now."), HaveKey("requestId")))
		}
		placed := func() {
			GinkgoHelper()
			resp, answer := orders.post("/v1/orders", order)
			Expect(resp).To(HaveHTTPStatus(http.StatusCreated), "%v", answer)
			Expect(answer).To(And(HaveKeyWithValue("total", "25.00"), HaveKeyWithValue("currency", "EUR"),
				HaveKeyWithValue("items", HaveExactElements(HaveKeyWithValue("name", "Blue mug")))))
		}
		refused()
		Expect(fusion([]string{"FUSION_ADDR=" + orders.addr}, "health").code).To(BeZero(), "it does all else")

		By("starting the catalog")
		catalog := startCatalog()
		resp, problem := orders.post("/v1/orders", order)
		Expect(resp).To(HaveHTTPStatus(http.StatusUnprocessableEntity))
		Expect(problem).To(HaveKeyWithValue("code", "unknown_sku"))
		resp, _ = catalog.post("/v1/products", `{"sku":"MUG","name":"Blue mug","price":"12.50","currency":"EUR"}`)
		Expect(resp).To(HaveHTTPStatus(http.StatusCreated))
		placed()

		By("losing the catalog and getting it back")
		catalog.end()
		refused()
		startCatalog()
		placed()
	})

	It("do not start without the key that the other deployment knows them by", func() {
		c := fusion(onDatabase(testkit.NewDatabase(), "FUSION_CATALOG_URL=http://catalog:8080"), "serve", "--modules", "orders,inventory")
		Expect(c.code).To(Equal(exitConfig))
		Expect(c.err).To(ContainSubstring("needs service.key: set FUSION_SERVICE_KEY"))
	})
})

var _ = Describe("the deployments of docker-compose.yml", func() {
	It("have every module once, and together what works together", func() {
		file, err := os.ReadFile("../../docker-compose.yml")
		Expect(err).NotTo(HaveOccurred())
		var all []string
		for _, found := range regexp.MustCompile(`(?m)^ +FUSION_MODULES: (\S+)$`).FindAllStringSubmatch(string(file), -1) {
			names := strings.Split(found[1], ",")
			_, err := chosen(names)
			Expect(err).NotTo(HaveOccurred())
			all = append(all, names...)
		}
		Expect(all).To(ConsistOf(moduleNames()))
	})
})
