package rollout

import (
	"context"
	"encoding/json"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
)

// Restart has all pods of a Deployment, StatefulSet or DaemonSet replaced, as rollout restart does.
func Restart(ctx context.Context, c *client.Client, r client.Ref, now time.Time) (*unstructured.Unstructured, error) {
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]string{restartedAnnotation: now.Format(time.RFC3339)}}}}})
	if err != nil {
		return nil, err
	}
	return c.Patch(ctx, r, types.StrategicMergePatchType, patch, client.WriteOptions{Manager: manager})
}
