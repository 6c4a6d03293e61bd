package table

import (
	"cmp"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
)

func roleCells(r *rbacv1.Role, _ time.Time) []any {
	return []any{r.Name, r.CreationTimestamp.UTC().Format(time.RFC3339)}
}

func clusterRoleCells(r *rbacv1.ClusterRole, _ time.Time) []any {
	return []any{r.Name, r.CreationTimestamp.UTC().Format(time.RFC3339)}
}

func bindingColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), text("Role", "The role that is granted."), ageColumn(),
		wide(text("Users", "The users who have it.")),
		wide(text("Groups", "The groups whose members have it.")),
		wide(text("ServiceAccounts", "The service accounts that have it.")),
	}
}

func roleBindingCells(b *rbacv1.RoleBinding, now time.Time) []any {
	return append([]any{b.Name, b.RoleRef.Kind + "/" + b.RoleRef.Name, age(b.CreationTimestamp, now)}, subjectCells(b.Subjects)...)
}

func clusterRoleBindingCells(b *rbacv1.ClusterRoleBinding, now time.Time) []any {
	return append([]any{b.Name, b.RoleRef.Kind + "/" + b.RoleRef.Name, age(b.CreationTimestamp, now)}, subjectCells(b.Subjects)...)
}

func subjectCells(subjects []rbacv1.Subject) []any {
	var users, groups, accounts []string
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			users = append(users, s.Name)
		case rbacv1.GroupKind:
			groups = append(groups, s.Name)
		case rbacv1.ServiceAccountKind:
			accounts = append(accounts, s.Namespace+"/"+s.Name)
		}
	}
	return []any{strings.Join(users, ", "), strings.Join(groups, ", "), strings.Join(accounts, ", ")}
}

func certificateRequestColumns() []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameColumn(), ageColumn(), text("SignerName", "Who is to sign the certificate."), text("Requestor", "Who asks for it."),
		text("RequestedDuration", "How long it is to be good for."), text("Condition", "What has become of the request."),
	}
}

func certificateRequestCells(r *certificatesv1.CertificateSigningRequest, now time.Time) []any {
	lasts := none
	if s := r.Spec.ExpirationSeconds; s != nil {
		lasts = duration.HumanDuration(time.Duration(*s) * time.Second)
	}
	return []any{r.Name, age(r.CreationTimestamp, now), cmp.Or(r.Spec.SignerName, none), r.Spec.Username, lasts, certificateRequestStatus(r)}
}

func certificateRequestStatus(r *certificatesv1.CertificateSigningRequest) string {
	has := map[certificatesv1.RequestConditionType]bool{}
	for _, c := range r.Status.Conditions {
		has[c.Type] = true
	}
	status := "Pending"
	switch {
	case has[certificatesv1.CertificateDenied]:
		status = "Denied"
	case has[certificatesv1.CertificateApproved]:
		status = "Approved"
	}
	if has[certificatesv1.CertificateFailed] {
		status += ",Failed"
	}
	if len(r.Status.Certificate) > 0 {
		status += ",Issued"
	}
	return status
}
