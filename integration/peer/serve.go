package main

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Ports of a server.
const (
	httpPort  = ":8080"
	linesPort = ":8081"
	packets   = ":8082"
)

// sick is a file that makes /ready fail while it is there.
const sick = "/tmp/sick"

// serve serves until SIGTERM, and then ends what is being served.
func serve(ctx context.Context) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	web, err := net.Listen("tcp", httpPort)
	if err != nil {
		return err
	}
	lines, err := net.Listen("tcp", linesPort)
	if err != nil {
		return err
	}
	datagrams, err := net.ListenPacket("udp", packets)
	if err != nil {
		return err
	}
	go echoLines(lines, host)
	go echoDatagrams(datagrams, host)
	server := &http.Server{Handler: pages(host)}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(web) }()
	fmt.Println("serving")
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	lines.Close()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return server.Shutdown(closing)
}

func pages(host string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
			time.Sleep(wait)
		}
		from, _, _ := net.SplitHostPort(r.RemoteAddr) //nolint:errcheck // it is one
		w.Header().Set("X-From", from)
		fmt.Fprintln(w, host)
	})
	mux.HandleFunc("/path/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Path)
		fmt.Fprintln(w, host, r.Host, r.URL.Path, r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-For"))
	})
	mux.HandleFunc("/ready", func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat(sick); err == nil {
			http.Error(w, "sick", http.StatusServiceUnavailable)
		}
	})
	mux.HandleFunc("/events", events)
	mux.HandleFunc("/ws", echoFrames)
	return mux
}

// events sends server-sent events until the client has gone.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		fmt.Fprintf(w, "data: %d\n\n", n)
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-tick.C:
		}
	}
}

// echoFrames takes a WebSocket (RFC 6455) and sends back every frame's payload.
func echoFrames(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		http.Error(w, "a WebSocket is wanted", http.StatusUpgradeRequired)
		return
	}
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprintf(both, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	for both.Flush() == nil {
		var head [6]byte // of a masked frame of fewer than 126 bytes
		if _, err := io.ReadFull(both, head[:]); err != nil {
			return
		}
		payload := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(both, payload); err != nil {
			return
		}
		for i := range payload {
			payload[i] ^= head[2+i%4]
		}
		both.Write(append([]byte{head[0], byte(len(payload))}, payload...)) //nolint:errcheck // Flush says so too
	}
}

// echoLines answers each line with the host's name and the line.
func echoLines(l net.Listener, host string) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		go func() {
			defer c.Close()
			for in := bufio.NewScanner(c); in.Scan(); {
				if _, err := fmt.Fprintln(c, host, in.Text()); err != nil {
					return
				}
			}
		}()
	}
}

func echoDatagrams(c net.PacketConn, host string) {
	buffer := make([]byte, 1<<16)
	for {
		n, from, err := c.ReadFrom(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			c.WriteTo([]byte(host+" "+string(buffer[:n])), from) //nolint:errcheck // a datagram may be lost
		}
	}
}
