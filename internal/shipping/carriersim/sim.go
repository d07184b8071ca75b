// Package carriersim is an EasyPost and a Shippo to build against without an account: the
// part of their APIs that quotes, sells, takes back and tracks labels, with what goes wrong
// there. It keeps everything in memory, moves by a clock that can be put forward, and does
// the same again for the same seed.
//
// What carriers do is in parcel.go; easypost.go and shippo.go say it in the words of either.
// What can be broken is in fault.go and webhook.go; control.go is the simulator's own API.
package carriersim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

// Options of a simulator. None is needed.
type Options struct {
	Seed  uint64
	Clock func() time.Time // nil: the machine's
	// EasyPostWebhook and ShippoWebhook are addresses that get the events of all accounts of
	// either; empty: none does.
	EasyPostWebhook, ShippoWebhook string
	Secret                         string // that they are signed with
	Chaos                          Chaos  // of all webhooks
	// Settling is how long carriers think about a label that is given back; 0: five seconds.
	Settling time.Duration
	Log      *slog.Logger // nil: nothing is logged
}

// Simulator is an http.Handler that answers as EasyPost does below /v2, and as Shippo does
// elsewhere. Each key is an account of its own.
type Simulator struct {
	opt  Options
	mux  *http.ServeMux
	log  *slog.Logger
	post *post

	mu       sync.Mutex
	dice     dice
	ahead    time.Duration // of the machine's clock
	accounts map[string]*account
	labels   []*label // of all accounts, in the order in which they were bought
	faults   []*Fault
}

// account is a merchant's at one of the two.
type account struct {
	name      string
	api       string
	shipments map[string]*shipment
	rates     map[string]*rate
}

// New makes a simulator. It delivers webhooks until it is closed, or the context ends.
func New(ctx context.Context, o Options) *Simulator {
	if o.Clock == nil {
		o.Clock = clock.System
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Settling = cmp.Or(o.Settling, 5*time.Second)
	s := &Simulator{opt: o, log: o.Log, dice: dice{seed: o.Seed, drawn: map[string]uint64{}}, accounts: map[string]*account{}}
	s.post = newPost(ctx, s)
	s.mux = s.routes()
	return s
}

// ServeHTTP answers one request.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close ends the delivery of webhooks.
func (s *Simulator) Close() { s.post.close() }

// account that a key belongs to; it is made when it is asked for first.
func (s *Simulator) account(api, name string) *account {
	a, ok := s.accounts[api+" "+name]
	if !ok {
		a = &account{name: name, api: api, shipments: map[string]*shipment{}, rates: map[string]*rate{}}
		s.accounts[api+" "+name] = a
	}
	return a
}

// now is the simulator's time. It is called with the lock held.
func (s *Simulator) now() time.Time { return s.opt.Clock().Add(s.ahead).UTC().Truncate(time.Second) }

// Now is the simulator's time.
func (s *Simulator) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// Advance puts the clock forward: what was due in between happens.
func (s *Simulator) Advance(d time.Duration) {
	s.mu.Lock()
	s.ahead += d
	s.settle()
	s.mu.Unlock()
	s.post.wake()
}

// dice fall the same way for the same seed. Each purpose has its own, so that one more
// webhook changes no parcel's number.
type dice struct {
	seed  uint64
	drawn map[string]uint64
}

func (d *dice) draw(purpose string) [sha256.Size]byte {
	d.drawn[purpose]++
	return sha256.Sum256(fmt.Appendf(nil, "%d/%s/%d", d.seed, purpose, d.drawn[purpose]))
}

// id is 32 digits of 16, as both carriers' are.
func (d *dice) id(purpose string) string {
	random := d.draw(purpose)
	return hex.EncodeToString(random[:16])
}

// digits are so many of 10.
func (d *dice) digits(purpose string, n int) string {
	random := d.draw(purpose)
	text := make([]byte, n)
	for i := range text {
		text[i] = '0' + random[i%len(random)]%10
	}
	return string(text)
}

// below is a number from 0 to n-1.
func (d *dice) below(purpose string, n uint64) uint64 {
	random := d.draw(purpose)
	return binary.BigEndian.Uint64(random[:8]) % max(n, 1)
}

// perMille tells whether something that happens to so many of a thousand happens.
func (d *dice) perMille(purpose string, share int) bool {
	return share > 0 && d.below(purpose, 1000) < uint64(share)
}
