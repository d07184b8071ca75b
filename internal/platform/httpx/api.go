// Package httpx is the only place that knows Echo and Huma. Modules declare routes
// and hand over plain functions; binding, validation, authorisation, idempotency,
// problem+json and the OpenAPI document come from the declaration.
package httpx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/fusioncommerce/fusion/internal/platform/audit"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

const (
	// Public is the permission of a route that needs none.
	Public = "public"
	// Known is that of a route for everybody who has shown a credential, whatever it permits.
	Known = "known"
)

// Route declares one operation. A route without a permission stops the start.
type Route struct {
	Method      string
	Path        string
	ID          string // operation id: the name of the call in generated clients
	Summary     string
	Description string
	Permission  string // "orders:write", Public or Known
	// Own lets in customers without the permission, for what is theirs: the handler confines
	// itself to what identity.OnlyOf says.
	Own bool
	// Ticket names a header. Who sends it is let in as well, for what it opens: the handler
	// sees to that.
	Ticket string
	// Operator keeps the route to the operator of the installation: to everybody else, whatever
	// they hold, there is nothing at its address.
	Operator bool
	Limit    Limit
	// Once says that the answer holds a secret: it is not kept, and who repeats the request
	// hears where the thing is that it made.
	Once bool
	// Refill gives an answer that is repeated back the secret that was not kept with it.
	Refill func(ctx context.Context, kept []byte) ([]byte, error)
	// Personal says that the answer shows personal data: who sees that of others leaves an
	// entry in the audit log, with the query as far as its fields are tagged personal:"false".
	Personal bool
	// Unrecorded leaves no entry in the audit log although the method is not GET, because the
	// call changes nothing of anybody's, or because it records more than its success by itself.
	Unrecorded bool
	// Enrolment lets in staff who have to set a second factor before anything else.
	Enrolment bool
	// Ended lets in who was signed in and is not any more, as nobody.
	Ended bool
	// Redirects says that browsers may be sent elsewhere in place of the answer.
	Redirects bool
	// Cookies lets pages of other origins that may ask have the browser send its cookies: the
	// call is worth nothing without them, and they alone are worth nothing to it.
	Cookies  bool
	Status   int // of success; 200 when it is 0
	Refusals []*fault.Error
}

// API is where a module declares its routes.
type API struct {
	huma  huma.API
	db    *db.DB
	log   *slog.Logger
	state *declared
	tag   string
	// closed is what is said of a shop that cannot be asked.
	closed []*fault.Error

	listeners *listeners
}

// declared is what all routes together said.
type declared struct {
	errs        []error
	permissions map[string]bool
	// limits are by method and path, as the router writes them.
	limits  map[string]Limit
	cookies map[string]bool // paths of the routes that take cookies from pages of other origins
	ended   map[string]bool // method and path of the routes for those whose session is over
	routes  []Route
}

// Group puts the routes declared on it under one heading of the documentation.
func (a *API) Group(tag string) *API {
	g := *a
	g.tag = tag
	spec := a.huma.OpenAPI()
	if !slices.ContainsFunc(spec.Tags, func(t *huma.Tag) bool { return t.Name == tag }) {
		spec.Tags = append(spec.Tags, &huma.Tag{Name: tag})
	}
	return &g
}

// Permit makes a permission known that no route as a whole asks for.
func (a *API) Permit(permission string) { a.state.permissions[permission] = true }

// Permissions lists every permission that a key can hold.
func (a *API) Permissions() map[string]bool { return a.state.permissions }

// ErrUnknownPermission refuses a misspelt permission: it would look right and open nothing.
var ErrUnknownPermission = fault.New(fault.Invalid, "unknown_permission", "There is no such permission.")

// KnowPermissions refuses permissions that neither a route asks for nor a role of every shop
// has: other deployments of the shop may have routes that this one does not know.
func (a *API) KnowPermissions(pointer string, permissions []string) error {
	var fields []fault.Field
	for i, p := range permissions {
		if p != identity.Everything && !a.state.permissions[p] && !identity.IsOfRole(p) {
			fields = append(fields, fault.Field{Pointer: fmt.Sprintf("%s/%d", pointer, i), Code: ErrUnknownPermission.Code, Detail: "there is no permission " + p})
		}
	}
	if len(fields) > 0 {
		return ErrUnknownPermission.AtFields(fields...)
	}
	return nil
}

// Err tells what is wrong with the declarations; the program does not start then.
func (a *API) Err() error { return errors.Join(a.state.errs...) }

// Spec is the OpenAPI 3.1 document. What the modules offer comes before what the platform
// has beside it.
func (a *API) Spec() *huma.OpenAPI {
	spec := a.huma.OpenAPI()
	slices.SortStableFunc(spec.Tags, func(a, b *huma.Tag) int { return cmp.Compare(rank(a.Name), rank(b.Name)) })
	return spec
}

func rank(tag string) int { return slices.Index([]string{"Events", "API keys", "Platform"}, tag) }

