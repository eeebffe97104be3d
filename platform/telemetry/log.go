package telemetry

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/lmittmann/tint"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/term"
)

// secretWords in an attribute's key keep its value out of the log.
var secretWords = []string{"password", "secret", "token", "authorization", "cookie", "credential", "dsn", "email", "master_key", "private_key"}

// Logger writes text (coloured on a terminal) or JSON. Format: text, json, or auto, which is text on a terminal. Level as slog names it.
func Logger(w io.Writer, level, format string) *slog.Logger {
	var at slog.Level
	if err := at.UnmarshalText([]byte(level)); err != nil {
		at = slog.LevelInfo
	}
	file, _ := w.(*os.File)
	terminal := file != nil && term.IsTerminal(int(file.Fd()))
	var handler slog.Handler
	if format == "text" || format == "auto" && terminal {
		handler = tint.NewTextHandler(w, &tint.Options{Level: at, TimeFormat: "15:04:05.000", NoColor: !terminal || os.Getenv("NO_COLOR") != "", ReplaceAttr: redact})
	} else {
		handler = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: at, ReplaceAttr: redact})
	}
	return slog.New(traced{handler})
}

func redact(_ []string, a slog.Attr) slog.Attr {
	key := strings.ToLower(a.Key)
	for _, word := range secretWords {
		if strings.Contains(key, word) {
			return slog.String(a.Key, "[redacted]")
		}
	}
	return a
}

// traced adds the trace of the context, so that a log line and a trace find each other.
type traced struct{ slog.Handler }

func (h traced) Handle(ctx context.Context, r slog.Record) error {
	if span := trace.SpanContextFromContext(ctx); span.HasTraceID() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h traced) WithAttrs(attrs []slog.Attr) slog.Handler { return traced{h.Handler.WithAttrs(attrs)} }

func (h traced) WithGroup(name string) slog.Handler { return traced{h.Handler.WithGroup(name)} }
