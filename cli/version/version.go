// Package version prints the versions of the program and the server: skiff version.
package version

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
	"k8s.io/apimachinery/pkg/version"
	"sigs.k8s.io/yaml"

	"skiff/cli/command"
)

// versions is what version prints as JSON or YAML.
type versions struct {
	Client clientVersion `json:"clientVersion"`
	Server *version.Info `json:"serverVersion,omitempty"`
}

type clientVersion struct {
	GitVersion string `json:"gitVersion"`
	GitCommit  string `json:"gitCommit,omitempty"`
	GoVersion  string `json:"goVersion"`
	Platform   string `json:"platform"`
}

// Command is skiff version.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "version", Usage: "Print the client and server version information",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "client", Usage: "print the client's version only"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FORMAT` of the output: yaml or json"},
		},
		Action: func(c *cli.Context) error { return run(c, env) },
	}, "skiff version", "skiff version --client -o json")
}

func run(c *cli.Context, env *command.Env) error {
	format := c.String("output")
	if format != "" && format != "yaml" && format != "json" {
		return errors.New("--output must be 'yaml' or 'json'")
	}
	v := versions{Client: own()}
	var serverErr error
	if !c.Bool("client") {
		v.Server, serverErr = server(c, env)
	}
	switch format {
	case "json":
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		fmt.Fprintln(env.Out, string(data))
	case "yaml":
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		fmt.Fprintln(env.Out, string(data))
	default:
		fmt.Fprintf(env.Out, "Client Version: %s\n", v.Client.GitVersion)
		if v.Server != nil {
			fmt.Fprintf(env.Out, "Server Version: %s\n", v.Server.GitVersion)
		}
	}
	return serverErr
}

// own is this program's version, as the Go toolchain wrote it into the binary.
func own() clientVersion {
	v := clientVersion{GitVersion: "devel", GoVersion: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if m := info.Main.Version; m != "" && m != "(devel)" {
		v.GitVersion = m
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.GitCommit = s.Value
		}
	}
	return v
}

func server(c *cli.Context, env *command.Env) (*version.Info, error) {
	cl, err := env.Connect(c)
	if err != nil {
		return nil, err
	}
	data, err := cl.Text(c.Context, "/version", nil)
	if err != nil {
		return nil, err
	}
	v := &version.Info{}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, fmt.Errorf("reading the server's version: %w", err)
	}
	return v, nil
}

// Own is the program's version in a word.
func Own() string { return own().GitVersion }
