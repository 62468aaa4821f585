// SPDX-License-Identifier: Apache-2.0

package reports_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/bulkhead-cni/bulkhead/pkg/cli"
	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	pkgnode "github.com/bulkhead-cni/bulkhead/pkg/node"
	"github.com/bulkhead-cni/bulkhead/pkg/nodelock"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

// node is an emulated node and a way to run the plugin on it.
type node struct {
	*testing.T
	*verbs.Node
	// dataDir is where host-local keeps its files, as the plugin sees it.
	dataDir string
	// call runs a verb, command a command.
	call    func(verbs.Call) (stdout string, err error)
	command func(args ...string) (status int, output string)
}

// both runs a report in this process and under Wine. windows tells which.
func both(t *testing.T, report func(n node, windows bool)) {
	t.Helper()
	t.Run("process", func(t *testing.T) { report(inProcess(t), false) })
	t.Run("wine", func(t *testing.T) { report(underWine(t), true) })
}

func inProcess(t *testing.T) node {
	n := verbs.New(t, "2022", t.TempDir())
	return node{
		T: t, Node: n, dataDir: n.Dir,
		call: func(c verbs.Call) (string, error) {
			// For IPAM plugins that are executed.
			for key, value := range map[string]string{
				"CNI_COMMAND": c.Verb, "CNI_CONTAINERID": c.ContainerID, "CNI_NETNS": c.NetNS,
				"CNI_IFNAME": cmp.Or(c.IfName, "eth0"), "CNI_ARGS": cmp.Or(c.CNIArgs, verbs.Args),
			} {
				t.Setenv(key, value)
			}
			return n.Run(t, c)
		},
		command: func(args ...string) (int, string) {
			var out bytes.Buffer
			this := pkgnode.Node{
				OpenHNS: func(perCall time.Duration) (hns.Client, error) {
					return emuclient.NewTimeout(n.Host, "cli", perCall), nil
				},
				Lock: nodelock.Acquire, NodeAddrs: pkgnode.InterfaceAddrs, SendsFrom: pkgnode.SendsFrom,
			}
			status := cli.Env{Stdout: &out, Stderr: &out, Version: "test", Node: this}.Run(args)
			return status, out.String()
		},
	}
}

func underWine(t *testing.T) node {
	env := wine.Start(t, "2022")
	exe := env.Build(t, "./plugins/bulkhead")
	n := &verbs.Node{Host: env.Host, HNS: emuclient.New(env.Host, "test"), Dir: t.TempDir()}
	return node{
		T: t, Node: n, dataDir: wine.WindowsPath(n.Dir),
		call: func(c verbs.Call) (string, error) {
			path := wine.WindowsPath(filepath.Dir(exe))
			if p := os.Getenv("CNI_PATH"); p != "" {
				path = wine.WindowsPath(p)
			}
			r := env.Run(t, wine.Cmd{Path: exe, Stdin: c.Conf, Env: []string{
				"CNI_COMMAND=" + c.Verb, "CNI_CONTAINERID=" + c.ContainerID, "CNI_NETNS=" + c.NetNS,
				"CNI_IFNAME=" + cmp.Or(c.IfName, "eth0"), "CNI_ARGS=" + cmp.Or(c.CNIArgs, verbs.Args), "CNI_PATH=" + path,
			}})
			if r.Code == 0 {
				return r.Stdout, nil
			}
			var e types.Error
			if err := json.Unmarshal([]byte(r.Stdout), &e); err != nil || e.Code == 0 {
				t.Fatalf("%s: exit code %d, stdout %q, stderr %q", c.Verb, r.Code, r.Stdout, r.Stderr)
			}
			return r.Stdout, &e
		},
		command: func(args ...string) (int, string) {
			r := env.Run(t, wine.Cmd{Path: exe, Args: args})
			return r.Code, r.Stdout + r.Stderr
		},
	}
}

// conf returns the configuration of most reports: an l2bridge network podnet of
// 10.10.0.0/24, with these members instead of its own or beside them.
func (n node) conf(members ...string) string {
	n.Helper()
	out := map[string]json.RawMessage{
		"cniVersion": json.RawMessage(`"1.0.0"`), "name": json.RawMessage(`"podnet"`), "type": json.RawMessage(`"bulkhead"`),
		"driver":  json.RawMessage(`"l2bridge"`),
		"network": json.RawMessage(`{"subnets":[{"prefix":"10.10.0.0/24","gateway":"10.10.0.1"}]}`),
		"ipam":    json.RawMessage(n.hostLocal(`"ranges":[[{"subnet":"10.10.0.0/24"}]]`)),
	}
	for _, m := range members {
		var more map[string]json.RawMessage
		if err := json.Unmarshal([]byte("{"+m+"}"), &more); err != nil {
			n.Fatalf("%s: %v", m, err)
		}
		for key, raw := range more {
			if out[key] = raw; string(raw) == "null" {
				delete(out, key)
			}
		}
	}
	text, err := json.Marshal(out)
	if err != nil {
		n.Fatal(err)
	}
	return string(text)
}

