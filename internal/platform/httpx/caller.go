package httpx

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Remote is where a request comes from and what it was sent to, as far as that can be
// believed.
type Remote struct {
	IP        netip.Addr // the zero Addr outside of requests
	UserAgent string
	Scheme    string // http or https
	Host      string // as sent, in lower case, perhaps with a port
	// Certified is who has shown a client certificate of our authority. Who comes through a
	// proxy has not: what that shows is its own.
	Certified bool
}

// Caller is who sent the request that ctx belongs to.
func Caller(ctx context.Context) Remote { return callOf(ctx).remote }

// proxies are the networks whose word about others is believed. Anybody can write the
// headers in which proxies tell whom they ask for.
type proxies []netip.Prefix

// client tells who sent a request: the next one of the chain, or whom proxies that are
// trusted name, from the nearest one on.
func (p proxies) client(r *http.Request) Remote {
	from := Remote{IP: addressOf(r.RemoteAddr), UserAgent: unlessSecret(r.UserAgent()), Scheme: "http", Host: strings.ToLower(r.Host)}
	if r.TLS != nil {
		from.Scheme, from.Certified = "https", len(r.TLS.VerifiedChains) > 0
	}
	if !p.trust(from.IP) {
		return from
	}
	hops := chainOf(list(r.Header, "X-Forwarded-For"))
	if standard := forwarded(list(r.Header, "Forwarded")); len(standard) > 0 {
		one, _ := p.origin(from.IP, hops)
		other, _ := p.origin(from.IP, standard)
		if len(hops) > 0 && one != other {
			// The proxy writes one of the two headers and its client wrote the other: which is
			// which cannot be told.
			return from
		}
		hops = standard
	}
	proto, host := last(list(r.Header, "X-Forwarded-Proto")), last(list(r.Header, "X-Forwarded-Host"))
	ip, at := p.origin(from.IP, hops)
	if at >= 0 {
		proto, host = cmp.Or(hops[at].proto, proto), cmp.Or(hops[at].host, host)
	}
	from.IP, from.Certified = ip, from.Certified && at < 0
	if proto = strings.ToLower(proto); proto == "http" || proto == "https" {
		from.Scheme = proto
	}
	if hostName.MatchString(host) {
		from.Host = strings.ToLower(host)
	}
	return from
}

var hostName = regexp.MustCompile(`^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$`)

func (p proxies) trust(ip netip.Addr) bool {
	return ip.IsValid() && slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(ip) })
}

// hop is one step of a request on its way here.
type hop struct {
	ip          netip.Addr // not valid when the proxy does not say
	proto, host string
}

// origin walks back along the hops as long as who tells of one is trusted. at is the hop
// where it ends, -1 when nobody tells anything.
func (p proxies) origin(nearest netip.Addr, hops []hop) (ip netip.Addr, at int) {
	ip, at = nearest, -1
	for i, h := range slices.Backward(hops) {
		if !p.trust(ip) || !h.ip.IsValid() {
			break
		}
		ip, at = h.ip, i
	}
	return ip, at
}

func chainOf(addresses []string) []hop {
	var hops []hop
	for _, a := range addresses {
		hops = append(hops, hop{ip: addressOf(a)})
	}
	return hops
}

// forwarded reads the elements of RFC 7239.
func forwarded(elements []string) []hop {
	var hops []hop
	for _, e := range elements {
		var h hop
		for pair := range strings.SplitSeq(e, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "for":
				h.ip = addressOf(value)
			case "proto":
				h.proto = value
			case "host":
				h.host = value
			}
		}
		hops = append(hops, h)
	}
	return hops
}

// list is a header whose values may stand in one line or in several.
func list(h http.Header, name string) []string {
	var items []string
	for _, line := range h.Values(name) {
		for item := range strings.SplitSeq(line, ",") {
			items = append(items, strings.TrimSpace(item))
		}
	}
	return items
}

func last(items []string) string {
	if len(items) == 0 {
		return ""
	}
	return items[len(items)-1]
}

// addressOf reads an address with or without a port. An IPv4 address is one however it is
// written.
func addressOf(s string) netip.Addr {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	ip, err := netip.ParseAddr(strings.Trim(s, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}
