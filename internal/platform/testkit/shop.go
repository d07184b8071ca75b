package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/onsi/ginkgo/v2"
	"github.com/onsi/gomega"

	"github.com/fusioncommerce/fusion/internal/platform/apikey"
	"github.com/fusioncommerce/fusion/internal/platform/app"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/mail"
	"github.com/fusioncommerce/fusion/internal/platform/password"
	"github.com/fusioncommerce/fusion/internal/platform/token"
	"github.com/fusioncommerce/fusion/internal/platform/vault"
)

// NewTenant makes a merchant in a database.
func NewTenant(d Database) uuid.UUID {
	ginkgo.GinkgoHelper()
	id := clock.NewID()
	_, err := SQL(d.Super).Exec(`insert into platform.tenant (tenant_id, slug, name) values ($1, $2, 'Spec shop')`, id, "t"+id.String())
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return id
}

// As is a context in which somebody acts for a merchant. Without permissions it is the owner.
func As(tenant uuid.UUID, permissions ...string) context.Context {
	if len(permissions) == 0 {
		permissions = []string{identity.Everything}
	}
	return identity.With(context.Background(), identity.Identity{Tenant: tenant, Actor: "key:spec", Permissions: permissions})
}

// AsCustomer is a context in which a customer of a merchant acts.
func AsCustomer(tenant uuid.UUID, customer string) context.Context {
	return identity.With(context.Background(), identity.Identity{
		Tenant: tenant, Actor: "user:" + customer, Customer: customer, Permissions: identity.Storefront(),
	})
}

// Key makes an API key of a merchant.
func Key(d *db.DB, tenant uuid.UUID, permissions ...string) string {
	ginkgo.GinkgoHelper()
	if len(permissions) == 0 {
		permissions = []string{identity.Everything}
	}
	_, secret, err := apikey.Create(As(tenant), d, "spec", permissions)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	return secret
}

var masterKey = sync.OnceValue(vault.GenerateKey)

// Vault opens what other vaults of this test process have sealed.
func Vault() *vault.Vault { return vault.New(masterKey()) }

// Log writes to the output of the running spec.
func Log() *slog.Logger {
	return slog.New(slog.NewTextHandler(ginkgo.GinkgoWriter, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Shop is a running program with a client that acts for one merchant.
type Shop struct {
	URL    string
	App    *app.App
	Tenant uuid.UUID
	Key    string
	// OnResponse, when set, sees every response: to validate it against the document.
	OnResponse func(*http.Request, *http.Response, []byte)
}

// Start runs the modules on a database until the spec ends, with a merchant of its own.
func Start(d Database, o app.Options, modules func(app.Kit) []app.Module) *Shop {
	ginkgo.GinkgoHelper()
	o.DatabaseURL, o.Log, o.Version = d.App, Log(), "spec"
	o.APIConnections, o.BusConnections, o.Drain = 16, 6, Patience
	if o.Tokens.Algorithm == "" {
		o.Tokens.Algorithm = token.EdDSA // an RSA key takes a good part of a second
	}
	if o.Passwords == (password.Settings{}) {
		o.Passwords = password.Settings{Passes: 1, MemoryKiB: 64, Threads: 1} // real ones cost 60 ms each
	}
	if o.Vault == nil {
		o.Vault = Vault()
	}
	if o.Mail == (mail.Options{}) {
		o.Mail = mail.Options{Dir: mailFolder(), From: "shop@example.com", LinkBase: "https://shop.example.com"}
	}
	a, err := app.New(o, modules)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx, ln) }()
	ginkgo.DeferCleanup(func() {
		stop()
		gomega.Eventually(done, 2*Patience).Should(gomega.Receive(gomega.Succeed()))
		gomega.Expect(a.Close()).To(gomega.Succeed())
	})
	tenant := NewTenant(d)
	s := &Shop{URL: "http://" + ln.Addr().String(), App: a, Tenant: tenant, Key: Key(a.DB(), tenant)}
	gomega.Eventually(func() int { return s.Get("/readyz").Status }, Patience, "10ms").Should(gomega.Equal(http.StatusOK))
	return s
}

// With is the same shop for another caller. An empty key is none.
func (s *Shop) With(key string) *Shop {
	c := *s
	c.Key = key
	return &c
}

// Response is what came back.
type Response struct {
	Status int
	Header http.Header
	Raw    []byte
}

// JSON decodes the body.
func (r Response) JSON() map[string]any {
	ginkgo.GinkgoHelper()
	var out map[string]any
	gomega.Expect(json.Unmarshal(r.Raw, &out)).To(gomega.Succeed(), "%s", r.Raw)
	return out
}

// Code of a problem.
func (r Response) Code() string {
	ginkgo.GinkgoHelper()
	code, _ := r.JSON()["code"].(string)
	return code
}

// Header is a request header of a call.
type Header struct{ Name, Value string }

// Get reads.
func (s *Shop) Get(path string, headers ...Header) Response {
	ginkgo.GinkgoHelper()
	return s.Call(http.MethodGet, path, nil, headers...)
}

// Post sends a body: a string as it is, anything else as JSON.
func (s *Shop) Post(path string, body any, headers ...Header) Response {
	ginkgo.GinkgoHelper()
	return s.Call(http.MethodPost, path, body, headers...)
}

// Call makes a request.
func (s *Shop) Call(method, path string, body any, headers ...Header) Response {
	ginkgo.GinkgoHelper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = bytes.NewReader([]byte(b))
	default:
		encoded, err := json.Marshal(b)
		gomega.Expect(err).NotTo(gomega.HaveOccurred())
		reader = bytes.NewReader(encoded)
	}
	r, err := http.NewRequest(method, s.URL+path, reader)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if s.Key != "" {
		r.Header.Set("Authorization", "Bearer "+s.Key)
	}
	if reader != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		r.Header.Set(h.Name, h.Value)
		if h.Value == "" {
			r.Header.Del(h.Name)
		}
	}
	return s.Do(r)
}

// Do makes a request as it is.
func (s *Shop) Do(r *http.Request) Response {
	ginkgo.GinkgoHelper()
	resp, err := client.Do(r)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	gomega.Expect(err).NotTo(gomega.HaveOccurred())
	if s.OnResponse != nil {
		s.OnResponse(r, resp, raw)
	}
	return Response{resp.StatusCode, resp.Header, raw}
}

var client = &http.Client{
	Timeout:       30 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
}
