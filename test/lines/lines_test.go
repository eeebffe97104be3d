package main

import "testing"

func TestWhatIsALine(t *testing.T) {
	source := "// Package p.\npackage p\n\n/* a\nb */\nvar q = `one\n\ntwo` // why\n\nfunc f() {\n\t// nothing\n}\n"
	if got := len(goLines([]byte(source))); got != 5 { // package, `one, two`, func, }
		t.Errorf("go: %d, want 5", got)
	}
	sql := "-- why\nCREATE TABLE x ( -- here\n\tid uuid /* a\n\tb */\n);\n\n/* c */ SELECT 1;\n"
	if got := sqlLines(sql); got != 4 {
		t.Errorf("sql: %d, want 4", got)
	}
}
