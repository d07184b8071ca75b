package tenant_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/eventschema"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/tenantapi"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// shop is a program without modules; the caller is the operator.
func shop(d testkit.Database, o app.Options) *testkit.Shop {
	GinkgoHelper()
	known, err := eventschema.Load(eventschema.Module{Name: "platform", Schemas: tenantapi.Schemas})
	Expect(err).NotTo(HaveOccurred())
	o.CheckEvent, o.DeleteGrace = known.Check, 30*24*time.Hour
	s := testkit.Start(d, o, func(app.Kit) []app.Module { return nil })
	return s.With(testkit.Key(s.App.DB(), identity.DefaultTenant))
}

type object = map[string]any

// created makes a tenant with a slug and a host of its own.
func created(s *testkit.Shop, more object) (id, key, host string) {
	GinkgoHelper()
	slug := "t" + uuid.NewString()[24:]
	host = slug + ".example.com"
	body := object{"slug": slug, "name": "Second shop", "hosts": []string{host}}
	maps.Copy(body, more)
	r := s.Post("/v1/tenants", body)
	Expect(r.Status).To(Equal(http.StatusCreated), "%s", r.Raw)
	made := r.JSON()
	Expect(r.Header.Get("Location")).To(Equal("/v1/tenants/" + text(made["id"])))
	return text(made["id"]), text(made["ownerKey"]), host
}

func text(v any) string { return fmt.Sprint(v) }

// at asks without a credential under a host.
func at(s *testkit.Shop, path, host string) testkit.Response {
	GinkgoHelper()
	r, err := http.NewRequest(http.MethodGet, s.URL+path, nil)
	Expect(err).NotTo(HaveOccurred())
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	Expect(err).NotTo(HaveOccurred())
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	Expect(err).NotTo(HaveOccurred())
	return testkit.Response{Status: resp.StatusCode, Header: resp.Header, Raw: raw}
}

func facts(s *testkit.Shop, id string) (types []string) {
	GinkgoHelper()
	after := ""
	for {
		page := s.Get("/v1/events?limit=100" + after).JSON()
		list, _ := page["data"].([]any)
		for _, f := range list {
			if fact, ok := f.(object); ok && fact["subject"] == id {
				types = append(types, text(fact["type"]))
			}
		}
		if page["nextCursor"] == nil {
			return types
		}
		after = "&cursor=" + text(page["nextCursor"])
	}
}

