package lab

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Weather is how a network treats what is sent over it.
type Weather struct {
	Latency time.Duration // of each answer
	Resets  float64       // share of the messages to the server at which the connection is reset
	// Unanswered is the share of the commits that arrive and are carried out, and at whose
	// answer the connection is reset.
	Unanswered float64
	Silent     bool // connections stay, and nothing moves
}

// Network is the wire between the programs and the PostgreSQL that a lab hosts.
type Network struct {
	ln     net.Listener
	socket string // PostgreSQL's

	mu      sync.Mutex
	weather Weather
	rng     *rand.Rand
	changed chan struct{} // closed when the weather changes
	wires   map[*wire]bool

	delayed, resets, unanswered, silenced atomic.Int64
}

// wire is one connection.
type wire struct {
	client *net.TCPConn
	server net.Conn
	cut    sync.Once
	commit atomic.Bool // the server's next message is the answer to a commit that is to be lost
}

// Wire puts a network between the hosted PostgreSQL and all programs that are started
// from now on. It has TCP's ways to fail, which a unix socket has not.
func (l *Lab) Wire(ctx context.Context, rng *rand.Rand) (*Network, error) {
	dsn, err := url.Parse(l.hosted.DSN("fusion_app", "fusion"))
	if err != nil {
		return nil, err
	}
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open the network: %w", err)
	}
	q := dsn.Query()
	n := &Network{
		ln: ln, socket: filepath.Join(q.Get("host"), ".s.PGSQL."+q.Get("port")),
		rng: rng, changed: make(chan struct{}), wires: map[*wire]bool{},
	}
	go n.accept(ctx)
	l.url = "postgres://fusion_app@" + addr + "/fusion?sslmode=disable"
	return n, nil
}

// Turns changes the weather for connections old and new.
func (n *Network) Turns(w Weather) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.weather = w
	close(n.changed)
	n.changed = make(chan struct{})
}

// Forget resets all connections: who comes back after a silence is known to nobody.
func (n *Network) Forget() {
	n.mu.Lock()
	wires := make([]*wire, 0, len(n.wires))
	for w := range n.wires {
		wires = append(wires, w)
	}
	n.mu.Unlock()
	for _, w := range wires {
		n.reset(w)
	}
}

// Delayed answers so far.
func (n *Network) Delayed() int { return int(n.delayed.Load()) }

// Resets, at random, so far.
func (n *Network) Resets() int { return int(n.resets.Load()) }

// Unanswered commits so far.
func (n *Network) Unanswered() int { return int(n.unanswered.Load()) }

// Silenced messages so far.
func (n *Network) Silenced() int { return int(n.silenced.Load()) }

// Close ends the network.
func (n *Network) Close() error {
	err := n.ln.Close()
	n.Turns(Weather{})
	n.Forget()
	return err
}

func (n *Network) accept(ctx context.Context) {
	for {
		c, err := n.ln.Accept()
		if err != nil {
			return
		}
		client, ok := c.(*net.TCPConn)
		if !ok {
			_ = c.Close()
			continue
		}
		server, err := (&net.Dialer{Timeout: dialPatience}).DialContext(ctx, "unix", n.socket)
		if err != nil {
			_ = client.Close()
			continue
		}
		w := &wire{client: client, server: server}
		n.mu.Lock()
		n.wires[w] = true
		n.mu.Unlock()
		go n.carry(w, server, client, n.ask)
		go n.carry(w, client, server, n.answer)
	}
}

// carry moves one direction until either end is gone.
func (n *Network) carry(w *wire, to, from net.Conn, pass func(w *wire, message []byte) bool) {
	defer n.reset(w)
	buf := make([]byte, 64<<10)
	for {
		size, err := from.Read(buf)
		if size > 0 {
			n.awaitSound()
			if !pass(w, buf[:size]) {
				return
			}
			if _, err := to.Write(buf[:size]); err != nil {
				return
			}
		}
		if err != nil {
			n.awaitSound()
			return
		}
	}
}

// awaitSound blocks while the network is silent.
func (n *Network) awaitSound() {
	for first := true; ; first = false {
		n.mu.Lock()
		silent, changed := n.weather.Silent, n.changed
		n.mu.Unlock()
		if !silent {
			return
		}
		if first {
			n.silenced.Add(1)
		}
		<-changed
	}
}

// dice throws for one message, the same in every run as far as the messages are.
func (n *Network) dice() (w Weather, throw float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.weather, n.rng.Float64()
}

// ask is what befalls a message to the server.
func (n *Network) ask(w *wire, message []byte) (arrives bool) {
	weather, throw := n.dice()
	if throw < weather.Resets {
		n.resets.Add(1)
		return false
	}
	if throw < weather.Unanswered && bytes.HasSuffix(message, []byte("commit\x00")) {
		w.commit.Store(true)
	}
	return true
}

// answer is what befalls a message from the server.
func (n *Network) answer(w *wire, _ []byte) (arrives bool) {
	if w.commit.Load() {
		n.unanswered.Add(1)
		return false
	}
	if weather, _ := n.dice(); weather.Latency > 0 {
		n.delayed.Add(1)
		time.Sleep(weather.Latency)
	}
	return true
}

// reset ends a connection without a word: the client hears RST.
func (n *Network) reset(w *wire) {
	w.cut.Do(func() {
		n.mu.Lock()
		delete(n.wires, w)
		n.mu.Unlock()
		_ = w.client.SetLinger(0)
		_ = w.client.Close()
		_ = w.server.Close()
	})
}
