// Package certs reads the program's certificates and those of its authorities. A pair of
// certificate and key is read again when its files change: what renews certificates need
// not restart the shop.
package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

// freshness is how long the files are not looked at again.
const freshness = time.Second

// Pair is a certificate and its key. Its methods may be called from any goroutine.
type Pair struct {
	certFile, keyFile string
	now               clock.Clock
	log               *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	tried   [2][]byte // what the files held when they were last read
	looked  time.Time
}

// Open reads a pair in PEM form.
func Open(certFile, keyFile string, now clock.Clock, log *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, now: now, log: log, looked: now()}
	content, err := p.read()
	if err != nil {
		return nil, err
	}
	cert, err := p.parse(content)
	if err != nil {
		return nil, err
	}
	p.current, p.tried = cert, content
	return p, nil
}

// Current is the pair that is in the files, or the last one there that was good.
func (p *Pair) Current() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if now.Sub(p.looked).Abs() < freshness {
		return p.current
	}
	p.looked = now
	content, err := p.read()
	if err == nil && bytes.Equal(content[0], p.tried[0]) && bytes.Equal(content[1], p.tried[1]) {
		return p.current
	}
	var cert *tls.Certificate
	if err == nil {
		p.tried = content
		cert, err = p.parse(content)
	}
	if err == nil && now.After(cert.Leaf.NotAfter) {
		err = fmt.Errorf("%s has expired at %s", p.certFile, cert.Leaf.NotAfter.Format(time.RFC3339))
	}
	if err != nil {
		// Between the writing of the one file and of the other they do not match.
		p.log.Warn("the new certificate is not used; the one before stays", "err", err)
		return p.current
	}
	p.current = cert
	p.log.Info("certificate read again", "file", p.certFile, "until", cert.Leaf.NotAfter)
	return cert
}

func (p *Pair) read() (content [2][]byte, err error) {
	if content[0], err = os.ReadFile(p.certFile); err != nil {
		return content, fmt.Errorf("read certificate: %w", err)
	}
	if content[1], err = os.ReadFile(p.keyFile); err != nil {
		return content, fmt.Errorf("read key: %w", err)
	}
	return content, nil
}

func (p *Pair) parse(content [2][]byte) (*tls.Certificate, error) {
	cert, err := tls.X509KeyPair(content[0], content[1])
	if err != nil {
		return nil, fmt.Errorf("use %s with %s: %w", p.certFile, p.keyFile, err)
	}
	return &cert, nil
}

// Server is how a server shows the pair. It asks clients for a certificate of an authority
// when there is one, and lets them do without.
func (p *Pair) Server(oldest uint16, clients *x509.CertPool) *tls.Config {
	c := &tls.Config{
		MinVersion:     oldest,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Current(), nil },
	}
	if clients != nil {
		c.ClientCAs, c.ClientAuth = clients, tls.VerifyClientCertIfGiven
	}
	return c
}

// Client is how a client shows the pair to servers of an authority; nil are the system's.
func (p *Pair) Client(servers *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: servers,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return p.Current(), nil },
	}
}

// Authorities reads certificates in PEM form.
func Authorities(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read authorities: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%w in %s", ErrNone, file)
	}
	return pool, nil
}

// ErrNone means that a file holds no certificate in PEM form.
var ErrNone = errors.New("there is no certificate in PEM form")

// Pinned is how a client knows a server by its very certificate, at whatever address it
// answers.
func Pinned(leaf *x509.Certificate) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	c := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	switch {
	case len(leaf.DNSNames) > 0:
		c.ServerName = leaf.DNSNames[0]
	case len(leaf.IPAddresses) > 0:
		c.ServerName = leaf.IPAddresses[0].String()
	}
	return c
}
