package manifests

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/featuregate"
	"k8s.io/kubernetes/pkg/features"
)

// inventory says of each field of a type what becomes of it. A field may be in several lists: some
// of its values are honoured and others are not.
type inventory struct {
	of reflect.Type
	// honoured fields are acted on, unhonoured ones warned of by unsupported.go, and gated ones
	// dropped before anything is stored, for upstream has them behind a feature gate that is off.
	honoured, unhonoured, gated string
	// warned are the names in unsupported.go's table of the type, nil for what it warns of by other
	// means.
	warned []string
}

var inventories = []inventory{
	{
		of: reflect.TypeFor[corev1.PodSpec](), warned: namesOf(unhonouredPodFields),
		honoured: `volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds
			activeDeadlineSeconds dnsPolicy nodeSelector serviceAccount serviceAccountName automountServiceAccountToken nodeName hostNetwork hostPID hostIPC
			shareProcessNamespace securityContext imagePullSecrets hostname affinity tolerations hostAliases priorityClassName
			priority dnsConfig readinessGates enableServiceLinks preemptionPolicy topologySpreadConstraints schedulingGates
			hostnameOverride resources`,
		unhonoured: `dnsPolicy subdomain schedulerName runtimeClassName overhead
			setHostnameAsFQDN os hostUsers resourceClaims schedulingGroup evictionResponders`,
	},
	{
		of: reflect.TypeFor[corev1.Container](),
		honoured: `name image command args workingDir ports envFrom env resources restartPolicy restartPolicyRules volumeMounts
			livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath terminationMessagePolicy imagePullPolicy
			securityContext stdin stdinOnce tty resizePolicy`,
		unhonoured: `volumeDevices`, warned: namesOf(unhonouredContainerFields),
	},
	// An EphemeralContainerCommon is a Container by another name: the compiler says so where the
	// one is made the other.
	{of: reflect.TypeFor[corev1.EphemeralContainer](), honoured: `EphemeralContainerCommon targetContainerName`},
	{
		of: reflect.TypeFor[corev1.PodSecurityContext](), warned: namesOf(unhonouredPodSecurity),
		honoured: `runAsUser runAsGroup runAsNonRoot supplementalGroups supplementalGroupsPolicy fsGroup sysctls seccompProfile
			appArmorProfile`,
		unhonoured: `seLinuxOptions windowsOptions fsGroupChangePolicy seccompProfile seLinuxChangePolicy`,
	},
	{
		of: reflect.TypeFor[corev1.SecurityContext](), warned: namesOf(unhonouredContainerSecurity),
		honoured: `capabilities privileged runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem allowPrivilegeEscalation
			seccompProfile appArmorProfile`,
		unhonoured: `seLinuxOptions windowsOptions procMount seccompProfile`,
	},
	{of: reflect.TypeFor[corev1.Lifecycle](), honoured: `postStart preStop stopSignal`},
	{of: reflect.TypeFor[corev1.LifecycleHandler](), honoured: `exec httpGet tcpSocket sleep`},
	{
		of: reflect.TypeFor[corev1.Probe](),
		honoured: `ProbeHandler initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold
			terminationGracePeriodSeconds`,
	},
	{of: reflect.TypeFor[corev1.ProbeHandler](), honoured: `exec httpGet tcpSocket grpc`},
	{of: reflect.TypeFor[corev1.HTTPGetAction](), honoured: `path port host scheme httpHeaders`, gated: `protocol`},
	{of: reflect.TypeFor[corev1.GRPCAction](), honoured: `port service`, gated: `mode`},
	{of: reflect.TypeFor[corev1.ResourceRequirements](), honoured: `limits requests`, unhonoured: `claims`},
	{of: reflect.TypeFor[corev1.ContainerRestartRule](), honoured: `action exitCodes`},
	{of: reflect.TypeFor[corev1.PodDNSConfig](), honoured: `nameservers searches options`},
	{of: reflect.TypeFor[corev1.EnvVarSource](), honoured: `fieldRef resourceFieldRef configMapKeyRef secretKeyRef fileKeyRef`},
	{of: reflect.TypeFor[corev1.EnvFromSource](), honoured: `prefix configMapRef secretRef`},
	{
		of: reflect.TypeFor[corev1.VolumeMount](), warned: namesOf(unhonouredMountFields),
		honoured:   `name readOnly mountPath subPath mountPropagation subPathExpr`,
		unhonoured: `recursiveReadOnly bindMountOptions`,
	},
	{
		of: reflect.TypeFor[corev1.VolumeSource](), honoured: strings.Join(honouredVolumes, " "),
		unhonoured: `gcePersistentDisk awsElasticBlockStore gitRepo nfs iscsi glusterfs rbd flexVolume cinder cephfs flocker fc
			azureFile vsphereVolume quobyte azureDisk photonPersistentDisk portworxVolume scaleIO storageos csi ephemeral`,
	},
	{
		of: reflect.TypeFor[corev1.EmptyDirVolumeSource](), warned: namesOf(unhonouredEmptyDirFields),
		honoured: `medium sizeLimit`, unhonoured: `medium sizeLimit`, gated: `mode`,
	},
	{of: reflect.TypeFor[corev1.HostPathVolumeSource](), honoured: `path type`},
	{of: reflect.TypeFor[corev1.ConfigMapVolumeSource](), honoured: `LocalObjectReference items defaultMode optional`, gated: `defaultUser`},
	{of: reflect.TypeFor[corev1.SecretVolumeSource](), honoured: `secretName items defaultMode optional`, gated: `defaultUser`},
	{of: reflect.TypeFor[corev1.DownwardAPIVolumeSource](), honoured: `items defaultMode`, gated: `defaultUser`},
	{of: reflect.TypeFor[corev1.ProjectedVolumeSource](), honoured: `sources defaultMode`, gated: `defaultUser`},
	{
		of: reflect.TypeFor[corev1.VolumeProjection](), warned: namesOf(unhonouredProjections),
		honoured: `secret downwardAPI configMap serviceAccountToken`, unhonoured: `clusterTrustBundle podCertificate`,
	},
	{of: reflect.TypeFor[corev1.KeyToPath](), honoured: `key path mode`, gated: `user`},
	{of: reflect.TypeFor[corev1.PersistentVolumeClaimVolumeSource](), honoured: `claimName readOnly`},
}

