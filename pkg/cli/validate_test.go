// SPDX-License-Identifier: Apache-2.0

package cli_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

// Every file of other plugins that the end-to-end tests have, as an admin sees it before
// the exe is replaced, with the native file that is suggested for it. That has the same
// meaning.
func TestValidatePeersFiles(t *testing.T) {
	files, err := filepath.Glob("../../test/e2e/testdata/peers/*.conf")
	if err != nil || len(files) < 11 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, name := range files {
		short := strings.TrimSuffix(filepath.Base(name), ".conf")
		t.Run(short, func(t *testing.T) {
			status, means, stderr := run(t, nil, "validate", name)
			if status != 0 || stderr != "" {
				t.Errorf("status %d, stderr %q", status, stderr)
			}
			status, suggested, stderr := run(t, nil, "validate", name, "--suggest")
			if status != 0 || stderr != "" {
				t.Errorf("status %d, stderr %q", status, stderr)
			}
			golden(t, "validate-"+short+".txtar", string(txtar.Format(&txtar.Archive{Files: []txtar.File{
				{Name: "means", Data: []byte(means)}, {Name: "suggested", Data: []byte(suggested)},
			}})))
			native := file(t, suggested)
			if _, again, _ := run(t, nil, "validate", native); planOf(again) != planOf(means) {
				t.Errorf("the suggested file means something else (-file +suggested):\n%s", cmp.Diff(planOf(means), planOf(again)))
			}
			if status, _, stderr := run(t, nil, "validate", native, "--suggest"); status != 2 || !strings.Contains(stderr, "nothing to suggest") {
				t.Errorf("a native file: status %d, %s", status, stderr)
			}
		})
	}
}

// planOf leaves out what a text says of the plugin and of a network that flanneld makes.
func planOf(text string) string {
	_, plan, _ := strings.Cut(text, "\nADDRESSES")
	return plan
}

// Every fault is told, in the order of the parts, with the path in the file.
func TestValidateFaults(t *testing.T) {
	for _, tt := range []struct{ conf, want string }{
		{
			"\ufeff" + `{"cniVersion": "1.0.0", "name": "net1", "type": "bulkhead", "driver": "l2bridge"}`,
			"the file begins with a byte order mark, and no runtime loads it; save it as UTF-8 without one, in PowerShell by [IO.File]::WriteAllText\n",
		},
		{
			`{"cniVersion": "1.0.0", "name": "net1", "plugins": [{"type": "other", "x": 1}, {"type": "bulkhead", "driver": "l2bridge", "colour": 1, "zeal": 2,
				"network": {"subnets": [{"prefix": "10.1.0.5/16"}]}, "ipam": {"type": "host-local"}, "routes": [{"dst": "x"}], "dns": {"nameservers": ["y"]}, "acl": {"rules": [{}]}}]}`,
			`plugins[1].colour: unknown key
plugins[1].zeal: unknown key
plugins[1].network.subnets[0].prefix: "10.1.0.5/16" has host bits set; write 10.1.0.0/16
plugins[1].acl.rules[0].direction: missing; want in or out
plugins[1].routes[0].dst: "x" is not a CIDR such as 10.10.0.0/24
plugins[1].dns.nameservers[0]: "y" is not an IP address
`,
		},
		{
			`{"name": "net1", "type": "flannel", "delegate": {"type": "sdnbridge", "master": 5, "optionalFlags": {"loopbackDRS": true},
				"AdditionalArgs": [{"Name": "X", "Value": {}}, {"Name": "EndpointPolicy", "Value": {"Type": "SDNRoute", "Settings": {"DestinationPrefix": "10.0.0.1/8"}}}]}}`,
			`delegate.optionalFlags.loopbackDRS: unknown key; did you mean "loopbackDSR"?
delegate.master: want a string, got 5
delegate.AdditionalArgs[0].Name: "X": sdnbridge makes nothing of it; write EndpointPolicy, or remove it
delegate.AdditionalArgs[1].Value.Settings.DestinationPrefix: "10.0.0.1/8" has host bits set; write 10.0.0.0/8
`,
		},
		{`{"name": "net 1", "type": "nat"}`, "name: \"net 1\" is not a network name: letters, digits, dots, hyphens and underscores only, a letter or a digit first\n"},
		{`{"name": "net1", "name": "net2", "type": "nat"}`, "name: given twice; remove one of the two\n"},
		{
			`{"cniVersion": "1.0.0", "name": "net1", "plugins": [{"type": "bulkhead", "driver": "l2bridge"}, {"type": "bulkhead-acl", "driver": "l2bridge"}]}`,
			"plugins[1]: ADD refuses it behind a plugin with rules of its own; write these into that plugin's acl section\n",
		},
		{`{`, "malformed JSON at line 1, column 1: unexpected end of JSON input\n"},
		{
			`{"name": "net1", "type": "bulkhead", "driver": "l2bridge", "loopbackDSR": true}`,
			"loopbackDSR needs an address from IPAM, and ipam gave none",
		},
	} {
		name := file(t, tt.conf)
		status, stdout, stderr := run(t, nil, "validate", name)
		if status != 2 || !strings.HasSuffix(strings.TrimSpace(stdout), strings.TrimSpace(tt.want)) || !strings.Contains(stderr, name) {
			t.Errorf("%s\nstatus %d, stderr %q, stdout (-want +got):\n%s", tt.conf, status, stderr, cmp.Diff(tt.want, stdout))
		}
		_, stdout, _ = run(t, nil, "validate", name, "-o", "json")
		var answer struct {
			Faults []struct{ Path, Problem string }
		}
		if err := json.Unmarshal([]byte(stdout), &answer); err != nil || len(answer.Faults) != strings.Count(strings.TrimSpace(tt.want), "\n")+1 {
			t.Errorf("%v: %s", err, stdout)
		}
		if status, stdout, _ := run(t, nil, "validate", name, "--suggest"); status != 2 || stdout != "" {
			t.Errorf("--suggest: status %d: %s", status, stdout)
		}
	}
}

