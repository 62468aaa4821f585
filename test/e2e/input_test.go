// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// What is wrong with the input is told as a CNI error that names the field, and
// neither HNS nor IPAM is touched.
func TestBadInput(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	good := p.conf(hns.L2Bridge)
	const netns = "5e7ec6f4-3d7c-4b6e-8d6e-000000000001"
	with := func(member string) string { return p.conf(hns.L2Bridge, member) }
	without := func(old, replacement string) string {
		out := strings.Replace(good, old, replacement, 1)
		if out == good {
			t.Fatalf("%s is not in the configuration", old)
		}
		return out
	}
	tests := []struct {
		name string
		call call
		code uint
		want string
	}{
		{"no JSON", call{conf: `{"name":`}, 6, "unexpected end of JSON input"},
		{"two documents", call{conf: good + good}, 6, "invalid character '{' after top-level value"},
		{"no object", call{conf: `[]`}, 7, "want one JSON object, got a list"},
		{"UTF-16", call{conf: "\xff\xfe{\x00"}, 6, "it is UTF-16; save it as UTF-8"},
		{"a name that is no string", call{conf: `{"name":5}`}, 7, "name: want a string, got 5"},
		{"nothing", call{conf: ``}, 6, "unexpected end of JSON input"},
		{"no name", call{conf: `{"cniVersion":"1.0.0","type":"bulkhead"}`}, 7, "missing network name"},
		{"bad name", call{conf: without(`"net1"`, `"net 1"`)}, 7, "invalid characters found in network name"},
		{"unknown version", call{conf: without(`"1.0.0"`, `"7.0.0"`)}, 1, "incompatible CNI versions"},
		{"whole conflist", call{conf: `{"cniVersion":"1.0.0","name":"net1","plugins":[` + good + `]}`}, 7, "plugins"},
		{"another plugin's", call{conf: without(`"bulkhead"`, `"azure-vnet"`)}, 2, `type: "azure-vnet" is not supported`},
		{"unknown driver", call{conf: without(`"l2bridge"`, `"bridge"`)}, 7, `driver: "bridge" is not one of nat, transparent, l2bridge, l2tunnel, overlay`},
		{"unknown isolation", call{conf: with(`"isolation":"vm"`)}, 7, `isolation: "vm" is not one of process, hyperv`},
		{"unknown key", call{conf: with(`"isolatoin":"hyperv"`)}, 7, "isolatoin: unknown key"},
		{"unknown key inside", call{conf: with(`"acl":{"programme":false}`)}, 7, "acl.programme: unknown key"},
		{"wrong type", call{conf: with(`"loopbackDSR":"yes"`)}, 7, "loopbackDSR"},
		{"impossible CIDR", call{conf: without(`"10.1.0.0/16","gateway"`, `"10.1.0.0/33","gateway"`)}, 7, `network.subnets[0].prefix: "10.1.0.0/33"`},
		{"host bits", call{conf: without(`"10.1.0.0/16","gateway"`, `"10.1.0.5/16","gateway"`)}, 7, "write 10.1.0.0/16"},
		{"gateway elsewhere", call{conf: without(`"10.1.0.1"`, `"10.9.0.1"`)}, 7, "network.subnets[0].gateway"},
		{"VSID too small", call{conf: strings.Replace(p.conf(hns.Overlay), "4096", "77", 1)}, 7, "network.subnets[0].vsid"},
		{"bad exception", call{conf: with(`"outboundNAT":{"exceptions":["<your service cidr>"]}`)}, 7, "outboundNAT.exceptions[0]"},
		{"port out of range", call{conf: with(`"runtimeConfig":{"portMappings":[{"hostPort":70000,"containerPort":80,"protocol":"tcp"}]}`)}, 7, "runtimeConfig.portMappings[0].hostPort"},
		{"unknown protocol", call{conf: with(`"runtimeConfig":{"portMappings":[{"hostPort":80,"containerPort":80,"protocol":"tcp"},{"hostPort":81,"containerPort":80,"protocol":"sctp"}]}`)}, 7, `runtimeConfig.portMappings[1].protocol: "sctp" is not one of tcp, udp`},
		{"impossible rule", call{conf: with(`"acl":{"rules":[{"direction":"in"}]}`)}, 7, "acl.rules[0].action: missing; want allow or deny"},
		{"malformed annotation", call{conf: with(`"acl":{"podAnnotations":true},"capabilities":{"io.kubernetes.cri.pod-annotations":true},"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{"bulkhead.dev/acl":"{"}}`)}, 7, "annotation bulkhead.dev/acl: malformed JSON"},
		{"bad timeout", call{conf: with(`"timeouts":{"add":"90"}`)}, 7, `timeouts.add: "90" is not a duration`},
		{"no ranges", call{conf: without(`[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.10"}]]`, `[]`)}, 7, "ipam.ranges: missing; host-local needs at least one range"},
		{"malformed CNI_ARGS", call{conf: good, more: []string{"CNI_ARGS=K8S_POD_NAME"}}, 7, "CNI_ARGS"},
		{"no namespace", call{conf: good, netns: "none-such"}, 4, `CNI_NETNS: "none-such" is not a GUID`},
		{"no sandbox named", call{conf: good, netns: "container:"}, 4, `CNI_NETNS is "container:"`},
		{"container missing", call{conf: good, more: []string{"CNI_CONTAINERID="}}, 4, "CNI_CONTAINERID"},
		{"bad interface name", call{conf: good, more: []string{"CNI_IFNAME=much/too/bad"}}, 4, "interface"},
		{"unknown verb", call{conf: good, verb: "FROB"}, 4, "FROB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := p.node.Host.ResetLog(); err != nil {
				t.Fatal(err)
			}
			c := tt.call
			c.id = "c1"
			if c.verb == "" {
				c.verb = "ADD"
			}
			if c.netns == "" {
				c.netns = netns
			}
			e, err := refused(p.run(c))
			if err != nil {
				t.Fatal(err)
			}
			if e.Code != tt.code || !strings.Contains(e.Msg+" "+e.Details, tt.want) {
				t.Errorf("got %d %q %q, want %d with %q", e.Code, e.Msg, e.Details, tt.code, tt.want)
			}
			p.untouched()
		})
	}
}

