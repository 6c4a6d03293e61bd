// Package clitest is a small Kubernetes API server for tests of the command line: it stores
// objects, watches them and makes tables, and does nothing of its own accord. No production code
// imports it.
package clitest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// Kind is a kind that the server has.
type Kind struct {
	schema.GroupVersionKind
	Resource   string
	Short      []string
	Categories []string
	Cluster    bool
	Scale      bool
}

// Kinds are those the server begins with.
func Kinds() []Kind {
	core := func(kind, resource string, short ...string) Kind {
		return Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: kind}, Resource: resource, Short: short}
	}
	in := func(group, kind, resource string, short ...string) Kind {
		k := core(kind, resource, short...)
		k.Group = group
		return k
	}
	all := []Kind{
		core("Pod", "pods", "po"), core("ReplicationController", "replicationcontrollers", "rc"), core("Service", "services", "svc"),
		core("ConfigMap", "configmaps", "cm"), core("Secret", "secrets"), core("ServiceAccount", "serviceaccounts", "sa"), core("Event", "events", "ev"),
		core("Endpoints", "endpoints", "ep"), core("PersistentVolumeClaim", "persistentvolumeclaims", "pvc"), core("ResourceQuota", "resourcequotas", "quota"),
		core("LimitRange", "limitranges", "limits"), core("Namespace", "namespaces", "ns"), core("Node", "nodes", "no"),
		in("apps", "ReplicaSet", "replicasets", "rs"), in("apps", "Deployment", "deployments", "deploy"), in("apps", "DaemonSet", "daemonsets", "ds"),
		in("apps", "StatefulSet", "statefulsets", "sts"), in("apps", "ControllerRevision", "controllerrevisions"), in("batch", "Job", "jobs"), in("batch", "CronJob", "cronjobs", "cj"),
		in("scheduling.k8s.io", "PriorityClass", "priorityclasses", "pc"), in("discovery.k8s.io", "EndpointSlice", "endpointslices"),
		in("coordination.k8s.io", "Lease", "leases"), in("policy", "PodDisruptionBudget", "poddisruptionbudgets", "pdb"),
		in("networking.k8s.io", "Ingress", "ingresses", "ing"), in("networking.k8s.io", "IngressClass", "ingressclasses"),
		in("networking.k8s.io", "ServiceCIDR", "servicecidrs"), in("networking.k8s.io", "IPAddress", "ipaddresses", "ip"),
		in("example.org", "Gadget", "gadgets"),
	}
	for i := range all {
		switch all[i].Kind {
		case "Namespace", "Node", "PriorityClass", "ServiceCIDR", "IPAddress", "IngressClass":
			all[i].Cluster = true
		case "Pod", "Service":
			all[i].Categories = []string{"all"}
		case "ReplicationController", "ReplicaSet", "Deployment", "StatefulSet":
			all[i].Categories, all[i].Scale = []string{"all"}, true
		}
	}
	return all
}

// Server is the API server. Its fields are set before the first request.
type Server struct {
	URL   string
	Clock clock.PassiveClock
	// Version is what /version tells.
	Version string
	// Warn is sent as a warning with every write.
	Warn string
	// Refuse, when it returns an error, refuses a write: verb is create, update, patch or delete.
	Refuse func(verb string, obj *unstructured.Unstructured) error
	// Hidden are the resources that may not be listed or watched.
	Hidden []string
	// Before is called with each request before it is answered: what happens there has happened when
	// the answer is made.
	Before func(r *http.Request)
	// Logs are what each container has written, by "pod/container".
	Logs map[string]string
	// Subresources are served besides the usual ones, by their names ("pods/files").
	Subresources map[string]http.HandlerFunc
	// Waiting are the containers, by "pod/container", whose logs are refused as many times, because
	// they have not started.
	Waiting map[string]int

	mu              sync.Mutex
	kinds           []Kind
	objects         map[string]*unstructured.Unstructured // by kind, namespace and name
	version         int64
	history         []event
	changed         chan struct{}
	calls           []string
	watched         chan struct{}
	logsRead, asked int
	running         map[string][]types.UID
}

