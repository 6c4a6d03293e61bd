package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/cli/command"
)

// again is the pause before a log that could not be opened is requested again.
const again = time.Second

// follow writes the logs of all sources at once until they end or ctx does. With ignoreErrors, a
// log that fails is reported and the others go on.
func (l *lister) follow(ctx context.Context, sources []Source, w *Writer) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sorted(sources) {
		group.Go(func() error {
			err := l.followOne(ctx, s, w)
			if err == nil || ctx.Err() != nil {
				return nil
			}
			if !l.ignoreErrors {
				return err
			}
			l.say(err)
			return nil
		})
	}
	return group.Wait()
}

func (l *lister) followOne(ctx context.Context, s Source, w *Writer) error {
	body, err := l.open(ctx, s)
	if err != nil {
		return err
	}
	defer body.Close()
	return w.Lines(s, body)
}

// open begins to follow a log. A request that the server refuses, for instance because the
// container has not started, is repeated until the patience runs out, as kubectl does; the reason
// is printed once.
func (l *lister) open(ctx context.Context, s Source) (io.ReadCloser, error) {
	deadline := l.env.Clock.NewTimer(l.patience)
	defer deadline.Stop()
	said := ""
	for {
		body, err := Open(ctx, l.client, s, l.options.pod)
		var refused apierrors.APIStatus
		if err == nil || l.ignoreErrors || !errors.As(err, &refused) {
			return body, err
		}
		if said != err.Error() {
			said = err.Error()
			l.say(err)
		}
		timer := l.env.Clock.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-deadline.C():
			timer.Stop()
			return nil, fmt.Errorf("the log of container %s in pod %s could not be followed within %s", s.Container, s.Pod, l.patience)
		case <-timer.C():
		}
	}
}

func (l *lister) say(err error) {
	text, _ := command.Explain(err)
	fmt.Fprint(l.env.Err, text)
}
