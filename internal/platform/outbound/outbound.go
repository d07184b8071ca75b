// Package outbound makes requests to addresses that somebody else has chosen: identity
// providers, webhooks. None of them reaches what only we can reach.
//
// What counts is the address that is dialled, after all names are resolved: a check of the
// URL alone can be talked out of by a name that means something else the next moment.
package outbound

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Options of the guard.
type Options struct {
	// Inside are networks that may be reached although they are not public, at any port and
	// without TLS: the loopback where one develops, a provider in the own network.
	Inside   []netip.Prefix
	Resolver *net.Resolver // nil: the system's
}

// Guard lets requests out.
type Guard struct {
	inside   []netip.Prefix
	resolver *net.Resolver
	ports    []uint16
	client   *http.Client
}

// ErrDestination means that a request would have gone where none may go.
var ErrDestination = errors.New("destination not allowed")

const (
	// MaxBody is what is read of an answer, at most, unless a client is made for more.
	MaxBody = 64 << 10
	// timeout is for the whole of a request, with its answer.
	timeout = 15 * time.Second
	// connectTimeout is for one connection, and again for its TLS.
	connectTimeout = 5 * time.Second
)

// New makes a guard.
func New(o Options) *Guard {
	g := &Guard{inside: o.Inside, resolver: o.Resolver, ports: []uint16{443, 8443}}
	g.client = g.Larger(MaxBody, timeout)
	return g
}

// Larger makes a client of its own, for those who send more than most, or take longer: its
// answers are cut off at other bounds.
func (g *Guard) Larger(maxBody int, patience time.Duration) *http.Client {
	return &http.Client{
		Timeout: patience,
		// An answer that sends us elsewhere is an answer: who asks sees that it is none of use.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     bounded{g, g.transport(patience), maxBody},
	}
}

// Client makes the requests. Its answers are cut off, with an error, at MaxBody.
func (g *Guard) Client() *http.Client { return g.client }

func (g *Guard) transport(patience time.Duration) *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, Resolver: g.resolver, Control: g.control}
	return &http.Transport{
		// No proxy of the environment: it would dial for us, and knows nothing of this.
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: connectTimeout, ResponseHeaderTimeout: patience, MaxResponseHeaderBytes: 16 << 10,
		ForceAttemptHTTP2: true, DisableCompression: true,
		MaxConnsPerHost: 8, MaxIdleConnsPerHost: 2, MaxIdleConns: 32, IdleConnTimeout: time.Minute,
	}
}

// control is asked before each connection, with the address that it would be made to.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(to) {
		return fmt.Errorf("%w: %s", ErrDestination, address)
	}
	return nil
}

func (g *Guard) allows(to netip.AddrPort) bool {
	ip := to.Addr().Unmap().WithZone("")
	return g.isInside(ip) || isPublic(ip) && slices.Contains(g.ports, to.Port())
}

func (g *Guard) isInside(ip netip.Addr) bool {
	return slices.ContainsFunc(g.inside, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// Flaw says what is wrong with an address that somebody gives, for their eyes; it is empty
// when nothing is. That requests may go there when the time comes, it does not promise.
func (g *Guard) Flaw(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return "must be a URL such as https://login.example.com"
	case u.User != nil:
		return "must not hold a user or a password"
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return "must not have a fragment"
	}
	host, port := u.Hostname(), u.Port()
	ip, err := netip.ParseAddr(host)
	ip = ip.Unmap().WithZone("")
	inside := err == nil && g.isInside(ip) || host == "localhost" && g.isInside(netip.AddrFrom4([4]byte{127, 0, 0, 1}))
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !inside):
		return "must begin with https://"
	case inside:
		return ""
	case err == nil && !isPublic(ip), err != nil && !isName(host):
		return "must not lead to an address that is not public"
	case port != "" && !g.isPort(port):
		return "must use the port 443 or 8443"
	}
	return ""
}

func (g *Guard) isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && slices.Contains(g.ports, uint16(n))
}

// isName tells a name that the whole world can resolve from one that only we can, and from
// numbers that some resolvers take for an address (127.1, 0x7f000001, 2130706433).
func isName(host string) bool {
	labels := strings.Split(strings.TrimSuffix(host, "."), ".")
	last := labels[len(labels)-1]
	if len(labels) < 2 || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return false
	}
	return !slices.Contains([]string{"localhost", "local", "internal", "localdomain", "home", "lan", "corp", "onion"}, strings.ToLower(last))
}

// bounded looks at every request once more, and cuts its answer off.
type bounded struct {
	guard   *Guard
	next    http.RoundTripper
	maxBody int
}

// RoundTrip sends a request that may be sent.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if flaw := b.guard.Flaw(r.URL.String()); flaw != "" {
		return nil, fmt.Errorf("%w: it %s", ErrDestination, flaw)
	}
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer.Body = &cut{ReadCloser: answer.Body, left: b.maxBody}
	return answer, nil
}

// ErrTooLong means that an answer was longer than anybody needs.
var ErrTooLong = errors.New("the answer is too long")

type cut struct {
	io.ReadCloser
	left int
}

// Read fails where the answer goes on beyond what is left.
func (c *cut) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, ErrTooLong
	}
	n, err := c.ReadCloser.Read(p[:min(len(p), c.left+1)])
	if c.left -= n; c.left < 0 {
		return n - 1, ErrTooLong
	}
	return n, err
}
