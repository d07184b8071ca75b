package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/catalog/catalogapi"
	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

//go:embed demo/products.json
var demoFile []byte

// demoProduct is the body of a request to create it.
type demoProduct struct {
	SKU         string `json:"sku"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Price       string `json:"price"`
	Currency    string `json:"currency"`
	Inventory   int64  `json:"inventory"`
}

// demoCatalog is n products: those of the file, then editions of them.
func demoCatalog(n int) ([]demoProduct, error) {
	var file []demoProduct
	if err := json.Unmarshal(demoFile, &file); err != nil {
		return nil, fmt.Errorf("read the demo catalog: %w", err)
	}
	if n == 0 {
		return file, nil
	}
	products := make([]demoProduct, n)
	for i := range products {
		products[i] = file[i%len(file)]
		if edition := i/len(file) + 1; edition > 1 {
			products[i].SKU += "-" + strconv.Itoa(edition)
			products[i].Name += ", Edition " + strconv.Itoa(edition)
		}
	}
	return products, nil
}

func (p *program) seedCommand() *cli.Command {
	c := leaf("seed", "Fill the shop with a demo catalog; what is there already is left alone", "", p.seed, []cli.Flag{
		&cli.IntFlag{Name: "products", Usage: "Make `N` products: beyond the 60 there are, editions of them", DefaultText: "60"},
	}, tenantFlag(), jsonFlag(), settings("data", "database.url", "database.migrate_url", "database.auto_migrate"))
	c.Description = "Some of it is offered to groups: one campaign runs, one begins tomorrow. Two ways to send come with it. The products go through the same requests as a merchant's own. A running shop sees them at once."
	return c
}

const mostProducts = 100_000

func (p *program) seed(ctx context.Context, cmd *cli.Command) error {
	n := cmd.Int("products")
	if cmd.IsSet("products") && (n < 1 || n > mostProducts) {
		return usageError(fmt.Sprintf("--products takes a number from 1 to %d", mostProducts))
	}
	products, err := demoCatalog(n)
	if err != nil {
		return err
	}
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	made, err := p.seedInto(ctx, loaded.Config, cmd.String("tenant"), products)
	if err != nil {
		return err
	}
	kept := len(products) - made.products
	return p.show(cmd, map[string]int{"products": len(products), "created": made.products, "kept": kept, "campaigns": made.campaigns, "shippingMethods": made.methods}, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "Demo catalog: %s, %d new, %d there already; %s started, %s offered.\n",
			count(int64(len(products)), "product"), made.products, kept, count(int64(made.campaigns), "campaign"), count(int64(made.methods), "shipping method"))
	})
}

// seeded is how much of the demo was not there before.
type seeded struct{ products, campaigns, methods int }

// seedInto runs a shop of its own beside a running one, or without, for as long as it takes.
func (p *program) seedInto(ctx context.Context, cfg config.Config, slug string, products []demoProduct) (made seeded, err error) {
	key := config.NewSecret(rand.Text() + rand.Text()) // of this process; stored nowhere
	cfg.Bootstrap.Key, cfg.Ops.Addr = key, ""
	cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile, cfg.HTTP.TLSClientCA = "", "", "" // it talks to itself
	log := p.quietLogger(cfg.Log)
	s := &shop{cfg: cfg, log: log}
	// Where modules are apart, the others of them are another deployment's.
	if s.modules, err = chosen(cfg.Modules); err != nil {
		return made, err
	}
	if s.ln, err = listen(ctx, "127.0.0.1:0"); err != nil {
		return made, err
	}
	if s.db, err = openDatabase(ctx, cfg, log, p.waiting, true); err != nil {
		return made, errors.Join(err, s.ln.Close())
	}
	// The schema of a running shop is that shop's to change.
	s.cfg.Database.AutoMigrate = cfg.Database.AutoMigrate && !s.db.attached
	if err := s.mount(ctx, p.version, logged{log}); err != nil {
		return made, errors.Join(err, s.ln.Close(), s.db.close(ctx))
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.run(running) }()
	shown, forget, err := s.seedKey(ctx, slug, key.Reveal())
	c := s.client(shown)
	if err == nil && slices.Contains(s.modules, "catalog") {
		made.products, err = c.seed(running, products, p.counting())
	}
	if err == nil && slices.Contains(s.modules, "catalog") && slices.Contains(s.modules, "groupbuy") {
		made.campaigns, err = c.seedCampaigns(running, clock.System())
	}
	if err == nil && slices.Contains(s.modules, "shipping") {
		made.methods, err = c.seedShipping(running)
	}
	if err == nil {
		err = s.settled(running)
	}
	c.close()
	err = errors.Join(err, forget())
	stop()
	return made, errors.Join(err, <-ended)
}

// seedKey is the key of this process, or, for another tenant than the default one, one that
// lasts as long as the command.
func (s *shop) seedKey(ctx context.Context, slug, own string) (secret string, forget func() error, err error) {
	forget = func() error { return nil }
	if slug == "" {
		return own, forget, nil
	}
	t, err := named(asShop(ctx), tenant.New(s.app.DB(), event.NewLog(), 0), slug)
	if err != nil {
		return "", forget, err
	}
	acting, err := identity.From(asShop(ctx))
	if err != nil {
		return "", forget, err
	}
	acting.Tenant = t.ID
	ctx = identity.With(ctx, acting)
	key, secret, err := makeKey(ctx, s.app.DB(), apikey.Terms{Name: "Demo (fusion seed)", Kind: apikey.Secret, Permissions: []string{identity.Everything}})
	if err != nil {
		return "", forget, err
	}
	return secret, func() error { return endKey(context.WithoutCancel(ctx), s.app.DB(), key.ID) }, nil
}

// counting shows on a terminal how far it is.
func (p *program) counting() func(done, of int) {
	if !isTerminal(p.stderr) {
		return func(int, int) {}
	}
	return func(done, of int) {
		_, _ = fmt.Fprintf(p.stderr, "\r  … demo catalog %d of %d\x1b[K", done, of)
		if done == of {
			_, _ = fmt.Fprint(p.stderr, "\r\x1b[K")
		}
	}
}

// settled waits until the consumers of new products have caught up: then these have their
// stock. What fails for a reason of its own is not waited for.
func (s *shop) settled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		list, err := event.Backlogs(ctx, s.app.DB())
		if err != nil {
			return fmt.Errorf("wait for the stock: %w", err)
		}
		busy := false
		for _, b := range list {
			busy = busy || b.Topic == catalogapi.ProductCreated{}.EventType() && b.Waiting > b.Failing
		}
		if !busy {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the stock: %w", ctx.Err())
		case <-tick.C:
		}
	}
}