type event struct {
	kind    string
	kindOf  string
	version int64
	object  *unstructured.Unstructured
}

// New starts a server that ends with the test.
func New(t testing.TB, clk clock.PassiveClock) *Server {
	s := &Server{Clock: clk, Version: "v1.37.2+test", kinds: Kinds(), objects: map[string]*unstructured.Unstructured{}, changed: make(chan struct{}), Logs: map[string]string{}, running: map[string][]types.UID{},
		watched: make(chan struct{}, 1000)}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
	})
	s.URL = h.URL
	s.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "default"}})
	return s
}

// Serve adds a kind, for clients that ask later.
func (s *Server) Serve(k Kind) { s.kinds = append(s.kinds, k) }

// Put stores an object, made up of plain maps, as if a controller had written it.
func (s *Server) Put(content map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: content}
	k, ok := s.kindOf(u.GroupVersionKind())
	if !ok {
		panic("clitest: no such kind: " + u.GroupVersionKind().String())
	}
	if !k.Cluster && u.GetNamespace() == "" {
		u.SetNamespace("default")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(k, u)
}

// Change changes a stored object as if a controller did; fn gets a copy.
func (s *Server) Change(kind, name string, fn func(content map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kinds {
		if k.Kind != kind {
			continue
		}
		for _, u := range s.objects {
			if u.GetKind() == kind && u.GetName() == name {
				c := u.DeepCopy()
				fn(c.Object)
				s.write(k, c)
				return
			}
		}
	}
	panic("clitest: no " + kind + " " + name)
}

// Remove takes an object away.
func (s *Server) Remove(kind, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, u := range s.objects {
		if u.GetKind() == kind && u.GetName() == name {
			s.remove(key, u)
			return
		}
	}
}

// Get returns a copy of a stored object; nil when there is none.
func (s *Server) Get(kind, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Peek(kind, name)
}

// Peek is a stored object, for Refuse: unlike Get it may be called from there.
func (s *Server) Peek(kind, name string) *unstructured.Unstructured {
	for _, u := range s.objects {
		if u.GetKind() == kind && u.GetName() == name {
			return u.DeepCopy()
		}
	}
	return nil
}

// Watched receives a value for every watch that begins.
func (s *Server) Watched() <-chan struct{} { return s.watched }

// LogsRead is how many logs have been asked for.
func (s *Server) LogsRead() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logsRead
}

// Calls are the writes the server got: method, path and body.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

func (s *Server) kindOf(gvk schema.GroupVersionKind) (Kind, bool) {
	for _, k := range s.kinds {
		if k.GroupVersionKind == gvk {
			return k, true
		}
	}
	return Kind{}, false
}

func objectKey(k Kind, namespace, name string) string {
	if k.Cluster {
		namespace = ""
	}
	return k.Kind + "/" + namespace + "/" + name
}

// write stores u with a new version. Specs that change raise the generation.
func (s *Server) write(k Kind, u *unstructured.Unstructured) *unstructured.Unstructured {
	s.version++
	key := objectKey(k, u.GetNamespace(), u.GetName())
	old, there := s.objects[key]
	kind := "ADDED"
	if there {
		kind = "MODIFIED"
		u.SetUID(old.GetUID())
		u.SetCreationTimestamp(old.GetCreationTimestamp())
	} else {
		if u.GetUID() == "" { // what a controller writes may refer to each other
			u.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
		}
		if at := u.GetCreationTimestamp(); at.IsZero() {
			u.SetCreationTimestamp(metav1.NewTime(s.Clock.Now()))
		}
	}
	u.SetResourceVersion(strconv.FormatInt(s.version, 10))
	s.objects[key] = u
	s.tell(kind, k, u)
	return u.DeepCopy()
}

