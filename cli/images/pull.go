package images

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/docker/go-units"
	"github.com/urfave/cli/v2"
	"golang.org/x/sync/errgroup"
	"k8s.io/utils/clock"

	"skiff/cli/command"
	"skiff/cli/up"
	"skiff/daemon/config"
)

// Pull is skiff pull.
func Pull(env *command.Env) *cli.Command {
	return command.New(cli.Command{
		Name: "pull", Usage: "Fetch the images of workloads from their registries", ArgsUsage: arguments,
		Description: whichOnes + "\nImages that are never to be pulled (imagePullPolicy: Never) are left out.",
		Flags: command.Flags(up.SourceFlags("fetch the images of"),
			&cli.StringFlag{Name: "policy", Value: "always", Usage: "`WHICH` to fetch: always (all, for newer versions) or missing (those that the engine lacks)"},
			&cli.BoolFlag{Name: "ignore-pull-failures", Usage: "go on, and succeed, if an image can not be fetched"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "say nothing of the progress"}),
		Action: func(c *cli.Context) error { return pull(c, env) },
	}, "skiff pull", "skiff pull web --policy=missing")
}

// atOnce is how many images are fetched side by side; the engine fetches the layers of each side by side
// too.
const atOnce = 3

// puller fetches images and says how far it is.
type puller struct {
	on      config.Images
	clock   clock.PassiveClock
	missing bool
	quiet   bool

	mu  sync.Mutex
	out io.Writer
}

func pull(c *cli.Context, env *command.Env) error {
	policy := c.String("policy")
	if policy != "always" && policy != "missing" {
		return fmt.Errorf("invalid --policy %q: want always or missing", policy)
	}
	all, err := uses(c, env)
	if err != nil {
		return err
	}
	on, err := engine(c, env)
	if err != nil {
		return err
	}
	defer on.Close() //nolint:errcheck // every image has been waited for
	p := &puller{on: on, clock: env.Clock, missing: policy == "missing", quiet: c.Bool("quiet"), out: env.Err}
	images, skipped := distinct(all)
	for _, image := range skipped {
		p.say("%s: never pulled (imagePullPolicy: Never)", image)
	}
	errs := make([]error, len(images))
	var group errgroup.Group
	group.SetLimit(atOnce)
	for i, image := range images {
		group.Go(func() error {
			errs[i] = p.one(c.Context, image)
			return nil
		})
	}
	_ = group.Wait()
	err = command.Join(errs...)
	if err != nil && c.Bool("ignore-pull-failures") && c.Context.Err() == nil {
		message, _ := command.Explain(err)
		fmt.Fprint(env.Err, message)
		return nil
	}
	return err
}

func (p *puller) say(format string, a ...any) {
	if p.quiet {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, format+"\n", a...)
}

// often is how much time lies between two lines about one image.
const often = 2 * time.Second

func (p *puller) one(ctx context.Context, image string) error {
	before, there, err := p.on.Describe(ctx, image)
	if err != nil {
		return err
	}
	if there && p.missing {
		p.say("%s: there already", image)
		return nil
	}
	p.say("%s: pulling", image)
	last := p.clock.Now()
	err = p.on.Pull(ctx, image, func(_ string, current, total int64) {
		if now := p.clock.Now(); total > 0 && now.Sub(last) >= often {
			last = now
			p.say("%s: %s of %s", image, units.HumanSize(float64(current)), units.HumanSize(float64(total)))
		}
	})
	if err != nil {
		return err
	}
	now, _, err := p.on.Describe(ctx, image)
	switch {
	case err != nil:
		return err
	case there && now.ID == before.ID:
		p.say("%s: up to date", image)
	default:
		p.say("%s: pulled", image)
	}
	return nil
}
