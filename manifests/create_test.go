package manifests

import (
	"context"
	"testing"
)

// TestCreateReviews holds what upstream says of objects on their creation, by
// field path and reason, and what skiff adds.
func TestCreateReviews(t *testing.T) {
	for _, test := range []struct{ name, manifest, want string }{
		{"a key that is no file name", `
apiVersion: v1
kind: ConfigMap
metadata: {name: a, namespace: d}
data: {"bad key": x}
`, `data[bad key]: Invalid value: "bad key": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`},
		{"a pod without containers", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {containers: []}
`, `spec.containers: Required value`},
		{"a pod with much wrong", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d, labels: {"no spaces": "x y"}}
spec:
  restartPolicy: Sometimes
  activeDeadlineSeconds: 0
  containers:
  - name: Main
    image: ""
    ports:
    - {containerPort: 70000}
    - {containerPort: 80, protocol: ICMP}
    env:
    - {name: "1 2", value: x}
    - {name: A, value: x, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    livenessProbe: {httpGet: {path: /, port: 0}, periodSeconds: -1}
    readinessProbe: {}
    volumeMounts:
    - {name: nowhere, mountPath: /a}
    resources: {requests: {cpu: 2}, limits: {cpu: 1}}
  volumes:
  - {name: v}
`, `
metadata.labels: Invalid value: "no spaces": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
metadata.labels: Invalid value: "x y": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')
spec.containers[0].name: Invalid value: "Main": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
spec.containers[0].image: Required value
spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive
spec.containers[0].ports[1].protocol: Unsupported value: "ICMP": supported values: "SCTP", "TCP", "UDP"
spec.containers[0].env[1].valueFrom: Invalid value: "": may not be specified when ` + "`" + `value` + "`" + ` is not empty
spec.containers[0].volumeMounts[0].name: Not found: "nowhere"
spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1
spec.containers[0].livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive
spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0
spec.containers[0].readinessProbe: Required value: must specify a handler type
spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"
spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive`},
		{"a name that is no hostname", `
apiVersion: v1
kind: Pod
metadata: {name: a.b, namespace: d}
spec: {containers: [{name: a, image: i}]}
`, `warning: metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]`},
		{"a pod of which skiff honours little", `
apiVersion: v1
kind: Pod
metadata:
  name: a
  namespace: d
  annotations: {container.apparmor.security.beta.kubernetes.io/a: unconfined}
spec:
  serviceAccountName: sa
  schedulerName: mine
  dnsPolicy: ClusterFirstWithHostNet
  runtimeClassName: gvisor
  subdomain: sub
  setHostnameAsFQDN: true
  hostUsers: false
  imagePullSecrets: [{name: s}]
  automountServiceAccountToken: true
  affinity: {podAffinity: {}, podAntiAffinity: {}, nodeAffinity: {}}
  overhead: {cpu: 1}
  os: {name: linux}
  resourceClaims: [{name: rc, resourceClaimName: x}]
  topologySpreadConstraints: [{maxSkew: 1, topologyKey: k, whenUnsatisfiable: DoNotSchedule, labelSelector: {}}]
  securityContext:
    fsGroup: 1
    fsGroupChangePolicy: Always
    sysctls: [{name: net.a, value: "1"}]
    seccompProfile: {type: Localhost, localhostProfile: x}
    supplementalGroupsPolicy: Strict
    seLinuxOptions: {level: l}
  initContainers:
  - name: init
    image: i
    securityContext: {procMount: Default, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: a
    image: i
    restartPolicy: Never
    securityContext: {seccompProfile: {type: Unconfined}, seLinuxOptions: {level: l}}
    lifecycle: {preStop: {exec: {command: [a]}}}
    resources: {limits: {cpu: 1, memory: 1Gi, ephemeral-storage: 1Gi, example.com/gpu: 1, hugepages-2Mi: 4Mi}, requests: {example.com/gpu: 1}}
    volumeMounts:
    - {name: claim, mountPath: /a, mountPropagation: HostToContainer}
    - {name: host, mountPath: /b, readOnly: true, recursiveReadOnly: Enabled}
  volumes:
  - {name: claim, persistentVolumeClaim: {claimName: c}}
  - {name: host, hostPath: {path: /}}
  - {name: token, projected: {sources: [{serviceAccountToken: {path: t}}, {configMap: {name: c}}]}}
  - {name: nfs, nfs: {server: s, path: /}}
  - {name: huge, emptyDir: {medium: HugePages}}
  - {name: small, emptyDir: {sizeLimit: 1Gi}}
  - {name: quick, emptyDir: {medium: Memory, sizeLimit: 1Gi}}
`, `
warning: spec.runtimeClassName: skiff has one runtime, the field has no effect
warning: spec.overhead: skiff has one runtime, the field counts when a node is chosen and has no other effect
warning: spec.subdomain: skiff has no cluster DNS, other pods can not resolve the name
warning: spec.dnsPolicy: skiff has no cluster DNS, the pod asks the node's name servers
warning: spec.setHostnameAsFQDN: skiff has no cluster DNS, the field has no effect
warning: spec.hostUsers: skiff does not use user namespaces, the field has no effect
warning: spec.resourceClaims: skiff does not allocate devices, the field has no effect
warning: spec.schedulerName: skiff's scheduler is default-scheduler, the pod stays pending until another one binds it
warning: spec.securityContext.seLinuxOptions: skiff does not set SELinux labels, the field has no effect
warning: spec.securityContext.fsGroupChangePolicy: skiff gives volumes their group when it makes them, the field has no effect
warning: spec.securityContext.seccompProfile: skiff loads no seccomp profiles from the node, the pod will not start
warning: spec.volumes[3].nfs: skiff can not mount volumes of this kind, the pod will not start
warning: spec.volumes[4].emptyDir.medium: skiff can not make volumes of huge pages, the pod will not start
warning: spec.volumes[5].emptyDir.sizeLimit: skiff does not limit the size of volumes on disk, the field has no effect
warning: spec.containers[0].securityContext.seLinuxOptions: skiff does not set SELinux labels, the field has no effect
warning: spec.containers[0].volumeMounts[1].recursiveReadOnly: skiff can not make submounts read-only, the pod will not start
warning: spec.containers[0].resources.limits[ephemeral-storage]: skiff limits cpu and memory only, the field has no effect
warning: spec.containers[0].resources.limits[example.com/gpu]: skiff's nodes do not offer example.com/gpu, the pod will stay Pending until one has it in its status.capacity
warning: spec.containers[0].resources.limits[hugepages-2Mi]: skiff's nodes do not offer hugepages-2Mi, the pod will stay Pending until one has it in its status.capacity`},
		{"what a container can not have", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec:
  containers:
  - name: a
    image: i
    volumeDevices: [{name: block, devicePath: /dev/block}]
    env: [{name: E, valueFrom: {fileKeyRef: {volumeName: v, path: p, key: k}}}]
    resizePolicy: [{resourceName: cpu, restartPolicy: NotRequired}]
    restartPolicy: Never
    restartPolicyRules:
    - {action: Restart, exitCodes: {operator: In, values: [1]}}
    - {action: RestartAllContainers, exitCodes: {operator: In, values: [2]}}
  volumes:
  - {name: block, persistentVolumeClaim: {claimName: c}}
  - {name: v, emptyDir: {}}
`, `
warning: spec.containers[0].volumeDevices: skiff has no block volumes, the container will not be created`},
		{"a memory limit that the engine does not take", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec:
  containers:
  - {name: a, image: i, resources: {requests: {memory: 4Mi}, limits: {memory: 4Mi}}}
  - {name: b, image: i, resources: {requests: {memory: 4Mi}, limits: {memory: 6Mi}}}
`, `
warning: spec.containers[0].resources.limits[memory]: the Docker Engine takes no limit below 6Mi, the container will not be created`},
		{"limits of a pod that its containers keep", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec:
  resources: {requests: {cpu: 2, memory: 2Gi}, limits: {cpu: 2, memory: 2Gi}}
  initContainers:
  - {name: init, image: i}
  - {name: side, image: i, restartPolicy: Always, resources: {limits: {cpu: 1, memory: 1Gi}}}
  containers:
  - {name: a, image: i, resources: {limits: {cpu: 1, memory: 1Gi}}}
`, ``},
		{"limits of a pod of one container", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec: {resources: {limits: {cpu: 2, memory: 2Gi}}, initContainers: [{name: init, image: i}], containers: [{name: a, image: i}]}
`, ``},
		{"limits of a pod that nobody keeps", `
apiVersion: batch/v1
kind: CronJob
metadata: {name: a, namespace: d}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          resources: {limits: {cpu: 2, memory: 2Gi}}
          containers:
          - {name: a, image: i, resources: {limits: {cpu: 1}}}
          - {name: b, image: i, resources: {limits: {cpu: 1500m, memory: 1Gi}}}
`, `
spec.jobTemplate.spec.template.spec.resources.limits[cpu]: Forbidden: the Docker Engine limits containers, and no group of them: give each container a limit, so that together they keep the pod's
spec.jobTemplate.spec.template.spec.resources.limits[memory]: Forbidden: the Docker Engine limits containers, and no group of them: give each container a limit, so that together they keep the pod's`},
		{"a pod that skiff honours in full", `
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: d}
spec:
  shareProcessNamespace: true
  readinessGates: [{conditionType: a/b}]
  affinity: {nodeAffinity: {}}
  hostNetwork: true
  hostPID: true
  hostname: h
  hostAliases: [{ip: 10.0.0.1, hostnames: [x]}]
  dnsPolicy: None
  dnsConfig: {nameservers: [10.0.0.1]}
  terminationGracePeriodSeconds: 0
  activeDeadlineSeconds: 5
  priority: 0
  tolerations: [{operator: Exists}]
  nodeSelector: {a: b}
  securityContext: {runAsUser: 1, runAsGroup: 1, runAsNonRoot: true, supplementalGroups: [1], fsGroup: 1, seccompProfile: {type: RuntimeDefault}, appArmorProfile: {type: Unconfined}}
  initContainers:
  - {name: side, image: i, restartPolicy: Always}
  containers:
  - name: a
    image: i
    command: [a]
    tty: true
    stdin: true
    ports: [{containerPort: 80, hostPort: 80, name: http}]
    env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]
    envFrom: [{secretRef: {name: s}}]
    livenessProbe: {httpGet: {port: http}}
    startupProbe: {grpc: {port: 80}}
    resources: {limits: {cpu: 1, memory: 1Gi}}
    securityContext: {privileged: true, capabilities: {add: [NET_ADMIN]}, readOnlyRootFilesystem: true}
    volumeMounts: [{name: e, mountPath: /a, subPath: s, readOnly: true}]
  volumes:
  - {name: e, emptyDir: {medium: Memory}}
  - {name: s, secret: {secretName: s}}
  - {name: w, downwardAPI: {items: [{path: p, fieldRef: {fieldPath: metadata.name}}]}}
`, `spec.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled`},
		{"a selector that does not match the template", `
apiVersion: v1
kind: ReplicationController
metadata: {name: a, namespace: d}
spec:
  replicas: -1
  minReadySeconds: -1
  selector: {app: kubia}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: a, image: i}], restartPolicy: Never}}
`, `
spec.template.metadata.labels: Invalid value: {"app":"other"}: ` + "`" + `selector` + "`" + ` does not match template ` + "`" + `labels` + "`" + `
spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"
spec.replicas: Invalid value: -1: must be greater than or equal to 0
spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0`},
		{"a controller without a template", `
apiVersion: v1
kind: ReplicationController
metadata: {name: a, namespace: d}
spec: {selector: {app: kubia}}
`, `spec.template: Required value`},
		{"a template that skiff does not honour in full", `
apiVersion: v1
kind: ReplicationController
metadata: {name: a.b, namespace: d}
spec:
  template:
    metadata: {labels: {app: a}}
    spec: {runtimeClassName: x, containers: [{name: a, image: i}]}
`, `
warning: metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]
warning: spec.template.spec.runtimeClassName: skiff has one runtime, the field has no effect`},
		{"a replica set's bad selector", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchExpressions: [{key: app, operator: In}, {key: app, operator: Foo}, {key: app, operator: Exists, values: [x]}]}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: a, image: i}]}}
