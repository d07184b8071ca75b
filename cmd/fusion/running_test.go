package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func unusedAddress() string {
	GinkgoHelper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	Expect(ln.Close()).To(Succeed())
	return ln.Addr().String()
}

var _ = Describe("fusion serve", func() {
	It("serves, answers its probe, logs JSON and stops cleanly", func(ctx SpecContext) {
		addr := unusedAddress()
		environ := append(onDatabase(testkit.NewDatabase())[:3], "FUSION_ADDR="+addr, "FUSION_OPS_ADDR=", "FUSION_BOOTSTRAP_KEY=short")
		Expect(fusion(environ, "health").err).To(Equal("fusion: no shop answers at http://" + addr + ": nothing listens there\n"))

		running, stop := context.WithCancel(ctx)
		errs := gbytes.NewBuffer()
		p := &program{version: "1.2.3", stdout: gbytes.NewBuffer(), stderr: errs, environ: environ}
		code := make(chan int, 1)
		go func() { code <- p.run(running, []string{"fusion", "serve"}) }()
		DeferCleanup(stop)
		Eventually(func() int { return fusion(environ, "health").code }).Should(BeZero())
		Expect(parsed[readiness](fusion(environ, "health", "--json"))).To(And(HaveField("Ready", true), HaveField("Checks", HaveKeyWithValue("database", "ok"))))
		Expect(fusion(environ, "doctor").out).To(And(ContainSubstring("the shop answers on "+addr), ContainSubstring("the bootstrap key has only 5 characters")))
		Expect(parsed[map[string]int](fusion(environ, "seed", "--products", "1", "--json"))).To(HaveKeyWithValue("created", 1))
		stop()
		Eventually(code).Should(Receive(BeZero()))

		said := map[string]map[string]any{}
		for line := range bytes.Lines(errs.Contents()) {
			var record map[string]any
			Expect(json.Unmarshal(line, &record)).To(Succeed(), string(line))
			said[fmt.Sprint(record["msg"])] = record
		}
		Expect(said["listening"]).To(And(HaveKeyWithValue("addr", addr), HaveKeyWithValue("modules", strings.Join(moduleNames(), ","))))
		Expect(said).To(HaveKey(ContainSubstring("FUSION_BOOTSTRAP_KEY is short")))
		Expect(said).To(HaveKey("stopped"))
	})

	It("is interrupted while it starts, and exits 130", func(ctx SpecContext) {
		called, off := context.WithCancel(ctx)
		off()
		errs := gbytes.NewBuffer()
		p := &program{stdout: gbytes.NewBuffer(), stderr: errs, environ: onDatabase(testkit.NewDatabase())}
		Expect(p.run(called, []string{"fusion", "serve"})).To(Equal(exitInterrupted))
		Expect(string(errs.Contents())).To(Equal("fusion: interrupted\n"))
	})
})

var _ = Describe("the log for people", func() {
	line := func(record func(*slog.Logger)) string {
		var out bytes.Buffer
		record(slog.New(&prettyHandler{w: &out, mu: new(sync.Mutex), level: slog.LevelInfo}))
		_, rest, _ := strings.Cut(out.String(), " ") // the time
		return rest
	}

	DescribeTable("is a line a record", func(record func(*slog.Logger), want string) {
		Expect(line(record)).To(Equal(want))
	},
		Entry("with what is worth reading", func(l *slog.Logger) {
			l.With("empty", "", "count", 3).Warn("events wait", "err", "no\nluck", "took", 1234*time.Microsecond)
		}, "WRN events wait count=3 err=\"no\\nluck\" took=1.2ms\n"),
		Entry("with groups as names", func(l *slog.Logger) { l.WithGroup("db").Info("x", slog.Group("pool", "free", 1)) }, "INF x db.pool.free=1\n"),
		Entry("of a request that went well", func(l *slog.Logger) {
			l.Info("request", "method", "POST", "route", "/v1/orders", "status", 201, "took", 4*time.Millisecond, "round_trips", 7, "request_id", "r1", "actor", "key:1")
		}, "INF POST /v1/orders 201 4ms\n"),
		Entry("of a request that was refused", func(l *slog.Logger) {
			l.Info("request", "method", "POST", "route", "/v1/orders", "status", 422, "took", 4*time.Millisecond, "round_trips", 7, "request_id", "r1", "actor", "key:1")
		}, "INF POST /v1/orders 422 4ms request_id=r1 actor=key:1\n"),
		Entry("not below its level", func(l *slog.Logger) { l.Debug("x") }, ""),
	)
})

