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
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/db"
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
		shop = testkit.Start(d, app.Options{Erasures: records}, func(k app.Kit) []app.Module { return append(acquainted(modules(k, nil, config.Config{})), guests{}) })
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
	// offers are the letters about orders that can be claimed.
	offers := func(to string) (list []testkit.Letter) {
		GinkgoHelper()
		for _, l := range testkit.Letters(to) {
			if strings.Contains(l.Text, "/claim-orders#") {
				list = append(list, l)
			}
		}
		return list
	}
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
		done(me.Post("/v1/carts", object{"items": []object{{"sku": "MUG"}}, "email": email, "shippingAddress": address, "billingAddress": address, "metadata": object{"wish": canary + "12"}}))
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
		Expect(export.JSON()["others"]).To(And(HaveKeyWithValue("orders", HaveLen(2)), HaveKeyWithValue("groupbuy", HaveLen(1)), HaveKeyWithValue("checkout", HaveLen(1))))
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
	It("is not kept of them again, whatever their token asks for while it is still let in", func() {
		signUp(true)
		live()
		open := done(me.Post("/v1/orders", object{"items": []object{{"sku": "MUG", "quantity": 1}}}))["id"].(string)
		done(shop.Call(http.MethodDelete, "/v1/customers/"+id, nil))
		Eventually(found).Should(BeEmpty())
		order := object{"items": []object{{"sku": "MUG", "quantity": 2}}, "email": email, "shippingAddress": address, "metadata": object{"wish": canary + "12"}}
		Expect(me.Post("/v1/orders", order, keyed()).Code()).To(Equal("customer_erased"))
		order["customerId"] = id
		Expect(shop.Post("/v1/orders", order, keyed()).Code()).To(Equal("customer_erased"), "whoever orders for them")
		Expect(me.Post("/v1/orders/"+open+"/cancel", object{"reason": canary + "13"}, keyed()).Code()).To(Equal("customer_erased"))
		Expect(me.Post("/v1/me/addresses", address, keyed()).Status).To(Equal(404))
		Expect(me.Call(http.MethodPatch, "/v1/me", object{"name": canary}).Status).To(Equal(404))
		Expect(found()).To(BeEmpty())
	})
	It("takes the answers that are kept of them along, and nobody else's", func() {
		signUp(true)
		done(shop.Post("/v1/products", object{"sku": "MUG", "name": "Mug", "price": "12.50", "currency": "EUR", "inventory": 100}))
		ask := func(address, key string) testkit.Response {
			GinkgoHelper()
			return shop.Post("/v1/orders", object{"customerId": "guest-9", "email": address, "items": []object{{"sku": "MUG", "quantity": 1}}}, testkit.Header{Name: "Idempotency-Key", Value: key})
		}
		others := []string{"x" + email, email + ".pt"}
		for _, address := range append(others, strings.ToUpper(email)) {
			done(ask(address, address))
		}
		done(shop.Call(http.MethodDelete, "/v1/customers/"+id, nil))
		for _, address := range others {
			Expect(ask(address, address).Header.Get("Idempotency-Replayed")).To(Equal("true"), "it would be done twice: "+address)
		}
		Expect(ask(strings.ToUpper(email), strings.ToUpper(email)).Header).NotTo(HaveKey("Idempotency-Replayed"))
	})
	It("is erased too where it was being written at that moment, with the answer that was kept", func() {
		signUp(true)
		live()
		ctx := identity.With(context.Background(), identity.Identity{Tenant: shop.Tenant, Actor: identity.Anonymous})
		waiting := func() (n int) {
			GinkgoHelper()
			Expect(testkit.SQL(d.Super).QueryRow(`select count(*) from pg_locks where locktype = 'advisory' and not granted and database = (select oid from pg_database where datname = current_database())`).Scan(&n)).To(Succeed())
			return n
		}
		// The program's own role may neither idle in a transaction nor wait as long as a slow machine.
		Expect(testkit.Open(d.Super).InTx(ctx, func(tx *db.Tx) error {
			if err := erasure.Allow(ctx, tx, id); err != nil {
				return err
			}
			done(shop.Call(http.MethodDelete, "/v1/customers/"+id, nil))
			Eventually(waiting, testkit.Patience, "10ms").Should(BeNumerically(">=", 1), "the orders wait before they forget")
			if _, err := tx.Exec(ctx, `insert into orders.orders (id, number, customer_id, status, currency, total_minor, email, metadata, created_at, updated_at)
				values ($1, 999999, $2, 'created', 'EUR', 0, $3, '{}', now(), now())`, uuid.New(), id, email); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `insert into platform.idempotency (scope, key, body_hash, status, headers, body) values ('user:x POST /v1/orders', 'late', '', 201, '{}', $1)`,
				[]byte(`{"customerId":"`+id+`","email":"`+email+`"}`))
			return err
		})).To(Succeed())
		Eventually(found, testkit.Patience).Should(BeEmpty())
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
		before := len(offers(email))
		Expect(done(me.Post("/v1/me/orders/claim", nil))).To(HaveKeyWithValue("status", "accepted"))
		Expect(me.Get("/v1/me/orders").JSON()["data"]).To(HaveLen(2))
		Eventually(func() []testkit.Letter { return offers(email) }).Should(HaveLen(before + 1))
		letter := offers(email)[before]
		Expect(letter.Text).To(ContainSubstring("1 order was placed"))
		confirm := object{"token": letter.Token()}
		Expect(done(me.Post("/v1/me/orders/claim/confirm", confirm))).To(HaveKeyWithValue("claimed", BeEquivalentTo(1)))
		Expect(me.Post("/v1/me/orders/claim/confirm", confirm).Code()).To(Equal("invalid_token"))
		Expect(me.Get("/v1/me/orders").JSON()["data"]).To(HaveLen(3))
		Expect(shop.Get("/v1/events?topic=order.claimed").JSON()["data"]).To(HaveExactElements(HaveKeyWithValue("data", HaveKeyWithValue("customerId", id))))
		Expect(shop.Post("/v1/me/orders/claim", nil).Status).To(Equal(404), "a key is nobody")
	})
	Describe("who has proven an address that somebody else signed up with", func() {
		const password, next = "correct horse battery", "another good secret"
		var owner string // who reads the mail
		signIn := func(email, password string) *testkit.Shop {
			GinkgoHelper()
			return shop.With(done(shop.Post("/v1/auth/login", object{"email": email, "password": password}))["accessToken"].(string))
		}
		// account of somebody who signs up, and whose address is proven by who reads its mail.
		account := func(email string) *testkit.Shop {
			GinkgoHelper()
			done(shop.Post("/v1/auth/register", object{"email": email, "password": password}))
			var letters []testkit.Letter
			Eventually(func() []testkit.Letter { letters = testkit.Letters(email); return letters }).ShouldNot(BeEmpty())
			done(shop.Post("/v1/auth/email/verify", object{"token": letters[0].Token()}))
			return signIn(email, password)
		}
		// ask for what guests ordered, and the token that the letter brings.
		ask := func(as *testkit.Shop, email string) string {
			GinkgoHelper()
			before := len(offers(email))
			done(as.Post("/v1/me/orders/claim", nil))
			Eventually(func() []testkit.Letter { return offers(email) }).Should(HaveLen(before + 1))
			return offers(email)[before].Token()
		}
		confirm := func(as *testkit.Shop, token string) testkit.Response {
			GinkgoHelper()
			return as.Post("/v1/me/orders/claim/confirm", object{"token": token})
		}
		BeforeEach(func() {
			owner = "owner." + uuid.NewString() + "@example.com"
			done(shop.Post("/v1/products", object{"sku": "MUG", "name": "Mug", "price": "12.50", "currency": "EUR", "inventory": 100}))
			done(shop.Post("/v1/orders", object{"customerId": "guest-2", "email": owner, "items": []object{{"sku": "MUG", "quantity": 2}}}))
		})

		It("keeps what they ordered as a guest from who knows the password and does not read the mail", func() {
			squatter := account(owner)
			token := ask(squatter, owner)
			Expect(squatter.Get("/v1/me/orders").JSON()["data"]).To(BeEmpty())
			Expect(confirm(account("other."+uuid.NewString()+"@example.com"), token).Code()).To(Equal("invalid_token"), "another account's")
			verification := testkit.Letters(owner)[0].Token()
			Expect(confirm(squatter, verification).Code()).To(Equal("invalid_token"), "of another kind")
			Expect(confirm(shop, token).Status).To(Equal(404), "a key is nobody")
			Expect(squatter.Get("/v1/me/orders").JSON()["data"]).To(BeEmpty())

			done(squatter.Post("/v1/auth/password/change", object{"currentPassword": password, "password": next}))
			Expect(confirm(squatter, token).Code()).To(Equal("invalid_token"), "it was for the password of before")
			token = ask(squatter, owner)
			done(squatter.Post("/v1/auth/logout-all", nil))
			Expect(confirm(signIn(owner, next), token).Code()).To(Equal("invalid_token"), "its owner has ended everything")

			me := signIn(owner, next)
			token = ask(me, owner)
			Expect(done(confirm(me, token))).To(HaveKeyWithValue("claimed", BeEquivalentTo(1)))
			Expect(me.Get("/v1/me/orders").JSON()["data"]).To(HaveLen(1))
		})

		DescribeTable("loses the offer when the account", func(statement string) {
			squatter := account(owner)
			token := ask(squatter, owner)
			_, err := testkit.SQL(d.Super).Exec(statement, owner)
			Expect(err).NotTo(HaveOccurred())
			Expect(confirm(signIn(owner, password), token).Code()).To(Equal("invalid_token"))
		},
			Entry("is given a new epoch", `update identity.account set epoch = epoch + 1 where email = $1`),
			Entry("has no proof of its address any more", `update identity.account set email_verified_at = null where email = $1`),
		)

		It("does not learn by asking whether there is anything", func() {
			with, without := account(owner), account("other."+uuid.NewString()+"@example.com")
			one, other := with.Post("/v1/me/orders/claim", nil), without.Post("/v1/me/orders/claim", nil)
			Expect(one.Status).To(Equal(202))
			Expect(one.Status).To(Equal(other.Status))
			Expect(one.Raw).To(Equal(other.Raw))
		})
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