// untouched fails when HNS was called or IPAM has a file.
func (p *plugin) untouched() {
	p.Helper()
	calls, err := p.node.Host.Calls()
	if err != nil {
		p.Fatal(err)
	}
	if len(calls) > 0 {
		p.Errorf("HNS was called: %s", calls[0].Proc)
	}
	if held := p.addresses(); len(held) > 0 {
		p.Errorf("IPAM was asked: %v", held)
	}
}

// A byte order mark, which PowerShell writes, is read over.
func TestReport15BOMOnStdin(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: "\xef\xbb\xbf" + p.conf(hns.L2Bridge)}
	if _, err := added(p.run(c)); err != nil {
		t.Error(err)
	}
	c.verb = "DEL"
	if err := deleted(p.run(c)); err != nil {
		t.Error(err)
	}
	p.nothingLeft("after DEL")
}

// What is wrong with the configuration must not keep a pod: DEL wants no more
// of it than the name.
func TestDelWithBadConfiguration(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.L2Bridge)}
	if _, err := added(p.run(c)); err != nil {
		t.Fatal(err)
	}
	c.verb = "DEL"
	c.conf = p.conf(hns.L2Bridge, `"isolatoin":"hyperv"`, `"runtimeConfig":{"portMappings":[{"protocol":"sctp"}]}`, `"timeouts":{"del":"soon"}`)
	c.more = []string{"CNI_ARGS=K8S_POD_NAME", "CNI_NETNS="}
	if err := deleted(p.run(c)); err != nil {
		t.Error(err)
	}
	p.nothingLeft("after DEL")
}

// A network of another type is a refusal that shows both sides, and leaves the
// network as it is.
func TestNetworkOfAnotherType(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.L2Bridge)}
	if _, err := added(p.run(c)); err != nil {
		t.Fatal(err)
	}
	c.verb = "DEL"
	if err := deleted(p.run(c)); err != nil {
		t.Fatal(err)
	}
	c.verb, c.conf = "ADD", p.conf(hns.Transparent)
	e, err := refused(p.run(c))
	if err != nil || e.Code != 102 || !strings.Contains(e.Msg, "type: want transparent, got l2bridge") {
		t.Errorf("got %+v, %v", e, err)
	}
	p.nothingLeft("after the refusal")
}

// An IPAM plugin that is Bulkhead again, under another name, would start itself for ever.
func TestFinding11CalledBack(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	text, err := os.ReadFile(p.exe)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.exe"), text, 0o700); err != nil {
		t.Fatal(err)
	}
	conf := strings.Replace(p.conf(hns.L2Bridge), `"host-local"`, `"other"`, 1)
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: conf, more: []string{"CNI_PATH=" + wine.WindowsPath(dir)}}
	e, err := refused(p.run(c))
	if err != nil || !strings.Contains(e.Msg+e.Details, `the IPAM plugin "other" calls bulkhead, which called it`) {
		t.Errorf("got %+v, %v", e, err)
	}
	p.nothingLeft("after the refusal")
}

// The addresses' directory is for those who run the node alone.
func TestFinding05DirectoryRights(t *testing.T) {
	t.Parallel()
	p := newPlugin(t, "2022")
	top := filepath.Join(p.dir, "new")
	p.dir = filepath.Join(top, "networks")
	c := call{verb: "ADD", id: "c1", netns: p.namespace(), conf: p.conf(hns.L2Bridge)}
	if _, err := added(p.run(c)); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{top, p.dir, filepath.Join(p.dir, "net1")} {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("%s: others may %v, %v", dir, info, err)
		}
	}
}