// Handle declares a route and the function that answers it. In is a struct of path,
// query and header parameters and, embedded, JSON[T] for a body.
func Handle[In, Out any](a *API, r Route, h func(context.Context, *In) (Out, error)) {
	op := a.declare(&r, reflect.TypeFor[In](), reflect.TypeFor[Out]())
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
		callOf(ctx).received()
		ans, err := answerTo(ctx, a.db, r, in, h)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) { ans.write(humaecho.Unwrap(hc)) }}, nil
	})
}

// routerPath writes a path as the router does.
var routerPath = strings.NewReplacer("{", ":", "}", "")

// declare makes a documented operation of a route, and notes what is wrong with it.
func (a *API) declare(r *Route, in, out reflect.Type) huma.Operation {
	if r.Status == 0 {
		r.Status = http.StatusOK
	}
	switch {
	case r.Permission == "":
		a.state.errs = append(a.state.errs, fmt.Errorf("route %s %s declares no permission", r.Method, r.Path))
	case r.Permission != Public && r.Permission != Known:
		a.Permit(r.Permission)
	}
	a.state.routes = append(a.state.routes, *r)
	if r.Once && !audit.Hides(out) {
		a.state.errs = append(a.state.errs, fmt.Errorf("route %s %s: %s holds a secret and does not say where", r.Method, r.Path, out))
	}
	if out.Implements(reflect.TypeFor[Withheld]()) != (r.Refill != nil) {
		a.state.errs = append(a.state.errs, fmt.Errorf("route %s %s: a secret that is withheld from what is kept is filled in again, and no other", r.Method, r.Path))
	}
	if r.Personal {
		if err := undecided(in); err != nil {
			a.state.errs = append(a.state.errs, fmt.Errorf("route %s %s: %w", r.Method, r.Path, err))
		}
	}
	if r.Cookies {
		a.state.cookies[r.Path] = true
	}
	if r.Ended {
		a.state.ended[r.Method+" "+r.Path] = true
	}
	for _, t := range []reflect.Type{in, shown(out)} {
		if err := overlooked(t); err != nil {
			a.state.errs = append(a.state.errs, fmt.Errorf("route %s %s: %w", r.Method, r.Path, err))
		}
	}
	a.state.limits[r.Method+" "+routerPath.Replace(r.Path)] = r.Limit
	op := huma.Operation{
		OperationID: r.ID, Method: r.Method, Path: r.Path, Summary: r.Summary, Description: r.Description,
		Tags: []string{a.tag}, DefaultStatus: r.Status, MaxBodyBytes: maxBody, Errors: nil,
	}
	a.document(&op, *r, in, out)
	op.Middlewares = huma.Middlewares{a.authorise(*r), a.knownParameters(&op), a.contentType}
	return op
}

// answerTo runs a handler. A command that was answered before is not run again.
func answerTo[In, Out any](ctx context.Context, d *db.DB, r Route, in *In, h func(context.Context, *In) (Out, error)) (*answer, error) {
	call := callOf(ctx)
	call.route = r
	if call.key != "" {
		if err := call.scopeTo(ctx); err != nil {
			return nil, err
		}
		if past, err := call.recall(ctx, d); err != nil || past != nil {
			return past, err
		}
	}
	out, err := h(ctx, in)
	if err != nil && call.key != "" {
		// A twin may have been answered since: then this failure only echoes its effect.
		if past, found := call.recall(ctx, d); past != nil || errors.Is(found, errKeyReused) || errors.Is(found, errShownOnce) {
			return past, found
		}
	}
	if err != nil {
		return nil, err
	}
	if call.answer != nil {
		return call.answer, nil
	}
	if r.changes() {
		return nil, errNotDurable
	}
	if r.Personal {
		if err := call.recordRead(ctx, d, in, out); err != nil {
			return nil, err
		}
	}
	return render(r.Status, out)
}

// problem logs what is ours to mend and hides it from the caller.
func (a *API) problem(ctx context.Context, err error) *Problem {
	f := fault.From(err)
	if errors.Is(ctx.Err(), context.Canceled) {
		a.log.InfoContext(ctx, "caller went away", "err", err)
		return newProblem(ctx, db.ErrUnavailable)
	}
	switch f.Kind {
	case fault.Internal:
		a.log.ErrorContext(ctx, "request failed", "err", err)
	case fault.Unavailable:
		a.log.WarnContext(ctx, "request refused", "err", err)
	default:
	}
	return newProblem(ctx, f)
}