`, `
spec.selector.matchExpressions[0].values: Required value: must be specified when ` + "`" + `operator` + "`" + ` is 'In' or 'NotIn'
spec.selector.matchExpressions[1].operator: Invalid value: "Foo": not a valid selector operator
spec.selector.matchExpressions[2].values: Forbidden: may not be specified when ` + "`" + `operator` + "`" + ` is 'Exists' or 'DoesNotExist'
spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"In"},{"key":"app","operator":"Foo"},{"key":"app","operator":"Exists","values":["x"]}]}: invalid label selector`},
		{"a replica set without a selector", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: a, image: i}]}}
`, `
spec.selector: Required value
spec.template.metadata.labels: Invalid value: {"app":"other"}: ` + "`" + `selector` + "`" + ` does not match template ` + "`" + `labels` + "`" + ``},
		{"a replica set that would own others' pods", `
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: kubia}}
  template: {metadata: {labels: {app: other}}, spec: {containers: [{name: a, image: i}]}}
`, `spec.template.metadata.labels: Invalid value: {"app":"other"}: ` + "`" + `selector` + "`" + ` does not match template ` + "`" + `labels` + "`" + ``},
		{"a pod template", `
apiVersion: v1
kind: PodTemplate
metadata: {name: a, namespace: d}
template: {spec: {containers: [{name: a}]}}
`, `template.spec.containers[0].image: Required value`},
		{"a secret's data", `
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: d}
type: kubernetes.io/dockerconfigjson
data: {"a/b": eA==}
`, `
data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')
data[.dockerconfigjson]: Required value`},
		{"a TLS secret", `
apiVersion: v1
kind: Secret
metadata: {name: a, namespace: d}
type: kubernetes.io/tls
stringData: {tls.crt: "x", tls.key: "y"}
`, `warning: tls: failed to find any PEM data in certificate input`},
		{"a service", `
apiVersion: v1
kind: Service
metadata: {name: A, namespace: d}
spec: {ports: [{port: 0}, {port: 80}], type: Odd, clusterIPs: [x]}
`, `
metadata.name: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
spec.ports[0].name: Required value
spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive
spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive
spec.ports[1].name: Required value
spec.clusterIPs: Invalid value: ["x"]: must be empty when ` + "`" + `clusterIP` + "`" + ` is not specified
spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
spec.type: Unsupported value: "Odd": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"`},
		{"a service with an address", `
apiVersion: v1
kind: Service
metadata: {name: a, namespace: d}
spec: {ports: [{port: 80}], clusterIP: 10.96.0.9, clusterIPs: [10.96.0.9], ipFamilies: [IPv4], ipFamilyPolicy: SingleStack}
`, ``},
		{"an ingress of an old class", `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a, namespace: d, annotations: {kubernetes.io/ingress.class: nginx}}
spec: {defaultBackend: {service: {name: s, port: {number: 80}}}}
`, `warning: annotation "kubernetes.io/ingress.class" is deprecated, please use 'spec.ingressClassName' instead`},
		{"an ingress class", `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: a}
spec: {controller: example.com/c}
`, ``},
		{"a service CIDR", `
apiVersion: networking.k8s.io/v1
kind: ServiceCIDR
metadata: {name: a}
spec: {cidrs: [10.0.0.1/24, 10.1.0.0/24]}
`, `
spec.cidrs[0]: Invalid value: "10.0.0.1/24": must not have bits set beyond the prefix length
spec.cidrs: Invalid value: ["10.0.0.1/24","10.1.0.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64`},
		{"an IP address", `
apiVersion: networking.k8s.io/v1
kind: IPAddress
metadata: {name: 010.0.0.1}
spec: {parentRef: {resource: services, namespace: d}}
`, `
metadata.name: Invalid value: "010.0.0.1": must not have leading 0s
spec.parentRef.name: Required value`},
		{"a network policy", `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: a, namespace: d}
spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: "2001:DB8::/32"}}]}]}
`, `
warning: skiff enforces no network policies yet: the object is stored, and no traffic is kept out by it
warning: spec.ingress[0].from[0].ipBlock.cidr: IPv6 CIDR value "2001:DB8::/32" should be in RFC 5952 canonical format ("2001:db8::/32")`},
		{"endpoints", `
apiVersion: v1
kind: Endpoints
metadata: {name: a, namespace: d}
subsets: [{addresses: [{ip: x}], ports: [{port: 80}]}]
`, `
subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)
subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address`},
		{"an endpoint slice", `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a, namespace: d}
addressType: IPv4
endpoints: [{addresses: [010.0.0.1]}, {addresses: []}]
`, `
endpoints[0].addresses[0]: Invalid value: "010.0.0.1": must not have leading 0s
endpoints[1].addresses: Required value`},
		{"a namespace", `
apiVersion: v1
kind: Namespace
metadata: {name: a.b}
`, `metadata.name: Invalid value: "a.b": must not contain dots`},
		{"a node", `
apiVersion: v1
kind: Node
metadata: {name: a}
spec: {podCIDRs: [x], taints: [{key: a}]}
`, `
metadata.taints[0].effect: Required value
spec.podCIDRs[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)`},
		{"a claim", `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a, namespace: d}
spec: {accessModes: []}
`, `
spec.accessModes: Required value: at least 1 access mode is required
spec.resources[storage]: Required value`},
		{"a claim that nothing provides", `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: a, namespace: d}
spec: {accessModes: [ReadWriteOnce], volumeMode: Block, resources: {requests: {storage: 1Gi}}}
`, `warning: spec.volumeMode: skiff has no block volumes, the claim stays pending`},
		{"a volume", `
apiVersion: v1
kind: PersistentVolume
metadata: {name: a}
spec: {accessModes: [Odd]}
`, `
spec.accessModes: Unsupported value: "Odd": supported values: "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"
spec.capacity: Required value
spec.capacity: Unsupported value: null: supported values: "storage"
spec: Required value: must specify a volume type`},
		{"a quota", `
apiVersion: v1
kind: ResourceQuota
metadata: {name: a, namespace: d}
spec: {hard: {cpu: 2, limits.cpu: 1, "requests.memory": 2Gi, "limits.memory": 1Gi, pods: 1}}
`, `
warning: ResourceQuota cpu (2) should be less than limits.cpu (1)
warning: ResourceQuota requests.memory (2Gi) should be less than limits.memory (1Gi)`},
		{"a quota of nothing", `
apiVersion: v1
kind: ResourceQuota
metadata: {name: a, namespace: d}
spec: {hard: {pods: -1}}
`, `spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0`},
		{"a limit range", `
apiVersion: v1
kind: LimitRange
metadata: {name: a, namespace: d}
spec: {limits: [{type: Container, min: {cpu: 2}, max: {cpu: 1}}]}
`, `
spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1
spec.limits[0].defaultRequest[cpu]: Invalid value: "1": min value 2 is greater than default request value 1
spec.limits[0].default[cpu]: Invalid value: "2": min value 2 is greater than default value 1`},
		{"a lease", `
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {name: a, namespace: d}
spec: {leaseDurationSeconds: 0, leaseTransitions: -1}
`, `
spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0
spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0`},
		{"a disruption budget", `
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: a, namespace: d}
spec: {minAvailable: -1, maxUnavailable: 101%, unhealthyPodEvictionPolicy: Odd}
`, `
spec: Invalid value: {"MinAvailable":-1,"Selector":null,"MaxUnavailable":"101%","UnhealthyPodEvictionPolicy":"Odd"}: minAvailable and maxUnavailable cannot be both set
spec.minAvailable: Invalid value: -1: must be greater than or equal to 0
spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%
spec.unhealthyPodEvictionPolicy: Unsupported value: "Odd": supported values: "AlwaysAllow", "IfHealthyBudget"`},
		{"a priority class", `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: system-mine}
value: 5
preemptionPolicy: Odd
`, `
metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-mine is not a known system priority class
preemptionPolicy: Unsupported value: "Odd": supported values: "PreemptLowerPriority", "Never"`},
		{"a priority that is the system's", `
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: mine}
value: 2000000000
`, `value: Forbidden: maximum allowed value of a user defined priority is 1000000000`},
		{"a revision", `
apiVersion: apps/v1
kind: ControllerRevision
metadata: {name: a, namespace: d}
revision: -1
`, `
revision: Invalid value: -1: must be greater than or equal to 0
data: Required value: data is mandatory`},
		{"an event", `
apiVersion: v1
kind: Event
metadata: {name: a, namespace: d}
involvedObject: {kind: Pod, namespace: other, name: p}
`, `involvedObject.namespace: Invalid value: "other": does not match event.namespace`},
		{"a service account", `
apiVersion: v1
kind: ServiceAccount
metadata: {name: a, namespace: d, annotations: {kubernetes.io/enforce-mountable-secrets: "true"}}
secrets: [{name: s, kind: Secret}]
`, `warning: metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`},
		{"owners", `
apiVersion: v1
kind: ConfigMap
metadata:
  name: a
  namespace: d
  finalizers: [x]
  ownerReferences:
  - {apiVersion: v1, kind: Pod, name: p, uid: ""}
  - {apiVersion: v1, kind: Pod, name: p, uid: u, controller: true}
  - {apiVersion: v1, kind: Pod, name: q, uid: w, controller: true}
`, `
metadata.ownerReferences[0].uid: Required value: must not be empty
metadata.ownerReferences: Invalid value: [{"apiVersion":"v1","kind":"Pod","name":"p","uid":""},{"apiVersion":"v1","kind":"Pod","name":"p","uid":"u","controller":true},{"apiVersion":"v1","kind":"Pod","name":"q","uid":"w","controller":true}]: Only one reference can have Controller set to true. Found "true" in references for Pod/p and Pod/q
metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified`},
		{"a deployment", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: a.b, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}]}}
