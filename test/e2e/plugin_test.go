// SPDX-License-Identifier: Apache-2.0

// Package e2e_test drives the real bulkhead.exe under Wine, through hcsshim,
// against the emulated HNS, as a container runtime would.
package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu/emuclient"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
	"github.com/bulkhead-cni/bulkhead/test/wine"
)

const conflists = "../../plugins/bulkhead/conf"

// plugin is bulkhead.exe on an emulated node.
type plugin struct {
	*testing.T
	node *wine.Env
	exe  string
	// dir is where host-local keeps its files.
	dir string
	// hns reaches the node without Wine, to prepare and to look.
	hns hns.Client
}

func newPlugin(t *testing.T, profile string) *plugin {
	t.Helper()
	env := wine.Start(t, profile)
	return &plugin{
		T: t, node: env, exe: env.Build(t, "./plugins/bulkhead"), dir: t.TempDir(),
		hns: emuclient.New(env.Host, "test"),
	}
}

// call is one invocation by a runtime.
type call struct {
	verb, id, netns, conf string
	// more is added to the environment, and wins.
	more []string
}

// run invokes the plugin.
func (p *plugin) run(c call) wine.Result {
	p.Helper()
	r, err := p.invoke(c)
	if err != nil {
		p.Fatal(err)
	}
	return r
}

// invoke is run for other goroutines than the test's.
func (p *plugin) invoke(c call) (wine.Result, error) {
	return p.node.Exec(context.Background(), wine.Cmd{
		Path: p.exe, Stdin: c.conf, Env: c.environment(p),
	})
}

// environment returns what a runtime sets.
func (c call) environment(p *plugin) []string {
	return append([]string{
		"CNI_COMMAND=" + c.verb, "CNI_CONTAINERID=" + c.id, "CNI_NETNS=" + c.netns, "CNI_IFNAME=eth0",
		"CNI_PATH=" + wine.WindowsPath(filepath.Dir(p.exe)), "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web",
	}, c.more...)
}

// conf returns a configuration of the driver with these members more.
func (p *plugin) conf(d hns.Driver, more ...string) string {
	p.Helper()
	subnet := `{"prefix":"10.1.0.0/16","gateway":"10.1.0.1"`
	if d == hns.Overlay {
		subnet += `,"vsid":4096`
	}
	members := append([]string{
		`"cniVersion":"1.0.0"`, `"name":"net1"`, `"type":"bulkhead"`, fmt.Sprintf(`"driver":%q`, d),
		`"network":{"subnets":[` + subnet + `}]}`,
		fmt.Sprintf(`"ipam":{"type":"host-local","dataDir":%q,"ranges":[[{"subnet":"10.1.0.0/16","rangeStart":"10.1.0.10"}]]}`, wine.WindowsPath(p.dir)),
	}, more...)
	out := "{" + strings.Join(members, ",") + "}"
	if !json.Valid([]byte(out)) {
		p.Fatalf("the test's configuration is not JSON: %s", out)
	}
	return out
}

// inProcess returns the node without Wine, to prepare and to look.
func (p *plugin) inProcess() *verbs.Node {
	return &verbs.Node{Host: p.node.Host, HNS: p.hns, Dir: p.dir}
}

// namespace makes a namespace as containerd does and returns its GUID.
func (p *plugin) namespace() string { return p.inProcess().Namespace(p.T) }

// added parses the result of an ADD that worked.
func added(r wine.Result) (*current.Result, error) {
	if r.Code != 0 || r.Stderr != "" {
		return nil, fmt.Errorf("exit code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
	res, err := current.NewResult([]byte(r.Stdout))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, r.Stdout)
	}
	return current.GetResult(res)
}

// refused parses the CNI error of a call that failed, as the specification has
// it: JSON on stdout, exit status not 0, nothing on stderr.
func refused(r wine.Result) (*types.Error, error) {
	if r.Code != 1 || r.Stderr != "" {
		return nil, fmt.Errorf("exit code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
	var e types.Error
	dec := json.NewDecoder(strings.NewReader(r.Stdout))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil || e.Code == 0 || e.Msg == "" {
		return nil, fmt.Errorf("stdout is no CNI error (%w): %q", err, r.Stdout)
	}
	return &e, nil
}

// deleted fails unless a DEL printed nothing and succeeded.
func deleted(r wine.Result) error {
	if r.Code != 0 || r.Stdout != "" || r.Stderr != "" {
		return fmt.Errorf("DEL: exit code %d, stdout %q, stderr %q", r.Code, r.Stdout, r.Stderr)
	}
	return nil
}

// addresses returns the files that hold addresses, of whatever network.
func (p *plugin) addresses() []string { return verbs.Addresses(p.T, p.dir) }

// left lists the endpoints of pods, namespace resources and addresses on the node.
func (p *plugin) left() []string { return p.inProcess().Left(p.T) }

func (p *plugin) nothingLeft(when string) {
	p.Helper()
	if left := p.left(); len(left) > 0 {
		p.Errorf("%s: left on the node: %s", when, strings.Join(left, ", "))
	}
}
