package httpx

import (
	"net"
	"net/netip"
	"sync"
)

// boundedListener closes connections of an address that has as many as it may. It answers
// nothing: to say why would cost more than the connection does.
type boundedListener struct {
	net.Listener
	most    int
	trusted proxies

	mu   sync.Mutex
	open map[string]int
}

// Bound lets each address have at most so many connections at a time, but for proxies that
// are trusted, which bring those of everybody. 0 is no bound.
func Bound(ln net.Listener, most int, trusted []netip.Prefix) net.Listener {
	if most == 0 {
		return ln
	}
	return &boundedListener{Listener: ln, most: most, trusted: trusted, open: map[string]int{}}
}

// Accept waits for a connection that may stay.
func (l *boundedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		ip := addressOf(conn.RemoteAddr().String())
		if l.trusted.trust(ip) {
			return conn, nil
		}
		address := network(ip)
		if l.take(address) {
			return &boundedConn{Conn: conn, done: sync.OnceFunc(func() { l.give(address) })}, nil
		}
		_ = conn.Close() // the peer may be gone already
	}
}

func (l *boundedListener) take(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[address] >= l.most {
		return false
	}
	l.open[address]++
	return true
}

func (l *boundedListener) give(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[address]--; l.open[address] == 0 {
		delete(l.open, address)
	}
}

type boundedConn struct {
	net.Conn
	done func()
}

func (c *boundedConn) Close() error {
	defer c.done()
	return c.Conn.Close()
}
