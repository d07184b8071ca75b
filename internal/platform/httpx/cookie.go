package httpx

import (
	"context"
	"net/http"
	"time"
)

// own is the name of a cookie that only this host can have set: browsers keep others from
// setting one with the prefix, which takes TLS.
func own(ctx context.Context, name string) string {
	if callOf(ctx).remote.Scheme == "https" {
		return "__Host-" + name
	}
	return name
}

// Cookie is the value that came with the request; "" when there is none.
func Cookie(ctx context.Context, name string) string {
	name = own(ctx, name)
	for _, c := range callOf(ctx).sent {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// SendTo has the browser go to another address in place of the answer. The route says that
// it Redirects.
func SendTo(ctx context.Context, address string) {
	callOf(ctx).answer = &answer{status: http.StatusFound, header: map[string]string{"Location": address}}
}

// SetCookie has the browser keep a value and send it to this host only, out of reach of
// scripts. It travels with a successful answer.
func SetCookie(ctx context.Context, name, value string, keep time.Duration) {
	setCookie(ctx, name, value, keep, http.SameSiteLaxMode)
}

// SetCookieForPages is SetCookie for routes that pages of other sites ask as well: a
// storefront need not be on the site of the API. Without TLS browsers allow that to nobody.
func SetCookieForPages(ctx context.Context, name, value string, keep time.Duration) {
	mode := http.SameSiteNoneMode
	if callOf(ctx).remote.Scheme != "https" {
		mode = http.SameSiteLaxMode
	}
	setCookie(ctx, name, value, keep, mode)
}

func setCookie(ctx context.Context, name, value string, keep time.Duration, mode http.SameSite) {
	c := callOf(ctx)
	c.cookies = append(c.cookies, &http.Cookie{ //nolint:gosec // Secure as far as the caller is; a shop on a laptop has no TLS
		Name: own(ctx, name), Value: value, Path: "/", MaxAge: int(keep.Seconds()), HttpOnly: true, Secure: c.remote.Scheme == "https", SameSite: mode,
	})
}
