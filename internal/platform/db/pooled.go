package db

import (
	"context"
	"database/sql/driver"
	"errors"
)

// uncancelled is a connector for a PgBouncer in transaction mode. What it opens never asks
// the server to cancel a statement: the request travels on its own, and when it arrives the
// server connection may be at work for somebody else. (PgBouncer 1.18 even ends when the
// one who asked does not wait for the answer, as a program that stops does not.) The
// server's own limits end a statement that takes too long.
type uncancelled struct{ driver.Connector }

// Connect opens a connection whose statements run to their end.
func (u uncancelled) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := u.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := c.(pgConn)
	if !ok {
		return nil, errors.Join(errors.New("the PostgreSQL driver lacks an interface"), c.Close())
	}
	return uncancelledConn{inner}, nil
}

type uncancelledConn struct{ pgConn }

// QueryContext runs a statement to its end. It begins none for a caller who has gone.
func (c uncancelledConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.pgConn.QueryContext(context.WithoutCancel(ctx), query, args)
}

// ExecContext is QueryContext for statements without rows.
func (c uncancelledConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.pgConn.ExecContext(context.WithoutCancel(ctx), query, args)
}
