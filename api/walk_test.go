package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
)

// examples holds, by resource, what an object needs beside its metadata.
func examples() map[string]string {
	template := `"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	rules := `"resourceRules":[{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["pods"]}]`
	hooks := `"webhooks":[{"name":"h.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":{"url":"https://h.example.com"}}]`
	return map[string]string{
		"configmaps":                        `"data":{"a":"b"}`,
		"endpoints":                         `"subsets":[{"addresses":[{"ip":"10.1.1.1"}],"ports":[{"port":80}]}]`,
		"events":                            `"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"reason":"Tried","message":"it","type":"Normal","source":{"component":"test"}`,
		"events.events.k8s.io":              `"regarding":{"kind":"Pod","name":"p","namespace":"default"},"reason":"Tried","note":"it","type":"Normal","reportingController":"skiff.test/x","reportingInstance":"one","action":"Try","eventTime":"2026-01-02T03:04:05.000000Z"`,
		"limitranges":                       `"spec":{"limits":[{"type":"Pod","max":{"cpu":"1"}}]}`,
		"namespaces":                        `"spec":{}`,
		"nodes":                             `"spec":{}`,
		"persistentvolumeclaims":            `"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}`,
		"persistentvolumes":                 `"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"hostPath":{"path":"/x"}}`,
		"pods":                              `"spec":{"containers":[{"name":"c","image":"i"}]}`,
		"podtemplates":                      template,
		"replicationcontrollers":            `"spec":{"replicas":1,"selector":{"a":"b"},` + template + `}`,
		"resourcequotas":                    `"spec":{"hard":{"pods":"10"}}`,
		"secrets":                           `"stringData":{"a":"b"}`,
		"serviceaccounts":                   `"automountServiceAccountToken":false`,
		"services":                          `"spec":{"ports":[{"port":80}]}`,
		"controllerrevisions.apps":          `"revision":1,"data":{"a":"b"}`,
		"replicasets.apps":                  `"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},` + template + `}`,
		"leases.coordination.k8s.io":        `"spec":{"holderIdentity":"me"}`,
		"endpointslices.discovery.k8s.io":   `"addressType":"IPv4","endpoints":[]`,
		"priorityclasses.scheduling.k8s.io": `"value":1`,
		"ingresses.networking.k8s.io":       `"spec":{"defaultBackend":{"service":{"name":"s","port":{"number":80}}}}`,
		"ingressclasses.networking.k8s.io":  `"spec":{"controller":"example.com/c"}`,
		"ipaddresses.networking.k8s.io":     `"spec":{"parentRef":{"resource":"gadgets","name":"g"}}`,
		"networkpolicies.networking.k8s.io": `"spec":{"podSelector":{}}`,
		"servicecidrs.networking.k8s.io":    `"spec":{"cidrs":["10.0.0.0/24"]}`,
		"runtimeclasses.node.k8s.io":        `"handler":"h"`,
		"csidrivers.storage.k8s.io":         `"spec":{}`,
		"csinodes.storage.k8s.io":           `"spec":{"drivers":[]}`,
		"customresourcedefinitions.apiextensions.k8s.io": `"spec":{"group":"walk.test","scope":"Cluster","names":{"plural":"NAMEs","kind":"NAME"},` +
			`"versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}}]}`,
		"mutatingadmissionpolicies.admissionregistration.k8s.io":         `"spec":{"matchConstraints":{` + rules + `},"reinvocationPolicy":"Never","mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{}"}}]}`,
		"mutatingadmissionpolicybindings.admissionregistration.k8s.io":   `"spec":{"policyName":"p"}`,
		"mutatingwebhookconfigurations.admissionregistration.k8s.io":     hooks,
		"validatingadmissionpolicies.admissionregistration.k8s.io":       `"spec":{"matchConstraints":{` + rules + `},"validations":[{"expression":"true"}]}`,
		"validatingadmissionpolicybindings.admissionregistration.k8s.io": `"spec":{"policyName":"none","validationActions":["Deny"]}`,
		"validatingwebhookconfigurations.admissionregistration.k8s.io":   hooks,

		"csistoragecapacities.storage.k8s.io":                      `"storageClassName":"s"`,
		"storageclasses.storage.k8s.io":                            `"provisioner":"example.com/p"`,
		"volumeattachments.storage.k8s.io":                         `"spec":{"attacher":"a.example.com","nodeName":"n","source":{"persistentVolumeName":"v"}}`,
		"deployments.apps":                                         `"spec":{"replicas":1,"selector":{"matchLabels":{"a":"b"}},` + template + `}`,
		"daemonsets.apps":                                          `"spec":{"selector":{"matchLabels":{"a":"b"}},` + template + `}`,
		"jobs.batch":                                               `"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}`,
		"cronjobs.batch":                                           `"spec":{"schedule":"* * * * *","jobTemplate":{"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"i"}]}}}}}`,
		"deployments.extensions":                                   `"spec":{"replicas":1,` + template + `}`,
		"daemonsets.extensions":                                    `"spec":{` + template + `}`,
		"replicasets.extensions":                                   `"spec":{"replicas":1,` + template + `}`,
		"statefulsets.apps":                                        `"spec":{"replicas":1,"serviceName":"s","selector":{"matchLabels":{"a":"b"}},` + template + `}`,
		"poddisruptionbudgets.policy":                              `"spec":{"minAvailable":1,"selector":{"matchLabels":{"a":"b"}}}`,
		"clusterroles.rbac.authorization.k8s.io":                   `"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]`,
		"clusterrolebindings.rbac.authorization.k8s.io":            `"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"r"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"eve"}]`,
		"roles.rbac.authorization.k8s.io":                          `"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]`,
		"rolebindings.rbac.authorization.k8s.io":                   `"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"r"},"subjects":[{"kind":"ServiceAccount","name":"default"}]`,
		"certificatesigningrequests.certificates.k8s.io":           `"spec":{"signerName":"example.com/signer","usages":["client auth"],"request":"` + base64.StdEncoding.EncodeToString(certificateRequest()) + `"}`,
		"horizontalpodautoscalers.autoscaling":                     `"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"},"maxReplicas":3}`,
		"flowschemas.flowcontrol.apiserver.k8s.io":                 `"spec":{"priorityLevelConfiguration":{"name":"p"},"matchingPrecedence":1000}`,
		"prioritylevelconfigurations.flowcontrol.apiserver.k8s.io": `"spec":{"type":"Limited","limited":{"limitResponse":{"type":"Reject"}}}`,
		"deviceclasses.resource.k8s.io":                            `"spec":{}`,
		"resourceclaims.resource.k8s.io":                           `"spec":{"devices":{}}`,
		"resourceclaimtemplates.resource.k8s.io":                   `"spec":{"spec":{"devices":{}}}`,
		"resourceslices.resource.k8s.io":                           `"spec":{"driver":"d.example.com","nodeName":"n","pool":{"name":"p","resourceSliceCount":1}}`,
		"volumeattributesclasses.storage.k8s.io":                   `"driverName":"d.example.com","parameters":{"a":"b"}`,
	}
}

