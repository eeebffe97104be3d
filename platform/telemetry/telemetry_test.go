package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/bgce/archive/platform/telemetry"
)

func TestLogsCarryTheTraceAndNoSecrets(t *testing.T) {
	for _, format := range []string{"json", "text", "auto"} {
		var out bytes.Buffer
		log := telemetry.Logger(&out, "info", format).With("api_token", "hunter2")
		ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{0xab}, SpanID: trace.SpanID{1}}))
		log.InfoContext(ctx, "did it", "Password", "hunter2", "user", "u1", "dsn", "postgres://hunter2")
		log.Debug("not said")
		got := out.String()
		if strings.Contains(got, "hunter2") || strings.Contains(got, "not said") || !strings.Contains(got, "ab000000000000000000000000000000") || !strings.Contains(got, "u1") {
			t.Errorf("%s: %s", format, got)
		}
		if format != "text" && !json.Valid(out.Bytes()) {
			t.Errorf("%s is not JSON: %s", format, got)
		}
	}
}

func TestTracesGoNowhereUnlessAsked(t *testing.T) {
	for endpoint, want := range map[string]bool{"": false, "http://127.0.0.1:1": true} {
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
		tel, err := telemetry.Start(t.Context(), "0")
		if err != nil {
			t.Fatal(err)
		}
		if tel.Tracing() != want {
			t.Errorf("endpoint %q: tracing %v", endpoint, tel.Tracing())
		}
		_ = tel.Stop(t.Context())
	}
}