var _ = Describe("a tenant", Ordered, ContinueOnFailure, func() {
	var (
		d testkit.Database
		s *testkit.Shop
	)
	BeforeAll(func() {
		d = testkit.NewDatabase()
		s = shop(d, app.Options{})
	})

	It("is a shop of its own at once, for the owner whose key is shown once", func() {
		id, key, _ := created(s, nil)
		own := s.With(key).Get("/v1/settings")
		Expect(own.JSON()).To(And(HaveKeyWithValue("name", "Second shop"), HaveKeyWithValue("currencies", ConsistOf("USD", "EUR", "GBP", "JPY"))))
		Expect(s.Get("/v1/tenants/" + id).JSON()).NotTo(HaveKey("ownerKey"))
		Expect(facts(s, id)).To(Equal([]string{"tenant.created"}))
		Expect(facts(s.With(key), id)).To(BeEmpty())
	})

	It("is made once, however often the same request comes, and its key is not kept", func() {
		slug := "t" + uuid.NewString()[24:]
		body, once := object{"slug": slug, "name": "Once"}, testkit.Header{Name: "Idempotency-Key", Value: uuid.NewString()}
		first := s.Post("/v1/tenants", body, once)
		Expect(first.Status).To(Equal(http.StatusCreated))
		key := text(first.JSON()["ownerKey"])
		Expect(s.Post("/v1/tenants", body, once).Code()).To(Equal("shown_once"))
		Expect(s.Post("/v1/tenants", body).Code()).To(Equal("slug_taken"))
		dump := everything(testkit.SQL(d.Super), uuid.Nil)
		Expect(dump).To(ContainSubstring(slug))
		Expect(dump).NotTo(ContainSubstring(key))
	})

	DescribeTable("is refused with every field that is wrong", func(body object, pointers ...string) {
		r := s.Post("/v1/tenants", body)
		Expect(r.Status).To(Equal(http.StatusUnprocessableEntity), "%s", r.Raw)
		var problem struct{ Errors []struct{ Pointer string } }
		Expect(json.Unmarshal(r.Raw, &problem)).To(Succeed())
		var named []string
		for _, e := range problem.Errors {
			named = append(named, e.Pointer)
		}
		Expect(named).To(ConsistOf(pointers))
	},
		Entry("nothing", object{}, "/slug", "/name"),
		Entry("capitals", object{"slug": "Shop", "name": "x"}, "/slug"),
		Entry("a reserved slug", object{"slug": "admin", "name": "x"}, "/slug"),
		Entry("a slug that looks like IDNA", object{"slug": "xn--bcher", "name": "x"}, "/slug"),
		Entry("a blank name", object{"slug": "ok", "name": " "}, "/name"),
		Entry("hosts that are none", object{"slug": "ok", "name": "x", "hosts": []string{"a.example:80", "10.0.0.1", "localhost", "a b.example", "-a.example", "good.example", "[::1]", "*.example.com", "https://a.example"}},
			"/hosts/0", "/hosts/1", "/hosts/2", "/hosts/3", "/hosts/4", "/hosts/6", "/hosts/7", "/hosts/8"),
		Entry("settings", object{"slug": "ok", "name": "x", "settings": object{"logoUrl": "javascript:alert(1)", "storefrontUrl": "https://ana:sesame@shop.example", "colours": object{"primary": "red"}, "currencies": []string{"EUR", "CHF", "EUR"}, "defaultCurrency": "USD", "senderName": "a\nb", "replyTo": "Ana <ana@example.com>"}},
			"/settings/logoUrl", "/settings/storefrontUrl", "/settings/colours/primary", "/settings/currencies/1", "/settings/currencies/2", "/settings/defaultCurrency", "/settings/senderName", "/settings/replyTo"),
		Entry("quotas", object{"slug": "ok", "name": "x", "quotas": object{"products": -1, "requestsPerMinute": 0}}, "/quotas/products", "/quotas/requestsPerMinute"),
	)

	It("answers under its hosts, whatever the port and the case, until they are taken from it", func() {
		id, _, host := created(s, nil)
		Expect(at(s, "/v1/events", host).Status).To(Equal(http.StatusUnauthorized))
		Expect(s.Post("/v1/tenants/"+id+"/suspend", object{"reason": "to see whose name it is"}).Status).To(Equal(http.StatusOK))
		for _, name := range []string{host, host + ":8080", strings.ToUpper(host), host + "."} {
			Eventually(func() string { return at(s, "/v1/events", name).Code() }).Should(Equal("tenant_suspended"), name)
		}
		Expect(at(s, "/v1/events", "x"+host).Code()).To(Equal("unauthenticated"))
		Expect(s.Call(http.MethodPatch, "/v1/tenants/"+id, object{"hosts": []string{}}).Status).To(Equal(http.StatusOK))
		Eventually(func() string { return at(s, "/v1/events", host).Code() }).Should(Equal("unauthenticated"))
	})

	It("has its names alone, also those that are written in another script", func() {
		_, _, host := created(s, nil)
		Expect(s.Post("/v1/tenants", object{"slug": "t" + uuid.NewString()[24:], "name": "x", "hosts": []string{strings.ToUpper(host)}}).Code()).To(Equal("host_taken"))
		id, _, _ := created(s, object{"hosts": []string{"bücher.example"}})
		Expect(s.Get("/v1/tenants/" + id).JSON()).To(HaveKeyWithValue("hosts", ConsistOf("xn--bcher-kva.example")))
	})

	It("is closed within two seconds for whoever shows its credential or asks for its host, on every replica, and is open again afterwards", func() {
		other := shop(d, app.Options{})
		id, key, host := created(s, nil)
		replicas := []*testkit.Shop{s, other}
		for _, r := range replicas {
			Expect(r.With(key).Get("/v1/settings").Status).To(Equal(http.StatusOK))
			Expect(at(r, "/v1/settings", host).Code()).To(Equal("unauthenticated"))
		}
		suspended := s.Post("/v1/tenants/"+id+"/suspend", object{"reason": "unpaid"})
		Expect(suspended.JSON()).To(And(HaveKeyWithValue("status", "suspended"), HaveKeyWithValue("reason", "unpaid")))
		for _, r := range replicas {
			Eventually(func() string { return r.With(key).Get("/v1/settings").Code() }).Should(Equal("tenant_suspended"))
			Eventually(func() string { return at(r, "/v1/settings", host).Code() }).Should(Equal("tenant_suspended"))
			Expect(r.With(key).Get("/health").Status).To(Equal(http.StatusOK))
			Expect(at(r, "/readyz", host).Status).To(Equal(http.StatusOK))
			Expect(at(r, "/.well-known/jwks.json", host).Status).To(Equal(http.StatusOK), "tokens of all shops are checked with it")
			Expect(r.Get("/v1/tenants/" + id).Status).To(Equal(http.StatusOK))
		}
		Expect(s.Post("/v1/tenants/"+id+"/suspend", object{"reason": "again"}).Code()).To(Equal("tenant_status"))
		Expect(s.Post("/v1/tenants/"+id+"/resume", nil).JSON()).To(And(HaveKeyWithValue("status", "active"), Not(HaveKey("reason"))))
		for _, r := range replicas {
			Eventually(func() int { return r.With(key).Get("/v1/settings").Status }).Should(Equal(http.StatusOK))
		}
		Expect(facts(s, id)).To(Equal([]string{"tenant.created", "tenant.suspended", "tenant.resumed"}))
	})

	It("is for other deployments of the installation open also while it is closed to people", func() {
		id, _, _ := created(s, nil)
		Expect(s.Post("/v1/tenants/"+id+"/suspend", object{"reason": "unpaid"}).Status).To(Equal(http.StatusOK))
		directory := tenant.NewDirectory(s.App.DB(), time.Now, false, "")
		_, err := directory.Admit(GinkgoT().Context(), identity.Service(uuid.MustParse(id)))
		Expect(err).NotTo(HaveOccurred())
		_, err = directory.Admit(GinkgoT().Context(), identity.Identity{Tenant: uuid.MustParse(id), Actor: "key:spec"})
		Expect(err).To(MatchError(tenant.ErrSuspended))
		_, err = directory.Admit(GinkgoT().Context(), identity.Identity{Tenant: uuid.New(), Actor: "key:spec"})
		Expect(err).To(HaveOccurred())
	})

	It("cannot be the operator's when it is closed or deleted", func() {
		self := "/v1/tenants/" + identity.DefaultTenant.String()
		Expect(s.Post(self+"/suspend", object{"reason": "x"}).Code()).To(Equal("operator_tenant"))
		Expect(s.Call(http.MethodDelete, self, nil).Code()).To(Equal("operator_tenant"))
		Expect(s.Get("/v1/settings").Status).To(Equal(http.StatusOK))
	})

	It("is nothing that another tenant's owner would know of", func() {
		id, _, _ := created(s, nil)
		_, key, _ := created(s, nil)
		owner := s.With(key)
		unknown := "/v1/tenants/" + uuid.NewString()
		for _, call := range []struct {
			method, path string
			body         any
		}{
			{http.MethodGet, "", nil},
			{http.MethodPatch, "", object{"name": "mine"}},
			{http.MethodDelete, "", nil},
			{http.MethodPost, "/suspend", object{"reason": "x"}},
			{http.MethodPost, "/resume", nil},
			{http.MethodGet, "/export", nil},
		} {
			same := testkit.Header{Name: "X-Request-Id", Value: "same"}
			foreign, none := owner.Call(call.method, "/v1/tenants/"+id+call.path, call.body, same), owner.Call(call.method, unknown+call.path, call.body, same)
			Expect(foreign.Code()).To(Equal("not_found"), "%s %s", call.method, call.path)
			Expect(strings.ReplaceAll(string(foreign.Raw), "/v1/tenants/"+id, unknown)).To(Equal(string(none.Raw)))
		}
		Expect(owner.Get("/v1/tenants").Code()).To(Equal("not_found"))
		Expect(owner.Post("/v1/tenants", object{"slug": "mine", "name": "Mine"}).Code()).To(Equal("not_found"))
		Expect(s.With(testkit.Key(s.App.DB(), identity.DefaultTenant, "settings:read")).Get("/v1/tenants").Code()).To(Equal("forbidden"))
	})

	It("decides for itself how its shop looks and in what it sells, from a version that it knows", func() {
		id, key, _ := created(s, nil)
		owner := s.With(key)
		before := owner.Get("/v1/settings")
		changed := owner.Call(http.MethodPatch, "/v1/settings", object{"name": "Harbour", "currencies": []string{"EUR", "USD"}, "defaultCurrency": "USD", "secondFactorForStaff": true, "colours": object{"primary": "#114b5f"}},
			testkit.Header{Name: "If-Match", Value: before.Header.Get("ETag")})
		Expect(changed.JSON()).To(And(HaveKeyWithValue("name", "Harbour"), HaveKeyWithValue("currencies", HaveExactElements("USD", "EUR")), HaveKeyWithValue("defaultCurrency", "USD"), HaveKeyWithValue("secondFactorForStaff", true)))
		Expect(owner.Call(http.MethodPatch, "/v1/settings", object{"name": "Late"}, testkit.Header{Name: "If-Match", Value: before.Header.Get("ETag")}).Status).To(Equal(http.StatusPreconditionFailed))
		Expect(owner.Call(http.MethodPatch, "/v1/settings", object{"defaultCurrency": "GBP"}).Status).To(Equal(http.StatusUnprocessableEntity))
		Expect(s.Get("/v1/tenants/" + id).JSON()).To(And(HaveKeyWithValue("name", "Harbour"), HaveKeyWithValue("settings", HaveKeyWithValue("defaultCurrency", "USD"))))
		Expect(facts(owner, id)).To(Equal([]string{"tenant.updated"}))
		Expect(owner.With(testkit.Key(s.App.DB(), uuid.MustParse(id), "settings:read")).Call(http.MethodPatch, "/v1/settings", object{"name": "x"}).Code()).To(Equal("forbidden"))
	})

	It("is listed with the others by its slug, page by page", func() {
		for range 3 {
			created(s, nil)
		}
		var slugs []string
		for cursor := ""; ; {
			page := s.Get("/v1/tenants?limit=2" + cursor).JSON()
			list, _ := page["data"].([]any)
			Expect(len(list)).To(BeNumerically("<=", 2))
			for _, t := range list {
				one, _ := t.(object)
				slugs = append(slugs, text(one["slug"]))
			}
			if page["nextCursor"] == nil {
				break
			}
			cursor = "&cursor=" + text(page["nextCursor"])
		}
		var all []string
		rows, err := testkit.SQL(d.Super).Query(`select slug from platform.tenant order by slug`)
		Expect(err).NotTo(HaveOccurred())
		defer rows.Close()
		for rows.Next() {
			var slug string
			Expect(rows.Scan(&slug)).To(Succeed())
			all = append(all, slug)
		}
		Expect(rows.Err()).NotTo(HaveOccurred())
		Expect(slugs).To(Equal(all))
	})

	It("leaves with all that is kept of it and nothing else, and no secret", func() {
		id, key, _ := created(s, object{"name": "Canary of ours"})
		_, foreign, _ := created(s, object{"name": "Canary of theirs"})
		Expect(s.With(key).Call(http.MethodPatch, "/v1/settings", object{"senderName": "Canary sender"}).Status).To(Equal(http.StatusOK))
		r := s.Get("/v1/tenants/" + id + "/export")
		Expect(r.Status).To(Equal(http.StatusOK))
		Expect(r.Header.Get("Content-Type")).To(Equal("application/gzip"))
		Expect(r.Header.Get("Content-Disposition")).To(ContainSubstring(".tar.gz"))
		files := unpacked(r.Raw)
		Expect(files).To(HaveKey("manifest.json"))
		var manifest struct{ Rows map[string]int }
		Expect(json.Unmarshal([]byte(files["manifest.json"]), &manifest)).To(Succeed())
		lines := map[string]int{}
		for name, body := range files {
			if name == "manifest.json" {
				continue
			}
			for line := range strings.Lines(body) {
				var row object
				Expect(json.Unmarshal([]byte(line), &row)).To(Succeed(), name)
				Expect(row).To(HaveKeyWithValue("tenant_id", id), name)
				lines[path.Dir(name)]++
			}
		}
		for table, n := range manifest.Rows {
			Expect(lines[table]).To(Equal(n), table)
		}
		Expect(manifest.Rows).To(And(HaveKeyWithValue("platform.tenant", 1), HaveKeyWithValue("platform.api_key", 1), HaveKeyWithValue("platform.event", BeNumerically(">=", 1)), Not(HaveKey("platform.idempotency"))))
		all := fmt.Sprint(files)
		Expect(all).To(And(ContainSubstring("Canary of ours"), ContainSubstring("Canary sender")))
		Expect(all).NotTo(Or(ContainSubstring("Canary of theirs"), ContainSubstring(key), ContainSubstring(foreign), ContainSubstring(`"hash"`)))
	})

	It("loses nothing of two changes at the same moment", func() {
		patient := shop(d.Patient(), app.Options{})
		id, _, _ := created(patient, nil)
		super := testkit.SQL(d.Super)
		tx, err := super.Begin()
		Expect(err).NotTo(HaveOccurred())
		defer func() { _ = tx.Rollback() }() // when an expectation fails
		_, err = tx.Exec(`select from platform.tenant where tenant_id = $1 for update`, id)
		Expect(err).NotTo(HaveOccurred())
		answers := make(chan int, 2)
		for _, change := range []object{{"name": "Renamed"}, {"quotas": object{"products": 5}}} {
			go func() {
				defer GinkgoRecover()
				answers <- patient.Call(http.MethodPatch, "/v1/tenants/"+id, change).Status
			}()
		}
		Eventually(func() (waiting int, err error) {
			return waiting, super.QueryRow(`select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
		}).Should(BeNumerically(">=", 2)) // others of the program wait for each other, too
		Expect(tx.Commit()).To(Succeed())
		for range 2 {
			Eventually(answers).Should(Receive(Equal(http.StatusOK)))
		}
		Expect(s.Get("/v1/tenants/" + id).JSON()).To(And(HaveKeyWithValue("name", "Renamed"), HaveKeyWithValue("quotas", HaveKeyWithValue("products", BeEquivalentTo(5)))))
	})

	It("can be taken back for a while after it was deleted", func() {
		id, key, _ := created(s, nil)
		deleted := s.Call(http.MethodDelete, "/v1/tenants/"+id, nil)
		Expect(deleted.JSON()).To(HaveKeyWithValue("status", "deleting"))
		after, err := time.Parse(time.RFC3339, text(deleted.JSON()["purgeAfter"]))
		Expect(err).NotTo(HaveOccurred())
		Expect(after).To(BeTemporally("~", time.Now().Add(30*24*time.Hour), time.Hour))
		Eventually(func() string { return s.With(key).Get("/v1/settings").Code() }).Should(Equal("tenant_suspended"))
		Expect(s.Post("/v1/tenants/"+id+"/resume", nil).JSON()).To(And(HaveKeyWithValue("status", "active"), Not(HaveKey("purgeAfter"))))
		Eventually(func() int { return s.With(key).Get("/v1/settings").Status }).Should(Equal(http.StatusOK))
		Expect(facts(s, id)).To(Equal([]string{"tenant.created", "tenant.deleted", "tenant.resumed"}))
	})

	It("is neither taken back when its time is over nor half given up meanwhile", func() {
		id, _, _ := created(s, nil)
		Expect(s.Call(http.MethodDelete, "/v1/tenants/"+id, nil).Status).To(Equal(http.StatusOK))
		Expect(s.Post("/v1/tenants/"+id+"/suspend", object{"reason": "instead"}).Code()).To(Equal("tenant_status"))
		Expect(s.Call(http.MethodDelete, "/v1/tenants/"+id, nil).Code()).To(Equal("tenant_status"))
		_, err := testkit.SQL(d.Super).Exec(`update platform.tenant set purge_after = now() where tenant_id = $1`, id)
		Expect(err).NotTo(HaveOccurred())
		Expect(s.Post("/v1/tenants/"+id+"/resume", nil).Code()).To(Equal("tenant_status"))
		Expect(s.Get("/v1/tenants/" + id).JSON()).To(HaveKeyWithValue("status", "deleting"))
	})

	It("that ends at once does not end under requests that came before", func() {
		id, _, _ := created(s, nil)
		svc := tenant.New(s.App.DB(), event.NewLog(), 30*24*time.Hour)
		operator := testkit.As(identity.DefaultTenant)
		var given tenant.Tenant
		Expect(s.App.DB().InTx(operator, func(tx *db.Tx) (err error) {
			given, err = svc.DeleteNow(operator, tx, uuid.MustParse(id))
			if err == nil {
				Expect(given.PurgeAfter).To(HaveValue(BeTemporally("~", tx.Now.Add(tenant.Settle), time.Millisecond)))
			}
			return err
		})).To(Succeed())
		Expect(tenant.Settle).To(BeNumerically(">", memory.Freshness), "until then requests are let in by what is remembered")
	})
})

func unpacked(archive []byte) map[string]string {
	GinkgoHelper()
	plain, err := gzip.NewReader(bytes.NewReader(archive))
	Expect(err).NotTo(HaveOccurred())
	files := map[string]string{}
	for r := tar.NewReader(plain); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		Expect(err).NotTo(HaveOccurred())
		body, err := io.ReadAll(r)
		Expect(err).NotTo(HaveOccurred())
		files[h.Name] = string(body)
	}
}

// tables with a merchant's rows, as an auditor sees them.
func tables(super *sql.DB) (names []string) {
	GinkgoHelper()
	rows, err := super.Query(`
		select c.oid::regclass::text from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped
		join pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^pg_' order by 1`)
	Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	for rows.Next() {
		var name string
		Expect(rows.Scan(&name)).To(Succeed())
		names = append(names, name)
	}
	Expect(rows.Err()).NotTo(HaveOccurred())
	return names
}

// everything that is kept of a merchant, or of all.
func everything(super *sql.DB, id uuid.UUID) string {
	GinkgoHelper()
	var all strings.Builder
	for _, table := range tables(super) {
		var rows sql.NullString
		Expect(super.QueryRow(`select string_agg(t::text, E'\n') from `+table+` t where $1::text = '00000000-0000-0000-0000-000000000000' or tenant_id::text = $1::text`, id.String()).Scan(&rows)).To(Succeed())
		all.WriteString(rows.String)
	}
	return all.String()
}

var _ = Describe("the end of a tenant", func() {
	var (
		d          testkit.Database
		super      *sql.DB
		pool       *db.DB
		gone, kept uuid.UUID
	)
	BeforeEach(func() {
		d = testkit.NewDatabase()
		super, pool = testkit.SQL(d.Super), testkit.Open(d.App)
		gone, kept = testkit.NewTenant(d), testkit.NewTenant(d)
		for _, t := range []uuid.UUID{gone, kept} {
			for _, table := range tables(super) {
				if table != "platform.tenant" {
					testkit.Fill(super, table, t)
				}
			}
		}
	})
	over := func() {
		GinkgoHelper()
		_, err := super.Exec(`update platform.tenant set status = 'deleting', purge_after = now() - interval '1 minute' where tenant_id = $1`, gone)
		Expect(err).NotTo(HaveOccurred())
	}
	purge := func(id uuid.UUID) (removed []tenant.Removed) {
		GinkgoHelper()
		Expect(pool.Across(testkit.As(identity.DefaultTenant), func(tx *db.Tx) (err error) {
			removed, err = tenant.Purge(testkit.As(identity.DefaultTenant), tx, id)
			return err
		})).To(Succeed())
		return removed
	}

	It("leaves no row of it in any table, and all rows of the others", func() {
		over()
		before := everything(super, kept)
		removed := purge(gone)
		named := []string{}
		for _, r := range removed {
			named = append(named, r.Table)
			Expect(r.Rows).To(BeNumerically(">=", 1))
		}
		Expect(named).To(ConsistOf(tables(super)))
		Expect(named[len(named)-1]).To(Equal("platform.tenant"))
		for _, table := range tables(super) {
			var n int
			Expect(super.QueryRow(`select count(*) from `+table+` where tenant_id = $1`, gone).Scan(&n)).To(Succeed())
			Expect(n).To(BeZero(), table)
		}
		Expect(everything(super, kept)).To(Equal(before))
		Expect(purge(gone)).To(BeEmpty())
	})

	It("comes in pieces, and goes on where it was interrupted", func() {
		over()
		_, err := super.Exec(`insert into platform.event (tenant_id, id, type, version, subject, sequence, occurred_at, correlation_id, traceparent, actor, data)
			select $1, gen_random_uuid(), 'x', 1, 'x', 1, now(), 'x', '', 'x', '{}' from generate_series(1, 12000)`, gone)
		Expect(err).NotTo(HaveOccurred())
		rounds, events := 0, int64(0)
		for {
			removed := purge(gone)
			if len(removed) == 0 {
				break
			}
			rounds++
			var sum int64
			for _, r := range removed {
				sum += r.Rows
				if r.Table == "platform.event" {
					events += r.Rows
				}
			}
			Expect(sum).To(BeNumerically("<=", 5000))
		}
		Expect(rounds).To(Equal(3))
		Expect(events).To(BeEquivalentTo(12001))
		Expect(everything(super, gone)).To(BeEmpty())
	})

	It("has nothing in its export that is a hash or is sealed, in any table", func() {
		var archive bytes.Buffer
		_, err := tenant.Export(testkit.As(gone), pool, &archive)
		Expect(err).NotTo(HaveOccurred())
		files := unpacked(archive.Bytes())
		Expect(len(files)).To(BeNumerically(">", 20))
		for name, body := range files {
			Expect(body).NotTo(ContainSubstring(`"\\x`), "bytes in %s", name)
			Expect(body).NotTo(MatchRegexp(`"[a-z_]*(hash|secret|sealed|password|token|nonce)[a-z_]*":"`), name)
		}
	})

	It("is the work of a job, once its time is over", func() {
		Expect(pool.Across(testkit.As(identity.DefaultTenant), func(tx *db.Tx) error { return tenant.PurgeDue(testkit.As(identity.DefaultTenant), tx) })).To(Succeed())
		Expect(everything(super, gone)).NotTo(BeEmpty())
		over()
		Expect(pool.Across(testkit.As(identity.DefaultTenant), func(tx *db.Tx) error { return tenant.PurgeDue(testkit.As(identity.DefaultTenant), tx) })).To(Succeed())
		Expect(everything(super, gone)).To(BeEmpty())
		Expect(everything(super, kept)).NotTo(BeEmpty())
	})

	DescribeTable("does not come before its time", func(status, after string) {
		_, err := super.Exec(`update platform.tenant set status = $2, purge_after = now() + $3::interval where tenant_id = $1`, gone, status, after)
		Expect(err).NotTo(HaveOccurred())
		before := everything(super, gone)
		Expect(purge(gone)).To(BeEmpty())
		Expect(everything(super, gone)).To(Equal(before))
	},
		Entry("to one that is open", "active", "-1 hour"),
		Entry("to one that is suspended", "suspended", "-1 hour"),
		Entry("to one that can be taken back", "deleting", "1 hour"),
	)

	It("is no way to change the audit log of anybody else", func() {
		over()
		owner := testkit.SQL(d.Owner)
		_, err := owner.Exec(`begin; select set_config('app.tenant_id', '` + kept.String() + `', true); delete from platform.audit`)
		Expect(err).To(MatchError(ContainSubstring("never changed")))
	})
})
