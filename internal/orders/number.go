package orders

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/fusioncommerce/fusion/internal/platform/clock"
	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/identity"
)

const (
	firstNumber = 1001
	maxBlock    = 512
	// busy is how soon a block must be used up for the next one to be larger.
	busy = time.Second
)

// numbers hands out order numbers. Taking each from the database would make all orders
// of a merchant wait for each other; so they come in blocks that grow with the rush. A
// quiet shop gets them one by one, without gaps; what is left of a block when the program
// stops is never used.
type numbers struct {
	db  *db.DB
	now clock.Clock

	mu     sync.Mutex
	blocks map[uuid.UUID]*block
}

type block struct {
	turn     chan struct{} // of one, held while the block is looked at; waiting for it ends with the caller
	next     int64
	end      int64 // first number that is not ours
	size     int64
	acquired time.Time
}

func newNumbers(d *db.DB, now clock.Clock) *numbers {
	return &numbers{db: d, now: now, blocks: map[uuid.UUID]*block{}}
}

// take returns a number that no other order of the merchant has or gets.
func (n *numbers) take(ctx context.Context) (int64, error) {
	id, err := identity.From(ctx)
	if err != nil {
		return 0, err
	}
	n.mu.Lock()
	b := n.blocks[id.Tenant]
	if b == nil {
		b = &block{size: 1, turn: make(chan struct{}, 1)}
		n.blocks[id.Tenant] = b
	}
	n.mu.Unlock()

	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if b.next == b.end {
		if err := n.acquire(ctx, b); err != nil {
			return 0, err
		}
	}
	b.next++
	return b.next - 1, nil
}

func (n *numbers) acquire(ctx context.Context, b *block) error {
	now := n.now()
	if now.Sub(b.acquired) < busy {
		b.size = min(b.size*2, maxBlock)
	} else {
		b.size = max(b.size/4, 1)
	}
	err := n.db.InTx(ctx, func(tx *db.Tx) (err error) {
		b.next, err = takeNumbers(ctx, tx, b.size)
		return err
	})
	if err != nil {
		b.next, b.end = 0, 0
		return err
	}
	b.end, b.acquired = b.next+b.size, now
	return nil
}

// takeNumbers takes n order numbers in a row and returns the first of them. Until the
// transaction ends, the merchant's other orders wait when they run out of theirs.
func takeNumbers(ctx context.Context, tx *db.Tx, n int64) (first int64, err error) {
	var end int64
	if err := tx.Get(ctx, &end, `
		insert into orders.counter (next) values ($1 + $2::bigint)
		on conflict (tenant_id) do update set next = counter.next + $2
		returning next`, firstNumber, n); err != nil {
		return 0, fmt.Errorf("take order numbers: %w", err)
	}
	return end - n, nil
}