func (s *Server) remove(key string, u *unstructured.Unstructured) {
	k, _ := s.kindOf(u.GroupVersionKind())
	s.version++
	delete(s.objects, key)
	s.tell("DELETED", k, u)
}

func (s *Server) tell(kind string, k Kind, u *unstructured.Unstructured) {
	s.history = append(s.history, event{kind: kind, kindOf: k.Kind, version: s.version, object: u.DeepCopy()})
	close(s.changed)
	s.changed = make(chan struct{})
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.Before != nil {
		s.Before(r)
	}
	if s.discovery(w, r) || s.kubelet(w, r) {
		return
	}
	k, namespace, name, sub, ok := s.route(r.URL.Path)
	if !ok {
		s.fail(w, apierrors.NewGenericServerResponse(404, r.Method, schema.GroupResource{}, "", "", 0, true))
		return
	}
	if s.Warn != "" && r.Method != http.MethodGet {
		w.Header().Set("Warning", fmt.Sprintf("299 - %q", s.Warn))
	}
	q := r.URL.Query()
	if serve, ok := s.Subresources[k.Resource+"/"+sub]; ok {
		serve(w, r)
		return
	}
	switch {
	case sub == "log":
		s.log(w, name, q.Get("container"))
	case r.Method == http.MethodGet && name == "" && slices.Contains(s.Hidden, k.Resource):
		s.fail(w, apierrors.NewForbidden(schema.GroupResource{Group: k.Group, Resource: k.Resource}, "", errors.New("not you")))
	case r.Method == http.MethodGet && q.Get("watch") == "true":
		s.watch(w, r, k, namespace)
	case r.Method == http.MethodGet && name == "":
		s.list(w, r, k, namespace)
	case r.Method == http.MethodGet:
		s.get(w, r, k, namespace, name, sub)
	default:
		s.change(w, r, k, namespace, name, sub)
	}
}

func (s *Server) log(w http.ResponseWriter, pod, container string) {
	key := pod + "/" + container
	s.mu.Lock()
	left := s.Waiting[key]
	if left > 0 {
		s.Waiting[key]--
	}
	s.logsRead++
	s.mu.Unlock()
	if left > 0 {
		s.fail(w, apierrors.NewBadRequest(fmt.Sprintf("container %q in pod %q is waiting to start: ContainerCreating", container, pod)))
		return
	}
	fmt.Fprint(w, s.Logs[key])
}

// Runs sets which pods a node has not finished with.
func (s *Server) Runs(node string, uids ...types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[node] = uids
}

// kubelet answers what pods a node has not finished with.
func (s *Server) kubelet(w http.ResponseWriter, r *http.Request) bool {
	node, ok := strings.CutSuffix(r.URL.Path, "/proxy/runningpods/")
	if !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	list := corev1.PodList{}
	for _, uid := range s.running[strings.TrimPrefix(node, "/api/v1/nodes/")] {
		list.Items = append(list.Items, corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: uid}})
	}
	s.asked++
	s.reply(w, http.StatusOK, list)
	return true
}

// NodesAsked is how often nodes have been asked what runs on them.
func (s *Server) NodesAsked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// route reads /api/v1/namespaces/NS/pods/NAME/SUB and its shorter forms.
func (s *Server) route(path string) (k Kind, namespace, name, sub string, ok bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 3 {
		return k, "", "", "", false
	}
	gv := schema.GroupVersion{Version: parts[1]}
	parts = parts[2:]
	if strings.HasPrefix(path, "/apis/") {
		gv = schema.GroupVersion{Group: strings.Split(path, "/")[2], Version: parts[0]}
		parts = parts[1:]
	}
	if len(parts) > 2 && parts[0] == "namespaces" {
		namespace, parts = parts[1], parts[2:]
	}
	for _, k := range s.kinds {
		if len(parts) > 0 && k.GroupVersion() == gv && k.Resource == parts[0] {
			parts = append(parts, "", "", "")
			return k, namespace, parts[1], parts[2], true
		}
	}
	return k, "", "", "", false
}

