package apikey

import (
	"context"
	"encoding/binary"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/memory"
)

// What specs need to know of the memory.
const (
	Freshness  = memory.Freshness
	Remembered = memory.Most
)

// Known is how many keys it remembers.
func (v *Verifier) Known() int { return v.known.Len() }

// Fill makes it remember so many keys that do not exist.
func (v *Verifier) Fill(ctx context.Context, n int) error {
	for i := range n {
		var hash [32]byte
		binary.BigEndian.PutUint64(hash[:], uint64(i))
		if _, _, err := v.known.Get(ctx, hash, func(context.Context) (checked, bool, error) { return checked{}, true, nil }); err != nil {
			return err
		}
	}
	return nil
}

// Flush writes down when keys were used.
func (v *Verifier) Flush(ctx context.Context, d *db.DB) error { return v.flush(ctx, d) }
