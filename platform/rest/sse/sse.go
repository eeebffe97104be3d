// Package sse writes server-sent events.
package sse

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"
)

// writeFor bounds one write to a client that does not read.
const writeFor = 10 * time.Second

// Writer writes events and heartbeats; whoever comes first writes.
type Writer struct {
	mu sync.Mutex
	w  http.ResponseWriter
}

// Start answers 200 and lets the client know that the stream is open.
func Start(w http.ResponseWriter) (*Writer, error) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	s := &Writer{w: w}
	return s, s.write(": open\n\n")
}

// Send writes one event; id and name may be empty, data is one line.
func (s *Writer) Send(id, name string, data []byte) error {
	text := ""
	if id != "" {
		text = "id: " + id + "\n"
	}
	if name != "" {
		text += "event: " + name + "\n"
	}
	return s.write(text + "data: " + string(data) + "\n\n")
}

// Beat writes a comment now and then, so that nothing between closes the connection, and calls end when the client is gone.
func (s *Writer) Beat(ctx context.Context, every time.Duration, end func(error)) {
	beat := time.NewTicker(every)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if err := s.write(": beat\n\n"); err != nil {
				end(err)
				return
			}
		}
	}
}

func (s *Writer) write(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := http.NewResponseController(s.w)
	if err := c.SetWriteDeadline(time.Now().Add(writeFor)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	defer func() { _ = c.SetWriteDeadline(time.Time{}) }() // the connection may serve other requests later
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return c.Flush()
}
