// Package load is the shop's customers: closed-loop clients that repeat a request, with
// the same Idempotency-Key and the same body, until the answer is definite, and a
// history of all they asked and heard.
package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Request is one thing that a customer wants, however often it has to be asked for.
type Request struct {
	Key    string // Idempotency-Key; none when empty
	Method string
	Path   string
	Body   any
}

// name of the request in the history.
func (r Request) name() string {
	if r.Key != "" {
		return r.Key
	}
	return r.Method + " " + r.Path
}

// Answer is a definite one: it was done, or it was refused for good.
type Answer struct {
	Request  Request
	Status   int
	Header   http.Header
	Raw      []byte
	Replayed bool
	Attempts int
}

// OK tells that it was done.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Code of the problem when it was refused.
func (a Answer) Code() string {
	var problem struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(a.Raw, &problem)
	return problem.Code
}

// Read decodes the body.
func (a Answer) Read(v any) error {
	if err := json.Unmarshal(a.Raw, v); err != nil {
		return fmt.Errorf("answer to %s: %w: %s", a.Request.name(), err, a.Raw)
	}
	return nil
}

// Shop is where customers ask.
type Shop struct {
	url     string
	key     string
	history *History
	http    *http.Client
}

const (
	// attemptWaits is longer than the server's own deadline of a request.
	attemptWaits = 20 * time.Second
	// patience is longer than any fault: how long a customer repeats a request before the answer counts as missing.
	patience    = 2 * time.Minute
	maxAttempts = 2000
	// idles is how long a connection is kept for the next request: not for as long as a
	// program that stops lets requests in, or it would be cut under one.
	idles = 500 * time.Millisecond
	// What a customer waits before asking again: impatient on purpose.
	pauseAtLeast, pauseAtMost = 5 * time.Millisecond, 60 * time.Millisecond
)

// NewShop talks to a shop with an API key.
func NewShop(url, key string, clients int, h *History) *Shop {
	return &Shop{url: url, key: key, history: h, http: &http.Client{
		Timeout:       attemptWaits,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{MaxIdleConnsPerHost: clients, MaxConnsPerHost: 2 * clients, IdleConnTimeout: idles},
	}}
}

// ErrNoAnswer means that the outcome is unknown after all patience.
var ErrNoAnswer = errors.New("no definite answer")

// Ask repeats a request until the answer is definite.
func (s *Shop) Ask(ctx context.Context, client int, r Request) (Answer, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return Answer{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s.history.add(client, r, Invoke, 0, "")
	for attempt := 1; attempt <= maxAttempts; attempt++ {
		a, why := s.once(ctx, r, body)
		a.Attempts = attempt
		switch {
		case why != "":
			s.history.add(client, r, Info, a.Status, why)
		case a.OK():
			s.history.done(client, r, OK, a)
			return a, nil
		default:
			s.history.done(client, r, Fail, a)
			return a, nil
		}
		pause := time.NewTimer(pauseAtLeast + time.Duration(rand.Int64N(int64(pauseAtMost-pauseAtLeast)))) //nolint:gosec // jitter, not a secret
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return a, fmt.Errorf("%w to %s after %d attempts, the last: %s", ErrNoAnswer, r.name(), attempt, why)
		}
	}
	return Answer{}, fmt.Errorf("%w to %s after %d attempts", ErrNoAnswer, r.name(), maxAttempts)
}

// once asks once. why is not empty when the outcome is unknown.
func (s *Shop) once(ctx context.Context, r Request, body []byte) (a Answer, why string) {
	a.Request = r
	req, err := http.NewRequestWithContext(ctx, r.Method, s.url+r.Path, bytes.NewReader(body))
	if err != nil {
		return a, err.Error()
	}
	// The transport would repeat a request that has an Idempotency-Key by itself, and
	// the history would not know.
	req.GetBody = nil
	req.Header.Set("Authorization", "Bearer "+s.key)
	req.Header.Set("Content-Type", "application/json")
	if r.Key != "" {
		req.Header.Set("Idempotency-Key", r.Key)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return a, "connection"
	}
	defer func() { _ = resp.Body.Close() }()
	a.Status, a.Header, a.Replayed = resp.StatusCode, resp.Header, resp.Header.Get("Idempotency-Replayed") == "true"
	if a.Raw, err = io.ReadAll(resp.Body); err != nil {
		return a, "connection"
	}
	code := ""
	if !a.OK() {
		code = a.Code()
	}
	if a.Status >= 500 || a.Status == http.StatusTooManyRequests || code == "idempotency_in_flight" {
		return a, fmt.Sprintf("%d %s", a.Status, code)
	}
	return a, ""
}

// Crowd lets clients ask for what comes through the channel, each one after the other,
// until it is closed. heard gets every answer, or why there is none, of one client at a
// time.
func (s *Shop) Crowd(ctx context.Context, clients int, requests <-chan Request, heard func(Answer, error)) {
	var (
		all sync.WaitGroup
		mu  sync.Mutex
	)
	for client := range clients {
		all.Go(func() {
			for r := range requests {
				a, err := s.Ask(ctx, client, r)
				mu.Lock()
				heard(a, err)
				mu.Unlock()
			}
		})
	}
	all.Wait()
}
