// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/bulkhead-cni/bulkhead/pkg/cli"
	"github.com/bulkhead-cni/bulkhead/pkg/config"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

// machine is an emulated node with a conflist.
type machine struct {
	*testing.T
	host *hnsemu.Host
	hns  hns.Client
	// conf, data and cache are the directories of conflists, of addresses, and of the
	// runtime's results.
	conf, data, cache string
}

// start returns a node whose conflist is in use.
func start(t *testing.T) machine {
	t.Helper()
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	m := machine{t, host, emuclient.New(host, "test"), t.TempDir(), t.TempDir(), t.TempDir()}
	m.write(m.conflist(), []byte(fmt.Sprintf(`{"cniVersion": "1.1.0", "name": "podnet", "plugins": [{"type": "bulkhead", "driver": "l2bridge",
		"network": {"subnets": [{"prefix": "10.1.0.0/24", "gateway": "10.1.0.1"}]},
		"ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10"}]]},
		"outboundNAT": {"exceptions": ["10.0.0.0/8"]}, "routes": [{"dst": "10.96.0.0/12", "needEncap": true}],
		"dns": {"nameservers": ["10.96.0.10"], "search": ["svc.cluster.local"]}, "capabilities": {"dns": true, "portMappings": true}}]}`, m.data)))
	return m
}

func (m machine) conflist() string { return filepath.Join(m.conf, "10-bulkhead.conflist") }

func (m machine) write(file string, text []byte) {
	m.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		m.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		m.Fatal(err)
	}
}

// sandbox is the id of the n-th pod's sandbox.
func sandbox(n int) string { return fmt.Sprintf("%064x", n) }

// pod starts the n-th pod as a runtime does, an hour ago, and returns its namespace.
func (m machine) pod(n int) string {
	m.Helper()
	ctx := context.Background()
	ns, err := m.hns.CreateNamespace(ctx, "")
	if err != nil {
		m.Fatal(err)
	}
	text, err := os.ReadFile(m.conflist())
	if err != nil {
		m.Fatal(err)
	}
	ours, err := config.OurPlugins(text)
	if err != nil {
		m.Fatal(err)
	}
	stdin := ours[0].With("runtimeConfig", map[string]any{"portMappings": []map[string]any{{"hostPort": 8080 + n, "containerPort": 80, "protocol": "tcp"}}}).Stdin()
	c, err := config.Parse(stdin, config.Env{ContainerID: sandbox(n), IfName: "eth0", NetNS: ns.ID})
	if err != nil {
		m.Fatal(err)
	}
	this := node.Node{
		OpenHNS: func(time.Duration) (hns.Client, error) { return m.hns, nil }, Lock: nodelock.Acquire,
		NodeAddrs: func() ([]netip.Addr, error) { return nil, nil },
	}
	verbs, err := this.Verbs(c)
	if err != nil {
		m.Fatal(err)
	}
	if _, err := verbs.Add(ctx, c); err != nil {
		m.Fatal(err)
	}
	if err := m.hns.AttachContainer(ctx, ns.ID, sandbox(n)); err != nil {
		m.Fatal(err)
	}
	m.write(filepath.Join(m.cache, "results", "podnet-"+sandbox(n)+"-eth0"), []byte(fmt.Sprintf(
		`{"kind": "cniCacheV1", "containerId": %q, "ifName": "eth0", "cniArgs": [["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", "web-%d"]]}`, sandbox(n), n)))
	m.age(time.Hour)
	return ns.ID
}

// age makes all files that old.
func (m machine) age(d time.Duration) {
	m.Helper()
	for _, dir := range []string{filepath.Join(m.data, "podnet"), filepath.Join(m.cache, "results")} {
		files, _ := os.ReadDir(dir) // those that there are
		for _, f := range files {
			then := time.Now().Add(-d - time.Second)
			if err := os.Chtimes(filepath.Join(dir, f.Name()), then, then); err != nil {
				m.Fatal(err)
			}
		}
	}
}

