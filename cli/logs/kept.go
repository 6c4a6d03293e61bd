package logs

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/cli/pods"
)

// kept prints what the daemon has kept of the log of a job whose pods are gone. Other clusters, and a job
// of which nothing has been kept, have but the error.
func (l *lister) kept(ctx context.Context, none *pods.NoPodsError) error {
	catalog, err := l.client.Catalog()
	if err != nil {
		return err
	}
	if none.Of.Mapping.GroupVersionKind.Kind != "Job" || !catalog.Serves("batch/v1", "jobs/log") {
		return none
	}
	options := l.options.pod
	options.Follow = false // it has ended
	body, err := openAt(ctx, l.client, none.Of.Ref, l.container, options)
	if apierrors.IsNotFound(err) {
		return none
	}
	if err != nil {
		return err
	}
	defer body.Close()
	fmt.Fprintf(l.env.Err, "The pods of %s have been deleted; this is what was kept of the last one's log\n", none.Of.Ref)
	return newWriter(l.env.Streams, false, false).Lines(Source{}, body)
}
