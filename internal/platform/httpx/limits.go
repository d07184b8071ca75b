package httpx

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/ratelimit"
)

// Limit is how a route is counted.
type Limit int

const (
	LimitDefault  Limit = iota // with everything else that the caller asks for
	LimitLogin                 // also by address: where credentials can be guessed
	LimitCheckout              // also by address and caller, for those who shop
	LimitSigned                // by address, and only what is refused: a machine that signs what it sends tells of all shoppers
	Unlimited                  // not at all: probes
)

// Limits are how many requests a minute somebody may send; 0 is as many as they like.
type Limits struct {
	Requests, Logins, Checkouts int
	// By counts them.
	By ratelimit.Limiter
	// Guesses counts credentials and signatures that were not valid, by address. It is in memory,
	// because it is asked before each of them.
	Guesses *ratelimit.Local
}

var errRateLimited = fault.New(fault.TooMany, "rate_limited", "You send more requests than you may. Wait as long as Retry-After says.")

// policy is a quota with the name under which callers hear of it.
type policy struct {
	name     string
	requests int
	caller   string
}

// limit counts a request. Answers say what is left, as
// draft-ietf-httpapi-ratelimit-headers-10 does.
func (s *Server) limit(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		id, err := identity.From(ctx)
		if err != nil {
			return err
		}
		var policies, left []string
		class := s.api.state.limits[c.Request().Method+" "+c.Path()]
		if class == LimitSigned {
			return s.limitRefused(c, next)
		}
		for _, p := range s.policies(class, id, Caller(ctx).IP, s.opt.Tenants.Allowance(ctx)) {
			d := s.opt.Limits.By.Take(ctx, p.name+":"+p.caller, ratelimit.Quota{Requests: p.requests, Per: time.Minute})
			policies = append(policies, fmt.Sprintf("%q;q=%d;w=60", p.name, p.requests))
			left = append(left, fmt.Sprintf("%q;r=%d;t=%d", p.name, d.Remaining, seconds(d.Reset)))
			h := c.Response().Header()
			h.Set("RateLimit-Policy", strings.Join(policies, ", "))
			h.Set("RateLimit", strings.Join(left, ", "))
			if !d.Allowed {
				return errRateLimited.With("violatedPolicies", []string{p.name}).After(seconds(d.Wait))
			}
		}
		return next(c)
	}
}

// limitRefused counts what is refused of what an address sends, and hears nothing more of it
// when that is too much. The shop pays for none of it: whoever likes can send what is not signed.
func (s *Server) limitRefused(c echo.Context, next echo.HandlerFunc) error {
	if s.opt.Limits.Guesses == nil {
		return next(c)
	}
	ctx := c.Request().Context()
	key := "signed:" + network(Caller(ctx).IP)
	if d := s.opt.Limits.Guesses.Peek(key, guesses); !d.Allowed {
		return errRateLimited.Saying("Too much of what came from your address was not signed as it should be.").After(seconds(d.Wait))
	}
	err := next(c)
	if status := c.Response().Status; err != nil || status >= http.StatusBadRequest && status < http.StatusInternalServerError {
		s.opt.Limits.Guesses.Take(ctx, key, guesses)
	}
	return err
}

// policies are those that a request is counted by. The narrow one comes first, so that a
// call which it refuses costs nothing else; last is that of all callers of the shop together,
// so that one who has used up their own takes nothing from the others.
func (s *Server) policies(class Limit, id identity.Identity, ip netip.Addr, allowance int) []policy {
	if class == Unlimited || operators(id) {
		return nil
	}
	var all []policy
	add := func(p policy) {
		if p.requests > 0 {
			all = append(all, p)
		}
	}
	address := network(ip)
	switch {
	case class == LimitLogin:
		add(policy{"login", s.opt.Limits.Logins, address})
	case class == LimitCheckout && shops(id):
		add(policy{"checkout", s.opt.Limits.Checkouts, id.Actor + "@" + address})
	}
	caller, most := id.Actor, s.opt.Limits.Requests
	switch {
	case id.IsAnonymous():
		caller = address
	case id.Publishable:
		caller += "@" + address // or one shopper could ask for all
	}
	if id.Limit > 0 && most > 0 {
		most = id.Limit
	}
	add(policy{"default", most, caller})
	add(policy{"shop", allowance, id.Tenant.String()})
	return all
}

// operators are the bootstrap key and the shop's own deployments: who runs the program must
// not be locked out of it, and one deployment asks on behalf of all of another's callers.
func operators(id identity.Identity) bool {
	return id.Actor == identity.ActorBootstrap || id.IsService()
}

// shops tells customers and strangers from staff and machines.
func shops(id identity.Identity) bool {
	return id.Customer != "" || id.IsAnonymous() || id.Publishable
}

// network is as much of an address as one household or machine has: of IPv6 that is a /64.
func network(ip netip.Addr) string {
	if ip.Is6() {
		if n, err := ip.Prefix(64); err == nil {
			return n.String()
		}
	}
	return ip.String()
}

// guesses are allowed a minute to an address before its credentials, or what it signs, are no
// longer looked at.
var guesses = ratelimit.Quota{Requests: 300, Per: time.Minute}

// sure is an Authenticator that knows some credentials without asking anybody.
type sure interface{ Knows(credential string) bool }

const (
	// trustLasts is how long a credential that was good is looked at whatever others guess.
	trustLasts = 15 * time.Minute
	// trustNoted is how long that is noted before it is noted anew.
	trustNoted = time.Minute
	// trustedMost bounds how many are remembered.
	trustedMost = 10_000
)

// trusted remembers credentials that were good lately, and of which kind they are, by their hashes.
type trusted struct {
	mu   sync.RWMutex
	last map[[32]byte]trust
}

type trust struct {
	at   time.Time
	kind Authenticator // that knew it
}

func (t *trusted) find(hash [32]byte, now time.Time) (found trust, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	found, ok = t.last[hash]
	return found, ok && now.Sub(found.at).Abs() < trustLasts
}

func (t *trusted) note(hash [32]byte, now time.Time, kind Authenticator) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.last[hash]; !known && len(t.last) >= trustedMost {
		clear(t.last)
	}
	t.last[hash] = trust{now, kind}
}

func (t *trusted) drop(hash [32]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.last, hash)
}

// knows tells a credential that needs no guessing: others at its address cannot keep its
// owner out.
func (s *Server) knows(credential string) bool {
	return slices.ContainsFunc(s.credentials, func(kind Authenticator) bool {
		known, ok := kind.(sure)
		return ok && known.Knows(credential)
	})
}

// guessing refuses who shows one credential after the other that was not good lately: to look
// them up costs more than to count them.
func (s *Server) guessing(ip netip.Addr, credential string) error {
	if s.opt.Limits.Guesses == nil {
		return nil
	}
	if d := s.opt.Limits.Guesses.Peek(network(ip), guesses); !d.Allowed && !s.knows(credential) {
		return errRateLimited.Saying("Too many credentials from your address were not valid.").After(seconds(d.Wait))
	}
	return nil
}

func (s *Server) guessed(c echo.Context, ip netip.Addr) {
	if s.opt.Limits.Guesses != nil {
		s.opt.Limits.Guesses.Take(c.Request().Context(), network(ip), guesses)
	}
}

// seconds are rounded up: who waits that long has waited long enough.
func seconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }
