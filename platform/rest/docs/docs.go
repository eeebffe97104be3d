// Package docs is what people read of an API: its reference and its problems as pages, examples in its document.
package docs

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

//go:embed *.html docs.js docs.css icon.svg
var files embed.FS

var pages = template.Must(template.ParseFS(files, "*.html"))

// policy lets a page use our own files and talk to this host, nothing else.
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// Page serves one of the pages.
func Page(name string, data any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var b bytes.Buffer
		if err := pages.ExecuteTemplate(&b, name, data); err != nil {
			panic(err)
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(b.Bytes())
	}
}

// File serves what the pages load.
func File(name, contentType string) http.HandlerFunc {
	body, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(body)
	}
}
