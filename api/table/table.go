// Package table lays objects out in rows and columns, for clients that ask the API for a Table:
// kubectl get. Columns and cells are upstream's (k8s.io/kubernetes/pkg/printers/internalversion),
// for the versioned types of k8s.io/api.
package table

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Columns are the columns of a resource's table. Those of priority 1 are for wide output; the
// client leaves them out. A Scale, whatever it scales, has the columns of scales.autoscaling. A
// resource not known here has a name and an age.
func Columns(gr schema.GroupResource) []metav1.TableColumnDefinition {
	return layoutOf(gr).columns()
}

// Rows are the rows of an object or of a list of objects, one for each, with a cell for each column
// including the wide ones. Ages are measured at now. A row's Object is the object itself, not a
// copy. It is an error if an object is not of the resource's type.
func Rows(gr schema.GroupResource, obj runtime.Object, now time.Time) ([]metav1.TableRow, error) {
	l := layoutOf(gr)
	var rows []metav1.TableRow
	add := func(item runtime.Object) error {
		cells, err := l.cells(item, now)
		if err != nil {
			return fmt.Errorf("laying out a row of %s: %w", gr, err)
		}
		rows = append(rows, metav1.TableRow{
			Cells:      cells,
			Conditions: conditions(item),
			Object:     runtime.RawExtension{Object: item},
		})
		return nil
	}
	if !meta.IsListType(obj) {
		return rows, add(obj)
	}
	rows = make([]metav1.TableRow, 0, meta.LenList(obj))
	err := meta.EachListItem(obj, add)
	return rows, err
}

// layout is how a kind of objects looks in a table.
type layout struct {
	columns func() []metav1.TableColumnDefinition
	cells   func(runtime.Object, time.Time) ([]any, error)
}

// layoutOf finds a resource's layout.
func layoutOf(gr schema.GroupResource) layout {
	switch gr.String() {
	case "pods":
		return layout{podColumns, of(podCells)}
	case "podtemplates":
		return layout{podTemplateColumns, of(podTemplateCells)}
	case "replicationcontrollers":
		return layout{replicationControllerColumns, of(replicationControllerCells)}
	case "replicasets.apps":
		return layout{replicaSetColumns, of(replicaSetCells)}
	case "deployments.apps":
		return layout{deploymentColumns, of(deploymentCells)}
	case "statefulsets.apps":
		return layout{statefulSetColumns, of(statefulSetCells)}
	case "daemonsets.apps":
		return layout{daemonSetColumns, of(daemonSetCells)}
	case "controllerrevisions.apps":
		return layout{controllerRevisionColumns, of(controllerRevisionCells)}
	case "poddisruptionbudgets.policy":
		return layout{disruptionBudgetColumns, of(disruptionBudgetCells)}
	case "horizontalpodautoscalers.autoscaling":
		return layout{autoscalerColumns, of(autoscalerCells)}
	case "scales.autoscaling":
		return layout{scaleColumns, of(scaleCells)}
	case "jobs.batch":
		return layout{jobColumns, of(jobCells)}
	case "cronjobs.batch":
		return layout{cronJobColumns, cronJobCellsOf}
	}
	if l, ok := accessLayoutOf(gr); ok {
		return l
	}
	return clusterLayoutOf(gr)
}

// accessLayoutOf finds the layout of a resource by which access is granted.
func accessLayoutOf(gr schema.GroupResource) (layout, bool) {
	switch gr.String() {
	case "roles.rbac.authorization.k8s.io":
		return layout{limitRangeColumns, of(roleCells)}, true
	case "clusterroles.rbac.authorization.k8s.io":
		return layout{limitRangeColumns, of(clusterRoleCells)}, true
	case "rolebindings.rbac.authorization.k8s.io":
		return layout{bindingColumns, of(roleBindingCells)}, true
	case "clusterrolebindings.rbac.authorization.k8s.io":
		return layout{bindingColumns, of(clusterRoleBindingCells)}, true
	case "certificatesigningrequests.certificates.k8s.io":
		return layout{certificateRequestColumns, of(certificateRequestCells)}, true
	}
	return layout{}, false
}