func namesOf[T any](table []unhonouredField[T]) []string {
	names := make([]string, len(table))
	for i, f := range table {
		names[i] = f.name
	}
	return names
}

// fieldsOf are a type's fields as a manifest has them; an embedded one bears its type's name.
func fieldsOf(of reflect.Type) []string {
	var names []string
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name == "" {
			name = of.Field(i).Name
		}
		names = append(names, name)
	}
	return names
}

// TestEveryFieldIsAccountedFor notices the fields that come with a new version of Kubernetes: each
// must be honoured or warned of, and then be listed here.
func TestEveryFieldIsAccountedFor(t *testing.T) {
	for _, i := range inventories {
		fields := fieldsOf(i.of)
		listed := strings.Fields(i.honoured + " " + i.unhonoured + " " + i.gated)
		for _, name := range fields {
			if !slices.Contains(listed, name) {
				t.Errorf("%s.%s is new: honour it, or warn of it in unsupported.go, and list it here", i.of.Name(), name)
			}
		}
		for _, name := range listed {
			if !slices.Contains(fields, name) {
				t.Errorf("%s.%s is listed but is no more", i.of.Name(), name)
			}
		}
		for _, name := range strings.Fields(i.unhonoured) {
			if i.warned != nil && !slices.Contains(i.warned, name) {
				t.Errorf("%s.%s is listed as unhonoured, but unsupported.go does not warn of it", i.of.Name(), name)
			}
		}
	}
}

// TestGatedFieldsAreDropped notices when a field that inventories lists as gated can be set.
func TestGatedFieldsAreDropped(t *testing.T) {
	for _, gate := range []featuregate.Feature{
		features.EmptyDirVolumeMode, features.GRPCContainerProbeTLS, features.AtomicWriteVolumeUserFields, features.H2CContainerProbe,
	} {
		if utilfeature.DefaultFeatureGate.Enabled(gate) {
			t.Errorf("%s is on: its fields can be set", gate)
		}
	}
}
