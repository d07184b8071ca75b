package model_test

import (
	"context"
	"database/sql"
	"net"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/catalog"
	"github.com/fusioncommerce/fusion/internal/inventory"
	"github.com/fusioncommerce/fusion/internal/orders"
	"github.com/fusioncommerce/fusion/internal/orders/ordersapi"
	"github.com/fusioncommerce/fusion/internal/payments"
	"github.com/fusioncommerce/fusion/internal/payments/inhouse"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/testkit"
	"github.com/fusioncommerce/fusion/internal/platform/token"
	"github.com/fusioncommerce/fusion/internal/shipping"
)

// unpaidFor is how long buyers have to pay.
const unpaidFor = time.Hour

// program is the modules in one process, which can be stopped and started anew. Whoever asks it
// something holds mu for reading.
type program struct {
	database testkit.Database
	auditor  *sql.DB

	mu     sync.RWMutex
	app    *app.App
	orders *orders.Module
	url    string
	stop   func()
}

func opened() *program {
	GinkgoHelper()
	d := testkit.NewDatabase()
	p := &program{database: d, auditor: testkit.SQL(d.Super)}
	p.auditor.SetMaxOpenConns(20)
	p.auditor.SetMaxIdleConns(20)
	p.start()
	DeferCleanup(func() { p.stop() })
	return p
}

func (p *program) start() {
	GinkgoHelper()
	a, err := app.New(app.Options{
		DatabaseURL: p.database.App, Log: testkit.Log(), Version: "spec", APIConnections: 20, BusConnections: 8, Drain: testkit.Patience,
		Vault: testkit.Vault(), Tokens: token.Options{Algorithm: token.EdDSA}, Gateway: httpx.Gateway{},
	}, func(k app.Kit) []app.Module {
		products := catalog.New(k)
		p.orders = orders.New(k, products, ordersapi.Rules{UnpaidFor: unpaidFor})
		return []app.Module{products, inventory.New(k), p.orders, shipping.New(k, products, p.orders), payments.New(k, p.orders, inhouse.Test(k.DB))}
	})
	Expect(err).NotTo(HaveOccurred())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, ln) }()
	p.app, p.url = a, "http://"+ln.Addr().String()
	p.stop = func() {
		cancel()
		Eventually(done, 2*testkit.Patience).Should(Receive(Succeed()))
		Expect(a.Close()).To(Succeed())
	}
}

// restart stops the program with whatever it has in hand, and starts it anew.
func (p *program) restart() {
	GinkgoHelper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop()
	p.start()
}

func (*program) context() context.Context { return context.Background() }
