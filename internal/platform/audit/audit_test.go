package audit_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

type person struct {
	Name  string `json:"name" personal:"true"`
	Since int    `json:"since"`
}

type account struct {
	person

	ID      string            `json:"id"`
	Key     string            `json:"key,omitempty" secret:"true"`
	Owner   *person           `json:"owner,omitempty"`
	Others  []person          `json:"others"`
	Named   map[string]person `json:"named"`
	Parents []account         `json:"parents,omitempty"`
	Notes   map[string]string `json:"notes,omitempty" personal:"true"`
	At      time.Time         `json:"at"`
	Price   json.Number       `json:"price"`
}

func shown(v any) string {
	GinkgoHelper()
	text, err := audit.Shown(v)
	Expect(err).NotTo(HaveOccurred())
	Expect(text).NotTo(BeNil())
	return *text
}

var _ = Describe("what the audit log shows", func() {
	It("leaves out what a type says is personal or secret, however deep it is", func() {
		canary := "Canary " + uuid.NewString()
		nora := person{canary, 2019}
		v := account{
			person: nora, ID: "a1", Key: canary, Owner: &nora, Others: []person{nora, nora}, Named: map[string]person{"x": nora}, Notes: map[string]string{canary: canary},
			Parents: []account{{person: nora, Parents: []account{{Key: canary}}}}, Price: "12.50",
		}
		for _, value := range []any{v, &v, []account{v}, map[string]any{"typed": "no"}} {
			Expect(shown(value)).NotTo(ContainSubstring(canary))
		}
		Expect(shown(v)).To(MatchJSON(`{
			"id": "a1", "name": "[personal]", "since": 2019, "key": "[secret]", "owner": {"name": "[personal]", "since": 2019},
			"others": [{"name": "[personal]", "since": 2019}, {"name": "[personal]", "since": 2019}], "named": {"x": {"name": "[personal]", "since": 2019}},
			"notes": "[personal]", "at": "0001-01-01T00:00:00Z", "price": 12.50,
			"parents": [{"id": "", "name": "[personal]", "since": 2019, "others": null, "named": null, "at": "0001-01-01T00:00:00Z", "price": 0,
				"parents": [{"id": "", "name": "[personal]", "key": "[secret]", "since": 0, "others": null, "named": null, "at": "0001-01-01T00:00:00Z", "price": 0}]}]}`))
	})

	It("does not tell of what is not there", func() {
		Expect(audit.Shown(nil)).To(BeNil())
		Expect(shown(account{})).NotTo(ContainSubstring("[secret]"))
	})

	It("is what was rendered for the caller, if it was", func() {
		r := audit.Rendered{JSON: []byte(`{"since":2019,"name":"Nora"}`), Of: reflect.TypeFor[person]()}
		Expect(shown(r)).To(MatchJSON(`{"name":"[personal]","since":2019}`))
	})
})

