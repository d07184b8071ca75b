package httpx

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/telemetry"
)

// Authenticator finds out whom a credential of one kind belongs to.
type Authenticator interface {
	// Recognises tells by the look of a credential whether it is of this kind.
	Recognises(token string) bool
	// Authenticate asks whose it is; ok is false for one that is not valid, or not any more.
	// Of one that was valid until its session ended, id still tells the tenant and the session.
	Authenticate(ctx context.Context, token string) (id identity.Identity, ok bool, err error)
}

// Tenants says for every request whose shop it is for, and whether that is open.
type Tenants interface {
	// At is the tenant whose shop answers under a host.
	At(ctx context.Context, host string) (uuid.UUID, error)
	// Admit gives the request the terms of the tenant, or refuses it.
	Admit(ctx context.Context, id identity.Identity) (context.Context, error)
	// Allowance is how many requests a minute all callers of the tenant of an admitted request
	// may send together; 0 is as many as they like.
	Allowance(ctx context.Context) int
	// Refusals are all that At and Admit can answer.
	Refusals() []*fault.Error
	// Address is where browsers find the shop of an admitted request that was sent to a host,
	// by a scheme.
	Address(ctx context.Context, scheme, host string) (string, error)
	// HasPages reports whether the pages of an origin are those of the shop of an admitted request.
	HasPages(ctx context.Context, origin string) (bool, error)
}

// Options of the server.
type Options struct {
	DB      *db.DB
	Log     *slog.Logger
	Version string
	Tenants Tenants
	// Observe hears of every request, for metrics. route is the pattern, not the path.
	Observe func(method, route string, status int, took time.Duration)
	// Ready names the dependencies with their states.
	Ready func(ctx context.Context) []Dependency
	Clock clock.Clock // nil: the system's
	Gateway
}

// Gateway is how the server deals with the network around it.
type Gateway struct {
	// TrustedProxies are the networks of the proxies before the program.
	TrustedProxies []netip.Prefix
	// Origins are those whose pages may ask from a browser; ":*" at the end is any port.
	Origins []string
	// KeyOrigins tells whether a page of an origin may show a publishable key, be it any.
	KeyOrigins func(ctx context.Context, origin string) bool
	Limits     Limits
	// Concurrency is how many requests are worked on at once; 0 is no bound.
	Concurrency int
	// MaxConnections is how many an address may have at a time; 0 is any number.
	MaxConnections int
	// ServiceByCertificate accepts the key of other deployments only from who shows a client
	// certificate as well.
	ServiceByCertificate bool
}

// Server is the one router of the program.
type Server struct {
	echo *echo.Echo
	api  *API
	log  *slog.Logger
	opt  Options
	// credentials are the kinds that are accepted, in the order in which they are tried.
	credentials []Authenticator
	gate        *gate // nil: no bound
	good        trusted
	// draining makes readiness fail while requests in hand are finished.
	draining chan struct{}
}

// New prepares the router. Modules declare their routes on API() before Handler() serves.
func New(o Options) *Server {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	s := &Server{echo: e, log: o.Log, opt: o, draining: make(chan struct{}), good: trusted{last: map[[32]byte]trust{}}}
	e.HTTPErrorHandler = s.onError
	if o.Concurrency > 0 {
		s.gate = newGate(o.Concurrency, o.Clock)
	}
	e.Pre(s.track, bounded, s.cors, readable, unprefixed)
	e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{DisablePrintStack: true, LogErrorFunc: s.panicked}), s.identify, s.limit, s.inTurn, s.body)

	// Huma keeps these in package variables; they are the same for every server.
	huma.DefaultArrayNullable = false // a list is empty, never null
	huma.ValidateStrictCasing = true
	huma.NewErrorWithContext = func(hc huma.Context, status int, msg string, errs ...error) huma.StatusError {
		return fromHuma(hc.Context(), status, msg, errs)
	}
	// Only its type is asked for, to document it.
	huma.NewError = func(status int, _ string, _ ...error) huma.StatusError { return &Problem{Status: status} }
	cfg := huma.DefaultConfig("FusionCommerce", o.Version)
	cfg.CreateHooks = nil // no $schema links in bodies
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath = "", "", ""
	cfg.Formats = map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat}
	cfg.DefaultFormat = "application/json"
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	describe(cfg.OpenAPI)
	s.api = &API{
		huma: humaecho.New(e, cfg), db: o.DB, log: o.Log, listeners: newListeners(s.draining), closed: o.Tenants.Refusals(),
		state: &declared{permissions: map[string]bool{}, cookies: map[string]bool{}, ended: map[string]bool{}, limits: map[string]Limit{}},
	}
	s.platformRoutes()
	return s
}

