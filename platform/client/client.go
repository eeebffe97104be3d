// Package client speaks the HTTP API: JSON in and out, problems as errors, deadlines, and bounded repeats of what is safe to repeat.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bgce/archive/platform/run"
)

const (
	tries     = 6                // of a request that is safe to repeat
	longest   = 30 * time.Second // wait between two tries, whatever Retry-After says
	oneTry    = time.Minute      // deadline of a try, unless Options.Timeout says otherwise
	maxAnswer = 64 << 20         // bytes of an answer that are decoded
)

// Options say where the API is and as whom to speak.
type Options struct {
	Server  string        // base URL, "http://127.0.0.1:8080"; may be empty with Socket
	Socket  string        // path of a unix socket to dial instead of the server's address
	Token   string        // bearer token; "" sends none
	Host    string        // Host header: which tenant; "" = the server's
	Agent   string        // User-Agent
	Timeout time.Duration // of one try; 0 = one minute
	// Renew gives a fresh bearer token: asked once when there is none and once after each 401. May be nil.
	Renew func(ctx context.Context) (string, error)
}

// Client is safe for concurrent use.
type Client struct {
	opt  Options
	base *url.URL
	http *http.Client

	mu    sync.Mutex
	token string
}

// Problem is an answer ≥ 400 (RFC 9457).
type Problem struct {
	Status  int     `json:"status"`
	Code    string  `json:"code"`
	Title   string  `json:"title"`
	Detail  string  `json:"detail"`
	TraceID string  `json:"trace_id"`
	Errors  []Field `json:"errors"`
}

// Field is one wrong input.
type Field struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Detail)
	if p.Detail == "" {
		fmt.Fprintf(&b, "%d %s", p.Status, http.StatusText(p.Status))
	}
	for _, f := range p.Errors {
		fmt.Fprintf(&b, "; %s: %s", f.Location, f.Message)
	}
	if p.Code != "" {
		fmt.Fprintf(&b, " (%s)", p.Code)
	}
	if p.Status >= 500 && p.TraceID != "" {
		fmt.Fprintf(&b, " [trace %s]", p.TraceID)
	}
	return b.String()
}

// Unreachable says that no answer came: nothing listens, or the connection broke or timed out.
type Unreachable struct {
	Where string
	Err   error
}

func (u *Unreachable) Error() string { return fmt.Sprintf("no answer from %s: %v", u.Where, u.Err) }
func (u *Unreachable) Unwrap() error { return u.Err }

// New makes a client; nothing is dialled yet.
func New(opt Options) (*Client, error) {
	if opt.Server == "" {
		opt.Server = "http://localhost"
	}
	base, err := url.Parse(strings.TrimSuffix(opt.Server, "/"))
	if err != nil || base.Host == "" || (base.Scheme != "http" && base.Scheme != "https") {
		return nil, fmt.Errorf("the server %q is not a URL like http://127.0.0.1:8080", opt.Server)
	}
	if opt.Timeout == 0 {
		opt.Timeout = oneTry
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	if opt.Socket != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return run.Dial(ctx, opt.Socket)
		}
	}
	return &Client{opt: opt, base: base, http: &http.Client{Transport: transport}, token: opt.Token}, nil
}

// Where names the server for people.
func (c *Client) Where() string {
	if c.opt.Socket != "" {
		return c.opt.Socket
	}
	return c.base.String()
}

