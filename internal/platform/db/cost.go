package db

import (
	"context"
	"sync/atomic"
)

// Cost counts the round trips to the database that one request or one batch of
// events made. Specs hold routes to theirs.
type Cost struct{ roundTrips atomic.Int64 }

// RoundTrips so far.
func (c *Cost) RoundTrips() int64 { return c.roundTrips.Load() }

// Add counts round trips that were made outside of a transaction.
func (c *Cost) Add(n int64) {
	if c != nil {
		c.roundTrips.Add(n)
	}
}

type costKey struct{}

// WithCost returns a context whose transactions are counted in c.
func WithCost(ctx context.Context, c *Cost) context.Context {
	return context.WithValue(ctx, costKey{}, c)
}

func costOf(ctx context.Context) *Cost {
	c, _ := ctx.Value(costKey{}).(*Cost)
	return c
}