// API is where modules declare their routes.
func (s *Server) API() *API { return s.api }

// Accept lets in who shows a credential of a further kind. It is called before Handler serves.
func (s *Server) Accept(a Authenticator) { s.credentials = append(s.credentials, a) }

// Handler serves what was declared.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// serve answers a HEAD as the GET that it is. net/http, which knows better, keeps the
// body from being sent. Echo has chosen the route before its middleware could do this.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead {
		r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
		r.Method = http.MethodGet
	}
	s.echo.ServeHTTP(w, r)
}

type headKey struct{}

func isHead(ctx context.Context) bool { return ctx.Value(headKey{}) != nil }

// Drain turns readiness off and lets every answer be the last of its connection:
// balancers stop sending, requests in hand go on, and those who listen are let go.
func (s *Server) Drain() { close(s.draining) }

func (s *Server) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// requestTimeout bounds one request; the statements within have bounds of their own.
const requestTimeout = 15 * time.Second

var requestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// track gives the request its id, its deadline, its log attributes and its account of
// the database, and notes how it went.
func (s *Server) track(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started, r := time.Now(), c.Request() //nolint:forbidigo // measures, decides nothing
		cl := &call{tenants: s.opt.Tenants, requestID: r.Header.Get("X-Request-Id"), method: r.Method, path: r.URL.Path, instance: r.URL.EscapedPath(), key: r.Header.Get("Idempotency-Key"), ticket: r.Header.Get(ticketHeader), remote: proxies(s.opt.TrustedProxies).client(r), sent: r.Cookies(), query: r.URL.RawQuery, began: started, gone: r.Context().Done(), conn: http.NewResponseController(c.Response())}
		if !requestID.MatchString(cl.requestID) || holdsSecret(cl.requestID) {
			cl.requestID = clock.NewID().String()
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		ctx = context.WithValue(ctx, callKey{}, cl)
		ctx = db.WithCost(ctx, &cl.cost)
		ctx = event.WithOrigin(ctx, event.Origin{CorrelationID: cl.requestID, Traceparent: traceparent(r.Header.Get("traceparent"))})
		ctx = audit.WithOrigin(ctx, audit.Origin{IP: cl.remote.IP, UserAgent: cl.remote.UserAgent, RequestID: cl.requestID})
		ctx = telemetry.With(ctx, slog.String("request_id", cl.requestID))
		c.SetRequest(r.WithContext(ctx))
		h := c.Response().Header()
		h.Set("X-Request-Id", cl.requestID)
		secure(h, cl.remote)
		// Asked when the answer begins, not when the request came: a connection that is
		// kept open would be cut under the next request.
		c.Response().Before(func() {
			if s.isDraining() {
				h.Set("Connection", "close")
			}
		})
		if err := next(c); err != nil {
			c.Error(err)
		}
		s.finished(c, cl, cmp.Or(cl.took, time.Since(started)))
		return nil
	}
}

func (s *Server) finished(c echo.Context, cl *call, took time.Duration) {
	route, status := c.Path(), c.Response().Status
	if route == "" || status == http.StatusNotFound && strings.HasSuffix(route, "*") {
		route = "unmatched"
	}
	if s.opt.Observe != nil {
		s.opt.Observe(knownMethod(cl.method), route, status, took)
	}
	level := slog.LevelDebug // reads would drown the log
	if status >= 400 || cl.method != http.MethodGet {
		level = slog.LevelInfo
	}
	s.log.LogAttrs(c.Request().Context(), level, "request", slog.String("method", knownMethod(cl.method)), slog.String("route", route),
		slog.Int("status", status), slog.Duration("took", took), slog.Int64("round_trips", cl.cost.RoundTrips()))
}

