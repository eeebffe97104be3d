package docs

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// example is a request to an operation and what it answered.
type example struct {
	Path     string            `json:"path"`
	Headers  map[string]string `json:"headers"`
	Request  any               `json:"request"`
	Status   int               `json:"status"`
	Response any               `json:"response"`
}

// AddExamples puts examples, JSON by operation id, into a document: as values of parameters, as body, as answer.
func AddExamples(document *huma.OpenAPI, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	var all map[string]example
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("docs: examples: %w", err)
	}
	for path, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Put, item.Post, item.Patch, item.Delete} {
			if op == nil {
				continue
			}
			if x, known := all[op.OperationID]; known {
				if err := x.add(path, op); err != nil {
					return fmt.Errorf("docs: example of %s: %w", op.OperationID, err)
				}
			}
		}
	}
	return nil
}

func (x example) add(path string, op *huma.Operation) error {
	address, err := url.Parse(x.Path)
	if err != nil {
		return err
	}
	query := address.Query()
	template, segments := strings.Split(path, "/"), strings.Split(address.Path, "/")
	if len(template) != len(segments) {
		return fmt.Errorf("%s is not at %s", x.Path, path)
	}
	for _, p := range op.Parameters {
		text, given := x.Headers[p.Name]
		switch p.In {
		case "path":
			if i := slices.Index(template, "{"+p.Name+"}"); i >= 0 {
				text, given = segments[i], true
			}
		case "query":
			text, given = query.Get(p.Name), query.Has(p.Name)
		}
		if given {
			p.Example = typed(p, text)
		}
	}
	if op.RequestBody != nil {
		put(op.RequestBody.Content, x.Request)
	}
	if answer := op.Responses[strconv.Itoa(x.Status)]; answer != nil {
		put(answer.Content, x.Response)
	}
	return nil
}

// typed is a parameter's text as its schema has it.
func typed(p *huma.Param, text string) any {
	if p.Schema != nil && p.Schema.Type == huma.TypeInteger {
		if n, err := strconv.Atoi(text); err == nil {
			return n
		}
	}
	return text
}

func put(content map[string]*huma.MediaType, value any) {
	if media := content["application/json"]; media != nil && value != nil {
		media.Example = value
	}
}
