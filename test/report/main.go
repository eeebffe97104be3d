// Command report reads `go test -json` and prints what a person wants: failures whole, a line per package, the slowest ten, a count.
//
// With CI=true every test's result line is printed too. It fails if a test failed, or if none ran.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64 // seconds
}

type timing struct {
	name    string
	seconds float64
}

type report struct {
	out                     io.Writer
	all                     bool // print passed tests too
	output                  map[string][]string
	failedIn                map[string]int
	slow                    []timing
	passed, failed, skipped int
}

func main() {
	r := &report{out: os.Stdout, all: os.Getenv("CI") == "true", output: map[string][]string{}, failedIn: map[string]int{}}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "test/report:", err)
		os.Exit(1)
	}
	if !r.summary() {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Action == "" {
			fmt.Fprintln(r.out, lines.Text()) // not ours: go's own words
			continue
		}
		r.see(e)
	}
	return lines.Err()
}

func (r *report) see(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, key)
		} else {
			r.endTest(e, key)
		}
		delete(r.output, key)
	}
}

func (r *report) endTest(e event, key string) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		r.failedIn[e.Package]++
	case "skip":
		r.skipped++
	}
	if !strings.Contains(e.Test, "/") {
		r.slow = append(r.slow, timing{e.Package + " " + e.Test, e.Elapsed})
	}
	for _, line := range r.output[key] {
		if e.Action == "fail" || e.Action == "skip" || r.all && strings.HasPrefix(strings.TrimSpace(line), "---") {
			fmt.Fprint(r.out, line)
		}
	}
}

func (r *report) endPackage(e event, key string) {
	if e.Action == "fail" && r.failedIn[e.Package] == 0 {
		r.failed++ // it did not build, panicked or timed out: no test owns up to it
		for other, lines := range r.output {
			if other != key && strings.HasPrefix(other, e.Package+" ") {
				fmt.Fprint(r.out, strings.Join(lines, ""))
			}
		}
	}
	for _, line := range r.output[key] {
		if e.Action == "fail" || strings.HasPrefix(line, "ok") {
			fmt.Fprint(r.out, line)
		}
	}
}

func (r *report) summary() bool {
	slices.SortFunc(r.slow, func(a, b timing) int { return cmp.Compare(b.seconds, a.seconds) })
	fmt.Fprintln(r.out, "\nslowest:")
	for _, t := range r.slow[:min(10, len(r.slow))] {
		fmt.Fprintf(r.out, "%7.2f s  %s\n", t.seconds, t.name)
	}
	if r.skipped > 0 {
		fmt.Fprintf(r.out, "\n%d skipped: nothing skips here\n", r.skipped)
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed\n", r.passed, r.failed)
	return r.failed == 0 && r.skipped == 0 && r.passed > 0
}
