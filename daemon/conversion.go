package daemon

import (
	"context"
	"time"

	arv1 "k8s.io/api/admissionregistration/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"skiff/manifests/webhook"
)

// conversionTime is how long a conversion webhook may take: upstream's, which no definition changes
// (pkg/apiserver/conversion/webhook_converter.go in k8s.io/apiextensions-apiserver).
const conversionTime = 30 * time.Second

// conversions asks the webhooks that convert custom resources.
type conversions struct{ caller *webhook.Caller }

// Convert implements custom.Webhook.
func (c conversions) Convert(ctx context.Context, config *extv1.WebhookClientConfig, review *extv1.ConversionReview) (*extv1.ConversionReview, error) {
	ctx, cancel := context.WithTimeout(ctx, conversionTime)
	defer cancel()
	target := webhook.TargetOf(arv1.WebhookClientConfig{URL: config.URL, Service: (*arv1.ServiceReference)(config.Service), CABundle: config.CABundle})
	var answer extv1.ConversionReview
	if err := c.caller.Call(ctx, target, review, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}
