package carriersim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/fusioncommerce/fusion/internal/shipping/carrier"
)

// own is the simulator's own API, for specs and for people: no key is asked for.
func own() api {
	return api{problem: func(p *problem) any { return words{"code": p.code, "detail": p.message} }}
}

// order is what one can tell the simulator. All that is a span is a text such as "2s".
type order struct {
	Fault
	Delay          span           `json:"delay"`
	Shuffle        span           `json:"shuffle"`
	Copies         int            `json:"copies"`
	Lost           int            `json:"lost"`
	Lasts          span           `json:"for"`
	Advance        span           `json:"advance"`
	TrackingNumber string         `json:"trackingNumber"`
	Status         carrier.Status `json:"status"`
	Description    string         `json:"description"`
	Place          string         `json:"place"`
	At             time.Time      `json:"at"`
	Outcome        string         `json:"outcome"`
}

// span of time.
type span time.Duration

// UnmarshalJSON reads "2s".
func (s *span) UnmarshalJSON(body []byte) error {
	var text string
	if err := json.Unmarshal(body, &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	*s = span(d)
	return err
}

func (s *Simulator) control(mux *http.ServeMux) {
	handle := func(pattern string, do func(*http.Request, order) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var in order
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
				refuse(w, own(), &problem{status: http.StatusBadRequest, code: "BAD_REQUEST", message: "The body is not the JSON of this call: " + err.Error()})
				return
			}
			out, err := do(r, in)
			if err != nil {
				refuse(w, own(), err)
				return
			}
			body, err := json.MarshalIndent(out, "", "  ")
			if err != nil {
				refuse(w, own(), err)
				return
			}
			write(w, http.StatusOK, append(body, '\n'))
		})
	}
	handle("GET /_sim/labels", func(r *http.Request, _ order) (any, error) {
		number := r.URL.Query().Get("trackingNumber")
		labels := slices.DeleteFunc(s.Labels(), func(l LedgerLabel) bool { return number != "" && l.TrackingNumber != number })
		return words{"labels": labels}, nil
	})
	handle("GET /_sim/webhooks", func(*http.Request, order) (any, error) { return words{"webhooks": s.deliveries()}, nil })
	handle("POST /_sim/track", func(_ *http.Request, in order) (any, error) {
		err := s.Track(in.TrackingNumber, carrier.Event{Status: in.Status, Description: in.Description, Place: in.Place, At: in.At})
		return words{"trackingNumber": in.TrackingNumber, "status": in.Status}, err
	})
	handle("POST /_sim/voids/{number}", func(r *http.Request, in order) (any, error) {
		err := s.Decide(r.PathValue("number"), carrier.VoidState(in.Outcome))
		return words{"trackingNumber": r.PathValue("number"), "void": in.Outcome}, err
	})
	handle("POST /_sim/clock", func(_ *http.Request, in order) (any, error) {
		if in.Advance < 0 {
			return nil, invalid(`Say by how much: {"advance": "168h"}`)
		}
		s.Advance(time.Duration(in.Advance))
		return words{"now": s.Now()}, nil
	})
	handle("POST /_sim/chaos", func(_ *http.Request, in order) (any, error) {
		chaos := Chaos{Delay: time.Duration(in.Delay), Shuffle: time.Duration(in.Shuffle), Copies: max(in.Copies, 1), Lost: in.Lost}
		s.Unsettle(chaos)
		return words{"copies": chaos.Copies, "lost": chaos.Lost, "delay": chaos.Delay.String(), "shuffle": chaos.Shuffle.String()}, nil
	})
	handle("POST /_sim/faults", func(_ *http.Request, in order) (any, error) {
		if !in.known() {
			return nil, invalid("The kind is one of these: " + strings.Join(kinds, ", "))
		}
		in.Met, in.Lasting = 0, time.Duration(in.Lasts)
		s.Break(in.Fault)
		return words{"faults": s.Faults()}, nil
	})
	handle("GET /_sim/faults", func(*http.Request, order) (any, error) { return words{"faults": s.Faults()}, nil })
	handle("DELETE /_sim/faults", func(*http.Request, order) (any, error) {
		s.Mend()
		return words{"faults": s.Faults()}, nil
	})
}

// Decide says how the void of a label ends: Voided or Rejected.
func (s *Simulator) Decide(number string, outcome carrier.VoidState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if outcome != carrier.Voided && outcome != carrier.Rejected {
		return invalid("The outcome is one of these: voided, rejected")
	}
	for _, l := range s.labels {
		if l.number == number && l.void == carrier.Submitted {
			s.decide(l, outcome == carrier.Voided)
			return nil
		}
	}
	return &problem{status: http.StatusNotFound, code: "NOT_FOUND", message: "No label with this tracking number is being given back."}
}

// Unsettle changes what happens to webhooks from now on.
func (s *Simulator) Unsettle(chaos Chaos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opt.Chaos = chaos
}

// deliveries of webhooks, the oldest first.
func (s *Simulator) deliveries() []delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []delivery{}
	for _, d := range slices.Concat(s.post.past, s.post.waiting) {
		all = append(all, *d)
	}
	return all
}
