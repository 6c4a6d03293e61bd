package filters

import (
	"net/http"
	"slices"
	"sync"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// maxWarnings bounds, in bytes, the warnings of one answer: clients refuse headers that are too
// long.
const maxWarnings = 4 << 10

// warnings collects the warnings of one request in its answer's headers, each once.
// https://kubernetes.io/docs/reference/using-api/api-concepts/ and RFC 9111, section 5.5
type warnings struct {
	mu     sync.Mutex
	header http.Header
	texts  []string
	size   int
}

// AddWarning implements k8s.io/apiserver/pkg/warning.Recorder. Warnings beyond maxWarnings are
// dropped; a last one says so.
func (w *warnings) AddWarning(agent, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text == "" || slices.Contains(w.texts, text) || w.size > maxWarnings {
		return
	}
	w.texts = append(w.texts, text)
	if w.size += len(text); w.size > maxWarnings {
		text = "there are more warnings than fit into an answer"
	}
	if header, err := utilnet.NewWarningHeader(299, agent, text); err == nil {
		w.header.Add("Warning", header)
	}
}
