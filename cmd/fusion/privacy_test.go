package main

import (
	"context"
	"encoding/hex"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// guests lets in, for a spec, the customer who is named as "member:<tenant>:<id>".
type guests struct{}

func (guests) Name() string                 { return "guests" }
func (g guests) Mount(on app.Mount)         { on.Accept(g) }
func (guests) Recognises(token string) bool { return strings.HasPrefix(token, "member:") }
func (guests) Authenticate(_ context.Context, token string) (identity.Identity, bool, error) {
	parts := strings.Split(token, ":")
	return identity.Identity{Tenant: uuid.MustParse(parts[1]), Actor: "user:" + parts[2], Customer: parts[2], Account: uuid.MustParse(parts[2]), Permissions: identity.Storefront()}, true, nil
}

var _ = Describe("the personal data of a customer", func() {
	const canary = "zq7canary"
	var (
		d       testkit.Database
		shop    *testkit.Shop
		me      *testkit.Shop
		id      string
		log     *gbytes.Buffer
		records string
	)
	BeforeEach(func() {
		log = gbytes.NewBuffer()
		GinkgoWriter.TeeTo(log)
		DeferCleanup(GinkgoWriter.ClearTeeWriters)
		d, records = testkit.NewDatabase(), filepath.Join(GinkgoT().TempDir(), "erasures.log")
		shop = testkit.Start(d, app.Options{Erasures: records}, func(k app.Kit) []app.Module { return append(acquainted(modules(k, nil)), guests{}) })
		id = clock.NewID().String()
		me = shop.With("member:" + shop.Tenant.String() + ":" + id)
	})
	type object = map[string]any
	done := func(r testkit.Response) object {
		GinkgoHelper()
		Expect(r.Status).To(BeNumerically("<", 300), "%s", r.Raw)
		if len(r.Raw) == 0 {
			return nil
		}
		return r.JSON()
	}
	keyed := func() testkit.Header { return testkit.Header{Name: "Idempotency-Key", Value: uuid.NewString()} }
	address := object{"name": canary + "1", "line1": canary + "2", "line2": canary + "3", "city": canary + "4", "region": canary + "5", "country": "HK", "phone": canary + "6"}
	email := canary + "7@example.com"
	// signUp is what registration leaves; with a proof, the address has been shown to be theirs.
	signUp := func(proven bool) {
		GinkgoHelper()
		super := testkit.SQL(d.Super)
		for _, statement := range []string{
			`insert into identity.customer (tenant_id, id, registered, email, email_key, name, phone, created_at, updated_at) values ($1, $2, true, '` + email + `', '` + email + `', '` + canary + `8', '` + canary + `9', now(), now())`,
			`insert into identity.account (tenant_id, id, kind, email, email_key, name, customer_id, status, created_at, updated_at) values ($1, $2, 'customer', '` + email + `', '` + email + `', '` + canary + `8', $2, 'active', now(), now())`,
			`insert into identity.session (tenant_id, id, account_id, epoch, ip, user_agent, amr, created_at, last_seen_at, expires_at) values ($1, $2, $2, 1, '` + canary + `10', '` + canary + `11', '{pwd}', now(), now(), now() + interval '1 hour')`,
			`insert into identity.refresh_token (tenant_id, hash, session_id, expires_at) select $1, 'x', $2, now()`,
			`insert into identity.device (tenant_id, hash, account_id, last_seen_at) values ($1, '` + canary + `', $2, now())`,
			`insert into identity.one_time_token (tenant_id, hash, purpose, account_id, bound, email, expires_at) values ($1, 'x', 'change', $2, 'x', '` + canary + `@example.com', now())`,
			`insert into identity.totp (tenant_id, account_id, secret, created_at) values ($1, $2, '` + canary + `', now())`,
			`insert into identity.recovery_code (tenant_id, account_id, hash) values ($1, $2, '` + canary + `')`,
			`insert into identity.oidc_link (tenant_id, issuer, subject, account_id, created_at) values ($1, 'https://id.example', '` + canary + `15', $2, now())`,
		} {
			_, err := super.Exec(statement, shop.Tenant, id)
			Expect(err).NotTo(HaveOccurred(), statement)
		}
		if proven {
			_, err := super.Exec(`update identity.account set email_verified_at = now()`)
			Expect(err).NotTo(HaveOccurred())
		}
	}
	// tables in which the canary stands, in letters or as bytes.
	found := func() (tables []string) {
		GinkgoHelper()
		super := testkit.SQL(d.Super)
		rows, err := super.Query(`select format('%I.%I', n.nspname, c.relname) from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`)
		Expect(err).NotTo(HaveOccurred())
		defer rows.Close()
		var all []string
		for rows.Next() {
			var name string
			Expect(rows.Scan(&name)).To(Succeed())
			all = append(all, name)
		}
		Expect(len(all)).To(BeNumerically(">", 30))
		for _, name := range all {
			var n int
			Expect(super.QueryRow(`select count(*) from `+name+` t where t::text like $1 or t::text like $2`, "%"+canary+"%", "%"+hex.EncodeToString([]byte(canary))+"%").Scan(&n)).To(Succeed())
			if n > 0 {
				tables = append(tables, name)
			}
		}
		return tables
	}
	// live a while: orders as a customer and as a guest, one of them cancelled, notes, addresses, a campaign.
	live := func() {
		GinkgoHelper()
		product := done(shop.Post("/v1/products", object{"sku": "MUG", "name": "Mug", "price": "12.50", "currency": "EUR", "inventory": 100}))
		campaign := done(shop.Post("/v1/campaigns", object{
			"productId": product["id"], "minParticipants": 2, "maxParticipants": 5, "price": "9.00", "originalPrice": "12.50",
			"startTime": time.Now().Add(-time.Minute).UTC(), "endTime": time.Now().Add(time.Hour).UTC(),
		}))
		order := object{"items": []object{{"sku": "MUG", "quantity": 2}}, "email": email, "shippingAddress": address, "metadata": object{"wish": canary + "12"}}
		first := done(me.Post("/v1/orders", order, keyed()))
		done(me.Post("/v1/orders/"+first["id"].(string)+"/cancel", object{"reason": canary + "13"}, keyed()))
		done(me.Post("/v1/orders", order, keyed()))
		order["customerId"] = "guest-1"
		done(shop.Post("/v1/orders", order, keyed()))
		done(me.Post("/v1/campaigns/"+campaign["id"].(string)+"/join", object{"quantity": 1}, keyed()))
		done(me.Post("/v1/me/addresses", address, keyed()))
		done(shop.Post("/v1/customers/"+id+"/notes", object{"text": canary + "14"}, keyed()))
		done(shop.Call(http.MethodPatch, "/v1/customers/"+id, object{"groups": []string{"friends"}}))
		Eventually(func() []any { return shop.Get("/v1/orders?status=confirmed").JSON()["data"].([]any) }).Should(HaveLen(2))
	}
	// books are what an erasure must not change.
	books := func() (counts []string) {
		GinkgoHelper()
		for _, query := range []string{
			`select count(*) || ' ' || sum(total_minor) || ' ' || string_agg(status, ',' order by number) from orders.orders`,
			`select count(*) || ' ' || sum(quantity) || ' ' || sum(total_minor) from orders.line`, `select count(*) from orders.timeline`,
			`select string_agg(actual_participants || ' ' || status, ',') from groupbuy.campaign`, `select count(*) from groupbuy.participant`,
			`select string_agg(s::text, ',') from inventory.stock s`,
		} {
			var text string
			Expect(testkit.SQL(d.Super).QueryRow(query).Scan(&text)).To(Succeed(), query)
			counts = append(counts, text)
		}
		return counts
	}

	It("can be read in one call, and erased from every table, fact and log line, while the books stay as they are", func() {
		signUp(true)
		live()
		Expect(len(found())).To(BeNumerically(">=", 8))

		export := me.Get("/v1/customers/" + id + "/export")
		Expect(export.Status).To(Equal(200), "%s", export.Raw)
		for n := 1; n <= 15; n++ {
			Expect(string(export.Raw)).To(MatchRegexp(`%s%d\b`, canary, n))
		}
		Expect(export.JSON()["others"]).To(And(HaveKeyWithValue("orders", HaveLen(2)), HaveKeyWithValue("groupbuy", HaveLen(1))))
		Expect(export.JSON()["providers"]).To(HaveExactElements(And(HaveKeyWithValue("issuer", "https://id.example"), HaveKeyWithValue("subject", canary+"15"))))
		Expect(export.JSON()["log"]).NotTo(BeEmpty())

		Expect(shop.Call(http.MethodDelete, "/v1/customers/"+id, nil, testkit.Header{Name: "If-Match", Value: `"1"`}).Status).To(Equal(412), "it is not whom somebody has seen")

		before := books()
		done(shop.Call(http.MethodDelete, "/v1/customers/"+id, nil, keyed()))
		Eventually(found).Should(BeEmpty())
		Expect(books()).To(Equal(before))
		Expect(string(log.Contents())).NotTo(ContainSubstring(canary))
		Expect(shop.Get("/v1/orders?customerId=" + id).JSON()["data"]).To(HaveLen(3), "the guest's is among them")
		Expect(shop.Get("/v1/customers/" + id).Status).To(Equal(404))
		Expect(shop.Call(http.MethodDelete, "/v1/customers/"+id, nil).Status).To(Equal(404))
		Expect(erasure.Read(records)).To(ConsistOf(And(HaveField("Tenant", shop.Tenant), HaveField("Subject", id))))
		info, err := os.Stat(records)
		Expect(err).NotTo(HaveOccurred())
		Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
	})
	It("is that of one person: answers to others are still repeated", func() {
		guest := done(shop.Post("/v1/customers", object{"email": email}))["id"].(string)
		once, note := keyed(), object{"email": "bo@example.com"}
		kept := shop.Post("/v1/customers", note, once)
		Expect(kept.Status).To(Equal(201), "%s", kept.Raw)
		done(shop.Call(http.MethodDelete, "/v1/customers/"+guest, nil))
		again := shop.Post("/v1/customers", note, once)
		Expect(again.Header.Get("Idempotency-Replayed")).To(Equal("true"), "%s", again.Raw)
		Expect(again.Raw).To(Equal(kept.Raw))
	})
	It("is exported to themselves and to who may see people, and to nobody else", func() {
		signUp(true)
		other := shop.With("member:" + shop.Tenant.String() + ":" + uuid.NewString())
		Expect(other.Get("/v1/customers/" + id + "/export").Status).To(Equal(404))
		Expect(shop.With(testkit.Key(shop.App.DB(), shop.Tenant, "customers:read")).Get("/v1/customers/" + id + "/export").Status).To(Equal(403))
		Expect(shop.Get("/v1/customers/" + id + "/export").Status).To(Equal(200))
		Expect(me.Call(http.MethodDelete, "/v1/customers/"+id, nil).Status).To(Equal(403))
	})
	It("does not reach orders under an address that nobody has proven", func() {
		signUp(false)
		live()
		Expect(me.Post("/v1/me/orders/claim", nil).Code()).To(Equal("email_not_verified"))
		done(shop.Call(http.MethodDelete, "/v1/customers/"+id, nil))
		Eventually(found).Should(ConsistOf("orders.orders"))
		Expect(shop.Get("/v1/orders?customerId=guest-1").JSON()["data"]).To(HaveExactElements(HaveKeyWithValue("email", email)))
	})
	It("includes what they ordered as guests, once they have proven the address and claim it", func() {
		signUp(true)
		live()
		Expect(me.Get("/v1/me/orders").JSON()["data"]).To(HaveLen(2))
		Expect(done(me.Post("/v1/me/orders/claim", nil))).To(HaveKeyWithValue("claimed", BeEquivalentTo(1)))
		Expect(done(me.Post("/v1/me/orders/claim", nil))).To(HaveKeyWithValue("claimed", BeEquivalentTo(0)))
		Expect(me.Get("/v1/me/orders").JSON()["data"]).To(HaveLen(3))
		Expect(shop.Get("/v1/events?topic=order.claimed").JSON()["data"]).To(HaveExactElements(HaveKeyWithValue("data", HaveKeyWithValue("customerId", id))))
		Expect(shop.Post("/v1/me/orders/claim", nil).Status).To(Equal(404), "a key is nobody")
	})
	It("is masked in orders for who may read orders and not people", func() {
		signUp(true)
		live()
		clerk := shop.With(testkit.Key(shop.App.DB(), shop.Tenant, "orders:read", "orders:write"))
		for _, path := range []string{"/v1/orders", "/v1/orders/" + shop.Get("/v1/orders?customerId=guest-1").JSON()["data"].([]any)[0].(object)["id"].(string)} {
			r := clerk.Get(path)
			Expect(r.Status).To(Equal(200))
			Expect(string(r.Raw)).To(And(ContainSubstring("z***@e***.com"), Not(MatchRegexp(canary+`([1236]|7@)\b`))))
			Expect(string(shop.Get(path).Raw)).To(ContainSubstring(email))
		}
		Expect(string(me.Get("/v1/me/orders").Raw)).To(ContainSubstring(email))
	})
})
