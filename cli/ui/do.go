package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/command"
	"skiff/cli/rollout"
)

// order is something that the page asks for.
type order struct {
	Verb      string    `json:"verb"`
	Kind      string    `json:"kind"`
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
	Replicas  *int32    `json:"replicas"`
}

// kinds are those on which a verb works, by the names under which servers have them.
var kinds = map[string][]string{
	"restart": {"Deployment", "StatefulSet", "DaemonSet"},
	"scale":   {"Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"},
	"delete":  {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "Pod"},
}

// mostOrder is how long an order may be.
const mostOrder = 16 << 10

// do carries out an order. The answer to a failure is what the command line would say.
func (s *server) do(w http.ResponseWriter, r *http.Request) {
	var o order
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostOrder))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		http.Error(w, "reading the order: "+err.Error(), http.StatusBadRequest)
		return
	}
	ref, err := s.ref(o)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	done, err := s.carryOut(r.Context(), o, ref)
	if err != nil {
		message, _ := command.Explain(err)
		http.Error(w, strings.TrimSpace(message), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s %s", ref, done)
}

// ref is where the object of an order is served, if the order can be carried out on it.
func (s *server) ref(o order) (client.Ref, error) {
	if !slices.Contains(kinds[o.Verb], o.Kind) {
		return client.Ref{}, fmt.Errorf("%q is nothing that can be done to a %q", o.Verb, o.Kind)
	}
	if o.Name == "" || o.Namespace == "" {
		return client.Ref{}, fmt.Errorf("the order to %s a %s names none", o.Verb, o.Kind)
	}
	catalog, err := s.client.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Resource(o.Kind)
	return client.Ref{Mapping: m, Namespace: o.Namespace, Name: o.Name}, err
}

func (s *server) carryOut(ctx context.Context, o order, r client.Ref) (done string, err error) {
	switch o.Verb {
	case "restart":
		_, err = rollout.Restart(ctx, s.client, r, s.clock.Now())
		return "restarted", err
	case "scale":
		if o.Replicas == nil || *o.Replicas < 0 {
			return "", fmt.Errorf("the number of replicas must be 0 or more")
		}
		patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, *o.Replicas)
		_, err = s.client.Patch(ctx, r.WithSubresource("scale"), types.MergePatchType, patch, client.WriteOptions{})
		return fmt.Sprintf("scaled to %d", *o.Replicas), err
	}
	// Another object may have the name by now: what was looked at is deleted, or nothing.
	policy := metav1.DeletePropagationBackground
	_, err = s.client.Delete(ctx, r, &metav1.DeleteOptions{PropagationPolicy: &policy, Preconditions: &metav1.Preconditions{UID: &o.UID}})
	if apierrors.IsConflict(err) {
		return "", fmt.Errorf("%s is another one by now: %w", r, err)
	}
	return "deleted", err
}
