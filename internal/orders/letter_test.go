package orders

import (
	"context"
	"fmt"
	"sync"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/identity/identityapi"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

// postman shows the specs what is handed to the outbox.
type postman struct {
	postbox

	mu    sync.Mutex
	mails []mail.Message
}

// Send keeps the letters that come true.
func (p *postman) Send(ctx context.Context, tx *db.Tx, m mail.Message) error {
	tx.AfterCommit(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mails = append(p.mails, m)
	})
	return p.postbox.Send(ctx, tx, m)
}

// directory is what people have shown to be their address.
type directory map[string]string

func (d directory) ProvenEmail(_ context.Context, _ *db.Tx, customer string) (email string, ok bool, err error) {
	email, ok = d[customer]
	return email, ok, nil
}
func (directory) OfferOrders(context.Context, *db.Tx, int) error { return nil }
func (directory) AcceptOrders(context.Context, *db.Tx, string) (string, error) {
	return "", errClaimToken
}

var _ = Describe("who bought what is not there", Label("db"), func() {
	var (
		svc     *service
		post    *postman
		shop    uuid.UUID
		buyer   context.Context
		bus     context.Context
		waiting func() int
	)
	BeforeEach(func() {
		svc, shop = replica(&shelf{offers: assortment(onSale("MUG", eur(1250)))}), testkit.NewTenant(testkit.Shared())
		post = &postman{postbox: svc.mail}
		svc.mail = post
		buyer = testkit.As(shop)
		bus = identity.With(context.Background(), identity.Identity{Tenant: shop, Actor: "system:orders.fail-insufficient"})
		waiting = func() (n int) {
			GinkgoHelper()
			Expect(testkit.SQL(testkit.Shared().Super).QueryRow(`select count(*) from platform.mail where tenant_id = $1`, shop).Scan(&n)).To(Succeed())
			return n
		}
	})
	placed := func(customer, email string) order {
		GinkgoHelper()
		o, err := svc.draft(buyer, asks(want{SKU: "MUG", Quantity: 2}), terms{})
		Expect(err).NotTo(HaveOccurred())
		o.CustomerID, o.Email, o.Metadata = customer, email, map[string]string{}
		Expect(svc.db.InTx(buyer, func(tx *db.Tx) error {
			o, err = svc.place(buyer, tx, o)
			return err
		})).To(Succeed())
		return o
	}
	short := func(ids ...uuid.UUID) {
		GinkgoHelper()
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error { return svc.onInsufficient(bus, tx, shortNews(ids...)) })).To(Succeed())
	}
	erased := func(customer string) {
		GinkgoHelper()
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error {
			return svc.onErased(bus, tx, []event.Received[identityapi.CustomerErased]{received(identityapi.CustomerErased{CustomerID: customer})})
		})).To(Succeed())
	}

	It("hears it once, however often the news comes", func() {
		o := placed("guest-7", "ana@example.com")
		short(o.ID, o.ID)
		short(o.ID)
		Expect(post.mails).To(ConsistOf(mail.Message{To: "ana@example.com", Template: "order-short", Data: map[string]string{"order": fmt.Sprint(o.Number)}}))
		Expect(waiting()).To(Equal(1))
	})

	It("hears nothing when the news is undone with its transaction", func() {
		o := placed("guest-7", "ana@example.com")
		Expect(svc.db.InTx(bus, func(tx *db.Tx) error {
			Expect(svc.onInsufficient(bus, tx, shortNews(o.ID))).To(Succeed())
			return context.Canceled
		})).To(MatchError(context.Canceled))
		Expect(waiting()).To(BeZero())
		short(o.ID)
		Expect(waiting()).To(Equal(1))
	})

	It("hears what of the money goes back", func() {
		o := placed("guest-7", "ana@example.com")
		Expect(testkit.SQL(testkit.Shared().Super).Exec(`update orders.orders set captured_minor = 2500, refunded_minor = 400 where id = $1`, o.ID)).Error().NotTo(HaveOccurred())
		short(o.ID)
		Expect(post.mails).To(ConsistOf(HaveField("Data", HaveKeyWithValue("refund", "21.00 EUR"))))
	})

	It("hears nothing of an order that was cancelled before", func() {
		o := placed("guest-7", "ana@example.com")
		Expect(calledOff(buyer, svc, o.ID, "")).Error().NotTo(HaveOccurred())
		short(o.ID)
		Expect(waiting()).To(BeZero())
	})

	It("is found under the address of the account when the order has none", func() {
		known, unknown := clock.NewID().String(), clock.NewID().String()
		svc.customers = directory{known: "mia@example.com"}
		short(placed(known, "").ID, placed(unknown, "").ID, placed("guest-8", "").ID, placed(known, "work@example.com").ID)
		Expect(post.mails).To(ConsistOf(HaveField("To", "mia@example.com"), HaveField("To", "work@example.com")))
	})

	It("hears nothing once they were erased", func() {
		gone, here := clock.NewID().String(), clock.NewID().String()
		svc.customers = directory{gone: "gone@example.com", here: "here@example.com"}
		late, other := placed(gone, "gone@example.com"), placed(here, "")
		// As far as orders has heard; the order itself is not forgotten yet.
		Expect(testkit.SQL(testkit.Shared().Super).Exec(`insert into platform.erasure (tenant_id, subject) values ($1, $2)`, shop, gone)).Error().NotTo(HaveOccurred())
		short(late.ID, other.ID)
		Expect(post.mails).To(ConsistOf(HaveField("To", "here@example.com")))
	})

	It("has a letter taken back that has not left when they are erased", func() {
		gone := clock.NewID().String()
		short(placed(gone, "elsewhere@example.com").ID, placed("guest-9", "ana@example.com").ID)
		Expect(waiting()).To(Equal(2))
		erased(gone)
		Expect(waiting()).To(Equal(1))
	})

	It("does not keep the news from others by an address that mail cannot be sent to", func() {
		odd, fine := placed("guest-7", `"an na"@example.com`), placed("guest-8", "ana@example.com")
		short(odd.ID, fine.ID)
		Expect(svc.get(buyer, odd.ID)).To(HaveField("Status", failed))
		Expect(post.mails).To(ConsistOf(HaveField("To", "ana@example.com")))
	})
})
