package e2e_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// deployment is FusionCommerce the way a run has it: one program or several, with
// whatever carries the events between them. Specs ask for nothing else.
type deployment interface {
	// URL at which the API answers.
	URL() string
	// Logs are the URLs at which /v1/events shows what happened.
	Logs() []string
	// Databases behind it: where merchants and keys are made, and where the auditors look. The
	// first one has the orders.
	Databases() []testkit.Database
	// BootstrapKey is an owner's key of the default merchant.
	BootstrapKey() string
	// Complaints are what the programs have logged as errors since they were last asked.
	Complaints() []string
	// Stop ends the programs as an operator does.
	Stop()
}

func install() deployment {
	GinkgoHelper()
	switch {
	case !ours:
		return elsewhere{}
	case here.Kind == split:
		return startApart()
	}
	return start(testkit.Shared())
}

// warm waits until events flow: brokers take their time to let the first consumers in.
func warm(d deployment) {
	GinkgoHelper()
	owner := &shop{url: d.URL(), key: d.BootstrapKey()}
	Expect(owner.post("/v1/products", mug.but(object{"sku": "WARM-UP"}))).To(answer(201))
	Eventually(func() response { return owner.get("/v1/inventory/WARM-UP") }, "2m", "100ms").Should(answer(200))
	o := owner.places(item{SKU: "WARM-UP", Quantity: 1})
	Eventually(func() string { return owner.order(o.ID).Status }, "2m", "100ms").Should(Equal("confirmed"))
}

const bootstrapKey = "fc_sk_bootstrap-key-of-the-end-to-end-specs"

// program is one `fusion serve`.
type program struct {
	url      string
	database testkit.Database
	session  *gexec.Session
	read     int // of its log, in bytes
}

// start runs the program on a database until Stop.
func start(d testkit.Database, settings ...string) *program {
	GinkgoHelper()
	p := run(append(here.settings(d), settings...)...)
	p.database = d
	return p
}

func run(settings ...string) *program {
	GinkgoHelper()
	addr := freeAddress()
	cmd := exec.Command(here.Binary, "serve")
	cmd.Dir = GinkgoT().TempDir() // no file of the tree configures it
	cmd.Env = append(surroundings(),
		"FUSION_BOOTSTRAP_KEY="+bootstrapKey, "FUSION_HTTP_ADDR="+addr, "FUSION_OPS_ADDR=", "FUSION_LOG_FORMAT=json",
		"FUSION_PAYMENTS_TEST_PROVIDER=true",
		"FUSION_SECRETS_KEY=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=") // the same in all programs on a database
	cmd.Env = append(cmd.Env, unlimited...)
	cmd.Env = append(cmd.Env, strings.Fields(os.Getenv("FUSION_E2E_SETTINGS"))...)
	cmd.Env = append(cmd.Env, settings...)
	session, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	p := &program{url: "http://" + addr, session: session}
	Eventually(func(g Gomega) {
		g.Expect(session).NotTo(gexec.Exit())
		resp, err := http.Get(p.url + "/readyz")
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(resp.Body.Close()).To(Succeed())
		g.Expect(resp.StatusCode).To(Equal(http.StatusOK))
	}).Should(Succeed())
	return p
}

// unlimited lets the specs ask as fast as they can; those of limits set their own.
var unlimited = []string{
	"FUSION_LIMITS_REQUESTS_PER_MINUTE=0", "FUSION_LIMITS_LOGINS_PER_MINUTE=0", "FUSION_LIMITS_CHECKOUTS_PER_MINUTE=0", "FUSION_HTTP_MAX_CONNECTIONS=0",
}

// surroundings is the environment without what would configure a program.
func surroundings() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "FUSION_") || strings.HasPrefix(v, "DATABASE_URL=") || strings.HasPrefix(v, "PORT=")
	})
}

func freeAddress() string {
	GinkgoHelper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	Expect(ln.Close()).To(Succeed())
	return ln.Addr().String()
}

func (p *program) URL() string                   { return p.url }
func (p *program) Logs() []string                { return []string{p.url} }
func (p *program) Databases() []testkit.Database { return []testkit.Database{p.database} }
func (p *program) BootstrapKey() string          { return bootstrapKey }

// Stop sends SIGTERM and expects the exit of a program that was asked to end.
func (p *program) Stop() {
	GinkgoHelper()
	Eventually(p.session.Terminate(), "30s").Should(gexec.Exit(0))
}

func (p *program) Complaints() []string {
	log := p.session.Err.Contents()
	fresh := log[p.read:]
	fresh = fresh[:bytes.LastIndexByte(fresh, '\n')+1]
	p.read += len(fresh)
	return complaintsOf(fresh)
}

func complaintsOf(log []byte) (list []string) {
	lines := bufio.NewScanner(bytes.NewReader(log))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ Level string }
		if json.Unmarshal(lines.Bytes(), &entry) != nil || entry.Level == "ERROR" {
			list = append(list, lines.Text())
		}
	}
	return list
}

// Log is everything that the program has said.
func (p *program) Log() string {
	return string(p.session.Err.Contents()) + string(p.session.Out.Contents())
}

// elsewhere is a deployment that runs already.
type elsewhere struct{}

func (elsewhere) URL() string      { return strings.TrimSuffix(os.Getenv("FUSION_E2E_URL"), "/") }
func (e elsewhere) Logs() []string { return []string{e.URL()} }
func (elsewhere) Databases() []testkit.Database {
	return []testkit.Database{{App: os.Getenv("FUSION_E2E_DATABASE_URL"), Super: os.Getenv("FUSION_E2E_SUPERUSER_URL")}}
}
func (elsewhere) BootstrapKey() string { return os.Getenv("FUSION_E2E_BOOTSTRAP_KEY") }
func (elsewhere) Complaints() []string { return nil }
func (elsewhere) Stop()                {}
