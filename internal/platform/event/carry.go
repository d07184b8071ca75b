package event

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/fusioncommerce/fusion/internal/platform/db"
)

// carry hands facts to the carrier and takes in what it brings, until ctx ends. While the
// carrier is away, facts wait.
func (b *Bus) carry(ctx context.Context) error {
	if !b.prepare(ctx) {
		return nil // told to stop before it began
	}
	router, err := b.router()
	if err != nil {
		return err
	}
	unreadable, err := middleware.PoisonQueueWithFilter(b.carrier, Unreadable, func(err error) bool { return errors.Is(err, errUnreadable) })
	if err != nil {
		return fmt.Errorf("event router: %w", err)
	}
	lineage, ok := b.lineage(ctx)
	if !ok {
		return nil // told to stop before it began
	}
	for _, r := range b.relays {
		r.deployment = lineage[0]
	}
	in := &arrivals{bus: b, in: make(chan arrival), lineage: lineage}
	for _, c := range b.consumers {
		sub, err := b.carrier.Subscriber(c.name, lineage[0])
		if err != nil {
			return fmt.Errorf("hear %s for %s: %w", c.topic, c.name, err)
		}
		router.AddConsumerHandler(c.name, c.topic, sub, in.handler(c)).AddMiddleware(unreadable)
	}
	ctx, end := context.WithCancel(ctx) // of the router is the end of the relays
	defer end()
	var hands sync.WaitGroup
	hands.Go(func() { b.attend(ctx) })
	for _, r := range b.relays {
		hands.Go(func() { r.run(ctx) })
	}
	// What was brought is still taken in while the router stops.
	taking, stop := context.WithCancel(context.WithoutCancel(ctx))
	var taken sync.WaitGroup
	taken.Go(func() { in.run(taking) })
	if len(b.consumers) > 0 {
		err = router.Run(ctx)
		end()
	}
	<-ctx.Done()
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.BatchTimeout)
	defer cancel()
	idle := make(chan struct{})
	go func() { hands.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-release.Done(): // the carrier does not answer; what it has not taken waits in the database
	}
	stop()
	taken.Wait()
	for _, r := range b.relays {
		if lost := r.release(release); lost != nil {
			b.log.WarnContext(release, "relay not released: another process waits until it lapses", "topic", r.consumer.topic, "err", lost)
			break // the others would say the same
		}
	}
	return err
}

// lineage are the deployments that this database has been, the present one first: a
// restored one is another than the one that its backup was made of. False when a stop came
// before the database answered.
func (b *Bus) lineage(ctx context.Context) (ids []string, ok bool) {
	for ctx.Err() == nil {
		ids, err := db.Query[string](ctx, b.db, `select id from platform.deployment order by n desc`)
		if err == nil && len(ids) > 0 {
			return ids, true
		}
		b.log.WarnContext(ctx, "cannot tell which deployment this is", "err", err)
		pause(ctx, b.Poll)
	}
	return nil, false
}

// attendEvery is how late the state of an idle carrier is known.
const attendEvery = 10 * time.Second

// attend asks the carrier how it is, from time to time.
func (b *Bus) attend(ctx context.Context) {
	for ctx.Err() == nil {
		asking, cancel := context.WithTimeout(ctx, attendEvery)
		err := b.carrier.Check(asking)
		cancel()
		b.carrying.Store(&err)
		pause(ctx, attendEvery)
	}
}

var errNotCarried = errors.New("not reached yet")

// Carried tells what state the carrier was in when it was last asked; ok is false when
// there is none.
func (b *Bus) Carried() (ok bool, err error) {
	if b.carrier == nil {
		return false, nil
	}
	if state := b.carrying.Load(); state != nil {
		return true, *state
	}
	return true, errNotCarried
}

// prepare waits for a carrier that is not there yet; false when a stop came first.
func (b *Bus) prepare(ctx context.Context) bool {
	for down := false; ; {
		err := b.carrier.Prepare(ctx)
		if err == nil || ctx.Err() != nil {
			return ctx.Err() == nil
		}
		if !down {
			b.log.WarnContext(ctx, "facts wait for their carrier", "err", err)
		}
		down = true
		pause(ctx, relayPause)
	}
}
