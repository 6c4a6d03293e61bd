package up

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"

	"skiff/cli/client"
	"skiff/cli/diagnosis"
	"skiff/cli/events"
)

// incidents are what the events in some namespaces say about pods. Who may not look at events does
// without.
type incidents struct {
	client     *client.Client
	clock      clock.WithTicker
	namespaces []string
	// changed is called when something new is known.
	changed func()

	mu sync.Mutex
	known
}

// known is what events have said.
type known struct {
	// warnings are the newest about each pod.
	warnings map[types.UID]incident
	// unhealthy are the newest failures of each container's probes, and kills when, and why, it was
	// killed.
	unhealthy map[container]incident
	kills     map[container][]incident
}

// incident is what an event says, and when that was by the server's clock.
type incident struct {
	at     time.Time
	reason string
	text   string
}

func newIncidents(c *client.Client, clk clock.WithTicker, workloads []client.Ref, changed func()) *incidents {
	in := &incidents{client: c, clock: clk, changed: changed, known: known{warnings: map[types.UID]incident{}, unhealthy: map[container]incident{}, kills: map[container][]incident{}}}
	for _, w := range workloads {
		if !slices.Contains(in.namespaces, w.Namespace) {
			in.namespaces = append(in.namespaces, w.Namespace)
		}
	}
	return in
}

// Run follows the events until ctx ends.
func (in *incidents) Run(ctx context.Context) error {
	catalog, err := in.client.Catalog()
	if err != nil {
		return err
	}
	mapping, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("Event"))
	if err != nil {
		return nil //nolint:nilerr // a server without events has none to tell
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, namespace := range in.namespaces {
		group.Go(func() error {
			in.keep(ctx, client.Ref{Mapping: mapping, Namespace: namespace})
			return nil
		})
	}
	return group.Wait()
}

// keep follows one namespace, and again after a pause when that fails.
func (in *incidents) keep(ctx context.Context, r client.Ref) {
	for ctx.Err() == nil {
		_, err := in.client.Observe(ctx, r, client.Observer{
			Listed: func(items []unstructured.Unstructured) (bool, error) {
				for i := range items {
					in.note(&items[i])
				}
				return false, nil
			},
			Changed: func(t watch.EventType, u *unstructured.Unstructured) (bool, error) {
				if t != watch.Deleted {
					in.note(u)
				}
				return false, nil
			},
		})
		if err == nil {
			continue
		}
		timer := in.clock.NewTimer(again)
		select {
		case <-ctx.Done():
			timer.Stop()
		case <-timer.C():
		}
	}
}

func (in *incidents) note(u *unstructured.Unstructured) {
	e := &corev1.Event{}
	if client.Into(u, e) != nil || e.InvolvedObject.Kind != "Pod" {
		return
	}
	in.mu.Lock()
	in.known.note(e)
	in.mu.Unlock()
	in.changed()
}

// note takes down what an event says.
func (k *known) note(e *corev1.Event) {
	i := incident{at: events.Last(e), reason: e.Reason, text: diagnosis.OneLine(e.Message)}
	pod := e.InvolvedObject.UID
	if before := k.warnings[pod]; e.Type == corev1.EventTypeWarning && !i.at.Before(before.at) && (i.reason != backOff || before.reason == "") {
		k.warnings[pod] = i
	}
	c := container{pod: pod, name: containerOf(e.InvolvedObject.FieldPath)}
	switch {
	case c.name == "":
	case e.Reason == "Unhealthy":
		k.unhealthy[c] = i
	case e.Reason == "Killing":
		if probe := probeThatKills(i.text); probe != "" {
			i.text = probe + " probe failed"
			if why := k.unhealthy[c].text; strings.HasPrefix(lowered(why), i.text) {
				i.text = lowered(why)
			}
		} else {
			i.text = ""
		}
		k.kills[c] = append(slices.Clone(k.kills[c]), i)
	}
}

// backOff is the reason of the warning that a container is not restarted yet: the one before it says why.
const backOff = "BackOff"

// containerOf is the container that a field path is about: spec.containers{NAME}.
func containerOf(fieldPath string) string {
	_, rest, _ := strings.Cut(fieldPath, "{")
	return strings.TrimSuffix(rest, "}")
}

// probeThatKills is the probe for whose failure a container is killed, as the kubelet words it; "" for
// another reason.
func probeThatKills(message string) string {
	for _, probe := range []string{"liveness", "startup"} {
		if strings.Contains(message, "failed "+probe+" probe") {
			return probe
		}
	}
	return ""
}

// snapshot is what is known by now.
func (in *incidents) snapshot() known {
	in.mu.Lock()
	defer in.mu.Unlock()
	return known{warnings: maps.Clone(in.warnings), unhealthy: maps.Clone(in.unhealthy), kills: maps.Clone(in.kills)}
}

// causeOf is why a container was killed that ran from one time to another; "" if it was not, as far as is
// known.
func (k known) causeOf(c container, began, ended time.Time) string {
	for _, i := range slices.Backward(k.kills[c]) {
		if !i.at.Before(began.Truncate(precision)) && !i.at.After(ended.Add(precision)) {
			return i.text
		}
	}
	return ""
}
