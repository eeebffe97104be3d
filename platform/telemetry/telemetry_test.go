package telemetry_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/bgce/archive/platform/pgtest"
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

// A collector gets the request and its query as one trace, with the caller's trace id and without values; health checks are left out.
func TestACollectorGetsTheTrace(t *testing.T) {
	received := make(chan *collector.ExportTraceServiceRequest, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		batch := &collector.ExportTraceServiceRequest{}
		if err == nil {
			err = proto.Unmarshal(data, batch)
		}
		if err != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL.Path, err)
		}
		received <- batch
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	tel, err := telemetry.Start(t.Context(), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := pgxpool.ParseConfig(pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	tel.Pool(cfg)
	db, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	handler := tel.HTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var got string
		if err := db.QueryRow(r.Context(), `SELECT $1::text`, "hunter2").Scan(&got); err != nil {
			t.Error(err)
		}
	}))
	for _, path := range []string{"/health/live", "/api/v1/posts"} {
		r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
		r.Header.Set("Traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
		handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	if err := tel.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	kinds := map[spans.Span_SpanKind]int{}
	for len(received) > 0 {
		batch := <-received
		if text := batch.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "/health") || !strings.Contains(text, "1.2.3") {
			t.Errorf("sent: %s", text)
		}
		for _, span := range batch.GetResourceSpans()[0].GetScopeSpans() {
			for _, s := range span.GetSpans() {
				if hex.EncodeToString(s.GetTraceId()) == "0123456789abcdef0123456789abcdef" {
					kinds[s.GetKind()]++
				}
			}
		}
	}
	if kinds[spans.Span_SPAN_KIND_SERVER] != 1 || kinds[spans.Span_SPAN_KIND_CLIENT] == 0 {
		t.Errorf("of the caller's trace: %v", kinds)
	}
}