`, `spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when ` + "`" + `maxSurge` + "`" + ` is 0`},
		{"a daemon set", `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: a, namespace: d}
spec:
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {restartPolicy: OnFailure, containers: [{name: a, image: i}]}}
`, `spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"`},
		{"a stateful set", `
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: a, namespace: d}
spec:
  serviceName: a
  replicas: -1
  revisionHistoryLimit: -1
  selector: {matchLabels: {app: x}}
  template: {metadata: {labels: {app: x}}, spec: {containers: [{name: a, image: i}]}}
`, `spec.replicas: Invalid value: -1: must be greater than or equal to 0`},
		{"a job", `
apiVersion: batch/v1
kind: Job
metadata: {name: a, namespace: d, uid: u}
spec:
  completions: -1
  backoffLimit: -1
  template: {metadata: {labels: {job-name: other}}, spec: {restartPolicy: Always, runtimeClassName: r, containers: [{name: a, image: i}]}}
`, `
spec.template.metadata.labels[job-name]: Invalid value: {"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"a","controller-uid":"u","job-name":"other"}: must be 'a'
spec.completions: Invalid value: -1: must be greater than or equal to 0
spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0
spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"`},
		{"a job that skiff does not honour in full", `
apiVersion: batch/v1
kind: Job
metadata: {name: a, namespace: d, uid: u}
spec:
  template: {spec: {restartPolicy: Never, runtimeClassName: r, containers: [{name: a, image: i}]}}
`, `warning: spec.template.spec.runtimeClassName: skiff has one runtime, the field has no effect`},
		{"a cron job", `
apiVersion: batch/v1
kind: CronJob
metadata: {name: a, namespace: d}
spec:
  schedule: "61 * * * *"
  timeZone: Nowhere/Else
  concurrencyPolicy: Perhaps
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: i}]}}}}
`, `
spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61
spec.timeZone: Invalid value: "Nowhere/Else": unknown time zone Nowhere/Else
spec.concurrencyPolicy: Unsupported value: "Perhaps": supported values: "Allow", "Forbid", "Replace"`},
		{"a cron job of the old version", `
apiVersion: batch/v1beta1
kind: CronJob
metadata: {name: a, namespace: d}
spec:
  schedule: "0,15,30,45 * * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: a, image: i}]}}}}
`, ``},
	} {
		t.Run(test.name, func(t *testing.T) {
			obj := parse(t, test.manifest)
			wantText(t, verdict(kindOf(t, obj).Create(context.Background(), obj)), test.want)
		})
	}
}