// knownMethod bounds the label, and what the log says: anybody can invent a method.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

var validTraceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

func traceparent(header string) string {
	if validTraceparent.MatchString(header) {
		return header
	}
	return ""
}

// readable refuses paths with characters that no name of ours has and no database takes.
func readable(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if path := c.Request().URL.Path; !utf8.ValidString(path) || strings.ContainsRune(path, 0) {
			return ErrNotFound
		}
		return next(c)
	}
}

// The first release's routes answer without the version as well.
var unversioned = []string{"/products", "/orders", "/inventory", "/campaigns", "/payments", "/shipments", "/shipping/labels"}

func unprefixed(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		for _, p := range unversioned {
			if u.Path == p || strings.HasPrefix(u.Path, p+"/") {
				u.Path = "/v1" + u.Path
				if u.RawPath != "" {
					u.RawPath = "/v1" + u.RawPath
				}
				cl := callOf(c.Request().Context())
				cl.path, cl.instance = u.Path, u.EscapedPath()
				break
			}
		}
		return next(c)
	}
}

// nobodys are the routes that are of no shop: they answer under any name, and to those whose
// shop is closed.
var nobodys = []string{"/", "/health", "/livez", "/readyz", "/.well-known/jwks.json", "/openapi.json", "/docs", "/docs/scalar.js"}

// identify says who asks and for which merchant: the credential's, else the host's. A
// credential that is not valid is refused even where none is needed: the caller believes
// to be somebody.
func (s *Server) identify(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx, header := c.Request().Context(), c.Request().Header.Get("Authorization")
		id := identity.Identity{Tenant: identity.DefaultTenant, Actor: identity.Anonymous}
		if len(c.Request().Header.Values("Authorization")) > 1 {
			return errBadCredential // which of them a proxy has looked at, nobody knows
		}
		if header != "" {
			from := Caller(ctx).IP
			scheme, token, _ := strings.Cut(header, " ")
			token = strings.TrimSpace(token)
			hash := sha256.Sum256([]byte(token))
			if _, known := s.good.find(hash, s.opt.Clock()); !known {
				if err := s.guessing(from, token); err != nil {
					return err
				}
			}
			if !strings.EqualFold(scheme, "Bearer") {
				return errBadCredential.Saying("Send the credential as: Authorization: Bearer <credential>.")
			}
			var ok bool
			var err error
			if id, ok, err = s.authenticate(ctx, token, hash); err != nil {
				return db.Explain(ctx, err)
			}
			if ok && id.IsService() && s.opt.ServiceByCertificate && !Caller(ctx).Certified {
				return errBadCredential.Saying("The service key is accepted on a connection with a client certificate only.")
			}
			if !ok {
				if id.Session == uuid.Nil || !s.api.state.ended[c.Request().Method+" "+c.Path()] {
					s.guessed(c, from)
					return errBadCredential
				}
				id = identity.Identity{Tenant: id.Tenant, Actor: identity.Anonymous}
			}
		}
		if err := s.fromOwnPage(c, id); err != nil {
			return err
		}
		ctx, id, err := s.admit(c, id)
		if err != nil {
			return db.Explain(ctx, err)
		}
		ctx = identity.With(ctx, id)
		ctx = telemetry.With(ctx, slog.String("tenant", id.Tenant.String()), slog.String("actor", id.Actor))
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// admit finds the shop that somebody without a credential asks for, and lets in whose shop
// is open.
func (s *Server) admit(c echo.Context, id identity.Identity) (context.Context, identity.Identity, error) {
	ctx := c.Request().Context()
	if slices.Contains(nobodys, c.Path()) {
		return ctx, id, nil
	}
	if id.IsAnonymous() {
		var err error
		if id.Tenant, err = s.opt.Tenants.At(ctx, Caller(ctx).Host); err != nil {
			return ctx, id, err
		}
	}
	ctx, err := s.opt.Tenants.Admit(ctx, id)
	return ctx, id, err
}

// authenticate asks the kind of credential that this one is of. One that was good is of the
// same kind still: to tell it by its look costs more than to look it up.
func (s *Server) authenticate(ctx context.Context, token string, hash [32]byte) (id identity.Identity, ok bool, err error) {
	now := s.opt.Clock()
	noted, known := s.good.find(hash, now)
	kind := noted.kind
	if !known {
		at := slices.IndexFunc(s.credentials, func(kind Authenticator) bool { return kind.Recognises(token) })
		if at < 0 {
			return identity.Identity{}, false, nil
		}
		kind = s.credentials[at]
	}
	if id, ok, err = kind.Authenticate(ctx, token); err != nil {
		return id, false, err
	}
	switch {
	case !ok:
		s.good.drop(hash)
	case !known || now.Sub(noted.at).Abs() > trustNoted:
		s.good.note(hash, now, kind)
	}
	return id, ok, nil
}

// body looks at the whole body when an Idempotency-Key has to recognise it.
func (s *Server) body(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		cl := callOf(r.Context())
		keys := r.Header.Values("Idempotency-Key")
		if r.Method != http.MethodPost || len(keys) == 0 {
			cl.key = "" // it means nothing here
			return next(c)
		}
		if len(keys) > 1 || len(cl.key) == 0 || len(cl.key) > 255 || strings.ContainsFunc(cl.key, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errKeyLength
		}
		cl.key = recognisable(cl.key)
		if r.ContentLength >= maxBody {
			return errTooLarge
		}
		data, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
		if err != nil {
			return errTooSlow
		}
		if len(data) == maxBody {
			return errTooLarge
		}
		cl.body = canonical(data)
		r.Body = io.NopCloser(bytes.NewReader(data))
		return next(c)
	}
}

