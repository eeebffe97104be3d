package schemas

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// annotations say something to people and nothing to machines.
var annotations = []string{"title", "description", "examples", "$id", "$schema", "$comment", "default", "deprecated"}

// Breaking compares the event schemas of before with those of now and says what may break a reader of stored events.
// A type or version may be added, and an optional member may be added to an object. Everything else is breaking, also where it might not be.
func Breaking(before, now map[string][]byte) ([]string, error) {
	var found []string
	for _, file := range slices.Sorted(maps.Keys(before)) {
		name := strings.TrimSuffix(file, ".json")
		if now[file] == nil {
			found = append(found, name+" is gone: stored events keep their type and version for ever")
			continue
		}
		var c comparison
		if err := json.Unmarshal(before[file], &c.before); err != nil {
			return nil, fmt.Errorf("schemas: %s as it was: %w", file, err)
		}
		if err := json.Unmarshal(now[file], &c.now); err != nil {
			return nil, fmt.Errorf("schemas: %s: %w", file, err)
		}
		c.compare(name, c.before, c.now, nil)
		found = append(found, c.found...)
	}
	return found, nil
}

type comparison struct {
	before, now map[string]any // whole documents, for their $defs
	found       []string
}

func (c *comparison) sayf(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

// compare walks two schemas side by side; within holds the pairs of references being compared, so that recursive types end.
func (c *comparison) compare(at string, before, now map[string]any, within []string) {
	refBefore, isRef := before["$ref"].(string)
	refNow, isRefNow := now["$ref"].(string)
	if isRef || isRefNow {
		pair := refBefore + " " + refNow
		if slices.Contains(within, pair) {
			return
		}
		c.compare(at, resolve(c.before, before), resolve(c.now, now), append(slices.Clone(within), pair))
		return
	}
	for _, keyword := range keywords(before, now) {
		was, is := before[keyword], now[keyword]
		switch keyword {
		case "properties":
			c.properties(at, object(was), object(is), within)
		case "required":
			c.required(at, list(was), list(is))
		case "items", "additionalProperties":
			if a, b := object(was), object(is); a != nil && b != nil {
				c.compare(at+"[]", a, b, within)
				continue
			}
			fallthrough
		default:
			if !reflect.DeepEqual(was, is) {
				c.sayf("%s: %s was %s, is %s", at, keyword, show(was), show(is))
			}
		}
	}
}

func (c *comparison) properties(at string, before, now map[string]any, within []string) {
	for _, name := range slices.Sorted(maps.Keys(before)) {
		was, is := object(before[name]), object(now[name])
		if is == nil {
			c.sayf("%s.%s is gone", at, name)
		} else if was != nil {
			c.compare(at+"."+name, was, is, within)
		}
	}
}

func (c *comparison) required(at string, before, now []string) {
	for _, name := range now {
		if !slices.Contains(before, name) {
			c.sayf("%s.%s is required now: stored events may lack it", at, name)
		}
	}
	for _, name := range before {
		if !slices.Contains(now, name) {
			c.sayf("%s.%s is optional now: readers rely on it", at, name)
		}
	}
}

func resolve(doc, schema map[string]any) map[string]any {
	ref, isRef := schema["$ref"].(string)
	if !isRef {
		return schema
	}
	target := object(object(doc["$defs"])[strings.TrimPrefix(ref, "#/$defs/")])
	if target == nil {
		return map[string]any{"$ref to nothing": ref}
	}
	merged := maps.Clone(target) // what stands beside the $ref counts too
	for k, v := range schema {
		if k != "$ref" {
			merged[k] = v
		}
	}
	return merged
}

func keywords(before, now map[string]any) []string {
	all := map[string]bool{}
	for _, m := range []map[string]any{before, now} {
		for k := range m {
			if k != "$defs" && !slices.Contains(annotations, k) {
				all[k] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

func list(v any) (names []string) {
	items, _ := v.([]any)
	for _, item := range items {
		names = append(names, fmt.Sprint(item))
	}
	return names
}

func show(v any) string {
	if v == nil {
		return "not set"
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(text)
}
