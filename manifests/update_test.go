package manifests

import (
	"context"
	"reflect"
	"sync"
	"testing"
)

// TestUpdateReviews holds what upstream says of updates.
func TestUpdateReviews(t *testing.T) {
	for _, test := range []struct{ name, subresource, old, manifest, want string }{
		{"a pod's node", "", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], nodeName: one}

`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], nodeName: two}

`, `spec: Forbidden: pod updates may not change fields other than ` + "`" + `spec.containers[*].image` + "`" + `,` + "`" + `spec.initContainers[*].image` + "`" + `,` + "`" + `spec.activeDeadlineSeconds` + "`" + `,` + "`" + `spec.tolerations` + "`" + ` (only additions to existing tolerations),` + "`" + `spec.terminationGracePeriodSeconds` + "`" + ` (allow it to be set to 1 if it was previously negative)`},
		{"a pod's image", "", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], }

`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: j}], }

`, ``},
		{"an ephemeral container is added", "ephemeralcontainers", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: j}], ephemeralContainers: [{name: debug, image: i, terminationMessagePolicy: File, imagePullPolicy: Always}]}
`, ``},
		{"an ephemeral container with a port", "ephemeralcontainers", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], ephemeralContainers: [{name: debug, image: i, ports: [{containerPort: 80}]}]}
`, `spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container`},
		{"a resize", "resize", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 1Gi}, limits: {memory: 20Mi}}}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d, annotations: {taken: over}}
spec: {containers: [{name: a, image: other, resources: {requests: {cpu: 200m, memory: 15Mi, ephemeral-storage: 1Gi}, limits: {memory: 20Mi, cpu: 1}}}]}
`, ``},
		{"a resize that takes a limit away", "resize", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 1Gi}, limits: {memory: 20Mi}}}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d, annotations: {taken: over}}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 1Gi}}}]}
`, `spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed`},
		{"a resize that renames", "resize", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 1Gi}, limits: {memory: 20Mi}}}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d, annotations: {taken: over}}
spec: {containers: [{name: b, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 1Gi}, limits: {memory: 20Mi}}}]}
`, `spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize`},
		{"a resize of storage", "resize", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 1Gi}, limits: {memory: 20Mi}}}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d, annotations: {taken: over}}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 2Gi}, limits: {memory: 20Mi}}}]}
`, `spec: Forbidden: only cpu and memory resources are mutable`},
		{"a resize to another class", "resize", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 10Mi, ephemeral-storage: 1Gi}, limits: {memory: 20Mi}}}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d, annotations: {taken: over}}
spec: {containers: [{name: a, image: i, resources: {requests: {cpu: 100m, memory: 20Mi, ephemeral-storage: 1Gi}, limits: {cpu: 100m, memory: 20Mi, ephemeral-storage: 1Gi}}}]}
`, `
spec: Invalid value: "": Pod QOS Class may not change as a result of resizing
spec: Forbidden: only cpu and memory resources are mutable`},
		{"a pod's grace period", "", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], }

`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], terminationGracePeriodSeconds: 5}

`, `spec: Forbidden: pod updates may not change fields other than ` + "`" + `spec.containers[*].image` + "`" + `,` + "`" + `spec.initContainers[*].image` + "`" + `,` + "`" + `spec.activeDeadlineSeconds` + "`" + `,` + "`" + `spec.tolerations` + "`" + ` (only additions to existing tolerations),` + "`" + `spec.terminationGracePeriodSeconds` + "`" + ` (allow it to be set to 1 if it was previously negative)`},
		{"a pod's deadline", "", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], activeDeadlineSeconds: 5}

`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], activeDeadlineSeconds: 6}

`, `spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value`},
		{"a toleration is added", "", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], }

`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], tolerations: [{key: a, operator: Exists}]}

`, ``},
		{"a toleration is taken away", "", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], tolerations: [{key: a, operator: Exists}]}

`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], }

`, `spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds`},
		{"a container is added", "", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], }

`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: b, image: i}, {name: a, image: i}], }

`, `spec.containers: Forbidden: pod updates may not add or remove containers`},
		{"a pod's status", "status", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], }
status: {phase: Pending}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], nodeName: one}
status: {phase: Running, podIPs: [{ip: "010.0.0.1"}]}
`, `status.podIPs[0]: Invalid value: "010.0.0.1": must not have leading 0s`},
		{"a pod restarts a container that must not", "status", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], restartPolicy: Never}
status: {containerStatuses: [{name: a, image: i, imageID: i, ready: false, restartCount: 0, state: {terminated: {exitCode: 1}}}]}
`, `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: [{name: a, image: i}], restartPolicy: Never}
status: {containerStatuses: [{name: a, image: i, imageID: i, ready: true, restartCount: 0, state: {running: {}}}]}
`, `status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state`},
		{"a replica set's selector", "", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], }}

`, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: z}}
  template: {metadata: {labels: {app: z}}, spec: {containers: [{name: a, image: i}], }}

`, `spec.selector: Invalid value: {"matchLabels":{"app":"z"}}: field is immutable`},
		{"a replica set's template gets unhonoured fields", "", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], }}

`, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], runtimeClassName: r}}

