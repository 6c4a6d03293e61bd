package streams

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream/wsstream"
	utilexec "k8s.io/utils/exec"
)

// overWebSocket serves the command over a WebSocket, with the subprotocols up to v5, by which a
// client can say that its input is at its end. (cri-streaming stops at v4.)
func (c *command) overWebSocket(w *takenOver, r *http.Request) {
	conn := wsstream.NewConn(c.protocols())
	conn.SetIdleTimeout(idleTimeout)
	protocol, channels, err := conn.Open(w, r)
	if err != nil {
		// The client has its answer already: which protocols there are.
		klog.FromContext(r.Context()).V(4).Info("A WebSocket was not opened", "err", err)
		return
	}
	defer conn.Close() //nolint:errcheck // all is sent, or the client is gone
	ctx := w.serving()
	// An empty message tells the client that it is connected.
	if _, err := channels[c.firstOutput()].Write(nil); err != nil {
		return
	}
	status := outcome(c.do(ctx, c.streams(ctx, channels)))
	conn.SetWriteDeadline(statusTimeout)
	if err := sayStatus(channels[remotecommand.StreamErr], protocol, status); err != nil {
		klog.FromContext(ctx).V(4).Info("A client did not hear how its command ended", "err", err)
	}
}

// protocols are the subprotocols a client may choose from, and the channels of each.
func (c *command) protocols() map[string]wsstream.ChannelProtocolConfig {
	channels := make([]wsstream.ChannelType, 5)
	channels[remotecommand.StreamStdIn] = channelIf(c.in, wsstream.ReadChannel)
	channels[remotecommand.StreamStdOut] = channelIf(c.out, wsstream.WriteChannel)
	channels[remotecommand.StreamStdErr] = channelIf(c.err, wsstream.WriteChannel)
	channels[remotecommand.StreamErr] = wsstream.WriteChannel
	channels[remotecommand.StreamResize] = wsstream.ReadChannel
	binary := wsstream.ChannelProtocolConfig{Binary: true, Channels: channels}
	text := wsstream.ChannelProtocolConfig{Binary: false, Channels: channels}
	return map[string]wsstream.ChannelProtocolConfig{
		"":                                      binary,
		wsstream.ChannelWebSocketProtocol:       binary,
		wsstream.Base64ChannelWebSocketProtocol: text,
		"v4." + wsstream.ChannelWebSocketProtocol:       binary,
		"v4." + wsstream.Base64ChannelWebSocketProtocol: text,
		remotecommand.StreamProtocolV5Name:              binary,
	}
}

func channelIf(wanted bool, kind wsstream.ChannelType) wsstream.ChannelType {
	if wanted {
		return kind
	}
	return wsstream.IgnoreChannel
}

// firstOutput is the first channel on which the server may write.
func (c *command) firstOutput() int {
	switch {
	case c.out:
		return remotecommand.StreamStdOut
	case c.err:
		return remotecommand.StreamStdErr
	}
	return remotecommand.StreamErr
}

func (c *command) streams(ctx context.Context, channels []io.ReadWriteCloser) Streams {
	s := Streams{TTY: c.tty}
	if c.in {
		s.In = channels[remotecommand.StreamStdIn]
	}
	if c.out {
		s.Out = channels[remotecommand.StreamStdOut]
	}
	if c.err {
		s.Err = channels[remotecommand.StreamStdErr]
	}
	if c.tty {
		s.Resize = readSizes(ctx, channels[remotecommand.StreamResize])
	}
	return s
}

// readSizes decodes a terminal's sizes until the stream or ctx ends.
func readSizes(ctx context.Context, from io.Reader) <-chan Size {
	to := make(chan Size)
	go func() {
		defer close(to)
		decoder := json.NewDecoder(from)
		for {
			var s Size
			if decoder.Decode(&s) != nil || !send(ctx, to, s) {
				return
			}
		}
	}()
	return to
}

// outcome is the status that tells a client how its command ended; clients take the exit code from
// its causes.
func outcome(err error) metav1.Status {
	var exit utilexec.ExitError
	switch {
	case err == nil:
		return metav1.Status{Status: metav1.StatusSuccess}
	case errors.As(err, &exit) && exit.Exited():
		return metav1.Status{
			Status:  metav1.StatusFailure,
			Reason:  remotecommand.NonZeroExitCodeReason,
			Message: fmt.Sprintf("command terminated with non-zero exit code: %v", exit),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
				{Type: remotecommand.ExitCodeCauseType, Message: fmt.Sprint(exit.ExitStatus())},
			}},
		}
	}
	return apierrors.NewInternalError(fmt.Errorf("error executing command in container: %w", err)).Status()
}

// sayStatus writes a status as the subprotocol has it: the oldest know only the text of a failure.
func sayStatus(to io.Writer, protocol string, status metav1.Status) error {
	switch protocol {
	case "", wsstream.ChannelWebSocketProtocol, wsstream.Base64ChannelWebSocketProtocol:
		if status.Status == metav1.StatusSuccess {
			return nil
		}
		_, err := io.WriteString(to, status.Message)
		return err
	}
	raw, err := json.Marshal(status)
	if err != nil {
		return err
	}
	_, err = to.Write(raw)
	return err
}
