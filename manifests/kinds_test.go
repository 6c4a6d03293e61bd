package manifests

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

func TestKindsAreWhole(t *testing.T) {
	for _, k := range allKinds() {
		t.Run(k.GVK.Kind, func(t *testing.T) {
			if k.Resource == "" || k.Singular == "" || k.Rules == nil || len(k.Served) == 0 {
				t.Errorf("%+v", k)
			}
			if KindFor(k.GroupResource()) != k {
				t.Error("it is not found by its resource")
			}
			gvks, _, err := Scheme().ObjectKinds(k.New())
			if err != nil || gvks[0] != k.GVK {
				t.Errorf("New is a %v, %v", gvks, err)
			}
			gvks, _, err = Scheme().ObjectKinds(k.NewList())
			if err != nil || gvks[0].Kind != k.GVK.Kind+"List" {
				t.Errorf("NewList is a %v, %v", gvks, err)
			}
			for _, served := range k.Served {
				if !Scheme().Recognizes(served) {
					t.Errorf("%s is not in the scheme", served)
				}
			}
			_, namespaced := k.Rules.(interface{ isNamespaced() bool })
			if !namespaced || k.Rules.(interface{ isNamespaced() bool }).isNamespaced() != k.Namespaced {
				t.Error("the rules are of another mind about namespaces")
			}
			if _, hasStatus := k.ResetFields(SubresourceStatus)[fieldpath.APIVersion(k.GVK.GroupVersion().String())]; hasStatus != k.HasStatus {
				t.Errorf("status %v, reset fields of status %v", k.HasStatus, hasStatus)
			}
		})
	}
}

