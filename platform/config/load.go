package config

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// DefaultFile is read when it exists and no other is named.
const DefaultFile = "archive.yaml"

// Option is one setting, as the reference lists it.
type Option struct{ Key, Default, Doc, Kind string }

// Options lists every setting in the order of the struct.
func Options() []Option {
	t := reflect.TypeFor[Config]()
	list := make([]Option, 0, t.NumField())
	for f := range t.Fields() {
		list = append(list, Option{f.Tag.Get("koanf"), f.Tag.Get("default"), f.Tag.Get("doc"), f.Type.String()})
	}
	return list
}

// Variable is the environment's name of a key.
func Variable(key string) string { return "ARCHIVE_" + strings.ToUpper(key) }

// Flag is the command line's name of a key, without the dashes.
func Flag(key string) string { return strings.ReplaceAll(key, "_", "-") }

// AddFlags defines a flag for each of the keys; none = every key. Their zero value means "not given".
func AddFlags(fs *pflag.FlagSet, keys ...string) {
	for _, o := range Options() {
		if len(keys) > 0 && !slices.Contains(keys, o.Key) || fs.Lookup(Flag(o.Key)) != nil {
			continue
		}
		doc := fmt.Sprintf("%s (%s)", o.Doc, Variable(o.Key))
		switch o.Kind {
		case "bool":
			fs.Bool(Flag(o.Key), false, doc)
		default:
			fs.String(Flag(o.Key), "", doc)
		}
	}
}

// Invalid is everything that is wrong with the configuration, at once.
type Invalid struct{ Complaints []string }

func (e *Invalid) Error() string {
	if len(e.Complaints) == 1 {
		return "configuration: " + e.Complaints[0]
	}
	return "configuration:\n  " + strings.Join(e.Complaints, "\n  ")
}

// Load reads flags (only those given), environ (as of os.Environ), the YAML file ("" = ./archive.yaml if it is there) and defaults.
// Unknown keys and wrong values are one *Invalid.
func Load(flags *pflag.FlagSet, environ []string, path string) (Config, error) {
	k := koanf.New("\x00") // keys are flat; no character of one is a separator
	defaults := map[string]any{}
	for _, o := range Options() {
		defaults[o.Key] = o.Default
	}
	wrong := &Invalid{}
	layers := []map[string]any{defaults, fromFile(path, wrong), fromEnv(environ, wrong), fromFlags(flags)}
	for _, layer := range layers {
		if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
			return Config{}, err
		}
	}
	var c Config
	if err := k.Unmarshal("", &c); err != nil {
		wrong.Complaints = append(wrong.Complaints, plain(err))
		return c, wrong
	}
	c.TrustedProxies = trimmed(c.TrustedProxies)
	wrong.Complaints = append(wrong.Complaints, c.check()...)
	if len(wrong.Complaints) > 0 {
		return c, wrong
	}
	return c, nil
}

func fromFile(path string, wrong *Invalid) map[string]any {
	if path == "" {
		if _, err := os.Stat(DefaultFile); err != nil {
			return nil
		}
		path = DefaultFile
	}
	k := koanf.New("\x00")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		wrong.Complaints = append(wrong.Complaints, fmt.Sprintf("%s: %v", path, err))
		return nil
	}
	values := k.Raw()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !known(key) {
			wrong.Complaints = append(wrong.Complaints, fmt.Sprintf("%s: unknown key %s%s", path, key, didYouMean(key, keys())))
			delete(values, key)
		}
	}
	return values
}

// fromEnv takes ARCHIVE_*; ARCHIVE_TEST_* belongs to tests.
func fromEnv(environ []string, wrong *Invalid) map[string]any {
	values := map[string]any{}
	var names []string
	for _, key := range keys() {
		names = append(names, Variable(key))
	}
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		key, ours := strings.CutPrefix(name, "ARCHIVE_")
		if !ours || strings.HasPrefix(key, "TEST_") {
			continue
		}
		if key = strings.ToLower(key); !known(key) || Variable(key) != name {
			wrong.Complaints = append(wrong.Complaints, fmt.Sprintf("unknown variable %s%s", name, didYouMean(name, names)))
			continue
		}
		if value != "" { // set but empty is not set, as compose files do it
			values[key] = value
		}
	}
	return values
}

func fromFlags(flags *pflag.FlagSet) map[string]any {
	values := map[string]any{}
	if flags == nil {
		return values
	}
	flags.Visit(func(f *pflag.Flag) {
		if key := strings.ReplaceAll(f.Name, "-", "_"); known(key) {
			values[key] = f.Value.String()
		}
	})
	return values
}

func keys() []string {
	var all []string
	for _, o := range Options() {
		all = append(all, o.Key)
	}
	return all
}

func known(key string) bool { return slices.Contains(keys(), key) }

func trimmed(list []string) []string {
	var kept []string
	for s := range strings.SplitSeq(strings.Join(list, ","), ",") {
		if s = strings.TrimSpace(s); s != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// plain drops the decoder's heading, which says nothing to people.
func plain(err error) string {
	return strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "decoding failed due to the following error(s):")), " ")
}

func didYouMean(word string, among []string) string {
	if near := Nearest(word, among); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// Nearest is the candidate that takes the fewest edits to reach, "" if none is at all like the word.
func Nearest(word string, among []string) string {
	best, distance := "", max(3, len(word)/2)
	for _, candidate := range among {
		if d := edits(strings.ToLower(word), strings.ToLower(candidate)); d < distance {
			best, distance = candidate, d
		}
	}
	return best
}

func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
