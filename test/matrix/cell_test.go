// SPDX-License-Identifier: Apache-2.0

package matrix_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/bulkhead-cni/bulkhead/pkg/hns"
	"github.com/bulkhead-cni/bulkhead/pkg/hnsemu"
	"github.com/bulkhead-cni/bulkhead/test/verbs"
)

// family is which addresses a pod is to have.
type family string

const (
	ipv4 family = "IPv4"
	ipv6 family = "IPv6"
	dual family = "dual"
)

var families = []family{ipv4, ipv6, dual}

// pick returns what is for the families that f has.
func pick[T any](f family, v4, v6 T) []T {
	switch f {
	case ipv4:
		return []T{v4}
	case ipv6:
		return []T{v6}
	default:
		return []T{v4, v6}
	}
}

// cell is one question: does this driver do that, for these families, on this
// release of Windows?
type cell struct {
	driver  hns.Driver
	family  family
	profile string
}

func cells() []cell {
	var out []cell
	for _, d := range hns.Drivers() {
		for _, f := range families {
			for _, p := range profiles() {
				out = append(out, cell{d, f, p})
			}
		}
	}
	return out
}

// answer is how a cell came out: it works, or it was refused, or neither.
type answer struct {
	works bool
	// wrong is what is missing after an ADD that claimed to work, or was done by
	// one that refused.
	wrong string
	// code and msg are the refusal.
	code uint
	msg  string
}

// String is for answers that are not wrong: a wrong one fails the test.
func (a answer) String() string {
	if a.works {
		return "works"
	}
	return fmt.Sprintf("refused (%d): %s", a.code, a.msg)
}

// members are those of a JSON object.
type members map[string]any

// base returns the configuration of a pod that asks for nothing special, with the
// addresses in dir.
func (c cell) base(dir string) members {
	subnets := pick(c.family,
		members{"prefix": "10.1.0.0/16", "gateway": "10.1.0.1"},
		members{"prefix": "fd00:1::/64", "gateway": "fd00:1::1"})
	if c.driver == hns.Overlay {
		for i, s := range subnets {
			s["vsid"] = 4096 + i
		}
	}
	return members{
		"cniVersion": "1.1.0", "name": "net1", "type": "bulkhead", "driver": c.driver,
		"network": members{"subnets": subnets},
		"ipam": members{"type": "host-local", "dataDir": dir, "ranges": pick(c.family,
			[]members{{"subnet": "10.1.0.0/16", "rangeStart": "10.1.0.10"}},
			[]members{{"subnet": "fd00:1::/64", "rangeStart": "fd00:1::10"}})},
	}
}

// pod is a pod of a cell, and the node that it is on.
type pod struct {
	cell
	*testing.T
	problems []error
	node     *verbs.Node
	call     verbs.Call
	// state, endpoint and network are what HNS has after ADD.
	state    hnsemu.State
	endpoint hnsemu.EndpointState
	network  hnsemu.NetworkState
}

// wrong notes what must not be.
func (p *pod) wrong(format string, args ...any) {
	p.problems = append(p.problems, fmt.Errorf(format, args...))
}

// answered returns the answer, unless something was wrong.
func (p *pod) answered(a answer) answer {
	if err := errors.Join(p.problems...); err != nil {
		return answer{wrong: strings.ReplaceAll(err.Error(), "\n", "; ")}
	}
	return a
}

// try makes a pod that asks for the row, looks whether it got that, and removes
// it again.
func try(t *testing.T, r row, c cell) answer {
	t.Helper()
	n := verbs.New(t, c.profile, t.TempDir())
	conf := c.base(n.Dir)
	p := &pod{cell: c, T: t, node: n, call: verbs.Call{Verb: "ADD", ContainerID: "c1", NetNS: n.Namespace(t)}}
	if r.before != nil {
		if a := r.before(p, conf); !a.works {
			return a
		}
	}
	r.ask(c, conf)
	p.call.Conf = text(t, conf)
	stdout, err := n.Run(t, p.call)
	if err != nil {
		return p.refused(err)
	}
	p.read()
	if err := r.look(p); err != nil {
		p.wrong("ADD worked, but %w", err)
	}
	p.after(stdout)
	return p.answered(answer{works: true})
}

func text(t *testing.T, conf members) string {
	t.Helper()
	out, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// read looks at the node.
func (p *pod) read() {
	p.Helper()
	p.state = p.node.State(p.T)
	for _, e := range p.state.Endpoints {
		if e.Name == "c1_net1" {
			p.endpoint = e
		}
	}
	for _, n := range p.state.Networks {
		if n.ID == p.endpoint.NetworkID {
			p.network = n
		}
	}
	if p.network.Driver != p.driver || p.endpoint.NamespaceID != p.call.NetNS {
		p.wrong("ADD worked, but the endpoint is %+v on %+v", p.endpoint, p.network)
	}
	got := map[family]int{}
	for _, a := range p.endpoint.Addresses {
		got[map[bool]family{true: ipv4, false: ipv6}[a.Addr().Is4()]]++
	}
	for _, f := range pick(p.family, ipv4, ipv6) {
		if got[f] != 1 || len(got) != len(pick(p.family, 0, 0)) {
			p.wrong("ADD worked, but the pod has %v", p.endpoint.Addresses)
		}
	}
}

// after takes a pod through the rest of its life.
func (p *pod) after(result string) {
	p.Helper()
	status, check, del := p.call, p.call, p.call
	status.Verb, check.Verb, del.Verb = "STATUS", "CHECK", "DEL"
	check.Conf = verbs.With(p.T, p.call.Conf, "prevResult", json.RawMessage(result))
	for _, c := range []verbs.Call{status, check, del, del} {
		if _, err := p.node.Run(p.T, c); err != nil {
			p.wrong("ADD worked, but %s fails: %w", c.Verb, err)
		}
	}
	if left := p.node.Left(p.T); len(left) > 0 {
		p.wrong("DEL left %v", left)
	}
}

// refused holds a refusal to what an admin may expect: one sentence, and nothing
// done.
func (p *pod) refused(err error) answer {
	p.Helper()
	var e *types.Error
	if !errors.As(err, &e) {
		p.Fatalf("ADD: %v", err)
	}
	const most = 300
	switch {
	case e.Code < 2 || e.Code == 100:
		p.wrong("code %d: %s", e.Code, e.Msg)
	case len(e.Msg) > most || strings.Contains(e.Msg, "\n") || strings.Contains(e.Msg, "0x"):
		p.wrong("this is no sentence for an admin: %s", e.Msg)
	}
	if left := p.node.Left(p.T); len(left) > 0 {
		p.wrong("ADD was refused (%s) and left %v", e.Msg, left)
	}
	if made := p.made(); len(made) > 0 {
		p.wrong("ADD was refused (%s) after %v", e.Msg, made)
	}
	return p.answered(answer{code: e.Code, msg: strings.TrimPrefix(e.Msg, "cannot attach eth0 of pod default/web (container c1): ")})
}

// made lists the calls that asked HNS to make or change something.
func (p *pod) made() []string {
	p.Helper()
	calls, err := p.node.Host.Calls()
	if err != nil {
		p.Fatal(err)
	}
	var out []string
	for _, c := range calls {
		if c.Client == "bulkhead" && (strings.HasPrefix(c.Proc, "HcnCreate") || strings.HasPrefix(c.Proc, "HcnModify")) {
			out = append(out, c.Proc)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
