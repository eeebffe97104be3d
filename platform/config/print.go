package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Setting is one line of what is in force.
type Setting struct {
	Key      string `json:"key"`
	Variable string `json:"variable"`
	Value    string `json:"value"`
	Default  string `json:"default"`
	Doc      string `json:"doc"`
}

// Settings lists what is in force, secrets hidden.
func (c Config) Settings() []Setting {
	v := reflect.ValueOf(c)
	var list []Setting
	for i, o := range Options() {
		value := fmt.Sprint(v.Field(i).Interface())
		if s, ok := reflect.TypeAssert[[]string](v.Field(i)); ok {
			value = strings.Join(s, ",")
		}
		list = append(list, Setting{o.Key, Variable(o.Key), value, o.Default, o.Doc})
	}
	return list
}

// Markdown is the reference of all settings, schemas/config.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("# Configuration\n\nFlags win over variables, variables over the YAML file (`--config FILE`, or `archive.yaml` in the working directory), the file over defaults.\n" +
		"An unknown key is refused. `archive config` prints what is in force.\n\n| YAML | variable | flag | default | what it is |\n| --- | --- | --- | --- | --- |\n")
	for _, o := range Options() {
		value := o.Default
		if value != "" {
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | `--%s` | %s | %s |\n", o.Key, Variable(o.Key), Flag(o.Key), value, o.Doc)
	}
	return b.String()
}
