package main

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type cost struct {
	name      string // of the command, question or handler
	operation string
	lines     float64
}

// decl is a type with its methods, a function or a variable: how long it is, and what it mentions ("domain/x.Post").
type decl struct {
	lines    int
	mentions map[string]bool
	users    int // operations that lead here
}

type tree map[string]*decl

// attribute walks from each operation's type through everything it mentions and shares every declaration's lines among the operations
// that lead to it. A projection's clause belongs to the event it handles. Lines no operation leads to (tables of names, SQL) stay out.
func attribute(root string, operations map[string]string) ([]cost, error) {
	decls := tree{}
	for _, layer := range layers {
		files, err := filepath.Glob(filepath.Join(root, layer, "*", "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") {
				if err := decls.parse(file, layer); err != nil {
					return nil, err
				}
			}
		}
	}
	reached := map[string][]string{}
	for id := range operations {
		start := decls.named(id)
		if start == "" {
			continue // the platform's own
		}
		reached[id] = decls.from(start)
		for _, name := range reached[id] {
			decls[name].users++
		}
	}
	var costs []cost
	for id, names := range reached {
		c := cost{name: names[0][strings.LastIndex(names[0], "/")+1:], operation: operations[id], lines: 1} // its route
		for _, name := range names {
			c.lines += float64(decls[name].lines) / float64(decls[name].users)
		}
		costs = append(costs, c)
	}
	slices.SortFunc(costs, func(a, b cost) int {
		return cmp.Or(cmp.Compare(b.lines, a.lines), cmp.Compare(a.operation, b.operation))
	})
	return costs, nil
}

// named finds the declaration an operation id was derived from: "postal-publish-post" is commands/postal.PublishPost.
func (t tree) named(id string) string {
	room, rest, _ := strings.Cut(id, "-")
	plain := strings.ToLower(strings.ReplaceAll(rest, "-", ""))
	for name := range t {
		layer, last, _ := strings.Cut(name, "/")
		if where, short, _ := strings.Cut(last, "."); where == room && strings.ToLower(short) == plain && (layer == "commands" || layer == "readapi") {
			return name
		}
	}
	return ""
}

// from lists what can be reached, the start first.
func (t tree) from(start string) []string {
	found := []string{start}
	for i := 0; i < len(found); i++ {
		for name := range t[found[i]].mentions {
			if t[name] != nil && !slices.Contains(found, name) {
				found = append(found, name)
			}
		}
	}
	return found
}

func (t tree) at(name string) *decl {
	if t[name] == nil {
		t[name] = &decl{mentions: map[string]bool{}}
	}
	return t[name]
}

// parsed is one file with what is needed to resolve its names.
type parsed struct {
	tree
	set     *token.FileSet
	code    map[int]bool
	place   string            // "domain/x"
	imports map[string]string // local name → place
}

func (t tree) parse(path, layer string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p := parsed{t, set, goLines(text), layer + "/" + filepath.Base(filepath.Dir(path)), map[string]string{}}
	for _, spec := range file.Imports {
		if _, place, ours := strings.Cut(strings.Trim(spec.Path.Value, `"`), "/archive/"); ours {
			local := filepath.Base(place)
			if spec.Name != nil {
				local = spec.Name.Name
			}
			p.imports[local] = place
		}
	}
	for _, d := range file.Decls {
		p.declaration(d)
	}
	return nil
}

func (p parsed) declaration(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		name := d.Name.Name
		if d.Recv != nil {
			name = receiver(d.Recv.List[0].Type)
		}
		p.add(p.place+"."+name, d)
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			var node ast.Node = spec
			if len(d.Specs) == 1 {
				node = d
			}
			switch s := spec.(type) {
			case *ast.TypeSpec:
				p.add(p.place+"."+s.Name.Name, node)
			case *ast.ValueSpec:
				if strings.HasPrefix(p.place, "projections/") {
					p.clauses(s)
				} else if !strings.HasPrefix(p.place, "domain/") || strings.HasPrefix(s.Names[0].Name, "Err") {
					p.add(p.place+"."+s.Names[0].Name, node) // a table of stored names leads to every event: it is nobody's
				}
			}
		}
	}
}

// clauses gives each argument of a project.From to the event it mentions.
func (p parsed) clauses(s *ast.ValueSpec) {
	ast.Inspect(s, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !isFrom(call.Fun) {
			return true
		}
		for _, clause := range call.Args[1:] {
			known := func(name string) bool { return strings.HasPrefix(name, "domain/") && p.tree[name] != nil }
			if names := p.mentions(clause); slices.ContainsFunc(names, known) {
				p.add(names[slices.IndexFunc(names, known)], clause)
			}
		}
		return false
	})
}

func isFrom(fun ast.Expr) bool {
	s, ok := fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "From"
}

func (p parsed) add(name string, n ast.Node) {
	d := p.at(name)
	for line := p.set.Position(n.Pos()).Line; line <= p.set.Position(n.End()).Line; line++ {
		if p.code[line] {
			d.lines++
		}
	}
	for _, mentioned := range p.mentions(n) {
		d.mentions[mentioned] = true
	}
}

// mentions lists the names in a piece of code, in order.
func (p parsed) mentions(n ast.Node) (found []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && p.imports[x.Name] != "" {
				found = append(found, p.imports[x.Name]+"."+n.Sel.Name)
				return false
			}
		case *ast.Ident:
			found = append(found, p.place+"."+n.Name)
		}
		return true
	})
	return found
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
