package stripesim

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"time"
)

// Kinds of faults. The money of the first four has moved all the same.
const (
	Drop    = "drop"    // the call is made, and its connection closed without an answer
	Fail    = "fail"    // the call is made, and answered with 500: so are repetitions with its key
	Hang    = "hang"    // the call is made, and not answered for a while
	Garbage = "garbage" // the call is made, and answered with what is no JSON

	Slow    = "slow"    // the call is made, but after a while: its key is in use until then
	Reset   = "reset"   // the connection is reset, and nothing done
	Busy    = "busy"    // 429, too many requests
	Locked  = "locked"  // 429 lock_timeout: somebody else has the object
	Offline = "offline" // 503, and nothing done
	Refuse  = "refuse"  // 400, and nothing done: as Stripe's search where it is not offered
)

// kinds of faults there are.
var kinds = []string{Drop, Fail, Hang, Garbage, Slow, Reset, Busy, Locked, Offline, Refuse}

// Fault is what goes wrong with calls that fit all it says.
type Fault struct {
	Kind     string            `json:"kind"`
	Call     string            `json:"call,omitempty"`     // "POST /v1/payment_intents/{id}/capture"; empty: any that changes something
	Metadata map[string]string `json:"metadata,omitempty"` // of the request, or of the payment that it is about
	Times    int               `json:"times,omitempty"`    // then it is over; 0: never
	PerMille int               `json:"perMille,omitempty"` // so many of a thousand; 0: all
	Lasting  time.Duration     `json:"-"`                  // hang and slow; 0: 30 s
	Met      int               `json:"met"`                // how often it happened
}

// Break adds a fault. The first that fits a call is its fault.
func (s *Simulator) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// Mend ends all faults.
func (s *Simulator) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Faults there are, with how often each happened.
func (s *Simulator) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Fault{}
	for _, f := range s.faults {
		all = append(all, *f)
	}
	return all
}

// fault of a call; an empty one is none.
func (c *call) fault() Fault {
	for _, f := range c.sim.faults {
		fits := f.Call == c.pattern || f.Call == "" && c.method != http.MethodGet
		if !fits || f.Times > 0 && f.Met >= f.Times || !c.about(f.Metadata) {
			continue
		}
		if f.PerMille == 0 || c.sim.dice.perMille("fault", f.PerMille) {
			f.Met++
			return *f
		}
	}
	return Fault{}
}

// about tells whether a call is about a payment with such metadata.
func (c *call) about(wanted map[string]string) bool {
	own, of := c.group("metadata"), map[string]string{}
	if i := c.acct.intents.byID[cmp.Or(c.id, c.text("payment_intent"))]; i != nil {
		of = i.Metadata
	}
	for k, v := range wanted {
		if own[k] != v && of[k] != v {
			return false
		}
	}
	return true
}

// before is what a fault does in the call's place; nil lets the call be made.
func (f Fault) before() error {
	switch f.Kind {
	case Busy:
		return tooMany("rate_limit", "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.")
	case Locked:
		return tooMany("lock_timeout", "This object cannot be accessed right now because another API request or Stripe process is currently accessing it. "+
			"If you see this error intermittently, retry the request.")
	case Refuse:
		return invalid("", "", "This API call is not available. (This is the simulator's doing: a fault was asked for.)")
	case Offline:
		return &problem{status: http.StatusServiceUnavailable, early: true, Type: "api_error", Message: "Stripe is not available. (This is the simulator's doing: a fault was asked for.)"}
	}
	return nil
}

// wait lets time go by, unless who asked goes away first.
func (f Fault) wait(ctx context.Context) {
	timer := time.NewTimer(cmp.Or(f.Lasting, 30*time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// hangUp closes the connection without an answer: at once with a reset when nothing was read.
func hangUp(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

func (f Fault) known() bool { return slices.Contains(kinds, f.Kind) }
