// Package completion completes command lines in shells: skiff completion prints a script for a shell, which
// then asks skiff itself what can follow.
package completion

import (
	_ "embed" // the scripts
	"fmt"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// The scripts hand over the words of the line. They write out what they get: a candidate and what it is, with
// a tab between. Where there is nothing, the shell completes names of files.
var (
	//go:embed bash.sh
	bash string
	//go:embed zsh.zsh
	zsh string
	//go:embed fish.fish
	fish string
	//go:embed powershell.ps1
	powershell string
)

// Command is skiff completion.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "completion", Usage: "Output shell completion code for the specified shell (bash, zsh, fish or powershell)", ArgsUsage: "SHELL",
		Description: "Commands, flags, kinds and the names of what there is are completed. Names come from the cluster that the line is about, if it\n" +
			"answers at once.",
		Action: func(c *cli.Context) error {
			script, err := script(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(env.Out, script)
			return err
		},
	},
		"source <(skiff completion bash)                     # in ~/.bashrc",
		"skiff completion zsh > \"${fpath[1]}/_skiff\"",
		"skiff completion fish > ~/.config/fish/completions/skiff.fish",
		"skiff completion powershell | Out-String | Invoke-Expression")
}

func script(c *cli.Context) (string, error) {
	switch shell := c.Args().First(); shell {
	case "bash":
		return bash, nil
	case "zsh":
		return zsh, nil
	case "fish":
		return fish, nil
	case "powershell", "pwsh":
		return powershell, nil
	case "":
		return "", command.UsageErrorf("completion", "shell not specified")
	default:
		return "", fmt.Errorf("Unsupported shell type %q.", shell)
	}
}
