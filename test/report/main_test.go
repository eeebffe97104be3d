package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	cases := map[string]struct {
		in    string
		ok    bool
		shows []string
		hides []string
	}{
		"all passed": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"chatter\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0.5}
{"Action":"output","Package":"p","Output":"ok  \tp\t0.7s\n"}
{"Action":"pass","Package":"p","Elapsed":0.7}`,
			ok: true, shows: []string{"ok  \tp", "0.50 s  p TestA", "1 passed, 0 failed"}, hides: []string{"chatter"},
		},
		"a failure is shown whole": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"a.go:3: want 1, got 2\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}`,
			shows: []string{"want 1, got 2", "0 passed, 1 failed"},
		},
		"a package that does not build counts as failed": {
			in: `{"Action":"build-output","Output":"x.go:1: syntax error\n"}
{"Action":"pass","Package":"q","Test":"TestB"}
{"Action":"fail","Package":"p"}`,
			shows: []string{"syntax error", "1 passed, 1 failed"},
		},
		"a panic shows the output of the test that was running": {
			in: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: oh\n"}
{"Action":"fail","Package":"p"}`,
			shows: []string{"panic: oh", "0 passed, 1 failed"},
		},
		"a skip is no success": {
			in: `{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"skip","Package":"p","Test":"TestB"}`,
			shows: []string{"1 skipped", "1 passed, 0 failed"},
		},
		"no test is no success": {in: `{"Action":"pass","Package":"p"}`, shows: []string{"0 passed, 0 failed"}},
		"words that are no JSON are passed on": {
			in: "go: downloading\n" + `{"Action":"pass","Package":"p","Test":"TestA"}`, ok: true, shows: []string{"go: downloading"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := &report{out: &out, output: map[string][]string{}, failedIn: map[string]int{}}
			if err := r.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}
			if ok := r.summary(); ok != c.ok {
				t.Errorf("ok = %t, want %t", ok, c.ok)
			}
			for _, want := range c.shows {
				if !strings.Contains(out.String(), want) {
					t.Errorf("lacks %q:\n%s", want, out.String())
				}
			}
			for _, never := range c.hides {
				if strings.Contains(out.String(), never) {
					t.Errorf("shows %q", never)
				}
			}
		})
	}
}