// devShop is a `fusion dev` of the built program.
type devShop struct {
	*gexec.Session
	url string
}

func startDev(binary, dir, addr string) devShop {
	GinkgoHelper()
	cmd := exec.Command(binary, "dev", "--addr", addr)
	cmd.Dir = dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "FUSION_") && !strings.HasPrefix(v, "FUSION_POSTGRES_BIN=") || strings.HasPrefix(v, "DATABASE_URL=") || strings.HasPrefix(v, "PORT=")
	}), "FUSION_OPS_ADDR=")
	session, err := gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { session.Kill().Wait() })
	Eventually(session).Within(time.Minute).Should(gbytes.Say("Stop: Ctrl-C"))
	return devShop{session, "http://" + addr}
}

// interrupt is Ctrl-C, and waits for a clean end without a PostgreSQL left behind.
func (s devShop) interrupt(dir string) {
	GinkgoHelper()
	file := filepath.Join(dir, "data", "postgres", "pgdata", "postmaster.pid")
	content, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	first, _, _ := strings.Cut(string(content), "\n")
	postmaster, err := strconv.Atoi(first)
	Expect(err).NotTo(HaveOccurred())
	Expect(syscall.Kill(postmaster, 0)).To(Succeed())

	Eventually(s.Interrupt()).Should(gexec.Exit(0))
	Expect(syscall.Kill(postmaster, 0)).To(MatchError(syscall.ESRCH))
	Expect(file).NotTo(BeAnExistingFile())
}

// paste runs the commands that were printed, as somebody would in another terminal.
func (s devShop) paste(dir string) []map[string]any {
	GinkgoHelper()
	lines := regexp.MustCompile(`(?m)^    (curl .*)$`).FindAllStringSubmatch(string(s.Out.Contents()), -1)
	Expect(lines).To(HaveLen(4))
	var answers []map[string]any
	for _, line := range lines {
		cmd := exec.Command("sh", "-c", line[1])
		cmd.Dir = dir
		out, err := cmd.Output()
		Expect(err).NotTo(HaveOccurred(), line[1])
		var answer map[string]any
		Expect(json.Unmarshal(out, &answer)).To(Succeed(), string(out))
		answers = append(answers, answer)
	}
	return answers
}

