// Package fault is the one error type of the house: a refusal that a caller can
// act on. Rules return faults, platform/httpx turns them into problem+json, and
// every other error is an internal one whose text never leaves the process.
package fault

import (
	"errors"
	"fmt"
	"slices"
)

// Kind decides the HTTP status, and nothing else does.
type Kind int

const (
	Internal        Kind = iota // 500: a bug or an outage we did not foresee
	Malformed                   // 400: cannot be read as a request
	Unauthenticated             // 401
	Forbidden                   // 403
	NotFound                    // 404: absent, or another tenant's
	NotAllowed                  // 405
	Conflict                    // 409: clashes with the current state
	Stale                       // 412: If-Match names an older version
	TooLarge                    // 413
	LongURI                     // 414
	MediaType                   // 415
	Invalid                     // 422: readable, but not acceptable
	TooMany                     // 429
	BigHeaders                  // 431
	Unavailable                 // 503: try again later
)

// Field is one thing wrong with the input. Pointer is an RFC 6901 JSON pointer
// into the body ("/items/0/quantity"), or "?limit", "{id}" and "Header-Name"
// for what is not in the body.
type Field struct {
	Pointer string `json:"pointer" doc:"JSON pointer into the request body; ?name for a query parameter, {name} for a path parameter, the name of a header" example:"/items/0/quantity"`
	Code    string `json:"code" doc:"What is wrong, for machines" example:"minimum"`
	Detail  string `json:"detail" doc:"What is wrong, for people" example:"must be at least 1"`
}

// Error is a declared refusal. Declare one beside the rule it guards, return it
// as it is or specialised with Saying, At or With, and match it with errors.Is.
type Error struct {
	Kind   Kind
	Code   string // stable snake_case, part of the API
	Detail string // a sentence for people; safe to show
	Fields []Field
	// Extra are further members of the problem body (RFC 9457, 3.2).
	Extra map[string]any
	// RetryAfter, in seconds, is sent with 409, 429 and 503 when it is not zero.
	RetryAfter int
}

// New declares a fault.
func New(kind Kind, code, detail string) *Error {
	return &Error{Kind: kind, Code: code, Detail: detail}
}

func (e *Error) Error() string { return e.Code + ": " + e.Detail }

// Is makes a specialised fault match the one it was declared as.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Kind == e.Kind
}

// Saying replaces the sentence.
func (e *Error) Saying(format string, args ...any) *Error {
	c := *e
	c.Detail = fmt.Sprintf(format, args...)
	return &c
}

// At adds a field that is wrong.
func (e *Error) At(pointer, code, detail string) *Error {
	return e.AtFields(Field{pointer, code, detail})
}

// AtFields adds all the fields that are wrong.
func (e *Error) AtFields(fields ...Field) *Error {
	c := *e
	c.Fields = append(slices.Clone(e.Fields), fields...)
	return &c
}

// With adds a member to the problem body.
func (e *Error) With(name string, value any) *Error {
	c := *e
	c.Extra = map[string]any{name: value}
	for k, v := range e.Extra {
		if k != name {
			c.Extra[k] = v
		}
	}
	return &c
}

// After asks the caller to wait that many seconds before trying again.
func (e *Error) After(seconds int) *Error {
	c := *e
	c.RetryAfter = seconds
	return &c
}

// All gathers what is wrong in several places, so that a caller hears of everything at once.
// The first refusal says what kind of thing it is; each field has its own code.
type All struct {
	first  *Error
	fields []Field
}

// Note keeps a refusal that names fields, and returns every other error.
func (a *All) Note(err error) error {
	f, ok := errors.AsType[*Error](err)
	if !ok || len(f.Fields) == 0 {
		return err
	}
	if a.first == nil {
		a.first = f
	}
	a.fields = append(a.fields, f.Fields...)
	return nil
}

// Err is the refusal with all fields, or nil.
func (a *All) Err() error {
	if a.first == nil {
		return nil
	}
	all := *a.first
	all.Fields = a.fields
	return &all
}

// ErrInternal is what callers see of every error that is not a fault.
var ErrInternal = New(Internal, "internal_error", "Something went wrong on our side. Quote the request id when you report it.")

// From finds the fault in err, or answers ErrInternal.
func From(err error) *Error {
	if f, ok := errors.AsType[*Error](err); ok {
		return f
	}
	return ErrInternal
}
