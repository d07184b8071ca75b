package httpx

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
)

// Download is a file that is made while it is sent.
type Download struct {
	Media string
	Name  string
	// Write is called once. What it has written when it fails cannot be taken back: the
	// connection is broken off, so that nobody takes a part for the whole.
	Write func(ctx context.Context, w io.Writer) error
}

// File declares a route that answers with a file, in one of several forms. The deadline of
// requests bounds open, not the sending, which may take as long as the caller goes on to
// read.
func File[In any](a *API, r Route, media []string, open func(context.Context, *In) (Download, error)) {
	op := a.declare(&r, reflect.TypeFor[In](), reflect.TypeFor[None]())
	success := op.Responses[strconv.Itoa(r.Status)]
	success.Description = "The file"
	success.Content = map[string]*huma.MediaType{}
	for _, m := range media {
		success.Content[m] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
		callOf(ctx).route = r
		file, err := open(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) { a.send(hc, file) }}, nil
	})
}

func (a *API) send(hc huma.Context, file Download) {
	c := humaecho.Unwrap(hc)
	cl, out := callOf(hc.Context()), newSender(c)
	defer out.extend() // the end has to be sent as well
	h := c.Response().Header()
	h.Set("Content-Type", file.Media)
	h.Set("Content-Disposition", `attachment; filename="`+file.Name+`"`)
	h.Set("Cache-Control", "no-store")
	out.extend()
	c.Response().WriteHeader(http.StatusOK)
	cl.opened()
	if isHead(hc.Context()) {
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(hc.Context()))
	defer cancel()
	go func() {
		select {
		case <-cl.gone:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := file.Write(ctx, patient{out}); err != nil {
		a.log.WarnContext(ctx, "download broken off", "err", err)
		panic(http.ErrAbortHandler) // the one way to tell that it is not whole
	}
}

// patient gives each write a deadline of its own.
type patient struct{ sender }

func (p patient) Write(b []byte) (int, error) {
	p.extend()
	return p.to.Write(b)
}
