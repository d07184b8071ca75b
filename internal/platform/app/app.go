// Package app mounts modules on one router, one bus and one job runner, and runs
// them until it is told to stop.
package app

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/erasure"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/jobs"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/outbound"
	"github.com/fusioncommerce/fusion/internal/platform/password"
	"github.com/fusioncommerce/fusion/internal/platform/ratelimit"
	"github.com/fusioncommerce/fusion/internal/platform/telemetry"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
	"github.com/fusioncommerce/fusion/internal/platform/timer"
	"github.com/fusioncommerce/fusion/internal/platform/token"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// Kit is everything that a module may ask of the platform.
type Kit struct {
	DB     *db.DB
	Log    *slog.Logger
	Events *event.Log
	Timers *timer.Timers
	Clock  clock.Clock
	// Tenants knows what each shop has decided.
	Tenants *tenant.Directory
	Vault   *vault.Vault
	Tokens  *token.Tokens
	// Outbound makes requests to addresses that people of a shop choose.
	Outbound *outbound.Guard
	Mail     *mail.Outbox
	Erasures *erasure.Log
	// Passwords are hashed here, so that there is one bound to how many at a time.
	Passwords *password.Hasher
}

// Mount is where a module plugs in its routes, reactions and jobs. It is called once.
type Mount struct {
	API  *httpx.API
	Bus  *event.Bus
	Jobs *jobs.Runner
	// Accept lets in who shows a kind of credential that the module knows.
	Accept func(httpx.Authenticator)
}

// Module is one business capability.
type Module interface {
	Name() string
	Mount(on Mount)
}

// Options of the program.
type Options struct {
	DatabaseURL    string // of the application's role
	Pooled         bool   // through a PgBouncer in transaction mode
	APIConnections int
	BusConnections int
	BootstrapKey   string
	ServiceKey     string // of the shop's other deployments
	Version        string
	Vault          *vault.Vault  // nil: nothing can be sealed
	Tokens         token.Options // their DB, Vault and Clock are the program's
	Outbound       outbound.Options
	Passwords      password.Settings
	Credentials    []httpx.Authenticator // kinds that no module of this process knows
	Mail           mail.Options
	Erasures       string        // file of whose personal data was erased; empty: none
	Carrier        event.Carrier // nil: the database carries the events
	Delay          time.Duration // after a stop, for balancers to notice while requests are still let in
	Drain          time.Duration // how long requests and batches in hand may take after that
	Clock          clock.Clock
	PublicURL      string        // where browsers find the program; empty: what each request says
	StrictHosts    bool          // refuse hosts that no tenant has
	DeleteGrace    time.Duration // in which a deleted tenant can be taken back
	Log            *slog.Logger
	Gateway        httpx.Gateway
	TLS            *tls.Config // nil: it ends before the program
	LimitStore     string      // that programs of one shop share, as redis://host:port; empty: none
	Audit          Audit
	// CheckEvent refuses events that do not follow their schema. Specs set it.
	CheckEvent func(eventType string, version int, data []byte) error
}

// Audit says how long the audit log is kept, and where its heads are.
type Audit struct {
	Retention time.Duration // for ever when it is zero
	HeadsFile string        // heads are appended to it; they are logged in any case
}

// App is the program with its modules mounted.
type App struct {
	opt     Options
	api     *db.DB
	busDB   *db.DB
	server  *httpx.Server
	bus     *event.Bus
	jobs    *jobs.Runner
	timers  *timer.Timers
	vault   *vault.Vault
	mail    *mail.Outbox
	keys    *apikey.Verifier
	sealer  *audit.Sealer
	metrics *telemetry.Metrics
	limits  *ratelimit.Shared // nil: each program counts for itself
}

