// Package registry is the tables in which views are registered: where their tables lie, how far they are, what is set aside.
package registry

import _ "embed"

// Schema brings the tables up to date; it runs at every start.
//
//go:embed schema.sql
var Schema string
