package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
	yaml "go.yaml.in/yaml/v3"
)

// ConfigVar is the environment variable that names the user's configuration file.
const ConfigVar = "SKIFF_CONFIG"

// ConfigFile is where the user's configuration is: SKIFF_CONFIG, or skiff/config.yaml in the XDG configuration
// home; "" where there is no such place.
func ConfigFile(lookup func(string) (string, bool)) string {
	getenv := func(name string) string { v, _ := lookup(name); return v }
	if named := getenv(ConfigVar); named != "" {
		return named
	}
	if home := getenv("XDG_CONFIG_HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, "skiff", "config.yaml")
	}
	for _, name := range []string{"HOME", "USERPROFILE"} {
		if home := getenv(name); home != "" {
			return filepath.Join(home, ".config", "skiff", "config.yaml")
		}
	}
	return ""
}

// Part are the flags that a part of the configuration file sets.
type Part struct {
	// Flags are those of one or several commands.
	Flags [][]cli.Flag
	// AsGiven are the flags of which a context's IsSet says that they were given where the file sets them, as it
	// says of variables: those for which no default stands for not being given. A setting is a default otherwise.
	AsGiven []string
}

// Configure makes what the configuration file says the defaults of flags. The command line and the environment
// take precedence. A file that does not exist says nothing. The parts have the keys that they have in the file; that
// of what stands outside of them is "".
func Configure(path string, parts map[string]Part) error {
	if path == "" {
		return nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading skiff's configuration: %w", err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(raw, &document); err != nil {
		return fmt.Errorf("reading skiff's configuration %s: %w", path, err)
	}
	if len(document.Content) == 0 {
		return nil
	}
	return configuration{path, parts}.read(document.Content[0], "")
}

type configuration struct {
	path  string
	parts map[string]Part
}

func (c configuration) at(n *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", c.path, n.Line, fmt.Errorf(format, args...))
}

// read reads the file or one of its parts.
func (c configuration) read(n *yaml.Node, part string) error {
	if n.Kind != yaml.MappingNode {
		return c.at(n, "want settings, as in namespace: shop")
	}
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if _, known := c.parts[key.Value]; known && part == "" && key.Value != "" {
			if err := c.read(value, key.Value); err != nil {
				return err
			}
			continue
		}
		if err := c.set(part, key, value); err != nil {
			return err
		}
	}
	return nil
}

// set sets the flags of a name.
func (c configuration) set(part string, key, value *yaml.Node) error {
	found := false
	for _, flags := range c.parts[part].Flags {
		for _, f := range flags {
			_, isSet := inside(f)
			if f.Names()[0] != key.Value || isSet == nil {
				continue
			}
			found = true
			if err := preset(f, value); err != nil {
				return c.at(value, "%s: %w", key.Value, err)
			}
			*isSet = *isSet || slices.Contains(c.parts[part].AsGiven, key.Value)
		}
	}
	if !found {
		of := "skiff"
		if part != "" {
			of += " " + part
		}
		return c.at(key, "unknown setting %q: settings are the long flags of %s, without their dashes", key.Value, of)
	}
	return nil
}

// preset makes a value a flag's default.
func preset(f cli.Flag, value *yaml.Node) (err error) {
	if many, ok := f.(*cli.StringSliceFlag); ok {
		var all []string
		if value.Kind == yaml.ScalarNode {
			all = []string{value.Value}
		} else if err := value.Decode(&all); err != nil {
			return errors.New("want a list of words")
		}
		many.Value = cli.NewStringSlice(all...)
		return nil
	}
	if value.Kind != yaml.ScalarNode {
		return errors.New("want one value")
	}
	text := value.Value
	switch f := f.(type) {
	case OptionalFlag:
		f.Value = text
	case *cli.StringFlag:
		f.Value = text
	case *cli.BoolFlag:
		f.Value, err = strconv.ParseBool(text)
	case *cli.IntFlag:
		f.Value, err = strconv.Atoi(text)
	case *cli.Int64Flag:
		f.Value, err = strconv.ParseInt(text, 10, 64)
	case *cli.UintFlag:
		var n uint64
		n, err = strconv.ParseUint(text, 10, strconv.IntSize)
		f.Value = uint(n)
	case *cli.Float64Flag:
		f.Value, err = strconv.ParseFloat(text, 64)
	case *cli.DurationFlag:
		f.Value, err = time.ParseDuration(text)
	}
	return err
}
