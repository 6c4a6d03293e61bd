package clitest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"skiff/cli/client"
)

func scaleOf(u *unstructured.Unstructured) map[string]any {
	want, _, _ := unstructured.NestedInt64(u.Object, "spec", "replicas")
	have, _, _ := unstructured.NestedInt64(u.Object, "status", "replicas")
	return map[string]any{"apiVersion": "autoscaling/v1", "kind": "Scale",
		"metadata": map[string]any{"name": u.GetName(), "namespace": u.GetNamespace(), "resourceVersion": u.GetResourceVersion()},
		"spec":     map[string]any{"replicas": want}, "status": map[string]any{"replicas": have}}
}

// change does what POST, PUT, PATCH and DELETE ask for.
func (s *Server) change(w http.ResponseWriter, r *http.Request, k Kind, namespace, name, sub string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body))
	answer, code, err := s.do(r, k, namespace, name, sub, body)
	if err != nil {
		s.fail(w, err)
		return
	}
	s.reply(w, code, answer)
}

func (s *Server) do(r *http.Request, k Kind, namespace, name, sub string, body []byte) (any, int, error) {
	gr := schema.GroupResource{Group: k.Group, Resource: k.Resource}
	sent := &unstructured.Unstructured{}
	if r.Method != http.MethodDelete && r.Header.Get("Content-Type") != string(types.JSONPatchType) {
		if err := utiljson.Unmarshal(body, &sent.Object); err != nil {
			return nil, 0, apierrors.NewBadRequest(err.Error())
		}
	}
	if r.Method == http.MethodPost && sub == "eviction" {
		return s.evict(k, gr, namespace, name, body)
	}
	if r.Method == http.MethodPost {
		return s.create(r, k, gr, namespace, sent)
	}
	old, there := s.objects[objectKey(k, namespace, name)]
	if !there && r.Header.Get("Content-Type") == string(types.ApplyPatchType) {
		return s.create(r, k, gr, namespace, sent)
	}
	if !there {
		return nil, 0, apierrors.NewNotFound(gr, name)
	}
	switch {
	case r.Method == http.MethodDelete:
		return s.delete(k, old, body)
	case sub == "scale":
		return s.scale(r, k, old, sent)
	case r.Method == http.MethodPut:
		if v := sent.GetResourceVersion(); v != "" && v != old.GetResourceVersion() {
			return nil, 0, apierrors.NewConflict(gr, name, fmt.Errorf("the object has been modified; please apply your changes to the latest version and try again"))
		}
		return s.store(r, "update", k, old, sent)
	}
	patched, err := patch(r.Header.Get("Content-Type"), old, body)
	if err != nil {
		return nil, 0, apierrors.NewBadRequest(err.Error())
	}
	if v := patched.GetResourceVersion(); v != old.GetResourceVersion() {
		return nil, 0, apierrors.NewConflict(gr, name, fmt.Errorf("the object has been modified; please apply your changes to the latest version and try again"))
	}
	return s.store(r, "patch", k, old, patched)
}

func (s *Server) create(r *http.Request, k Kind, gr schema.GroupResource, namespace string, u *unstructured.Unstructured) (any, int, error) {
	if !k.Cluster {
		u.SetNamespace(namespace)
	}
	if _, there := s.objects[objectKey(k, namespace, u.GetName())]; there {
		return nil, 0, apierrors.NewAlreadyExists(gr, u.GetName())
	}
	if s.Refuse != nil {
		if err := s.Refuse("create", u); err != nil {
			return nil, 0, err
		}
	}
	if r.URL.Query().Get("dryRun") != "" {
		return u.Object, 201, nil
	}
	return s.write(k, u).Object, 201, nil
}

// evict deletes a pod, unless it is refused as a disruption budget refuses it.
func (s *Server) evict(k Kind, gr schema.GroupResource, namespace, name string, body []byte) (any, int, error) {
	old, there := s.objects[objectKey(k, namespace, name)]
	if !there {
		return nil, 0, apierrors.NewNotFound(gr, name)
	}
	if s.Refuse != nil {
		if err := s.Refuse("evict", old); err != nil {
			return nil, 0, err
		}
	}
	eviction := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &eviction); err != nil {
		return nil, 0, apierrors.NewBadRequest(err.Error())
	}
	_, _, err := s.delete(k, old, eviction["deleteOptions"])
	return map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Success"}, 201, err
}

