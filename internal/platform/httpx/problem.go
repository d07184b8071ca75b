package httpx

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// Problem is the body of every failed request (RFC 9457).
type Problem struct {
	_         struct{}      `additionalProperties:"true"`
	Type      string        `json:"type" example:"/problems/validation_failed" doc:"Names the kind of problem"`
	Title     string        `json:"title" example:"Unprocessable Entity"`
	Status    int           `json:"status" example:"422"`
	Detail    string        `json:"detail" doc:"What went wrong and what to do, for people"`
	Instance  string        `json:"instance" example:"/v1/orders" doc:"The path that was asked"`
	Code      string        `json:"code" example:"validation_failed" doc:"What went wrong, for machines; stable"`
	RequestID string        `json:"requestId" doc:"Quote it when you report the problem"`
	Errors    []fault.Field `json:"errors,omitempty" doc:"Every field that is wrong"`

	extra      map[string]any
	retryAfter int
}

var statusOf = map[fault.Kind]int{
	fault.Internal: 500, fault.Malformed: 400, fault.Unauthenticated: 401, fault.Forbidden: 403, fault.NotFound: 404,
	fault.NotAllowed: 405, fault.Conflict: 409, fault.Stale: 412, fault.TooLarge: 413, fault.LongURI: 414, fault.MediaType: 415,
	fault.Invalid: 422, fault.TooMany: 429, fault.BigHeaders: 431, fault.Unavailable: 503,
}

func newProblem(ctx context.Context, f *fault.Error) *Problem {
	call, status := callOf(ctx), statusOf[f.Kind]
	return &Problem{
		Type: "/problems/" + f.Code, Title: http.StatusText(status), Status: status, Detail: f.Detail,
		Instance: call.instance, Code: f.Code, RequestID: call.requestID, Errors: f.Fields, extra: f.Extra, retryAfter: f.RetryAfter,
	}
}

func (p *Problem) Error() string { return p.Code + ": " + p.Detail }

