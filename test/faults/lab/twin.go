package lab

import (
	"context"
	"os"
	"path/filepath"

	"github.com/fusioncommerce/fusion/internal/platform/migrate"
	"github.com/fusioncommerce/fusion/internal/platform/pgcluster"
)

// Twin is a lab of another program on the database of this one, which must be ready and
// outlive it. It is not started.
func (l *Lab) Twin(ctx context.Context) (*Lab, error) {
	c, err := pgcluster.Attach(l.postgres())
	if err != nil {
		return nil, err
	}
	database := c.DSN(migrate.AppRole, "fusion")
	if err := c.Stop(ctx); err != nil { // only lets go of it
		return nil, err
	}
	dir := filepath.Join(l.dir, "twin")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	t, err := open(ctx, l.binary, dir)
	if err != nil {
		return nil, err
	}
	t.shared, t.dsn = database, l.dsn
	return t, nil
}
