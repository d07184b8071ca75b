package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/fusioncommerce/fusion/internal/identity"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/kafka"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/outbound"
)

func (p *program) serveCommand() *cli.Command {
	c := leaf("serve", "Run the shop: API, event handlers and jobs", "", p.serve, settings())
	c.Description = "Without --database-url the shop runs a PostgreSQL of its own in the data folder.\n" +
		"Stop it with Ctrl-C or SIGTERM: requests and events in hand are finished first."
	return c
}

func (p *program) serve(ctx context.Context, cmd *cli.Command) error {
	loaded, err := p.load(cmd)
	if err != nil {
		return err
	}
	cfg := loaded.Config
	log := p.logger(cfg.Log, levelOf(cfg.Log))
	warnOfWeakKey(ctx, cfg, log)
	s, err := open(ctx, cfg, log, p.version, logged{log})
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "listening", "addr", s.ln.Addr().String(), "modules", strings.Join(s.modules, ","), "bus", cfg.Bus.Driver, "version", p.version)
	if err := s.run(ctx); err != nil {
		return err
	}
	log.InfoContext(ctx, "stopped")
	return nil
}

// weakKey is what a bootstrap key should not be shorter than: 24 characters of base64 are
// 144 bits.
const weakKey = 24

func warnOfWeakKey(ctx context.Context, cfg config.Config, log *slog.Logger) {
	if n := len(cfg.Bootstrap.Key.Reveal()); n > 0 && n < weakKey {
		log.WarnContext(ctx, "FUSION_BOOTSTRAP_KEY is short enough to be guessed; use a longer one, such as from: openssl rand -base64 32", "characters", n, "advised", weakKey)
	}
}

// shop is a started program: database, modules, listeners.
type shop struct {
	cfg     config.Config
	log     *slog.Logger
	db      *database
	app     *app.App
	ln      net.Listener
	modules []string
}

// progress hears how a start goes on.
type progress interface {
	working(step string) // on PostgreSQL, as pgcluster.Options.Progress
	database(d *database, took time.Duration)
	migrated(applied int, took time.Duration)
}

// logged is the progress of a server: what it changed is worth a line.
type logged struct{ log *slog.Logger }

func (logged) working(string)                    {}
func (logged) database(*database, time.Duration) {}
func (l logged) migrated(applied int, took time.Duration) {
	if applied > 0 {
		l.log.Info("migrations applied", "count", applied, "took", took)
	}
}

var errPortTaken = errors.New("the address is taken")

// listen comes first: a port that is taken is found before anything is started.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%w: another program listens on %s.\nStop it, or choose another address, as with --addr 127.0.0.1:8081", errPortTaken, addr)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this account may not listen on %s, since ports below 1024 are reserved.\nChoose another address, as with --addr 127.0.0.1:8080", addr)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("this machine does not have the address of %s.\nChoose another, as with --addr 127.0.0.1:8080, or 0.0.0.0:8080 for all it has", addr)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln, nil
}

// open starts the database, brings the schema up to date and mounts the modules.
func open(ctx context.Context, cfg config.Config, log *slog.Logger, version string, tell progress) (s *shop, err error) {
	s = &shop{cfg: cfg, log: log}
	if s.modules, err = chosen(cfg.Modules); err != nil {
		return nil, err
	}
	if s.ln, err = listen(ctx, cfg.HTTP.Addr); err != nil {
		return nil, err
	}
	started := time.Now()
	if s.db, err = openDatabase(ctx, cfg, log, tell.working, false); err != nil {
		return nil, errors.Join(err, s.ln.Close())
	}
	tell.database(s.db, time.Since(started))
	if err = s.mount(ctx, version, tell); err != nil {
		return nil, errors.Join(err, s.ln.Close(), s.db.close(ctx))
	}
	return s, nil
}

// mount brings the schema up to date and mounts the modules.
func (s *shop) mount(ctx context.Context, version string, tell progress) error {
	started := time.Now()
	applied, err := s.db.prepare(ctx, s.cfg.Database.AutoMigrate, withData(s.cfg, s.modules))
	if err != nil {
		return err
	}
	tell.migrated(applied, time.Since(started))
	if asksElsewhere(s.cfg, s.modules) && s.cfg.Bus.Driver != "kafka" {
		s.log.WarnContext(ctx, "the catalog is elsewhere and events stay in this database: new products will have no stock here; set FUSION_BUS=kafka in both deployments")
	}
	options := appOptions(s.cfg, s.db.app, s.log, version)
	trust, err := peerTLS(s.cfg, s.log)
	if err != nil {
		return err
	}
	options.Credentials = peopleElsewhere(s.cfg, s.modules, trust)
	if options.Vault, err = s.db.unlock(ctx, s.cfg, s.log); err != nil {
		return err
	}
	if options.Carrier, err = carrier(s.cfg, s.log); err != nil {
		return err
	}
	if options.TLS, err = shopTLS(s.cfg, s.log); err != nil {
		return err
	}
	var people *identity.Module
	if s.app, err = app.New(options, func(k app.Kit) []app.Module {
		list := selected(s.cfg, s.modules, trust)(k)
		people = peopleOf(list)
		return list
	}); err != nil {
		return err
	}
	if err := s.forget(ctx, people); err != nil {
		return errors.Join(err, s.app.Close())
	}
	return nil
}