var _ = Describe("an entry", func() {
	var (
		d      testkit.Database
		pool   *db.DB
		tenant uuid.UUID
		ctx    context.Context
	)

	BeforeEach(func() {
		d = testkit.Shared()
		pool, tenant = testkit.Open(d.App), testkit.NewTenant(d)
		ctx = testkit.As(tenant)
	})
	list := func(f audit.Filter) (entries []audit.Sealed) {
		GinkgoHelper()
		Expect(pool.Read(ctx, func(tx *db.Tx) (err error) {
			entries, err = audit.List(ctx, tx, f, 0, 100)
			return err
		})).To(Succeed())
		return entries
	}

	DescribeTable("says who, from where, in which request, what was before and what after", func(record func(audit.Entry) error) {
		ctx = audit.WithOrigin(ctx, audit.Origin{IP: netip.MustParseAddr("::ffff:203.0.113.7"), UserAgent: strings.Repeat("browser\x00\xff ", 100), RequestID: "req-1"})
		Expect(record(audit.Entry{
			Action: "login.failed", Entity: "account", EntityID: "a1", Before: person{"Nora", 1}, After: person{"Nora Berg", 2}, Reason: "wrong\x00password", Status: 401, OnBehalfOf: "user:2",
		})).To(Succeed())
		v := list(audit.Filter{})[0].View()
		Expect(v).To(And(
			HaveField("Actor", "key:spec"), HaveField("OnBehalfOf", "user:2"), HaveField("Action", "login.failed"), HaveField("Entity", "account"), HaveField("EntityID", "a1"),
			HaveField("IP", "203.0.113.7"), HaveField("RequestID", "req-1"), HaveField("Status", 401), HaveField("Reason", "wrong\uFFFDpassword"),
			HaveField("Changes", []string{"since"}), HaveField("Hash", ""), HaveField("RecordedAt", BeTemporally("~", time.Now(), time.Minute)),
		))
		Expect(v.Before).To(MatchJSON(`{"name":"[personal]","since":1}`))
		Expect(v.UserAgent).To(And(HavePrefix("browser\uFFFD"), HaveSuffix("…")))
	},
		Entry("in a transaction", func(e audit.Entry) error {
			return pool.InTx(ctx, func(tx *db.Tx) error { return audit.Record(ctx, tx, e) })
		}),
		Entry("alone", func(e audit.Entry) error { return audit.RecordAlone(ctx, pool, e) }),
	)

	It("that is recorded alone is its merchant's, and leaves nobody to act on the connection", func() {
		one, err := db.Open(db.Options{DSN: d.App, Connections: 1})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(one.Close)
		ours, theirs := ctx, testkit.As(testkit.NewTenant(d))
		Expect(audit.RecordAlone(theirs, one, audit.Entry{Action: "theirs"})).To(Succeed())
		seen := func() []int {
			GinkgoHelper()
			n, err := db.Query[int](ctx, one, `select count(*) from platform.audit`)
			Expect(err).NotTo(HaveOccurred())
			return n
		}
		Expect(seen()).To(Equal([]int{0}))
		Expect(audit.RecordAlone(ours, one, audit.Entry{Action: "ours"})).To(Succeed())
		Expect(seen()).To(Equal([]int{0}))
		Expect(list(audit.Filter{})).To(HaveExactElements(HaveField("Action", "ours")))
	})

	It("is there when what it tells of is, and not when that was undone", func() {
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			if err := audit.Record(ctx, tx, audit.Entry{Action: "undone"}); err != nil {
				return err
			}
			return context.Canceled
		})).NotTo(Succeed())
		Expect(list(audit.Filter{})).To(BeEmpty())
	})

	It("is found by who, what, about what and when", func() {
		for _, e := range []audit.Entry{
			{Action: "createProduct", Entity: "product", EntityID: "1"},
			{Action: "updateProduct", Entity: "product", EntityID: "1", Actor: "user:7"},
			{Action: "createOrder", Entity: "order", EntityID: "1"},
		} {
			Expect(pool.InTx(ctx, func(tx *db.Tx) error { return audit.Record(ctx, tx, e) })).To(Succeed())
		}
		actions := func(f audit.Filter) (names []string) {
			for _, e := range list(f) {
				names = append(names, e.Action)
			}
			return names
		}
		Expect(actions(audit.Filter{})).To(Equal([]string{"createOrder", "updateProduct", "createProduct"}))
		Expect(actions(audit.Filter{Actor: "user:7"})).To(Equal([]string{"updateProduct"}))
		Expect(actions(audit.Filter{Action: "createOrder"})).To(Equal([]string{"createOrder"}))
		Expect(actions(audit.Filter{Entity: "product", EntityID: "1"})).To(Equal([]string{"updateProduct", "createProduct"}))
		Expect(actions(audit.Filter{Entity: "product", EntityID: "2"})).To(BeEmpty())
		past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		Expect(actions(audit.Filter{From: &past, Until: &future})).To(HaveLen(3))
		Expect(actions(audit.Filter{Until: &past})).To(BeEmpty())
		Expect(actions(audit.Filter{From: &future})).To(BeEmpty())
	})

	DescribeTable("is never changed, not by the program and not by the owner of the table", func(statement string) {
		Expect(pool.InTx(ctx, func(tx *db.Tx) error { return audit.Record(ctx, tx, audit.Entry{Action: "updateProduct"}) })).To(Succeed())
		for _, dsn := range []string{d.App, d.Owner, d.Super} {
			_, err := testkit.SQL(dsn).Exec(`begin; select set_config('app.tenant_id', '` + tenant.String() + `', true); ` + statement + `; commit`)
			Expect(err).To(MatchError(Or(ContainSubstring("permission denied"), ContainSubstring("the audit log is never changed"))), dsn)
		}
		Expect(list(audit.Filter{})).To(HaveLen(1))
	},
		Entry("by a change", `update platform.audit set actor = 'nobody'`),
		Entry("by a removal", `delete from platform.audit`),
		Entry("as a whole", `truncate platform.audit`),
		Entry("past the table above its months", `do $$ begin execute format('truncate platform.%I', to_char(now() at time zone 'UTC', '"audit_"YYYY_MM')); end $$`),
	)

	It("is exported so that no spreadsheet takes it for a formula", func() {
		Expect(pool.InTx(ctx, func(tx *db.Tx) error {
			for _, reason := range []string{`=HYPERLINK("http://x")`, "+1", "-1", "@SUM(A1)", "\tx", "harmless, mostly"} {
				if err := audit.Record(ctx, tx, audit.Entry{Action: "adjustStock", Reason: reason}); err != nil {
					return err
				}
			}
			return nil
		})).To(Succeed())
		var out strings.Builder
		write, end, err := audit.Exporting(&out, "csv")
		Expect(err).NotTo(HaveOccurred())
		Expect(audit.Each(ctx, pool, audit.Filter{}, write)).To(Succeed())
		Expect(end()).To(Succeed())
		Expect(out.String()).To(And(
			ContainSubstring(`"'=HYPERLINK(""http://x"")"`), ContainSubstring(",'+1,"), ContainSubstring(",'-1,"), ContainSubstring(",'@SUM(A1),"), ContainSubstring(`'`+"\tx"), ContainSubstring(`,"harmless, mostly",`),
		))
		Expect(strings.Count(out.String(), "\n")).To(Equal(7))
		_, _, err = audit.Exporting(&out, "xlsx")
		Expect(err).To(MatchError(audit.ErrFormat))
	})
})
