// Package telemetry says what the program does: structured logs that carry the
// request and the merchant, and metrics.
package telemetry

import (
	"context"
	"log/slog"
	"slices"
)

type attrsKey struct{}

// With returns a context whose log lines carry the attributes.
func With(ctx context.Context, attrs ...slog.Attr) context.Context {
	before, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	return context.WithValue(ctx, attrsKey{}, append(slices.Clip(before), attrs...))
}

// Handler adds to each record what its context carries.
func Handler(h slog.Handler) slog.Handler { return contextual{h} }

type contextual struct{ slog.Handler }

func (c contextual) Handle(ctx context.Context, r slog.Record) error {
	if attrs, ok := ctx.Value(attrsKey{}).([]slog.Attr); ok {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return c.Handler.Handle(ctx, r)
}

func (c contextual) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextual{c.Handler.WithAttrs(attrs)}
}

func (c contextual) WithGroup(name string) slog.Handler { return contextual{c.Handler.WithGroup(name)} }
