package identity

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// visitors lets in customers of a spec who show "customer:<tenant>:<id>".
type visitors struct{}

func (visitors) Recognises(token string) bool { return strings.HasPrefix(token, "customer:") }

func (visitors) Authenticate(_ context.Context, token string) (identity.Identity, bool, error) {
	text, ok := strings.CutPrefix(token, "customer:")
	if !ok {
		return identity.Identity{}, false, nil
	}
	tenant, id, _ := strings.Cut(text, ":")
	return identity.Identity{Tenant: uuid.MustParse(tenant), Actor: "user:" + id, Permissions: identity.Storefront(), Customer: id, Account: uuid.MustParse(id)}, true, nil
}

var _ = Describe("customers", func() {
	var (
		shop *testkit.Shop
		m    *Module
	)
	BeforeEach(func() {
		shop = testkit.Start(testkit.Shared(), app.Options{}, func(k app.Kit) []app.Module {
			m = New(k)
			return []app.Module{m, visiting{}}
		})
	})
	with := func(permissions ...string) *testkit.Shop {
		return shop.With(testkit.Key(shop.App.DB(), shop.Tenant, permissions...))
	}
	noted := func(body object) object {
		GinkgoHelper()
		r := shop.Post("/v1/customers", body)
		Expect(r.Status).To(Equal(http.StatusCreated), "%s", r.Raw)
		return r.JSON()
	}
	// member has an account; the shop as they see it.
	member := func(email string) (string, *testkit.Shop) {
		GinkgoHelper()
		id := clock.NewID()
		Expect(shop.App.DB().InTx(testkit.As(shop.Tenant), func(tx *db.Tx) error {
			return m.customers.registered(testkit.As(shop.Tenant), tx, id, email, "Mia Member")
		})).To(Succeed())
		return id.String(), shop.With(fmt.Sprintf("customer:%s:%s", shop.Tenant, id))
	}
	anna := object{"email": "Anna@Example.com", "name": "Anna Lind", "phone": "+351 912 345 678", "locale": "pt-PT", "groups": []string{"wholesale", "friends"}, "marketing": true}
	names := func(r testkit.Response) (list []string) {
		GinkgoHelper()
		Expect(r.Status).To(Equal(200), "%s", r.Raw)
		for _, c := range r.JSON()["data"].([]any) {
			list = append(list, c.(object)["name"].(string))
		}
		return list
	}

	It("are noted, read and changed, with the time of their consent", func() {
		r := shop.Post("/v1/customers", anna)
		Expect(r.Status).To(Equal(201), "%s", r.Raw)
		made := r.JSON()
		Expect(made).To(And(HaveKeyWithValue("email", "Anna@Example.com"), HaveKeyWithValue("registered", false), HaveKeyWithValue("groups", ConsistOf("friends", "wholesale")),
			HaveKeyWithValue("marketing", true), HaveKeyWithValue("marketingAt", Not(BeNil())), HaveKeyWithValue("notes", BeEquivalentTo(0))))
		path := r.Header.Get("Location")
		Expect(path).To(Equal("/v1/customers/" + made["id"].(string)))
		tag := shop.Get(path).Header.Get("ETag")
		changed := shop.Call(http.MethodPatch, path, object{"name": "Anna Berg", "groups": []string{"friends"}, "marketing": false}, testkit.Header{Name: "If-Match", Value: tag})
		Expect(changed.Status).To(Equal(200), "%s", changed.Raw)
		Expect(changed.JSON()).To(And(HaveKeyWithValue("name", "Anna Berg"), HaveKeyWithValue("phone", "+351 912 345 678"), HaveKeyWithValue("groups", ConsistOf("friends")), HaveKeyWithValue("marketing", false)))
		Expect(changed.JSON()["marketingAt"]).NotTo(Equal(made["marketingAt"]))
		Expect(shop.Call(http.MethodPatch, path, object{"name": "Late"}, testkit.Header{Name: "If-Match", Value: tag}).Status).To(Equal(412))
		Expect(shop.Get(path).JSON()).To(HaveKeyWithValue("name", "Anna Berg"))
		Expect(shop.Get("/v1/customers/" + uuid.NewString()).Status).To(Equal(404))
	})
	It("are there as soon as they have signed up, and own an address when they have proven it", func() {
		email := "mia." + uuid.NewString() + "@example.com"
		Expect(shop.Post("/v1/auth/register", object{"email": email, "password": "correct horse battery", "name": "Mia Member"}).Status).To(Equal(202))
		found := shop.Get("/v1/customers?email=" + email).JSON()["data"].([]any)
		Expect(found).To(ConsistOf(And(HaveKeyWithValue("registered", true), HaveKeyWithValue("name", "Mia Member"))))
		id := found[0].(object)["id"].(string)
		own := func() (email string, ok bool) {
			GinkgoHelper()
			ctx := testkit.As(shop.Tenant)
			Expect(shop.App.DB().Read(ctx, func(tx *db.Tx) (err error) {
				email, ok, err = m.ProvenEmail(ctx, tx, id)
				return err
			})).To(Succeed())
			return email, ok
		}
		_, ok := own()
		Expect(ok).To(BeFalse())
		var letters []testkit.Letter
		Eventually(func() []testkit.Letter { letters = testkit.Letters(email); return letters }).Should(HaveLen(1))
		Expect(shop.Post("/v1/auth/email/verify", object{"token": letters[0].Token()}).Status).To(Equal(204))
		proven, ok := own()
		Expect(ok).To(BeTrue())
		Expect(proven).To(Equal(email))
	})
	It("have one record an address, however it is written", func() {
		noted(anna)
		again := shop.Post("/v1/customers", object{"email": " anna@EXAMPLE.com"})
		Expect(again.Status).To(Or(Equal(409), Equal(422)))
		again = shop.Post("/v1/customers", object{"email": "anna@EXAMPLE.com"})
		Expect(again.Status).To(Equal(409))
		Expect(again.Code()).To(Equal("email_taken"))
	})
	It("whose address somebody else signed up with are not taken for them", func() {
		noted(anna)
		id, _ := member("anna@example.com")
		Expect(shop.Get("/v1/customers?email=anna@example.com").JSON()["data"]).To(HaveLen(2))
		r := shop.Call(http.MethodPatch, "/v1/customers/"+id, object{"email": "other@example.com"})
		Expect(r.Status).To(Equal(409))
		Expect(r.Code()).To(Equal("email_of_account"))
	})
	It("are found by what their name or address begins with, by address and by group", func() {
		noted(anna)
		noted(object{"email": "ben@example.com", "name": "Ben Ann%a"})
		Expect(names(shop.Get("/v1/customers?q=anna"))).To(ConsistOf("Anna Lind"))
		Expect(names(shop.Get("/v1/customers?q=BEN@"))).To(ConsistOf("Ben Ann%a"))
		Expect(names(shop.Get("/v1/customers?q=%25"))).To(BeEmpty(), "a percent sign is one")
		Expect(names(shop.Get("/v1/customers?email=ANNA@example.com"))).To(ConsistOf("Anna Lind"))
		Expect(names(shop.Get("/v1/customers?group=friends"))).To(ConsistOf("Anna Lind"))
		records := string(shop.Get("/v1/audit?action=listCustomers").Raw)
		Expect(records).To(And(ContainSubstring(`"q":"[personal]"`), ContainSubstring(`"email":"[personal]"`), ContainSubstring(`"group":"friends"`)))
		Expect(strings.ToLower(records)).NotTo(Or(ContainSubstring("anna"), ContainSubstring("ben@")))
		Expect(shop.Get("/v1/customer-groups").JSON()["data"]).To(ConsistOf(
			object{"name": "friends", "customers": 1.0}, object{"name": "wholesale", "customers": 1.0}))
		page := shop.Get("/v1/customers?limit=1").JSON()
		Expect(page["data"]).To(HaveLen(1))
		Expect(names(shop.Get("/v1/customers?limit=1&cursor=" + page["nextCursor"].(string)))).To(Equal([]string{"Anna Lind"}))
	})
	It("are masked for who may not see personal data, and cannot be looked for by it", func() {
		id := noted(anna)["id"].(string)
		Expect(shop.Post("/v1/customers/"+id+"/notes", object{"text": "Allergic to cats."}).Status).To(Equal(201))
		analyst := with("customers:read")
		for _, r := range []testkit.Response{analyst.Get("/v1/customers/" + id), analyst.Get("/v1/customers"), analyst.Get("/v1/customers/" + id + "/notes")} {
			Expect(r.Status).To(Equal(200))
			Expect(string(r.Raw)).NotTo(Or(ContainSubstring("nna"), ContainSubstring("xample"), ContainSubstring("Lind"), ContainSubstring("912 345"), ContainSubstring("cats")))
		}
		Expect(analyst.Get("/v1/customers/" + id).JSON()).To(And(HaveKeyWithValue("email", "A***@E***.com"), HaveKeyWithValue("name", "A. L."), HaveKeyWithValue("phone", "***")))
		for _, query := range []string{"q=anna", "email=anna@example.com"} {
			r := analyst.Get("/v1/customers?" + query)
			Expect(r.Status).To(Equal(403))
			Expect(r.Code()).To(Equal("personal_data_hidden"))
		}
		Expect(with("customers:read", "customers:pii").Get("/v1/customers/" + id).JSON()).To(HaveKeyWithValue("email", "Anna@Example.com"))
	})
	It("are not to be guessed at by who may not see them: not by what is taken, not by what is the same", func() {
		id := noted(anna)["id"].(string)
		clerk := with("customers:read", "customers:write")
		refused := func(r testkit.Response) {
			GinkgoHelper()
			Expect(r.Status).To(Equal(403), "%s", r.Raw)
			Expect(r.Code()).To(Equal("personal_data_hidden"))
		}
		for _, email := range []string{"anna@example.com", "nobody@example.com"} {
			refused(clerk.Post("/v1/customers", object{"email": email}))
			refused(clerk.Call(http.MethodPatch, "/v1/customers/"+id, object{"email": email}))
		}
		for _, field := range []string{"email", "name", "phone"} {
			refused(clerk.Call(http.MethodPatch, "/v1/customers/"+id, object{field: anna[field]}))
		}
		Expect(clerk.Call(http.MethodPatch, "/v1/customers/"+id, object{"groups": []string{"retail"}, "locale": "", "marketing": false}).Status).To(Equal(200))
		Expect(with("customers:write", "customers:pii").Call(http.MethodPatch, "/v1/customers/"+id, object{"email": "anna@example.org"}).Status).To(Equal(200))
	})
	It("are another thing to who may see them than to who may not, and the same version", func() {
		path := "/v1/customers/" + noted(anna)["id"].(string)
		clerk := with("customers:read", "customers:write")
		whole, masked := shop.Get(path).Header.Get("ETag"), clerk.Get(path).Header.Get("ETag")
		Expect(whole).NotTo(Equal(masked))
		kept := func(s *testkit.Shop, tag string) int {
			return s.Get(path, testkit.Header{Name: "If-None-Match", Value: tag}).Status
		}
		Expect([]int{kept(shop, whole), kept(clerk, masked), kept(shop, masked), kept(clerk, whole)}).To(Equal([]int{304, 304, 200, 200}))
		change := func(tag string) int {
			return clerk.Call(http.MethodPatch, path, object{"groups": []string{uuid.NewString()}}, testkit.Header{Name: "If-Match", Value: tag}).Status
		}
		Expect(change(masked)).To(Equal(200))
		Expect([]int{change(masked), change(whole)}).To(Equal([]int{412, 412}))
	})
	It("get notes, newest first, which they do not see by themselves", func() {
		id, me := member("mia@example.com")
		for _, text := range []string{"one", "two"} {
			Expect(shop.Post("/v1/customers/"+id+"/notes", object{"text": text}).Status).To(Equal(201))
		}
		Expect(shop.Get("/v1/customers/" + id + "/notes").JSON()["data"]).To(HaveExactElements(HaveKeyWithValue("text", "two"), And(HaveKeyWithValue("text", "one"), HaveKeyWithValue("author", HavePrefix("key:")))))
		Expect(shop.Get("/v1/customers/" + id).JSON()).To(HaveKeyWithValue("notes", BeEquivalentTo(2)))
		Expect(me.Get("/v1/customers/" + id + "/notes").Status).To(Equal(403))
	})

	Describe("and their addresses", func() {
		lisbon := object{"name": "Mia", "line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT", "defaultShipping": true, "defaultBilling": true}

		It("are added, changed and removed by them, with one default each", func() {
			id, me := member("mia@example.com")
			first := me.Post("/v1/me/addresses", lisbon)
			Expect(first.Status).To(Equal(201), "%s", first.Raw)
			second := me.Post("/v1/me/addresses", object{"line1": "1 High St", "city": "Leeds", "postalCode": "LS1 4DY", "country": "GB", "defaultShipping": true})
			Expect(second.Status).To(Equal(201), "%s", second.Raw)
			Expect(me.Get("/v1/me/addresses").JSON()["data"]).To(HaveExactElements(
				And(HaveKeyWithValue("city", "Lisboa"), HaveKeyWithValue("defaultShipping", false), HaveKeyWithValue("defaultBilling", true)),
				And(HaveKeyWithValue("city", "Leeds"), HaveKeyWithValue("defaultShipping", true))))
			path := "/v1/me/addresses/" + first.JSON()["id"].(string)
			moved := me.Call(http.MethodPatch, path, object{"country": "DE"})
			Expect(moved.Status).To(Equal(422))
			Expect(moved.JSON()["errors"]).To(ConsistOf(HaveKeyWithValue("pointer", "/postalCode")))
			Expect(me.Call(http.MethodPatch, path, object{"country": "DE", "postalCode": "10115", "city": "Berlin"}).JSON()).To(And(HaveKeyWithValue("city", "Berlin"), HaveKeyWithValue("line1", "Rua Augusta 1")))
			Expect(shop.Get("/v1/customers/" + id + "/addresses").JSON()["data"]).To(HaveLen(2))
			hidden := with("customers:read").Get("/v1/customers/" + id + "/addresses")
			Expect(string(hidden.Raw)).NotTo(Or(ContainSubstring("Augusta"), ContainSubstring("10115"), ContainSubstring("Mia")))
			Expect(me.Call(http.MethodDelete, path, nil).Status).To(Equal(204))
			Expect(me.Call(http.MethodDelete, path, nil).Status).To(Equal(404))
			Expect(me.Get("/v1/me/addresses").JSON()["data"]).To(HaveLen(1))
		})
		It("are nobody else's business", func() {
			_, me := member("mia@example.com")
			_, other := member("otto@example.com")
			path := "/v1/me/addresses/" + me.Post("/v1/me/addresses", lisbon).JSON()["id"].(string)
			Expect(other.Get("/v1/me/addresses").JSON()["data"]).To(BeEmpty())
			Expect(other.Call(http.MethodPatch, path, object{"city": "Porto"}).Status).To(Equal(404))
			Expect(other.Call(http.MethodDelete, path, nil).Status).To(Equal(404))
			Expect(shop.Get("/v1/me/addresses").Status).To(Equal(404), "a key has none of its own")
			Expect(me.Get("/v1/me/addresses").JSON()["data"]).To(HaveLen(1))
		})
		It("are not more than anybody can have", func() {
			_, me := member("mia@example.com")
			for range mostAddresses {
				Expect(me.Post("/v1/me/addresses", lisbon).Status).To(Equal(201))
			}
			Expect(me.Post("/v1/me/addresses", lisbon).Code()).To(Equal("too_many_addresses"))
		})
		DescribeTable("are what carriers can read:", func(changes object, pointers ...string) {
			_, me := member("mia@example.com")
			body := object{"line1": "Rua Augusta 1", "city": "Lisboa", "postalCode": "1100-048", "country": "PT"}
			maps.Copy(body, changes)
			r := me.Post("/v1/me/addresses", body)
			if len(pointers) == 0 {
				Expect(r.Status).To(Equal(201), "%s", r.Raw)
				return
			}
			Expect(r.Status).To(Equal(422), "%s", r.Raw)
			var found []string
			for _, e := range r.JSON()["errors"].([]any) {
				found = append(found, e.(object)["pointer"].(string))
			}
			Expect(found).To(ConsistOf(pointers))
		},
			Entry("as it is", object{}),
			Entry("no street, no city", object{"line1": "", "city": ""}, "/line1", "/city"),
			Entry("a country that there is not", object{"country": "ZZ"}, "/country"),
			Entry("a country that is no more", object{"country": "DD"}, "/country"),
			Entry("a country in small letters", object{"country": "pt"}, "/country"),
			Entry("another country's code", object{"postalCode": "10115"}, "/postalCode"),
			Entry("no code where there is one", object{"postalCode": ""}, "/postalCode"),
			Entry("no code where there is none", object{"country": "HK", "postalCode": "", "city": "Hong Kong"}),
			Entry("no state in the USA", object{"country": "US", "postalCode": "94105"}, "/region"),
			Entry("a state in the USA", object{"country": "US", "postalCode": "94105-1804", "region": "CA"}),
			Entry("small letters in a British code", object{"country": "GB", "postalCode": "sw1a 1aa"}),
			Entry("two lines in one", object{"line1": "Rua\nAugusta"}, "/line1"),
		)
	})
})

// visiting is a module that knows the customers of a spec.
type visiting struct{}

func (visiting) Name() string       { return "visiting" }
func (visiting) Mount(on app.Mount) { on.Accept(visitors{}) }
