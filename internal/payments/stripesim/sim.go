// Package stripesim is a Stripe to build against without an account: the part of its API
// that takes payments, with what goes wrong there. It keeps everything in memory, moves by
// a clock that can be put forward, and does the same again for the same seed.
//
// What it knows of Stripe is in its own files: intent.go and charge.go how money is taken,
// refund.go and dispute.go how it goes back, card.go the names that stand for a behaviour,
// currency.go the amounts, idempotency.go the keys, event.go and webhook.go the messages.
// What can be broken is in fault.go and webhook.go; control.go is the simulator's own API.
package stripesim

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Options of a simulator. None is needed.
type Options struct {
	Seed    uint64
	Clock   func() time.Time // nil: the machine's
	Webhook string           // address that gets the events of all accounts; empty: none does
	Secret  string           // that they are signed with, "whsec_…"
	Chaos   Chaos            // of all webhooks
	// Hold is how long an authorisation lasts before it expires; 0: seven days.
	Hold time.Duration
	// Settling is how long a debit and a slow refund take; 0: five seconds.
	Settling time.Duration
	// SearchLag is how long a payment is not found by search: Stripe says up to a minute.
	SearchLag time.Duration
	Log       *slog.Logger // nil: nothing is logged
}

// Simulator is an http.Handler that answers as Stripe does. Each secret key is an account of
// its own: "sk_test_anna" and "pk_test_anna" are the same account.
type Simulator struct {
	opt  Options
	mux  *http.ServeMux
	log  *slog.Logger
	post *post

	mu       sync.Mutex
	dice     dice
	ahead    time.Duration // of the machine's clock
	accounts map[string]*account
	faults   []*Fault
	agenda   []appointment
}

// account is a merchant's.
type account struct {
	name      string
	intents   collection[*intent]
	charges   collection[*charge]
	refunds   collection[*refund]
	disputes  collection[*dispute]
	movements collection[*movement]
	warnings  collection[*warning]
	events    collection[*event]
	endpoints collection[*endpoint]
	keys      map[string]*remembered
}

// New makes a simulator. It delivers webhooks until it is closed, or the context ends.
func New(ctx context.Context, o Options) *Simulator {
	if o.Clock == nil {
		o.Clock = systemClock
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Hold, o.Settling = cmp.Or(o.Hold, 7*24*time.Hour), cmp.Or(o.Settling, 5*time.Second)
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
func (s *Simulator) account(name string) *account {
	a, ok := s.accounts[name]
	if !ok {
		a = &account{name: name, keys: map[string]*remembered{}}
		s.accounts[name] = a
	}
	return a
}
