package create

import (
	"errors"
	"strings"

	"github.com/urfave/cli/v2"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
)

func deployment() generator {
	return generator{name: "deployment", aliases: []string{"deploy"}, usage: "Create a deployment that runs an image",
		flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "image", Usage: "`IMAGE` to run; may be repeated, each is a container"},
			&cli.IntFlag{Name: "port", Value: -1, Usage: "`PORT` that the first container listens on"},
			&cli.IntFlag{Name: "replicas", Aliases: []string{"r"}, Value: 1, Usage: "`COUNT` of replicas"},
		},
		examples: []string{"skiff create deployment kubia --image=kubia", "skiff create deployment kubia --image=kubia --replicas=3 --port=8080",
			"skiff create deployment clock --image=busybox -- date"},
		make: makeDeployment}
}

func makeDeployment(c *cli.Context, _ *maker, name string) (runtime.Object, error) {
	images, words := c.StringSlice("image"), c.Args().Slice()[1:]
	switch {
	case len(images) == 0:
		return nil, errors.New("required flag(s) \"image\" not set")
	case len(images) > 1 && len(words) > 0:
		return nil, errors.New("cannot specify multiple --image options and command")
	}
	labels := map[string]string{"app": name}
	o := &appsv1.Deployment{
		TypeMeta: typeMeta(appsv1.SchemeGroupVersion.WithKind("Deployment")), ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To(int32(c.Int("replicas"))), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
		},
	}
	spec := &o.Spec.Template.Spec
	for _, image := range images {
		spec.Containers = append(spec.Containers, corev1.Container{Name: containerName(image), Image: image, Command: words})
	}
	if port := c.Int("port"); port >= 0 {
		spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: int32(port)}}
	}
	return o, nil
}

// containerName is an image's own name, without registry, tag and digest. A name that no container
// may have is changed and, because two may become the same, made unique.
func containerName(image string) string {
	name := image[strings.LastIndexByte(image, '/')+1:]
	name, _, _ = strings.Cut(name, ":")
	name, _, _ = strings.Cut(name, "@")
	if strings.ContainsAny(name, "_.") {
		name = strings.NewReplacer("_", "-", ".", "-").Replace(name) + "-" + rand.String(5)
	}
	return name
}
