package up

import (
	"context"
	"fmt"
	"regexp"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"skiff/cli/client"
	"skiff/cli/resource"
)

// Claims, and the definitions of kinds with the objects of these, outlive the application unless
// --volumes is given, as named volumes outlive docker compose down: whoever deletes a claim deletes
// its data.

// chosen are the objects to delete for these targets.
func (d *deleter) chosen(ctx context.Context, targets []resource.Target) ([]resource.Target, error) {
	if d.volumes {
		return d.withSetClaims(ctx, targets)
	}
	return d.withoutClaims(ctx, targets)
}

// withoutClaims are the targets that are deleted while claims are kept. A namespace that holds
// claims is kept for their sake.
func (d *deleter) withoutClaims(ctx context.Context, targets []resource.Target) ([]resource.Target, error) {
	var out []resource.Target
	for _, t := range targets {
		kept, err := d.keeps(ctx, t)
		switch {
		case err != nil:
			return nil, err
		case kept != "":
			d.report(t.Ref, kept)
		default:
			out = append(out, t)
		}
	}
	return out, nil
}

// report says once that an object is kept, and why.
func (d *deleter) report(r client.Ref, why string) {
	if d.kept == nil {
		d.kept = map[client.Ref]bool{}
	}
	if !d.kept[r] {
		d.kept[r] = true
		fmt.Fprintf(d.env.Err, "%s kept%s\n", r, why)
	}
}

// keeps says why a target is kept, "" when it is not.
func (d *deleter) keeps(ctx context.Context, t resource.Target) (string, error) {
	switch t.Mapping.GroupVersionKind.Kind {
	case "PersistentVolumeClaim", "PersistentVolume":
		if _, there, err := d.present(ctx, t.Ref); err != nil || !there {
			return "", err
		}
		return " with its data: --volumes deletes both", nil
	case "CustomResourceDefinition":
		if _, there, err := d.present(ctx, t.Ref); err != nil || !there {
			return "", err
		}
		return " with all objects of its kind: --volumes deletes them too", nil
	case "Namespace":
		claims, err := d.claims(ctx, t.Name)
		if err != nil || len(claims) == 0 {
			return "", err
		}
		return fmt.Sprintf(" for persistentvolumeclaim/%s: --volumes deletes both, and the data", claims[0].Name), nil
	}
	return "", nil
}

// claims are the claims in a namespace, none on a server without claims.
func (d *deleter) claims(ctx context.Context, namespace string) ([]corev1.PersistentVolumeClaim, error) {
	ref, err := d.claimRef(namespace, "")
	if err != nil {
		return nil, err
	}
	return client.ListOf[corev1.PersistentVolumeClaim](ctx, d.client, ref, client.ListOptions{})
}

func (d *deleter) claimRef(namespace, name string) (client.Ref, error) {
	catalog, err := d.client.Catalog()
	if err != nil {
		return client.Ref{}, err
	}
	m, err := catalog.Kind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"))
	return client.Ref{Mapping: m, Namespace: namespace, Name: name}, err
}

// withSetClaims adds the claims that stateful sets among the targets have made of their templates:
// Kubernetes keeps them when a set is deleted.
func (d *deleter) withSetClaims(ctx context.Context, targets []resource.Target) ([]resource.Target, error) {
	out := targets
	for _, t := range targets {
		if t.Mapping.GroupVersionKind.Kind != "StatefulSet" || t.Value == nil {
			continue
		}
		set := &appsv1.StatefulSet{}
		if err := client.Into(t.Value, set); err != nil {
			return nil, fmt.Errorf("reading %s: %w", t.Ref, err)
		}
		claims, err := d.claims(ctx, t.Namespace)
		if err != nil {
			return nil, err
		}
		for _, c := range claims {
			if !madeBy(set, c.Name) {
				continue
			}
			ref, err := d.claimRef(c.Namespace, c.Name)
			if err != nil {
				return nil, err
			}
			if d.decided == nil {
				d.decided = map[client.Ref]types.UID{}
			}
			d.decided[ref] = c.UID
			out = append(out, resource.Target{Ref: ref, Source: t.Source})
		}
	}
	return out, nil
}

// madeBy reports whether a claim has the name that a set gives to those of its templates:
// TEMPLATE-SET-ORDINAL.
func madeBy(set *appsv1.StatefulSet, claim string) bool {
	for _, template := range set.Spec.VolumeClaimTemplates {
		if regexp.MustCompile("^" + regexp.QuoteMeta(template.Name+"-"+set.Name) + "-[0-9]+$").MatchString(claim) {
			return true
		}
	}
	return false
}
