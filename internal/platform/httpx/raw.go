package httpx

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// Raw is a request body as it was sent, with the header that came with it: for what is
// signed. Embed it in the input struct of a route. Nothing of it is checked but its size.
type Raw struct {
	RawBody []byte

	header http.Header
}

// Header of the request.
func (r *Raw) Header() http.Header { return r.header }

// Resolve keeps the header.
func (r *Raw) Resolve(hc huma.Context) []error {
	r.header = http.Header{}
	hc.EachHeader(r.header.Add)
	return nil
}

// With is a body that came with another header: for specs that ask a handler directly.
func (r Raw) With(header http.Header) Raw {
	r.header = header
	return r
}
