package network

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"skiff/network/protocol"
	"skiff/network/tunnel"
)

// answerTimeout is how long the router may take to bring an update in force.
const answerTimeout = 30 * time.Second

// teller tells a router, one update after another.
type teller struct {
	config   protocol.Config
	stream   *tunnel.Stream
	encoder  *json.Encoder
	decoder  *json.Decoder
	sequence uint64
}

// tell tells the router the desired state, all of it first and then each change, until ctx ends or
// the session does.
func (l *Link) tell(ctx context.Context, control, bulk *tunnel.Session, config protocol.Config) error {
	stream, err := control.Open(protocol.Greeting{Kind: protocol.KindControl})
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }() // with the session
	t := &teller{config: config, stream: stream, encoder: json.NewEncoder(stream), decoder: json.NewDecoder(stream)}
	update := l.desired.all()
	update.Config = &config
	if err := l.send(ctx, t, update); err != nil {
		return err
	}
	direct := !l.options.ByRouter && l.reaches(ctx, config)
	l.mu.Lock()
	l.status.Connected, l.status.Why, l.status.Direct, l.connected = true, "", direct, l.clock.Now()
	stats := l.status.Router
	l.mu.Unlock()
	l.use(control, bulk)
	l.report(ctx)
	l.log.Info("router is connected", "subnet", config.Subnet, "services", stats.Services, "datapath", stats.DataPath, "direct", direct)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-control.Done():
			return errors.New("the connection to the router has ended")
		case <-l.desired.news:
		}
		if update, ok := l.desired.change(); ok {
			if err := l.send(ctx, t, update); err != nil {
				return err
			}
		}
	}
}

// send sends an update and waits until it is in force.
func (l *Link) send(ctx context.Context, t *teller, u protocol.Update) error {
	t.sequence++
	u.Sequence = t.sequence
	u.Nodes = slices.Clone(u.Nodes)
	for i := range u.Nodes {
		u.Nodes[i].Address = l.options.Engine.NodeAddress(u.Nodes[i].Name)
	}
	if u.Nodes = slices.DeleteFunc(u.Nodes, func(n protocol.Node) bool { return !t.config.Nodes.Contains(n.Address) }); u.Whole {
		l.log.Debug("telling the router everything", "services", len(u.Set), "nodes", len(u.Nodes))
	}
	if err := t.stream.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return fmt.Errorf("telling the router: %w", err)
	}
	if err := t.encoder.Encode(u); err != nil {
		return fmt.Errorf("telling the router: %w", err)
	}
	var a protocol.Answer
	if err := t.decoder.Decode(&a); err != nil {
		return fmt.Errorf("reading the router's answer: %w", err)
	}
	if a.Error != "" || a.Sequence != u.Sequence {
		return fmt.Errorf("the router has not taken update %d (answer %d): %s", u.Sequence, a.Sequence, a.Error)
	}
	l.answered(ctx, u, a)
	return nil
}

// answered notes what the router has said, and passes on what is new about services that are not in force.
func (l *Link) answered(ctx context.Context, u protocol.Update, a protocol.Answer) {
	l.mu.Lock()
	before := l.status.Problems
	problems := map[string]string{}
	if !u.Whole {
		maps.Copy(problems, before)
	}
	for _, s := range u.Set {
		delete(problems, s.Key.String())
	}
	for _, key := range u.Delete {
		delete(problems, key.String())
	}
	maps.Copy(problems, a.Problems)
	l.status.Problems, l.status.Router = problems, a.Stats
	l.mu.Unlock()
	for name, problem := range a.Problems {
		if before[name] == problem {
			continue
		}
		l.log.Warn("service is not in force", "service", name, "problem", problem)
		if l.options.Problem != nil {
			namespace, service, _ := strings.Cut(name, "/")
			l.options.Problem(ctx, protocol.Key{Namespace: namespace, Name: service}, problem)
		}
	}
}

// directTimeout is how long the router may take to be reached directly: on the same machine that is
// well below a millisecond.
const directTimeout = 300 * time.Millisecond

// reaches reports whether this process reaches the pods' network without the router's help. Something
// else may have its addresses on this machine's networks, if the engine is on another: so it is not
// enough that somebody answers.
func (l *Link) reaches(ctx context.Context, config protocol.Config) bool {
	if !OwnAddress(config.Gateway) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, directTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(config.Router.String(), strconv.Itoa(protocol.DNSPort)))
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// OwnAddress reports whether one of this machine's interfaces has an address: that of the bridge, if
// the engine is here.
func OwnAddress(ip netip.Addr) bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip.AsSlice()) {
			return true
		}
	}
	return false
}
