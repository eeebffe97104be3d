package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/bgce/archive/platform/run"
)

// client speaks to the operators' socket: the same API without a token and without rate limits.
type client struct {
	http     http.Client
	ledger   *ledger
	inFlight atomic.Int64
	answered atomic.Int64 // requests, ever
}

const (
	oneTry    = 20 * time.Second
	lossRate  = 2               // percent of answers that are not read
	giveUp    = 3 * time.Minute // without an answer to a request
	maxAnswer = 32 << 20
)

func newClient(socket string, l *ledger) *client {
	c := &client{ledger: l}
	c.http.Transport = &http.Transport{MaxIdleConnsPerHost: 256, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return run.Dial(ctx, socket) }}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// request is sent again with the same key until it is answered.
type request struct {
	method, path string
	body         any
	match        string // If-Match
	key          string
	atLeast      string
}

type reply struct {
	status   int
	code     string
	id       uuid.UUID
	version  int
	position string
	body     []byte
	resentAt time.Time // when it was first sent again after a lost answer
}

var errLost = errors.New("the answer was not read")

// deliver sends until there is an answer that says what happened.
func (c *client) deliver(ctx context.Context, r request) (reply, error) {
	var resentAt time.Time
	lose := r.key != "" && chance(lossRate)
	for began := time.Now(); ; {
		c.inFlight.Add(1)
		a, err := c.send(ctx, r, lose)
		c.inFlight.Add(-1)
		switch {
		case ctx.Err() != nil:
			return a, ctx.Err()
		case errors.Is(err, errLost):
			c.ledger.lost.Add(1)
			resentAt = time.Now()
		case err == nil && !again(a) || a.status == http.StatusInternalServerError && r.key == "":
			c.answered.Add(1)
			a.resentAt = resentAt
			return a, nil
		case time.Since(began) > giveUp:
			return a, fmt.Errorf("%s %s: no answer in %v; the last was %d %s, %w", r.method, r.path, giveUp, a.status, a.code, errors.Join(err))
		default:
			c.ledger.unanswered.Add(1)
			pause(ctx, 5*time.Millisecond, 60*time.Millisecond)
		}
		lose = false
		c.ledger.resent.Add(1)
	}
}

// again says whether an answer leaves open what happened, or asks for a repeat.
func again(a reply) bool {
	return a.status >= 500 || a.status == http.StatusTooManyRequests || a.code == "rest.contended"
}

// send tries once. With lose, the connection is closed before the answer is read: sometimes before there is one.
func (c *client) send(ctx context.Context, r request, lose bool) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, oneTry)
	defer cancel()
	if lose {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
			time.AfterFunc(upTo(30*time.Millisecond), cancel)
		}})
	}
	req, err := r.http(ctx)
	if err != nil {
		return reply{}, err
	}
	res, err := c.http.Do(req)
	if lose {
		wrote := ctx.Err() != nil || err == nil
		if err == nil {
			cancel() // closes the connection, unread
			res.Body.Close()
		}
		if wrote {
			return reply{}, errLost
		}
	}
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	a := reply{status: res.StatusCode}
	if a.body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return a, err
	}
	var says struct {
		Code     string    `json:"code"`
		ID       uuid.UUID `json:"id"`
		Version  int       `json:"version"`
		Position string    `json:"position"`
	}
	if err := json.Unmarshal(a.body, &says); err != nil && a.status < 300 && r.key != "" {
		return a, err
	}
	a.code, a.id, a.version, a.position = says.Code, says.ID, says.Version, says.Position
	return a, nil
}

func (r request) http(ctx context.Context) (*http.Request, error) {
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, "http://localhost"+r.path, body)
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"Idempotency-Key": r.key, "If-Match": r.match, "At-Least": r.atLeast} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// place is the number in a position token: behind the log's id and a letter.
func place(position string) (int64, error) {
	_, token, found := strings.Cut(position, "-")
	if !found || len(token) < 2 {
		return 0, fmt.Errorf("%q is no position", position)
	}
	return strconv.ParseInt(token[1:], 10, 64)
}

func pause(ctx context.Context, atLeast, atMost time.Duration) {
	timer := time.NewTimer(atLeast + upTo(atMost-atLeast))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