// lose ends a pod as a runtime does whose DEL failed: container and namespace are gone.
func (m machine) lose(n int, namespace string) {
	m.Helper()
	ctx := context.Background()
	if err := m.hns.DetachContainer(ctx, namespace, sandbox(n)); err != nil {
		m.Fatal(err)
	}
	if err := m.hns.DeleteNamespace(ctx, namespace); err != nil {
		m.Fatal(err)
	}
}

func (m machine) run(args ...string) (int, string) {
	m.Helper()
	status, stdout, stderr := run(m.T, m.host, args...)
	return status, stdout + stderr
}

// wants runs a command and compares its status and parts of what it printed.
func (m machine) wants(status int, args string, want ...string) string {
	m.Helper()
	got, out := m.run(append(strings.Fields(args), m.flags(args)...)...)
	for _, w := range want {
		if got != status || !strings.Contains(out, w) {
			m.Errorf("%s: status %d, want %d with %q:\n%s", args, got, status, w, out)
		}
	}
	return out
}

// flags are the directories that a command takes.
func (m machine) flags(args string) []string {
	verb, _, _ := strings.Cut(args, " ")
	switch verb {
	case "doctor", "gc":
		return []string{"--conf-dir", m.conf}
	case "list", "show", "report":
		return []string{"--conf-dir", m.conf, "--cache-dir", m.cache}
	default:
		return nil
	}
}

func TestDoctor(t *testing.T) {
	m := start(t)
	m.wants(0, "doctor", "NOTE network.absent: the HNS network \"podnet\" is yet to be made", "cure:  bulkhead network create --conf '"+m.conflist()+"'")
	m.pod(1)
	if out := m.wants(0, "doctor", "Nothing is wrong.", "networks: 1, endpoints: 1, namespaces: 1, conflists: 1 in "+m.conf); strings.Contains(out, "cure") {
		t.Error(out)
	}
	m.wants(0, "doctor -o json", `"findings": []`)
	m.lose(2, m.pod(2))
	m.wants(0, "doctor", "WARNING endpoint.stale", "bulkhead gc --yes")
	if err := os.Rename(filepath.Join(m.data, "podnet", "10.1.0.10"), filepath.Join(m.data, "kept")); err != nil {
		t.Fatal(err)
	}
	m.wants(1, "doctor", "ERROR endpoint.unreserved", "10.1.0.10")
	back := time.AfterFunc(100*time.Millisecond, func() {
		_ = os.Rename(filepath.Join(m.data, "kept"), filepath.Join(m.data, "podnet", "10.1.0.10"))
	})
	defer back.Stop()
	m.wants(0, "doctor", "WARNING endpoint.stale") // it was at work
	if err := m.host.StopService(); err != nil {
		t.Fatal(err)
	}
	m.wants(1, "doctor", "ERROR hns.stopped", "cure:  Start-Service hns", "bulkhead: findings of severity error: 1")
	_, out, _ := run(t, m.host, "doctor", "-o", "json", "--conf-dir", m.conf)
	var got struct{ Findings []map[string]string }
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got.Findings) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	for _, key := range []string{"severity", "id", "what", "evidence", "cure"} {
		if got.Findings[0][key] == "" {
			t.Errorf("no %s in %v", key, got.Findings[0])
		}
	}
	if status, out := m.run("doctor", "--conf-dir", filepath.Join(m.conf, "none")); status != 1 || !strings.Contains(out, "conflist.dir") {
		t.Errorf("%d %s", status, out)
	}
	if status, _ := m.run("doctor", "everything"); status != 2 {
		t.Errorf("status %d for an argument that there is not", status)
	}
}

