package portforward

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/portforward"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/pods"
	"skiff/cli/resource"
	"skiff/manifests/podfacts"
)

// forwarder forwards ports to a pod of its target, and to another one when that is gone.
type forwarder struct {
	env    *command.Env
	client *client.Client
	finder pods.Finder
	target resource.Object
	// wanted are the ports as the user named them, ports what they are for the present pod.
	wanted, addresses, ports []string
}

// run forwards until ctx ends; to a pod that was named itself, until that is gone.
func (f *forwarder) run(ctx context.Context, pod *corev1.Pod) error {
	for {
		why, err := f.forward(ctx, pod)
		if err != nil || ctx.Err() != nil || f.target.Mapping.GroupVersionKind.Kind == "Pod" {
			return err
		}
		fmt.Fprintf(f.env.Err, "pod/%s %s: waiting for another one of %s\n", pod.Name, why, f.target.Ref)
		if pod, err = f.next(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := f.renew(pod); err != nil {
			return err
		}
		fmt.Fprintf(f.env.Err, "forwarding to pod/%s\n", pod.Name)
	}
}

// forward forwards to one pod until ctx ends, the pod goes or the connection to it is lost, and says which.
func (f *forwarder) forward(ctx context.Context, pod *corev1.Pod) (why string, err error) {
	dialer, err := dial(f.client, pod)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := make(chan struct{})
	fw, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, f.addresses, f.ports, ready, f.env.Out, f.env.Err)
	if err != nil {
		return "", err
	}
	var group errgroup.Group
	if f.target.Mapping.GroupVersionKind.Kind != "Pod" {
		group.Go(func() error {
			defer cancel()
			why = f.gone(ctx, pod)
			return nil
		})
	}
	group.Go(func() error {
		select {
		case <-ready:
			return f.keep(fw)
		case <-ctx.Done():
			return nil
		}
	})
	err = fw.ForwardPorts()
	if errors.Is(err, portforward.ErrLostConnectionToPod) && f.target.Mapping.GroupVersionKind.Kind != "Pod" {
		err = nil
	}
	if ctx.Err() != nil {
		err = nil
	}
	cancel()
	err = errors.Join(err, group.Wait())
	if why == "" {
		why = "does not answer any more"
	}
	return why, err
}

// keep remembers the local ports that were free and have been taken.
func (f *forwarder) keep(fw *portforward.PortForwarder) error {
	taken, err := fw.GetPorts()
	if err != nil {
		return err
	}
	for i, p := range taken {
		f.ports[i] = fmt.Sprintf("%d:%d", p.Local, p.Remote)
	}
	return nil
}

// gone waits until a pod ends or is to end, and says so; "" when ctx ends first.
func (f *forwarder) gone(ctx context.Context, pod *corev1.Pod) (why string) {
	r, err := pods.Ref(f.client, pod.Namespace, pod.Name)
	if err != nil {
		return ""
	}
	err = f.client.Until(ctx, r, func(u *unstructured.Unstructured) (bool, error) {
		now := &corev1.Pod{}
		switch {
		case u == nil || u.GetUID() != pod.UID:
			why = "is gone"
		case client.Into(u, now) != nil:
			return false, nil
		case podfacts.Terminating(now):
			why = "terminates"
		case podfacts.Terminal(now):
			why = "has ended"
		}
		return why != "", nil
	})
	if apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) {
		<-ctx.Done() // who may not watch hears of it when a connection fails
	}
	return why
}

// pause is between two looks for another pod.
const pause = 250 * time.Millisecond

// next waits for a ready pod of the target, which may be the last one if that only lost the connection.
func (f *forwarder) next(ctx context.Context) (*corev1.Pod, error) {
	for {
		all, err := f.finder.All(ctx, f.target)
		if err != nil {
			return nil, err
		}
		for i := range all {
			if p := &all[i]; podfacts.Ready(p) && !podfacts.Terminating(p) {
				return p, nil
			}
		}
		again := f.env.Clock.NewTimer(pause)
		select {
		case <-ctx.Done():
			again.Stop()
			return nil, ctx.Err()
		case <-again.C():
		}
	}
}

// renew finds the ports of another pod; the local ones stay.
func (f *forwarder) renew(pod *corev1.Pod) error {
	ports, err := translate(f.wanted, f.target, pod)
	if err != nil {
		return err
	}
	for i, text := range ports {
		local, _, _ := strings.Cut(f.ports[i], ":")
		_, remote, both := strings.Cut(text, ":")
		if !both {
			remote = text
		}
		f.ports[i] = local + ":" + remote
	}
	return nil
}