// Do sends one request and decodes its answer. in: nil, []byte (sent as it is; Content-Type from header, else JSON) or a value for
// JSON. out: nil, *[]byte, io.Writer or a pointer for JSON. Errors: *Problem (with the response), *Unreachable, the context's.
// 429, 503 and broken connections are tried again, but only for GET, HEAD or with an Idempotency-Key.
func (c *Client) Do(ctx context.Context, method, path string, header http.Header, in, out any) (*http.Response, error) {
	body, err := encode(in)
	if err != nil {
		return nil, err
	}
	token, err := c.bearer(ctx, "")
	if err != nil {
		return nil, err
	}
	repeatable := method == http.MethodGet || method == http.MethodHead || header.Get("Idempotency-Key") != ""
	renewed := false
	for try := 1; ; try++ {
		res, err := c.try(ctx, method, path, header, token, body, out)
		var problem *Problem
		if errors.As(err, &problem) && problem.Status == http.StatusUnauthorized && c.opt.Renew != nil && !renewed {
			renewed = true
			if token, err = c.bearer(ctx, token); err != nil {
				return res, err
			}
			continue
		}
		if err == nil || !repeatable || try == tries || !passing(err) {
			return res, err
		}
		if sleepErr := sleep(ctx, pause(try, res)); sleepErr != nil {
			return res, err
		}
	}
}

func (c *Client) try(ctx context.Context, method, path string, header http.Header, token string, body []byte, out any) (*http.Response, error) {
	tryCtx, cancel := context.WithTimeout(ctx, c.opt.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(tryCtx, method, c.base.String()+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.opt.Agent != "" {
		req.Header.Set("User-Agent", c.opt.Agent)
	}
	for name, values := range header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	if token != "" && req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	} else if c.opt.Host != "" {
		req.Host = c.opt.Host
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 400 {
		return res, readProblem(res)
	}
	return res, c.read(ctx, res.Body, out)
}

func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	return &Unreachable{c.Where(), err}
}

// bearer gives the token to use; stale is the one that was just refused.
func (c *Client) bearer(ctx context.Context, stale string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opt.Renew == nil || (c.token != "" && c.token != stale) {
		return c.token, nil
	}
	fresh, err := c.opt.Renew(ctx)
	if err != nil {
		return "", err
	}
	c.token = fresh
	return fresh, nil
}

func encode(in any) ([]byte, error) {
	switch v := in.(type) {
	case nil:
		return nil, nil
	case []byte:
		return v, nil
	case json.RawMessage:
		return v, nil
	default:
		return json.Marshal(v)
	}
}

// read takes the answer in. A stream is not tried again: its beginning has been passed on.
func (c *Client) read(ctx context.Context, body io.Reader, out any) error {
	if w, ok := out.(io.Writer); ok {
		if _, err := io.Copy(w, body); err != nil {
			return fmt.Errorf("the answer of %s broke off: %w", c.Where(), err)
		}
		return nil
	}
	read, err := io.ReadAll(io.LimitReader(body, maxAnswer))
	if err != nil {
		return c.unreachable(ctx, err)
	}
	switch v := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*v = read
		return nil
	}
	if len(read) == 0 {
		return nil
	}
	if err := json.Unmarshal(read, out); err != nil {
		return fmt.Errorf("%s did not answer with the JSON expected: %w", c.Where(), err)
	}
	return nil
}

func readProblem(res *http.Response) error {
	p := &Problem{}
	read, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if json.Unmarshal(read, p) != nil || p.Detail == "" && p.Title == "" {
		p = &Problem{Detail: fmt.Sprintf("%d %s", res.StatusCode, http.StatusText(res.StatusCode))}
	}
	p.Status = res.StatusCode
	if p.Detail == "" {
		p.Detail = p.Title
	}
	return p
}

// passing reports whether the failure may be gone on the next try. Nothing listening is not: people want to hear that at once.
func passing(err error) bool {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	var u *Unreachable
	return errors.As(err, &u)
}

// pause is what Retry-After asks, or twice as long each time, with jitter so that clients do not return together.
func pause(try int, res *http.Response) time.Duration {
	wait := 100 * time.Millisecond << try
	if res != nil {
		if asked, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && asked >= 0 {
			wait = time.Duration(asked) * time.Second
		}
	}
	wait = min(wait, longest)
	return wait + rand.N(wait/4+time.Millisecond)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
