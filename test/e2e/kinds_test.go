package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/testkit/kafkakit"
)

// Kinds of deployment that the specs can be run against.
const (
	alone     = "alone"     // one program, events carried by its database
	onKafka   = "kafka"     // one program, events carried by Kafka
	split     = "split"     // two programs with a database each and Kafka between them
	pgbouncer = "pgbouncer" // one program behind a PgBouncer in transaction mode
)

// site is what the Ginkgo processes of a run share.
type site struct {
	Binary  string
	Kind    string
	Brokers []string
}

// here is the site of this run.
var here site

// prepare builds the program and starts what its kind of deployment stands on.
func prepare() site {
	GinkgoHelper()
	s := site{Kind: os.Getenv("FUSION_E2E_DEPLOYMENT")}
	if s.Kind == "" {
		s.Kind = alone
	}
	Expect(s.Kind).To(BeElementOf(alone, onKafka, split, pgbouncer), "FUSION_E2E_DEPLOYMENT")
	var err error
	s.Binary, err = gexec.Build("github.com/fusioncommerce/fusion/cmd/fusion")
	Expect(err).NotTo(HaveOccurred())
	if s.Kind == onKafka || s.Kind == split {
		s.Brokers = kafkakit.Start(1).Brokers()
	}
	return s
}

// settings of a program on a database, by the kind of the deployment.
func (s site) settings(d testkit.Database) []string {
	list := []string{"FUSION_DATABASE_URL=" + d.App}
	switch s.Kind {
	case onKafka, split:
		list = append(list, s.kafka(nameOf(d))...)
	case pgbouncer:
		list = []string{"FUSION_DATABASE_URL=" + bounced(d), "FUSION_DATABASE_POOLED=true", "FUSION_DATABASE_MIGRATE_URL=" + d.Owner}
	}
	return list
}

// kafka gives each deployment topics and groups of its own. Each process has a cluster in
// which the databases have the same names.
func (s site) kafka(name string) []string {
	return []string{"FUSION_BUS=kafka", "FUSION_KAFKA_BROKERS=" + strings.Join(s.Brokers, ","), fmt.Sprintf("FUSION_KAFKA_PREFIX=%d.%s.", GinkgoParallelProcess(), name)}
}

func nameOf(d testkit.Database) string {
	u, err := url.Parse(d.App)
	Expect(err).NotTo(HaveOccurred())
	return strings.TrimPrefix(u.Path, "/")
}

const serviceKey = "the-deployments-of-the-end-to-end-specs"

// apart is the catalog in one program and the rest in another, behind a gateway.
type apart struct {
	catalog, orders *program
	gateway         *httptest.Server
}

func startApart() *apart {
	GinkgoHelper()
	ordersDB, catalogDB := testkit.Shared(), testkit.Lasting("catalog")
	kafka := here.kafka(nameOf(ordersDB))
	// Each asks the other: the catalog who has signed in, the orders what things cost.
	a := &apart{gateway: httptest.NewUnstartedServer(nil)}
	a.catalog = run(append(kafka, "FUSION_DATABASE_URL="+catalogDB.App, "FUSION_MODULES=catalog",
		"FUSION_SERVICE_KEY="+serviceKey, "FUSION_IDENTITY_URL=http://"+a.gateway.Listener.Addr().String())...)
	a.catalog.database = catalogDB
	a.orders = run(append(kafka, "FUSION_DATABASE_URL="+ordersDB.App, "FUSION_MODULES=identity,inventory,pricing,shipping,orders,checkout,groupbuy,payments",
		"FUSION_SERVICE_KEY="+serviceKey, "FUSION_CATALOG_URL="+a.catalog.url)...)
	a.orders.database = ordersDB
	a.gateway.Config.Handler = a.route()
	a.gateway.Start()
	return a
}

// buffered is how large the bodies are that the gateway takes whole before it passes them on.
const buffered = 1 << 20

