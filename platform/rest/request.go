package rest

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/cors"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
)

// request is everything the edge knows about one request while it runs; one goroutine at a time uses it.
type request struct {
	api     *API
	http    *http.Request
	route   *route
	caller  Caller
	claims  Claims // of the token, zero without one
	allowed words  // the words of the route that the caller satisfies
	body    []byte // as sent
	atLeast eventstore.Position
	after   eventstore.Position // where a stream resumes
	version int                 // of the row answered, for its ETag
	missing int64               // streams a list may lack
	looked  bool                // at views
	seen    eventstore.Position // the slowest view read
	ip      netip.Addr
	host    string
	secure  bool
	traceID uuid.UUID
	parent  string // traceparent as sent
	code    string // of the problem answered
	bad     bool   // what was sent with the token is not to be trusted
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	req, _ := ctx.Value(requestKey{}).(*request)
	return req
}

func (req *request) trace() string { return hex.EncodeToString(req.traceID[:]) }

func (req *request) operation() string {
	if req.route == nil {
		return ""
	}
	return req.route.id
}

// recorder remembers what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController flush and set deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Header values that never change; sharing the slices saves an allocation each.
var (
	nosniff    = []string{"nosniff"}
	noReferrer = []string{"no-referrer"}
	denyFrames = []string{"DENY"}
	apiPolicy  = []string{"default-src 'none'; frame-ancestors 'none'"}
	hsts       = []string{"max-age=31536000"}
)

// outer wraps the router with what every request gets: identity of the request, safe headers, CORS, recovery, log, metrics.
func (a *API) outer(next http.Handler) http.Handler {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := &request{api: a}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, req))
		req.http = r
		req.identify()
		start := time.Now()
		rec := &recorder{ResponseWriter: w}
		h := w.Header()
		h["X-Content-Type-Options"], h["Referrer-Policy"], h["X-Frame-Options"] = nosniff, noReferrer, denyFrames
		h["Content-Security-Policy"] = apiPolicy
		if req.secure {
			h["Strict-Transport-Security"] = hsts
		}
		defer func() {
			if cause := recover(); cause != nil && cause != any(http.ErrAbortHandler) {
				req.crash(rec, cause)
			}
			a.observe(req, rec, time.Since(start))
		}()
		next.ServeHTTP(rec, r)
	})
	if len(a.cfg.Origins) == 0 {
		return inner
	}
	return cors.Handler(cors.Options{
		AllowedOrigins: a.cfg.Origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowedHeaders: []string{
			"Authorization", "Content-Type", "If-Match", "Idempotency-Key", "At-Least", "Last-Event-ID",
			"Correlation-Id", "Archive-Tenant", "Archive-Reason", "Traceparent",
		},
		ExposedHeaders: []string{"ETag", "Location", "Position", "Warning", "Retry-After", "RateLimit", "RateLimit-Policy"},
		MaxAge:         600,
	})(inner)
}

func (req *request) crash(w *recorder, cause any) {
	req.api.cfg.Log.LogAttrs(req.http.Context(), slog.LevelError, "panic", slog.String("operation", req.operation()),
		slog.String("trace_id", req.trace()), slog.Any("cause", cause), slog.String("stack", string(debug.Stack())))
	if w.status == 0 {
		req.refuse(w, fault.ErrInternal)
	}
}

// identify works out trace, client address and host. Forwarded headers count only when a trusted proxy sent them.
func (req *request) identify() {
	r := req.http
	req.traceID, req.parent = traceOf(r.Header.Get("Traceparent"))
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		req.ip, _ = netip.ParseAddr(host)
	}
	req.ip = req.ip.Unmap()
	req.host, req.secure = r.Host, r.TLS != nil
	if req.trusted(req.ip) {
		if v := r.Header.Get("X-Forwarded-Host"); v != "" {
			req.host = lastOf(v)
		}
		if v := r.Header.Get("X-Forwarded-Proto"); v != "" {
			req.secure = lastOf(v) == "https"
		}
		req.ip = req.clientOf(strings.Join(r.Header.Values("X-Forwarded-For"), ","))
	}
	req.host = hostOf(req.host)
}

// clientOf is the rightmost address that is no proxy of ours: what stands left of it anyone may have written.
func (req *request) clientOf(chain string) netip.Addr {
	ip := req.ip
	for hops := strings.Split(chain, ","); len(hops) > 0; hops = hops[:len(hops)-1] {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[len(hops)-1]))
		if err != nil {
			return ip
		}
		if ip = hop.Unmap(); !req.trusted(ip) {
			return ip
		}
	}
	return ip
}

func (req *request) trusted(ip netip.Addr) bool {
	for _, p := range req.api.cfg.TrustedProxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

func lastOf(list string) string { return strings.TrimSpace(list[strings.LastIndexByte(list, ',')+1:]) }

// hostOf is a Host header without port, lower-cased, without brackets and final dot.
func hostOf(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
}

// traceOf reads a W3C traceparent or makes a trace id.
func traceOf(parent string) (uuid.UUID, string) {
	if len(parent) >= 55 && parent[:3] == "00-" && parent[35] == '-' {
		var id uuid.UUID
		if _, err := hex.Decode(id[:], []byte(parent[3:35])); err == nil && id != uuid.Nil {
			if _, err := hex.DecodeString(parent[36:52]); err == nil && len(parent) == 55 {
				return id, parent
			}
		}
	}
	var id uuid.UUID
	for i := 0; i < len(id); i += 8 {
		n := rand.Uint64()
		for j := range 8 {
			id[i+j] = byte(n >> (8 * j))
		}
	}
	return id, ""
}

// observe writes the access log and the duration metric: operation and numbers, never a query or a path someone typed.
func (a *API) observe(req *request, w *recorder, took time.Duration) {
	op := "none"
	if req.route != nil {
		op = req.route.id
	}
	if a.duration != nil && (req.route == nil || !req.route.stream) {
		a.duration.WithLabelValues(op, strconv.Itoa(w.status)).Observe(took.Seconds())
	}
	ctx := req.http.Context()
	level := slog.LevelInfo
	if path := req.http.URL.Path; strings.HasPrefix(path, "/health") || path == "/metrics" {
		level = slog.LevelDebug
	}
	if !a.cfg.Log.Enabled(ctx, level) {
		return
	}
	var pattern string
	if rc := chi.RouteContext(ctx); rc != nil {
		pattern = rc.RoutePattern()
	} else if req.route != nil {
		pattern = req.route.path
	}
	a.cfg.Log.LogAttrs(ctx, level, "request", slog.String("method", req.http.Method), slog.String("route", pattern),
		slog.String("operation", op), slog.Int("status", w.status), slog.String("code", req.code), slog.Int("bytes", w.bytes),
		slog.Float64("took_ms", float64(took.Microseconds())/1000), slog.String("tenant", fmt.Sprint(req.caller.Tenant)), slog.String("trace_id", req.trace()))
}
