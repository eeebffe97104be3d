// Package commands lists the rooms' write APIs.
package commands

import (
	"github.com/bgce/archive/commands/cortex"
	"github.com/bgce/archive/commands/postal"
	"github.com/bgce/archive/platform/auth"
	"github.com/bgce/archive/platform/rest"
)

// Rooms maps each room to the routes of its write API. The service may be nil where nothing is served (the document).
func Rooms(service *auth.Service) map[string]func(*rest.API) {
	return map[string]func(*rest.API){
		"cortex": func(api *rest.API) { cortex.Routes(api, service) },
		"postal": postal.Routes,
	}
}
