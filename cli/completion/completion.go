// Package completion prints what makes a shell complete skiff's commands and flags.
package completion

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Each script asks the program itself for what can follow, by the flag that urfave/cli answers.
const (
	bash = `_skiff() {
  local words
  words=("${COMP_WORDS[@]:0:$COMP_CWORD}")
  COMPREPLY=($(compgen -W "$("${words[@]}" ${COMP_WORDS[COMP_CWORD]:+$([[ ${COMP_WORDS[COMP_CWORD]} == -* ]] && echo "${COMP_WORDS[COMP_CWORD]}")} --generate-bash-completion 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _skiff skiff
`
	zsh = `#compdef skiff
_skiff() {
  local -a opts
  local cur=${words[-1]}
  if [[ "$cur" == "-"* ]]; then
    opts=("${(@f)$(${words[@]:0:#words[@]-1} ${cur} --generate-bash-completion 2>/dev/null)}")
  else
    opts=("${(@f)$(${words[@]:0:#words[@]-1} --generate-bash-completion 2>/dev/null)}")
  fi
  if [[ "${opts[1]}" != "" ]]; then
    _describe 'values' opts
  else
    _files
  fi
}
compdef _skiff skiff
`
)

// Command is skiff completion.
func Command(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "completion", Usage: "Output shell completion code for the specified shell (bash, zsh or fish)", ArgsUsage: "SHELL",
		Action: func(c *cli.Context) error {
			script, err := script(c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(env.Out, script)
			return err
		},
	},
		"source <(skiff completion bash)",
		"skiff completion zsh > \"${fpath[1]}/_skiff\"",
		"skiff completion fish > ~/.config/fish/completions/skiff.fish")
}

func script(c *cli.Context) (string, error) {
	switch shell := c.Args().First(); shell {
	case "bash":
		return bash, nil
	case "zsh":
		return zsh, nil
	case "fish":
		return c.App.ToFishCompletion()
	case "":
		return "", command.UsageErrorf("completion", "shell not specified")
	default:
		return "", fmt.Errorf("Unsupported shell type %q.", shell)
	}
}
