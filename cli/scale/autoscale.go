package scale

import (
	"errors"

	"github.com/urfave/cli/v2"

	"skiff/cli/command"
)

// Autoscale is skiff autoscale, which only says that it is not supported: an autoscaler that nobody
// acts on would be worse than none.
func Autoscale() *cli.Command {
	return command.New(cli.Command{
		Name: "autoscale", Usage: "Not supported", Hidden: true, SkipFlagParsing: true,
		Action: func(*cli.Context) error {
			return errors.New("skiff has no autoscaler: it does not measure what pods use; set their number with skiff scale")
		},
	}, "skiff scale deployment/kubia --replicas=5     # instead")
}
