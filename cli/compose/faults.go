package compose

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/xrash/smetrics"
)

// The loader's words for what is wrong. It names files by their full paths, keys by their paths in the file, and
// lines hardly ever.
var (
	validating  = regexp.MustCompile(`^validating (\S+):\s*`)
	unknownKey  = regexp.MustCompile(`^(\S+) false schema$`)
	unknownKeys = regexp.MustCompile(`^(\S*)\s*additional properties '([^']+)'.* not allowed$`)
	keyPath     = regexp.MustCompile(`\b(services|volumes|networks|configs|secrets|include|models)(\.[A-Za-z0-9_-]+)+`)
)

// explain words an error of the loader's for the one who has written the files: by name and line, and with what
// may have been meant.
func explain(err error, files []string) error {
	text := err.Error()
	for _, file := range files {
		text = strings.ReplaceAll(text, file, short(file))
	}
	at := readPositions(files)
	text = validating.ReplaceAllString(text, "")
	switch {
	case unknownKey.MatchString(text):
		return unknown(at, unknownKey.FindStringSubmatch(text)[1])
	case unknownKeys.MatchString(text):
		m := unknownKeys.FindStringSubmatch(text)
		return unknown(at, strings.TrimPrefix(m[1]+"."+m[2], "."))
	case text == "project name must not be empty":
		return errors.New("the folder's name, or that in the file, has no letter or digit that a project's name may have: choose one with --project")
	}
	if path := keyPath.FindString(text); path != "" && at.of(strings.Split(path, ".")...) != "" {
		return fmt.Errorf("%s: %s", at.of(strings.Split(path, ".")...), text)
	}
	if len(files) == 1 && !strings.Contains(text, filepath.Base(files[0])) {
		return fmt.Errorf("%s: %s", short(files[0]), text)
	}
	return errors.New(text)
}

// unknown is the error of a key that the format does not have.
func unknown(at positions, path string) error {
	keys := strings.Split(path, ".")
	text := fmt.Sprintf("%s: there is no such key", path)
	if meant := nearest(keys[len(keys)-1], keysBeside(keys)); meant != "" {
		text += "; " + meant + " is one"
	}
	if where := at.of(keys...); where != "" {
		text = where + ": " + text
	}
	return errors.New(text)
}

// keysBeside are the keys that there may be where the last one of a path is.
func keysBeside(path []string) []string {
	switch {
	case len(path) == 1:
		return []string{"name", "services", "networks", "volumes", "configs", "secrets", "include", "models"}
	case path[0] != "services":
		return nil
	case len(path) == 3:
		return sorted(serviceFields)
	case len(path) == 4 && path[2] == "build":
		return sorted(buildFields)
	case len(path) == 4 && path[2] == "deploy":
		return sorted(deployFields)
	case len(path) == 4 && path[2] == "healthcheck":
		return slices.Sorted(maps.Keys(fieldsOf(reflect.ValueOf(types.HealthCheckConfig{}))))
	}
	return nil
}

// nearest is the name that takes the fewest changes, two at most; "" if none is that near.
func nearest(name string, among []string) string {
	best, least := "", 3
	for _, candidate := range among {
		if n := smetrics.WagnerFischer(name, candidate, 1, 1, 1); n < least {
			best, least = candidate, n
		}
	}
	return best
}
