// Package projections lists the rooms' views.
package projections

import (
	"github.com/bgce/archive/platform/project"
	"github.com/bgce/archive/projections/cortex"
	"github.com/bgce/archive/projections/postal"
)

// Rooms maps each room to its views.
var Rooms = map[string][]project.View{"cortex": cortex.Views, "postal": postal.Views}
