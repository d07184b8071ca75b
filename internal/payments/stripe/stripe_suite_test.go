package stripe

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/payments/provider"
	"github.com/fusioncommerce/fusion/internal/payments/stripesim"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
)

func TestStripe(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	RunSpecs(t, "stripe")
}

// bench is the provider before a simulator.
type bench struct {
	*Stripe
	sim     *stripesim.Simulator
	account provider.Account
}

func newBench(o stripesim.Options) *bench {
	GinkgoHelper()
	ctx, end := context.WithCancel(context.Background())
	sim := stripesim.New(ctx, o)
	server := httptest.NewServer(sim)
	DeferCleanup(func() {
		end()
		server.CloseClientConnections()
		server.Close()
		sim.Close()
	})
	return &bench{Stripe: New(server.URL, clock.System), sim: sim, account: provider.Account{ID: uuid.NewString(), SecretKey: "sk_test_anna"}}
}

func eur(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: money.EUR} }

// wish to charge 12.99 EUR to a card.
func wish(card string) provider.Charge {
	return provider.Charge{
		Amount: eur(1299), Method: card, Confirm: card != "", ReturnURL: "https://shop.example/back", OrderID: uuid.NewString(), Attempt: clock.NewID().String(),
	}
}

func held(card string) provider.Charge {
	w := wish(card)
	w.Manual = true
	return w
}

func (b *bench) charge(ctx context.Context, c provider.Charge) (provider.Object, error) {
	return b.Charge(ctx, b.account, c.Attempt, c)
}

func (b *bench) charged(ctx context.Context, c provider.Charge) provider.Object {
	GinkgoHelper()
	o, err := b.charge(ctx, c)
	Expect(err).NotTo(HaveOccurred())
	return o
}

func (b *bench) fetched(ctx context.Context, reference string) provider.Object {
	GinkgoHelper()
	o, err := b.Fetch(ctx, b.account, reference)
	Expect(err).NotTo(HaveOccurred())
	return o
}

func (b *bench) refunded(ctx context.Context, reference string, amount money.Amount) provider.Object {
	GinkgoHelper()
	o, err := b.Refund(ctx, b.account, clock.NewID().String(), reference, amount, "order_cancelled")
	Expect(err).NotTo(HaveOccurred())
	return o
}

// lately is a time in which all was made that a spec made.
func lately() provider.Span {
	return provider.Span{From: clock.System().Add(-time.Minute), Until: clock.System().Add(time.Minute)}
}

const soon = 30 * time.Second // for a spec that talks to another program
