package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/certs"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/config"
	"github.com/fusioncommerce/fusion/internal/platform/ratelimit"
)

// renewal is what those who renew certificates leave at least; with less, nobody does.
const renewal = 21 * 24 * time.Hour

// certificates are read as the shop reads them; the worst is what is said.
func (c *checkup) certificates(cfg config.Config) {
	if cfg.HTTP.TLSCertFile == "" && cfg.Service.TLSCertFile == "" {
		c.ok("certificates", "none are needed: TLS, if there is any, ends before the shop")
		return
	}
	var good []string
	for _, pair := range []struct{ setting, cert, key, host string }{
		{"http.tls_cert_file", cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile, hostOf(cfg.HTTP.Addr)},
		{"service.tls_cert_file", cfg.Service.TLSCertFile, cfg.Service.TLSKeyFile, ""},
	} {
		if pair.cert == "" {
			continue
		}
		p, err := certs.Open(pair.cert, pair.key, clock.System, slog.New(slog.DiscardHandler))
		if err != nil {
			c.note("certificates", problem, pair.setting+": "+err.Error(), "Name a certificate and the key that it was made for, both in PEM form")
			return
		}
		leaf := p.Current().Leaf
		left, until := leaf.NotAfter.Sub(clock.System()), leaf.NotAfter.Format(time.DateOnly)
		switch {
		case left <= 0:
			c.note("certificates", problem, fmt.Sprintf("%s: %s expired on %s", pair.setting, pair.cert, until), "Renew it; the shop reads the new one by itself")
			return
		case pair.host != "" && leaf.VerifyHostname(pair.host) != nil:
			c.note("certificates", problem, fmt.Sprintf("%s: %s is for %s, and the shop listens on %s", pair.setting, pair.cert, names(leaf), pair.host), "Get one for that name")
			return
		case left < renewal:
			c.note("certificates", warning, fmt.Sprintf("%s: %s expires on %s", pair.setting, pair.cert, until), "See why it is not renewed")
			return
		}
		good = append(good, fmt.Sprintf("%s for %s until %s", pair.cert, names(leaf), until))
	}
	for _, file := range []string{cfg.HTTP.TLSClientCA, cfg.Service.TLSCAFile} {
		if file == "" {
			continue
		}
		if _, err := certs.Authorities(file); err != nil {
			c.note("certificates", problem, err.Error(), "Name a file with the authorities' certificates in PEM form")
			return
		}
	}
	c.ok("certificates", "%s", strings.Join(good, ", "))
}

// hostOf is the host of an address that means one and that others reach.
func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || isLoopback(addr) || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return host
}

func names(leaf *x509.Certificate) string {
	all := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return strings.Join(all, ", ")
}

// limits are counted without their store as well, so that it is never a problem.
func (c *checkup) limits(ctx context.Context, cfg config.Config) {
	if cfg.Limits.StoreURL.IsZero() {
		c.ok("limits", "each program counts for itself")
		return
	}
	where := "the store of limits.store_url"
	if u, err := url.Parse(cfg.Limits.StoreURL.Reveal()); err == nil {
		where = u.Host
	}
	store, err := ratelimit.NewShared(cfg.Limits.StoreURL.Reveal(), ratelimit.NewLocal(clock.System), clock.System, slog.New(slog.DiscardHandler))
	if err != nil {
		c.note("limits", problem, "limits.store_url cannot be used", "Set FUSION_LIMITS_STORE_URL as in redis://host:6379/0")
		return
	}
	defer func() { _ = store.Close() }()
	if err := store.Check(ctx); err != nil {
		c.note("limits", warning, where+" does not answer: each program counts for itself", "Check FUSION_LIMITS_STORE_URL, and that Redis or Valkey runs there")
		return
	}
	c.ok("limits", "programs count together in %s", where)
}