// GetStatus tells Huma the status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType tells Huma the media type.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders tells Huma the headers.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.retryAfter > 0 {
		h.Set("Retry-After", itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="fusion"`)
	}
	return h
}

// MarshalJSON adds the extension members (RFC 9457, 3.2).
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	body, err := Marshal((*plain)(p))
	if err != nil || len(p.extra) == 0 {
		return body, err
	}
	more, err := Marshal(p.extra)
	if err != nil {
		return nil, err
	}
	return append(append(body[:len(body)-1], ','), more[1:]...), nil
}

// respond writes a fault where Huma is not in charge: unknown paths, credentials, panics.
func respond(c echo.Context, f *fault.Error) error {
	p := newProblem(c.Request().Context(), f)
	maps.Copy(c.Response().Header(), p.GetHeaders())
	body, err := p.MarshalJSON()
	if err != nil {
		return err
	}
	return c.Blob(p.Status, p.ContentType(""), body)
}

var (
	errValidation = fault.New(fault.Invalid, "validation_failed", "Some fields are not acceptable.")
	errMalformed  = fault.New(fault.Malformed, "malformed_json", "The body is not a JSON document that can be read.")
	errTooLarge   = fault.New(fault.TooLarge, "body_too_large", "The body is larger than 256 KiB.")
	errTooSlow    = fault.New(fault.Malformed, "malformed_json", "The body did not arrive in time.")
	errText       = fault.New(fault.Invalid, "invalid_text", "Some text holds characters that are not accepted.")
)

// maxFields is how many fields a problem names. A small body can be wrong in more places than
// anybody mends at a time.
const maxFields = 500

// fromHuma turns what Huma found wrong with a request into our problem.
func fromHuma(ctx context.Context, status int, msg string, errs []error) *Problem {
	switch status {
	case http.StatusInternalServerError:
		if msg == "cannot read request body" {
			return newProblem(ctx, errMalformed.Saying("The body broke off before its end."))
		}
		return newProblem(ctx, fault.ErrInternal)
	case http.StatusRequestEntityTooLarge:
		return newProblem(ctx, errTooLarge)
	case http.StatusRequestTimeout:
		return newProblem(ctx, errTooSlow)
	case http.StatusUnsupportedMediaType:
		return newProblem(ctx, errContentType)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
	default:
		return newProblem(ctx, fault.ErrInternal)
	}
	var fields []fault.Field
	for _, err := range errs {
		if len(fields) == maxFields {
			break
		}
		if f, ok := errors.AsType[*fieldError](err); ok {
			fields = append(fields, f.Field)
			continue
		}
		detail, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			continue
		}
		if code, text, ok := strings.Cut(detail.Message, unreadable); ok {
			return newProblem(ctx, unreadableFaults[code].Saying("%s", text))
		}
		fields = append(fields, field(detail))
	}
	if status == http.StatusBadRequest {
		return newProblem(ctx, errMalformed.Saying("The body is missing or cannot be read: %s.", msg))
	}
	if slices.ContainsFunc(fields, func(f fault.Field) bool { return strings.HasPrefix(f.Pointer, "{") }) {
		return newProblem(ctx, ErrNotFound)
	}
	fields = distinct(fields)
	for _, code := range []string{"card_data_not_accepted", "invalid_text", "invalid_cursor", "unknown_field"} {
		if len(fields) > 0 && !slices.ContainsFunc(fields, func(f fault.Field) bool { return f.Code != code }) {
			if code == errUnknownField.Code {
				return newProblem(ctx, errUnknownField.AtFields(fields...))
			}
			return newProblem(ctx, fault.New(fault.Invalid, code, fields[0].Detail).AtFields(fields...))
		}
	}
	return newProblem(ctx, errValidation.Saying("%s", summary(len(fields))).AtFields(fields...))
}

// ErrValidation names fields that only a look at what is stored shows to be wrong.
func ErrValidation(fields ...fault.Field) error {
	return errValidation.Saying("%s", summary(len(fields))).AtFields(fields...)
}

func summary(n int) string {
	if n == 1 {
		return "One field is not acceptable."
	}
	return itoa(n) + " fields are not acceptable."
}

// distinct sorts by pointer and keeps one error a field: the first rule it breaks.
func distinct(fields []fault.Field) []fault.Field {
	slices.SortStableFunc(fields, func(a, b fault.Field) int { return strings.Compare(a.Pointer, b.Pointer) })
	return slices.CompactFunc(fields, func(a, b fault.Field) bool { return a.Pointer == b.Pointer })
}

// fieldError is a wrong field that was not found by a schema.
type fieldError struct{ fault.Field }

func (e *fieldError) Error() string { return e.Code + ": " + e.Detail }

var (
	index    = regexp.MustCompile(`\[(\d+)\]`)
	property = regexp.MustCompile(`^expected required property (\S+) to be present$`)
)

// rules translates Huma's sentences. The order matters: the first match wins.
var rules = []struct{ prefix, code, text string }{
	{"unexpected property", "unknown_field", "is not a field of this request"},
	{"expected number >= ", "minimum", "must be at least "},
	{"expected number > ", "minimum", "must be more than "},
	{"expected number <= ", "maximum", "must be at most "},
	{"expected number < ", "maximum", "must be less than "},
	{"expected length >= 1", "required", "must not be empty"},
	{"expected length >= ", "min_length", "must have at least this many characters: "},
	{"expected length <= ", "max_length", "must have at most this many characters: "},
	{"expected array length >= 1", "required", "must not be empty"},
	{"expected array length >= ", "min_items", "must have at least this many items: "},
	{"expected array length <= ", "max_items", "must have at most this many items: "},
	{"expected object with at most ", "max_properties", "must have at most "},
	{"expected value to be one of ", "not_allowed", "must be one of "},
	{"expected string to match pattern ", "pattern", "must match "},
	{"expected string to be RFC 5322 email", "email", "must be an e-mail address"},
	{"expected string to be RFC 4122 uuid", "uuid", "must be a UUID"},
	{"expected string to be RFC 3339 date-time", "date_time", "must be a time such as 2026-11-01T00:00:00Z"},
	{"expected string to be ", "format", "must be "},
	{"expected value to match exactly one schema", "type", "must be a decimal number, as text or as a number"},
	{"expected integer", "integer", "must be a whole number"},
	{"invalid integer", "integer", "must be a whole number"},
	{"expected number", "number", "must be a number"},
	{"expected boolean", "boolean", "must be true or false"},
	{"expected string", "string", "must be text"},
	{"expected array", "array", "must be a list"},
	{"expected object", "object", "must be an object"},
	{"invalid date/time", "date_time", "must be a time such as 2026-11-01T00:00:00Z"},
	{"required ", "required", "is required"},
}

func field(d *huma.ErrorDetail) fault.Field {
	pointer := pointerTo(d.Location)
	if m := property.FindStringSubmatch(d.Message); m != nil {
		return fault.Field{Pointer: pointer + "/" + m[1], Code: "required", Detail: "is required"}
	}
	if _, isNull := d.Value.(null); isNull && strings.HasPrefix(d.Message, "expected") {
		return fault.Field{Pointer: pointer, Code: "required", Detail: "must not be null"}
	}
	for _, r := range rules {
		if rest, ok := strings.CutPrefix(d.Message, r.prefix); ok {
			text := r.text
			if r.code == "minimum" || r.code == "maximum" {
				rest = inDigits(rest)
			}
			if strings.HasSuffix(text, " ") {
				text += rest
			}
			return fault.Field{Pointer: pointer, Code: r.code, Detail: text}
		}
	}
	return fault.Field{Pointer: pointer, Code: "invalid", Detail: "is not acceptable"}
}

// inDigits is a bound as people write it: Huma's 1e+06 is 1000000.
func inDigits(bound string) string {
	if f, err := strconv.ParseFloat(bound, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return bound
}

// Huma writes places with points and brackets. In names that have such themselves,
// characters for private use stand for them, from readTree to here.
var (
	disguise = strings.NewReplacer(".", "\uE000", "[", "\uE001", "]", "\uE002")
	token    = strings.NewReplacer("\uE000", ".", "\uE001", "[", "\uE002", "]", "~", "~0", "/", "~1")
)

// Pointer is the JSON pointer (RFC 6901) that leads along names and indexes.
func Pointer(path ...string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteString("/" + token.Replace(name))
	}
	return b.String()
}

// pointerTo turns "body.items[0].sku" into the JSON pointer "/items/0/sku".
func pointerTo(location string) string {
	place, rest, _ := strings.Cut(index.ReplaceAllString(location, ".$1"), ".")
	switch place {
	case "body":
		if rest == "" {
			return ""
		}
		return Pointer(strings.Split(rest, ".")...)
	case "query":
		return "?" + location[len("query."):]
	case "path":
		return "{" + rest + "}"
	}
	return rest
}

// ErrNotFound answers for what is absent and for what is another merchant's alike.
var ErrNotFound = fault.New(fault.NotFound, "not_found", "There is nothing at this address, or it is not yours.")

var errNotAllowed = fault.New(fault.NotAllowed, "method_not_allowed", "This address does not answer to that method.")

// onError answers for whatever fails outside an operation, in the same shape.
func (s *Server) onError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	f := fault.From(err)
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusNotFound:
			f = ErrNotFound
		case http.StatusMethodNotAllowed:
			f = errNotAllowed
		case http.StatusRequestEntityTooLarge:
			f = errTooLarge
		}
	}
	ctx := c.Request().Context()
	switch {
	case f.Kind != fault.Internal:
	case errors.Is(ctx.Err(), context.Canceled):
		s.log.InfoContext(ctx, "caller went away", "err", err)
		f = db.ErrUnavailable
	default:
		s.log.ErrorContext(ctx, "request failed", "err", err)
	}
	if err := respond(c, f); err != nil {
		s.log.WarnContext(ctx, "problem not sent", "err", err)
	}
}

func itoa(n int) string {
	b, err := json.Marshal(n)
	if err != nil {
		return ""
	}
	return string(b)
}
