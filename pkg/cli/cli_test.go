// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bulkhead-cni/bulkhead/pkg/cli"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
)

var update = flag.Bool("update", false, "write the golden files")

// run carries out a command on a node and returns what it printed.
func run(t *testing.T, host *hnsemu.Host, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	env := cli.Env{
		Stdout: &out, Stderr: &err, Version: "1.2.3",
		Node: node.Node{
			OpenHNS: func(perCall time.Duration) (hns.Client, error) {
				return emuclient.NewTimeout(host, "cli", perCall), nil
			},
			Lock:      nodelock.Acquire,
			SendsFrom: func(netip.Addr) (netip.Addr, error) { return netip.MustParseAddr("192.168.1.5"), nil },
		},
	}
	return env.Run(args), out.String(), err.String()
}

// file writes a configuration to a file.
func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "net.conflist")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const rules = `{"cniVersion": "1.1.0", "name": "podnet", "plugins": [
	{"type": "azure-vnet"},
	{"type": "bulkhead-acl", "driver": "l2bridge", "capabilities": {"io.kubernetes.cri.pod-annotations": true}, "acl": {
		"inbound": {"default": "deny"}, "podAnnotations": true,
		"rules": [
			{"direction": "in", "action": "allow", "protocol": "tcp", "ports": "80,8000-8080", "remote": ["10.0.0.0/8", "fd00::/8"]},
			{"direction": "in", "action": "allow", "protocol": "icmp"},
			{"direction": "out", "action": "deny", "remote": ["169.254.169.254/32"], "priority": 200}]}}]}`

// The default table as an admin sees it, for every driver and isolation.
func TestShowDefaults(t *testing.T) {
	conf := file(t, `{"name": "podnet", "type": "bulkhead"}`)
	for _, d := range hns.Drivers() {
		for _, i := range []hns.Isolation{hns.Process, hns.HyperV} {
			name := string(d) + "-" + string(i)
			t.Run(name, func(t *testing.T) {
				status, stdout, stderr := run(t, nil, "acl", "show", "--conf", conf, "--driver", string(d), "--isolation", string(i))
				if status != 0 || stderr != "" {
					t.Errorf("status %d, stderr %q", status, stderr)
				}
				golden(t, "default-"+name+".txt", stdout)
			})
		}
	}
}

func TestShowRules(t *testing.T) {
	conf := file(t, rules)
	status, stdout, stderr := run(t, nil, "acl", "show", "--conf", conf, "--node", "192.168.1.7",
		"--annotation", `{"rules": [{"direction": "in", "action": "deny", "protocol": "tcp", "ports": "8000"}]}`)
	if status != 0 || stderr != "" {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
	golden(t, "rules.txt", stdout)
	_, stdout, _ = run(t, nil, "acl", "show", "--conf", conf, "-o", "json")
	golden(t, "rules.json", stdout)
}

// A driver without IPv6 has no rule for the node's IPv6 addresses.
func TestShowHostOfTheDriversFamilies(t *testing.T) {
	conf := file(t, `{"name": "n", "type": "bulkhead", "acl": {"inbound": {"default": "deny"}}}`)
	for driver, want := range map[string]string{"l2bridge": "192.168.1.5/32,fd00::5/128", "nat": "192.168.1.5/32"} {
		_, stdout, _ := run(t, nil, "acl", "show", "--conf", conf, "--driver", driver, "--node", "192.168.1.5,fd00::5", "-o", "json")
		if !strings.Contains(stdout, `"remote": "`+want+`"`) {
			t.Errorf("%s: %s", driver, stdout)
		}
	}
}

func TestExplain(t *testing.T) {
	conf := file(t, rules)
	tests := []struct {
		args    string
		allowed bool
		rule    string
		at      hns.RuleType
	}{
		{"--direction in --protocol tcp --port 8080 --remote 10.1.2.3", true, "bulkhead-acl-switch-in-rule0-tcp", hns.Switch},
		{"--direction in --protocol TCP --port 8080 --remote fd00::1", true, "bulkhead-acl-switch-in-rule0-tcp", hns.Switch},
		{"--direction in --protocol 6 --port 8081 --remote 10.1.2.3", false, "bulkhead-acl-switch-in-tail", hns.Switch},
		{"--direction in --protocol tcp --port 80", false, "bulkhead-acl-switch-in-tail", hns.Switch},
		{"--direction in --protocol udp --port 10250 --remote 192.168.1.5", true, "bulkhead-acl-switch-in-host", hns.Switch},
		{"--direction in --protocol udp --port 10250 --remote 192.168.1.5 --node 192.168.1.6", false, "bulkhead-acl-switch-in-tail", hns.Switch},
		{"--direction in --protocol icmp", true, "bulkhead-acl-switch-in-rule1-icmpv4", hns.Switch},
		{"--direction in --protocol icmp --remote fe80::1", true, "bulkhead-acl-switch-in-rule1-icmpv6", hns.Switch},
		{"--direction in --protocol icmp --isolation hyperv --driver overlay", true, "bulkhead-acl-switch-in-rule1-icmpv4", hns.Switch},
		{"--direction out --protocol sctp --remote 169.254.169.254", false, "bulkhead-acl-switch-out-rule2", hns.Switch},
		{"--direction out --protocol sctp --remote 169.254.169.253", true, "bulkhead-acl-switch-out-tail", hns.Switch},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			conf := conf
			if strings.Contains(tt.args, "overlay") { // which has no IPv6
				conf = file(t, strings.Replace(rules, `, "fd00::/8"`, "", 1))
			}
			status, stdout, stderr := run(t, nil, append(strings.Fields("acl explain -o json --conf "+conf), strings.Fields(tt.args)...)...)
			var got struct {
				Allowed   bool
				Rule, Why string
				At        hns.RuleType
			}
			if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != 0 || stderr != "" {
				t.Fatalf("status %d, %v, stderr %q: %s", status, err, stderr, stdout)
			}
			if got.Allowed != tt.allowed || got.Rule != tt.rule || got.At != tt.at || got.Why == "" {
				t.Errorf("got %+v", got)
			}
		})
	}
	_, stdout, _ := run(t, nil, strings.Fields("acl explain --conf "+conf+" --direction out --protocol tcp --port 443 --remote 169.254.169.254")...)
	if want := "denied: it is dropped: acl.rules[2] says so, which is rule bulkhead-acl-switch-out-rule2 of the switch port (VFP)\n"; stdout != want {
		t.Errorf("got %s", stdout)
	}
}

