// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
)

const twoOfOurs = `{"cniVersion": "1.1.0", "name": "podnet", "plugins": [
	{"type": "bulkhead", "driver": "l2bridge", "acl": {"rules": [{"direction": "in", "action": "allow", "protocol": "tcp", "ports": "80,8000-8080"}]}},
	{"type": "portmap"},
	{"type": "bulkhead-acl", "driver": "l2bridge", "acl": {"rules": [{"direction": "in", "action": "deny", "protocol": "tcp", "ports": "22"}]}}]}`

// The commands look at all of Bulkhead's plugins of a list, and say what their answer does
// not cover.
func TestReport18ACLCommands(t *testing.T) {
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	conf := file(t, twoOfOurs)
	explain := []string{"acl", "explain", "--conf", conf, "--direction", "in", "--protocol", "tcp"}
	for _, tt := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"acl", "show", "--conf", conf}, 0, []string{"bulkhead-pod-", "bulkhead-acl-", "acl.rules[0]"}},
		{explain, 0, []string{"allowed: ", "That is for a port that no rule names. Rules name 80,8000-8080, 22: ask for one of these with --port."}},
		{append(explain, "--port", "22"), 0, []string{"denied: "}},
		{append(explain, "--port", "80"), 0, []string{"allowed: "}},
		{append(explain, "--port", "80-90"), 2, []string{"--port 80-90 is a range, and rules can cut it in parts; ask for one port of it, such as 80"}},
		{append(explain, "--port", "http"), 2, []string{`--port "http" is not a port, 1 to 65535`}},
		{append(explain, "--port", "0"), 2, []string{`--port "0" is not a port, 1 to 65535`}},
		{append(explain, "--remote", "10.1.0.0/16"), 2, []string{"--remote 10.1.0.0/16 is a prefix, and rules can cut it in parts; ask for an address of it, such as 10.1.0.0"}},
		{append(explain, "--remote", "web"), 2, []string{`--remote "web" is not an IP address`}},
	} {
		status, stdout, stderr := run(t, host, tt.args...)
		for _, want := range tt.want {
			if status != tt.status || !strings.Contains(stdout+stderr, want) {
				t.Errorf("%v: status %d, %s%s\nwant %d with %q", tt.args, status, stdout, stderr, tt.status, want)
			}
		}
	}
	if _, stdout, _ := run(t, host, append(explain, "--port", "80")...); strings.Contains(stdout, "no rule names") {
		t.Errorf("with a port: %s", stdout)
	}
}

// network create fails with the words of ADD, the cure included.
func TestReport18CreateTellsTheCure(t *testing.T) {
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	if err := host.StopService(); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := run(t, host, "network", "create", "--conf", file(t, owned))
	if status != 1 || !strings.Contains(stderr, "Start-Service hns") || strings.Contains(stderr, "Go ") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// Names of other programs' endpoints do not act on the terminal.
func TestFinding12Tables(t *testing.T) {
	p, err := hnsemu.ProfileNamed("2022")
	if err != nil {
		t.Fatal(err)
	}
	host := hnsemu.New(p)
	client, ctx := emuclient.New(host, "test"), context.Background()
	made, err := client.CreateNetwork(ctx, hns.Network{
		Name: "podnet", Driver: hns.L2Bridge, Subnets: []hns.Subnet{{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Gateway: netip.MustParseAddr("10.1.0.1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateEndpoint(ctx, hns.Endpoint{Name: "evil\x1b[2J\u202e", NetworkID: made.ID}); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := run(t, host, "network", "delete", "--name", "podnet")
	if out := stdout + stderr; status != 1 || strings.ContainsAny(out, "\x1b\u202e") || !strings.Contains(out, `evil\u001b[2J\u202e`) {
		t.Errorf("%d %q", status, out)
	}
}
