package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document checks answers against the OpenAPI document, whose schemas are JSON Schema 2020-12.
type document struct {
	compiler *jsonschema.Compiler
	paths    map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Responses   map[string]struct {
			Content map[string]json.RawMessage `json:"content"`
		} `json:"responses"`
	}
}

const documentURL = "file:///openapi.json"

func parseDocument(data []byte) (*document, error) {
	var doc struct {
		Paths json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	d := &document{compiler: jsonschema.NewCompiler()}
	if err := json.Unmarshal(doc.Paths, &d.paths); err != nil {
		return nil, err
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	d.compiler.AssertFormat()
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	return d, d.compiler.AddResource(documentURL, whole)
}

// fits says what is wrong with an operation's answer, nil if nothing is.
func (d *document) fits(method, path string, a Answer) error {
	responses := d.paths[path][strings.ToLower(method)].Responses
	key := strconv.Itoa(a.Status)
	response, ok := responses[key]
	if !ok {
		if response, ok = responses["default"]; !ok {
			return fmt.Errorf("status %s is not documented", key)
		}
		key = "default"
	}
	if len(a.Body) == 0 || len(response.Content) == 0 {
		return nil
	}
	media, _, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	if err != nil {
		return err
	}
	if _, ok := response.Content[media]; !ok {
		return fmt.Errorf("%s is not documented for status %s", media, key)
	}
	if !strings.HasSuffix(media, "json") {
		return nil
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	schema, err := d.compiler.Compile(fmt.Sprintf("%s#/paths/%s/%s/responses/%s/content/%s/schema", documentURL, escape.Replace(path), strings.ToLower(method), key, escape.Replace(media)))
	if err != nil {
		return err
	}
	body, err := jsonschema.UnmarshalJSON(bytes.NewReader(a.Body))
	if err != nil {
		return err
	}
	return schema.Validate(body)
}
