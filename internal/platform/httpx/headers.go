package httpx

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

const (
	// maxHeader is more than all that browsers and proxies send of themselves.
	maxHeader = 16 << 10
	maxURI    = 16 << 10
	// hardHeader is where net/http hangs up without our saying why.
	hardHeader = 64 << 10
)

var (
	errLongURI    = fault.New(fault.LongURI, "uri_too_long", "The address is longer than 16 KiB.")
	errBigHeaders = fault.New(fault.BigHeaders, "headers_too_large", "The headers are larger than 16 KiB.")
)

// bounded refuses requests that are large before anything of them is looked at.
func bounded(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		if len(r.RequestURI) > maxURI {
			return errLongURI
		}
		size := 0
		for name, values := range r.Header {
			for _, v := range values {
				size += len(name) + len(v) + len(": \r\n")
			}
		}
		if size > maxHeader {
			return errBigHeaders
		}
		return next(c)
	}
}

// policies of what a browser may do with an answer. The API's answers are no pages: nothing
// in them is to be run, framed or embedded.
const (
	apiPolicy  = "default-src 'none'; frame-ancestors 'none'"
	docsPolicy = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; img-src 'self' data: blob:; font-src data:; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	// features are what a page of ours could ask the shopper's machine for.
	features = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
	// strict is a year, the shortest that browsers' lists accept (RFC 6797). Other names
	// under the shop's are not ours to bind.
	strict = "max-age=31536000"
)

func secure(h http.Header, from Remote) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Permissions-Policy", features)
	h.Set("Content-Security-Policy", apiPolicy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if from.Scheme == "https" {
		h.Set("Strict-Transport-Security", strict)
	}
}
