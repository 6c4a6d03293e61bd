package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"skiff/integration/harness"
)

const tokenPod = `
apiVersion: v1
kind: Pod
metadata: {name: NAME}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: IMAGE, imagePullPolicy: Never, command: [sleep, "3600"]}]
`

const tokenDir = "/var/run/secrets/kubernetes.io/serviceaccount/"

// intruder has the token of a pod and no other credentials.
type intruder struct {
	*testing.T
	http   *http.Client
	server string
	token  string
}

// newIntruder breaks in: what the pod of an account finds in its files is all that the intruder has.
func newIntruder(t *testing.T, d *harness.Daemon, pod string) intruder {
	t.Helper()
	cli := d.SkiffCLI()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(cli.Do("exec", pod, "--", "cat", tokenDir+"ca.crt"))) {
		t.Fatal("no authority in ca.crt")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return intruder{
		T: t, http: &http.Client{Transport: transport},
		server: access(t, d).Server,
		token:  cli.Do("exec", pod, "--", "cat", tokenDir+"token"),
	}
}

// access is how a daemon's API is reached.
func access(t *testing.T, d *harness.Daemon) *clientcmdapi.Cluster {
	t.Helper()
	config, err := clientcmd.LoadFromFile(d.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	return config.Clusters[config.Contexts[config.CurrentContext].Cluster]
}

// kubeconfig writes one for a client with a certificate, and returns its path.
func kubeconfig(t *testing.T, d *harness.Daemon, certificate, key []byte) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"], config.AuthInfos["u"] = access(t, d), &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts["c"], config.CurrentContext = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}, "c"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

func (i intruder) try(method, path, body string) (int, string) {
	i.Helper()
	r, err := http.NewRequestWithContext(i.Context(), method, i.server+path, strings.NewReader(body))
	if err != nil {
		i.Fatal(err)
	}
	if i.token != "" {
		r.Header.Set("Authorization", "Bearer "+i.token)
	}
	r.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		r.Header.Set("Content-Type", "application/merge-patch+json")
	}
	answer, err := i.http.Do(r)
	if err != nil {
		i.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		i.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func (i intruder) read(path string, into any) {
	i.Helper()
	status, text := i.try(http.MethodGet, path, "")
	if status != http.StatusOK {
		i.Fatalf("%s: %d %s", path, status, text)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		i.Fatalf("%s: %v", path, err)
	}
}

// resources are all that discovery lists, by their path.
func (i intruder) resources() map[string]metav1.APIResource {
	i.Helper()
	versions := []string{"/api/v1"}
	var groups metav1.APIGroupList
	i.read("/apis", &groups)
	for _, g := range groups.Groups {
		for _, v := range g.Versions {
			versions = append(versions, "/apis/"+v.GroupVersion)
		}
	}
	out := map[string]metav1.APIResource{}
	for _, v := range versions {
		var list metav1.APIResourceList
		i.read(v, &list)
		for _, r := range list.APIResources {
			out[v+"/"+r.Name] = r
		}
	}
	return out
}

// methods are how each verb is asked for, and whether of one object.
var methods = map[string]struct {
	method string
	one    bool
	query  string
}{
	"get": {http.MethodGet, true, ""}, "list": {http.MethodGet, false, ""}, "watch": {http.MethodGet, false, "?watch=true&timeoutSeconds=1"},
	"create": {http.MethodPost, false, ""}, "update": {http.MethodPut, true, ""}, "patch": {http.MethodPatch, true, ""},
	"delete": {http.MethodDelete, true, ""}, "deletecollection": {http.MethodDelete, false, ""},
}

// granted is what upstream lets every account do with resources, beside reading discovery.
var granted = []string{
	"create /apis/authentication.k8s.io/v1/selfsubjectreviews",
	"create /apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
	"create /apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
}

// TestAttackFromAPod tries every verb on every resource, with what a pod of the default account has.
func TestAttackFromAPod(t *testing.T) {
	t.Parallel()
	engine := harness.Engine(t)
	image := harness.Toolbox(t, engine, nil)
	d := harness.Start(t)
	cli := d.SkiffCLI()
	cli.DoIn(strings.NewReplacer("IMAGE", image, "NAME", "p").Replace(tokenPod), "apply", "-f", "-")
	cli.Do("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
	i := newIntruder(t, d, "p")

	var allowed []string
	tried := 0
	for at, r := range i.resources() {
		version := strings.TrimSuffix(at[1:], "/"+r.Name)
		for _, verb := range r.Verbs {
			m, known := methods[verb]
			if !known {
				t.Errorf("verb %s of %s", verb, at)
				continue
			}
			resource, sub, below := strings.Cut(r.Name, "/")
			path := "/" + version + "/"
			if r.Namespaced {
				path += "namespaces/default/"
			}
			path += resource
			if m.one || below {
				path += "/p"
			}
			if below {
				path += "/" + sub
			}
			tried++
			status, text := i.try(m.method, path+m.query, "{}")
			if status != http.StatusForbidden {
				allowed = append(allowed, verb+" "+at)
			} else if !strings.Contains(text, `User \"system:serviceaccount:default:default\" cannot `+verb+` resource \"`+r.Name+`\"`) {
				t.Errorf("%s %s: %s", verb, at, text)
			}
		}
	}
	slices.Sort(allowed)
	if !slices.Equal(allowed, granted) {
		t.Errorf("of %d it may\n%s\nand should\n%s", tried, strings.Join(allowed, "\n"), strings.Join(granted, "\n"))
	}
	if tried < 300 {
		t.Errorf("only %d tried", tried)
	}
	i.paths()
	i.disguises()
	cli.Do("delete", "pod", "p")
	if status, text := i.try(http.MethodGet, "/api", ""); status != http.StatusUnauthorized {
		t.Errorf("with the token of a pod that is gone: %d %s", status, text)
	}
}

// paths tries what is no resource.
func (i intruder) paths() {
	i.Helper()
	for path, want := range map[string]int{
		"/api": 200, "/apis": 200, "/version": 200, "/openapi/v2": 200, "/openapi/v3": 200, "/healthz": 200, "/openid/v1/jwks": 200,
		"/.well-known/openid-configuration": 200, "/metrics": 403, "/": 403, "/logs": 403, "/debug/pprof": 403,
		"/api/v1/namespaces/default/pods/p/log": 403, "/api/v1/namespaces/kube-system/secrets": 403,
	} {
		if status, text := i.try(http.MethodGet, path, ""); status != want {
			i.Errorf("%s: %d, want %d: %.200s", path, status, want, text)
		}
	}
}

// disguises tries to be somebody else.
func (i intruder) disguises() {
	i.Helper()
	token := i.token
	parts := strings.Split(token, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`))
	for name, forged := range map[string]string{"alg none": none + "." + parts[1] + ".", "cut": token[:len(token)-4], "none": ""} {
		i.token = forged
		if status, text := i.try(http.MethodGet, "/api", ""); status != http.StatusUnauthorized {
			i.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, text := i.try(http.MethodGet, "/api?access_token="+token+"&token="+token, ""); status != http.StatusUnauthorized {
		i.Errorf("a token in the URL: %d %s", status, text)
	}
	i.token = token
	r, err := http.NewRequestWithContext(i.Context(), http.MethodGet, i.server+"/api/v1/secrets", nil)
	if err != nil {
		i.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Impersonate-User", "skiff-admin")
	r.Header.Set("Impersonate-Group", "system:masters")
	answer, err := i.http.Do(r)
	if err != nil {
		i.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		i.Errorf("as the administrator: %d", answer.StatusCode)
	}
}

// TestRoles grants rights and uses them, through both command lines.
func TestRoles(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	for _, cli := range d.CLIs() {
		t.Run(cli.Name, func(t *testing.T) {
			n := cli.Name
			said := func(want string, args ...string) {
				t.Helper()
				got := cli.Try("", args...)
				if file := slices.Index(args, "-f"); file >= 0 {
					want = strings.ReplaceAll(want, "FILE", args[file+1])
				}
				if strings.TrimSpace(got.Out+got.Err) != want {
					t.Errorf("%v:\n got %s%s\nwant %s", args, got.Out, got.Err, want)
				}
			}
			said("namespace/"+n+" created", "create", "namespace", n)
			said("serviceaccount/robot created", "create", "serviceaccount", "robot", "-n", n)
			said("role.rbac.authorization.k8s.io/reader created", "create", "role", "reader", "-n", n, "--verb=get,list", "--resource=configmaps")
			said("rolebinding.rbac.authorization.k8s.io/reads created", "create", "rolebinding", "reads", "-n", n, "--role=reader", "--serviceaccount="+n+":robot")
			account := "system:serviceaccount:" + n + ":robot"
			said("yes", "auth", "can-i", "list", "configmaps", "-n", n, "--as", account)
			said("no", "auth", "can-i", "list", "secrets", "-n", n, "--as", account)
			said("no", "auth", "can-i", "list", "configmaps", "-n", "default", "--as", account)
			said("Error from server (Forbidden): secrets is forbidden: User \""+account+"\" cannot list resource \"secrets\" in API group \"\" in the namespace \""+n+"\"",
				"get", "secrets", "-n", n, "--as", account)
			if out := cli.Do("auth", "can-i", "--list", "-n", n, "--as", account); !strings.Contains(strings.Join(strings.Fields(out), " "), "configmaps [] [] [get list]") {
				t.Errorf("list\n%s", out)
			}
			said(`Error from server (Forbidden): error when creating "FILE": roles.rbac.authorization.k8s.io "more" is forbidden: user "`+account+`" (groups=["system:serviceaccounts" "system:serviceaccounts:`+n+`" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:
{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`, escalating(t, cli, n, account)...)
			token := strings.TrimSpace(cli.Do("create", "token", "robot", "-n", n))
			if got := strings.Count(token, "."); got != 2 {
				t.Errorf("token %q", token)
			}
			out := cli.DoIn(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"`+token+`"}}`, "create", "-f", "-", "-o", "jsonpath={.status.user.username}")
			if out != account {
				t.Errorf("the token is %s's", out)
			}
		})
	}
}

// escalating is a command by which an account that may make roles grants what it lacks.
func escalating(t *testing.T, cli harness.CLI, namespace, account string) []string {
	t.Helper()
	cli.Do("create", "role", "maker", "-n", namespace, "--verb=create", "--resource=roles")
	cli.Do("create", "rolebinding", "makes", "-n", namespace, "--role=maker", "--serviceaccount="+namespace+":robot")
	file := filepath.Join(t.TempDir(), "role.yaml")
	role := "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: more, namespace: " + namespace + "}\nrules: [{apiGroups: [\"\"], resources: [secrets], verbs: [get]}]\n"
	if err := os.WriteFile(file, []byte(role), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"create", "-f", file, "--as", account, "--validate=false"}
}

// TestCertificates asks for certificates, which are approved, denied and used.
func TestCertificates(t *testing.T) {
	t.Parallel()
	d := harness.Start(t)
	for _, cli := range d.CLIs() {
		t.Run(cli.Name, func(t *testing.T) {
			key, request := askFor(t, pkix.Name{CommonName: "jane-" + cli.Name, Organization: []string{"dev"}})
			manifest := func(name, usage string) string {
				return fmt.Sprintf("apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: %s}\nspec: {signerName: kubernetes.io/kube-apiserver-client, usages: [%s], request: %s, expirationSeconds: 3600}\n",
					name, usage, base64.StdEncoding.EncodeToString(request))
			}
			good, bad := "good-"+cli.Name, "bad-"+cli.Name
			cli.DoIn(manifest(good, "client auth"), "create", "-f", "-")
			matches(t, cli.Do("certificate", "approve", good), "certificatesigningrequest.certificates.k8s.io/"+good+" approved")
			var certificate []byte
			harness.Until(t, soon, "the certificate", func() bool {
				text := cli.Do("get", "csr", good, "-o", "jsonpath={.status.certificate}")
				certificate, _ = base64.StdEncoding.DecodeString(text)
				return len(certificate) > 0
			})
			matches(t, cli.Do("get", "csr", good), "NAME AGE SIGNERNAME REQUESTOR REQUESTEDDURATION CONDITION\n"+good+" * kubernetes.io/kube-apiserver-client skiff-admin 60m Approved,Issued")
			who := cli.Do("auth", "whoami", "--kubeconfig="+kubeconfig(t, d, certificate, key))
			inOrder(t, strings.Join(strings.Fields(who), " "), "Username jane-"+cli.Name+" Groups [dev system:authenticated]")

			cli.DoIn(manifest(bad, "client auth"), "create", "-f", "-")
			matches(t, cli.Do("certificate", "deny", bad), "certificatesigningrequest.certificates.k8s.io/"+bad+" denied")
			if r := cli.Try("", "certificate", "approve", bad); r.Code == 0 {
				t.Errorf("a denied request was approved: %s", r.Out)
			}
			foreign := "foreign-" + cli.Name
			cli.DoIn(manifest(foreign, "client auth, server auth"), "create", "-f", "-")
			cli.Do("certificate", "approve", foreign)
			harness.Until(t, soon, "the refusal", func() bool {
				return cli.Do("get", "csr", foreign, "-o", `jsonpath={.status.conditions[?(@.type=="Failed")].message}`) == "invalid usage for client certificate: server auth"
			})
			_, request = askFor(t, pkix.Name{CommonName: "root", Organization: []string{"system:masters"}})
			if r := cli.Try(manifest("root", "client auth"), "create", "-f", "-"); !strings.Contains(r.Err, "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed") {
				t.Errorf("an administrator's certificate: %s%s", r.Out, r.Err)
			}
		})
	}
}

// askFor makes a key and a request for its certificate, both PEM.
func askFor(t *testing.T, subject pkix.Name) (key, request []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	asked, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: subject}, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: asked})
}
