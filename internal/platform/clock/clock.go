// Package clock is where time and identifiers come from, so that specs can own
// both. Deadlines that matter use the database's now() instead.
package clock

import (
	"time"

	"github.com/google/uuid"
)

// Clock tells the time, in UTC and in microseconds: what PostgreSQL can keep.
type Clock func() time.Time

// System is the machine's clock.
func System() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// NewID returns a UUIDv7 (RFC 9562): ids of one process sort by creation.
func NewID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
