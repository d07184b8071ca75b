package e2e_test

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

var cards = []string{"4242424242424242", "4242 4242 4242 4242", "4242-4242-4242-4242"}

var _ = Describe("a card number in a body", func() {
	s := refusals()

	It("is refused in every text of every route, and in place of any number", func() {
		for _, f := range forms {
			for _, card := range cards {
				for _, pointer := range f.texts {
					Expect(s.submit(f, f.with(pointer, `"`+card+`"`))).To(HaveEach(refuse(422, "card_data_not_accepted")), pointer)
				}
			}
			for _, pointer := range append(f.texts, f.integers...) {
				for _, number := range []string{cards[0], cards[0] + ".00", "-" + cards[0]} {
					Expect(s.submit(f, f.with(pointer, number))).To(HaveEach(refuse(422, "card_data_not_accepted")), pointer)
				}
			}
			Expect(s.submit(f, f.with("/card", cards[0]))).To(HaveEach(refuse(422, "card_data_not_accepted")))
		}
	})
})

var _ = Describe("a key of the shop in a body", func() {
	s := refusals()
	meant := []string{"/password", "/currentPassword", "/token", "/refreshToken", "/clientSecret"}

	It("is refused in every text of every route, but for those that are meant for a credential", func() {
		secret := `"` + apikey.Prefix + strings.Repeat("Ab3", 14) + `"`
		for _, f := range forms {
			for _, pointer := range f.texts {
				if !slices.Contains(meant, pointer) {
					Expect(s.submit(f, f.with(pointer, secret))).To(HaveEach(refuse(422, "secret_not_accepted")), "%s %s", f.id, pointer)
				}
			}
		}
	})
})

// A program of their own, because these specs break its tables.
var _ = func() bool {
	if ours && os.Getenv("FUSION_E2E_DEPLOYMENT") != split {
		Describe("secrets", secretive)
	}
	return true
}()

// observed is a program that says all that it can, and what one finds when one looks for
// something in everything that it keeps.
type observed struct {
	*program
	shop    *shop
	letters string
	ops     string
	super   *sql.DB
}

func observe() *observed {
	GinkgoHelper()
	o := &observed{letters: GinkgoT().TempDir(), ops: freeAddress()}
	d := testkit.NewDatabase()
	o.program = start(d, "FUSION_LOG_LEVEL=debug", "FUSION_OPS_ADDR="+o.ops, "FUSION_MAIL_DIR="+o.letters)
	DeferCleanup(o.Stop)
	o.shop, o.super = &shop{url: o.url, tenant: identity.DefaultTenant, key: bootstrapKey}, testkit.SQL(d.Super)
	return o
}