// clusterLayoutOf finds the layout of a resource that is not a workload.
func clusterLayoutOf(gr schema.GroupResource) layout {
	switch gr.String() {
	case "nodes":
		return layout{nodeColumns, of(nodeCells)}
	case "namespaces":
		return layout{namespaceColumns, of(namespaceCells)}
	case "componentstatuses":
		return layout{componentStatusColumns, of(componentStatusCells)}
	case "events", "events.events.k8s.io":
		return layout{eventColumns, eventCellsOf}
	case "leases.coordination.k8s.io":
		return layout{leaseColumns, of(leaseCells)}
	case "priorityclasses.scheduling.k8s.io":
		return layout{priorityClassColumns, of(priorityClassCells)}
	case "configmaps":
		return layout{configMapColumns, of(configMapCells)}
	case "secrets":
		return layout{secretColumns, of(secretCells)}
	case "resourcequotas":
		return layout{resourceQuotaColumns, of(resourceQuotaCells)}
	case "limitranges":
		return layout{limitRangeColumns, of(limitRangeCells)}
	case "services":
		return layout{serviceColumns, of(serviceCells)}
	case "endpoints":
		return layout{endpointsColumns, of(endpointsCells)}
	case "endpointslices.discovery.k8s.io":
		return layout{endpointSliceColumns, of(endpointSliceCells)}
	case "persistentvolumes":
		return layout{volumeColumns, of(volumeCells)}
	case "persistentvolumeclaims":
		return layout{claimColumns, of(claimCells)}
	}
	return driverLayoutOf(gr)
}

// driverLayoutOf finds the layout of a resource that configures what volumes, traffic and
// containers are handed to.
func driverLayoutOf(gr schema.GroupResource) layout {
	switch gr.String() {
	case "ingresses.networking.k8s.io":
		return layout{ingressColumns, of(ingressCells)}
	case "ingressclasses.networking.k8s.io":
		return layout{ingressClassColumns, of(ingressClassCells)}
	case "ipaddresses.networking.k8s.io":
		return layout{ipAddressColumns, of(ipAddressCells)}
	case "networkpolicies.networking.k8s.io":
		return layout{networkPolicyColumns, of(networkPolicyCells)}
	case "servicecidrs.networking.k8s.io":
		return layout{serviceCIDRColumns, of(serviceCIDRCells)}
	case "runtimeclasses.node.k8s.io":
		return layout{runtimeClassColumns, of(runtimeClassCells)}
	case "storageclasses.storage.k8s.io":
		return layout{storageClassColumns, of(storageClassCells)}
	case "csidrivers.storage.k8s.io":
		return layout{csiDriverColumns, of(csiDriverCells)}
	case "csinodes.storage.k8s.io":
		return layout{csiNodeColumns, of(csiNodeCells)}
	case "csistoragecapacities.storage.k8s.io":
		return layout{csiStorageCapacityColumns, of(csiStorageCapacityCells)}
	case "volumeattachments.storage.k8s.io":
		return layout{attachmentColumns, of(attachmentCells)}
	case "volumeattributesclasses.storage.k8s.io":
		return layout{attributesClassColumns, of(attributesClassCells)}
	case "resourceclaims.resource.k8s.io":
		return layout{resourceClaimColumns, of(resourceClaimCells)}
	case "resourceslices.resource.k8s.io":
		return layout{resourceSliceColumns, of(resourceSliceCells)}
	case "flowschemas.flowcontrol.apiserver.k8s.io":
		return layout{flowSchemaColumns, of(flowSchemaCells)}
	case "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io":
		return layout{priorityLevelColumns, of(priorityLevelCells)}
	}
	if gr.Group == "admissionregistration.k8s.io" {
		return admissionLayoutOf(gr)
	}
	return layout{plainColumns, plainCells}
}

// of makes a layout's function of one for objects of a single type.
func of[T runtime.Object](cells func(T, time.Time) []any) func(runtime.Object, time.Time) ([]any, error) {
	return func(obj runtime.Object, now time.Time) ([]any, error) {
		typed, ok := obj.(T)
		if !ok {
			return nil, unexpected(obj)
		}
		return cells(typed, now), nil
	}
}

func unexpected(obj runtime.Object) error { return fmt.Errorf("unexpected type %T", obj) }

// plainColumns serve objects of which nothing is known but that they have a name and an age, as
// service accounts.
func plainColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{nameColumn(), ageColumn()}
}

func plainCells(obj runtime.Object, now time.Time) ([]any, error) {
	m, err := meta.Accessor(obj)
	if err != nil {
		return nil, unexpected(obj)
	}
	return []any{m.GetName(), age(m.GetCreationTimestamp(), now)}, nil
}
