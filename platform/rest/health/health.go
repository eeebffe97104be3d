// Package health says whether what a server needs answers.
package health

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Checks is the latest look at what must answer: functions by name.
type Checks struct {
	Version string
	Funcs   map[string]func(context.Context) error
	Log     *slog.Logger

	mu   sync.Mutex
	at   time.Time
	last map[string]string
	ok   bool
}

// checkFor bounds one readiness check.
const checkFor = 2 * time.Second

// Handler answers with the state of every check, at most a second old. Only ready turns a failure into a 503.
func (c *Checks) Handler(ready bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		checks, ok := c.checked(r.Context())
		status, code := "ok", http.StatusOK
		if !ok {
			status = "failing"
			if ready {
				code = http.StatusServiceUnavailable
				w.Header().Set("Retry-After", "1")
			}
		}
		body, err := json.Marshal(map[string]any{"status": status, "version": c.Version, "checks": checks})
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(code)
		_, _ = w.Write(body)
	}
}

// checked runs all checks side by side, or gives the last result when it is fresh. What failed is named, why is only logged.
func (c *Checks) checked(ctx context.Context) (map[string]string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) < time.Second {
		return c.last, c.ok
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkFor)
	defer cancel()
	type result struct {
		name string
		err  error
	}
	results := make(chan result, len(c.Funcs))
	for name, check := range c.Funcs {
		go func() { results <- result{name, check(ctx)} }()
	}
	c.last, c.ok = make(map[string]string, len(c.Funcs)), true
	for name := range c.Funcs {
		c.last[name] = "no answer in time"
	}
	for range c.Funcs {
		select {
		case r := <-results:
			c.last[r.name] = "ok"
			if r.err != nil {
				c.last[r.name], c.ok = "failing", false
				c.Log.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("check", r.name), slog.Any("cause", r.err))
			}
		case <-ctx.Done():
			c.ok = false
		}
	}
	c.at = time.Now()
	return c.last, c.ok
}
