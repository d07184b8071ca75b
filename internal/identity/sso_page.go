package identity

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/url"
	"time"

	"github.com/fusioncommerce/fusion/internal/identity/oidc"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/httpx"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
	"github.com/fusioncommerce/fusion/internal/platform/tenant"
)

var errReturn = fault.New(fault.Invalid, "return_not_allowed", "A sign-in ends at pages of the shop only: at its storefrontUrl, or at https:// and one of its hosts.")

const (
	// pageCookie keeps what a page that a sign-in ended at has its code exchanged for. Neither
	// is worth anything without the other: the code stands in an address, which others see.
	pageCookie  = "fusion_exchange"
	pageLife    = time.Minute
	pagePurpose = "oidc-exchange"
	// codePrefix is not that of credentials, which the bodies of requests may not hold.
	codePrefix = "code_"
)

// awaited is a sign-in that ended at a page. It can be exchanged once, because its refresh
// token can.
type awaited struct {
	Code    []byte    `json:"c"` // hash
	Refresh string    `json:"r"`
	Until   time.Time `json:"t"`
}

// pageOf reads the address of a page that a sign-in may end at, which must be the shop's:
// others would have its people sent to them, with what proves who they are.
func pageOf(ctx context.Context, address string) (string, error) {
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Fragment != "" || u.Opaque != "" {
		return "", errReturn
	}
	ours, err := httpx.IsShopPage(ctx, tenant.Origin(address))
	if err != nil {
		return "", err
	}
	if !ours {
		return "", errReturn
	}
	return u.String(), nil
}

// endAtPage sends somebody who comes back from a provider to a page of the shop, with a code
// or with what went wrong. Behind a #, a browser keeps it to itself.
func (s *service) endAtPage(ctx context.Context, p provider, who oidc.Person, from httpx.Remote, page string, failed error) (arrival, error) {
	var g grant
	if failed == nil {
		g, failed = s.admitFrom(ctx, p, who, from, pageLife)
	}
	if failed != nil {
		for _, f := range []*fault.Error{errNotVouched, errNotInvited, errSignInOtherwise, errProviderAway} {
			if errors.Is(failed, f) {
				return arrival{Page: page + "#error=" + f.Code}, nil
			}
		}
		return arrival{}, failed
	}
	id, err := identity.From(ctx)
	if err != nil {
		return arrival{}, err
	}
	code, hash := newOpaque(codePrefix, id.Tenant)
	cookie, err := s.sealFor(ctx, pagePurpose, awaited{Code: hash, Refresh: g.Refresh, Until: s.now().Add(pageLife)})
	return arrival{Page: page + "#code=" + code, Cookie: cookie}, err
}

// exchange makes a grant of the code that stood in the address of a page, for the browser
// that came back from the provider.
func (s *service) exchange(ctx context.Context, cookie, code string) (grant, error) {
	var a awaited
	if err := s.unseal(ctx, pagePurpose, cookie, &a); err != nil {
		return grant{}, err
	}
	if subtle.ConstantTimeCompare(a.Code, hashOf(code)) != 1 || !s.now().Before(a.Until) {
		return grant{}, errFlow
	}
	g, err := s.refresh(ctx, a.Refresh)
	if errors.Is(err, errRefreshToken) || errors.Is(err, errRefreshing) {
		err = errFlow // it was exchanged before, or the account is not what it was
	}
	return g, err
}
