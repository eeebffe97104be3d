package client_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bgce/archive/platform/client"
	"github.com/bgce/archive/platform/run"
)

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func dial(t *testing.T, opt client.Options) *client.Client {
	t.Helper()
	c, err := client.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func problem(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func TestARequestCarriesWhoWhereAndWhat(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got := r.Method + " " + r.Host + r.URL.RequestURI() + " " + r.Header.Get("Authorization") + " " + r.Header.Get("Content-Type") + " " + r.Header.Get("If-Match") + " " + string(body)
		w.Header().Set("ETag", `"2"`)
		_, _ = io.WriteString(w, `{"got":"`+strings.ReplaceAll(got, `"`, `'`)+`"}`)
	})
	c := dial(t, client.Options{Server: url, Token: "t0k", Host: "acme.localhost"})
	var out struct{ Got string }
	res, err := c.Do(t.Context(), http.MethodPut, "/api/v1/posts/1?x=y", http.Header{"If-Match": {`"1"`}}, map[string]string{"title": "Hello"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	if want := `PUT acme.localhost/api/v1/posts/1?x=y Bearer t0k application/json '1' {'title':'Hello'}`; out.Got != want || res.Header.Get("ETag") != `"2"` {
		t.Errorf("%s\nwant %s", out.Got, want)
	}
}

func TestProblemsSayWhatIsWrong(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		problem(w, 422, `{"type":"x","title":"Invalid","status":422,"code":"rest.invalid","detail":"the request is not valid","errors":[{"location":"body.title","message":"is required"}]}`)
	})
	res, err := dial(t, client.Options{Server: url}).Do(t.Context(), http.MethodPost, "/", nil, struct{}{}, nil)
	var p *client.Problem
	if !errors.As(err, &p) || p.Status != 422 || p.Code != "rest.invalid" || res.StatusCode != 422 {
		t.Fatalf("%v", err)
	}
	if want := "the request is not valid; body.title: is required (rest.invalid)"; p.Error() != want {
		t.Errorf("%q, want %q", p.Error(), want)
	}
}

func TestOnlyWhatIsSafeIsRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		method, key string
		status      int
		calls       int32
		ok          bool
	}{
		"a read after 503":          {http.MethodGet, "", 503, 3, true},
		"a read after 429":          {http.MethodGet, "", 429, 3, true},
		"a keyed command after 503": {http.MethodPost, "k", 503, 3, true},
		"a command without a key":   {http.MethodPost, "", 503, 1, false},
		"what will not get better":  {http.MethodGet, "", 404, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if body, _ := io.ReadAll(r.Body); r.Method == http.MethodPost && string(body) != `"x"` {
					t.Errorf("body %q", body)
				}
				if calls.Add(1) < 3 {
					w.Header().Set("Retry-After", "0")
					problem(w, c.status, `{"title":"no","detail":"no"}`)
				}
			})
			header := http.Header{}
			if c.key != "" {
				header.Set("Idempotency-Key", c.key)
			}
			_, err := dial(t, client.Options{Server: url}).Do(t.Context(), c.method, "/", header, "x", nil)
			if calls.Load() != c.calls || (err == nil) != c.ok {
				t.Errorf("%d calls, error %v; want %d calls, ok %v", calls.Load(), err, c.calls, c.ok)
			}
		})
	}
}

func TestRepeatsAreBounded(t *testing.T) {
	var calls atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.Header().Set("Retry-After", "0")
		problem(w, 503, `{"detail":"busy"}`)
	})
	_, err := dial(t, client.Options{Server: url}).Do(t.Context(), http.MethodGet, "/", nil, nil, nil)
	if err == nil || calls.Load() != 6 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
}

func TestABrokenAnswerIsAskedForAgain(t *testing.T) {
	var calls atomic.Int32
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			panic(http.ErrAbortHandler) // the connection breaks without an answer
		}
	})
	if _, err := dial(t, client.Options{Server: url}).Do(t.Context(), http.MethodPost, "/", http.Header{"Idempotency-Key": {"k"}}, "x", nil); err != nil || calls.Load() != 2 {
		t.Errorf("%d calls, %v", calls.Load(), err)
	}
}

func TestNobodyThereIsSaidAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for _, opt := range []client.Options{{Server: "http://" + l.Addr().String()}, {Socket: filepath.Join(t.TempDir(), "archive.sock")}} {
		began := time.Now()
		_, err := dial(t, opt).Do(t.Context(), http.MethodGet, "/", nil, nil, nil)
		var away *client.Unreachable
		if !errors.As(err, &away) || time.Since(began) > time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	}
}

func TestDeadlinesEndATry(t *testing.T) {
	hang := make(chan struct{})
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	})
	defer close(hang)
	_, err := dial(t, client.Options{Server: url, Timeout: 50 * time.Millisecond}).Do(t.Context(), http.MethodPost, "/", nil, "x", nil)
	if _, ok := errors.AsType[*client.Unreachable](err); !ok {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := dial(t, client.Options{Server: url}).Do(ctx, http.MethodGet, "/", nil, nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestATokenIsRenewedOnce(t *testing.T) {
	var renewed atomic.Int32
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer fresh" {
			problem(w, 401, `{"detail":"expired"}`)
		}
	})
	renew := func(context.Context) (string, error) { renewed.Add(1); return "fresh", nil }
	c := dial(t, client.Options{Server: url, Token: "stale", Renew: renew})
	for range 3 {
		if _, err := c.Do(t.Context(), http.MethodPost, "/", nil, "x", nil); err != nil {
			t.Fatal(err)
		}
	}
	if renewed.Load() != 1 {
		t.Errorf("renewed %d times", renewed.Load())
	}
}

func TestASocketIsReachedHoweverLongItsPath(t *testing.T) {
	for _, dir := range []string{"", strings.Repeat("x", 200)} {
		path := filepath.Join(t.TempDir(), dir, "archive.sock")
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		address, done, err := run.Reach(path)
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		l, err := net.Listen("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) })}
		go func() { _ = s.Serve(l) }()
		defer s.Close()
		var out []byte
		if _, err := dial(t, client.Options{Socket: path, Host: "localhost"}).Do(t.Context(), http.MethodGet, "/", nil, nil, &out); err != nil || string(out) != "localhost" {
			t.Errorf("%q %v", out, err)
		}
	}
}