var _ = Describe("fusion dev", Ordered, func() {
	var binary string
	BeforeAll(func() {
		var err error
		binary, err = gexec.Build("github.com/fusioncommerce/fusion/cmd/fusion")
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(gexec.CleanupBuildArtifacts)
	})

	It("makes a shop to try things out, which is still there the next time", func() {
		dir := cleanFolder()
		addr := unusedAddress()
		data := []string{"FUSION_DATA=" + filepath.Join(dir, "data"), "FUSION_ADDR=" + addr}
		keyFile := filepath.Join(dir, "data", "owner.key")

		By("starting for the first time")
		shop := startDev(binary, dir, addr)
		Expect(string(shop.Err.Contents())).To(And(ContainSubstring("✓ PostgreSQL "), MatchRegexp(`✓ \d+ migrations applied`), ContainSubstring("✓ Demo shop: 60 products, 2 campaigns")))
		key, err := os.ReadFile(keyFile)
		Expect(err).NotTo(HaveOccurred())
		Expect(string(shop.Out.Contents())).To(And(ContainSubstring(shop.url+"/docs"), ContainSubstring(strings.TrimSpace(string(key))+"  (shown once, kept in ./data/owner.key)")))
		info, err := os.Stat(keyFile)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(Equal(os.FileMode(0o600)))

		By("pasting what it offers")
		answers := shop.paste(dir)
		Expect(answers[0]["data"]).To(HaveLen(2))
		Expect(answers[1]).To(And(HaveKeyWithValue("status", "created"), HaveKey("number")))
		Expect(answers[2]).To(HaveKeyWithValue("available", BeNumerically(">", 0)))
		Expect(answers[3]["data"]).To(HaveExactElements(And(HaveKeyWithValue("sku", "KIT-MUG-STONE"), HaveKeyWithValue("originalPrice", "18.50"))))
		order := shop.url + "/v1/orders/" + answers[1]["id"].(string)
		ask := func(method, url, body string) (answer map[string]any) {
			req, err := http.NewRequest(method, url, strings.NewReader(body))
			Expect(err).NotTo(HaveOccurred())
			req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
			req.Header.Set("Content-Type", "application/json")
			res, err := http.DefaultClient.Do(req)
			Expect(err).NotTo(HaveOccurred())
			defer res.Body.Close()
			Expect(json.NewDecoder(res.Body).Decode(&answer)).To(Succeed())
			return answer
		}
		status := func() any { return ask(http.MethodGet, order, "")["status"] }
		Eventually(status).Should(Equal("confirmed"))
		Expect(string(shop.Err.Contents())).To(MatchRegexp(`\d\d:\d\d:\d\d INF POST /v1/orders 201 `))

		By("paying, without money")
		payment := fmt.Sprintf(`{"orderId":%q,"method":"pm_card_visa"}`, answers[1]["id"])
		Expect(ask(http.MethodPost, shop.url+"/v1/payments", payment)).To(And(HaveKeyWithValue("provider", "test"), HaveKeyWithValue("status", "succeeded")))
		Eventually(status).Should(Equal("paid"))

		By("working beside it")
		Expect(parsed[[]any](fusion(data, "keys", "list", "--json"))).To(HaveLen(1))
		Expect(fusion(data, "migrate", "status").code).To(BeZero())
		Expect(fusion(data, "doctor").code).To(BeZero())
		c := fusion(data, "migrate", "up")
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(ContainSubstring("stop it first"))
		c = fusion(data, "serve", "--addr", "127.0.0.1:0", "--ops-addr", "")
		Expect(c.code).To(Equal(exitFailed))
		Expect(c.err).To(ContainSubstring("A shop runs in " + filepath.Join(dir, "data") + " already"))
		shop.interrupt(dir)

		By("working without it")
		Expect(parsed[[]any](fusion(data, "keys", "list", "--json"))).To(HaveLen(1))
		Expect(filepath.Join(dir, "data", "postgres", "pgdata", "postmaster.pid")).NotTo(BeAnExistingFile())

		By("starting again")
		shop = startDev(binary, dir, addr)
		Expect(string(shop.Err.Contents())).NotTo(ContainSubstring("Demo shop"))
		Expect(os.ReadFile(keyFile)).To(Equal(key))
		Expect(string(shop.Out.Contents())).To(And(ContainSubstring("…  (kept in ./data/owner.key)"), Not(ContainSubstring(strings.TrimSpace(string(key))))))
		Expect(status()).To(Equal("paid"))
		Expect(shop.paste(dir)[1]).To(HaveKeyWithValue("number", BeNumerically("==", answers[1]["number"].(float64)+1)))
		shop.interrupt(dir)

		By("starting with a key that opens nothing")
		Expect(os.WriteFile(keyFile, []byte("fc_sk_another-shops\n"), 0o644)).To(Succeed())
		shop = startDev(binary, dir, addr)
		Expect(string(shop.Out.Contents())).To(ContainSubstring("(shown once, kept in ./data/owner.key)"))
		Expect(os.ReadFile(keyFile)).NotTo(ContainSubstring("another-shops"))
		Expect(shop.paste(dir)[1]).To(HaveKey("number"))
		shop.interrupt(dir)
	})
})
