// Command consumer runs the reactions of parcels and nothing else, until it is stopped or,
// rather, killed.
package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
	"github.com/fusioncommerce/fusion/test/faults/parcels"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, log)
	stop()
	if err != nil {
		log.Error("the consumer gives up", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, log *slog.Logger) error {
	pool, err := db.Open(db.Options{DSN: os.Getenv("FUSION_DATABASE_URL"), Connections: 6})
	if err != nil {
		return err
	}
	bus := event.NewBus(pool, event.NewLog(), log, nil)
	bus.Backoff = func(int) time.Duration { return 50 * time.Millisecond } // eight tries in a night, not in minutes
	bus.Poll = 50 * time.Millisecond                                       // who publishes is another program
	parcels.React(bus)
	if err := bus.Run(ctx); err != nil {
		return err
	}
	return pool.Close()
}
