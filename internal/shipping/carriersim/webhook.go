package carriersim

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
}

const (
	// tries of a webhook that is not answered with 2xx, each four times later than the one before.
	tries      = 6
	firstRetry = time.Second
	// patience with who is sent one.
	patience = 10 * time.Second
	posts    = 8
	// rememberedDeliveries are kept to be looked at.
	rememberedDeliveries = 1000
	// idle is how often somebody looks whether something is due by the simulator's clock.
	idle = 50 * time.Millisecond
)

// happening is what a webhook tells.
type happening string

const (
	created  happening = "created"
	moved    happening = "moved"
	refunded happening = "refunded"
)

// delivery is one copy of a webhook on its way.
type delivery struct {
	API      string    `json:"api"`
	Tells    happening `json:"tells"`
	Parcel   string    `json:"trackingNumber"`
	URL      string    `json:"url"`
	Due      time.Time `json:"due"`
	Tries    int       `json:"tries"`
	Status   int       `json:"status,omitempty"` // of the last answer
	Error    string    `json:"error,omitempty"`
	Done     bool      `json:"done"`
	body     []byte
	underway bool
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
	for range posts {
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

// tell sends what happened to a label, with the chaos there is. It is called with the lock held.
func (s *Simulator) tell(l *label, of happening) {
	api, to, message := l.rate.shipment.acct.api, s.opt.ShippoWebhook, l.shippoEvent(of)
	if api == easyPostName {
		to, message = s.opt.EasyPostWebhook, s.easyPostEvent(l, of)
	}
	if to == "" {
		return
	}
	body, err := json.Marshal(message)
	if err != nil {
		s.log.Error("an event cannot be written as JSON", "event", of, "error", err)
		return
	}
	for range max(s.opt.Chaos.Copies, 1) {
		if s.dice.perMille("lost", s.opt.Chaos.Lost) {
			continue
		}
		due := s.opt.Clock().Add(s.ahead + s.opt.Chaos.Delay)
		if late := s.opt.Chaos.Shuffle; late > 0 {
			due = due.Add(time.Duration(s.dice.below("shuffle", uint64(late)))) //nolint:gosec // it is below a duration
		}
		s.post.waiting = append(s.post.waiting, &delivery{API: api, Tells: of, Parcel: l.number, URL: to, Due: due, body: body})
	}
	s.post.wake()
}

// carry delivers what is due, one after the other. Of those due at the same time the one
// that was written first goes first.
func (p *post) carry() {
	for p.ctx.Err() == nil {
		if d := p.next(); d != nil {
			p.deliver(d)
			continue
		}
		timer := time.NewTimer(idle)
		select {
		case <-p.ctx.Done():
		case <-p.woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func (p *post) next() *delivery {
	p.sim.mu.Lock()
	defer p.sim.mu.Unlock()
	p.sim.settle()
	var first *delivery
	for _, d := range p.waiting {
		if !d.underway && (first == nil || d.Due.Before(first.Due)) {
			first = d
		}
	}
	if first == nil || first.Due.After(p.sim.opt.Clock().Add(p.sim.ahead)) {
		return nil
	}
	first.underway = true
	p.wake() // there may be more
	return first
}

func (p *post) deliver(d *delivery) {
	status, err := p.send(d)
	p.sim.mu.Lock()
	defer p.sim.mu.Unlock()
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
	d.Due = p.sim.opt.Clock().Add(p.sim.ahead + firstRetry<<(2*(d.Tries-1)))
}

func (p *post) send(d *delivery) (status int, err error) {
	r, err := http.NewRequestWithContext(p.ctx, http.MethodPost, d.URL, bytes.NewReader(d.body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	// What is signed is when it is sent: receivers compare it with their own clock.
	Sign(r.Header, d.API, d.body, p.sim.opt.Secret, p.sim.opt.Clock())
	answer, err := p.client.Do(r)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // its status counts
	return answer.StatusCode, answer.Body.Close()
}

// Sign a webhook as EasyPost ("easypost") or Shippo ("shippo") does.
func Sign(header http.Header, api string, body []byte, secret string, at time.Time) {
	mac := hmac.New(sha256.New, []byte(secret))
	if api == easyPostName {
		_, _ = mac.Write(body)
		header.Set("X-Hmac-Signature", "hmac-sha256-hex="+hex.EncodeToString(mac.Sum(nil)))
		return
	}
	_, _ = fmt.Fprintf(mac, "%d.", at.Unix())
	_, _ = mac.Write(body)
	header.Set("Shippo-Auth-Signature", fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil))))
}
