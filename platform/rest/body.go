package rest

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/eventstore"
	"github.com/bgce/archive/platform/fault"
	"github.com/bgce/archive/platform/rest/problem"
	"github.com/bgce/archive/platform/rest/wire"
)

// Limits of what a body may be.
const (
	defaultBody = 1 << 20
	maxToken    = 64 // of a position
)

var (
	errForeignPosition = fault.New(fault.Invalid, "rest.foreign_position", "this position is of another log (the log was restored or moved); read again without it")
	errKey             = fault.New(fault.Invalid, "rest.invalid_key", "Idempotency-Key is 1 to 200 printable ASCII characters")
	errIfMatch         = fault.New(fault.Invalid, "rest.invalid_if_match", `If-Match is the ETag you read, as "7", or *`)
	errIfMatchRequired = fault.New(fault.Precondition, "rest.if_match_required", `this replaces the whole; send If-Match with the ETag you read, or * to overwrite whatever is there`)
)

// read takes what the operation needs from the request before huma sees it: accepted media type, body, position, key.
func (req *request) read(w http.ResponseWriter, r *http.Request) error {
	rt := req.route
	if !acceptable(rt, r.Header.Values("Accept")) {
		return problem.ErrAcceptable
	}
	if rt.writes {
		if key, ok := r.Header["Idempotency-Key"]; ok {
			if len(key) != 1 || len(key[0]) < 1 || len(key[0]) > 200 || strings.TrimFunc(key[0], printable) != "" {
				return errKey.WithField("header.Idempotency-Key", "1 to 200 printable ASCII characters")
			}
			req.caller.Key = key[0]
		}
	} else if err := req.positions(r); err != nil {
		return err
	}
	if rt.multipart {
		r.Body = http.MaxBytesReader(w, r.Body, rt.maxBody)
		return nil
	}
	if r.Method == http.MethodGet {
		return nil
	}
	return req.readBody(w, r)
}

// accepted are the media types of answers, as clients may ask for them.
var accepted = []string{"application/json", "application/problem+json", "application/*", "text/event-stream"}

func printable(c rune) bool { return c >= ' ' && c <= '~' }

// acceptable reports whether the client takes what the operation answers.
func acceptable(rt *route, accept []string) bool {
	if len(accept) == 0 || (rt.raw && !rt.stream) {
		return true
	}
	for _, list := range accept {
		for item := range strings.SplitSeq(list, ",") {
			media, params, _ := strings.Cut(strings.TrimSpace(item), ";")
			switch media = strings.ToLower(strings.TrimSpace(media)); {
			case media == "*/*", rt.stream == (media == "text/event-stream") && slices.Contains(accepted, media):
				if q, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q="); ok {
					if v, err := strconv.ParseFloat(q, 64); err == nil && v == 0 {
						continue
					}
				}
				return true
			}
		}
	}
	return false
}

func (req *request) readBody(w http.ResponseWriter, r *http.Request) error {
	rt := req.route
	if r.ContentLength > rt.maxBody {
		return tooLarge(rt.maxBody)
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, r.Body, rt.maxBody)); err != nil {
		if tooBig := new(http.MaxBytesError); errors.As(err, &tooBig) {
			return tooLarge(rt.maxBody)
		}
		return problem.ErrMalformed.WithField("body", "it ended before it was whole").WithCause(err)
	}
	body := buf.Bytes()
	if len(body) > 0 && !isJSON(r.Header.Get("Content-Type")) {
		return problem.ErrMediaType
	}
	if len(body) > 0 {
		if err := wire.Check(body); err != nil {
			return err
		}
	}
	if rt.bare && len(bytes.TrimSpace(body)) > 0 {
		if err := wire.Empty(body); err != nil {
			return err
		}
	}
	if len(body) == 0 && rt.optional {
		body = []byte("{}")
	}
	req.body = body
	if req.caller.Key != "" {
		req.caller.body = append([]byte(r.Method+" "+r.URL.Path+"\n"), body...)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return nil
}

func tooLarge(limit int64) error {
	return problem.ErrTooLarge.Withf("the body is larger than the %d bytes this operation takes", limit).WithExtra("limit", limit)
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, params, err := mime.ParseMediaType(contentType)
	return err == nil && media == "application/json" && (params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8"))
}

// token is a position as clients see it: the log's id and the place in it.
func (a *API) token(p eventstore.Position) string {
	if p == "" || a.cfg.Kernel == nil {
		return ""
	}
	return logID(a.cfg.Kernel) + "-" + string(p)
}

func logID(k *es.Kernel) string { return k.Store.LogID() }

// position reads a token a client sent back.
func (a *API) position(where, token string) (eventstore.Position, error) {
	if len(token) > maxToken || strings.Trim(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return "", problem.ErrInvalid.WithField(where, "a Position as an answer gave it: 1 to 64 of A-Z a-z 0-9 _ -")
	}
	if a.cfg.Kernel == nil {
		return "", problem.ErrUnavailable
	}
	p, own := strings.CutPrefix(token, logID(a.cfg.Kernel)+"-")
	if !own || p == "" {
		return "", errForeignPosition.WithField(where, "of another log")
	}
	return eventstore.Position(p), nil
}

// positions takes At-Least and the place to resume from; the query forms are for EventSource, which cannot send headers.
func (req *request) positions(r *http.Request) (err error) {
	if req.atLeast, err = req.take(r, "At-Least", "at_least"); err != nil || !req.route.stream {
		return err
	}
	req.after, err = req.take(r, "Last-Event-Id", "last_event_id")
	return err
}

func (req *request) take(r *http.Request, header, param string) (eventstore.Position, error) {
	token, where := r.Header.Get(header), "header."+header
	if strings.Contains(r.URL.RawQuery, param+"=") {
		query := r.URL.Query()
		if v := query.Get(param); v != "" && token == "" {
			token, where = v, "query."+param
		}
		query.Del(param)
		r.URL.RawQuery = query.Encode()
	}
	if token == "" {
		return "", nil
	}
	return req.api.position(where, token)
}

// ifMatch reads the version a caller saw: nil is "whatever is there", overwrite is a deliberate *.
func ifMatch(r *http.Request) (version *int, overwrite bool, err error) {
	values := r.Header.Values("If-Match")
	if len(values) == 0 {
		return nil, false, nil
	}
	v := strings.TrimSpace(strings.Join(values, ","))
	if v == "*" {
		return nil, true, nil
	}
	n, convErr := strconv.Atoi(strings.Trim(v, `"`))
	if convErr != nil || n < 1 || v != strconv.Quote(strconv.Itoa(n)) {
		return nil, false, errIfMatch.WithField("header.If-Match", `one quoted version, or *`)
	}
	return &n, false, nil
}
