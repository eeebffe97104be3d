// Package rest is the one place where HTTP becomes commands and questions, and refusals become problems.
package rest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bgce/archive/platform/directory"
	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/rest/health"
	"github.com/bgce/archive/platform/rest/limit"
	"github.com/bgce/archive/platform/rest/live"
	"github.com/bgce/archive/platform/rest/problem"
)

// Claims is what a bearer token says, after its signature, audience, issuer and times were checked.
type Claims struct {
	Subject  uuid.UUID // account
	Tenant   uuid.UUID
	Session  uuid.UUID // zero for tokens without one (client credentials)
	Roles    []string
	Audience string
	IssuedAt time.Time
	Expires  time.Time
}

// Verifier checks a bearer token. Any error refuses it.
type Verifier interface {
	Verify(ctx context.Context, token string) (Claims, error)
}

// Config is everything the edge needs. For the document alone (OpenAPI, Permissions) the zero value will do.
type Config struct {
	Title, Version string // of the document
	Examples       []byte // for the document: a request and its answer by operation id, as JSON

	Kernel    *es.Kernel // writing, and the log's id
	DB        *pgxpool.Pool
	Directory *directory.Directory
	Verifier  Verifier
	// Waiter returns once a view has passed a position, or with the context's error; nil = poll the registry.
	Waiter func(ctx context.Context, view string, at eventstore.Position) error

	CursorKey []byte // HMAC key of list cursors, ≥ 32 bytes

	Domain         string // of the root tenant, named when a host is unknown
	Loopback       bool   // listening on loopback only: 127.0.0.1 and [::1] are the root tenant
	TrustedProxies []netip.Prefix
	Origins        []string // that browsers may call from; none by default
	Limits         Limits

	Wrap      func(http.Handler) http.Handler        // outermost: tracing; nil = nothing
	Ready     map[string]func(context.Context) error // what must answer before requests are welcome
	Metrics   http.Handler                           // served at /metrics
	Registry  prometheus.Registerer                  // where request durations go; nil = nowhere
	Log       *slog.Logger
	Heartbeat time.Duration // of streams; default 15 s
	Patience  time.Duration // of reads with At-Least; default 2 s
}

// Limits are requests a minute, per address and per account, counted in this process. 0 is the default, negative is no limit.
type Limits = limit.Quota

// API is the HTTP surface rooms mount their routes on.
type API struct {
	cfg      Config
	router   *chi.Mux
	huma     huma.API
	views    *live.Views
	tokens   *otter.Cache[string, Claims]
	limits   *limit.Limiter
	duration *prometheus.HistogramVec
	routes   []*route
	document func() ([]byte, error)
	health   *health.Checks
}

// New makes an API without rooms. It needs no database until the first request.
func New(cfg Config) *API {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, 15*time.Second)
	cfg.Patience = cmp.Or(cfg.Patience, 2*time.Second)
	cfg.Title, cfg.Version = cmp.Or(cfg.Title, "Archive"), cmp.Or(cfg.Version, "0.0.0")
	api := &API{cfg: cfg, router: chi.NewMux(), views: &live.Views{DB: cfg.DB}, limits: limit.New(cfg.Limits)}
	api.tokens = otter.Must(&otter.Options[string, Claims]{
		MaximumSize: 20_000, ExpiryCalculator: otter.ExpiryWriting[string, Claims](tokenReuse),
	})
	if cfg.Registry != nil {
		api.duration = prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "archive_http_request_duration_seconds", Help: "Time from the first byte read to the last one written.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"operation", "status"})
		cfg.Registry.MustRegister(api.duration)
	}
	problem.TakeOver(ofHuma)
	api.health = &health.Checks{Version: cfg.Version, Funcs: cfg.Ready, Log: cfg.Log}
	api.huma = humachi.New(api.router, humaConfig(cfg.Title, cfg.Version))
	api.document = sync.OnceValues(api.render)
	api.mountOwn()
	return api
}

// Handler serves everything mounted so far. Call it after all routes are registered: it renders the document.
func (a *API) Handler() http.Handler {
	if a.cfg.DB != nil && len(a.cfg.CursorKey) < 32 {
		panic("rest: CursorKey has fewer than 32 bytes")
	}
	if _, err := a.document(); err != nil {
		panic("rest: the OpenAPI document does not render: " + err.Error())
	}
	handler := a.outer(a.router)
	if a.cfg.Wrap != nil {
		handler = a.cfg.Wrap(handler)
	}
	return handler
}

// OpenAPI is the document as JSON, the same bytes for the same routes.
func (a *API) OpenAPI() ([]byte, error) { return a.document() }

// Serve answers on a listener until the context ends, then lets running requests finish for up to 10 s.
func (a *API) Serve(ctx context.Context, l net.Listener) error {
	return a.serve(ctx, l, nil)
}

func (a *API) serve(ctx context.Context, l net.Listener, conn func(context.Context, net.Conn) context.Context) error {
	closing, stop := context.WithCancel(context.Background())
	defer stop()
	base := context.WithValue(context.WithoutCancel(ctx), closingKey{}, closing)
	s := &http.Server{
		Handler: a.Handler(), ConnContext: conn,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug),
	}
	s.RegisterOnShutdown(stop)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(base, 10*time.Second)
	defer cancel()
	err := s.Shutdown(drain)
	if served := <-done; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}

// closingKey finds the context that ends when the server begins to shut down; only streams look at it.
type closingKey struct{}