// TestServedKinds is the list of what kubectl api-resources shows.
func TestServedKinds(t *testing.T) {
	var lines []string
	for _, k := range Kinds() {
		for _, served := range k.Served {
			lines = append(lines, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s namespaced=%v %v", k.Resource, strings.Join(k.ShortNames, ","), served.GroupVersion(), k.Namespaced, k.Categories)), " "))
		}
	}
	wantText(t, strings.Join(lines, "\n"), `
configmaps cm v1 namespaced=true []
endpoints ep v1 namespaced=true []
events ev v1 namespaced=true []
events ev events.k8s.io/v1 namespaced=true []
limitranges limits v1 namespaced=true []
namespaces ns v1 namespaced=false []
nodes no v1 namespaced=false []
persistentvolumeclaims pvc v1 namespaced=true []
persistentvolumes pv v1 namespaced=false []
pods po v1 namespaced=true [all]
podtemplates v1 namespaced=true []
replicationcontrollers rc v1 namespaced=true [all]
resourcequotas quota v1 namespaced=true []
secrets v1 namespaced=true []
serviceaccounts sa v1 namespaced=true []
services svc v1 namespaced=true [all]
controllerrevisions apps/v1 namespaced=true []
daemonsets ds apps/v1 namespaced=true [all]
daemonsets ds apps/v1beta2 namespaced=true [all]
daemonsets ds extensions/v1beta1 namespaced=true [all]
deployments deploy apps/v1 namespaced=true [all]
deployments deploy apps/v1beta2 namespaced=true [all]
deployments deploy apps/v1beta1 namespaced=true [all]
deployments deploy extensions/v1beta1 namespaced=true [all]
replicasets rs apps/v1 namespaced=true [all]
replicasets rs apps/v1beta2 namespaced=true [all]
replicasets rs extensions/v1beta1 namespaced=true [all]
statefulsets sts apps/v1 namespaced=true [all]
statefulsets sts apps/v1beta2 namespaced=true [all]
statefulsets sts apps/v1beta1 namespaced=true [all]
horizontalpodautoscalers hpa autoscaling/v2 namespaced=true [all]
horizontalpodautoscalers hpa autoscaling/v1 namespaced=true [all]
cronjobs cj batch/v1 namespaced=true [all]
cronjobs cj batch/v1beta1 namespaced=true [all]
jobs batch/v1 namespaced=true [all]
certificatesigningrequests csr certificates.k8s.io/v1 namespaced=false []
endpointslices discovery.k8s.io/v1 namespaced=true []
flowschemas flowcontrol.apiserver.k8s.io/v1 namespaced=false []
prioritylevelconfigurations flowcontrol.apiserver.k8s.io/v1 namespaced=false []
leases coordination.k8s.io/v1 namespaced=true []
poddisruptionbudgets pdb policy/v1 namespaced=true []
priorityclasses pc scheduling.k8s.io/v1 namespaced=false []
clusterrolebindings rbac.authorization.k8s.io/v1 namespaced=false []
clusterroles rbac.authorization.k8s.io/v1 namespaced=false []
rolebindings rbac.authorization.k8s.io/v1 namespaced=true []
roles rbac.authorization.k8s.io/v1 namespaced=true []
ingresses ing networking.k8s.io/v1 namespaced=true []
ingressclasses networking.k8s.io/v1 namespaced=false []
ipaddresses ip networking.k8s.io/v1 namespaced=false []
networkpolicies netpol networking.k8s.io/v1 namespaced=true []
servicecidrs networking.k8s.io/v1 namespaced=false []
runtimeclasses node.k8s.io/v1 namespaced=false []
deviceclasses resource.k8s.io/v1 namespaced=false []
resourceclaims resource.k8s.io/v1 namespaced=true []
resourceclaimtemplates resource.k8s.io/v1 namespaced=true []
resourceslices resource.k8s.io/v1 namespaced=false []
csidrivers storage.k8s.io/v1 namespaced=false []
csinodes storage.k8s.io/v1 namespaced=false []
csistoragecapacities storage.k8s.io/v1 namespaced=true []
storageclasses sc storage.k8s.io/v1 namespaced=false []
volumeattachments storage.k8s.io/v1 namespaced=false []
customresourcedefinitions crd,crds apiextensions.k8s.io/v1 namespaced=false [api-extensions]
mutatingadmissionpolicies admissionregistration.k8s.io/v1 namespaced=false [api-extensions]
mutatingadmissionpolicybindings admissionregistration.k8s.io/v1 namespaced=false [api-extensions]
mutatingwebhookconfigurations admissionregistration.k8s.io/v1 namespaced=false [api-extensions]
validatingadmissionpolicies admissionregistration.k8s.io/v1 namespaced=false [api-extensions]
validatingadmissionpolicybindings admissionregistration.k8s.io/v1 namespaced=false [api-extensions]
validatingwebhookconfigurations admissionregistration.k8s.io/v1 namespaced=false [api-extensions]
volumeattributesclasses vac storage.k8s.io/v1 namespaced=false []
`)
}

func TestFieldLabels(t *testing.T) {
	for _, test := range []struct{ kind, label, want string }{
		{"v1/Pod", "spec.nodeName", "spec.nodeName"},
		{"v1/Pod", "spec.host", "spec.nodeName"},
		{"v1/Pod", "spec.image", "field label not supported: spec.image"},
		{"v1/Node", "metadata.namespace", "field label not supported: metadata.namespace"},
		{"v1/Node", "spec.unschedulable", "spec.unschedulable"},
		{"v1/Event", "involvedObject.name", "involvedObject.name"},
		{"v1/Event", "regarding.name", "field label not supported: regarding.name"},
		{"events.k8s.io/v1/Event", "regarding.name", "involvedObject.name"},
		{"events.k8s.io/v1/Event", "reportingController", "reportingComponent"},
		{"v1/Namespace", "status.phase", "status.phase"},
		{"v1/Secret", "type", "type"},
		{"v1/Service", "spec.clusterIP", "spec.clusterIP"},
		{"v1/ReplicationController", "status.replicas", "status.replicas"},
		{"apps/v1/ReplicaSet", "metadata.name", "metadata.name"},
		{"apps/v1/ReplicaSet", "status.replicas", `"status.replicas" is not a known field selector: only "metadata.name", "metadata.namespace"`},
		{"v1/ConfigMap", "data", `"data" is not a known field selector: only "metadata.name", "metadata.namespace"`},
	} {
		t.Run(test.kind+" "+test.label, func(t *testing.T) {
			gv, kind, _ := cutLast(test.kind, "/")
			parsed, err := schema.ParseGroupVersion(gv)
			if err != nil {
				t.Fatal(err)
			}
			got, value, err := Scheme().ConvertFieldLabel(parsed.WithKind(kind), test.label, "v")
			if err != nil {
				got = err.Error()
			} else if value != "v" {
				t.Errorf("value %q", value)
			}
			wantText(t, got, test.want)
		})
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// TestSelectableFields: every label that a conversion lets through can be asked
// of an object.
func TestSelectableFields(t *testing.T) {
	unmatched := []string{"status.podIPs"} // upstream lets it through and never sets it
	candidates := map[string]bool{"metadata.name": true}
	for _, k := range allKinds() {
		if r, ok := k.Rules.(interface{ fieldNames() []string }); ok {
			for _, name := range r.fieldNames() {
				candidates[name] = true
			}
		}
	}
	candidates["status.podIPs"] = true
	for _, k := range Kinds() {
		fields := k.Fields(k.New().(Object))
		for name := range maps.Keys(candidates) {
			_, _, err := Scheme().ConvertFieldLabel(k.GVK, name, "")
			if err == nil && !fields.Has(name) && !slices.Contains(unmatched, name) {
				t.Errorf("%s: %s is let through but not known", k.GVK.Kind, name)
			}
		}
	}
}

func TestFieldsOfAPod(t *testing.T) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "p"},
		Spec:       corev1.PodSpec{NodeName: "one", HostNetwork: true, ServiceAccountName: "sa", SchedulerName: "s", RestartPolicy: "Never"},
		Status:     corev1.PodStatus{Phase: "Running", NominatedNodeName: "two", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "::1"}}},
	}
	fields := podKind().Fields(pod)
	for name, want := range map[string]string{
		"metadata.name": "p", "metadata.namespace": "d", "spec.nodeName": "one", "spec.hostNetwork": "true",
		"spec.serviceAccountName": "sa", "spec.schedulerName": "s", "spec.restartPolicy": "Never",
		"status.phase": "Running", "status.nominatedNodeName": "two", "status.podIP": "10.0.0.1", "odd": "",
	} {
		if got := fields.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := podKind().Fields(&corev1.Pod{}).Get("status.podIP"); got != "" {
		t.Errorf("an IP of a pod without one: %q", got)
	}
}

