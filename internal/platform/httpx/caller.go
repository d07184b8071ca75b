package httpx

import (
	"context"
	"net"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Caller is where a request comes from, as far as the connection and its headers tell.
type Caller struct {
	IP        string
	UserAgent string // as the caller says; one line of at most 255 characters
}

// CallerOf says where the request in ctx comes from.
func CallerOf(ctx context.Context) Caller { return callOf(ctx).caller }

// maxUserAgent is more than browsers send.
const maxUserAgent = 255

func callerOf(r *http.Request) Caller {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	agent := []rune(strings.ToValidUTF8(r.UserAgent(), ""))
	if len(agent) > maxUserAgent {
		agent = agent[:maxUserAgent]
	}
	return Caller{IP: ip, UserAgent: strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, string(agent))}
}

// Cookie is the value that came with the request; "" when there is none.
func Cookie(ctx context.Context, name string) string {
	sent := callOf(ctx).sent
	if sent == nil {
		return ""
	}
	c, err := sent.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// SetCookie has the browser keep a value and send it to this host only, out of reach of
// scripts. It travels with a successful answer.
func SetCookie(ctx context.Context, name, value string, keep time.Duration) {
	c := callOf(ctx)
	c.cookies = append(c.cookies, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(keep.Seconds()), HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode,
	})
}
