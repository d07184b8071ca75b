package httpx

import (
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

// Access is how far a route lets somebody in.
type Access int

const (
	NoAccess  Access = iota
	OwnAccess        // to what is theirs
	FullAccess
)

// Access of somebody to the route.
func (r Route) Access(id identity.Identity) Access {
	switch {
	case r.Operator && !id.IsOperator():
		return NoAccess
	case r.Permission == Public || r.Permission == Known && !id.IsAnonymous() || id.Can(r.Permission):
		return FullAccess
	case r.Own && id.Customer != "":
		return OwnAccess
	}
	return NoAccess
}

// authorise compares the route's permission with what the caller holds, before
// anything of the request is read.
func (a *API) authorise(r Route) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		id, err := identity.From(hc.Context())
		switch {
		case err != nil:
			humaecho.Unwrap(hc).Error(err)
		case id.MustEnrol && !r.Enrolment:
			humaecho.Unwrap(hc).Error(errMustEnrol)
		case r.Access(id) != NoAccess, r.Ticket != "" && hc.Header(r.Ticket) != "":
			next(hc)
		case id.IsAnonymous():
			humaecho.Unwrap(hc).Error(errNoCredential)
		case r.Operator && !id.IsOperator():
			humaecho.Unwrap(hc).Error(ErrNotFound)
		default:
			humaecho.Unwrap(hc).Error(errForbidden.Saying("This needs the permission %s.", r.Permission).With("requiredPermission", r.Permission))
		}
	}
}

// Routes are all that were declared, by their paths.
func (a *API) Routes() []Route {
	return slices.SortedFunc(slices.Values(a.state.routes), func(x, y Route) int {
		return strings.Compare(x.Path+" "+x.Method, y.Path+" "+y.Method)
	})
}
