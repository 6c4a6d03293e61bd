package daemon

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	"skiff/cli/command"
	"skiff/cli/terminal"
	"skiff/daemon/datadir"
)

func TestTrust(t *testing.T) {
	dir := testDir(t)
	l, err := dir.Acquire(t.Context(), clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Release() //nolint:errcheck // the directory goes
	say := func(live bool) (string, error) {
		var out bytes.Buffer
		err := trust(&command.Env{Streams: terminal.Streams{Out: &out, Terminal: terminal.Terminal{Out: live}}}, dir)
		return out.String(), err
	}
	if err := dir.WriteKubeconfig(datadir.NewKubeconfig("127.0.0.1:7443", datadir.ClientIdentity{})); err != nil {
		t.Fatal(err)
	}
	if _, err := say(false); err == nil || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("without a certificate: %v", err)
	}
	api := httptest.NewTLSServer(http.NotFoundHandler())
	defer api.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	if err := dir.WriteKubeconfig(datadir.NewKubeconfig("127.0.0.1:7443", datadir.ClientIdentity{CA: ca})); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.AuthorityFile(), []byte("of an older authority"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := say(false); err != nil || got != dir.AuthorityFile()+"\n" {
		t.Errorf("in a pipe: %q, %v", got, err)
	}
	if got, err := os.ReadFile(dir.AuthorityFile()); err != nil || !bytes.Equal(got, ca) {
		t.Errorf("the file holds %q, %v", got, err)
	}
	got, err := say(true)
	if err != nil || !strings.Contains(got, "update-ca-certificates") || !strings.Contains(got, "valid until "+api.Certificate().NotAfter.Format("2006-01-02")) {
		t.Errorf("on a terminal: %q, %v", got, err)
	}
}
