// Package readapi lists the rooms' read APIs.
package readapi

import (
	"github.com/bgce/archive/platform/rest"
	"github.com/bgce/archive/readapi/cortex"
	"github.com/bgce/archive/readapi/postal"
)

// Rooms maps each room to the routes of its read API.
var Rooms = map[string]func(*rest.API){"cortex": cortex.Routes, "postal": postal.Routes}