// TestFoldersOfContainerd: without --conf-dir the conflists are those that containerd's file
// names, for Hyper-V isolated pods, too.
func TestFoldersOfContainerd(t *testing.T) {
	m := start(t)
	files := t.TempDir()
	t.Setenv("ProgramFiles", files)
	containerd := filepath.Join(files, "containerd", "config.toml")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(containerd), 0o700), os.WriteFile(containerd, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	hyperV := t.TempDir()
	write(fmt.Sprintf("version = 3\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nconf_dir = '%s'\n"+
		"[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runhcs-wcow-hypervisor]\ncni_conf_dir = '%s'\n", m.conf, hyperV))
	if _, out := m.run("doctor"); !strings.Contains(out, "conflists: 1 in "+m.conf+" and "+hyperV) {
		t.Error(out)
	}
	write("version = 1\n")
	if status, out := m.run("list"); status != 0 || !strings.Contains(out, "which --conf-dir changes: containerd's configuration") {
		t.Errorf("%d %s", status, out)
	}
}

// wide writes a text as Windows PowerShell's redirection does.
func wide(text []byte) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(string(text))) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

// --fix writes conflists anew with the same text, removes what is stale, and touches
// nothing else.
func TestDoctorFix(t *testing.T) {
	m := start(t)
	text, err := os.ReadFile(m.conflist())
	if err != nil {
		t.Fatal(err)
	}
	m.pod(1)
	m.lose(2, m.pod(2))
	for name, encoded := range map[string][]byte{"mark": append([]byte("\xef\xbb\xbf"), text...), "UTF-16": wide(text)} {
		m.write(m.conflist(), encoded)
		m.wants(1, "doctor", "ERROR conflist.encoding")
		m.wants(0, "doctor --fix", "Done: write "+m.conflist()+" anew as UTF-8")
		if got, err := os.ReadFile(m.conflist()); err != nil || string(got) != string(text) {
			t.Errorf("%s: %v, got %q", name, err, got)
		}
	}
	m.wants(0, "doctor --fix", "Nothing is wrong.")
	if all := m.endpoints(); len(all) != 1 || !strings.HasPrefix(all[0].Name, sandbox(1)) {
		t.Errorf("left %v", all)
	}
	broken := wide([]byte(`{"name": `))
	m.write(m.conflist(), broken)
	m.wants(1, "doctor --fix", "Not done: write "+m.conflist()+" anew as UTF-8: its text is not JSON")
	if got, err := os.ReadFile(m.conflist()); err != nil || string(got) != string(broken) {
		t.Errorf("%v, got %q", err, got)
	}
	if files, err := os.ReadDir(m.conf); err != nil || len(files) != 1 {
		t.Errorf("left %v, %v", files, err)
	}
}

func (m machine) endpoints() []hns.Endpoint {
	m.Helper()
	n, err := m.hns.Network(context.Background(), "podnet")
	if err != nil {
		m.Fatal(err)
	}
	all, err := m.hns.EndpointsOf(context.Background(), n.ID)
	if err != nil {
		m.Fatal(err)
	}
	return all
}

func (m machine) reserved() []string {
	m.Helper()
	files, err := filepath.Glob(filepath.Join(m.data, "podnet", "10.*"))
	if err != nil {
		m.Fatal(err)
	}
	return files
}

// Nothing goes without --yes, and with it only what is stale for sure.
func TestGC(t *testing.T) {
	m := start(t)
	m.wants(0, "gc", "Nothing is left over.")
	m.pod(1)
	m.lose(2, m.pod(2))
	leaked := filepath.Join(m.data, "podnet", "10.1.0.77")
	m.write(leaked, []byte(sandbox(3)+"\r\neth0"))
	m.write(filepath.Join(m.data, "podnet", "10.1.0.78"), []byte("source-vip\r\neth0"))
	m.age(time.Hour)
	if _, err := m.hns.CreateNamespace(context.Background(), ""); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m.wants(0, "gc", "stale", "bulkhead gc --yes removes what is stale (2).", "endpoint", "10.1.0.77", "no sandbox's id", "namespace")
		if len(m.endpoints()) != 2 || len(m.reserved()) != 4 {
			t.Fatalf("without --yes %d endpoints and %v are left", len(m.endpoints()), m.reserved())
		}
	}
	out := m.wants(0, "gc --yes -o json", `"removed": true`)
	if n := strings.Count(out, `"removed": true`); n != 2 {
		t.Errorf("removed %d:\n%s", n, out)
	}
	if all := m.endpoints(); len(all) != 1 || !strings.HasPrefix(all[0].Name, sandbox(1)) {
		t.Errorf("left %v", all)
	}
	if got := m.reserved(); len(got) != 2 || !strings.HasSuffix(got[0], "10.1.0.10") || !strings.HasSuffix(got[1], "10.1.0.78") {
		t.Errorf("reserved %v", got)
	}
	m.wants(0, "gc --yes", "not sure", "10.1.0.78")
}

