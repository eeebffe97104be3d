// Package schemas carries what the program shows of itself.
package schemas

import _ "embed"

// Examples are a request and its answer for each operation, as the story of test/api gave them.
//
//go:embed examples.json
var Examples []byte