// What cannot be answered has nothing on stdout, and a status of its own.
func TestRefusals(t *testing.T) {
	conf := file(t, rules)
	explain := "acl explain --conf " + conf + " --direction in --protocol "
	tests := []struct {
		args, stderr string
		status       int
	}{
		{"frobnicate", `unknown command "frobnicate" for "bulkhead"`, 2},
		{"acl show", "at least one of the flags in the group [conf pod] is required", 2},
		{"acl show --conf " + conf + " --pod default/web", "none of the others can be", 2},
		{"acl show --conf missing.conflist", "missing.conflist", 2},
		{"acl show --conf " + file(t, "{"), "malformed JSON", 2},
		{"acl show --conf " + file(t, `{"plugins": [{"type": "azure-vnet"}]}`), `none is of type "bulkhead"`, 2},
		{"acl show --conf " + file(t, `{"name": "n", "type": "bulkhead"}`), "driver: missing", 2},
		{"acl show --conf " + conf + " --driver nat", "IPv6, which nat networks do not have", 2},
		{"acl show --conf " + conf + " --driver bridge", `driver: "bridge"`, 2},
		{"acl show --conf " + conf + " -o yaml", `--output "yaml" is not one of text, json`, 2},
		{"acl show --conf " + conf + " --annotation {", "annotation bulkhead.dev/acl: malformed JSON", 2},
		{"acl show --conf " + conf + " --node x", "--node", 2},
		{explain + "tpc", `--protocol: "tpc" is neither`, 2},
		{explain + "tcp --remote 10.1.2.0/24", "--remote", 2},
		{explain + "igmp --port 80", "--port is for tcp and udp", 2},
		{explain + "tcp --port 65536", "65536", 2},
		{"acl explain --conf " + conf + " --direction inbound --protocol tcp", `--direction "inbound" is not one of in, out`, 2},
		{"acl explain --conf " + conf + " --direction in", `required flag(s) "protocol" not set`, 2},
		{"acl show --pod c9", "no endpoint of that pod is on this node", 1},
		{"acl show --pod default/web --cache-dir " + t.TempDir(), "--cache-dir tells", 1},
	}
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			status, stdout, stderr := run(t, hnsemu.New(p), strings.Fields(tt.args)...)
			if status != tt.status || stdout != "" || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("status %d, want %d; stdout %q, stderr %q, want %q", status, tt.status, stdout, stderr, tt.stderr)
			}
		})
	}
}

// A pod is found by the beginning of its sandbox's id and by its name, and its
// rules are told from another agent's.
func TestShowPod(t *testing.T) {
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	client, ctx := emuclient.New(host, "test"), context.Background()
	network, err := client.CreateNetwork(ctx, hns.Network{
		Name: "podnet", Driver: hns.L2Bridge, Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"c1aa_podnet", "c2aa_podnet", "podnet_ep"} {
		if _, err := client.CreateEndpoint(ctx, hns.Endpoint{Name: name, NetworkID: network.ID, Policies: []hns.Policy{
			hns.ACL{ID: "bulkhead-pod-switch-in-" + name, Direction: hns.In, Action: hns.Block, RuleType: hns.Switch, Protocol: hns.ProtocolAny, Priority: 65500},
			hns.ACL{ID: "felix", Direction: hns.In, Action: hns.Allow, RuleType: hns.Switch, Protocol: 6, Priority: 900},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	cache := t.TempDir()
	if err := os.MkdirAll(filepath.Join(cache, "results"), 0o700); err != nil {
		t.Fatal(err)
	}
	for id, pod := range map[string]string{"c1aa": "web", "c2aa": "db"} {
		text := `{"kind": "cniCacheV1", "containerId": "` + id + `", "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAMESPACE", "default"], ["K8S_POD_NAME", "` + pod + `"]]}`
		if err := os.WriteFile(filepath.Join(cache, "results", "podnet-"+id+"-eth0"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, asked := range []string{"c1", "c1aa", "default/web"} {
		status, stdout, stderr := run(t, host, "acl", "show", "--pod", asked, "--cache-dir", cache)
		if status != 0 || stderr != "" {
			t.Errorf("%s: status %d, stderr %q", asked, status, stderr)
		}
		golden(t, "pod.txt", stdout)
	}
	if _, stdout, stderr := run(t, host, "acl", "show", "--pod", "kube-system/web", "--cache-dir", cache); stdout != "" || !strings.Contains(stderr, "no endpoint") {
		t.Errorf("of another namespace: %s%s", stdout, stderr)
	}
}

func TestHelp(t *testing.T) {
	_, none, _ := run(t, nil)
	status, asked, _ := run(t, nil, "--help")
	if status != 0 || none != asked || !strings.Contains(none, "a CNI plugin for Windows nodes") {
		t.Errorf("status %d: %s", status, none)
	}
	if status, stdout, _ := run(t, nil, "--version"); status != 0 || stdout != "bulkhead version 1.2.3\n" {
		t.Errorf("version: %d, %q", status, stdout)
	}
}
