package stripesim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// control is the simulator's own API, for specs and for people: no key is asked for.
func (s *Simulator) control(mux *http.ServeMux) {
	handle := func(pattern string, do func(*http.Request, *call, map[string]json.RawMessage) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var in map[string]json.RawMessage
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
				write(w, refusal(invalid("", "", "The body is not a JSON object")))
				return
			}
			out, err := do(r, &call{sim: s, base: "http://" + r.Host}, in)
			if err != nil {
				write(w, refusal(err))
				return
			}
			body, err := json.MarshalIndent(out, "", "  ")
			if err != nil {
				write(w, refusal(err))
				return
			}
			write(w, answer{status: http.StatusOK, body: append(body, '\n')})
		})
	}
	handle("GET /_sim/ledger", func(r *http.Request, _ *call, _ map[string]json.RawMessage) (any, error) {
		return s.Ledger(r.URL.Query().Get("account")), nil
	})
	handle("GET /_sim/webhooks", func(*http.Request, *call, map[string]json.RawMessage) (any, error) { return s.deliveries(), nil })
	handle("POST /_sim/clock", s.moveClock)
	handle("POST /_sim/chaos", s.changeChaos)
	handle("POST /_sim/faults", s.addFault)
	handle("GET /_sim/faults", func(*http.Request, *call, map[string]json.RawMessage) (any, error) { return s.listFaults(), nil })
	handle("DELETE /_sim/faults", func(*http.Request, *call, map[string]json.RawMessage) (any, error) {
		s.Mend()
		return s.listFaults(), nil
	})
	handle("POST /_sim/{kind}/{id}/decide", s.decide)
}

// outcomes that one can decide, by what they are of.
var outcomes = map[string][]string{
	"payment_intents": {"pass", "fail", "dispute", "expire"},
	"refunds":         {"succeed", "fail"},
	"disputes":        {"won", "lost"},
}

// Decide says how something ends that is open: what the buyer did at the bank's page and how
// a debit went ("pass", "fail"), a refund ("succeed", "fail") or a dispute ("won", "lost"). A
// payment that has succeeded can be disputed, and a held one expire.
func (s *Simulator) Decide(id, outcome string) error {
	for kind := range outcomes {
		if _, err := s.decideOf(&call{sim: s}, kind, id, outcome); !errors.Is(err, errNotHere) {
			return err
		}
	}
	return missing("object", id, "id")
}

func (s *Simulator) decide(r *http.Request, c *call, in map[string]json.RawMessage) (any, error) {
	var outcome string
	_ = json.Unmarshal(in["outcome"], &outcome) // what is no text is no outcome
	out, err := s.decideOf(c, r.PathValue("kind"), r.PathValue("id"), outcome)
	if errors.Is(err, errNotHere) {
		return nil, missing("object", r.PathValue("id"), "id")
	}
	return out, err
}

var errNotHere = errors.New("stripesim: no such object")

func (s *Simulator) decideOf(c *call, kind, id, outcome string) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepAppointments()
	for _, a := range s.accounts {
		c.acct = a
		var about object
		var do func() error
		if i, ok := a.intents.byID[id]; ok && kind == "payment_intents" {
			about, do = i, func() error { return c.decideIntent(i, outcome) }
		}
		if r, ok := a.refunds.byID[id]; ok && kind == "refunds" {
			about, do = r, func() error { return c.settleRefund(r, outcome == "succeed") }
		}
		if d, ok := a.disputes.byID[id]; ok && kind == "disputes" {
			about, do = d, func() error { c.closeDispute(d, outcome == "won"); return nil }
		}
		if about == nil {
			continue
		}
		if !slices.Contains(outcomes[kind], outcome) {
			return nil, invalid("", "outcome", "The outcome is one of these: "+strings.Join(outcomes[kind], ", "))
		}
		if err := do(); err != nil {
			return nil, err
		}
		return about.view(nil), nil
	}
	return nil, errNotHere
}

func (c *call) decideIntent(i *intent, outcome string) error {
	switch {
	case outcome == "dispute" && i.Status == succeeded:
		c.openDispute(i.charge, "fraudulent", false)
	case outcome == "dispute":
		return wrongState("payment_intent_unexpected_state", "Only a payment that succeeded is disputed: this one has a status of "+i.Status+".")
	case outcome == "expire":
		c.expire(i)
	case i.Status == processing:
		return c.settle(i, outcome == "pass")
	default:
		return c.answerChallenge(i, outcome == "pass")
	}
	return nil
}

func (s *Simulator) moveClock(_ *http.Request, _ *call, in map[string]json.RawMessage) (any, error) {
	by, err := duration(in, "advance")
	if err != nil || by < 0 {
		return nil, invalid("", "advance", `Say by how much: {"advance": "168h"}`)
	}
	s.Advance(by)
	return map[string]time.Time{"now": s.Now()}, nil
}

// Unsettle changes what happens to webhooks from now on.
func (s *Simulator) Unsettle(chaos Chaos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opt.Chaos = chaos
}

func (s *Simulator) changeChaos(_ *http.Request, _ *call, in map[string]json.RawMessage) (any, error) {
	var chaos Chaos
	var err error
	number := func(name string, into *int) {
		if text, ok := in[name]; ok && json.Unmarshal(text, into) != nil {
			err = invalid("", name, name+" is a whole number")
		}
	}
	span := func(name string, into *time.Duration) {
		var bad error
		if *into, bad = duration(in, name); bad != nil {
			err = invalid("", name, name+` is a duration such as "2s"`)
		}
	}
	number("copies", &chaos.Copies)
	number("lost", &chaos.Lost)
	number("lateOf", &chaos.LateOf)
	span("delay", &chaos.Delay)
	span("shuffle", &chaos.Shuffle)
	span("late", &chaos.Late)
	if text, ok := in["early"]; ok && json.Unmarshal(text, &chaos.Early) != nil {
		err = invalid("", "early", "early is true or false")
	}
	if err != nil {
		return nil, err
	}
	s.Unsettle(chaos)
	return in, nil
}

func (s *Simulator) addFault(_ *http.Request, _ *call, in map[string]json.RawMessage) (any, error) {
	whole, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	var f Fault
	if err := json.Unmarshal(whole, &f); err != nil {
		return nil, invalid("", "", "This is no fault: "+err.Error())
	}
	if f.Lasting, err = duration(in, "for"); err != nil {
		return nil, invalid("", "for", `for is a duration such as "30s"`)
	}
	if !f.known() {
		return nil, invalid("", "kind", "The kind is one of these: "+strings.Join(kinds, ", "))
	}
	f.Met = 0
	s.Break(f)
	return s.listFaults(), nil
}

func (s *Simulator) listFaults() map[string][]Fault { return map[string][]Fault{"faults": s.Faults()} }

// deliveries of webhooks, the oldest first.
func (s *Simulator) deliveries() map[string][]delivery {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []delivery{}
	for _, d := range slices.Concat(s.post.past, s.post.waiting) {
		all = append(all, *d)
	}
	return map[string][]delivery{"webhooks": all}
}

func duration(in map[string]json.RawMessage, name string) (time.Duration, error) {
	text, ok := in[name]
	if !ok {
		return 0, nil
	}
	var said string
	if err := json.Unmarshal(text, &said); err != nil {
		return 0, err
	}
	return time.ParseDuration(said)
}
