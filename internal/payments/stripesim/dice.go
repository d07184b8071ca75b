package stripesim

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"strconv"
	"strings"
)

// dice fall the same way for the same seed. Each purpose has its own, so that one more
// webhook changes no payment's id.
type dice struct {
	seed  uint64
	drawn map[string]uint64
}

func (d *dice) draw(purpose string) [sha256.Size]byte {
	d.drawn[purpose]++
	return sha256.Sum256([]byte(strconv.FormatUint(d.seed, 10) + "/" + purpose + "/" + strconv.FormatUint(d.drawn[purpose], 10)))
}

// id is one that looks as Stripe's do: "pi_3kJ…".
func (d *dice) id(prefix string) string {
	random := d.draw(prefix)
	text := new(big.Int).SetBytes(random[:]).Text(62)
	return prefix + "_" + strings.Repeat("0", max(0, 24-len(text))) + text[:min(24, len(text))]
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
