package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"

	"github.com/fusioncommerce/fusion/internal/platform/certs"
	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/config"
)

var oldestTLS = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

// shopTLS is how the shop shows its certificate; nil when it has none.
func shopTLS(cfg config.Config, log *slog.Logger) (*tls.Config, error) {
	if cfg.HTTP.TLSCertFile == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	pair, err := certs.Open(cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile, clock.System, log)
	if err != nil {
		return nil, fmt.Errorf("http.tls_cert_file: %w", err)
	}
	var clients *x509.CertPool
	if cfg.HTTP.TLSClientCA != "" {
		if clients, err = certs.Authorities(cfg.HTTP.TLSClientCA); err != nil {
			return nil, fmt.Errorf("http.tls_client_ca_file: %w", err)
		}
	}
	return pair.Server(oldestTLS[cfg.HTTP.TLSMinVersion], clients), nil
}

// peerTLS is how the program knows other deployments and shows itself to them; nil leaves
// that to the system.
func peerTLS(cfg config.Config, log *slog.Logger) (*tls.Config, error) {
	if cfg.Service.TLSCertFile == "" && cfg.Service.TLSCAFile == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	var servers *x509.CertPool
	var err error
	if cfg.Service.TLSCAFile != "" {
		if servers, err = certs.Authorities(cfg.Service.TLSCAFile); err != nil {
			return nil, fmt.Errorf("service.tls_ca_file: %w", err)
		}
	}
	if cfg.Service.TLSCertFile == "" {
		return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: servers}, nil
	}
	pair, err := certs.Open(cfg.Service.TLSCertFile, cfg.Service.TLSKeyFile, clock.System, log)
	if err != nil {
		return nil, fmt.Errorf("service.tls_cert_file: %w", err)
	}
	return pair.Client(servers), nil
}

// schemeOf is how the shop is asked.
func schemeOf(cfg config.Config) string {
	if cfg.HTTP.TLSCertFile != "" {
		return "https"
	}
	return "http"
}

// toItself is how a command trusts the shop of the same settings, whatever the name that its
// certificate is for: that it is the shop's very certificate is all there is to know. Without
// one that can be read the shop is not known, and the request says so.
func toItself(cfg config.Config) *tls.Config {
	if cfg.HTTP.TLSCertFile == "" {
		return nil
	}
	pair, err := certs.Open(cfg.HTTP.TLSCertFile, cfg.HTTP.TLSKeyFile, clock.System, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil
	}
	return certs.Pinned(pair.Current().Leaf)
}
