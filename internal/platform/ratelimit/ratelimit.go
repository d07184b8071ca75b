// Package ratelimit says how often somebody may ask: GCRA (ITU-T I.371), which needs one
// number a caller, the time at which everything they asked for so far will be paid off.
package ratelimit

import (
	"context"
	"time"
)

// Quota is so many requests in so much time. All of them may come at once; after that they
// come back one by one.
type Quota struct {
	Requests int
	Per      time.Duration
}

// interval is what one request costs.
func (q Quota) interval() time.Duration { return max(q.Per/time.Duration(q.Requests), 1) }

// Decision is the answer to one request.
type Decision struct {
	Allowed   bool
	Remaining int           // how many more may come now
	Reset     time.Duration // until all may come at once again
	Wait      time.Duration // until the next one is allowed, when this one is not
}

// Limiter counts what callers ask for. A key stands for a caller and a quota.
type Limiter interface {
	Take(ctx context.Context, key string, q Quota) Decision
}

// decide is GCRA on times of any origin: paid is when everything asked for before is paid
// off, next the same after this request.
func decide(paid, now time.Duration, q Quota) (next time.Duration, d Decision) {
	cost := q.interval()
	full := cost * time.Duration(q.Requests)
	// Nobody owes more than their whole quota: who got a smaller one, or a clock that was set
	// back, would have to wait longer.
	paid = min(max(paid, now), now+full)
	next = paid + cost
	if over := next - now - full; over > 0 {
		return paid, Decision{Reset: paid - now, Wait: over}
	}
	return next, Decision{Allowed: true, Remaining: int((full - (next - now)) / cost), Reset: next - now}
}
