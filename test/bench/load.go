package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/test/faults/lab"
)

// request is one request as it goes over the wire.
type request []byte

func get(path string) request {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path)
}

func getAs(path, token string) request {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n\r\n", path, token)
}

func post(path, body string) request {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, lab.Key, len(body), body)
}

// connection of one client, kept alive. net/http's client costs more than the answer of
// a cached page does: with it, one would mostly measure the measuring.
type connection struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// patience is how long an answer may take.
const patience = 20 * time.Second

// answer to one request.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) problem() error {
	if a.status >= 200 && a.status < 300 {
		return nil
	}
	return fmt.Errorf("answered %d: %s", a.status, a.body)
}

// ask sends a request and reads the whole answer. After an error the next one dials anew.
func (c *connection) ask(ctx context.Context, r request) (a answer, err error) {
	if c.conn == nil {
		if c.conn, err = new(net.Dialer).DialContext(ctx, "tcp", c.addr); err != nil {
			return a, err
		}
		c.in = bufio.NewReader(c.conn)
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return a, err
	}
	if _, err := c.conn.Write(r); err != nil {
		return a, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	a.status, a.header = resp.StatusCode, resp.Header
	if a.body, err = io.ReadAll(resp.Body); err == nil && resp.Close {
		err = errors.New("the server closes the connection")
	}
	return a, err
}

// done asks for what has to succeed, and decodes the answer into v unless that is nil.
func (c *connection) done(ctx context.Context, r request, v any) (answer, error) {
	a, err := c.ask(ctx, r)
	if err == nil {
		err = a.problem()
	}
	if err == nil && v != nil {
		err = json.Unmarshal(a.body, v)
	}
	return a, err
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
	}
	c.conn = nil
}

// asker makes the next request of a client.
type asker func(dice *rand.Rand) request

// outcome of a load.
type outcome struct {
	began, ended time.Time       // of the last part
	took         time.Duration   // of all parts
	samples      []time.Duration // of what was answered well
	errors       int
	firstError   error
	cpu          time.Duration // of those who answered
}

func (o outcome) perSecond() float64 { return rate(len(o.samples), o.took) }

// cpuEach is the processor time of one answer, in microseconds.
func (o outcome) cpuEach() float64 {
	if len(o.samples) == 0 {
		return 0
	}
	return float64(o.cpu) / float64(time.Microsecond) / float64(len(o.samples))
}

func (o *outcome) add(other outcome) {
	o.began, o.ended = other.began, other.ended
	o.took += other.took
	o.cpu += other.cpu
	o.samples = append(o.samples, other.samples...)
	o.errors += other.errors
	if o.firstError == nil {
		o.firstError = other.firstError
	}
}

// note one answer that was due at a time.
func (o *outcome) note(due time.Time, a answer, err error) {
	took := time.Since(due)
	if err == nil {
		err = a.problem()
	}
	if err == nil {
		o.samples = append(o.samples, took)
		return
	}
	o.errors++
	if o.firstError == nil {
		o.firstError = err
	}
}

// crowd lets each client do its part and adds up what they saw.
func crowd(ctx context.Context, addr string, clients int, part func(ctx context.Context, c *connection, dice *rand.Rand) outcome) outcome {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		total outcome
		began = time.Now()
	)
	for client := range clients {
		all.Go(func() {
			c := &connection{addr: addr}
			defer c.close()
			o := part(ctx, c, rand.New(rand.NewPCG(uint64(client), uint64(clients)))) //nolint:gosec // the same dice in every run
			mu.Lock()
			defer mu.Unlock()
			total.add(o)
		})
	}
	all.Wait()
	total.began, total.ended = began, time.Now()
	total.took = total.ended.Sub(began)
	return total
}

// pauseAfterError keeps a server that refuses everything from being asked without end.
const pauseAfterError = 10 * time.Millisecond

// closedLoop has every client ask again as soon as it is answered.
func closedLoop(ctx context.Context, addr string, clients int, d time.Duration, next asker) outcome {
	return closedErrands(ctx, addr, clients, d, func(ctx context.Context, c *connection, dice *rand.Rand) (answer, error) {
		return c.ask(ctx, next(dice))
	})
}

// errand is what a client does in several requests; the answer is the last one's.
type errand func(ctx context.Context, c *connection, dice *rand.Rand) (answer, error)

// closedErrands has every client begin anew as soon as it is done.
func closedErrands(ctx context.Context, addr string, clients int, d time.Duration, do errand) outcome {
	until := time.Now().Add(d)
	return crowd(ctx, addr, clients, func(ctx context.Context, c *connection, dice *rand.Rand) (o outcome) {
		for ctx.Err() == nil && time.Now().Before(until) {
			began := time.Now()
			a, err := do(ctx, c, dice)
			if o.note(began, a, err); err != nil {
				time.Sleep(pauseAfterError)
			}
		}
		return o
	})
}

// openLoop asks at a fixed rate, however slow the answers are. Time counts from when a
// request was due: a stall is felt by all that it holds up, not by one client.
func openLoop(ctx context.Context, addr string, clients, perSecond int, d time.Duration, next asker) outcome {
	return openErrands(ctx, addr, clients, perSecond, d, func(ctx context.Context, c *connection, dice *rand.Rand) (answer, error) {
		return c.ask(ctx, next(dice))
	})
}

// openErrands is openLoop for what takes several requests.
func openErrands(ctx context.Context, addr string, clients, perSecond int, d time.Duration, do errand) outcome {
	due := make(chan time.Time, perSecond) // a second late, and the schedule waits, too
	go func() {
		defer close(due)
		began, gap := time.Now(), time.Second/time.Duration(perSecond)
		for n := range int(d / gap) {
			at := began.Add(time.Duration(n) * gap)
			time.Sleep(time.Until(at))
			select {
			case due <- at:
			case <-ctx.Done():
				return
			}
		}
	}()
	return crowd(ctx, addr, clients, func(ctx context.Context, c *connection, dice *rand.Rand) (o outcome) {
		for at := range due {
			a, err := do(ctx, c, dice)
			o.note(at, a, err)
		}
		return o
	})
}
