package streams

import (
	"context"
	"log/slog"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// quiet returns ctx with a logger for which nothing is an error: the stream libraries call it one
// that a client closed its connection, which is how every stream ends.
func quiet(ctx context.Context) context.Context {
	handler := logr.ToSlogHandler(klog.FromContext(ctx))
	return klog.NewContext(ctx, logr.FromSlogHandler(debugging{handler}))
}

// debugging logs everything at debug level.
type debugging struct{ slog.Handler }

// Enabled implements slog.Handler.
func (d debugging) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (d debugging) Handle(ctx context.Context, r slog.Record) error {
	if !d.Enabled(ctx, slog.LevelDebug) { // logr does not ask before it reports an error
		return nil
	}
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (d debugging) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugging{d.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (d debugging) WithGroup(name string) slog.Handler { return debugging{d.Handler.WithGroup(name)} }
