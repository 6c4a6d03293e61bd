package registry

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"skiff/store"
)

// continueToken is where a limited list goes on. It has upstream's form
// (k8s.io/apiserver/pkg/storage/continue.go).
type continueToken struct {
	APIVersion string `json:"v"`
	// Revision is that of the first part; -1 goes on with the newest state.
	Revision int64 `json:"rv"`
	// Start is the key of the last object, without what all have in common, and
	// a NUL.
	Start string `json:"start"`
}

const continueVersion = "meta.k8s.io/v1"

// inconsistentContinue is upstream's message for a token whose snapshot is gone.
const inconsistentContinue = "The provided continue parameter is too old " +
	"to display a consistent list result. You can start a new list without " +
	"the continue parameter, or use the continue token in this response to " +
	"retrieve the remainder of the results. Continuing with the provided " +
	"token results in an inconsistent list - objects that were created, " +
	"modified, or deleted between the time the first chunk was returned " +
	"and now may show up in the list."

// continueAfter is the token to go on after a key.
func continueAfter(sel selection, last store.Key, revision int64) (string, error) {
	start := last.Name
	if sel.namespace == "" && last.Namespace != "" {
		start = last.Namespace + "/" + last.Name
	}
	text, err := json.Marshal(continueToken{APIVersion: continueVersion, Revision: revision, Start: start + "\x00"})
	if err != nil {
		return "", fmt.Errorf("encoding a continue token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(text), nil
}

func parseContinue(text string) (continueToken, error) {
	var token continueToken
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return token, fmt.Errorf("continue key is not valid: %w", err)
	}
	if err := json.Unmarshal(data, &token); err != nil {
		return token, fmt.Errorf("continue key is not valid: %w", err)
	}
	switch {
	case token.APIVersion != continueVersion:
		return token, fmt.Errorf("continue key is not valid: server does not recognize this encoded version %v", token.APIVersion)
	case token.Revision == 0:
		return token, errors.New("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
	case token.Start == "":
		return token, errors.New("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
	}
	return token, nil
}

// key is the object a list goes on after.
func (t continueToken) key(r *Resource, sel selection) (store.Key, error) {
	start := strings.TrimSuffix(t.Start, "\x00")
	namespace, name := sel.namespace, start
	if r.kind.Namespaced && sel.namespace == "" {
		var ok bool
		if namespace, name, ok = strings.Cut(start, "/"); !ok {
			return store.Key{}, fmt.Errorf("continue key is not valid: %v", t.Start)
		}
	}
	if strings.Contains(name, "/") {
		return store.Key{}, fmt.Errorf("continue key is not valid: %v", t.Start)
	}
	return r.key(namespace, name), nil
}

// continued finds the state the first part of a list showed. When it is gone,
// the error carries a token to go on with the newest one.
func (r *Resource) continued(sel selection, o ListOptions) (store.Snapshot, store.Key, error) {
	token, err := parseContinue(o.Continue)
	if err != nil {
		return store.Snapshot{}, store.Key{}, apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: %v", err))
	}
	after, err := token.key(r, sel)
	if err != nil {
		return store.Snapshot{}, store.Key{}, apierrors.NewBadRequest(fmt.Sprintf("invalid continue token: %v", err))
	}
	if o.ResourceVersion != "" && o.ResourceVersion != "0" {
		return store.Snapshot{}, store.Key{}, apierrors.NewBadRequest("specifying resource version is not allowed when using continue")
	}
	if token.Revision < 0 {
		return r.store().Snapshot(r.name), after, nil
	}
	snapshot, err := r.store().SnapshotAt(r.name, uint64(token.Revision))
	if !errors.Is(err, store.ErrExpired) {
		return snapshot, after, err
	}
	again, err := continueAfter(sel, after, -1)
	if err != nil {
		return store.Snapshot{}, store.Key{}, r.failed("listing", sel.namespace, "", err)
	}
	gone := apierrors.NewResourceExpired(inconsistentContinue)
	gone.ErrStatus.Continue = again
	return store.Snapshot{}, store.Key{}, gone
}