func TestScale(t *testing.T) {
	for _, manifest := range []string{rcManifest, rsManifest} {
		obj := parse(t, manifest)
		k := kindOf(t, obj)
		scale := k.Scale.Get(obj)
		if scale.Spec.Replicas != 3 || scale.Status.Selector != "app=kubia" || scale.Name != "kubia" || scale.Namespace != "d" {
			t.Errorf("%s: %+v", k.GVK.Kind, scale)
		}
		k.Scale.Set(obj, 7)
		if got := k.Scale.Get(obj).Spec.Replicas; got != 7 {
			t.Errorf("%s: %d replicas after setting 7", k.GVK.Kind, got)
		}
		if got := k.Scale.ReplicasPath.String(); got != ".spec.replicas" {
			t.Errorf("%s: path %s", k.GVK.Kind, got)
		}
	}
}

const rcManifest = `
apiVersion: v1
kind: ReplicationController
metadata: {name: kubia, namespace: d}
spec:
  replicas: 3
  template:
    metadata: {labels: {app: kubia}}
    spec: {containers: [{name: kubia, image: kubia}]}
`

const rsManifest = `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: kubia, namespace: d}
spec:
  replicas: 3
  selector: {matchLabels: {app: kubia}}
  template:
    metadata: {labels: {app: kubia}}
    spec: {containers: [{name: kubia, image: kubia}]}
`

func TestResetFields(t *testing.T) {
	for _, test := range []struct {
		kind        *Kind
		subresource string
		want        string
	}{
		{podKind(), SubresourceNone, "v1 .status"},
		{podKind(), SubresourceStatus, "v1 .metadata.deletionTimestamp .metadata.ownerReferences .spec"},
		{replicaSetKind(), SubresourceStatus, "apps/v1 apps/v1beta2 extensions/v1beta1 .spec"},
		{namespaceKind(), SubresourceFinalize, "v1 .status"},
		{configMapKind(), SubresourceNone, ""},
	} {
		versions, fields := []string{}, map[string]bool{}
		for version, set := range test.kind.ResetFields(test.subresource) {
			versions = append(versions, string(version))
			set.Iterate(func(p fieldpath.Path) { fields[p.String()] = true })
		}
		slices.Sort(versions)
		wantText(t, strings.Join(append(versions, slices.Sorted(maps.Keys(fields))...), " "), test.want)
	}
}

