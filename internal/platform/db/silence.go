package db

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// silence is how long a server may say nothing to a statement. It answers or refuses
// within statement_timeout; if it does neither, it is not there any more: the machine was
// switched off, the network drops what we send. Neither lib/pq nor TCP would notice for
// many minutes, and a transaction would hold its request that long.
const silence = 15 * time.Second

// dialer opens connections that do not wait for ever. It is lib/pq's Dialer.
type dialer struct{ silence time.Duration }

func (d dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address) //nolint:forbidigo // the interface has none
}

func (d dialer) DialTimeout(network, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout) //nolint:forbidigo // the interface has none
	defer cancel()
	return d.DialContext(ctx, network, address)
}

func (d dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &connection{Conn: c, silence: d.silence}, nil
}

// connection gives each read and each write a time of its own, unless lib/pq has set one
// for all of them together, as it does while it connects.
type connection struct {
	net.Conn
	silence time.Duration
	bounded atomic.Bool
}

func (c *connection) SetDeadline(t time.Time) error {
	c.bounded.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

func (c *connection) Read(b []byte) (int, error) {
	if !c.bounded.Load() {
		if err := c.SetReadDeadline(time.Now().Add(c.silence)); err != nil { //nolint:forbidigo // the network's time, nobody else's
			return 0, err
		}
	}
	return c.Conn.Read(b)
}

func (c *connection) Write(b []byte) (int, error) {
	if !c.bounded.Load() {
		if err := c.SetWriteDeadline(time.Now().Add(c.silence)); err != nil { //nolint:forbidigo // as above
			return 0, err
		}
	}
	return c.Conn.Write(b)
}