func (s *Server) reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		status = apierrors.NewInternalError(err)
	}
	body := status.Status()
	body.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	s.reply(w, int(body.Code), body)
}

// matching are a collection's objects that the request's selectors select, by name.
func (s *Server) matching(r *http.Request, k Kind, namespace string) ([]unstructured.Unstructured, error) {
	var out []unstructured.Unstructured
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		u := s.objects[key]
		ok, err := selected(r, u)
		if err != nil {
			return nil, err
		}
		if u.GroupVersionKind() == k.GroupVersionKind && (namespace == "" || u.GetNamespace() == namespace) && ok {
			out = append(out, *u.DeepCopy())
		}
	}
	return out, nil
}

func selected(r *http.Request, u *unstructured.Unstructured) (bool, error) {
	q := r.URL.Query()
	l, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		return false, apierrors.NewBadRequest(err.Error())
	}
	f, err := fields.ParseSelector(q.Get("fieldSelector"))
	if err != nil {
		return false, apierrors.NewBadRequest(err.Error())
	}
	set := fields.Set{}
	for _, req := range f.Requirements() {
		v, _, _ := unstructured.NestedFieldNoCopy(u.Object, strings.Split(req.Field, ".")...)
		if v != nil {
			set[req.Field] = fmt.Sprint(v)
		}
	}
	return l.Matches(labels.Set(u.GetLabels())) && f.Matches(set), nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, k Kind, namespace string) {
	s.mu.Lock()
	items, err := s.matching(r, k, namespace)
	version := s.version
	s.mu.Unlock()
	if err != nil {
		s.fail(w, err)
		return
	}
	if wantsTable(r) {
		s.reply(w, 200, s.table(items, version, true))
		return
	}
	content := make([]any, len(items))
	for i := range items {
		content[i] = items[i].Object
	}
	s.reply(w, 200, map[string]any{"apiVersion": k.GroupVersion().String(), "kind": k.Kind + "List", "items": content,
		"metadata": map[string]any{"resourceVersion": strconv.FormatInt(version, 10)}})
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, k Kind, namespace, name, sub string) {
	s.mu.Lock()
	u := s.objects[objectKey(k, namespace, name)].DeepCopy()
	s.mu.Unlock()
	switch {
	case u == nil:
		s.fail(w, apierrors.NewNotFound(schema.GroupResource{Group: k.Group, Resource: k.Resource}, name))
	case sub == "scale":
		s.reply(w, 200, scaleOf(u))
	case wantsTable(r):
		s.reply(w, 200, s.table([]unstructured.Unstructured{*u}, s.version, true))
	default:
		s.reply(w, 200, u.Object)
	}
}

func wantsTable(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "as=Table") }

// table shows names, and how old objects are.
func (s *Server) table(items []unstructured.Unstructured, version int64, columns bool) map[string]any {
	rows := []any{}
	for i := range items {
		age := s.Clock.Now().Sub(items[i].GetCreationTimestamp().Time).Truncate(time.Second)
		phase, _, _ := unstructured.NestedString(items[i].Object, "status", "phase")
		rows = append(rows, map[string]any{"cells": []any{items[i].GetName(), phase, age.String()}, "object": items[i].Object})
	}
	t := map[string]any{"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": map[string]any{"resourceVersion": strconv.FormatInt(version, 10)}, "rows": rows, "columnDefinitions": []any{}}
	if columns {
		t["columnDefinitions"] = []any{
			map[string]any{"name": "Name", "type": "string", "format": "name", "priority": 0},
			map[string]any{"name": "Status", "type": "string", "priority": 0},
			map[string]any{"name": "Age", "type": "string", "priority": 0},
		}
	}
	return t
}