// An ADD may be making what is in no namespace yet.
func TestGCKeepsWhatBegins(t *testing.T) {
	m := start(t)
	m.lose(1, m.pod(1))
	m.age(time.Minute)
	m.wants(0, "gc --yes", "not sure", "an ADD may be making it")
	if len(m.endpoints()) != 1 || len(m.reserved()) != 1 {
		t.Errorf("left %v, %v", m.endpoints(), m.reserved())
	}
}

// forgetful lists no namespaces, although it has them.
type forgetful struct{ hns.Client }

func (forgetful) ListNamespaces(context.Context) ([]hns.Namespace, error) { return nil, nil }

// A pod that a list of HNS makes look stale keeps its endpoint.
func TestGCLooksAgain(t *testing.T) {
	m := start(t)
	m.pod(1)
	var out bytes.Buffer
	env := cli.Env{Stdout: &out, Stderr: &out, Node: node.Node{
		OpenHNS: func(time.Duration) (hns.Client, error) { return forgetful{m.hns}, nil }, Lock: nodelock.Acquire,
	}}
	status := env.Run([]string{"gc", "--yes", "--conf-dir", m.conf})
	if status != 1 || !strings.Contains(out.String(), "after all") || len(m.endpoints()) != 1 || len(m.reserved()) != 1 {
		t.Errorf("status %d, left %v and %v: %s", status, m.endpoints(), m.reserved(), &out)
	}
}

// What is not known in whole is not removed from.
func TestGCNeedsAllFacts(t *testing.T) {
	m := start(t)
	m.lose(1, m.pod(1))
	if status, out := m.run("gc", "--yes", "--conf-dir", filepath.Join(m.conf, "none")); status != 1 || !strings.Contains(out, "--conf-dir tells") {
		t.Errorf("%d %s", status, out)
	}
	m.write(filepath.Join(m.data, "podnet", "10.1.0.90", "x"), nil) // a directory in the place of a file
	m.wants(1, "gc --yes", "nothing is stale for sure")
	if len(m.endpoints()) != 1 {
		t.Errorf("left %v", m.endpoints())
	}
	if err := m.host.StopService(); err != nil {
		t.Fatal(err)
	}
	m.wants(1, "gc --yes", "0x")
}

