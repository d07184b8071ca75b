package tenant

import (
	"net"
	"net/url"
	"strings"
)

// Address is where browsers find the shop that answers under a host: with the scheme and the
// port of the installation's own public URL, or by https where nobody has said what that is.
func Address(public, host string) string {
	u, err := url.Parse(public)
	if err != nil || u.Host == "" {
		return "https://" + host
	}
	if port := u.Port(); port != "" {
		host = net.JoinHostPort(host, port)
	}
	return u.Scheme + "://" + host
}

// Origin is that of a URL as browsers write it (RFC 6454, 6.2); empty for what has none.
func Origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil {
		return ""
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}
