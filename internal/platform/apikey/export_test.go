package apikey

import (
	"context"
	"encoding/binary"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// What specs need to know of the memory.
const (
	Freshness  = freshness
	Remembered = remembered
)

// Known is how many keys it remembers.
func (v *Verifier) Known() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.known)
}

// Fill makes it remember so many keys that do not exist.
func (v *Verifier) Fill(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range n {
		var hash [32]byte
		binary.BigEndian.PutUint64(hash[:], uint64(i))
		v.known[hash] = checked{at: v.now(), lasted: freshness}
	}
}

// Flush writes down when keys were used.
func (v *Verifier) Flush(ctx context.Context, d *db.DB) error { return v.flush(ctx, d) }