// forget repeats the erasures that the database does not know of, because it comes from a
// backup: before anybody can see who was to be forgotten.
func (s *shop) forget(ctx context.Context, people *identity.Module) error {
	if people == nil {
		return nil
	}
	list, err := erasure.Read(erasureFile(s.cfg))
	if err != nil {
		return err
	}
	if list, err = erasure.Missing(ctx, s.app.DB(), list); err != nil {
		return s.db.reach(err, s.db.app)
	}
	for _, e := range list {
		if err := people.Erase(asTenant(ctx, e.Tenant), e.Subject); err != nil {
			return fmt.Errorf("repeat the erasure of %s: %w", e.Subject, s.db.reach(err, s.db.app))
		}
	}
	if len(list) > 0 {
		s.log.InfoContext(ctx, "erasures repeated that the restored database did not know of", "count", len(list))
	}
	return nil
}

// carrier brings events where the settings say that it is not the database that does.
func carrier(cfg config.Config, log *slog.Logger) (event.Carrier, error) {
	if cfg.Bus.Driver != "kafka" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	k, err := kafka.New(brokersOf(cfg.Kafka), log)
	if err != nil {
		return nil, err
	}
	return k, nil
}

func brokersOf(k config.Kafka) kafka.Options {
	return kafka.Options{
		Brokers: k.Brokers, Prefix: k.Prefix, Replication: k.Replication,
		TLS: k.TLS, CAFile: k.CAFile, CertFile: k.CertFile, KeyFile: k.KeyFile,
		SASL: strings.TrimPrefix(k.SASL, "none"), User: k.User, Password: k.Password.Reveal(),
	}
}

func appOptions(cfg config.Config, dsn string, log *slog.Logger, version string) app.Options {
	return app.Options{
		DatabaseURL: dsn, Pooled: cfg.Database.Pooled, APIConnections: cfg.Database.APIConnections, BusConnections: cfg.Database.BusConnections,
		BootstrapKey: cfg.Bootstrap.Key.Reveal(), ServiceKey: cfg.Service.Key.Reveal(), Version: version,
		Tokens:      tokenOptions(cfg.Auth),
		Mail:        mailOptions(cfg),
		Erasures:    erasureFile(cfg),
		Passwords:   passwordSettings(cfg.Auth),
		Audit:       auditOf(cfg),
		Outbound:    outbound.Options{Inside: networks(cfg.Outbound.Inside)},
		PublicURL:   cfg.HTTP.PublicURL,
		StrictHosts: cfg.Tenants.StrictHosts, DeleteGrace: cfg.Tenants.DeleteGrace,
		Delay: cfg.Shutdown.Delay, Drain: cfg.Shutdown.Timeout, Log: log,
		Gateway: gatewayOf(cfg), LimitStore: cfg.Limits.StoreURL.Reveal(),
	}
}

func erasureFile(cfg config.Config) string { return filepath.Join(cfg.Data.Dir, "erasures.log") }

func mailOptions(cfg config.Config) mail.Options {
	return mail.Options{
		SMTPURL: cfg.Mail.SMTPURL.Reveal(), CAFile: cfg.Mail.CAFile, From: cfg.Mail.From,
		Dir:       cmp.Or(cfg.Mail.Dir, filepath.Join(cfg.Data.Dir, "mail")),
		LinkBase:  cmp.Or(cfg.Mail.LinkBase, cfg.HTTP.PublicURL, urlOf(schemeOf(cfg), cfg.HTTP.Addr)),
		AdminBase: cfg.Mail.AdminBase, PublicURL: cfg.HTTP.PublicURL,
	}
}

// auditOf keeps the heads of the audit log beside a private cluster: who gets at its tables
// has not the file as well.
func auditOf(cfg config.Config) app.Audit {
	a := app.Audit{Retention: cfg.Audit.Retention}
	if cfg.Database.URL.IsZero() {
		a.HeadsFile = filepath.Join(cfg.Data.Dir, "audit-heads.log")
	}
	return a
}

var errUnclean = errors.New("the stop was not clean")

// run answers until ctx ends, then stops everything in order.
func (s *shop) run(ctx context.Context) error {
	stopOps := s.ops(ctx)
	kept, letGo := context.WithCancel(ctx)
	go s.db.keep(kept)
	// Somebody who waits for a slow request should not believe that nobody heard.
	heard := context.AfterFunc(ctx, func() {
		s.log.Info("stopping: what is in hand is finished first", "delay", s.cfg.Shutdown.Delay, "patience", s.cfg.Shutdown.Timeout)
	})
	defer heard()
	err := s.app.Serve(ctx, s.ln)
	letGo()
	if ctx.Err() != nil && (errors.Is(err, context.Canceled) || db.IsOutage(err)) {
		s.log.DebugContext(ctx, "stopped in the middle of something", "err", err) // which was told to stop, as we were
		err = nil
	}
	err = errors.Join(s.db.reach(err, s.db.app), stopOps(), s.app.Close(), s.db.close(ctx))
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errUnclean, err)
	}
	return err
}

// url is where this machine finds the shop.
func (s *shop) url() string { return urlOf(schemeOf(s.cfg), s.ln.Addr().String()) }

// urlOf is where this machine finds what listens on addr: an address that means all of
// the machine's is no place to go to.
func urlOf(scheme, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	return scheme + "://" + addr
}

// ops serves metrics on a listener of their own. The shop does not depend on it: when
// the address is taken, as by a second shop on the machine, it does without.
func (s *shop) ops(ctx context.Context) (stop func() error) {
	if s.cfg.Ops.Addr == "" {
		return func() error { return nil }
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Ops.Addr)
	if err != nil {
		s.log.WarnContext(ctx, "no metrics: ops.addr cannot be listened on", "addr", s.cfg.Ops.Addr, "err", err)
		return func() error { return nil }
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.app.Metrics())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	go func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			s.log.WarnContext(ctx, "metrics ended", "err", err)
		}
	}()
	return srv.Close
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
