package httpx

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// Download is a file that is made while it is sent.
type Download struct {
	Media string
	Name  string
	// Write is called once. What it has written when it fails cannot be taken back: the
	// connection is broken off, so that nobody takes a part for the whole.
	Write func(ctx context.Context, w io.Writer) error
}

const (
	// maxDownloads of a route in one process: each holds a connection to the database while
	// it lasts.
	maxDownloads = 2
	// downloadTimeout bounds the whole of a download.
	downloadTimeout = 15 * time.Minute
)

var errTooManyDownloads = fault.New(fault.Unavailable, "too_many_downloads", "As many downloads run as this server can serve. Try again shortly.").After(30)

// File declares a route that answers with a file, in one of several forms. The deadline of
// requests bounds open, not the sending.
func File[In any](a *API, r Route, media []string, open func(context.Context, *In) (Download, error)) {
	r.Refusals = append(r.Refusals, errTooManyDownloads)
	op := a.declare(&r, reflect.TypeFor[In](), reflect.TypeFor[None]())
	success := op.Responses[strconv.Itoa(r.Status)]
	success.Description = "The file"
	success.Content = map[string]*huma.MediaType{}
	for _, m := range media {
		success.Content[m] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	slots := make(chan struct{}, maxDownloads)
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
		call := callOf(ctx)
		call.route = r
		select {
		case slots <- struct{}{}:
		default:
			return nil, a.problem(ctx, errTooManyDownloads)
		}
		file, err := Download{}, call.storable()
		if err == nil {
			file, err = open(ctx, in)
		}
		if err != nil {
			<-slots
			return nil, a.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer func() { <-slots }()
			a.send(hc, file)
		}}, nil
	})
}

// storable refuses a query that no database takes: once the file has begun, nobody can be
// told.
func (c *call) storable() error {
	query, err := url.ParseQuery(c.query)
	if err != nil {
		return errQuery
	}
	var fields []fault.Field
	for name, values := range query {
		for _, v := range values {
			if !utf8.ValidString(v) || strings.ContainsRune(v, 0) {
				fields = append(fields, fault.Field{Pointer: "?" + name, Code: errText.Code, Detail: "must be text without NUL"})
				break
			}
		}
	}
	if len(fields) > 0 {
		return errText.AtFields(fields...)
	}
	return nil
}

func (a *API) send(hc huma.Context, file Download) {
	c := humaecho.Unwrap(hc)
	cl, out := callOf(hc.Context()), newSender(c)
	defer out.extend() // the end has to be sent as well
	h := c.Response().Header()
	h.Set("Content-Type", file.Media)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	h.Set("Cache-Control", "no-store")
	out.extend()
	c.Response().WriteHeader(http.StatusOK)
	cl.opened()
	if isHead(hc.Context()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(hc.Context()), downloadTimeout)
	defer cancel()
	go func() {
		select {
		case <-cl.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := file.Write(ctx, patient{out}); err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			a.log.ErrorContext(ctx, "download failed", "err", err)
		}
		panic(http.ErrAbortHandler) //nolint:forbidigo // the one way to tell that it is not whole; net/http expects it
	}
}

// patient gives each write a deadline of its own.
type patient struct{ sender }

func (p patient) Write(b []byte) (int, error) {
	p.extend()
	return p.to.Write(b)
}
