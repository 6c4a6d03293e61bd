package up

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// change is a field with two values; nil is that of a field that is not set.
type change struct {
	// path is as upstream writes it, except that the items of a list with names go by them:
	// spec.template.spec.containers[main].image.
	path     string
	from, to any
}

// changes are the fields in which two values differ, in the order of their paths.
func changes(path string, from, to any) []change {
	if reflect.DeepEqual(from, to) {
		return nil
	}
	if a, b, ok := both[map[string]any](from, to); ok {
		return eachChange(a, b, func(key string) string { return fieldPath(path, key) })
	}
	if a, b, ok := both[[]any](from, to); ok {
		return eachChange(byName(a, b), byName(b, a), func(key string) string { return path + "[" + key + "]" })
	}
	return []change{{path: path, from: from, to: to}}
}

func both[T any](from, to any) (a, b T, ok bool) {
	a, first := from.(T)
	b, second := to.(T)
	return a, b, first && second
}

func eachChange(from, to map[string]any, path func(key string) string) []change {
	keys := maps.Clone(from)
	maps.Copy(keys, to)
	var out []change
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		out = append(out, changes(path(key), from[key], to[key])...)
	}
	return out
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func fieldPath(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + key + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// byName are the items of a list under their names, or under their indexes where an item of it or
// of the list that it is compared with has no name of its own.
func byName(list, other []any) map[string]any {
	names, otherNames := itemNames(list), itemNames(other)
	out := make(map[string]any, len(list))
	for i, item := range list {
		key := fmt.Sprint(i)
		if names != nil && otherNames != nil {
			key = names[i]
		}
		out[key] = item
	}
	return out
}

// itemNames are the names of a list's items; nil unless each has one, and each another.
func itemNames(list []any) []string {
	out := make([]string, 0, len(list))
	for _, item := range list {
		m, _ := item.(map[string]any)
		name, ok := m["name"].(string)
		if !ok || slices.Contains(out, name) {
			return nil
		}
		out = append(out, name)
	}
	return out
}

// longestValue is how many characters of a value are shown.
const longestValue = 60

func (c change) String() string {
	return fmt.Sprintf("%s from %s to %s", c.path, valueText(c.from), valueText(c.to))
}

func valueText(v any) string {
	if v == nil {
		return "nothing"
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if text := []rune(string(raw)); len(text) > longestValue {
		return string(text[:longestValue]) + "…"
	}
	return string(raw)
}

var brackets = regexp.MustCompile(`\[[^\]]*\]`)

// within reports whether a field is the named one or part of it; [*] stands for any item.
func (c change) within(field string) bool {
	path, field := brackets.ReplaceAllString(c.path, "[*]"), brackets.ReplaceAllString(field, "[*]")
	rest, ok := strings.CutPrefix(path, field)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}
