// Package dbfault stands between the program and PostgreSQL and fails on demand, for
// specs of what happens then.
package dbfault

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
)

// Proxy forwards connections to a PostgreSQL on a unix socket.
type Proxy struct {
	dsn      url.URL
	folder   string
	from, to string // paths of the sockets

	mu       sync.Mutex
	accepted int
	listener net.Listener
	open     map[net.Conn]bool
	stalled  chan struct{} // not nil while nothing moves; closed when it moves again
}

// New starts to forward connections to the server of a DSN.
func New(dsn string) (*Proxy, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return nil, fmt.Errorf("read DSN: %w", err)
	}
	folder, err := os.MkdirTemp("", "dbfault")
	if err != nil {
		return nil, err
	}
	q := u.Query()
	socket := ".s.PGSQL." + q.Get("port")
	p := &Proxy{folder: folder, from: filepath.Join(folder, socket), to: filepath.Join(q.Get("host"), socket), open: map[net.Conn]bool{}}
	q.Set("host", folder)
	u.RawQuery = q.Encode()
	p.dsn = *u
	return p, p.Restore()
}

// DSN of the same database through the proxy.
func (p *Proxy) DSN() string { return p.dsn.String() }

// Accepted is how many connections were let in so far.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Cut ends all connections and refuses new ones: the server is gone.
func (p *Proxy) Cut() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.listener != nil {
		err = p.listener.Close()
		p.listener = nil
	}
	for c := range p.open {
		err = errors.Join(err, ignoreClosed(c.Close()))
	}
	clear(p.open)
	return err
}

// Restore lets connections in again.
func (p *Proxy) Restore() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("unix", p.from) //nolint:noctx // a socket of this machine: nothing to wait for
	if err != nil {
		return err
	}
	p.listener = l
	go p.accept(l)
	return nil
}

// Stall keeps the connections and moves nothing over them: the network is a black hole.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled == nil {
		p.stalled = make(chan struct{})
	}
}

// Resume ends a Stall; what was sent meanwhile arrives.
func (p *Proxy) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stalled != nil {
		close(p.stalled)
		p.stalled = nil
	}
}

// Close ends the proxy.
func (p *Proxy) Close() error {
	p.Resume()
	return errors.Join(p.Cut(), os.RemoveAll(p.folder))
}

func (p *Proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", p.to) //nolint:noctx // as above
		if err != nil {
			_ = client.Close() // the client sees that there is no server
			continue
		}
		if !p.keep(client, server, l) {
			_ = errors.Join(client.Close(), server.Close()) // cut in the meantime
			continue
		}
		go p.forward(client, server)
		go p.forward(server, client)
	}
}

func (p *Proxy) keep(client, server net.Conn, l net.Listener) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != l {
		return false
	}
	p.open[client], p.open[server] = true, true
	p.accepted++
	return true
}

// forward moves bytes one way until either end is closed.
func (p *Proxy) forward(to, from net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		p.wait()
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	p.mu.Lock()
	delete(p.open, to)
	delete(p.open, from)
	p.mu.Unlock()
	_ = errors.Join(to.Close(), from.Close()) // one of them is closed already
}

func (p *Proxy) wait() {
	p.mu.Lock()
	stalled := p.stalled
	p.mu.Unlock()
	if stalled != nil {
		<-stalled
	}
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
