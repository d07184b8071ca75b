package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

func (p *program) devCommand() *cli.Command {
	c := leaf("dev", "Run a shop to try things out: on this machine only, with demo data and an owner's key", "", p.dev, settings())
	c.Description = "It is serve with a PostgreSQL of its own in the data folder, a demo catalog on the first run and a log for people.\n" +
		"What you do stays there: the next start goes on where you stopped."
	return c
}

var errNotLocal = errors.New("fusion dev listens on this machine only")

func (p *program) dev(ctx context.Context, cmd *cli.Command) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	cfg := loaded.Config
	if cfg.HTTP.Addr, err = loopback(cfg.HTTP.Addr, loaded.Origin("http.addr")); err != nil {
		return err
	}
	cfg.Modules, cfg.Log.Format, cfg.Payments.TestProvider = nil, "pretty", true
	// Whoever builds a storefront has it on this machine, at a port that changes.
	cfg.HTTP.CORSOrigins = append(cfg.HTTP.CORSOrigins, "http://localhost:*", "http://127.0.0.1:*", "http://[::1]:*")
	// Until the shop is ready the steps say how it goes.
	level := new(slog.LevelVar)
	level.Set(max(slog.LevelWarn, levelOf(cfg.Log)))
	log := p.logger(cfg.Log, level)
	p.say("FusionCommerce %s", p.version)
	steps := &steps{w: p.stderr, terminal: isTerminal(p.stderr), dir: clusterDir(cfg)}
	s, err := open(ctx, cfg, log, p.version, steps)
	if err != nil {
		steps.clear()
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.run(running) }()
	switch err := p.welcome(running, s, steps); {
	case err == nil:
		level.Set(levelOf(cfg.Log))
	case ctx.Err() == nil:
		stop()
		return errors.Join(<-ended, err)
	default:
		steps.clear()
	}
	if err := <-ended; err != nil {
		return err
	}
	p.say("\nStopped. What you did stays in %s.", shown(filepath.Clean(cfg.Data.Dir)))
	return nil
}

// loopback refuses an address that others reach: the shop of fusion dev is not made for
// them. What a hosting platform sets was not asked for, so only its port is taken.
func loopback(addr, origin string) (string, error) {
	if isLoopback(addr) {
		return addr, nil
	}
	if _, port, err := net.SplitHostPort(addr); err == nil && origin == "env PORT" {
		return net.JoinHostPort("127.0.0.1", port), nil
	}
	return "", fmt.Errorf("%w, and %s (%s) is reached from others.\nUse fusion serve for that, or an address such as 127.0.0.1:8080", errNotLocal, addr, origin)
}

// steps shows a start to the person who waits for it.
type steps struct {
	w        io.Writer
	terminal bool
	dir      string
}

func (s *steps) working(step string) { s.doing(step + " PostgreSQL") }

func (s *steps) database(d *database, took time.Duration) {
	what := "PostgreSQL of FUSION_DATABASE_URL"
	if d.cluster != nil {
		what = fmt.Sprintf("PostgreSQL %s in %s", d.cluster.Version(), shown(s.dir))
	}
	s.done(what, took)
	s.doing("migrating")
}

func (s *steps) migrated(applied int, took time.Duration) {
	what := "Schema is current"
	if applied > 0 {
		what = count(int64(applied), "migration") + " applied"
	}
	s.done(what, took)
}

// doing shows on a terminal what is going on, until the next line takes its place.
func (s *steps) doing(what string) {
	if s.terminal {
		_, _ = fmt.Fprintf(s.w, "\r  … %s\x1b[K", what)
	}
}

// clear takes back what was going on.
func (s *steps) clear() {
	if s.terminal {
		_, _ = fmt.Fprint(s.w, "\r\x1b[K")
	}
}

func (s *steps) done(what string, took time.Duration) { s.line("✓", what, took) }

func (s *steps) line(mark, what string, took time.Duration) {
	s.clear()
	_, _ = fmt.Fprintf(s.w, "  %s %-50s %5.1f s\n", mark, what, took.Seconds())
}

// welcome fills a new shop and says what one can do with it.
func (p *program) welcome(ctx context.Context, s *shop, steps *steps) error {
	key, err := s.ownerKey(ctx)
	if err != nil {
		return err
	}
	c := s.client(key.secret)
	defer c.close()
	if err := s.demo(ctx, c, steps); err != nil {
		return err
	}
	sku, err := c.sample(ctx)
	if err != nil {
		return err
	}
	said := fmt.Sprintf("%s  (shown once, kept in %s)", key.secret, shown(key.file))
	if !key.fresh {
		said = fmt.Sprintf("%s  (kept in %s)", key.prefix(), shown(key.file))
	}
	auth := fmt.Sprintf(`-H "Authorization: Bearer $(cat %s)"`, shellQuoted(shown(key.file)))
	_, err = fmt.Fprintf(p.stdout, `
  API    %[1]s/v1
  Docs   %[1]s/docs
  Key    %[2]s

  Try:
    curl -s '%[1]s/v1/products?limit=2'
    curl -s %[1]s/v1/orders %[3]s -H 'Content-Type: application/json' -d '{"customerId":"anna","items":[{"sku":"%[4]s","quantity":2}]}'
    curl -s %[1]s/v1/inventory/%[4]s %[3]s
    curl -s '%[1]s/v1/campaigns?status=active'

  Stop: Ctrl-C

`, s.url(), said, auth, sku)
	return err
}

// demo makes the demo catalog on the first run. A shop without it is still a shop: the
// next start goes on with what is missing.
func (s *shop) demo(ctx context.Context, c client, steps *steps) error {
	started := time.Now()
	products, err := demoCatalog(0)
	if err != nil {
		return err
	}
	missing, err := c.unseeded(ctx, products)
	if err != nil || !missing {
		return err
	}
	campaigns, methods := 0, 0
	_, err = c.seed(ctx, products, func(done, of int) { steps.doing(fmt.Sprintf("demo shop: %d of %d products", done, of)) })
	if err == nil {
		campaigns, err = c.seedCampaigns(ctx, clock.System())
	}
	if err == nil {
		methods, err = c.seedShipping(ctx)
	}
	if err == nil {
		err = c.seedPayments(ctx)
	}
	if err == nil {
		err = s.settled(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			steps.line("!", "Demo shop is incomplete: "+oneLine(sentence(err), 200), time.Since(started))
		}
		return ctx.Err()
	}
	steps.done("Demo shop: "+count(int64(len(products)), "product")+", "+count(int64(campaigns), "campaign")+", "+count(int64(methods), "shipping method"), time.Since(started))
	return nil
}

// sample is a SKU that can be ordered: the first of the demo catalog, or of what there is.
func (c client) sample(ctx context.Context) (string, error) {
	products, err := demoCatalog(1)
	if err != nil {
		return "", err
	}
	favourite := products[0].SKU
	for _, query := range []string{"sku=" + favourite, "limit=100"} {
		skus, err := c.skus(ctx, "/v1/products?"+query)
		if err != nil {
			return "", err
		}
		for _, sku := range skus {
			if ok, err := c.inStock(ctx, sku); ok || err != nil {
				return sku, err
			}
		}
	}
	return favourite, nil
}

// shown is a path as one would type it.
func shown(path string) string {
	if filepath.IsAbs(path) || strings.HasPrefix(path, "..") {
		return path
	}
	return "./" + filepath.Clean(path)
}

// shellQuoted is a path that every shell reads as one word.
func shellQuoted(path string) string {
	if !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-+@%:,", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
