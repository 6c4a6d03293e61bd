package create

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func subjectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "clusterrole", Usage: "`NAME` of the cluster role to give"},
		&cli.StringSliceFlag{Name: "user", Usage: "`NAME` of a user who gets it; may be repeated"},
		&cli.StringSliceFlag{Name: "group", Usage: "`NAME` of a group that gets it; may be repeated"},
		&cli.StringSliceFlag{Name: "serviceaccount", Usage: "`NAMESPACE:NAME` of a service account that gets it; may be repeated"},
	}
}

func roleBinding() generator {
	return generator{name: "rolebinding", usage: "Create a role binding", flags: append(subjectFlags(), &cli.StringFlag{Name: "role", Usage: "`NAME` of the role to give"}),
		examples: []string{"skiff create rolebinding jane --role=reader --user=jane --serviceaccount=default:robot"},
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
			cluster, own := c.String("clusterrole"), c.String("role")
			if (cluster == "") == (own == "") {
				return nil, errors.New("exactly one of clusterrole or role must be specified")
			}
			ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: own}
			if cluster != "" {
				ref.Kind, ref.Name = "ClusterRole", cluster
			}
			subjects, err := subjects(c)
			return &rbacv1.RoleBinding{TypeMeta: typeMeta(rbacv1.SchemeGroupVersion.WithKind("RoleBinding")), ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects}, err
		}}
}

func clusterRoleBinding() generator {
	return generator{name: "clusterrolebinding", usage: "Create a cluster role binding", flags: subjectFlags(),
		examples: []string{"skiff create clusterrolebinding admins --clusterrole=cluster-admin --group=admins"},
		make: func(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
			if c.String("clusterrole") == "" {
				return nil, errors.New("required flag(s) \"clusterrole\" not set")
			}
			ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: c.String("clusterrole")}
			subjects, err := subjects(c)
			return &rbacv1.ClusterRoleBinding{TypeMeta: typeMeta(rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding")), ObjectMeta: metav1.ObjectMeta{Name: name}, RoleRef: ref, Subjects: subjects}, err
		}}
}

// subjects are those who get a role.
func subjects(c *cli.Context) ([]rbacv1.Subject, error) {
	var out []rbacv1.Subject
	for _, name := range c.StringSlice("user") {
		out = append(out, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: name})
	}
	for _, name := range c.StringSlice("group") {
		out = append(out, rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: name})
	}
	for _, account := range c.StringSlice("serviceaccount") {
		namespace, name, ok := strings.Cut(account, ":")
		if !ok || namespace == "" || name == "" || strings.Contains(name, ":") {
			return nil, errors.New("serviceaccount must be <namespace>:<name>")
		}
		out = append(out, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name})
	}
	return out, nil
}
