package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/config"
)

// shop is a started program: database, modules, listeners.
type shop struct {
	cfg     config.Config
	log     *slog.Logger
	db      *database
	app     *app.App
	ln      net.Listener
	applied int // migrations
}

var errPortTaken = errors.New("the address is taken")

// listen comes first: a port that is taken is found before anything is started.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: another program listens on %s.\nStop it, or choose another address: --addr 127.0.0.1:8081", errPortTaken, addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	return ln, nil
}

// open starts the database, brings the schema up to date and mounts the modules.
func open(ctx context.Context, cfg config.Config, log *slog.Logger, version string, progress func(string)) (s *shop, err error) {
	chosen, err := selected(cfg.Modules)
	if err != nil {
		return nil, err
	}
	s = &shop{cfg: cfg, log: log}
	if s.ln, err = listen(ctx, cfg.HTTP.Addr); err != nil {
		return nil, err
	}
	if s.db, err = openDatabase(ctx, cfg, log, progress, false); err != nil {
		return nil, errors.Join(err, s.ln.Close())
	}
	names := cfg.Modules
	if len(names) == 0 {
		names = moduleNames()
	}
	if s.applied, err = s.db.prepare(ctx, cfg.Database.AutoMigrate, names); err == nil {
		s.app, err = app.New(appOptions(cfg, s.db.app, log, version), chosen)
	}
	if err != nil {
		return nil, errors.Join(err, s.ln.Close(), s.db.close(ctx))
	}
	return s, nil
}

func appOptions(cfg config.Config, dsn string, log *slog.Logger, version string) app.Options {
	return app.Options{
		DatabaseURL: dsn, APIConnections: cfg.Database.APIConnections, BusConnections: cfg.Database.BusConnections,
		BootstrapKey: cfg.Bootstrap.Key.Reveal(), Version: version, Drain: cfg.Shutdown.Timeout, Log: log,
	}
}

// run answers until ctx ends, then stops everything in order.
func (s *shop) run(ctx context.Context) error {
	stopOps := s.ops(ctx)
	go s.db.keep(ctx)
	err := s.app.Serve(ctx, s.ln)
	return errors.Join(reach(err), stopOps(), s.app.Close(), s.db.close(ctx))
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

// private tells that the database is the shop's own cluster.
func (s *shop) private() bool { return s.db.cluster != nil }

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// isTerminal decides between a log for people and one for machines.
func isTerminal(f any) bool {
	file, ok := f.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