// certificateRequest is a request for a certificate, PEM.
func certificateRequest() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "eve"}}, key)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// walked is one resource of the walk.
type walked struct {
	metav1.APIResource
	gvr     schema.GroupVersionResource
	gvk     schema.GroupVersionKind
	example string
	client  dynamic.ResourceInterface
}

// name is what the object is called that the walk calls so: IPAddresses are called by their address,
// definitions by what they define.
func (w walked) name(name string) string {
	switch w.Name {
	case "ipaddresses":
	case "customresourcedefinitions":
		return name + "s.walk.test"
	default:
		return name
	}
	return map[string]string{"one": "192.0.2.1", "two": "192.0.2.2", "dry": "192.0.2.3"}[name]
}

// finalized reports whether an object stays until its controller has seen to it.
func (w walked) finalized() bool {
	return w.Name == "namespaces" || w.Name == "customresourcedefinitions"
}

func (w walked) object(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	apiVersion, kind := w.gvk.ToAPIVersionAndKind()
	example := strings.ReplaceAll(w.example, "NAME", name)
	raw := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"labels":{"walk":"yes"}},%s}`, apiVersion, kind, w.name(name), example)
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(raw), &u.Object); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return u
}

// walk calls do for every resource, and check for every subresource, that discovery lists.
func walk(t *testing.T, h *harness, do func(t *testing.T, w walked)) {
	t.Helper()
	_, lists, err := h.client.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			if strings.Contains(r.Name, "/") || !slices.Contains(r.Verbs, "get") || !slices.Contains(r.Verbs, "create") {
				continue
			}
			w := walked{APIResource: r, gvr: gv.WithResource(r.Name), gvk: gv.WithKind(r.Kind), client: h.any.Resource(gv.WithResource(r.Name))}
			if r.Namespaced {
				w.client = h.any.Resource(w.gvr).Namespace("default")
			}
			known := false
			if w.example, known = examples()[w.gvr.GroupResource().String()]; !known {
				t.Errorf("no example of %s", w.gvr)
				continue
			}
			t.Run(list.GroupVersion+"/"+r.Name, func(t *testing.T) { do(t, w) })
		}
	}
}

// TestEveryVerb does everything that discovery promises to every resource.
func TestEveryVerb(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	walk(t, h, func(t *testing.T, w walked) {
		events, err := w.client.Watch(ctx, metav1.ListOptions{LabelSelector: "walk=yes"})
		if err != nil {
			t.Fatal(err)
		}
		defer events.Stop()
		made := must[*unstructured.Unstructured](t)(w.client.Create(ctx, w.object(t, "one"), metav1.CreateOptions{FieldValidation: "Strict"}))
		equal(t, "kind", made.GroupVersionKind(), w.gvk)
		got := must[*unstructured.Unstructured](t)(w.client.Get(ctx, w.name("one"), metav1.GetOptions{}))
		equal(t, "resourceVersion", got.GetResourceVersion(), made.GetResourceVersion())
		list := must[*unstructured.UnstructuredList](t)(w.client.List(ctx, metav1.ListOptions{LabelSelector: "walk=yes"}))
		equal(t, "listed", len(list.Items), 1)
		equal(t, "kind of the list", list.GetKind(), w.Kind+"List")

		got.SetLabels(map[string]string{"walk": "yes", "updated": "yes"})
		must[*unstructured.Unstructured](t)(w.client.Update(ctx, got, metav1.UpdateOptions{}))
		for kind, body := range map[types.PatchType]string{
			types.JSONPatchType:           `[{"op":"add","path":"/metadata/labels/json","value":"yes"}]`,
			types.MergePatchType:          `{"metadata":{"labels":{"merge":"yes"}}}`,
			types.StrategicMergePatchType: `{"metadata":{"labels":{"strategic":"yes"}}}`,
		} {
			if _, err := w.client.Patch(ctx, w.name("one"), kind, []byte(body), metav1.PatchOptions{}); err != nil {
				t.Errorf("%s: %v", kind, err)
			}
		}
		applied := w.object(t, "one")
		applied.SetLabels(map[string]string{"applied": "yes"})
		last := must[*unstructured.Unstructured](t)(w.client.Apply(ctx, w.name("one"), applied, metav1.ApplyOptions{FieldManager: "walk", Force: true}))
		equal(t, "labels", strings.Join(slices.Sorted(maps.Keys(last.GetLabels())), " "), labelsOf(w, "applied json merge strategic updated walk"))
		dry := must[*unstructured.Unstructured](t)(w.client.Create(ctx, w.object(t, "dry"), metav1.CreateOptions{DryRun: []string{"All"}}))
		equal(t, "name of the dry run", dry.GetName(), w.name("dry"))

		checkSubresources(t, h, w)
		// There is no garbage collector here to see to orphans, which replication controllers leave
		// unless told otherwise.
		zero, background := int64(0), metav1.DeletePropagationBackground
		now := metav1.DeleteOptions{GracePeriodSeconds: &zero, PropagationPolicy: &background}
		if err := w.client.Delete(ctx, w.name("one"), now); err != nil {
			t.Error(err)
		}
		if slices.Contains(w.Verbs, "deletecollection") {
			must[*unstructured.Unstructured](t)(w.client.Create(ctx, w.object(t, "two"), metav1.CreateOptions{}))
			if err := w.client.DeleteCollection(ctx, now, metav1.ListOptions{LabelSelector: "walk=yes"}); err != nil {
				t.Error(err)
			}
		}
		checkEvents(t, w, events)
	})
}

// labelsOf adds the labels that the server sets by itself.
func labelsOf(w walked, labels string) string {
	if w.Name == "namespaces" {
		return strings.Replace(labels, "merge", "kubernetes.io/metadata.name merge", 1)
	}
	return labels
}

// checkEvents reads a watch up to the deletion of the walk's object.
func checkEvents(t *testing.T, w walked, events watch.Interface) {
	t.Helper()
	var seen []string
	tooLong := time.AfterFunc(20*time.Second, events.Stop)
	defer tooLong.Stop()
	for e := range events.ResultChan() {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok {
			t.Fatalf("event %v of a %T", e.Type, e.Object)
		}
		equal(t, "kind of an event's object", u.GroupVersionKind(), w.gvk)
		if len(seen) == 0 || seen[len(seen)-1] != string(e.Type) {
			seen = append(seen, string(e.Type))
		}
		if e.Type == watch.Deleted || w.finalized() && u.GetDeletionTimestamp() != nil {
			break
		}
	}
	want := "ADDED MODIFIED DELETED"
	if w.finalized() { // their controllers, which are not here, delete them
		want = "ADDED MODIFIED"
	}
	equal(t, "events", strings.Join(seen, " "), want)
}

// checkSubresources does what can be done to the subresources of the walk's object that are kept
// with it.
func checkSubresources(t *testing.T, h *harness, w walked) {
	t.Helper()
	ctx := context.Background()
	list, err := h.client.Discovery().ServerResourcesForGroupVersion(w.gvr.GroupVersion().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list.APIResources {
		parent, sub, _ := strings.Cut(r.Name, "/")
		if parent != w.Name || (sub != "status" && sub != "scale") {
			continue
		}
		got := must[*unstructured.Unstructured](t)(w.client.Get(ctx, w.name("one"), metav1.GetOptions{}, sub))
		equal(t, "kind of "+r.Name, got.GetKind(), r.Kind)
		if got, err = w.client.Update(ctx, got, metav1.UpdateOptions{}, sub); err != nil {
			t.Errorf("updating %s: %v", r.Name, err)
		}
		if _, err := w.client.Patch(ctx, w.name("one"), types.MergePatchType, []byte(`{"status":{}}`), metav1.PatchOptions{}, sub); err != nil {
			t.Errorf("patching %s: %v", r.Name, err)
		}
		apply := &unstructured.Unstructured{Object: map[string]any{}}
		apply.SetGroupVersionKind(got.GroupVersionKind())
		apply.SetName(w.name("one"))
		if _, err := w.client.ApplyStatus(ctx, w.name("one"), apply, metav1.ApplyOptions{FieldManager: "walk"}); sub == "status" && err != nil {
			t.Errorf("applying %s: %v", r.Name, err)
		}
	}
}

// TestEveryEncoding reads every resource in every encoding and every form.
func TestEveryEncoding(t *testing.T) {
	h := start(t, options{})
	ctx := context.Background()
	partial := must[metadata.Interface](t)(metadata.NewForConfig(h.config))
	walk(t, h, func(t *testing.T, w walked) {
		h.t = t
		must[*unstructured.Unstructured](t)(w.client.Create(ctx, w.object(t, "one"), metav1.CreateOptions{}))
		path := "/apis/" + w.gvr.GroupVersion().String() + "/"
		if w.gvr.Group == "" {
			path = "/api/" + w.gvr.Version + "/"
		}
		if w.Namespaced {
			path += "namespaces/default/"
		}
		path += w.Name
		for _, p := range []string{path + "/" + w.name("one"), path} {
			for accept, begins := range map[string]string{
				"application/json":                    `{"`,
				"application/json;pretty=1":           "{\n",
				"application/yaml":                    "a", // action, addressType or apiVersion
				"application/vnd.kubernetes.protobuf": "k8s\x00",
			} {
				got := h.do("GET", p, "", "Accept: "+accept)
				if got.code != 200 || !strings.HasPrefix(string(got.body), begins) {
					t.Errorf("%s as %s: %d %.60q", p, accept, got.code, got.body)
				}
			}
			var table metav1.Table
			h.do("GET", p, "", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io").decode(t, &table)
			equal(t, "kind", table.Kind, "Table")
			if len(table.Rows) == 0 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) {
				t.Errorf("table of %s: %+v", p, table)
			}
			equal(t, "first column", table.ColumnDefinitions[0].Name, firstColumn(w))
		}
		var client metadata.ResourceInterface = partial.Resource(w.gvr)
		if w.Namespaced {
			client = partial.Resource(w.gvr).Namespace("default")
		}
		one := must[*metav1.PartialObjectMetadata](t)(client.Get(ctx, w.name("one"), metav1.GetOptions{}))
		equal(t, "label", one.Labels["walk"], "yes")
		defer func() { // an event is one in both of its groups
			if err := w.client.Delete(ctx, w.name("one"), metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		}()
		list := must[*metav1.PartialObjectMetadataList](t)(client.List(ctx, metav1.ListOptions{LabelSelector: "walk=yes"}))
		equal(t, "partial objects", meta.LenList(list), 1)
	})
}

func firstColumn(w walked) string {
	if w.Name == "events" {
		return "Last Seen"
	}
	return "Name"
}