func TestDefaults(t *testing.T) {
	rc := parse(t, rcManifest).(*corev1.ReplicationController)
	if rc.Spec.Selector["app"] != "kubia" || rc.Labels["app"] != "kubia" || *rc.Spec.Replicas != 3 {
		t.Errorf("selector %v, labels %v", rc.Spec.Selector, rc.Labels)
	}
	spec := rc.Spec.Template.Spec
	c := spec.Containers[0]
	got := words(spec.RestartPolicy, spec.DNSPolicy, spec.SchedulerName, *spec.TerminationGracePeriodSeconds, c.ImagePullPolicy, c.TerminationMessagePath, c.TerminationMessagePolicy)
	if want := "Always ClusterFirst default-scheduler 30 Always /dev/termination-log File"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	pod := parse(t, `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: d}
spec:
  serviceAccount: old
  containers:
  - {name: a, image: "i:v1", livenessProbe: {httpGet: {port: 80}}, ports: [{containerPort: 80}], resources: {limits: {cpu: 1500u}}}
`).(*corev1.Pod)
	c = pod.Spec.Containers[0]
	probe := c.LivenessProbe
	got = words(pod.Spec.ServiceAccountName, c.ImagePullPolicy, c.Ports[0].Protocol, probe.HTTPGet.Path, probe.HTTPGet.Scheme, probe.TimeoutSeconds, probe.PeriodSeconds, probe.SuccessThreshold, probe.FailureThreshold, c.Resources.Limits.Cpu(), c.Resources.Requests.Cpu())
	if want := "old IfNotPresent TCP / HTTP 1 10 1 3 2m 2m"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// words are values with a space between any two.
func words(values ...any) string { return strings.TrimSpace(fmt.Sprintln(values...)) }

func TestSecretsKeepStringDataAsData(t *testing.T) {
	obj := parse(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: d}\ndata: {a: b2xk, b: b2xk}\nstringData: {a: new}")
	wantText(t, verdict(kindOf(t, obj).Create(context.Background(), obj)), "")
	s := obj.(*corev1.Secret)
	if string(s.Data["a"]) != "new" || string(s.Data["b"]) != "old" || s.StringData != nil {
		t.Errorf("data %s, stringData %v", s.Data, s.StringData)
	}
}

func TestNamespacesAreLabelledWithTheirName(t *testing.T) {
	n := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "n-"}}
	Scheme().Default(n)
	n.Name = "n-12345"
	wantText(t, verdict(namespaceKind().Create(context.Background(), n)), "")
	if n.Labels[corev1.LabelMetadataName] != "n-12345" || n.Status.Phase != corev1.NamespaceActive || n.Spec.Finalizers[0] != corev1.FinalizerKubernetes {
		t.Errorf("%+v", n)
	}
}

func TestPodsThatSpreadByTheirOwnLabels(t *testing.T) {
	obj := parse(t, `
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: d, labels: {hash: "1"}}
spec:
  containers: [{name: a, image: i}]
  schedulingGates: [{name: a/b}]
  topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: a}}, matchLabelKeys: [hash, none]}
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
      - {topologyKey: k, labelSelector: {matchLabels: {app: a}}, mismatchLabelKeys: [hash]}
`)
	if review := podKind().Create(context.Background(), obj); len(review.Errors) > 0 {
		t.Fatal(review.Errors)
	}
	pod := obj.(*corev1.Pod)
	if got := metav1.FormatLabelSelector(pod.Spec.TopologySpreadConstraints[0].LabelSelector); got != "app=a,hash in (1)" {
		t.Errorf("spread by %s", got)
	}
	term := pod.Spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0]
	if got := metav1.FormatLabelSelector(term.LabelSelector); got != "app=a,hash notin (1)" {
		t.Errorf("apart from %s", got)
	}
	if c := pod.Status.Conditions; len(c) != 1 || c[0].Reason != "SchedulingGated" {
		t.Errorf("conditions %+v", c)
	}
}

func TestPodStatusKeepsWhatItsWriterDoesNotKnow(t *testing.T) {
	old := parse(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: d, uid: u, resourceVersion: \"1\"}\nspec: {containers: [{name: a, image: i}]}\nstatus: {phase: Pending, qosClass: BestEffort, observedGeneration: 2, conditions: [{type: Ready, status: \"False\", observedGeneration: 2}]}").(*corev1.Pod)
	p := old.DeepCopy()
	p.Spec.Containers = nil
	p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: "x", UID: "x"}}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	wantText(t, verdict(podKind().Update(context.Background(), p, old, SubresourceStatus)), "")
	if len(p.Spec.Containers) != 1 || p.OwnerReferences != nil || p.Status.QOSClass != corev1.PodQOSBestEffort ||
		p.Status.ObservedGeneration != 2 || p.Status.Conditions[0].ObservedGeneration != 2 || p.Status.Phase != corev1.PodRunning {
		t.Errorf("%+v", p)
	}
}

