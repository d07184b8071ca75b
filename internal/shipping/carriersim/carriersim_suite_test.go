package carriersim_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/netip"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/money"
	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
	"github.com/fusioncommerce/fusion/internal/shipping/carriersim"
	"github.com/fusioncommerce/fusion/internal/shipping/easypost"
	"github.com/fusioncommerce/fusion/internal/shipping/shippo"
)

func TestCarrierSim(t *testing.T) {
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(testkit.Patience)
	RunSpecs(t, "carriers before the simulator")
}

// trade is one of the two carriers, and how its API calls what specs break.
type trade struct {
	name    string
	open    func(url string, guard *outbound.Guard) carrier.Carrier
	key     string
	buying  string
	finding string
}

var trades = []trade{
	{easypost.Name, func(url string, g *outbound.Guard) carrier.Carrier { return easypost.New(url, g) }, "EZTKanna", "POST /v2/shipments/{id}/buy", "GET /v2/shipments/{id}"},
	{shippo.Name, func(url string, g *outbound.Guard) carrier.Carrier { return shippo.New(url, g) }, "shippo_test_anna", "POST /transactions", "GET /transactions"},
}

// bench is a carrier before a simulator.
type bench struct {
	carrier.Carrier
	trade
	sim     *carriersim.Simulator
	server  *httptest.Server
	account carrier.Account
}

func newBench(t trade, o carriersim.Options) *bench {
	GinkgoHelper()
	ctx, end := context.WithCancel(context.Background())
	sim := carriersim.New(ctx, o)
	server := httptest.NewServer(sim)
	DeferCleanup(func() {
		end()
		server.CloseClientConnections()
		server.Close()
		sim.Close()
	})
	guard := outbound.New(outbound.Options{Inside: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	return &bench{t.open(server.URL, guard), t, sim, server, carrier.Account{ID: "anna", Key: t.key, WebhookSecrets: []string{"whsec_spec"}}}
}

// parcel of 1.2 kg from Porto to Lisbon.
func parcel() carrier.Consignment {
	return carrier.Consignment{
		Reference: clock.NewID().String(),
		From:      carrier.Address{Name: "Loja", Line1: "Rua das Flores 1", City: "Porto", PostalCode: "4050-262", Country: "PT"},
		To:        carrier.Address{Name: "Anna Silva", Line1: "Avenida da Liberdade 2", City: "Lisboa", PostalCode: "1250-142", Country: "PT"},
		Parcel:    carrier.Parcel{Grams: 1200, Length: 300, Width: 200, Height: 100},
		Items: []carrier.Item{{
			SKU: "MUG", Description: "A mug", Quantity: 2, Grams: 900, Value: money.Amount{Minor: 2598, Currency: money.EUR}, HSCode: "691110", Origin: "PT",
		}},
	}
}

// quoted is the first rate of a parcel.
func (b *bench) quoted(ctx context.Context, p carrier.Consignment) carrier.Rate {
	GinkgoHelper()
	rates, err := b.Rates(ctx, b.account, p)
	Expect(err).NotTo(HaveOccurred())
	Expect(rates).NotTo(BeEmpty())
	return rates[0]
}

func (b *bench) bought(ctx context.Context, p carrier.Consignment) carrier.Label {
	GinkgoHelper()
	l, err := b.Buy(ctx, b.account, p.Reference, b.quoted(ctx, p), carrier.PDF)
	Expect(err).NotTo(HaveOccurred())
	return l
}

// insist buys until it is known what happened. When nobody says it buys again, or looks: both
// are promised to end alike.
func (b *bench) insist(ctx context.Context, key string, r carrier.Rate, looks bool) (l carrier.Label, err error) {
	err = carrier.ErrNoLabel
	for ctx.Err() == nil && (errors.Is(err, carrier.ErrNoLabel) || errors.Is(err, carrier.ErrUnknownOutcome)) {
		once, done := context.WithTimeout(ctx, patience)
		if !looks || errors.Is(err, carrier.ErrNoLabel) {
			l, err = b.Buy(once, b.account, key, r, carrier.PDF)
		} else {
			l, err = b.Find(once, b.account, key, r)
		}
		done()
	}
	return l, err
}
