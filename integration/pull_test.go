package integration

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/image"

	"skiff/integration/harness"
)

// TestPull pulls from a registry of the test's own: slowly, so that the progress is seen, and with
// an image pull secret.
func TestPull(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	binary := harness.Program(t, "./examples/kubia/app")
	padding := make([]byte, 4<<20)
	if _, err := rand.Read(padding); err != nil {
		t.Fatal(err)
	}
	r := harness.NewRegistry(t, []string{"/kubia"}, map[string][]byte{"kubia": binary, "padding": padding})
	r.User, r.Password, r.PerSecond = "me", "secret", 3<<20
	ref := r.Host + "/team/kubia:v1"
	t.Cleanup(func() {
		// The test's daemon may still have a container of it, so the tag goes by force; the rest
		// goes with that.
		_, err := d.Engine.ImageRemove(context.WithoutCancel(t.Context()), ref, image.RemoveOptions{Force: true, PruneChildren: true})
		if err != nil {
			t.Error(err)
		}
	})
	cli := d.KubectlCLI()
	manifest := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: pulled}\nspec:\n  imagePullSecrets: [{name: registry}]\n  terminationGracePeriodSeconds: 0\n  containers: [{name: kubia, image: %q}]\n", ref)

	cli.DoIn(manifest, "create", "-f", "-")
	harness.Until(t, 20*time.Second, "a pull without its secret is refused", func() bool {
		return strings.Contains(cli.Do("describe", "pod", "pulled"), "no basic auth credentials")
	})
	if text := cli.Do("describe", "pod", "pulled"); !strings.Contains(text, "Unable to retrieve some image pull secrets (registry); attempting to pull the image may not succeed.") {
		t.Errorf("nothing is said of the secret that is missing:\n%s", text)
	}
	cli.Do("delete", "pod", "pulled")

	cli.Do("create", "secret", "docker-registry", "registry", "--docker-server="+r.Host, "--docker-username=me", "--docker-password=secret")
	cli.DoIn(manifest, "create", "-f", "-")
	harness.Until(t, 20*time.Second, "the status says how far the pull is", func() bool {
		return strings.HasPrefix(cli.Do("get", "pod", "pulled", "-o", "jsonpath={.status.containerStatuses[0].state.waiting.message}"), fmt.Sprintf("Pulling image %q: ", ref))
	})
	cli.Do("wait", "--for=condition=Ready", "pod/pulled", "--timeout=30s")
	if text := cli.Do("describe", "pod", "pulled"); !strings.Contains(text, fmt.Sprintf("Successfully pulled image %q in ", ref)) || !strings.Contains(text, "Image size: ") {
		t.Errorf("describe does not tell of the pull:\n%s", text)
	}
	cli.Do("delete", "pod", "pulled")
}