// ask sends a request that is not held to anything.
func (o *observed) ask(method, path, body string, headers http.Header) (status int, answer []byte) {
	GinkgoHelper()
	r, err := http.NewRequest(method, o.url+path, strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	r.Header = headers.Clone()
	if r.Header.Get("Authorization") == "" {
		r.Header.Set("Authorization", "Bearer "+bootstrapKey)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := wire.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return resp.StatusCode, raw
}

// token that the latest letter to an address brings, once there are so many.
func (o *observed) token(to string, letters int) (token string) {
	GinkgoHelper()
	Eventually(func(g Gomega) {
		files, err := filepath.Glob(filepath.Join(o.letters, "*.eml"))
		g.Expect(err).NotTo(HaveOccurred())
		n := 0
		for _, file := range files {
			content, err := os.ReadFile(file)
			g.Expect(err).NotTo(HaveOccurred())
			if l := testkit.ReadLetter(content); l.To == to {
				n++
				token = l.Token()
			}
		}
		g.Expect(n).To(Equal(letters))
	}).Should(Succeed())
	return token
}

// pieces of a secret: who keeps a part of it keeps too much.
func pieces(secret string) []string {
	if len(secret) < 72 {
		return []string{strings.TrimPrefix(secret, "fc_sk_")}
	}
	return []string{secret[len(secret)/3 : len(secret)/3+24], secret[len(secret)-24:]}
}

// sightings of texts in the log, in the metrics and in any row of any table.
func (o *observed) sightings(texts ...string) (found []string) {
	GinkgoHelper()
	resp, err := http.Get("http://" + o.ops + "/metrics")
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	metrics, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	for _, text := range texts {
		for place, all := range map[string]string{"the metrics": string(metrics), "the log": o.Log()} {
			if strings.Contains(all, text) {
				found = append(found, place+": "+text)
			}
		}
	}
	rows, err := o.super.Query(`select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
		where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') order by 1`)
	Expect(err).NotTo(HaveOccurred())
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var table string
		Expect(rows.Scan(&table)).To(Succeed())
		tables = append(tables, table)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	Expect(len(tables)).To(BeNumerically(">", 40))
	for _, table := range tables {
		for _, text := range texts {
			var n int
			Expect(o.super.QueryRow(fmt.Sprintf(`select count(*) from %s t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0`, table), text, hex.EncodeToString([]byte(text))).Scan(&n)).To(Succeed())
			if n > 0 {
				found = append(found, table+": "+text)
			}
		}
	}
	return found
}

type opened struct {
	AccessToken, RefreshToken string
	Account                   struct{ ID string }
}

func secretive() {
	var o *observed
	BeforeEach(func() { o = observe() })

	It("of those who sign in stand nowhere, neither when all goes well nor when they are mistaken", func() {
		var secrets []string
		secret := func(s string) string { secrets = append(secrets, s); return s }
		password := func() string { return secret("canary " + uuid.NewString()) }
		s, anybody := o.shop, o.shop.with("")
		post := func(path string, body object) response {
			GinkgoHelper()
			return anybody.post(path, body, key(uuid.NewString()))
		}
		signIn := func(email, password string) opened {
			GinkgoHelper()
			g := as[opened](post("/v1/auth/login", object{"email": email, "password": password}))
			secret(g.AccessToken)
			secret(g.RefreshToken)
			return g
		}

		ana, first := "ana@example.com", password()
		Expect(post("/v1/auth/register", object{"email": ana, "password": first, "name": "Ana"})).To(answer(202))
		Expect(post("/v1/auth/register", object{"email": ana, "password": password()})).To(answer(202))
		Expect(o.token(ana, 2)).To(BeEmpty(), "that there is an account brings none")
		Expect(post("/v1/auth/login", object{"email": ana, "password": password()})).To(answer(401))
		g := signIn(ana, first)
		Expect(s.post("/v1/auth/introspect", object{"token": g.AccessToken})).To(answer(200))
		Expect(anybody.with(g.AccessToken).post("/v1/auth/email/resend", nil)).To(answer(202))
		Expect(post("/v1/auth/email/verify", object{"token": secret(o.token(ana, 3))})).To(answer(204))
		g = signIn(ana, first) // the first proof of an address ends what was before
		next := as[opened](post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken}))
		secret(next.AccessToken)
		secret(next.RefreshToken)
		Expect(post("/v1/auth/refresh", object{"refreshToken": g.RefreshToken})).To(answer(409))
		Expect(anybody.with(next.AccessToken).post("/v1/auth/password/change", object{"currentPassword": password(), "password": password()})).To(answer(401))
		second := password()
		Expect(anybody.with(next.AccessToken).post("/v1/auth/password/change", object{"currentPassword": first, "password": second})).To(answer(204))
		Expect(post("/v1/auth/password/forgot", object{"email": ana})).To(answer(202))
		third := password()
		reset := secret(o.token(ana, 5)) // after that of the change
		Expect(post("/v1/auth/password/reset", object{"token": reset, "password": third})).To(answer(204))
		Expect(post("/v1/auth/password/reset", object{"token": reset, "password": password()})).To(answer(400))
		Expect(post("/v1/auth/logout", object{"refreshToken": signIn(ana, third).RefreshToken})).To(answer(204))

		Expect(s.post("/v1/staff/invitations", object{"email": "bo@example.com", "roles": []string{"vendor"}}, key(uuid.NewString()))).To(answer(201))
		fourth := password()
		Expect(post("/v1/staff/invitations/accept", object{"token": secret(o.token("bo@example.com", 1)), "password": fourth})).To(answer(204))
		bo := anybody.with(signIn("bo@example.com", fourth).AccessToken)
		secret(as[struct{ Secret string }](bo.post("/v1/me/totp", object{"currentPassword": fourth}, key(uuid.NewString()))).Secret)
		k := as[apiKey](s.post("/v1/keys", warehouse, key(uuid.NewString())))
		secret(k.Key[len(k.Prefix):])
		secret(as[apiKey](s.post("/v1/keys/"+k.ID+"/rotate", object{}, key(uuid.NewString()))).Key[len(k.Prefix):])
		Expect(s.post("/v1/auth/providers", object{
			"slug": "acme", "name": "Acme", "kind": "customer", "issuer": "https://login.example.com", "clientId": "shop", "clientSecret": password(),
		}, key(uuid.NewString()))).To(answer(201))

		var sought []string
		for _, text := range append(secrets, bootstrapKey) {
			Expect(len(text)).To(BeNumerically(">", 20))
			sought = append(sought, pieces(text)...)
		}
		Expect(len(sought)).To(BeNumerically(">=", 25))
		Expect(o.sightings(sought...)).To(BeEmpty())
		Expect(o.Complaints()).To(BeEmpty())
		Expect(o.sightings("bo@example.com")).To(ContainElement("identity.account: bo@example.com"), "one who looks finds what is there")
	})

	It("that come in the wrong place are kept nowhere: headers, addresses, queries and methods", func() {
		s := o.shop
		made := as[apiKey](s.post("/v1/keys", warehouse))
		Expect(s.with("").post("/v1/auth/register", object{"email": "ana@example.com", "password": "correct horse battery"})).To(answer(202))
		oneTime := o.token("ana@example.com", 1)
		g := as[opened](s.with("").post("/v1/auth/login", object{"email": "ana@example.com", "password": "correct horse battery"}))
		var sought []string
		for i, secret := range append([]string{made.Key, oneTime, g.AccessToken, g.RefreshToken}, cards...) {
			sku := fmt.Sprint("P-", i)
			q := url.QueryEscape(secret)
			everywhere := http.Header{"X-Request-Id": {secret}, "User-Agent": {"curl/8 " + secret}, "Referer": {"https://shop.example/?key=" + q}, "X-Api-Key": {secret}, "X-Forwarded-For": {secret}}
			product := fmt.Sprintf(`{"sku":%q,"name":"Mug","price":"12.50","currency":"EUR"}`, sku)
			keyed := everywhere.Clone()
			if len(secret) <= 255 {
				keyed.Set("Idempotency-Key", secret)
			}
			status, made := o.ask(http.MethodPost, "/v1/products", product, keyed)
			Expect(status).To(Equal(201), "%s", made)
			if len(secret) <= 255 {
				status, again := o.ask(http.MethodPost, "/v1/products", product, keyed)
				Expect(status).To(Equal(201))
				Expect(again).To(Equal(made), "it is still recognised by that key")
				status, _ = o.ask(http.MethodPost, "/v1/products", strings.Replace(product, "Mug", "Cup", 1), keyed)
				Expect(status).To(Equal(422))
			}
			stranger := everywhere.Clone()
			stranger.Set("Authorization", "Bearer "+g.AccessToken)
			status, _ = o.ask(http.MethodPost, "/v1/auth/login", `{"email":"ana@example.com","password":"correct horse battery"}`, stranger)
			Expect(status).To(Equal(200))
			status, _ = o.ask(http.MethodGet, "/v1/customers?group="+q, "", everywhere)
			Expect(status).To(BeElementOf(200, 422))
			status, _ = o.ask(http.MethodGet, "/v1/customers?email="+q+"&q="+q, "", everywhere)
			Expect(status).To(BeElementOf(200, 422))
			for _, path := range []string{
				"/v1/products?access_token=" + q, "/v1/products?" + q + "=1", "/v1/orders?customerId=" + q, "/v1/products?cursor=" + q, "/v1/products/" + url.PathEscape(secret),
				"/v1/orders/" + url.PathEscape(secret), "/" + url.PathEscape(secret), "/v1/auth/oidc/" + url.PathEscape(secret) + "/start", "/v1/auth/oidc/acme/callback?code=" + q + "&state=" + q,
			} {
				status, _ := o.ask(http.MethodGet, path, "", everywhere)
				Expect(status).To(BeNumerically("<", 500), path)
			}
			status, _ = o.ask(http.MethodPut, "/v1/inventory/"+url.PathEscape(secret), `{"onHand":1}`, everywhere)
			Expect(status).To(BeElementOf(404, 422))
			for _, authorization := range []string{"Bearer " + secret + "x", "Basic " + secret, secret} {
				everywhere.Set("Authorization", authorization)
				status, _ := o.ask(http.MethodGet, "/v1/orders", "", everywhere)
				Expect(status).To(Equal(401))
			}
			sought = append(sought, pieces(secret)...)
		}
		status, _ := o.ask(cards[0], "/v1/products", "", http.Header{})
		Expect(status).To(Equal(405))
		Eventually(o.Log).Should(ContainSubstring(`"method":"other"`)) // it is written when the answer is sent already
		Expect(o.sightings(sought...)).To(BeEmpty())
		Expect(o.sightings("curl/8")).To(BeEmpty())
		o.ask(http.MethodPost, "/v1/products", `{"sku":"Q","name":"Mug","price":"12.50","currency":"EUR"}`, http.Header{"User-Agent": {"curl/8"}, "X-Request-Id": {"harmless-1"}})
		Expect(o.sightings("curl/8")).To(ConsistOf(HavePrefix("platform.audit")))
		Eventually(func() []string { return o.sightings("harmless-1") }).Should(ContainElements(HavePrefix("the log"), HavePrefix("platform.audit"), HavePrefix("platform.event")))
	})

	It("stand in no error of ours: not when a table is gone, and not in a body that is refused", func() {
		canary := "canary-" + uuid.NewString()
		hidden := http.Header{"Idempotency-Key": {"k-1"}}
		for _, f := range forms {
			op := published.named(f.id)
			for _, pointer := range f.texts {
				for _, body := range []string{f.with(pointer, `"`+canary+`","colour":"`+canary+`"`), f.with(pointer, `"`+canary), f.with(pointer, `["`+canary+`"]`), f.with(pointer, `"`+canary+`\u0000"`)} {
					status, _ := o.ask(op.Method, op.to(uuid.NewString(), canary), body, hidden)
					Expect(status).To(And(BeNumerically(">=", 400), BeNumerically("<", 500)), "%s %s: %s", op.Method, op.Path, body)
				}
			}
		}
		Expect(o.Complaints()).To(BeEmpty())

		tables := []string{"identity.account", "identity.customer", "identity.oidc_provider", "identity.role", "catalog.product", "orders.orders", "inventory.stock", "groupbuy.campaign", "platform.audit", "platform.api_key"}
		var broken []string
		for _, table := range tables {
			_, name, _ := strings.Cut(table, ".")
			if _, err := o.super.Exec(`alter table ` + table + ` rename to ` + name + `_gone`); err == nil {
				broken = append(broken, table)
			}
		}
		Expect(len(broken)).To(BeNumerically(">=", 9), "%v", broken)
		failed := 0
		for _, f := range forms {
			op := published.named(f.id)
			var tree map[string]any
			Expect(json.Unmarshal([]byte(f.valid()), &tree)).To(Succeed())
			for _, pointer := range f.texts {
				name := pointer[1:]
				if _, ok := tree[name].(string); ok && (name == "password" || name == "currentPassword" || name == "token" || name == "refreshToken" || name == "clientSecret" || name == "name" || name == "reason") {
					tree[name] = canary
				}
			}
			if f.id == "createProvider" {
				tree["clientSecret"] = canary
			}
			var body bytes.Buffer
			Expect(json.NewEncoder(&body).Encode(tree)).To(Succeed())
			status, answer := o.ask(op.Method, op.to(uuid.NewString(), canary), body.String(), http.Header{"Idempotency-Key": {"k-2"}, "User-Agent": {canary}})
			if status >= 500 {
				failed++
			}
			Expect(strings.ReplaceAll(string(answer), `"instance":"`+op.to("", canary), "")).NotTo(ContainSubstring(canary), op.ID)
		}
		Expect(failed).To(BeNumerically(">", 15))
		Eventually(o.Log).Should(ContainSubstring(`"msg":"request failed"`))
		for _, table := range broken {
			schema, name, _ := strings.Cut(table, ".")
			_, err := o.super.Exec(`alter table ` + schema + `.` + name + `_gone rename to ` + name)
			Expect(err).NotTo(HaveOccurred())
		}
		Expect(o.sightings(canary)).To(BeEmpty())
	})
}
