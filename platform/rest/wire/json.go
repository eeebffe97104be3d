// Package wire is the JSON of bodies both ways, and how types are called in the document.
package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/bgce/archive/platform/rest/problem"
)

// maxDepth of nested JSON.
const maxDepth = 64

// micros is RFC 3339 in UTC with microseconds, always the same width.
const micros = "2006-01-02T15:04:05.000000Z"

// Out writes answers: lists are never null, times are UTC microseconds, omitempty means what it does in encoding/json.
var Out = json.JoinOptions(
	jsonv1.OmitEmptyWithLegacySemantics(true),
	json.WithMarshalers(json.MarshalToFunc(func(enc *jsontext.Encoder, t time.Time) error {
		return enc.WriteToken(jsontext.String(t.UTC().Format(micros)))
	})),
)

// Format is the JSON of bodies both ways. What comes in was checked by Check already.
var Format = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		if p, ok := v.(*problem.Problem); ok {
			data, err := p.MarshalJSON()
			if err != nil {
				return err
			}
			_, err = w.Write(data)
			return err
		}
		return json.MarshalWrite(w, v, Out)
	},
	Unmarshal: func(data []byte, v any) error {
		err := json.Unmarshal(data, v)
		if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
			return fmt.Errorf("%s does not fit", place(semantic.JSONPointer))
		}
		if err != nil {
			return errors.New("not readable")
		}
		return nil
	},
}

// Empty refuses members where a command has none.
func Empty(body []byte) error {
	var members map[string]jsontext.Value
	if err := json.Unmarshal(body, &members); err != nil {
		return problem.ErrInvalid.WithField("body", "expected an empty body or {}")
	}
	for name := range members {
		return problem.ErrInvalid.WithField("body."+name, "unexpected property")
	}
	return nil
}

// Check refuses a body that is not one JSON value in UTF-8 with unique names, without NUL, and not nested too deeply, naming the place.
func Check(body []byte) error {
	nul := bytes.IndexByte(body, 0) >= 0 || bytes.Contains(body, []byte(`\u0000`))
	dec := jsontext.NewDecoder(bytes.NewReader(body))
	if !nul && !deep(body) && bytes.IndexByte(body, '\\') < 0 && utf8.Valid(body) { // nothing to look for token by token
		if err := dec.SkipValue(); err != nil {
			return misread(dec, err)
		}
		return end(dec)
	}
	for depth := -1; depth != 0; depth = dec.StackDepth() {
		token, err := dec.ReadToken()
		if err != nil {
			return misread(dec, err)
		}
		if dec.StackDepth() > maxDepth {
			return problem.ErrMalformed.WithField(place(dec.StackPointer()), "nested more than "+strconv.Itoa(maxDepth)+" deep")
		}
		if nul && token.Kind() == '"' && strings.IndexByte(token.String(), 0) >= 0 {
			return problem.ErrMalformed.WithField(place(dec.StackPointer()), "contains NUL")
		}
	}
	return end(dec)
}

// deep is a cheap upper bound of the nesting.
func deep(body []byte) bool {
	return bytes.Count(body, []byte{'['})+bytes.Count(body, []byte{'{'}) > maxDepth
}

func end(dec *jsontext.Decoder) error {
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return problem.ErrMalformed.WithField("body", "there is something after the JSON value")
	}
	return nil
}

func misread(dec *jsontext.Decoder, err error) error {
	where := place(dec.StackPointer())
	var syntax *jsontext.SyntacticError
	what := "not JSON"
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		what = "the same name twice"
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		what = "it ends before the JSON value does"
	case errors.As(err, &syntax):
		where = place(syntax.JSONPointer)
		what = "not JSON at byte " + strconv.FormatInt(syntax.ByteOffset, 10)
		if syntax.Err != nil && strings.Contains(syntax.Err.Error(), "UTF-8") {
			what = "not valid UTF-8"
		}
	}
	return problem.ErrMalformed.WithField(where, what)
}

// place writes a JSON pointer as huma writes places: body.items[3] is body.items.3 here.
func place(p jsontext.Pointer) string {
	where := "body"
	for token := range p.Tokens() {
		where += "." + strings.ToValidUTF8(strings.ReplaceAll(token, "\x00", "?"), "?")
	}
	return where
}
