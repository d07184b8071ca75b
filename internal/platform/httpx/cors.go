package httpx

import (
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// What pages of other origins may send and read beyond what the Fetch standard lets them.
const (
	corsMethods = "GET, HEAD, POST, PUT, PATCH, DELETE"
	corsRequest = "Authorization, " + ticketHeader + ", Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Traceparent, X-Request-Id"
	corsAnswer  = "ETag, Idempotency-Replayed, Link, Location, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
	// corsMaxAge is the longest that all browsers remember.
	corsMaxAge = "7200"
)

var errOrigin = fault.New(fault.Forbidden, "origin_not_allowed", "Pages of this origin may not ask: add it to the origins of the key, or to http.cors_origins.")

// fromOwnPage refuses a publishable key from pages that it is not for: a preflight, which has
// no credential, cannot tell whose page it is.
func (s *Server) fromOwnPage(c echo.Context, id identity.Identity) error {
	r := c.Request()
	origin := r.Header.Get("Origin")
	if !id.Publishable || origin == "" || ours(r, origin) || ofOrigin(origin, s.opt.Origins) || slices.Contains(id.Origins, origin) {
		return nil
	}
	c.Response().Header().Del("Access-Control-Allow-Origin")
	return errOrigin
}

// ours is an origin of the shop itself.
func ours(r *http.Request, origin string) bool {
	at := Caller(r.Context())
	return origin == at.Scheme+"://"+at.Host
}

// ofOrigin tells whether one of the origins is meant.
func ofOrigin(origin string, origins []string) bool {
	return slices.ContainsFunc(origins, func(o string) bool {
		host, any := strings.CutSuffix(o, ":*")
		return o == origin || any && (origin == host || withoutPort(origin) == host)
	})
}

func withoutPort(origin string) string {
	at := strings.LastIndexByte(origin, ':')
	if at < 0 || strings.ContainsFunc(origin[at+1:], func(r rune) bool { return r < '0' || r > '9' }) {
		return origin
	}
	return origin[:at]
}

// cors answers preflights, which come without a credential, and lets pages of origins that
// are allowed read answers. Credentials travel in a header that the page itself writes, so
// browsers are not told to add any of theirs, but where the route says so.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r, h := c.Request(), c.Response().Header()
		h.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		if origin == "" || ours(r, origin) {
			return next(c)
		}
		allowed := ofOrigin(origin, s.opt.Origins) || s.opt.KeyOrigins != nil && s.opt.KeyOrigins(r.Context(), origin)
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", corsAnswer)
			if s.api.state.cookies[r.URL.Path] {
				h.Set("Access-Control-Allow-Credentials", "true")
			}
		}
		switch {
		case !preflight:
			return next(c)
		case !allowed:
			return errOrigin
		}
		h.Add("Vary", "Access-Control-Request-Method")
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Del("Access-Control-Expose-Headers")
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", corsRequest)
		h.Set("Access-Control-Max-Age", corsMaxAge)
		return c.NoContent(http.StatusNoContent)
	}
}
