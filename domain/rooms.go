// Package domain lists what each room stores.
package domain

import (
	"github.com/bgce/archive/domain/cortex"
	"github.com/bgce/archive/domain/postal"
	"github.com/bgce/archive/platform/es"
)

// Rooms holds every category of every room; test/house finds a forgotten one.
var Rooms = map[string][]es.Kinds{
	"cortex": {cortex.Tenants, cortex.Users, cortex.Sessions, cortex.Staffs, cortex.Principals},
	"postal": {postal.Posts, postal.Tags},
}
