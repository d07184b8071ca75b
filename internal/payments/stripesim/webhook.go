package stripesim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Chaos is what happens to webhooks on their way. Its zero value is a calm day.
type Chaos struct {
	Delay   time.Duration // of each
	Shuffle time.Duration // each is late by up to so much more, which changes their order
	Copies  int           // how many times each is sent; 0 and 1 mean once
	Lost    int           // so many of a thousand are never sent
	Late    time.Duration // of those that LateOf says
	LateOf  int           // so many of a thousand come that late
	// Early webhooks are delivered before the call that caused them is answered.
	Early bool
}

const (
	// tries of a webhook that is not answered with 2xx, each four times later than the one before.
	tries      = 6
	firstRetry = time.Second
	// patience with who is sent one.
	patience = 10 * time.Second
	carriers = 8
	// remembered is how many deliveries are kept to be looked at.
	rememberedDeliveries = 1000
)

// delivery is one copy of an event on its way to an endpoint.
type delivery struct {
	Event    string    `json:"event"`
	Type     string    `json:"type"`
	URL      string    `json:"url"`
	Due      time.Time `json:"due"`
	Tries    int       `json:"tries"`
	Status   int       `json:"status,omitempty"` // of the last answer
	Error    string    `json:"error,omitempty"`
	Done     bool      `json:"done"`
	secret   string
	body     []byte
	underway bool
	arrived  chan struct{} // closed after its first try
}

// post delivers webhooks.
type post struct {
	sim    *Simulator
	client *http.Client
	ctx    context.Context
	end    context.CancelFunc
	woken  chan struct{}
	work   sync.WaitGroup

	waiting []*delivery // guarded by the simulator's lock
	past    []*delivery
}

func newPost(ctx context.Context, s *Simulator) *post {
	p := &post{sim: s, client: &http.Client{Timeout: patience}, woken: make(chan struct{}, 1)}
	p.ctx, p.end = context.WithCancel(ctx)
	for range carriers {
		p.work.Go(p.carry)
	}
	return p
}

func (p *post) close() {
	p.end()
	p.work.Wait()
	p.client.CloseIdleConnections()
}

func (p *post) wake() {
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

// take accepts an event for an endpoint, with the chaos there is. It is called with the lock held.
func (p *post) take(e *event, to *endpoint) (taken []*delivery) {
	chaos, dice := p.sim.opt.Chaos, &p.sim.dice
	body, err := json.Marshal(e)
	if err != nil {
		p.sim.log.Error("an event cannot be written as JSON", "event", e.ID, "error", err)
		return nil
	}
	for range max(chaos.Copies, 1) {
		if dice.perMille("lost", chaos.Lost) {
			continue
		}
		due := p.sim.now().Add(chaos.Delay)
		if chaos.Shuffle > 0 {
			due = due.Add(time.Duration(dice.below("shuffle", uint64(chaos.Shuffle)))) //nolint:gosec // it is below a duration
		}
		if dice.perMille("late", chaos.LateOf) {
			due = due.Add(chaos.Late)
		}
		taken = append(taken, &delivery{Event: e.ID, Type: e.Type, URL: to.URL, Due: due, secret: to.Secret, body: body, arrived: make(chan struct{})})
	}
	p.waiting = append(p.waiting, taken...)
	p.wake()
	return taken
}

// carry delivers what is due, one after the other. Of those due at the same time the one
// that was written first goes first.
func (p *post) carry() {
	for p.ctx.Err() == nil {
		d, wait := p.next()
		if d != nil {
			p.deliver(d)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-p.ctx.Done():
		case <-p.woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// idle is how often somebody looks whether something is due by the simulator's clock.
const idle = 50 * time.Millisecond

func (p *post) next() (*delivery, time.Duration) {
	p.sim.mu.Lock()
	defer p.sim.mu.Unlock()
	p.sim.keepAppointments()
	var first *delivery
	for _, d := range p.waiting {
		if !d.underway && (first == nil || d.Due.Before(first.Due)) {
			first = d
		}
	}
	now := p.sim.now()
	if first == nil || first.Due.After(now) {
		return nil, idle
	}
	first.underway = true
	p.wake() // there may be more
	return first, 0
}

func (p *post) deliver(d *delivery) {
	status, err := p.send(d)
	p.sim.mu.Lock()
	defer p.sim.mu.Unlock()
	if d.Tries == 0 {
		close(d.arrived)
	}
	d.Tries++
	d.Status, d.Error, d.underway = status, "", false
	if err != nil {
		d.Error = err.Error()
	}
	d.Done = err == nil && status >= 200 && status < 300
	if d.Done || d.Tries == tries {
		p.waiting = slices.DeleteFunc(p.waiting, func(other *delivery) bool { return other == d })
		p.past = append(p.past, d)
		p.past = p.past[max(0, len(p.past)-rememberedDeliveries):]
		return
	}
	d.Due = p.sim.now().Add(firstRetry << (2 * (d.Tries - 1)))
}

func (p *post) send(d *delivery) (status int, err error) {
	r, err := http.NewRequestWithContext(p.ctx, http.MethodPost, d.URL, bytes.NewReader(d.body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
	// What is signed is when it is sent: receivers compare it with their own clock.
	r.Header.Set("Stripe-Signature", Sign(d.body, d.secret, p.sim.opt.Clock()))
	answer, err := p.client.Do(r)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // its status counts
	return answer.StatusCode, answer.Body.Close()
}

// Sign is the Stripe-Signature of a webhook: t=…,v1=….
func Sign(body []byte, secret string, at time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d.", at.Unix())
	_, _ = mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// awaited waits until webhooks have been delivered once.
func awaited(ctx context.Context, sent []*delivery) {
	for _, d := range sent {
		select {
		case <-d.arrived:
		case <-ctx.Done():
			return
		}
	}
}