var (
	errNoCredential  = fault.New(fault.Unauthenticated, "unauthenticated", "Send an access token or an API key: Authorization: Bearer <credential>.")
	errBadCredential = fault.New(fault.Unauthenticated, "invalid_credentials", "The credential is not valid, or not any more.")
	// ErrAddress is what an Authenticator answers about a credential that is good elsewhere.
	ErrAddress     = fault.New(fault.Forbidden, "address_not_allowed", "The credential is not good from the address that the request came from.")
	errForbidden   = fault.New(fault.Forbidden, "forbidden", "You may not do this.")
	errMustEnrol   = fault.New(fault.Forbidden, "second_factor_enrolment_required", "The shop asks its staff for a second factor. Set one first: POST /v1/me/totp.")
	errParameter   = fault.New(fault.Malformed, "unknown_parameter", "The query has a parameter that this call does not know.")
	errQuery       = fault.New(fault.Malformed, "malformed_query", "The query cannot be read: check its escapes.")
	errContentType = fault.New(fault.MediaType, "unsupported_media_type", "Send the body as Content-Type: application/json.")
)

// knownParameters refuses what would otherwise be ignored in silence.
func (a *API) knownParameters(op *huma.Operation) func(huma.Context, func(huma.Context)) {
	return func(hc huma.Context, next func(huma.Context)) {
		u := hc.URL()
		if u.RawQuery == "" {
			next(hc)
			return
		}
		sent, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			humaecho.Unwrap(hc).Error(errQuery)
			return
		}
		known := []string{}
		for _, p := range hc.Operation().Parameters {
			if p.In == "query" {
				known = append(known, p.Name)
			}
		}
		var bad []fault.Field
		for name := range sent {
			if !slices.Contains(known, name) {
				bad = append(bad, fault.Field{Pointer: "?" + name, Code: "unknown_parameter", Detail: nearest(name, known)})
			}
		}
		if len(bad) > 0 {
			humaecho.Unwrap(hc).Error(errParameter.Saying("This call does not know the query parameter %s.", strings.TrimPrefix(bad[0].Pointer, "?")).AtFields(bad...))
			return
		}
		next(hc)
	}
}

func nearest(name string, known []string) string {
	if len(known) == 0 {
		return "this call takes no query parameters"
	}
	return name + " is not one of " + strings.Join(known, ", ")
}

// contentType refuses a body that does not say it is JSON, or says that it is too large,
// before it is read.
func (a *API) contentType(hc huma.Context, next func(huma.Context)) {
	r := humaecho.Unwrap(hc).Request()
	if hc.Operation().RequestBody != nil && r.ContentLength != 0 {
		if r.ContentLength >= maxBody {
			humaecho.Unwrap(hc).Error(errTooLarge)
			return
		}
		if hc.Operation().RequestBody.Content["application/json"] == nil {
			next(hc) // as it is
			return
		}
		if !isJSON(r.Header.Get("Content-Type")) {
			humaecho.Unwrap(hc).Error(errContentType)
			return
		}
		r.Header.Set("Content-Type", "application/json") // Huma minds the case
	}
	next(hc)
}

func isJSON(contentType string) bool {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/json")
}

// answer is a response ready to be sent, now or as a replay.
type answer struct {
	status   int
	header   map[string]string
	body     []byte
	replayed bool
}

// Tagged results carry their version as a strong ETag (RFC 9110, 8.8.3).
type Tagged interface{ ETag() string }

// Located results say where the thing that was made can be read.
type Located interface{ Location() string }

// Cacheable results are the same for everybody and may be kept by anybody, for a while.
type Cacheable interface{ CacheFor() time.Duration }

// Rendered is a result whose JSON is already made, as a cache keeps it.
type Rendered struct {
	JSON []byte
	Tag  string
}

// ETag of the rendered result.
func (r Rendered) ETag() string { return r.Tag }

// Cached is the result of a route that keeps what it rendered. The document shows T.
type Cached[T any] struct{ Rendered }

// Schema is T's.
func (Cached[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

func (c Cached[T]) rendered() Rendered { return c.Rendered }

// Render makes the JSON of a result, for a cache to keep.
func Render(v Tagged) (Rendered, error) {
	body, err := Marshal(v)
	return Rendered{body, v.ETag()}, err
}

// None is the result of a call that answers 204.
type None struct{}

func render(status int, out any) (*answer, error) {
	ans := &answer{status: status, header: map[string]string{}}
	if t, ok := out.(Tagged); ok && t.ETag() != "" {
		ans.header["ETag"] = t.ETag()
	}
	if l, ok := out.(Located); ok {
		ans.header["Location"] = l.Location()
	}
	if c, ok := out.(Cacheable); ok {
		ans.header["Cache-Control"] = "public, max-age=" + strconv.Itoa(int(c.CacheFor().Seconds()))
	}
	switch v := out.(type) {
	case None:
	case interface{ rendered() Rendered }:
		ans.body = v.rendered().JSON
	default:
		body, err := Marshal(out)
		if err != nil {
			return nil, err
		}
		ans.body = body
	}
	return ans, nil
}

// Marshal encodes JSON as it goes over the wire: text stays readable.
func Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode response: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// VersionTag is the ETag of a thing with a version.
func VersionTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }

// MaskedTag is the ETag of a thing with a version as who may not see all of it is shown it:
// what somebody keeps of one view is not the other.
func MaskedTag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `-masked"` }
