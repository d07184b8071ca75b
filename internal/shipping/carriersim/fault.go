package carriersim

import (
	"cmp"
	"context"
	"net"
	"net/http"
	"slices"
	"time"
)

// Kinds of faults. What the first five were asked for has happened all the same.
const (
	Drop    = "drop"    // the call is made, and its connection closed without an answer
	Fail    = "fail"    // the call is made, and answered with 500
	Hang    = "hang"    // the call is made, and not answered for a while
	Garbage = "garbage" // the call is made, and answered with what is no JSON
	Slow    = "slow"    // the call is made, but after a while, also when who asked has gone

	Reset   = "reset"   // the connection is reset, and nothing done
	Busy    = "busy"    // 429, too many requests
	Offline = "offline" // 503, and nothing done
	Refuse  = "refuse"  // 400, and nothing done
)

// kinds of faults there are.
var kinds = []string{Drop, Fail, Hang, Garbage, Slow, Reset, Busy, Offline, Refuse}

// Fault is what goes wrong with calls that fit all it says.
type Fault struct {
	Kind     string        `json:"kind"`
	Call     string        `json:"call,omitempty"`     // "POST /v2/shipments/{id}/buy"; empty: any that changes something
	Times    int           `json:"times,omitempty"`    // then it is over; 0: never
	PerMille int           `json:"perMille,omitempty"` // so many of a thousand; 0: all
	Lasting  time.Duration `json:"-"`                  // hang and slow; 0: 30 s
	Met      int           `json:"met"`                // how often it happened
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
func (s *Simulator) fault(method, pattern string) Fault {
	for _, f := range s.faults {
		fits := f.Call == pattern || f.Call == "" && method != http.MethodGet
		if !fits || f.Times > 0 && f.Met >= f.Times {
			continue
		}
		if f.PerMille == 0 || s.dice.perMille("fault", f.PerMille) {
			f.Met++
			return *f
		}
	}
	return Fault{}
}

// before is what a fault does in the call's place; nil lets the call be made.
func (f Fault) before() error {
	switch f.Kind {
	case Busy:
		return &problem{status: http.StatusTooManyRequests, code: "RATE_LIMITED", message: "Too many requests. (This is the simulator's doing.)"}
	case Refuse:
		return &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: "This call is not available. (This is the simulator's doing.)"}
	case Offline:
		return &problem{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", message: "Nobody is here. (This is the simulator's doing.)"}
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

// hangUp closes the connection without an answer, with a reset when that is wanted.
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
