package carriersim

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// maxBody is more than any request of theirs.
const maxBody = 1 << 20

// call is one request of either API.
type call struct {
	sim  *Simulator
	acct *account
	r    *http.Request
	base string // where the simulator is reached
	body []byte
}

// read makes sense of the body.
func (c *call) read(into any) error {
	if err := json.Unmarshal(c.body, into); err != nil {
		return &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: "The body is not the JSON of this call: " + err.Error()}
	}
	return nil
}

// route is a call that the simulator knows.
type route struct {
	pattern string
	status  int
	// begin claims what the call is about, before a slow one waits.
	begin  func(*call) error
	handle func(*call) (any, error)
}

// problem is an error of either API, which each writes in its own way.
type problem struct {
	status        int
	code, message string
}

// Error is for people who read Go.
func (p *problem) Error() string { return p.code + ": " + p.message }

// api is how one of the two knows callers and refuses.
type api struct {
	name       string
	credential func(*http.Request) (account string, ok bool)
	problem    func(*problem) any
	routes     []route
}

func (s *Simulator) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, a := range []api{easyPost(), shippo()} {
		for _, to := range a.routes {
			mux.HandleFunc(to.pattern, func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, a, to) })
		}
	}
	mux.HandleFunc("GET /_sim/paper/{file}", s.paper)
	s.control(mux)
	return mux
}

// serve makes a call, with the fault that was asked for.
func (s *Simulator) serve(w http.ResponseWriter, r *http.Request, of api, to route) {
	name, ok := of.credential(r)
	if !ok {
		refuse(w, of, &problem{status: http.StatusUnauthorized, code: "APIKEY.INACTIVE", message: "The simulator takes keys of test mode only."})
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, of, &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: "The body cannot be read."})
		return
	}
	c := &call{sim: s, r: r, base: "http://" + r.Host, body: body}
	s.mu.Lock()
	c.acct = s.account(of.name, name)
	fault := s.fault(r.Method, to.pattern)
	s.mu.Unlock()
	if fault.Kind == Reset {
		hangUp(w, true)
		return
	}
	out, err := s.make(c, to, fault)
	switch {
	case fault.Kind == Drop:
		hangUp(w, false)
	case fault.Kind == Garbage:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<html><body><h1>It works!</h1>")
	case fault.Kind == Fail:
		refuse(w, of, &problem{status: http.StatusInternalServerError, code: "INTERNAL_SERVER_ERROR", message: "This is the simulator's doing: a fault was asked for."})
	case err != nil:
		refuse(w, of, err)
	default:
		if fault.Kind == Hang {
			fault.wait(r.Context())
		}
		write(w, to.status, out)
	}
}

// make does what was asked; what it did is done, whatever becomes of the answer.
func (s *Simulator) make(c *call, to route, fault Fault) (json.RawMessage, error) {
	if err := fault.before(); err != nil {
		return nil, err
	}
	if to.begin != nil {
		s.mu.Lock()
		err := to.begin(c)
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	if fault.Kind == Slow {
		// Who asked may have gone: carriers go on all the same.
		fault.wait(context.WithoutCancel(c.r.Context()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	out, err := to.handle(c)
	if err != nil {
		return nil, err
	}
	return json.Marshal(out)
}

func refuse(w http.ResponseWriter, of api, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = &problem{status: http.StatusInternalServerError, code: "INTERNAL_SERVER_ERROR", message: err.Error()}
	}
	body, _ := json.Marshal(of.problem(p)) // it is text only
	write(w, p.status, body)
}

func write(w http.ResponseWriter, status int, body json.RawMessage) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// testKey is the account that a key of test mode belongs to.
func testKey(key, prefix string) (string, bool) {
	name, ok := strings.CutPrefix(key, prefix)
	return name, ok && name != ""
}
