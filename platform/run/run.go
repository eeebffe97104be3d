// Package run says which parts a process runs, and how its local socket is reached.
package run

import (
	"fmt"
	"slices"
	"strings"
)

// Roles are the words before the colon.
var Roles = []string{"write", "read", "project"}

// Parts are the rooms chosen for each role; "*" stands for every room.
type Parts map[string][]string

// All is everything in one process.
func All() Parts {
	p := Parts{}
	for _, role := range Roles {
		p[role] = []string{"*"}
	}
	return p
}

// Parse reads "all" or words like "write:harbour,billing read:* project:harbour" against the rooms there are.
func Parse(words string, rooms []string) (Parts, error) {
	parts := Parts{}
	for word := range strings.FieldsSeq(words) {
		if word == "all" {
			return All(), nil
		}
		role, list, found := strings.Cut(word, ":")
		if !slices.Contains(Roles, role) || !found {
			return nil, fmt.Errorf("run: %q is not all, nor ROLE:ROOM,ROOM with a role of %s", word, strings.Join(Roles, ", "))
		}
		for room := range strings.SplitSeq(list, ",") {
			if room != "*" && !slices.Contains(rooms, room) {
				return nil, fmt.Errorf("run: there is no room %q; rooms are %s", room, strings.Join(rooms, ", "))
			}
			parts[role] = append(parts[role], room)
		}
	}
	if len(parts) == 0 {
		return nil, fmt.Errorf("run: nothing chosen; all runs everything")
	}
	return parts, nil
}

// Only is one room in every role.
func Only(room string) Parts {
	p := Parts{}
	for _, role := range Roles {
		p[role] = []string{room}
	}
	return p
}

// Has reports whether the room was chosen for the role.
func (p Parts) Has(role, room string) bool {
	return slices.Contains(p[role], room) || slices.Contains(p[role], "*")
}

// Everything reports whether nothing was left out.
func (p Parts) Everything() bool {
	return !slices.ContainsFunc(Roles, func(role string) bool { return !slices.Contains(p[role], "*") })
}