var (
	guid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	date = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)`)
	mac  = regexp.MustCompile(`(?:[0-9a-f]{2}:){5}[0-9a-f]{2}`)
)

// steady replaces what differs from run to run.
func steady(text string) string {
	return mac.ReplaceAllString(date.ReplaceAllString(guid.ReplaceAllString(text, "<guid>"), "<date>"), "<mac>")
}

func TestList(t *testing.T) {
	m := start(t)
	m.wants(0, "list", "No pod has an interface")
	m.pod(1)
	m.lose(2, m.pod(2))
	_, out := m.run(append([]string{"list"}, m.flags("list")...)...)
	golden(t, "list.txt", steady(out))
	_, out = m.run(append([]string{"list", "-o", "json"}, m.flags("list")...)...)
	golden(t, "list.json", steady(out))
	if _, out = m.run("list", "--cache-dir", filepath.Join(m.cache, "none")); !strings.Contains(out, "Pods have no names here: ") || !strings.Contains(out, "0000000000000") {
		t.Error(out)
	}
	if err := m.host.StopService(); err != nil {
		t.Fatal(err)
	}
	m.wants(1, "list", "0x")
}

func TestShow(t *testing.T) {
	m := start(t)
	m.pod(1)
	m.pod(2)
	var texts []string
	for _, asked := range []string{"default/web-1", sandbox(1)} {
		_, out := m.run(append([]string{"show", asked}, m.flags("show")...)...)
		texts = append(texts, steady(out))
	}
	if texts[0] != texts[1] {
		t.Errorf("by name:\n%s\nby id:\n%s", texts[0], texts[1])
	}
	golden(t, "show.txt", texts[0])
	_, out := m.run(append([]string{"show", "default/web-1", "-o", "json"}, m.flags("show")...)...)
	var got []struct {
		Name, Reserved string
		Rules          []map[string]any
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) != 1 || got[0].Name != "web-1" || got[0].Reserved == "" || len(got[0].Rules) == 0 {
		t.Errorf("%v: %s", err, out)
	}
	m.wants(1, "show default/db", "no endpoint of that pod is on this node")
	m.wants(2, "show", "accepts 1 arg(s)")
	if _, out := m.run("__complete", "show", "--cache-dir", m.cache, ""); !strings.Contains(out, "default/web-1\ndefault/web-2\n") {
		t.Error(out)
	}
}

func TestNetns(t *testing.T) {
	m := start(t)
	status, out := m.run("netns", "create")
	id := strings.TrimSpace(out)
	if _, err := m.hns.Namespace(context.Background(), id); status != 0 || err != nil {
		t.Fatalf("%d %q: %v", status, out, err)
	}
	m.wants(0, "netns delete "+strings.ToUpper(id), "The namespace "+id+" is gone.")
	m.wants(0, "netns delete "+id+" -o json", `"id": "`+id+`"`)
	m.wants(0, "netns delete "+id, "There is no namespace "+id)
	const chosen = "5b8e3b0c-6d0f-4a4e-9d1e-0c1f2a3b4c5d"
	m.wants(0, "netns create --id {"+strings.ToUpper(chosen)+"}", chosen)
	m.wants(1, "netns create --id "+chosen, "0x")
	ns := m.pod(1)
	m.wants(1, "netns delete "+ns, "has 1 endpoints", sandbox(1), "remove its pod first")
	m.wants(2, "netns delete podnet", `"podnet"`)
	m.wants(2, "netns create --id x", "--id")
	m.wants(2, "netns delete", "accepts 1 arg(s)")
}

func TestExplainCode(t *testing.T) {
	m := start(t)
	tests := []struct {
		args   string
		status int
		want   string
	}{
		{"0x80070490", 0, "0x80070490 (2147943568, -2147023728) ERROR_NOT_FOUND\nMeaning: Element not found.\nUsual cause: "},
		{"0x490", 0, "ERROR_NOT_FOUND"},
		{"1168", 0, "ERROR_NOT_FOUND"},
		{"-2147023728", 0, "ERROR_NOT_FOUND"},
		{"-2143617020", 0, "0x803b0004 (2151350276, -2143617020) HCN_E_SWITCH_NOT_FOUND"},
		{"-o json -2143617020", 0, `"signed": -2143617020`},
		{"-2143617020 -o json", 0, `"symbol": "HCN_E_SWITCH_NOT_FOUND"`},
		{"803B0015", 0, "Cure: "},
		{"hcn_e_manager_stopped", 0, "0x803b0020"},
		{"0x80070fff", 1, "is not among the codes"},
		{"0", 2, "no code of an error"},
		{"diskette", 2, "no error code in any known spelling"},
		{"-x", 2, "unknown shorthand flag"},
		{"", 2, "accepts 1 arg(s)"},
	}
	for _, tt := range tests {
		m.wants(tt.status, "explain "+tt.args, tt.want)
	}
	if _, out := m.run("__complete", "explain", ""); !strings.Contains(out, "HCN_E_NETWORK_NOT_FOUND\n") {
		t.Error(out)
	}
	m.wants(0, "completion powershell", "Register-ArgumentCompleter")
}
