package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// Balancer is the one address in front of programs that come and go. It knows of them what
// a balancer in front of real ones knows, the answer of /readyz a moment ago, and forwards
// connections, not requests: whatever a program does to a connection, its client feels.
type Balancer struct {
	ln    net.Listener
	stop  context.CancelFunc
	loops sync.WaitGroup

	mu     sync.Mutex
	behind []string        // addresses
	ready  map[string]bool // as of the last look
	next   int
}

const (
	// lookEvery is the period of the balancer's probes. A program that is stopped has to
	// go on answering for longer: shutdown.delay.
	lookEvery    = 100 * time.Millisecond
	dialPatience = 2 * time.Second
)

// Balance opens the address.
func Balance(ctx context.Context) (*Balancer, error) {
	addr, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("open the balancer: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	b := &Balancer{ln: ln, stop: stop, ready: map[string]bool{}}
	b.loops.Go(func() { b.look(ctx) })
	b.loops.Go(func() { b.accept(ctx) })
	return b, nil
}

// URL of whichever program is ready.
func (b *Balancer) URL() string { return "http://" + b.ln.Addr().String() }

// Close refuses new connections.
func (b *Balancer) Close() error {
	b.stop()
	err := b.ln.Close()
	b.loops.Wait()
	return err
}

// Add puts a ready program behind the address.
func (b *Balancer) Add(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.behind = append(b.behind, addr)
	b.ready[addr] = true
}

// Remove forgets a program that has ended.
func (b *Balancer) Remove(addr string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.behind = slices.DeleteFunc(b.behind, func(a string) bool { return a == addr })
	delete(b.ready, addr)
}

func (b *Balancer) look(ctx context.Context) {
	client := prober()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		b.mu.Lock()
		behind := slices.Clone(b.behind)
		b.mu.Unlock()
		var all sync.WaitGroup
		for _, addr := range behind {
			all.Go(func() {
				well := ready(ctx, client, "http://"+addr)
				b.mu.Lock()
				defer b.mu.Unlock()
				if _, still := b.ready[addr]; still {
					b.ready[addr] = well
				}
			})
		}
		all.Wait()
	}
}

// choose takes turns among the programs that are ready.
func (b *Balancer) choose() (addr string, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.behind {
		b.next++
		if addr := b.behind[b.next%len(b.behind)]; b.ready[addr] {
			return addr, true
		}
	}
	return "", false
}

func (b *Balancer) accept(ctx context.Context) {
	for {
		client, err := b.ln.Accept()
		if err != nil {
			return
		}
		go b.forward(ctx, client)
	}
}

// forward ends the client's connection when no program takes it: nobody tries a second
// one in its place.
func (b *Balancer) forward(ctx context.Context, client net.Conn) {
	defer func() { _ = client.Close() }()
	addr, ok := b.choose()
	if !ok {
		return
	}
	server, err := (&net.Dialer{Timeout: dialPatience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	var both sync.WaitGroup
	both.Go(func() { pour(server, client) })
	both.Go(func() { pour(client, server) })
	both.Wait()
}

// pour copies one direction and passes its end on.
func pour(to, from net.Conn) {
	_, _ = io.Copy(to, from) // either end may go at any time
	if c, ok := to.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
}
