package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// PullOptions say how an image is fetched.
type PullOptions struct {
	// Credentials are documents of the form of the docker CLI's config.json. The first that knows
	// the image's registry counts, those that can't be read are skipped; where none does, what the
	// docker CLI has stored.
	Credentials [][]byte
	// Progress may be nil. It is called with what is going on and, while layers are being fetched,
	// the bytes fetched and to fetch over all of them.
	Progress func(status string, current, total int64)
}

// Pull fetches an image. ErrPull with the registry's words where it does not give the image,
// ErrInvalid for a reference that is none and for stored credentials that cannot be read.
func (e *Engine) Pull(ctx context.Context, ref string, o PullOptions) error {
	auth, err := e.registryAuth(ctx, ref, o.Credentials)
	if err != nil {
		return &Error{Op: "pull", Name: ref, Kind: ErrInvalid, Err: err}
	}
	return e.stream(ctx, "pull", ref, func(ctx context.Context, c *client.Client) error {
		answer, err := c.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
		if err == nil {
			err = errors.Join(readPull(answer, o.Progress), answer.Close())
		}
		if err == nil || ctx.Err() != nil || unreachable(err) {
			return err
		}
		return &Error{Op: "pull", Name: ref, Kind: ErrPull, Err: said{err}}
	})
}

// pullMessage is one line of the engine's progress.
type pullMessage struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Error    string `json:"error"`
	Progress struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
}

func readPull(from io.Reader, progress func(string, int64, int64)) error {
	layers := layerProgress{}
	decoder := json.NewDecoder(from)
	for {
		var m pullMessage
		err := decoder.Decode(&m)
		if err == io.EOF { //nolint:errorlint // the decoder's plain EOF alone is the end; a wrapped one is a broken stream
			return nil
		}
		if err != nil {
			return fmt.Errorf("read progress: %w", err)
		}
		if m.Error != "" {
			return errors.New(m.Error)
		}
		if progress != nil {
			current, total := layers.add(&m)
			progress(m.Status, current, total)
		}
	}
}

// layerProgress is the bytes fetched and to fetch, by layer.
type layerProgress map[string][2]int64

// add takes a message in and gives the sums. A layer's later stages count its bytes anew; only the
// fetching counts.
func (l layerProgress) add(m *pullMessage) (current, total int64) {
	switch m.Status {
	case "Downloading":
		l[m.ID] = [2]int64{m.Progress.Current, m.Progress.Total}
	case "Download complete", "Pull complete":
		l[m.ID] = [2]int64{l[m.ID][1], l[m.ID][1]}
	}
	for _, layer := range l {
		current += layer[0]
		total += layer[1]
	}
	return current, total
}
