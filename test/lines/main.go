// Command lines prints how many lines an operation costs, and fails above the budget.
//
// Counted are the lines of the four layers that are neither blank nor comment, in .go without tests and in .sql, of a formatted tree.
package main

import (
	"encoding/json"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const budget = 45 // lines per operation

var layers = []string{"domain", "commands", "projections", "readapi"}

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "lines:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	operations, err := operationsOf(filepath.Join(root, "schemas/openapi.json"))
	if err != nil {
		return err
	}
	sum := 0
	for _, layer := range layers {
		n, err := count(filepath.Join(root, layer))
		if err != nil {
			return err
		}
		fmt.Printf("%-12s %6d lines\n", layer, n)
		sum += n
	}
	platform, err := count(filepath.Join(root, "platform"))
	if err != nil {
		return err
	}
	each := func(lines int) float64 { return float64(lines) / float64(len(operations)) }
	fmt.Printf("%-12s %6d lines, %d operations: %.1f lines each, at most %d\n", "rooms", sum, len(operations), each(sum), budget)
	fmt.Printf("%-12s %6d lines: %.1f for each operation\n", "platform", platform, each(platform))
	costs, err := attribute(root, operations)
	if err != nil {
		return err
	}
	fmt.Println("\nthe most expensive (own lines, and a share of every event, clause, view and helper it has in common with others):")
	for _, c := range costs[:min(5, len(costs))] {
		fmt.Printf("%7.1f  %-24s %s\n", c.lines, c.name, c.operation)
	}
	if each(sum) > budget {
		return fmt.Errorf("%.1f lines an operation, at most %d", each(sum), budget)
	}
	return nil
}

// operationsOf maps operation id → "POST /api/v1/posts".
func operationsOf(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w (make generate writes it)", err)
	}
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	found := map[string]string{}
	for path, item := range doc.Paths {
		for method, raw := range item {
			var op struct{ OperationID string }
			if !strings.HasPrefix(path, "/api/v1/") || json.Unmarshal(raw, &op) != nil || op.OperationID == "" {
				continue
			}
			found[op.OperationID] = strings.ToUpper(method) + " " + path
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s has no operation under /api/v1", file)
	}
	return found, nil
}

func count(dir string) (sum int, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if strings.HasSuffix(path, "test") { // storetest and its like are tests
				return fs.SkipDir
			}
			return nil
		}
		isGo := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
		if !isGo && !strings.HasSuffix(path, ".sql") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if isGo {
			sum += len(goLines(text))
		} else {
			sum += sqlLines(string(text))
		}
		return nil
	})
	return sum, err
}

// goLines is the set of lines that hold code.
func goLines(text []byte) map[int]bool {
	set := token.NewFileSet()
	file := set.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0) // without comments
	lines := map[int]bool{}
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return lines
		}
		if tok == token.SEMICOLON && lit == "\n" {
			continue // the scanner's own
		}
		first := file.Line(pos)
		for i, line := range strings.Split(lit, "\n") { // a raw string may have many
			if lit == "" || strings.TrimSpace(line) != "" {
				lines[first+i] = true
			}
		}
	}
}

func sqlLines(text string) (n int) {
	inside := false
	for line := range strings.Lines(text) {
		code := ""
		for line != "" {
			if inside {
				_, rest, closed := strings.Cut(line, "*/")
				inside, line = !closed, rest
				continue
			}
			before, rest, opened := strings.Cut(line, "/*")
			if plain, _, comment := strings.Cut(before, "--"); comment {
				before, opened = plain, false
			}
			code += before
			inside, line = opened, rest
			if !opened {
				break
			}
		}
		if strings.TrimSpace(code) != "" {
			n++
		}
	}
	return n
}