// route is what a gateway is told: which paths the catalog has. The document is the sum of
// both.
func (a *apart) route() http.Handler {
	to := func(p *program) http.Handler {
		u, err := url.Parse(p.url)
		Expect(err).NotTo(HaveOccurred())
		proxy := httputil.NewSingleHostReverseProxy(u)
		proxy.FlushInterval = -1
		proxy.ErrorLog = slog.NewLogLogger(testkit.Log().Handler(), slog.LevelDebug)
		proxy.ErrorHandler = func(_ http.ResponseWriter, r *http.Request, err error) {
			proxy.ErrorLog.Println(r.Method, r.URL.Path, err)
			panic(http.ErrAbortHandler) // it has nothing to say itself
		}
		return proxy
	}
	catalog, orders := to(a.catalog), to(a.orders)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength < buffered {
			// As gateways do. The program may answer before it has all of a body; a proxy that is
			// still sending it would hang up, in the middle of the answer.
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler) // the client has gone
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		path := strings.TrimPrefix(r.URL.Path, "/v1")
		switch {
		case r.URL.Path == "/openapi.json":
			a.document(w)
		case path == "/products" || strings.HasPrefix(path, "/products/") || path == "/offers":
			catalog.ServeHTTP(w, r)
		default:
			orders.ServeHTTP(w, r)
		}
	})
}

func (a *apart) document(w http.ResponseWriter) {
	defer GinkgoRecover()
	sum := map[string]any{}
	for _, p := range []*program{a.catalog, a.orders} {
		resp, err := http.Get(p.url + "/openapi.json")
		Expect(err).NotTo(HaveOccurred())
		var doc map[string]any
		Expect(json.NewDecoder(resp.Body).Decode(&doc)).To(Succeed())
		Expect(resp.Body.Close()).To(Succeed())
		merge(sum, doc)
		maps.Copy(w.Header(), resp.Header)
	}
	raw, err := json.Marshal(sum)
	Expect(err).NotTo(HaveOccurred())
	w.Header().Del("Content-Length")
	_, _ = w.Write(raw)
}

// merge adds what one document has to another, object by object.
func merge(into, from map[string]any) {
	for name, value := range from {
		old, both := into[name].(map[string]any)
		if fresh, ok := value.(map[string]any); ok && both {
			merge(old, fresh)
			continue
		}
		maps.Copy(into, map[string]any{name: value})
	}
}

func (a *apart) URL() string    { return a.gateway.URL }
func (a *apart) Logs() []string { return []string{a.catalog.url, a.orders.url} }
func (a *apart) Databases() []testkit.Database {
	return []testkit.Database{a.orders.database, a.catalog.database}
}
func (a *apart) BootstrapKey() string { return bootstrapKey }
func (a *apart) Complaints() []string {
	return append(a.catalog.Complaints(), a.orders.Complaints()...)
}

func (a *apart) Stop() {
	a.gateway.Close()
	a.orders.Stop()
	a.catalog.Stop()
}

// bouncers of this Ginkgo process, one for its cluster.
var bouncer string

// bounced is the application's way into a database through PgBouncer.
func bounced(d testkit.Database) string {
	GinkgoHelper()
	u, err := url.Parse(d.App)
	Expect(err).NotTo(HaveOccurred())
	if bouncer == "" {
		bouncer = startBouncer(u)
	}
	through := *u
	through.Host = bouncer
	through.RawQuery = "sslmode=disable"
	return through.String()
}

func startBouncer(cluster *url.URL) string {
	GinkgoHelper()
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer" // Debian keeps it where only root looks
	}
	dir, err := testkit.Scratch()
	Expect(err).NotTo(HaveOccurred())
	addr := freeAddress()
	_, port, _ := strings.Cut(addr, ":")
	target := "host=" + cluster.Query().Get("host")
	if p := cluster.Query().Get("port"); p != "" {
		target += " port=" + p
	}
	settings := fmt.Sprintf(`[databases]
* = %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = trust
auth_file = %s/users
pool_mode = transaction
max_client_conn = 500
default_pool_size = 20
ignore_startup_parameters = extra_float_digits
`, target, port, dir)
	if me, err := user.Current(); err == nil && me.Uid == "0" {
		settings += "user = postgres\n" // it does not run as root
	}
	Expect(os.WriteFile(filepath.Join(dir, "users"), []byte("\"fusion_app\" \"\"\n"), 0o644)).To(Succeed())
	Expect(os.WriteFile(filepath.Join(dir, "pgbouncer.ini"), []byte(settings), 0o644)).To(Succeed())
	session, err := gexec.Start(exec.Command(path, filepath.Join(dir, "pgbouncer.ini")), GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	Eventually(session.Err, testkit.Patience).Should(gbytes.Say("process up"))
	return addr
}