func TestEventVersions(t *testing.T) {
	modern := "apiVersion: events.k8s.io/v1\nkind: Event\nmetadata: {name: e, namespace: d}\nregarding: {kind: Pod, namespace: d, name: p}\nnote: hello\nreason: R\naction: A\ntype: Normal\nreportingController: a/b\nreportingInstance: i\neventTime: 2025-03-01T12:00:00.000000Z"
	obj := parse(t, modern).(*corev1.Event)
	if obj.InvolvedObject.Name != "p" || obj.Message != "hello" || obj.ReportingController != "a/b" {
		t.Errorf("%+v", obj)
	}
	back := &eventsv1.Event{}
	if err := Scheme().Convert(obj, back, nil); err != nil || back.Note != "hello" || back.Regarding.Name != "p" {
		t.Errorf("%+v, %v", back, err)
	}
	through := func(group string) context.Context {
		return request.WithRequestInfo(context.Background(), &request.RequestInfo{APIGroup: group, APIVersion: "v1"})
	}
	wantText(t, verdict(eventKind().Create(through("events.k8s.io"), obj.DeepCopy())), "")
	obj.EventTime, obj.Count = metav1.MicroTime{}, 3
	wantText(t, verdict(eventKind().Create(through("events.k8s.io"), obj.DeepCopy())), `
eventTime: Required value
count: Invalid value: "": needs to be unset`)
	wantText(t, verdict(eventKind().Create(through(""), obj.DeepCopy())), "")
	wantText(t, verdict(eventKind().Create(context.Background(), obj.DeepCopy())), "")
}

func TestVolumeSourcesAreNamed(t *testing.T) {
	names := volumeSourceNames()
	if slices.Contains(names, "") {
		t.Errorf("a volume source has no name: %q", names)
	}
	for _, name := range honouredVolumes {
		if !slices.Contains(names, name) {
			t.Errorf("there is no volume source %q", name)
		}
	}
}

func TestStoredOnlyKindsExist(t *testing.T) {
	for kind := range storedOnly {
		if !slices.ContainsFunc(allKinds(), func(k *Kind) bool { return k.GVK.Kind == kind }) {
			t.Errorf("there is no kind %q", kind)
		}
	}
}

func TestSystemPriorityClasses(t *testing.T) {
	for _, class := range SystemPriorityClasses() {
		Scheme().Default(class)
		wantText(t, verdict(priorityClassKind().Create(context.Background(), class)), "")
	}
}

func TestDecodeErrors(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown field":     {"apiVersion: v1\nkind: Pod\nspec: {contaners: []}", `decoding a manifest: strict decoding error: unknown field "spec.contaners"`},
		"duplicate key":     {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nmetadata: {name: b}", "decoding a manifest: strict decoding error: yaml: unmarshal errors:\n  line 4: key \"metadata\" already set in map"},
		"duplicate in JSON": {`{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1","a":"2"}}`, `decoding a manifest: strict decoding error: duplicate field "data.a"`},
		"wrong type":        {"apiVersion: v1\nkind: ReplicationController\nspec: {replicas: many}", "decoding a manifest: json: cannot unmarshal string into Go struct field ReplicationControllerSpec.spec.replicas of type int32"},
		"no kind":           {"apiVersion: v1", "decoding a manifest: Object 'Kind' is missing in 'apiVersion: v1'"},
		"another kind":      {"apiVersion: v1\nkind: Teapot", `decoding a manifest: no kind "Teapot" is registered for version "v1"`},
		"a list":            {"apiVersion: v1\nkind: PodList\nitems: []", "decoding a manifest: a /v1, Kind=PodList is not an object that can be stored"},
		"tabs":              {"apiVersion: v1\nkind: Pod\nmetadata:\n\tname: a", "decoding a manifest: yaml: line 4: found character that cannot start any token"},
		"nothing":           {"", "decoding a manifest: Object 'Kind' is missing in ''"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode([]byte(test.text))
			if err == nil {
				t.Fatal("no error")
			}
			text, _, _ := strings.Cut(err.Error(), " in scheme ")
			wantText(t, text, test.want)
		})
	}
	if _, err := decode([]byte("apiVersion: v1\r\nkind: ConfigMap\r\nmetadata:\r\n  name: a\r\n")); err != nil {
		t.Errorf("CRLF: %v", err)
	}
}

// isNamespaced and fieldNames are the rules' own view, to be compared with their kind's.
func (r *rules[V, I]) isNamespaced() bool { return r.namespaced }

func (r *rules[V, I]) fieldNames() []string { return slices.Collect(maps.Keys(r.fields)) }
