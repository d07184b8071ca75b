package orders

import (
	"context"
	"strings"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// why is the error of a call that answers something beside it.
func why[T any](_ T, err error) error { return err }

var _ = Describe("what is one's own", func() {
	var (
		svc                 *service
		tenant              uuid.UUID
		ana, ben            string
		hers, his           context.Context
		staff, page, backer context.Context
	)

	BeforeEach(func() {
		svc = replica(&shelf{offers: map[string]catalogapi.Offer{"MUG": {ProductID: uuid.NewString(), SKU: "MUG", Name: "Mug", Prices: []money.Amount{eur(1250)}}}})
		tenant = testkit.NewTenant(testkit.Shared())
		ana, ben = clock.NewID().String(), clock.NewID().String()
		hers, his = testkit.AsCustomer(tenant, ana), testkit.AsCustomer(tenant, ben)
		staff, page, backer = testkit.As(tenant, permissionRead, permissionWrite), testkit.As(tenant, identity.Storefront()...), testkit.As(tenant)
	})

	ordered := func(ctx context.Context, customer string) orderResponse {
		GinkgoHelper()
		in := &placeInput{}
		in.Body = placeBody{CustomerID: customer, Items: []itemBody{{SKU: "MUG", Quantity: 1}}}
		placed, err := svc.handlePlace(ctx, in)
		Expect(err).NotTo(HaveOccurred())
		return placed.orderResponse
	}
	refused := func(ctx context.Context, customer string) *fault.Error {
		GinkgoHelper()
		in := &placeInput{}
		in.Body = placeBody{CustomerID: customer, Items: []itemBody{{SKU: "MUG", Quantity: 1}}}
		_, err := svc.handlePlace(ctx, in)
		Expect(err).To(HaveOccurred())
		return fault.From(err)
	}
	numbersOf := func(ctx context.Context, in listInput) (numbers []int64) {
		GinkgoHelper()
		in.Limit, in.Sort = 20, "createdAt"
		list, err := svc.handleList(ctx, &in)
		Expect(err).NotTo(HaveOccurred())
		for _, o := range list.Data {
			numbers = append(numbers, o.Number)
		}
		return numbers
	}

	It("is ordered for oneself by a customer, named or not, and for nobody else", func() {
		Expect(ordered(hers, "").CustomerID).To(Equal(ana))
		Expect(ordered(hers, ana).CustomerID).To(Equal(ana))
		Expect(refused(hers, ben)).To(MatchError(httpx.ErrNotFound))
		Expect(refused(hers, "guest")).To(MatchError(httpx.ErrNotFound))
		Expect(numbersOf(backer, listInput{})).To(HaveLen(2))
	})

	It("is ordered by staff for whom they say, and for somebody", func() {
		Expect(ordered(staff, ana).CustomerID).To(Equal(ana))
		Expect(refused(staff, "").Fields).To(HaveExactElements(And(HaveField("Pointer", "/customerId"), HaveField("Code", "required"))))
	})

	It("is never a customer's when a page that anybody can open orders it", func() {
		Expect(ordered(page, "guest-17").CustomerID).To(Equal("guest-17"))
		for _, id := range []string{ana, uuid.NewString(), strings.ToUpper(ana), "urn:uuid:" + ana, "{" + ana + "}", strings.ReplaceAll(ana, "-", "")} {
			Expect(refused(page, id).Fields).To(HaveExactElements(And(HaveField("Pointer", "/customerId"), HaveField("Code", "registered_customer"))), id)
		}
		Expect(refused(page, "").Fields).To(HaveExactElements(HaveField("Code", "required")))
	})

	It("never has another price than the catalog's when customers or pages order", func() {
		for _, ctx := range []context.Context{hers, page} {
			in := &placeInput{}
			in.Body = placeBody{Items: []itemBody{{SKU: "MUG", Quantity: 1, Price: "0.01"}}}
			if ctx == page {
				in.Body.CustomerID = "guest"
			}
			_, err := svc.handlePlace(ctx, in)
			Expect(err).To(MatchError(errPriceChanged))
		}
	})

	It("is what a customer reads, lists and cancels; the rest does not exist", func() {
		mine, other := ordered(hers, ""), ordered(his, "")
		for _, ctx := range []context.Context{hers, staff, backer} {
			Expect(svc.handleGet(ctx, &getInput{ID: mine.ID})).To(HaveField("ID", mine.ID))
		}
		unknown := uuid.NewString()
		for _, id := range []string{other.ID, unknown, "17"} {
			Expect(why(svc.handleGet(hers, &getInput{ID: id}))).To(MatchError(httpx.ErrNotFound))
			Expect(why(svc.handleTimeline(hers, &byID{id}))).To(MatchError(httpx.ErrNotFound))
			Expect(why(svc.handleCancel(hers, &cancelInput{ID: id}))).To(MatchError(httpx.ErrNotFound))
		}
		Expect(svc.handleGet(his, &getInput{ID: other.ID})).To(HaveField("Status", "created"), "nobody else has cancelled it")
		Expect(svc.handleCancel(hers, &cancelInput{ID: mine.ID})).To(HaveField("Status", "cancelled"))

		Expect(numbersOf(hers, listInput{})).To(HaveExactElements(mine.Number))
		Expect(numbersOf(hers, listInput{CustomerID: ana})).To(HaveExactElements(mine.Number))
		Expect(numbersOf(hers, listInput{CustomerID: ben})).To(BeEmpty())
		Expect(numbersOf(hers, listInput{Number: other.Number})).To(BeEmpty())
		Expect(numbersOf(staff, listInput{})).To(HaveExactElements(mine.Number, other.Number))
		Expect(numbersOf(staff, listInput{CustomerID: ben})).To(HaveExactElements(other.Number))
	})

	It("is listed for oneself, also for who may see all", func() {
		mine := ordered(hers, "")
		ordered(his, "")
		both := identity.With(context.Background(), identity.Identity{Tenant: tenant, Actor: "user:" + ana, Customer: ana, Permissions: []string{permissionRead}})
		for _, ctx := range []context.Context{hers, both} {
			in := &listInput{Sort: "createdAt"}
			in.Limit = 20
			Expect(svc.handleListMine(ctx, in)).To(HaveField("Data", HaveExactElements(HaveField("ID", mine.ID))))
		}
		Expect(svc.handleListMine(staff, &listInput{})).To(HaveField("Data", BeEmpty()))
	})

	It("tells a customer what happened to it and not who works in the shop", func() {
		mine := ordered(hers, "")
		id := uuid.MustParse(mine.ID)
		_, err := calledOff(backer, svc, id, "no clay left")
		Expect(err).NotTo(HaveOccurred())
		Expect(svc.handleTimeline(hers, &byID{mine.ID})).To(HaveField("Data", HaveExactElements(HaveField("Actor", "user:"+ana), HaveField("Actor", "shop"))))
		Expect(svc.handleTimeline(staff, &byID{mine.ID})).To(HaveField("Data", HaveExactElements(HaveField("Actor", "user:"+ana), HaveField("Actor", "key:spec"))))
	})
})
