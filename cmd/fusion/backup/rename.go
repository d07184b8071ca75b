package backup

import (
	"context"
	"errors"

	"github.com/fusioncommerce/fusion/internal/platform/db"
	"github.com/fusioncommerce/fusion/internal/platform/event"
)

// sinceCarriers is the version of the platform's schema that knows of carriers.
const sinceCarriers = 3

// rename makes what was restored a deployment of its own.
func (m Manifest) rename(ctx context.Context, dsn string) (err error) {
	if m.Schema["platform"] < sinceCarriers {
		return nil
	}
	pool, err := db.Open(db.Options{DSN: dsn, Connections: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	return event.Restored(ctx, pool)
}
