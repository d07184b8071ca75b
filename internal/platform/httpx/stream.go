package httpx

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"github.com/fusioncommerce/fusion/internal/platform/fault"
)

// Feed is what somebody who listens is told, until Events is closed.
type Feed[T any] struct {
	Events <-chan Event[T]
	// Close is called once, when nobody listens any more.
	Close func()
}

// Event of a feed, as browsers know it (WHATWG HTML, 9.2).
type Event[T any] struct {
	ID   string // tells what the listener has seen; one line
	Name string // one line
	Data T      // becomes JSON
}

const (
	// maxListeners of one process: each is a connection and little else.
	maxListeners = 2000
	// heartbeat keeps proxies from taking a quiet feed for a dead one, and shows us the
	// listeners that are gone.
	heartbeat = 15 * time.Second
	// sendTimeout is how long a listener may take what it is sent.
	sendTimeout = 10 * time.Second
)

var errTooManyListeners = fault.New(fault.Unavailable, "too_many_listeners", "As many listen as this server can serve. Try again shortly.").After(5)

// listeners bounds the feeds of a process and ends them when it stops.
type listeners struct {
	slots    chan struct{}
	beat     time.Duration
	draining <-chan struct{}
}

func newListeners(draining <-chan struct{}) *listeners {
	return &listeners{make(chan struct{}, maxListeners), heartbeat, draining}
}

// Stream declares a route that answers with server-sent events, for as long as the caller
// listens and the program runs. open refuses like any handler, or says what is to be told.
// The deadline of requests bounds open, not the feed.
func Stream[In, T any](a *API, r Route, open func(context.Context, *In) (Feed[T], error)) {
	r.Refusals = append(r.Refusals, errTooManyListeners)
	op := a.declare(&r, reflect.TypeFor[In](), reflect.TypeFor[T]())
	success := op.Responses[strconv.Itoa(r.Status)]
	success.Content = map[string]*huma.MediaType{"text/event-stream": success.Content["application/json"]}
	success.Description = "Server-sent events; the data of each is this object"
	huma.Register(a.huma, op, func(ctx context.Context, in *In) (*huma.StreamResponse, error) {
		select {
		case a.listeners.slots <- struct{}{}:
		default:
			return nil, a.problem(ctx, errTooManyListeners)
		}
		feed, err := open(ctx, in)
		if err != nil {
			<-a.listeners.slots
			return nil, a.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer func() { <-a.listeners.slots }()
			defer feed.Close()
			tell(humaecho.Unwrap(hc), feed, a.listeners)
		}}, nil
	})
}

// tell sends what a feed says. It returns when the listener is gone or does not take it,
// when there is nothing more to say, and at once when the program stops.
func tell[T any](c echo.Context, feed Feed[T], all *listeners) {
	cl, out := callOf(c.Request().Context()), newSender(c)
	defer out.extend() // the end has to be sent as well
	h := c.Response().Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx would collect it
	c.Response().WriteHeader(http.StatusOK)
	cl.opened()
	if isHead(c.Request().Context()) || out.send(nil) != nil {
		return
	}
	beat := time.NewTicker(all.beat)
	defer beat.Stop()
	for {
		text := []byte(":\n\n")
		select {
		case <-cl.gone:
			return
		case <-all.draining:
			return
		case <-beat.C:
		case e, more := <-feed.Events:
			body, err := e.text()
			if !more || err != nil {
				return
			}
			text = body
		}
		if out.send(text) != nil {
			return
		}
	}
}

func (e Event[T]) text() ([]byte, error) {
	data, err := Marshal(e.Data)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "id: %s\nevent: %s\ndata: %s\n\n", e.ID, e.Name, data)
	return b.Bytes(), nil
}

// sender writes through to the listener, each time within a deadline of its own: those of
// the server are made for requests that end.
type sender struct {
	to      http.ResponseWriter
	control *http.ResponseController
}

func newSender(c echo.Context) sender {
	return sender{c.Response(), http.NewResponseController(c.Response())}
}

func (s sender) extend() {
	_ = s.control.SetWriteDeadline(time.Now().Add(sendTimeout)) //nolint:forbidigo // bounds a write, decides nothing
}

func (s sender) send(text []byte) error {
	s.extend()
	if _, err := s.to.Write(text); err != nil {
		return err
	}
	return s.control.Flush()
}
