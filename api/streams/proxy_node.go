package streams

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apiserver/pkg/registry/rest"
)

// NodeProxy serves the proxy subresource of nodes, behind which upstream has the kubelet's own API.
// Of that there are /pods, the pods bound to the node, /runningpods, those it has not finished with,
// and /healthz; the rest (logs, stats, metrics, run, …) is not found.
type NodeProxy struct {
	// Node returns an error for a node that there is not.
	Node func(ctx context.Context, name string) error
	// Pods are the pods bound to a node, read-only.
	Pods func(ctx context.Context, node string) []*corev1.Pod
	// Running are the pods that a node has not finished with; nil where nothing runs.
	Running func(node string) ([]*corev1.Pod, error)
}

var _ rest.Connecter = (*NodeProxy)(nil)

// kubeletPort is where upstream's kubelet listens.
const kubeletPort = "10250"

// New implements rest.Storage.
func (p *NodeProxy) New() runtime.Object { return &corev1.NodeProxyOptions{} }

// Destroy implements rest.Storage.
func (p *NodeProxy) Destroy() {}

// ConnectMethods implements rest.Connecter.
func (p *NodeProxy) ConnectMethods() []string { return proxyMethods() }

// NewConnectOptions implements rest.Connecter.
func (p *NodeProxy) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.NodeProxyOptions{}, true, "path"
}

// Connect implements rest.Connecter.
func (p *NodeProxy) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	o, ok := options.(*corev1.NodeProxyOptions)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("invalid options object: %#v", options))
	}
	_, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", id))
	}
	if err := p.Node(ctx, name); err != nil {
		return nil, err
	}
	if port != "" && port != kubeletPort {
		return nil, apierrors.NewForbidden(nodes(), id, fmt.Errorf("skiff reaches no other port of a node than the kubelet's (%s)", kubeletPort))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := strings.Trim(o.Path, "/")
		switch {
		case path == "pods" && r.Method == http.MethodGet:
			servePods(w, name, p.Pods(r.Context(), name), responder)
		case path == "runningpods" && r.Method == http.MethodGet && p.Running != nil:
			running, err := p.Running(name)
			if err != nil {
				responder.Error(err)
				return
			}
			servePods(w, name, running, responder)
		case path == "healthz" && r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			fmt.Fprint(w, "ok")
		default:
			refusal := apierrors.NewGenericServerResponse(http.StatusNotFound, strings.ToLower(r.Method), nodes(), name, "", 0, false)
			refusal.ErrStatus.Message += ": of the kubelet's API skiff serves /pods, /runningpods and /healthz"
			responder.Error(refusal)
		}
	}), nil
}

func nodes() schema.GroupResource { return schema.GroupResource{Resource: "nodes"} }

func servePods(w http.ResponseWriter, node string, pods []*corev1.Pod, responder rest.Responder) {
	list := corev1.PodList{TypeMeta: metav1.TypeMeta{Kind: "PodList", APIVersion: "v1"}, Items: []corev1.Pod{}}
	for _, pod := range pods {
		list.Items = append(list.Items, *pod)
	}
	raw, err := json.Marshal(list)
	if err != nil {
		responder.Error(apierrors.NewInternalError(fmt.Errorf("listing the pods of node %s: %w", node, err)))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(raw)
}
