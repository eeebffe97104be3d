package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"text/tabwriter"
)

// show prints a slice of flat structs in the form asked for with -o; the json tags are the columns.
func (a *app) show(rows any) error {
	v := reflect.ValueOf(rows)
	if a.output == "json" {
		enc := json.NewEncoder(a.out)
		enc.SetIndent("", "  ")
		if v.Kind() == reflect.Slice && v.IsNil() {
			rows = []any{}
		}
		return enc.Encode(rows)
	}
	table := cells(v)
	if a.output == "csv" {
		return csv.NewWriter(a.out).WriteAll(table)
	}
	w := tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0)
	for i, row := range table {
		line := strings.Join(row, "\t")
		if i == 0 {
			line = strings.ToUpper(line)
		}
		fmt.Fprintln(w, line)
	}
	return w.Flush()
}

func cells(rows reflect.Value) [][]string {
	t := rows.Type().Elem()
	var head []string
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		head = append(head, name)
	}
	table := [][]string{head}
	for i := range rows.Len() {
		var row []string
		for j := range t.NumField() {
			row = append(row, fmt.Sprint(rows.Index(i).Field(j).Interface()))
		}
		table = append(table, row)
	}
	return table
}
