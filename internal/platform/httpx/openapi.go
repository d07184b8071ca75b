package httpx

import (
	"fmt"
	"net/http"
	"path"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

func describe(o *huma.OpenAPI) {
	o.Info.Description = "Commerce API of one shop. Money is a decimal string beside a currency; lists are pages with an opaque cursor; errors are problem+json (RFC 9457) and name every bad field. Every POST can be repeated safely with an Idempotency-Key."
	o.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	o.Servers = []*huma.Server{{URL: "/"}}
	o.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"key": {Type: "http", Scheme: "bearer", Description: "An access token or an API key"},
	}
}

// schemaName prefixes a schema with its module: two modules may both have a
// lineBody, and Huma panics on a duplicate.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	pkg := path.Base(t.PkgPath())
	if t.Name() == "" || t.PkgPath() == "" || pkg == "httpx" || pkg == "fault" || strings.HasPrefix(strings.ToLower(name), pkg) {
		return name
	}
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

// overlooked names what a type embeds and Huma does not see: it passes over fields that
// are not exported, and with them over the parameters or members that they promote.
func overlooked(t reflect.Type) error {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for f := range t.Fields() {
		if f.Anonymous && !f.IsExported() {
			return fmt.Errorf("%s embeds %s, which is not exported", t, f.Name)
		}
	}
	return nil
}

// shown is the type whose members a result has in JSON: of one that only adds methods to
// another, that other.
func shown(out reflect.Type) reflect.Type {
	for out.Kind() == reflect.Struct && out.NumField() == 1 && out.Field(0).Anonymous && !out.Field(0).IsExported() {
		out = out.Field(0).Type
	}
	return out
}

// document writes into the OpenAPI document what the declaration says: the answer,
// its headers, who may ask and how it can be refused.
func (a *API) document(op *huma.Operation, r Route, in, out reflect.Type) {
	success := &huma.Response{Description: http.StatusText(r.Status), Headers: map[string]*huma.Param{
		"X-Request-Id": {Description: "Id of this request, as sent or made", Schema: &huma.Schema{Type: "string"}},
	}}
	if out != reflect.TypeFor[None]() {
		schema := a.huma.OpenAPI().Components.Schemas.Schema(shown(out), true, r.ID+"Response")
		success.Content = map[string]*huma.MediaType{"application/json": {Schema: schema}}
	}
	text := &huma.Schema{Type: "string"}
	if out.Implements(reflect.TypeFor[Tagged]()) {
		success.Headers["ETag"] = &huma.Param{Description: "Version of what was read, for If-Match and If-None-Match", Schema: text}
	}
	if out.Implements(reflect.TypeFor[Located]()) {
		success.Headers["Location"] = &huma.Param{Description: "Where it can be read", Schema: text}
	}
	if out.Implements(reflect.TypeFor[Cacheable]()) {
		success.Headers["Cache-Control"] = &huma.Param{Description: "How long it may be kept", Schema: text}
	}
	op.Responses = map[string]*huma.Response{strconv.Itoa(r.Status): success}
	if r.Method == http.MethodGet && success.Headers["ETag"] != nil {
		op.Responses["304"] = &huma.Response{Description: "The version named by If-None-Match is still the current one"}
	}
	if r.Redirects {
		op.Responses["302"] = &huma.Response{
			Description: http.StatusText(http.StatusFound), Headers: map[string]*huma.Param{"Location": {Description: "Where the browser goes", Schema: text}},
		}
	}
	if r.Method == http.MethodPost {
		success.Headers["Idempotency-Replayed"] = &huma.Param{Description: "true when this is the answer to an earlier request", Schema: text}
		one, many := 1, 255
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header",
			Description: "Repeating a request with the same key and body within 24 hours repeats its answer, not its effect",
			Schema:      &huma.Schema{Type: "string", MinLength: &one, MaxLength: &many},
		})
	}
	if r.Permission != Public {
		permission := "`" + r.Permission + "`"
		if r.Permission == Known {
			permission = "none; any credential will do"
		}
		op.Security = []map[string][]string{{"key": {}}}
		asks := "Permission: " + permission
		if r.Own {
			asks += "; customers need none for what is their own"
		}
		if r.Operator {
			asks += ", of the operator: the default tenant"
		}
		op.Description = strings.TrimSpace(op.Description + "\n\n" + asks)
	}
	op.Extensions = map[string]any{}
	if r.Unrecorded {
		op.Extensions["x-unrecorded"] = true
	}
	if r.Operator {
		op.Extensions["x-operator"] = true
	}
	if r.Personal {
		op.Description = strings.TrimSpace(op.Description + "\n\nWho is shown personal data of others by it leaves an entry in the audit log.")
	}
	problem := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[*Problem](), true, "Problem")
	refusals := map[int][]*fault.Error{}
	implied := implied(r, in)
	if !slices.Contains(nobodys, r.Path) {
		implied = append(implied, a.closed...)
	}
	for _, f := range append(implied, r.Refusals...) {
		refusals[statusOf[f.Kind]] = append(refusals[statusOf[f.Kind]], f)
	}
	for status, faults := range refusals {
		op.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: codes(faults), Content: map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}
	}
}

// implied are the refusals that follow from the shape of a route.
func implied(r Route, in reflect.Type) []*fault.Error {
	list := []*fault.Error{errParameter, errQuery, errBadCredential, ErrAddress, errOrigin, errLongURI, errBigHeaders, errRateLimited, fault.ErrInternal, errUnavailable}
	if r.Limit != Unlimited {
		list = append(list, errOverloaded)
	}
	if r.Permission != Public {
		list = append(list, errNoCredential)
	}
	if !r.Enrolment {
		list = append(list, errMustEnrol)
	}
	if r.Permission != Public && r.Permission != Known {
		list = append(list, errForbidden)
	}
	if strings.Contains(r.Path, "{") || r.Operator || r.Own {
		list = append(list, ErrNotFound)
	}
	if _, ok := in.FieldByName("Body"); ok {
		list = append(list, errMalformed, errTooLarge, errContentType, errValidation, errUnknownField, errText, errCardData, errSecret)
	} else if _, ok := in.FieldByName("RawBody"); ok {
		list = append(list, errTooLarge)
	} else if in.NumField() > 0 {
		list = append(list, errValidation, errText)
	}
	if _, ok := in.FieldByName("Cursor"); ok {
		list = append(list, errCursor)
	}
	if _, ok := in.FieldByName("Match"); ok {
		list = append(list, errStale)
	}
	if r.Method == http.MethodPost {
		list = append(list, errKeyLength, errKeyReused, errInFlight)
	}
	if r.Once {
		list = append(list, errShownOnce)
	}
	return list
}

var (
	errUnknownField = fault.New(fault.Invalid, "unknown_field", "The body has a field that this call does not know.")
	errUnavailable  = fault.New(fault.Unavailable, "dependency_unavailable", "Something this call needs does not answer right now.")
)

func codes(faults []*fault.Error) string {
	seen := map[string]bool{}
	var list []string
	for _, f := range faults {
		if !seen[f.Code] {
			seen[f.Code] = true
			list = append(list, "`"+f.Code+"`")
		}
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}