`, `warning: spec.template.spec.runtimeClassName: skiff has one runtime, the field has no effect`},
		{"a template that had unhonoured fields is left alone", "", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], runtimeClassName: r}}

`, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], runtimeClassName: r}}

`, ``},
		{"a replica set's status", "status", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], }}
status: {replicas: 3}
`, `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: z}}
  template: {metadata: {labels: {app: z}}, spec: {containers: [{name: a, image: i}], }}
status: {replicas: 1, readyReplicas: 2, fullyLabeledReplicas: 5}
`, `
status.fullyLabeledReplicas: Invalid value: 5: cannot be greater than status.replicas
status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas`},
		{"a controller's selector may change", "", `
apiVersion: v1
kind: ReplicationController
metadata: {name: a, namespace: d}
spec:
  selector: {app: x}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], }}

`, `
apiVersion: v1
kind: ReplicationController
metadata: {name: a, namespace: d}
spec:
  selector: {app: z}
  template: {metadata: {labels: {app: z}}, spec: {containers: [{name: a, image: i}], }}

`, ``},
		{"a controller's status", "status", `
apiVersion: v1
kind: ReplicationController
metadata: {name: a, namespace: d}
spec:
  selector: {app: x}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], }}

`, `
apiVersion: v1
kind: ReplicationController
metadata: {name: a, namespace: d}
spec:
  selector: {app: x}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}], }}
status: {replicas: -1}
`, `
status.replicas: Invalid value: -1: must be greater than or equal to 0
status.fullyLabeledReplicas: Invalid value: 0: cannot be greater than status.replicas
status.readyReplicas: Invalid value: 0: cannot be greater than status.replicas
status.availableReplicas: Invalid value: 0: cannot be greater than status.replicas`},
		{"an immutable config map", "", `
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: d}
data: {a: b}
immutable: true
`, `
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: d}
data: {a: c}
immutable: true
`, `data: Forbidden: field is immutable when ` + "`" + `immutable` + "`" + ` is set`},
		{"an immutable config map made mutable", "", `
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: d}
data: {a: b}
immutable: true
`, `
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: d}
data: {a: b}
immutable: false
`, `immutable: Forbidden: field is immutable when ` + "`" + `immutable` + "`" + ` is set`},
		{"a secret's type", "", `
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: d}
type: Opaque
`, `
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: d}
type: example.com/mine
`, `type: Invalid value: "example.com/mine": field is immutable`},
		{"a secret's type left out", "", `
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: d}
type: example.com/mine
`, `
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: d}
data: {}
`, `type: Invalid value: "Opaque": field is immutable`},
		{"a node's provider", "", `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {providerID: a}
`, `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {providerID: b}
`, `spec.providerID: Invalid value: null: field cannot be modified once set`},
		{"a node's pod range", "", `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {podCIDR: 10.0.0.0/24, podCIDRs: [10.0.0.0/24]}
`, `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {podCIDR: 10.0.1.0/24, podCIDRs: [10.0.1.0/24]}
`, `spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid`},
		{"a node is cordoned", "", `
apiVersion: v1
kind: Node
metadata: {name: a}

`, `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {unschedulable: true}
`, ``},
		{"a node's status", "status", `
apiVersion: v1
kind: Node
metadata: {name: a}

`, `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {unschedulable: true}
status: {addresses: [{type: Hostname, address: a}, {type: Hostname, address: a}]}
`, `status.addresses[1]: Duplicate value: {"Type":"Hostname","Address":"a"}`},
		{"a namespace's status", "status", `
apiVersion: v1
kind: Namespace
metadata: {name: a}
status: {phase: Active}
`, `
apiVersion: v1
kind: Namespace
metadata: {name: a}
status: {phase: Terminating}
`, `status.Phase: Invalid value: "Terminating": may only be 'Active' if ` + "`" + `deletionTimestamp` + "`" + ` is empty`},
		{"a claim's modes", "", `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a, namespace: d}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
`, `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a, namespace: d}
spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 2Gi}}}
`, `spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims`},
		{"a volume's source", "", `
apiVersion: v1
kind: PersistentVolume
metadata: {name: a}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /a}}
`, `
apiVersion: v1
kind: PersistentVolume
metadata: {name: a}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /b}}
`, `spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation`},
		{"a quota's scopes", "", `
apiVersion: v1
kind: ResourceQuota
metadata: {name: a, namespace: d}
spec: {hard: {pods: 1}}
`, `
apiVersion: v1
kind: ResourceQuota
metadata: {name: a, namespace: d}
spec: {hard: {pods: 1}, scopes: [BestEffort]}
`, `spec.scopes: Invalid value: ["BestEffort"]: field is immutable`},
		{"a service's address", "", `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: d}
spec: {ports: [{port: 80}], clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9]}
`, `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: d}
spec: {ports: [{port: 80}], clusterIP: 10.96.0.8, clusterIPs: [10.96.0.8]}
`, `spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set`},
		{"a service CIDR's range", "", `
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: a}
spec: {cidrs: [10.0.0.0/24]}
`, `
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: a}
spec: {cidrs: [10.1.0.0/24]}
`, `spec.cidrs[0]: Invalid value: "10.1.0.0/24": field is immutable`},
		{"an IP address's parent", "", `
apiVersion: networking.k8s.io/v1
kind: IPAddress
metadata: {name: 10.0.0.1}
spec: {parentRef: {resource: services, namespace: d, name: a}}
`, `
apiVersion: networking.k8s.io/v1
kind: IPAddress
metadata: {name: 10.0.0.1}
spec: {parentRef: {resource: services, namespace: d, name: b}}
`, `spec.parentRef: Invalid value: null: field is immutable`},
		{"a network policy may change", "", `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: d}
spec: {podSelector: {}}
`, `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: d}
spec: {podSelector: {}, egress: [{to: [{podSelector: {}, ipBlock: {cidr: 10.0.0.0/24}}]}]}
`, `spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer`},
		{"a revision's data", "", `
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: a, namespace: d}
revision: 1
data: {a: 1}
`, `
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: a, namespace: d}
revision: 1
data: {a: 2}
`, `data: Invalid value: {"a":2}: field is immutable`},
		{"a slice's addresses", "", `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a, namespace: d}
addressType: IPv4
endpoints: []
`, `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a, namespace: d}
addressType: IPv6
endpoints: []
`, `addressType: Invalid value: null: field is immutable`},
		{"a lease", "", `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: a, namespace: d}
spec: {holderIdentity: a}
`, `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: a, namespace: d}
spec: {holderIdentity: "", leaseDurationSeconds: 0}
`, `spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0`},
		{"a priority class's value", "", `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: a}
value: 1
`, `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: a}
value: 2
`, `value: Forbidden: may not be changed in an update.`},
		{"an event may be rewritten", "", `
apiVersion: v1
kind: Event
metadata: {name: a, namespace: d}
involvedObject: {namespace: d, name: p}
`, `
apiVersion: v1
kind: Event
metadata: {name: a, namespace: d}
involvedObject: {namespace: d, name: p}
count: 2
`, ``},
		{"a limit range", "", `
apiVersion: v1
kind: LimitRange
metadata: {name: a, namespace: d}
spec: {limits: [{type: Pod}]}
`, `
apiVersion: v1
kind: LimitRange
metadata: {name: a, namespace: d}
spec: {limits: [{type: Pod}, {type: Pod}]}
`, `spec.limits[1].type: Duplicate value: "Pod"`},
		{"endpoints", "", `
apiVersion: v1
kind: Endpoints
metadata: {name: a, namespace: d}

`, `
apiVersion: v1
kind: Endpoints
metadata: {name: a, namespace: d}
subsets: [{addresses: [{ip: 10.0.0.1, nodeName: one}], ports: [{port: 80}]}]
`, ``},
		{"a service account", "", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a, namespace: d}

`, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a, namespace: d}
secrets: [{name: s}]
`, ``},
		{"a pod template", "", `
apiVersion: v1
kind: PodTemplate
metadata: {name: a, namespace: d}
template: {spec: {containers: [{name: a, image: i}]}}
`, `
apiVersion: v1
kind: PodTemplate
metadata: {name: a, namespace: d}
template: {spec: {runtimeClassName: x, containers: [{name: a, image: i}]}}
`, `warning: template.spec.runtimeClassName: skiff has one runtime, the field has no effect`},
	} {
		t.Run(test.name, func(t *testing.T) {
			old, obj := parse(t, test.old), parse(t, test.manifest)
			for _, o := range []Object{old, obj} {
				o.SetUID("u")
				o.SetResourceVersion("1")
			}
			before := old.DeepCopyObject()
			wantText(t, verdict(kindOf(t, obj).Update(context.Background(), obj, old, test.subresource)), test.want)
			if !reflect.DeepEqual(old, before) {
				t.Error("the old object was changed")
			}
		})
	}
}

// TestPodUpdatesLeaveTheOldPodToItsReaders updates a pod while somebody reads it as it is stored. A
// write that leaves the value as it was is a race all the same, and only the race detector sees it.
func TestPodUpdatesLeaveTheOldPodToItsReaders(t *testing.T) {
	const manifest = `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d, uid: u, resourceVersion: "1"}
spec: {containers: [{name: a, image: i, volumeMounts: [{name: v, mountPath: /v}]}], volumes: [{name: v, emptyDir: {}}]}
status: {containerStatuses: [{name: a, image: i, imageID: "", volumeMounts: [{name: v, mountPath: /v}]}]}
`
	for _, subresource := range []string{SubresourceNone, SubresourceStatus, SubresourceEphemeral, SubresourceResize} {
		t.Run("subresource "+subresource, func(t *testing.T) {
			old, obj := parse(t, manifest), parse(t, manifest)
			var reader sync.WaitGroup
			reader.Go(func() { old.DeepCopyObject() })
			wantText(t, verdict(kindOf(t, obj).Update(context.Background(), obj, old, subresource)), "")
			reader.Wait()
		})
	}
}
