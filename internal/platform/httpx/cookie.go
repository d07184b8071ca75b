package httpx

import (
	"context"
	"net/http"
	"time"
)

// Cookie is the value that came with the request; "" when there is none.
func Cookie(ctx context.Context, name string) string {
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
	c := callOf(ctx)
	c.cookies = append(c.cookies, &http.Cookie{ //nolint:gosec // Secure as far as the caller is; a shop on a laptop has no TLS
		Name: name, Value: value, Path: "/", MaxAge: int(keep.Seconds()), HttpOnly: true, Secure: c.remote.Scheme == "https", SameSite: http.SameSiteLaxMode,
	})
}
