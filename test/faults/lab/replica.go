package lab

import (
	"context"
	"os"
	"path/filepath"

	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// Replica is another program on the database of this lab, which must be ready and outlive
// it. It is not started.
func (l *Lab) Replica(ctx context.Context) (*Lab, error) {
	c, err := pgcluster.Attach(l.postgres())
	if err != nil {
		return nil, err
	}
	database := c.DSN(migrate.AppRole, "fusion")
	if err := c.Stop(ctx); err != nil { // only lets go of it
		return nil, err
	}
	dir := filepath.Join(l.dir, "replica")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	r, err := open(ctx, l.binary, dir)
	if err != nil {
		return nil, err
	}
	r.database, r.dsn = database, l.dsn
	return r, nil
}