func (s *Server) panicked(c echo.Context, err error, stack []byte) error {
	s.log.ErrorContext(c.Request().Context(), "panic", "err", err, "stack", string(stack))
	return fault.ErrInternal
}

// write sends an answer; a client that has this version already gets none.
func (a *answer) write(c echo.Context) {
	h := c.Response().Header()
	h.Set("Cache-Control", "no-store")
	for name, value := range a.header {
		h.Set(name, value)
	}
	for _, cookie := range callOf(c.Request().Context()).cookies {
		c.SetCookie(cookie)
	}
	if a.replayed {
		h.Set("Idempotency-Replayed", "true")
	}
	status := a.status
	if tag := a.header["ETag"]; tag != "" && c.Request().Method == http.MethodGet {
		h.Set("Cache-Control", "no-cache")
		h.Add("Vary", "Authorization")
		if matches(c.Request().Header.Get("If-None-Match"), tag) {
			status = http.StatusNotModified
		}
	}
	if status == http.StatusNoContent || status == http.StatusNotModified || len(a.body) == 0 && status == http.StatusFound {
		c.Response().WriteHeader(status)
		return
	}
	h.Set("Content-Type", "application/json")
	// Without it net/http cuts all but short bodies into chunks, and a HEAD tells no length.
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	c.Response().WriteHeader(status)
	// The client may be gone; there is nobody left to tell.
	_, _ = c.Response().Write(a.body)
}

// matches compares weakly, as If-None-Match does (RFC 9110, 13.1.2).
func matches(header, tag string) bool {
	for candidate := range strings.SplitSeq(header, ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == tag {
			return true
		}
	}
	return false
}

// Timeouts of the listener: net/http has none by default.
func (s *Server) HTTP() *http.Server {
	return &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: hardHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// IsClosed reports the error with which a server that was told to stop returns.
func IsClosed(err error) bool { return errors.Is(err, http.ErrServerClosed) }