// hostLocal returns an ipam section with these members.
func (n node) hostLocal(members string) string {
	dir, _ := json.Marshal(n.dataDir) // a string always can be
	return fmt.Sprintf(`{"type":"host-local","dataDir":%s,%s}`, dir, members)
}

// dual are the members of conf for both families.
func (n node) dual(ipam string) string {
	return `"network":{"subnets":[{"prefix":"10.10.0.0/24","gateway":"10.10.0.1"},{"prefix":"fd00:10::/64","gateway":"fd00:10::1"}]},` +
		`"ipam":` + n.hostLocal(`"ranges":[[{"subnet":"10.10.0.0/24"}],[{"subnet":"fd00:10::/64"}]]`+ipam)
}

// add attaches and returns the result.
func (n node) add(c verbs.Call) *current.Result {
	n.Helper()
	c.Verb = "ADD"
	stdout, err := n.call(c)
	if err != nil {
		n.Fatalf("ADD of %s %s: %v", c.ContainerID, c.IfName, err)
	}
	parsed, err := current.NewResult([]byte(stdout))
	if err != nil {
		n.Fatalf("%v: %s", err, stdout)
	}
	got, err := current.GetResult(parsed)
	if err != nil {
		n.Fatal(err)
	}
	return got
}

// del detaches.
func (n node) del(c verbs.Call) {
	n.Helper()
	c.Verb = "DEL"
	if _, err := n.call(c); err != nil {
		n.Errorf("DEL of %s %s: %v", c.ContainerID, c.IfName, err)
	}
}

// refused wants a verb to fail with a code and words.
func (n node) refused(c verbs.Call, code uint, words string) {
	n.Helper()
	_, err := n.call(c)
	var e *types.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Msg, words) {
		n.Errorf("%s: got %v\nwant %d with %q\nof %s", c.Verb, err, code, words, c.Conf)
	}
}

// refusedUntouched is refused before HNS or IPAM is asked.
func (n node) refusedUntouched(c verbs.Call, code uint, words string) {
	n.Helper()
	if err := n.Host.ResetLog(); err != nil {
		n.Fatal(err)
	}
	held := len(verbs.Addresses(n.T, n.Dir))
	n.refused(c, code, words)
	if calls, err := n.Host.Calls(); err != nil || len(calls) > 0 {
		n.Errorf("HNS was called: %v, %v", calls, err)
	}
	if now := verbs.Addresses(n.T, n.Dir); len(now) != held {
		n.Errorf("IPAM was asked: %v", now)
	}
}

// names returns the names of the node's endpoints, sorted.
func (n node) names() []string {
	n.Helper()
	var out []string
	for _, e := range n.State(n.T).Endpoints {
		out = append(out, e.Name)
	}
	slices.Sort(out)
	return out
}

// want compares lists.
func (n node) want(what string, got []string, want ...string) {
	n.Helper()
	if !slices.Equal(got, want) {
		n.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// network makes a network as another agent does.
func (n node) network(name string, d hns.Driver, subnet, gateway string) hns.Network {
	n.Helper()
	s := hns.Subnet{Prefix: netip.MustParsePrefix(subnet), Gateway: netip.MustParseAddr(gateway)}
	if d == hns.Overlay {
		s.VSID = 4096
	}
	made, err := n.HNS.CreateNetwork(context.Background(), hns.Network{Name: name, Driver: d, Subnets: []hns.Subnet{s}})
	if err != nil {
		n.Fatal(err)
	}
	return made
}

// endpoint returns the one endpoint of that name.
func (n node) endpoint(name string) hns.Endpoint {
	n.Helper()
	found, err := n.HNS.EndpointsNamed(context.Background(), name)
	if err != nil || len(found) != 1 {
		n.Fatalf("%d endpoints %s, %v", len(found), name, err)
	}
	return found[0]
}

// ips returns the addresses of a result.
func ips(r *current.Result) []string {
	var out []string
	for _, ip := range r.IPs {
		out = append(out, ip.Address.IP.String())
	}
	return out
}
