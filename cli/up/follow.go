package up

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"skiff/cli/client"
	"skiff/cli/events"
	"skiff/cli/logs"
	"skiff/cli/terminal"
)

// follower writes the logs of every container as long as it runs, those that are started later too.
type follower struct {
	client *client.Client
	writer *logs.Writer
	group  *errgroup.Group
	// followed are the container instances whose logs are written or have been.
	followed map[instance]bool
	writing  sync.WaitGroup
}

// instance is one run of a container: a restart makes another.
type instance struct {
	source logs.Source
	id     string
}

func newFollower(c *client.Client, s terminal.Streams, group *errgroup.Group) *follower {
	prefix := logs.Coloured(s)
	return &follower{client: c, group: group, writer: logs.NewWriter(s.Out, prefix), followed: map[instance]bool{}}
}

// update begins to follow what has started since the last time.
func (f *follower) update(ctx context.Context, all []*corev1.Pod) {
	for _, p := range all {
		for _, s := range statuses(p) {
			i := instance{source: logs.Source{Namespace: p.Namespace, Pod: p.Name, Container: s.Name}, id: s.ContainerID}
			began := s.State.Running != nil || s.State.Terminated != nil
			if !began || i.id == "" || f.followed[i] {
				continue
			}
			f.followed[i] = true
			f.writing.Add(1)
			f.group.Go(func() error {
				defer f.writing.Done()
				f.write(ctx, i.source)
				return nil
			})
		}
	}
}

// drain waits until the logs of containers that have ended are written.
func (f *follower) drain() { f.writing.Wait() }

// write follows one log to its end. One that cannot be read is no reason to end: its container may be gone.
func (f *follower) write(ctx context.Context, s logs.Source) {
	body, err := logs.Open(ctx, f.client, s, corev1.PodLogOptions{Follow: true})
	if err != nil {
		return
	}
	defer body.Close()
	_ = f.writer.Lines(s, body) // ends with the container, or with ctx
}

// explain says why something cannot come up: what and why, the last warning about it, and the end of its log.
func explain(ctx context.Context, c *client.Client, f failure) string {
	text := fmt.Sprintf("error: %s cannot come up: %s\n", f.what, f.why)
	if f.pod == nil {
		return text
	}
	if reason, message := lastWarning(ctx, c, f.pod); message != "" && !strings.Contains(f.why, message) {
		text += "  event: " + joinReason(reason, message) + "\n"
	}
	if f.container == "" {
		return text
	}
	s := logs.Source{Namespace: f.pod.Namespace, Pod: f.pod.Name, Container: f.container}
	for _, l := range strings.Split(strings.TrimSpace(logs.Tail(ctx, c, s, tailLines, f.crashed)), "\n") {
		if l != "" {
			text += "  " + f.container + " | " + l + "\n"
		}
	}
	return text
}

// tailLines is how much of a crashed container's log is shown.
const tailLines = 5

// lastWarning is the newest warning about a pod; "" when there is none, or none can be had.
func lastWarning(ctx context.Context, c *client.Client, p *corev1.Pod) (reason, message string) {
	catalog, err := c.Catalog()
	if err != nil {
		return "", ""
	}
	m, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("Event"))
	if err != nil {
		return "", ""
	}
	all, err := client.ListOf[corev1.Event](ctx, c, client.Ref{Mapping: m, Namespace: p.Namespace},
		client.ListOptions{Fields: "involvedObject.name=" + p.Name + ",involvedObject.uid=" + string(p.UID) + ",type=Warning"})
	if err != nil || len(all) == 0 {
		return "", ""
	}
	last := slices.MaxFunc(all, func(a, b corev1.Event) int { return events.Last(&a).Compare(events.Last(&b)) })
	return last.Reason, oneLine(last.Message)
}
