package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bgce/archive/platform/schemas"
)

type object = map[string]any

// operation is what the pages need to know of one.
type operation struct {
	ID         string   `json:"operationId"`
	Tags       []string `json:"tags"`
	Permission string   `json:"x-permission"`
	method     string
	path       string
}

// api is the document, a document for each room, and who may call what.
func api(text []byte) (map[string][]byte, error) {
	var doc object
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	operations, err := operationsOf(doc)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	if files["openapi.json"], err = schemas.Indent(doc); err != nil {
		return nil, err
	}
	page := "# Who may call what\n\nRoles are checked before anything is loaded; `owner` is checked on the aggregate. `viewer` ⊂ `editor` ⊂ `admin`; `platform` is an admin of the root tenant; `|` is any of.\n"
	rooms := map[string][]operation{}
	for _, op := range operations {
		rooms[op.Tags[0]] = append(rooms[op.Tags[0]], op)
	}
	for _, room := range slices.Sorted(maps.Keys(rooms)) {
		page += "\n## " + room + "\n\n| operation | | path | who |\n| --- | --- | --- | --- |\n"
		for _, op := range rooms[room] {
			page += fmt.Sprintf("| `%s` | %s | `%s` | %s |\n", op.ID, op.method, op.path, strings.ReplaceAll(op.Permission, "|", " or "))
		}
		if files["api/"+room+".json"], err = schemas.Indent(only(doc, rooms[room])); err != nil {
			return nil, err
		}
	}
	files["permissions.md"] = []byte(page)
	return files, nil
}

// operationsOf lists the operations that say who may call them, by path and method.
func operationsOf(doc object) ([]operation, error) {
	var found []operation
	paths, _ := doc["paths"].(object)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item, _ := paths[path].(object)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			text, err := json.Marshal(item[method])
			if err != nil {
				return nil, err
			}
			op := operation{method: strings.ToUpper(method), path: path}
			if json.Unmarshal(text, &op) != nil || op.Permission == "" {
				continue // shared parameters, or the edge's own pages
			}
			if op.ID == "" || len(op.Tags) == 0 {
				return nil, fmt.Errorf("%s %s has no operation id or tag", method, path)
			}
			found = append(found, op)
		}
	}
	return found, nil
}

var reference = regexp.MustCompile(`"#/components/([a-zA-Z]+)/([^"]+)"`)

// only is the part of the document that some operations need.
func only(doc object, operations []operation) object {
	paths := object{}
	for _, op := range operations {
		item, _ := paths[op.path].(object)
		if item == nil {
			item = object{}
			paths[op.path] = item
		}
		item[strings.ToLower(op.method)] = doc["paths"].(object)[op.path].(object)[strings.ToLower(op.method)]
	}
	part := maps.Clone(doc)
	all, _ := doc["components"].(object)
	needed := object{}
	if schemes := all["securitySchemes"]; schemes != nil {
		needed["securitySchemes"] = schemes
	}
	collect(paths, all, needed)
	part["paths"], part["components"] = paths, needed
	return part
}

// collect adds what a node refers to, and what that refers to.
func collect(node any, all, needed object) {
	text, err := json.Marshal(node)
	if err != nil {
		return
	}
	for _, m := range reference.FindAllSubmatch(text, -1) {
		kind, name := string(m[1]), string(m[2])
		group, _ := needed[kind].(object)
		if group == nil {
			group = object{}
			needed[kind] = group
		}
		from, _ := all[kind].(object)
		if _, there := group[name]; !there && from[name] != nil {
			group[name] = from[name]
			collect(from[name], all, needed)
		}
	}
}

var subcommand = regexp.MustCompile(`(?m)^  ([a-z][a-z-]+) {2,}\S`)

// cli is the help of every command, as the program prints it.
func cli(bin string) (map[string][]byte, error) {
	page := "# The command line\n\nData goes to stdout, everything else to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 finished with findings.\n"
	var describe func(path []string) error
	describe = func(path []string) error {
		help, err := output(bin, append(slices.Clone(path), "--help")...)
		if err != nil {
			return err
		}
		if len(path) > 0 {
			text, _, _ := strings.Cut(string(help), "\nGlobal Flags:") // they stand under archive itself
			help = []byte(text)
		}
		page += "\n" + strings.Repeat("#", min(len(path)+2, 4)) + " archive" + strings.TrimRight(" "+strings.Join(path, " "), " ") + "\n\n```text\n" + string(bytes.TrimSpace(help)) + "\n```\n"
		text, _, _ := strings.Cut(string(help), "\nFlags:")
		for _, m := range subcommand.FindAllStringSubmatch(text, -1) {
			if m[1] == "help" || m[1] == "archive" {
				continue
			}
			if err := describe(append(slices.Clone(path), m[1])); err != nil {
				return err
			}
		}
		return nil
	}
	err := describe(nil)
	return map[string][]byte{"cli.md": []byte(page)}, err
}
