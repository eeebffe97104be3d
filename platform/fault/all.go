package fault

import (
	"slices"
	"strings"
	"sync"
)

var (
	allLock sync.Mutex
	all     []*Fault
)

// All lists every sentinel of this program, by code: the catalogue of problems.
func All() []*Fault {
	allLock.Lock()
	defer allLock.Unlock()
	list := slices.Clone(all)
	slices.SortFunc(list, func(a, b *Fault) int { return strings.Compare(a.Code, b.Code) })
	return list
}

func keep(f *Fault) *Fault {
	allLock.Lock()
	defer allLock.Unlock()
	all = append(all, f)
	return f
}
