package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"
)

// settingsOf runs a command line on a program whose flags the file has set, and returns what they are then.
func settingsOf(t *testing.T, file string, argv ...string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	var said string
	app := &cli.App{Name: "skiff", Flags: FromEnvironment([]cli.Flag{&cli.StringFlag{Name: "namespace"}, &cli.StringSliceFlag{Name: "as-group"}})}
	up := &cli.Command{Name: "up", Flags: FromEnvironment([]cli.Flag{
		&cli.BoolFlag{Name: "detach"}, &cli.DurationFlag{Name: "timeout"}, &cli.UintFlag{Name: "front-door"},
	})}
	up.Action = func(c *cli.Context) error {
		words := []string{c.String("namespace"), strings.Join(c.StringSlice("as-group"), "+")}
		if c.Bool("detach") {
			words = append(words, "detached")
		}
		if GivenNamespace(c) != "" {
			words = append(words, "here")
		}
		words = append(words, c.Duration("timeout").String())
		if c.IsSet("timeout") {
			words = append(words, "given")
		}
		said = strings.TrimSpace(strings.Join(words, " "))
		return nil
	}
	app.Commands = []*cli.Command{up}
	if err := Configure(path, map[string]Part{"": {Flags: [][]cli.Flag{app.Flags}}, "up": {Flags: [][]cli.Flag{up.Flags}, AsGiven: []string{"timeout"}}}); err != nil {
		return "", err
	}
	return said, app.RunContext(t.Context(), append([]string{"skiff"}, argv...))
}

func TestSettings(t *testing.T) {
	const file = "namespace: shop\nas-group: [a, b]\nup:\n  detach: true\n  timeout: 2m\n"
	for _, test := range []struct {
		name, file, variable, value string
		argv                        []string
		want                        string
	}{
		{"the file", file, "", "", []string{"up"}, "shop a+b detached 2m0s given"},
		{"a variable before the file", file, "SKIFF_NAMESPACE", "mine", []string{"up"}, "mine a+b detached here 2m0s given"},
		{"a flag before a variable", file, "SKIFF_NAMESPACE", "mine", []string{"--namespace", "hers", "up", "--timeout", "1s", "--detach=false"}, "hers a+b here 1s given"},
		{"one word for a list", "as-group: a", "", "", []string{"up"}, "a 0s"},
		{"nothing", "", "", "", []string{"up"}, "0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.variable != "" {
				t.Setenv(test.variable, test.value)
			}
			got, err := settingsOf(t, test.file, test.argv...)
			if err != nil || got != test.want {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestSettingsRefused(t *testing.T) {
	for file, want := range map[string]string{
		"namespace: shop\nnamespaces: x\n": `config.yaml:2: unknown setting "namespaces": settings are the long flags of skiff, without their dashes`,
		"up:\n  detach: true\n  dtach: x":  `config.yaml:3: unknown setting "dtach": settings are the long flags of skiff up, without their dashes`,
		"up:\n  timeout: soon":             `config.yaml:2: timeout: time: invalid duration "soon"`,
		"up:\n  detach: maybe":             `config.yaml:2: detach: strconv.ParseBool: parsing "maybe": invalid syntax`,
		"namespace: [a]":                   `config.yaml:1: namespace: want one value`,
		"up: true":                         `config.yaml:1: want settings, as in namespace: shop`,
		"- a":                              `config.yaml:1: want settings, as in namespace: shop`,
		"a: b: c":                          `mapping values are not allowed`,
	} {
		if _, err := settingsOf(t, file, "up"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", file, err, want)
		}
	}
}

func TestConfigFile(t *testing.T) {
	for _, test := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"SKIFF_CONFIG": "mine.yaml", "HOME": "/h"}, "mine.yaml"},
		{map[string]string{"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "/c/skiff/config.yaml"},
		{map[string]string{"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, "/h/.config/skiff/config.yaml"},
		{nil, ""},
	} {
		if got := ConfigFile(func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }); got != test.want {
			t.Errorf("%v: %s, want %s", test.env, got, test.want)
		}
	}
}

func TestVariables(t *testing.T) {
	if got := Variable("front-door"); got != "SKIFF_FRONT_DOOR" {
		t.Error(got)
	}
	kept := &cli.DurationFlag{Name: "wait", EnvVars: []string{"OTHER"}, Value: time.Second}
	FromEnvironment([]cli.Flag{kept})
	if len(kept.EnvVars) != 1 || kept.EnvVars[0] != "OTHER" {
		t.Errorf("a flag's own variable became %v", kept.EnvVars)
	}
}
