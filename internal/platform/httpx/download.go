package httpx

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// File is what a download sends: how the caller may call it, and what writes it.
type File struct {
	Name  string
	Write func(ctx context.Context, to io.Writer) error
}

const (
	// maxDownloads of one process: each holds a connection to the database while it lasts.
	maxDownloads = 2
	// downloadTimeout bounds the whole of a download.
	downloadTimeout = 15 * time.Minute
)

var errTooManyDownloads = fault.New(fault.Unavailable, "too_many_downloads", "As many downloads run as this server can serve. Try again shortly.").After(30)

// Download declares a route that answers with a file which is written while it is sent.
// open refuses like any handler. When the file cannot be finished the connection is cut: half
// of it is never taken for all of it.
func Download[In any](a *API, r Route, mediaType string, open func(context.Context, *In) (File, error)) {
	r.Refusals = append(r.Refusals, errTooManyDownloads)
	op := a.declare(&r, reflect.TypeFor[In](), reflect.TypeFor[None]())
	success := op.Responses[strconv.Itoa(r.Status)]
	success.Description = "The file"
	success.Content = map[string]*huma.MediaType{mediaType: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	slots := make(chan struct{}, maxDownloads)
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
		if err := r.open(ctx); err != nil {
			return nil, a.problem(ctx, err)
		}
		select {
		case slots <- struct{}{}:
		default:
			return nil, a.problem(ctx, errTooManyDownloads)
		}
		file, err := open(ctx, in)
		if err != nil {
			<-slots
			return nil, a.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer func() { <-slots }()
			a.send(humaecho.Unwrap(hc), file, mediaType)
		}}, nil
	})
}

func (a *API) send(c echo.Context, file File, mediaType string) {
	cl := callOf(c.Request().Context())
	h := c.Response().Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.Name}))
	h.Set("Cache-Control", "no-store")
	c.Response().WriteHeader(http.StatusOK)
	cl.opened()
	if isHead(c.Request().Context()) {
		return
	}
	// The deadline of requests is made for answers that are short.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), downloadTimeout)
	defer cancel()
	go func() {
		select {
		case <-cl.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := file.Write(ctx, writing{newSender(c)}); err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) {
			a.log.ErrorContext(ctx, "download failed", "err", err)
		}
		panic(http.ErrAbortHandler)
	}
}

// writing gives each piece a deadline of its own.
type writing struct{ sender }

func (w writing) Write(p []byte) (int, error) {
	if err := w.send(p); err != nil {
		return 0, err
	}
	return len(p), nil
}
