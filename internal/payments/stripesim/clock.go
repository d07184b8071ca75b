package stripesim

import (
	"slices"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
)

func systemClock() time.Time { return clock.System() }

// now is the simulator's time. It is called with the lock held.
func (s *Simulator) now() time.Time { return s.opt.Clock().Add(s.ahead) }

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
	s.keepAppointments()
	s.mu.Unlock()
	s.post.wake()
}

// appointment is something that happens by itself: an authorisation expires, a debit settles.
type appointment struct {
	at time.Time
	do func()
}

// later does something when its time has come. It is no part of the call that began it.
func (c *call) later(d time.Duration, do func(*call)) {
	own := &call{sim: c.sim, acct: c.acct, base: c.base}
	c.sim.agenda = append(c.sim.agenda, appointment{c.sim.now().Add(d), func() { do(own) }})
}

// keepAppointments does what is due, in the order of its times. Everybody who looks at the
// state keeps them first.
func (s *Simulator) keepAppointments() {
	for {
		now, next := s.now(), -1
		for i, a := range s.agenda {
			if !a.at.After(now) && (next < 0 || a.at.Before(s.agenda[next].at)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		due := s.agenda[next]
		s.agenda = slices.Delete(s.agenda, next, next+1)
		due.do()
	}
}