// Every conflist of the repository is valid; what they mean is the end-to-end tests' to
// say.
func TestValidateConflists(t *testing.T) {
	files, err := filepath.Glob("../../plugins/bulkhead/conf/*.conflist")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, name := range files {
		if status, stdout, stderr := run(t, nil, "validate", name); status != 0 || stderr != "" {
			t.Errorf("%s: status %d, %s%s", name, status, stdout, stderr)
		}
	}
	_, stdout, _ := run(t, nil, "validate", "../../plugins/bulkhead/conf/l2bridge-acl.conflist")
	golden(t, "validate-l2bridge-acl.txt", stdout)
	_, stdout, _ = run(t, nil, "validate", "../../plugins/bulkhead/conf/nat.conflist", "-o", "json")
	golden(t, "validate-nat.json", stdout)
}

// bulkhead-acl has rules alone, and a file of nobody's is an error.
func TestValidateOthers(t *testing.T) {
	status, stdout, stderr := run(t, nil, "validate", file(t, rules), "--node", "192.168.1.5")
	if status != 0 || stderr != "" || strings.Contains(stdout, "NETWORK") || !strings.Contains(stdout, "bulkhead-acl-switch-in-host") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	for _, tt := range []struct{ args, want string }{
		{file(t, `{"name": "n", "plugins": [{"type": "a"}, {"type": "b"}]}`), `plugins: none is of type "bulkhead"`},
		{file(t, `{"name": "n", "type": "bulkhead"}`) + " --driver ring", `"ring"`},
		{"none-such.conf", "none-such.conf"},
		{"", "accepts 1 arg"},
	} {
		if status, _, stderr := run(t, nil, append([]string{"validate"}, strings.Fields(tt.args)...)...); status != 2 || !strings.Contains(stderr, tt.want) {
			t.Errorf("%s: status %d, %s", tt.args, status, stderr)
		}
	}
}

// A conflist of a plugin that is replaced has no ACL, whoever asks.
func TestShowReplaced(t *testing.T) {
	conf := file(t, `{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "win-bridge"}]}`)
	if _, stdout, stderr := run(t, nil, "acl", "show", "--conf", conf); stdout != "No ACL is sent: acl.program is false.\n" {
		t.Errorf("%s%s", stdout, stderr)
	}
	if status, _, stderr := run(t, nil, strings.Fields("acl explain --conf "+conf+" --direction in --protocol tcp")...); status != 2 || !strings.Contains(stderr, "driver: missing") {
		t.Errorf("status %d, %s", status, stderr)
	}
	conf = file(t, `{"cniVersion": "1.0.0", "name": "n", "plugins": [{"type": "win-overlay", "acl": {"inbound": {"default": "deny"}, "allowHost": false}}]}`)
	if _, stdout, stderr := run(t, nil, "acl", "show", "--conf", conf); !strings.Contains(stdout, "bulkhead-pod-switch-in-tail") {
		t.Errorf("%s%s", stdout, stderr)
	}
}
