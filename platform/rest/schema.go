package rest

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/bgce/archive/platform/es"
	"github.com/bgce/archive/platform/rest/wire"
)

const schemaPrefix = "#/components/schemas/"

func humaConfig(title, version string) huma.Config {
	registry := huma.NewMapRegistry(schemaPrefix, wire.Namer())
	registry.RegisterTypeAlias(reflect.TypeFor[uuid.UUID](), reflect.TypeFor[uuidText]())
	registry.RegisterTypeAlias(reflect.TypeFor[es.Text](), reflect.TypeFor[string]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: title, Version: version,
				Description: "Writes answer `{id, version, position}`; send `position` as `At-Least` to read your own write. Refusals are problems (RFC 9457).",
			},
			Components: &huma.Components{
				Schemas:         registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{"bearer": {Type: "http", Scheme: "bearer", BearerFormat: "JWT"}},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": wire.Format, "json": wire.Format},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// uuidText gives UUIDs their format in the document.
type uuidText string

// Schema describes a UUID.
func (uuidText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "uuid"}
}