func (s *Server) store(r *http.Request, verb string, k Kind, old, u *unstructured.Unstructured) (any, int, error) {
	if s.Refuse != nil {
		if err := s.Refuse(verb, u); err != nil {
			return nil, 0, err
		}
	}
	u.SetResourceVersion(old.GetResourceVersion())
	a, _ := json.Marshal(old)
	b, _ := json.Marshal(u)
	if string(a) == string(b) || r.URL.Query().Get("dryRun") != "" {
		return u.Object, 200, nil
	}
	return s.write(k, u).Object, 200, nil
}

func (s *Server) scale(r *http.Request, k Kind, old, sent *unstructured.Unstructured) (any, int, error) {
	n, _, _ := unstructured.NestedInt64(sent.Object, "spec", "replicas")
	u := old.DeepCopy()
	_ = unstructured.SetNestedField(u.Object, n, "spec", "replicas")
	if _, _, err := s.store(r, "update", k, old, u); err != nil {
		return nil, 0, err
	}
	return scaleOf(u), 200, nil
}

// delete removes an object, or marks it while it has finalizers.
func (s *Server) delete(k Kind, old *unstructured.Unstructured, body []byte) (any, int, error) {
	if s.Refuse != nil {
		if err := s.Refuse("delete", old); err != nil {
			return nil, 0, err
		}
	}
	o := metav1.DeleteOptions{}
	_ = json.Unmarshal(body, &o)
	if p := o.Preconditions; p != nil && p.UID != nil && *p.UID != old.GetUID() {
		gr := schema.GroupResource{Group: k.Group, Resource: k.Resource}
		return nil, 0, apierrors.NewConflict(gr, old.GetName(), fmt.Errorf("the UID in the precondition (%s) does not match the UID in record (%s)", *p.UID, old.GetUID()))
	}
	if p := o.Preconditions; p != nil && p.ResourceVersion != nil && *p.ResourceVersion != old.GetResourceVersion() {
		gr := schema.GroupResource{Group: k.Group, Resource: k.Resource}
		return nil, 0, apierrors.NewConflict(gr, old.GetName(), fmt.Errorf("the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s)", *p.ResourceVersion, old.GetResourceVersion()))
	}
	if len(o.DryRun) > 0 {
		return old.Object, 200, nil
	}
	if len(old.GetFinalizers()) > 0 {
		u := old.DeepCopy()
		now := metav1.NewTime(s.Clock.Now())
		u.SetDeletionTimestamp(&now)
		return s.write(k, u).Object, 200, nil
	}
	s.remove(objectKey(k, old.GetNamespace(), old.GetName()), old)
	return metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Success",
		Details: &metav1.StatusDetails{Name: old.GetName(), Kind: k.Resource, UID: old.GetUID()}}, 200, nil
}

func patch(kind string, old *unstructured.Unstructured, body []byte) (*unstructured.Unstructured, error) {
	before, err := old.MarshalJSON()
	if err != nil {
		return nil, err
	}
	var after []byte
	switch types.PatchType(kind) {
	case types.JSONPatchType:
		var p jsonpatch.Patch
		if p, err = jsonpatch.DecodePatch(body); err == nil {
			after, err = p.Apply(before)
		}
	case types.StrategicMergePatchType:
		typed, terr := client.Types().New(old.GroupVersionKind())
		if terr != nil {
			return nil, terr
		}
		after, err = strategicpatch.StrategicMergePatch(before, body, typed)
	default:
		after, err = jsonpatch.MergePatch(before, body)
	}
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	return u, u.UnmarshalJSON(after)
}

// watch sends what happened since the version asked for, and goes on until the request ends. From
// version 0 it begins with what there is.
func (s *Server) watch(w http.ResponseWriter, r *http.Request, k Kind, namespace string) {
	since, _ := strconv.ParseInt(r.URL.Query().Get("resourceVersion"), 10, 64)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	s.watched <- struct{}{}
	first := true
	if since == 0 {
		s.mu.Lock()
		items, _ := s.matching(r, k, namespace)
		since = s.version
		s.mu.Unlock()
		for i := range items {
			s.send(w, r, "ADDED", &items[i], &first)
		}
	}
	for {
		s.mu.Lock()
		pending, changed := []event{}, s.changed
		for _, e := range s.history {
			if ok, _ := selected(r, e.object); e.version > since && e.kindOf == k.Kind && ok && (namespace == "" || e.object.GetNamespace() == namespace) {
				pending = append(pending, e)
			}
		}
		since = s.version
		s.mu.Unlock()
		for _, e := range pending {
			s.send(w, r, e.kind, e.object, &first)
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		}
	}
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, kind string, u *unstructured.Unstructured, first *bool) {
	var object any = u.Object
	if wantsTable(r) {
		object = s.table([]unstructured.Unstructured{*u}, 0, *first)
		*first = false
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"type": kind, "object": object})
	w.(http.Flusher).Flush()
}