// New builds the program. It does not reach for the database yet.
func New(o Options, modules func(Kit) []Module) (*App, error) {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Vault == nil {
		o.Vault = &vault.Vault{}
	}
	api, err := db.Open(db.Options{DSN: o.DatabaseURL, Connections: o.APIConnections, Pooled: o.Pooled, Clock: o.Clock})
	if err != nil {
		return nil, err
	}
	busDB, err := db.Open(db.Options{DSN: o.DatabaseURL, Connections: o.BusConnections, Pooled: o.Pooled, Clock: o.Clock})
	if err != nil {
		return nil, errors.Join(err, api.Close())
	}
	a := &App{opt: o, api: api, busDB: busDB, vault: o.Vault, metrics: telemetry.NewMetrics(o.Version)}
	events := event.NewLog()
	events.Check = o.CheckEvent
	a.bus = event.NewBus(busDB, events, o.Log, a.metrics.Delivery)
	if o.Carrier != nil {
		a.bus.CarriedBy(o.Carrier)
	}
	a.jobs = jobs.NewRunner(busDB, o.Log)
	a.timers = timer.New(busDB, o.Log)
	if err := a.count(&o.Gateway.Limits); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	if a.mail, err = mail.New(busDB, o.Vault, o.Log, o.Mail); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	o.Gateway.KeyOrigins = apikey.NewOrigins(api, o.Clock, o.Log).Allow
	tenants := tenant.NewDirectory(api, o.Clock, o.StrictHosts, o.PublicURL)
	a.server = httpx.New(httpx.Options{
		DB: api, Log: o.Log, Version: o.Version,
		Tenants: tenants,
		Observe: a.metrics.Request, Ready: a.ready, Clock: o.Clock, Gateway: o.Gateway,
	})
	a.keys = apikey.NewVerifier(api, o.Clock, o.BootstrapKey, o.ServiceKey)
	a.server.Accept(a.keys)
	for _, kind := range o.Credentials {
		a.server.Accept(kind)
	}
	a.sealer = audit.NewSealer(busDB, o.Log)
	mount := Mount{API: a.server.API(), Bus: a.bus, Jobs: a.jobs, Accept: a.server.Accept}
	for _, j := range append(housekeeping(), auditJobs(o)...) {
		a.jobs.Add(j)
	}
	tokens := a.tokens()
	eventRoutes(mount.API, api, events)
	tenantRoutes(mount.API, api, tenant.New(api, events, o.DeleteGrace))
	if o.Carrier != nil {
		tenant.Follow(a.bus)
	}
	keyRoutes(mount.API, api)
	permissionRoutes(mount.API)
	keySetRoute(mount.API, tokens)
	auditRoutes(mount.API, api)
	kit := Kit{
		DB: api, Log: o.Log, Events: events, Timers: a.timers, Clock: o.Clock, Tenants: tenants,
		Vault:     o.Vault,
		Tokens:    tokens,
		Mail:      a.mail,
		Erasures:  erasure.New(o.Erasures, o.Log),
		Outbound:  outbound.New(o.Outbound),
		Passwords: password.New(cmp.Or(o.Passwords, password.Default)),
	}
	for _, m := range modules(kit) {
		m.Mount(mount)
	}
	if err := a.server.API().Err(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// tokens are signed with keys that the vault seals, and that follow each other.
func (a *App) tokens() *token.Tokens {
	o := a.opt.Tokens
	o.DB, o.Vault, o.Clock = a.api, a.vault, a.opt.Clock
	tokens := token.New(o)
	a.vault.Keep(vault.Sealed{Table: "platform.signing_key", Column: "private_key", Purpose: token.Purpose, Installation: true})
	a.jobs.Add(jobs.Job{Name: "platform.signing-keys", Every: time.Hour, Run: tokens.Maintain})
	return tokens
}

// API describes the routes of the mounted modules.
func (a *App) API() *httpx.API { return a.server.API() }

// Consumers are the names of the mounted modules' reactions.
func (a *App) Consumers() []string { return a.bus.Consumers() }

// Handler answers requests, for specs that need no listener.
func (a *App) Handler() http.Handler { return a.server.Handler() }

// Metrics serves what Prometheus scrapes.
func (a *App) Metrics() http.Handler { return a.metrics.Handler() }

// Vault is where the mounted modules keep their secrets.
func (a *App) Vault() *vault.Vault { return a.vault }

// DB is the pool of the requests.
func (a *App) DB() *db.DB { return a.api }

// Close gives the connections back.
func (a *App) Close() error {
	err := errors.Join(a.api.Close(), a.busDB.Close())
	if a.opt.Carrier != nil {
		err = errors.Join(err, a.opt.Carrier.Close())
	}
	if a.limits != nil {
		err = errors.Join(err, a.limits.Close())
	}
	return err
}

func (a *App) ready(ctx context.Context) []httpx.Dependency {
	// Not on the pool of the requests: a busy program is ready, and taking it out of the
	// balance would only make the next one busier.
	_, err := a.busDB.Pool().ExecContext(ctx, "select 1")
	dependencies := []httpx.Dependency{{Name: "database", Err: err}}
	if ok, err := a.bus.Carried(); ok {
		dependencies = append(dependencies, httpx.Dependency{Name: "events", Err: err, Dispensable: true})
	}
	if a.limits != nil {
		dependencies = append(dependencies, httpx.Dependency{Name: "limits", Err: a.limits.Check(ctx), Dispensable: true})
	}
	return dependencies
}

// Serve answers requests and delivers events until ctx ends. Then it says so to those who
// ask whether it is ready, waits until they have, lets in nothing new, finishes the
// requests in hand, then the batches in hand, and returns.
func (a *App) Serve(ctx context.Context, ln net.Listener) error {
	// The workers outlive the requests: what a last request published is still handled.
	workers, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorkers()
	srv := a.server.HTTP()
	ln = httpx.Bound(ln, a.opt.Gateway.MaxConnections, a.opt.Gateway.TrustedProxies)
	g, failed := errgroup.WithContext(workers)
	g.Go(func() error { return a.bus.Run(failed) })
	g.Go(func() error { return a.jobs.Run(failed) })
	g.Go(func() error { return a.timers.Run(failed) })
	g.Go(func() error { return a.mail.Run(failed) })
	g.Go(func() error { return a.sealer.Run(failed) })
	g.Go(func() error { return a.keys.Run(failed, a.busDB, a.opt.Log) })
	g.Go(func() error {
		if err := a.listen(srv, ln); !httpx.IsClosed(err) {
			return fmt.Errorf("serve: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-failed.Done():
		}
		defer stopWorkers()
		a.server.Drain()
		a.linger(failed)
		// Requests have most of the time; the batches in hand, which are short, the rest.
		patience := a.opt.Drain * 3 / 5
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			return errors.Join(fmt.Errorf("requests were still running after %s: %w", patience, err), srv.Close())
		}
		return nil
	})
	return g.Wait()
}

func (a *App) listen(srv *http.Server, ln net.Listener) error {
	if a.opt.TLS == nil {
		return srv.Serve(ln)
	}
	srv.TLSConfig = a.opt.TLS
	return srv.ServeTLS(ln, "", "") // the configuration has the certificate
}

// linger lets requests in for a while that are sent by those who have not noticed yet.
func (a *App) linger(failed context.Context) {
	noticed := time.NewTimer(a.opt.Delay)
	defer noticed.Stop()
	select {
	case <-noticed.C:
	case <-failed.Done():
	}
}
